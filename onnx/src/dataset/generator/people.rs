//! The people: who they are, what they care for, how much they watch.

use encoder::features::Value;
use rand::Rng;

use crate::dataset::{
    UserRecord,
    generator::{
        Options,
        catalog::{THEME_COUNT, TRAITS},
        draw::{exponential, normal, weighted},
    },
};

/// Codes of age groups, as MovieLens has them, and how common they are.
const AGES: [(&str, f64); 7] = [
    ("1", 0.04),
    ("18", 0.18),
    ("25", 0.35),
    ("35", 0.20),
    ("45", 0.09),
    ("50", 0.08),
    ("56", 0.06),
];
const OCCUPATIONS: usize = 21;
/// How much people differ in what they care for.
const CARE: f64 = 0.4;
/// How many events a person has at least.
const LEAST_EVENTS: f64 = 20.0;
/// 25 April 2000, and how long people keep arriving after it.
const FIRST_ARRIVAL: i64 = 956_700_000;
const ARRIVAL_SPAN: f64 = 970.0 * 86_400.0;

/// One person.
pub(crate) struct Person {
    /// Name and profile.
    pub(crate) record: UserRecord,
    /// How many events.
    pub(crate) events: usize,
    /// Time of the first one.
    pub(crate) arrival: i64,
    /// When of all arrivals, 0 to 1.
    pub(crate) era: f64,
    /// Weight of each theme.
    pub(crate) tastes: Vec<f64>,
    /// How much fame counts in a choice.
    pub(crate) mainstream: f64,
    /// How much each trait of a film counts in a choice.
    pub(crate) cares: [f64; TRAITS],
    /// How much above others the person rates.
    pub(crate) mildness: f64,
}

/// Makes the people of a dataset.
pub(crate) fn make(options: &Options, rng: &mut impl Rng) -> Vec<Person> {
    let count = options.users as usize;
    let leanings = Leanings::draw(rng);
    let zips: Vec<String> = (0..count.div_ceil(2))
        .map(|_| format!("{:05}", rng.random_range(1_000..99_999)))
        .collect();
    let amounts = amounts(options, rng);
    let person = |(index, events): (usize, usize)| {
        let gender = usize::from(rng.random::<f64>() < 0.28);
        let age = weighted(AGES.iter().map(|age| age.1), rng).unwrap_or_default();
        let occupation = rng.random_range(0..OCCUPATIONS);
        let zip = &zips[(zips.len() as f64 * rng.random::<f64>().powi(2)) as usize];
        // Most arrive early, as at MovieLens.
        let era = rng.random::<f64>().powi(3);
        let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
        let features = [
            text("gender", ["M", "F"][gender]),
            text("age", AGES[age].0),
            text("occupation", &occupation.to_string()),
            text("zip", zip),
        ];
        Person {
            record: UserRecord {
                id: (index + 1).to_string(),
                features: features.into(),
            },
            events,
            arrival: FIRST_ARRIVAL + (era * ARRIVAL_SPAN) as i64,
            era,
            tastes: leanings.tastes([gender, 2 + age, 9 + occupation], era, rng),
            mainstream: 1.5 + 0.4 * normal(rng),
            cares: std::array::from_fn(|_| CARE * normal(rng)),
            mildness: 0.35 * normal(rng),
        }
    };
    (0..count).zip(amounts).map(person).collect()
}

/// Draws how many events each person has: at least 20, most a few dozen, a few a large part of the catalog.
fn amounts(options: &Options, rng: &mut impl Rng) -> Vec<usize> {
    let draws: Vec<f64> = (0..options.users)
        .map(|_| (1.25 * normal(rng)).exp().min(25.0))
        .collect();
    let most = 0.6 * f64::from(options.items);
    let above = (f64::from(options.events) - LEAST_EVENTS * f64::from(options.users)).max(0.0);
    let scale = above / draws.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    draws
        .iter()
        .map(|draw| (LEAST_EVENTS + scale * draw).round().min(most) as usize)
        .collect()
}

/// How much each group of people leans to each theme.
struct Leanings {
    /// 2 genders, 7 ages, the occupations.
    groups: Vec<Vec<f64>>,
    /// When each theme was in fashion, of the arrivals 0 to 1.
    fashion: Vec<f64>,
}

impl Leanings {
    fn draw(rng: &mut impl Rng) -> Self {
        let strength = |group: usize| if group < 9 { 0.6 } else { 0.25 };
        let groups = 2 + AGES.len() + OCCUPATIONS;
        Self {
            groups: (0..groups)
                .map(|group| {
                    (0..THEME_COUNT)
                        .map(|_| strength(group) * normal(rng))
                        .collect()
                })
                .collect(),
            fashion: (0..THEME_COUNT).map(|_| rng.random()).collect(),
        }
    }

    /// Draws a person's weights of the themes: what the groups lean to, fashion, and chance.
    fn tastes(&self, groups: [usize; 3], era: f64, rng: &mut impl Rng) -> Vec<f64> {
        let taste = |theme: usize| {
            let leaning: f64 = groups.iter().map(|&group| self.groups[group][theme]).sum();
            let fashion = 1.0 - 2.0 * (era - self.fashion[theme]).abs();
            (leaning + 0.8 * fashion).exp() * exponential(1.0, rng)
        };
        (0..THEME_COUNT).map(taste).collect()
    }
}
