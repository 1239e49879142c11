//! The films: themes, tones, series and popularity.

use std::f64::consts::TAU;

use encoder::features::{CatalogItem, Value};
use rand::Rng;

use crate::dataset::generator::{
    draw::{normal, weighted},
    titles::Titles,
};

/// Positions on the ring of tones that each theme has.
pub(crate) const TONES: usize = 64;

/// How many traits a film has.
pub(crate) const TRAITS: usize = 6;

/// What a kind of film is about: its genres, and the year around which it had its time.
struct Theme {
    genres: &'static [&'static str],
    year: f64,
}

const fn theme(genres: &'static [&'static str], year: f64) -> Theme {
    Theme { genres, year }
}

const THEMES: [Theme; 32] = [
    theme(&["Action", "Adventure"], 1988.0),
    theme(&["Action", "Crime"], 1992.0),
    theme(&["Action", "Sci-Fi"], 1993.0),
    theme(&["Action", "Thriller"], 1995.0),
    theme(&["Action", "War"], 1975.0),
    theme(&["Adventure", "Children's"], 1985.0),
    theme(&["Adventure", "Fantasy"], 1987.0),
    theme(&["Adventure", "Sci-Fi"], 1982.0),
    theme(&["Animation", "Children's"], 1992.0),
    theme(&["Animation", "Musical"], 1960.0),
    theme(&["Children's", "Comedy"], 1994.0),
    theme(&["Comedy"], 1993.0),
    theme(&["Comedy"], 1965.0),
    theme(&["Comedy", "Crime"], 1994.0),
    theme(&["Comedy", "Drama"], 1994.0),
    theme(&["Comedy", "Horror"], 1989.0),
    theme(&["Comedy", "Romance"], 1995.0),
    theme(&["Comedy", "Romance"], 1955.0),
    theme(&["Crime", "Film-Noir"], 1950.0),
    theme(&["Crime", "Thriller"], 1994.0),
    theme(&["Documentary"], 1995.0),
    theme(&["Drama"], 1996.0),
    theme(&["Drama"], 1960.0),
    theme(&["Drama", "Mystery"], 1985.0),
    theme(&["Drama", "Romance"], 1994.0),
    theme(&["Drama", "War"], 1984.0),
    theme(&["Horror"], 1983.0),
    theme(&["Horror", "Thriller"], 1994.0),
    theme(&["Musical", "Romance"], 1955.0),
    theme(&["Mystery", "Thriller"], 1990.0),
    theme(&["Sci-Fi"], 1965.0),
    theme(&["Western"], 1965.0),
];

/// How many themes there are.
pub(crate) const THEME_COUNT: usize = THEMES.len();

/// One film.
#[derive(Clone)]
pub(crate) struct Film {
    /// What it is about, `0..THEME_COUNT`.
    pub(crate) theme: usize,
    /// Where it stands on its theme's ring, `0..TONES`.
    pub(crate) tone: usize,
    /// Logarithm of its popularity; deviation 1 around 0.
    pub(crate) fame: f64,
    /// What else people like or dislike in it, each of deviation 1 around 0; the first is how new it is for its theme.
    pub(crate) traits: [f64; TRAITS],
    /// How much better than others it is rated; deviation 1 around 0.
    pub(crate) quality: f64,
    /// The next film of the series.
    pub(crate) sequel: Option<u32>,
    title: String,
    genres: Vec<&'static str>,
    year: u16,
}

/// All films.
pub(crate) struct Catalog {
    /// By index of the dataset.
    pub(crate) films: Vec<Film>,
    /// Indices of the films of each theme.
    pub(crate) by_theme: Vec<Vec<u32>>,
    /// How much a step of `0..TONES` around the ring takes a film out of reach.
    pub(crate) reach: [f64; TONES],
}

/// How narrow the part of the ring is that people look at (concentration of a von Mises distribution).
const FOCUS: f64 = 3.0;
/// Share of films that begin a series.
const SERIES: f64 = 0.07;

/// Makes `count` films.
pub(crate) fn make(count: usize, rng: &mut impl Rng) -> Catalog {
    let mut titles = Titles::default();
    let sizes: Vec<f64> = (0..THEME_COUNT)
        .map(|_| (0.3 * normal(rng)).exp())
        .collect();
    let mut films: Vec<Film> = Vec::with_capacity(count);
    while films.len() < count {
        let theme = weighted(sizes.iter().copied(), rng).unwrap_or_default();
        let first = film(theme, &mut titles, rng);
        let parts = match rng.random::<f64>() < SERIES {
            true => rng.random_range(2..=4),
            false => 1,
        };
        for part in 1..=parts.min(count - films.len()) {
            let next = films.len();
            films.push(match part {
                1 => first.clone(),
                _ => first.part(part, rng),
            });
            if part > 1 {
                films[next - 1].sequel = Some(next as u32);
            }
        }
    }
    let mut by_theme = vec![Vec::new(); THEME_COUNT];
    for (index, film) in (0..).zip(&films) {
        by_theme[film.theme].push(index);
    }
    let reach = std::array::from_fn(|step| {
        (FOCUS * ((TAU * step as f64 / TONES as f64).cos() - 1.0)).exp()
    });
    Catalog {
        films,
        by_theme,
        reach,
    }
}

fn film(theme: usize, titles: &mut Titles, rng: &mut impl Rng) -> Film {
    let Theme { genres, year } = THEMES[theme];
    let mut traits = std::array::from_fn(|_| normal(rng));
    let year = (year + 7.0 * traits[0]).round().clamp(1919.0, 2000.0);
    traits[0] = (year - THEMES[theme].year) / 7.0;
    let mut genres = genres.to_vec();
    if genres.len() > 1 && rng.random::<f64>() < 0.15 {
        genres.pop();
    }
    if rng.random::<f64>() < 0.15 {
        let other = THEMES[rng.random_range(0..THEME_COUNT)].genres[0];
        if !genres.contains(&other) {
            genres.push(other);
            genres.sort_unstable();
        }
    }
    Film {
        theme,
        tone: rng.random_range(0..TONES),
        fame: normal(rng),
        traits,
        quality: normal(rng),
        sequel: None,
        title: titles.make(THEMES[theme].genres[0], rng),
        genres,
        year: year as u16,
    }
}

impl Film {
    /// Makes another part of the series that this film began.
    fn part(&self, part: usize, rng: &mut impl Rng) -> Self {
        let later = rng.random_range(1..=3) * (part as u16 - 1);
        Self {
            fame: self.fame - 0.4 * (part - 1) as f64,
            quality: self.quality - 0.5,
            title: format!("{} {}", self.title, ["II", "III", "IV"][part - 2]),
            genres: self.genres.clone(),
            year: (self.year + later).min(2000),
            ..*self
        }
    }
}

impl Catalog {
    /// Turns the films into items, numbered from 1.
    pub(crate) fn into_items(self) -> Vec<CatalogItem> {
        let item = |(id, film): (u64, Film)| {
            let genres = film.genres.iter().map(|&genre| genre.to_owned());
            CatalogItem {
                id,
                key: None,
                title: format!("{} ({})", film.title, film.year),
                popularity: 0,
                features: [
                    ("genres".to_owned(), Value::List(genres.collect())),
                    ("year".to_owned(), Value::Number(f64::from(film.year))),
                ]
                .into(),
            }
        };
        (1..).zip(self.films).map(item).collect()
    }
}
