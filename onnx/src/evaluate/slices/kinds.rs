//! The ways to tell users apart: by their history, by the item that came next, by their id.

use std::collections::BTreeMap;

use encoder::features::Value;

use crate::dataset::{
    Dataset,
    split::{Sequence, Split},
};

const DAY: i64 = 86_400;
/// Users and items with at most so many events in training are cold.
const COLD: u64 = 20;
/// MovieLens-1M is often a reconstruction whose timestamps are exact for users up to this id only.
const EXACT_TIMES: u64 = 2_999;

/// One way to tell users apart.
pub(super) struct Kind {
    /// What it is called.
    pub(super) name: &'static str,
    /// The values in order.
    pub(super) values: Vec<String>,
    /// For each user its values, by number, and how much of the user is in each: together 1.
    pub(super) shares: Vec<Vec<(usize, f64)>>,
}

/// Every kind that the dataset allows, for users who have a test event.
pub(super) fn all(dataset: &Dataset, split: &Split, users: &[&Sequence]) -> Vec<Kind> {
    let counts = split.training_counts();
    let first = first_events(split);
    let target = |user: &Sequence| user.items[user.items.len() - 1] as usize;
    let of_item = |user: &Sequence| u64::from(counts[target(user)]);
    let of_user = |user: &Sequence| user.training_len() as u64;
    let history = |user: &Sequence| user.items.len() as u64 - 1;
    let age =
        |user: &Sequence| first[target(user)].map(|first| user.times[user.times.len() - 1] - first);

    let mut kinds = vec![
        by_count("history length", &[20, 50, 100, 200, 500], users, history),
        by_age(users, age),
        by_count(
            "training events of the item",
            &[0, 10, 50, 200, 1_000],
            users,
            of_item,
        ),
        by_count("cold users, by training events", &[COLD], users, of_user),
        by_count("cold items, by training events", &[COLD], users, of_item),
    ];
    kinds.extend(by_genre(users, |user| {
        let item = split.items[target(user)] as usize;
        dataset.items[item].features.get("genres")
    }));
    kinds.extend(by_id(users, |user| {
        dataset.users[user.user as usize].id.parse().ok()
    }));
    kinds
}

/// The time of each item's first event in the training part.
fn first_events(split: &Split) -> Vec<Option<i64>> {
    let mut first: Vec<Option<i64>> = vec![None; split.items.len()];
    for user in &split.users {
        for (&item, &time) in user.training().iter().zip(&user.times) {
            let earliest = &mut first[item as usize];
            *earliest = Some(earliest.map_or(time, |other| other.min(time)));
        }
    }
    first
}

/// By a number, in ranges that end at `ends`.
fn by_count(
    name: &'static str,
    ends: &[u64],
    users: &[&Sequence],
    of: impl Fn(&Sequence) -> u64,
) -> Kind {
    let mut values = Vec::new();
    let mut from = 0;
    for &end in ends {
        values.push(match from == end {
            true => end.to_string(),
            false => format!("{from} to {end}"),
        });
        from = end + 1;
    }
    values.push(format!("{from} and more"));
    let place = |user: &Sequence| ends.partition_point(|&end| end < of(user));
    Kind {
        name,
        values,
        shares: whole(users, place),
    }
}

/// By the time since the first event of the item in training.
fn by_age(users: &[&Sequence], age: impl Fn(&Sequence) -> Option<i64>) -> Kind {
    const ENDS: [(i64, &str); 5] = [
        (DAY, "first day"),
        (7 * DAY, "first week"),
        (30 * DAY, "first 30 days"),
        (90 * DAY, "first 90 days"),
        (365 * DAY, "first year"),
    ];
    let mut values = vec!["no training event before".to_owned()];
    values.extend(ENDS.iter().map(|(_, name)| (*name).to_owned()));
    values.push("older".to_owned());
    let place = |user: &Sequence| match age(user) {
        Some(age) if age >= 0 => 1 + ENDS.partition_point(|&(end, _)| end <= age),
        _ => 0,
    };
    Kind {
        name: "age of the item",
        values,
        shares: whole(users, place),
    }
}

/// By genre; nothing where no target has one. A target of several genres shares its user out.
fn by_genre<'a>(
    users: &[&Sequence],
    genres: impl Fn(&Sequence) -> Option<&'a Value>,
) -> Option<Kind> {
    let names = |user: &&Sequence| match genres(user) {
        Some(Value::List(names)) if !names.is_empty() => names.clone(),
        Some(Value::Text(name)) => vec![name.clone()],
        _ => Vec::new(),
    };
    let by_user: Vec<Vec<String>> = users.iter().map(names).collect();
    let mut numbers: BTreeMap<&str, usize> = by_user
        .iter()
        .flatten()
        .map(|name| (name.as_str(), 0))
        .collect();
    if numbers.is_empty() {
        return None;
    }
    (0..)
        .zip(numbers.values_mut())
        .for_each(|(number, place)| *place = number);
    let mut values: Vec<String> = numbers.keys().map(|name| (*name).to_owned()).collect();
    let none = values.len();
    values.push("none".to_owned());
    let share = |names: &Vec<String>| match names.len() {
        0 => vec![(none, 1.0)],
        n => names
            .iter()
            .map(|name| (numbers[name.as_str()], 1.0 / n as f64))
            .collect(),
    };
    Some(Kind {
        name: "genre of the item",
        values,
        shares: by_user.iter().map(share).collect(),
    })
}

/// By whether times are exact in MovieLens-1M as it is often found; nothing where an id is no number.
fn by_id(users: &[&Sequence], id: impl Fn(&Sequence) -> Option<u64>) -> Option<Kind> {
    let ids: Vec<u64> = users.iter().map(|user| id(user)).collect::<Option<_>>()?;
    let shares = ids
        .iter()
        .map(|&id| vec![(usize::from(id > EXACT_TIMES), 1.0)]);
    Some(Kind {
        name: "user id",
        values: vec![
            format!("at most {EXACT_TIMES}"),
            format!("above {EXACT_TIMES}"),
        ],
        shares: shares.collect(),
    })
}

fn whole(users: &[&Sequence], place: impl Fn(&Sequence) -> usize) -> Vec<Vec<(usize, f64)>> {
    users.iter().map(|user| vec![(place(user), 1.0)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(items: &[u32], times: &[i64]) -> Sequence {
        Sequence {
            items: items.to_vec(),
            times: times.to_vec(),
            values: vec![1.0; items.len()],
            events: vec![0; items.len()],
            user: 0,
        }
    }

    fn check(kind: &Kind, expected: &[&str]) {
        let values = |shares: &Vec<(usize, f64)>| {
            shares
                .iter()
                .map(|(value, _)| kind.values[*value].clone())
                .collect::<Vec<_>>()
        };
        let found: Vec<String> = kind.shares.iter().flat_map(values).collect();
        assert_eq!(found, expected, "{}", kind.name);
    }

    #[test]
    fn a_count_falls_into_the_range_that_ends_at_it() {
        let users = [1, 2, 3, 9].map(|len| user(&vec![0; len], &vec![0; len]));
        let users: Vec<&Sequence> = users.iter().collect();
        let kind = by_count("n", &[0, 2], &users, |user| user.items.len() as u64 - 1);
        check(&kind, &["0", "1 to 2", "1 to 2", "3 and more"]);
    }

    #[test]
    fn an_item_is_as_old_as_its_first_event_in_training() {
        let users = [
            user(&[0, 1, 2, 0], &[5, 6, 7, 5 + DAY]),
            user(&[1, 0, 2, 1], &[0, 4, 5, 6]),
            user(&[2, 1, 0, 3], &[8 * DAY, 9 * DAY, 9 * DAY, 9 * DAY]),
            user(&[0, 0, 0, 2], &[0, 0, 0, 7 * DAY]),
        ];
        let split = Split {
            items: (0..4).collect(),
            users: users.to_vec(),
        };
        let first = first_events(&split);
        assert_eq!(first, [Some(0), Some(0), Some(8 * DAY), None]);
        let users: Vec<&Sequence> = split.users.iter().collect();
        let target = |user: &Sequence| user.items[user.items.len() - 1] as usize;
        let kind = by_age(&users, |user| {
            first[target(user)].map(|first| user.times[user.times.len() - 1] - first)
        });
        let expected = [
            "first week",
            "first day",
            "no training event before",
            "no training event before",
        ];
        check(&kind, &expected);
    }

    #[test]
    fn a_target_of_two_genres_shares_its_user_out() {
        let users = [user(&[0], &[0]), user(&[1], &[0]), user(&[2], &[0])];
        let users: Vec<&Sequence> = users.iter().collect();
        let list =
            |names: &[&str]| Value::List(names.iter().map(|name| (*name).to_owned()).collect());
        let genres = [list(&["b", "a"]), list(&[]), list(&["b"])];
        let kind = by_genre(&users, |user| genres.get(user.items[0] as usize));
        let kind = kind.expect("there are genres");
        assert_eq!(
            kind.shares,
            [vec![(1, 0.5), (0, 0.5)], vec![(2, 1.0)], vec![(1, 1.0)]]
        );
        assert!(by_genre(&users, |_| None).is_none());
    }

    #[test]
    fn ids_that_are_no_numbers_are_not_told_apart() {
        let users = [user(&[2_999], &[0]), user(&[3_000], &[0])];
        let users: Vec<&Sequence> = users.iter().collect();
        let kind = by_id(&users, |user| Some(u64::from(user.items[0])));
        check(
            &kind.expect("all are numbers"),
            &["at most 2999", "above 2999"],
        );
        assert!(by_id(&users, |user| (user.items[0] > 2_999).then_some(1)).is_none());
    }
}
