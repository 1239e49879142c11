//! Embeds users and items through `encoder`, and scores one with the other.

use std::{collections::HashMap, num::NonZero, thread};

use encoder::{
    artifact::Artifact,
    embedding::Embeddings,
    features::{CatalogItem, Event, Item, User},
    gather::Gathered,
    session::{self, ItemEncoder, UserEncoder},
};
use index::{exact, rows::RowsView};

use crate::{
    dataset::{
        Dataset,
        split::{Sequence, Split},
    },
    evaluate::Error,
    progress,
};

/// How many users or items are embedded at once: the largest batch bucket of `encoder`.
const BATCH: usize = 64;

/// An artifact's towers over a dataset.
pub(crate) struct Vectors<'a> {
    artifact: &'a Artifact,
    dataset: &'a Dataset,
    /// Every user's events, on whatever item.
    histories: HashMap<u32, &'a Sequence>,
    users: UserEncoder,
    items: ItemEncoder,
    threads: usize,
    /// The vectors of all the dataset's items that the artifact knows, if the user tower reads them: what a generation holds.
    gathered: Option<Gathered>,
    /// Interests `[K, dim]` of a user before an event, by the index of the event.
    known: HashMap<u32, Vec<f32>>,
}

/// Users and candidates embedded.
pub(crate) struct Scorer {
    dim: usize,
    /// Interests `[K, dim]` of each case.
    users: Vec<Vec<f32>>,
    /// `[known items, dim]`.
    items: Vec<f32>,
    /// Which candidate each row of `items` is.
    candidates: Vec<u64>,
    /// How many candidates have no row.
    unknown: usize,
}

impl<'a> Vectors<'a> {
    /// Opens both towers.
    pub(crate) fn open(
        artifact: &'a Artifact,
        dataset: &'a Dataset,
        everything: &'a Split,
    ) -> Result<Self, Error> {
        session::init(&session::library()?)?;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let items = ItemEncoder::open(artifact, threads)?;
        let gathered = match artifact.signature().reads_item_vectors() {
            true => {
                let known = |item: &&CatalogItem| artifact.knows_item(item.id);
                let all = dataset.items.iter().filter(known).map(Item::from);
                let all: Vec<Item> = all.collect();
                let ids: Vec<u64> = all.iter().map(|item| item.id).collect();
                let rows = Embeddings {
                    dim: artifact.signature().dim,
                    values: embed_items(&all, &items, threads)?,
                };
                Some(Gathered::new(&ids, rows))
            }
            false => None,
        };
        Ok(Self {
            artifact,
            dataset,
            histories: everything
                .users
                .iter()
                .map(|user| (user.user, user))
                .collect(),
            users: UserEncoder::open(artifact, threads)?,
            items,
            threads,
            gathered,
            known: HashMap::new(),
        })
    }

    /// Embeds each user as of the test event, and the items of the split that the model knows.
    pub(crate) fn scorer(&mut self, split: &Split, users: &[&Sequence]) -> Result<Scorer, Error> {
        let mut candidates = Vec::new();
        let mut items = Vec::new();
        for (dense, &index) in (0..).zip(&split.items) {
            let item = &self.dataset.items[index as usize];
            if self.artifact.knows_item(item.id) {
                candidates.push(dense);
                items.push(Item::from(item));
            }
        }
        if items.is_empty() {
            return Err(Error::Foreign {
                items: split.items.len(),
                dataset: self.dataset.name.clone(),
            });
        }
        let items = embed_items(&items, &self.items, self.threads)?;
        Ok(Scorer {
            dim: self.artifact.signature().dim,
            users: self.embed_users(users)?,
            items,
            unknown: split.items.len() - candidates.len(),
            candidates,
        })
    }

    /// Embeds users as of their test events; a vector made for another item set is used again.
    fn embed_users(&mut self, users: &[&Sequence]) -> Result<Vec<Vec<f32>>, Error> {
        let test_event = |user: &Sequence| user.events[user.events.len() - 1];
        let new: Vec<(u32, User)> = users
            .iter()
            .map(|user| (user.user, test_event(user)))
            .filter(|(_, event)| !self.known.contains_key(event))
            .map(|(user, event)| (event, self.user_before(user, event)))
            .collect();
        let encode = |users: &[(u32, User)]| {
            let batch: Vec<User> = users.iter().map(|(_, user)| user.clone()).collect();
            let vectors = self.gathered.as_ref().map(|gathered| gathered as _);
            let interests = self.users.encode_with(&batch, vectors)?;
            Ok((0..batch.len())
                .map(|user| interests.user(user).to_vec())
                .collect::<Vec<_>>())
        };
        let vectors = in_batches(&new, self.threads, "users embedded", encode)?;
        for ((event, _), vector) in new.iter().zip(vectors.into_iter().flatten()) {
            self.known.insert(*event, vector);
        }
        Ok(users
            .iter()
            .map(|user| self.known[&test_event(user)].clone())
            .collect())
    }

    /// Returns users as of their test events.
    pub(crate) fn before_test(&self, users: &[&Sequence]) -> Vec<User> {
        let before = |user: &&Sequence| {
            let event = user.events[user.events.len() - 1];
            self.user_before(user.user, event)
        };
        users.iter().map(before).collect()
    }

    /// Returns a user with all events before one of them, on whatever item.
    ///
    /// The request is at that event's time, if the model asks when it is.
    fn user_before(&self, user: u32, event: u32) -> User {
        let all = &self.histories[&user].events;
        let before = all.iter().take_while(|&&other| other != event);
        let record = &self.dataset.users[user as usize];
        User {
            id: record.id.clone(),
            features: record.features.clone(),
            history: before.map(|&index| self.event(index)).collect(),
            time: self
                .artifact
                .signature()
                .reads_time()
                .then(|| self.dataset.events[event as usize].time),
        }
    }

    fn event(&self, index: u32) -> Event {
        let event = &self.dataset.events[index as usize];
        Event {
            item: self.dataset.items[event.item as usize].id,
            kind: self.dataset.kinds[event.kind as usize].clone(),
            value: event.value,
            time: event.time,
        }
    }
}

impl Scorer {
    /// Fills in one score for each candidate: the best over the user's interests, by the scan that serves.
    /// An unknown item is not offered.
    pub(crate) fn score(&self, case: usize, scores: &mut [f32]) {
        scores.fill(f32::NEG_INFINITY);
        let rows = self.rows();
        for hit in exact::scan(rows, &self.users[case], rows.len(), &[]) {
            scores[hit.id as usize] = hit.score;
        }
    }

    /// Returns a case's interests, each of length `dim`.
    pub(crate) fn interests(&self, case: usize) -> impl Iterator<Item = &[f32]> {
        self.users[case].chunks_exact(self.dim)
    }

    /// Returns the items that the model knows; the id of a row is its candidate.
    pub(crate) fn rows(&self) -> RowsView<'_> {
        RowsView::new(&self.candidates, &self.items, self.dim)
    }

    /// Returns how many candidates the model does not know.
    pub(crate) fn unknown(&self) -> usize {
        self.unknown
    }
}

/// Embeds items, `[items, dim]`.
fn embed_items(items: &[Item], tower: &ItemEncoder, threads: usize) -> Result<Vec<f32>, Error> {
    let encode = |items: &[Item]| Ok(tower.encode(items)?.values);
    Ok(in_batches(items, threads, "items embedded", encode)?.concat())
}

/// Applies `encode` to batches, on `threads` threads, and returns the results in order.
fn in_batches<T: Sync, R: Send>(
    all: &[T],
    threads: usize,
    what: &'static str,
    encode: impl Fn(&[T]) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let bar = progress::bar(all.len() as u64, what);
    let share = all.len().div_ceil(BATCH).div_ceil(threads).max(1) * BATCH;
    let encode_share = |share: &[T]| {
        let encode_batch = |batch: &[T]| {
            let encoded = encode(batch);
            bar.inc(batch.len() as u64);
            encoded
        };
        share
            .chunks(BATCH)
            .map(encode_batch)
            .collect::<Result<Vec<R>, Error>>()
    };
    let shares: Result<Vec<Vec<R>>, Error> = thread::scope(|scope| {
        let running: Vec<_> = all
            .chunks(share)
            .map(|share| scope.spawn(|| encode_share(share)))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(encoded) => encoded,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(join).collect()
    });
    bar.finish_and_clear();
    Ok(shares?.into_iter().flatten().collect())
}
