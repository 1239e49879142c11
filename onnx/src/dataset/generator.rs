//! Makes data shaped like MovieLens-1M out of a seed, for machines without the real one.
//!
//! What is planted, so that there is something to learn:
//! - every person has several interests, three of which take turns in a session: what comes next is seldom about what came last,
//!   and a model that tells the interests apart gains (`watching`);
//! - within an interest people stay near a place on a ring of tones, drawn on by the films they like and strolling in a direction
//!   of their own; sequels follow, and disliked films lead nowhere;
//! - what people take there depends on fame and on traits that they care for, in all their interests (`people`);
//! - interests, fashions and the talk of the day drift, and some films are watched only because everybody does.

mod catalog;
mod draw;
mod people;
mod titles;
mod watching;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    dataset::{Dataset, EventRecord, bad_lines::BadLines},
    progress,
};

/// How much to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// Equal seeds give equal data.
    pub seed: u64,
    /// How many users, each with at least 20 events if the films suffice.
    pub users: u32,
    /// How many films.
    pub items: u32,
    /// About how many events.
    pub events: u32,
}

impl Default for Options {
    /// As many as MovieLens-1M.
    fn default() -> Self {
        Self {
            seed: 1,
            users: 6_040,
            items: 3_700,
            events: 1_000_000,
        }
    }
}

/// Makes a dataset: equal options, equal data.
pub fn generate(options: &Options) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let catalog = catalog::make(options.items as usize, &mut rng);
    let people = people::make(options, &mut rng);
    let bar = progress::bar(people.len() as u64, "users");
    let mut events: Vec<EventRecord> = Vec::with_capacity(options.events as usize);
    for (user, person) in (0..).zip(&people) {
        // A stream of its own: what one person does never depends on how many draws another took.
        rng.set_stream(u64::from(user) + 1);
        rng.set_word_pos(0);
        for watched in watching::watch(person, &catalog, &mut rng) {
            events.push(EventRecord {
                user,
                item: watched.film,
                kind: 0,
                value: watched.rating,
                time: watched.time,
                event_id: events.len() as u64 + 1,
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Dataset::new(
        format!("generated-{}", options.seed),
        people.into_iter().map(|person| person.record).collect(),
        catalog.into_items(),
        vec!["rating".to_owned()],
        events,
        BadLines::default(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use encoder::features::Value;

    use super::*;
    use crate::{
        baselines::{Popularity, Transitions},
        dataset::split::{ItemSet, Sequence, Split},
        metrics::{self, Case},
    };

    /// HR@10 of both baselines, seen items excluded.
    fn baselines(dataset: &Dataset) -> (f64, f64) {
        let split = Split::new(dataset, ItemSet::S);
        let (popularity, transitions) = (Popularity::fit(&split), Transitions::fit(&split));
        let last = |user| {
            let user: &Sequence = user;
            Case {
                target: user.test(),
                history: &user.items[..user.items.len() - 1],
            }
        };
        let cases: Vec<Case> = split.users.iter().map(last).collect();
        let by_popularity = metrics::rank(&cases, split.items.len(), |_, scores| {
            popularity.score(scores)
        });
        let by_transitions = metrics::rank(&cases, split.items.len(), |case, scores| {
            transitions.score(cases[case].history, scores)
        });
        let hit_rate = |rankings: metrics::Rankings| rankings.seen_excluded.figures().hr_10;
        (hit_rate(by_popularity), hit_rate(by_transitions))
    }

    #[test]
    fn counting_transitions_beats_popularity_and_leaves_room_for_a_model() {
        let dataset = generate(&Options::default());
        assert_eq!((dataset.users.len(), dataset.items.len()), (6_040, 3_700));
        assert!(dataset.events.len().abs_diff(1_000_000) < 20_000);
        let (popularity, transitions) = baselines(&dataset);
        assert!(
            transitions > 2.0 * popularity,
            "{transitions:.4} {popularity:.4}"
        );
        assert!((0.08..0.14).contains(&transitions), "{transitions:.4}");
    }

    fn small(seed: u64) -> Dataset {
        generate(&Options {
            seed,
            users: 200,
            items: 500,
            events: 12_000,
        })
    }

    #[test]
    fn equal_seeds_give_equal_data_and_other_seeds_other_data() {
        assert_eq!(small(3), small(3));
        assert_ne!(small(3).hash, small(4).hash);
    }

    #[test]
    fn everybody_has_twenty_events_and_watches_nothing_twice() {
        let dataset = small(5);
        let mut watched = vec![HashSet::new(); dataset.users.len()];
        for event in &dataset.events {
            assert!(watched[event.user as usize].insert(event.item), "{event:?}");
        }
        assert!(watched.iter().all(|items| items.len() >= 20));
        let about = dataset.events.len().abs_diff(12_000);
        assert!(about < 1_200, "{} events", dataset.events.len());
    }

    #[test]
    fn times_never_go_back_and_many_are_equal() {
        let dataset = small(6);
        let pairs = dataset
            .events
            .windows(2)
            .filter(|pair| pair[0].user == pair[1].user);
        let (mut all, mut equal) = (0, 0);
        for pair in pairs {
            assert!(pair[0].time <= pair[1].time);
            all += 1;
            equal += usize::from(pair[0].time == pair[1].time);
        }
        assert!((0.3..0.6).contains(&(f64::from(equal as u32) / f64::from(all))));
    }

    #[test]
    fn profiles_titles_and_ratings_look_like_movielens() {
        let dataset = small(7);
        let names: Vec<&str> = dataset.users[0]
            .features
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(names, ["age", "gender", "occupation", "zip"]);
        let titles: HashSet<&str> = dataset
            .items
            .iter()
            .map(|item| item.title.as_str())
            .collect();
        assert_eq!(titles.len(), dataset.items.len());
        for item in &dataset.items {
            let Value::Number(year) = item.features["year"] else {
                panic!("{item:?}");
            };
            assert!(item.title.ends_with(&format!("({year})")), "{item:?}");
            assert!(matches!(&item.features["genres"], Value::List(genres) if !genres.is_empty()));
        }
        assert!(
            dataset
                .events
                .iter()
                .all(|event| (1.0..=5.0).contains(&event.value))
        );
    }

    #[test]
    fn more_events_than_films_end_when_everything_is_watched() {
        let dataset = generate(&Options {
            seed: 1,
            users: 3,
            items: 10,
            events: 600,
        });
        assert!(dataset.events.len() <= 30);
    }
}
