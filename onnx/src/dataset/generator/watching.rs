//! What one person watches: sessions in which interests take turns, and steps within each.

use std::collections::HashSet;

use rand::Rng;

use crate::dataset::generator::{
    catalog::{Catalog, Film, TONES},
    draw::{exponential, normal, weighted},
    people::Person,
};

/// Share of events that have nothing to do with an interest.
const HEARSAY: f64 = 0.12;
/// Within a session: chance that the next interest has its turn, and that the last one goes on.
const TURN: f64 = 0.80;
const STAY: f64 = 0.10;
/// How many interests share a session.
const SHARED: usize = 3;
/// Mean number of events of a session.
const SESSION: f64 = 25.0;
/// How far a film that was liked pulls an interest from its place to its own tone, 0 to 1.
const PULL: f64 = 0.25;
/// How often an interest takes one step in its direction after such a film.
const STROLL: f64 = 0.5;
/// How much likelier a sequel is than another film in the same place.
const SEQUEL: f64 = 25.0;
/// An interest is over when this share of its weight has been watched.
const EXHAUSTED: f64 = 0.75;

/// One event.
pub(crate) struct Watched {
    /// Index of the film.
    pub(crate) film: u32,
    /// 1 to 5.
    pub(crate) rating: f32,
    /// Seconds since the epoch.
    pub(crate) time: i64,
}

/// Draws all events of a person, oldest first; no film twice.
pub(crate) fn watch(person: &Person, catalog: &Catalog, rng: &mut impl Rng) -> Vec<Watched> {
    let mut mind = Mind::new(person, catalog, rng);
    let mut time = person.arrival;
    let mut events = Vec::with_capacity(person.events);
    let mut session_left = 0;
    while events.len() < person.events {
        if session_left == 0 {
            session_left = 3 + exponential(SESSION, rng) as usize;
            mind.start_session(events.len() as f64 / person.events as f64, rng);
            if !events.is_empty() {
                time += 3_600 + exponential(4.0 * 86_400.0, rng) as i64;
            }
        }
        session_left -= 1;
        let Some((film, interest)) = mind.choose(rng) else {
            break;
        };
        let rating = person.rate(&catalog.films[film as usize], interest.is_some(), rng);
        mind.remember(film, interest, rating >= 3.0, rng);
        events.push(Watched { film, rating, time });
        if rng.random::<f64>() > 0.45 {
            time += 1 + exponential(30.0, rng) as i64;
        }
    }
    events
}

impl Person {
    fn rate(&self, film: &Film, interesting: bool, rng: &mut impl Rng) -> f32 {
        let interest = if interesting { 0.3 } else { -0.9 };
        let rating = 3.6 + interest + self.mildness + 0.4 * film.quality + 0.75 * normal(rng);
        rating.round().clamp(1.0, 5.0) as f32
    }
}

/// What is on a person's mind.
struct Mind<'a> {
    person: &'a Person,
    catalog: &'a Catalog,
    watched: HashSet<u32>,
    interests: Vec<Interest>,
    /// The interests that share the session, the one of the last event first.
    session: Vec<usize>,
}

/// One theme that a person follows.
struct Interest {
    theme: usize,
    /// How often it is on the person's mind.
    strength: f64,
    /// By how much the strength grows over the person's events.
    trend: f64,
    /// Place on the ring.
    place: usize,
    /// Which way round the interest strolls: 1 or -1.
    direction: i32,
    /// The sequel of the last film.
    sequel: Option<u32>,
    /// What each film of the theme is worth to the person wherever it stands; 0 once watched.
    worth: Vec<f64>,
    /// The sum of `worth` at the start.
    total: f64,
}

impl<'a> Mind<'a> {
    fn new(person: &'a Person, catalog: &'a Catalog, rng: &mut impl Rng) -> Self {
        let mut mind = Self {
            person,
            catalog,
            watched: HashSet::with_capacity(person.events),
            interests: Vec::new(),
            session: Vec::new(),
        };
        let interests = 3 + exponential(1.0, rng).min(3.0) as usize;
        for _ in 0..interests {
            let interest = mind.new_interest(rng);
            mind.interests.extend(interest);
        }
        mind
    }

    /// Takes up a theme that is not followed yet; nothing when all are.
    fn new_interest(&self, rng: &mut impl Rng) -> Option<Interest> {
        let followed = |theme: usize| {
            self.interests
                .iter()
                .any(|interest| interest.theme == theme)
        };
        let tastes = self.person.tastes.iter().enumerate();
        let weights = tastes.map(|(theme, &taste)| if followed(theme) { 0.0 } else { taste });
        let theme = weighted(weights, rng)?;
        let worth: Vec<f64> = self.catalog.by_theme[theme]
            .iter()
            .map(|&film| self.worth(film))
            .collect();
        Some(Interest {
            theme,
            strength: 0.3 + exponential(1.0, rng),
            trend: normal(rng),
            place: rng.random_range(0..TONES),
            direction: if rng.random() { 1 } else { -1 },
            sequel: None,
            total: worth.iter().sum(),
            worth,
        })
    }

    fn worth(&self, film: u32) -> f64 {
        if self.watched.contains(&film) {
            return 0.0;
        }
        let film = &self.catalog.films[film as usize];
        let cares: f64 = self
            .person
            .cares
            .iter()
            .zip(&film.traits)
            .map(|(care, value)| care * value)
            .sum();
        (self.person.mainstream * film.fame + cares).exp()
    }

    /// Picks the interests of a session, `progress` of the way (0 to 1) through the person's events.
    fn start_session(&mut self, progress: f64, rng: &mut impl Rng) {
        for index in 0..self.interests.len() {
            if self.interests[index].is_exhausted()
                && let Some(new) = self.new_interest(rng)
            {
                self.interests[index] = new;
            }
        }
        let strengths: Vec<f64> = self
            .interests
            .iter()
            .map(|interest| interest.strength * (interest.trend * (progress - 0.5)).exp())
            .collect();
        let mut strengths = strengths;
        self.session.clear();
        while self.session.len() < SHARED
            && let Some(next) = weighted(strengths.iter().copied(), rng)
        {
            strengths[next] = 0.0;
            self.session.push(next);
        }
    }

    /// Draws the next film and the interest that led to it; nothing when every film has been watched.
    fn choose(&mut self, rng: &mut impl Rng) -> Option<(u32, Option<usize>)> {
        if rng.random::<f64>() < HEARSAY {
            return self.hearsay(rng).map(|film| (film, None));
        }
        let mood: f64 = rng.random();
        let interest = if mood < TURN {
            self.session.rotate_left(1);
            self.session[0]
        } else if mood < TURN + STAY {
            self.session[0]
        } else {
            rng.random_range(0..self.interests.len())
        };
        match self.interests[interest].next(self.catalog, rng) {
            Some(film) => Some((film, Some(interest))),
            None => self.hearsay(rng).map(|film| (film, None)),
        }
    }

    /// Draws a film that everybody talks about at the time.
    fn hearsay(&self, rng: &mut impl Rng) -> Option<u32> {
        let films = &self.catalog.films;
        let unwatched = |&film: &u32| !self.watched.contains(&film);
        for _ in 0..1_000 {
            let film = rng.random_range(0..films.len() as u32);
            let talk = films[film as usize].talk(self.person.era);
            if unwatched(&film) && rng.random::<f64>() < talk {
                return Some(film);
            }
        }
        (0..films.len() as u32).find(unwatched)
    }

    fn remember(&mut self, film: u32, interest: Option<usize>, liked: bool, rng: &mut impl Rng) {
        self.watched.insert(film);
        let theme = self.catalog.films[film as usize].theme;
        for interest in self
            .interests
            .iter_mut()
            .filter(|interest| interest.theme == theme)
        {
            if let Some(position) = self.catalog.by_theme[theme]
                .iter()
                .position(|&other| other == film)
            {
                interest.worth[position] = 0.0;
            }
        }
        if let (Some(interest), true) = (interest, liked) {
            self.interests[interest].follow(&self.catalog.films[film as usize], rng);
        }
    }
}

impl Film {
    /// How much the film is talked about, 0 to 1, when `era` of all arrivals has passed.
    fn talk(&self, era: f64) -> f64 {
        let phase = (self.quality + self.traits[0]).rem_euclid(1.0);
        let distance = (era - phase).abs().min(1.0 - (era - phase).abs());
        ((1.7 * (self.fame - 2.6)).exp() * (1.5 - 2.0 * distance)).min(1.0)
    }
}

impl Interest {
    fn is_exhausted(&self) -> bool {
        self.worth.iter().sum::<f64>() < (1.0 - EXHAUSTED) * self.total
    }

    /// Draws the next film, near the place where the interest stands.
    fn next(&self, catalog: &Catalog, rng: &mut impl Rng) -> Option<u32> {
        let films = &catalog.by_theme[self.theme];
        let weights = films
            .iter()
            .zip(&self.worth)
            .map(|(&film, &worth)| self.weight(film, worth, catalog));
        weighted(weights, rng).map(|position| films[position])
    }

    /// How likely a film of the theme is the next one, up to a factor.
    fn weight(&self, film: u32, worth: f64, catalog: &Catalog) -> f64 {
        let tone = catalog.films[film as usize].tone;
        let near = catalog.reach[(tone + TONES - self.place) % TONES];
        let sequel = if self.sequel == Some(film) {
            SEQUEL
        } else {
            1.0
        };
        worth * (near + 1e-3) * sequel
    }

    /// Moves on from a film that was liked.
    fn follow(&mut self, film: &Film, rng: &mut impl Rng) {
        let ring = TONES as i32;
        // The shorter way round from the place to the film.
        let way = (film.tone as i32 - self.place as i32 + ring + ring / 2) % ring - ring / 2;
        let drawn = (f64::from(way) * PULL).round() as i32;
        let stroll = if rng.random::<f64>() < STROLL {
            self.direction
        } else {
            0
        };
        self.place = (self.place as i32 + drawn + stroll).rem_euclid(ring) as usize;
        self.sequel = film.sequel;
    }
}
