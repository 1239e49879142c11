//! The founding document's evaluation: what each user is recommended over the ANN index, and which of it was right.

use std::{fmt, io, path::Path};

use crate::{
    dataset::{
        Dataset,
        split::{Sequence, Split},
    },
    evaluate::{Error, ann::Search},
    metrics::Case,
    progress,
};

/// The columns of the file. `hit_rank` and `exact_rank` count from 1 and are empty where the held-out item is not among the
/// first `k`; `recalled` is `item=score` for each item, best first, separated by spaces.
const HEADER: [&str; 6] = [
    "user",
    "held_out_item",
    "held_out_title",
    "hit_rank",
    "exact_rank",
    "recalled",
];

/// What every user was recommended, seen items excluded.
#[derive(Debug, Clone, PartialEq)]
pub struct TopN {
    /// How many items a user is recommended.
    pub k: usize,
    /// Users in the dataset's order.
    pub users: Vec<Recalled>,
}

/// What one user was recommended.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// The user's name.
    pub user: String,
    /// Id of the item that came next.
    pub held_out: u64,
    /// Its title.
    pub title: String,
    /// Where ANN search put it, from 1.
    pub hit: Option<usize>,
    /// Where exact search put it, from 1.
    pub exact: Option<usize>,
    /// Ids and scores of the items that ANN search found, best first.
    pub items: Vec<(u64, f32)>,
    /// How many of them exact search has among its first `k`, and how many it has.
    pub common: (usize, usize),
}

/// Recommends `k` items to every user.
pub(crate) fn top_n(
    dataset: &Dataset,
    split: &Split,
    users: &[&Sequence],
    cases: &[Case<'_>],
    search: &Search<'_>,
    k: usize,
) -> Result<TopN, Error> {
    let item = |dense: u32| &dataset.items[split.items[dense as usize] as usize];
    let bar = progress::bar(cases.len() as u64, "users recommended to");
    let recall = |(index, (user, case)): (usize, (&&Sequence, &Case<'_>))| {
        let found = search.both(index, case, k)?;
        bar.inc(1);
        let target = user.items[user.items.len() - 1];
        let place = |items: &[u32]| {
            items
                .iter()
                .position(|&item| item == target)
                .map(|rank| rank + 1)
        };
        let common = found
            .exact
            .iter()
            .filter(|item| found.ann.contains(item))
            .count();
        Ok(Recalled {
            user: dataset.users[user.user as usize].id.clone(),
            held_out: item(target).id,
            title: item(target).title.clone(),
            hit: place(&found.ann),
            exact: place(&found.exact),
            items: found
                .ann
                .iter()
                .map(|&dense| (item(dense).id, found.scores[dense as usize]))
                .collect(),
            common: (common, found.exact.len()),
        })
    };
    let recalled: Result<Vec<Recalled>, Error> =
        users.iter().zip(cases).enumerate().map(recall).collect();
    bar.finish_and_clear();
    Ok(TopN {
        k,
        users: recalled?,
    })
}

impl TopN {
    /// Share of users whose held-out item ANN search recommends.
    pub fn hit_rate(&self) -> f64 {
        self.share(|user| user.hit.is_some())
    }

    /// Share of users whose held-out item exact search recommends.
    pub fn exact_hit_rate(&self) -> f64 {
        self.share(|user| user.exact.is_some())
    }

    /// Mean share of what exact search recommends that ANN search does too.
    pub fn recall(&self) -> f64 {
        let recall = |user: &Recalled| user.common.0 as f64 / user.common.1.max(1) as f64;
        self.users.iter().map(recall).sum::<f64>() / self.users.len().max(1) as f64
    }

    fn share(&self, is_one: impl Fn(&Recalled) -> bool) -> f64 {
        let ones = self.users.iter().filter(|user| is_one(user)).count();
        ones as f64 / self.users.len().max(1) as f64
    }

    /// Writes one line a user as CSV, with a header.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            let mut csv = csv::Writer::from_path(path)?;
            csv.write_record(HEADER)?;
            for user in &self.users {
                let rank =
                    |rank: Option<usize>| rank.map(|rank| rank.to_string()).unwrap_or_default();
                let items: Vec<String> = user
                    .items
                    .iter()
                    .map(|(item, score)| format!("{item}={score:.4}"))
                    .collect();
                csv.write_record([
                    &user.user,
                    &user.held_out.to_string(),
                    &user.title,
                    &rank(user.hit),
                    &rank(user.exact),
                    &items.join(" "),
                ])?;
            }
            csv.flush()
        };
        write().map_err(|source| Error::Io {
            path: path.display().to_string(),
            source,
        })
    }
}

impl fmt::Display for TopN {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hits = self.users.iter().filter(|user| user.hit.is_some()).count();
        write!(
            f,
            "top {k} over the ANN index: {hits} of {users} held-out items recommended, HR@{k} {:.4}; exact search {:.4}; recall@{k} of ANN search {:.4}",
            self.hit_rate(),
            self.exact_hit_rate(),
            self.recall(),
            k = self.k,
            users = self.users.len(),
        )
    }
}
