//! Hides items and later events from training, and keeps what happened on them as cases.

use encoder::features::{Event, User};
use rand::seq::SliceRandom;

use crate::dataset::split::{Sequence, Split};
use crate::dataset::{Dataset, EventRecord};
use crate::sampling::draws;

/// Nine tenths of a user's events come before the cut.
const EARLIER: (usize, usize) = (9, 10);
/// One item in ten is hidden.
const ONE_IN: usize = 10;
/// Sets these draws apart from those of training.
const PURPOSE: u64 = 7;

/// What training sees, and what it does not.
pub(crate) struct Hidden {
    /// The earlier events on items of the set that are not hidden.
    pub(crate) training: Dataset,
    /// Whether each dense item is hidden.
    pub(crate) is_hidden: Vec<bool>,
    /// Every later event on a hidden item, in the order of the users.
    pub(crate) cases: Vec<Later>,
    /// Each user's first later event on an item that is not hidden.
    pub(crate) visible: Vec<Later>,
}

/// One later event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Later {
    /// Index into the split's users.
    pub(crate) user: u32,
    /// The dense item.
    pub(crate) item: u32,
    /// The positions of what came before it on items that are not hidden, oldest first.
    pub(crate) positions: Vec<u32>,
    /// The dense items there.
    pub(crate) history: Vec<u32>,
}

impl Hidden {
    /// Hides a tenth of the split's items, drawn by `seed`, and cuts every user's events.
    pub(crate) fn new(dataset: &Dataset, split: &Split, seed: u64) -> Self {
        let mut order: Vec<u32> = (0..split.items.len() as u32).collect();
        order.shuffle(&mut draws(seed, PURPOSE, 0));
        let mut is_hidden = vec![false; order.len()];
        order[..order.len() / ONE_IN]
            .iter()
            .for_each(|&item| is_hidden[item as usize] = true);

        let mut trains = vec![false; dataset.events.len()];
        let (mut cases, mut visible) = (Vec::new(), Vec::new());
        for (user, sequence) in (0..).zip(&split.users) {
            let on_hidden = |position: &usize| is_hidden[sequence.items[*position] as usize];
            let cut = cut(sequence);
            for position in (0..cut).filter(|position| !on_hidden(position)) {
                trains[sequence.events[position] as usize] = true;
            }
            let later = |position: usize| {
                let positions: Vec<u32> = (0..position)
                    .filter(|position| !on_hidden(position))
                    .map(|position| position as u32)
                    .collect();
                let history = positions
                    .iter()
                    .map(|&position| sequence.items[position as usize])
                    .collect();
                Later {
                    user,
                    item: sequence.items[position],
                    positions,
                    history,
                }
            };
            cases.extend((cut..sequence.items.len()).filter(on_hidden).map(later));
            visible.extend(
                (cut..sequence.items.len())
                    .find(|position| !on_hidden(position))
                    .map(later),
            );
        }
        Self {
            training: part(dataset, &trains),
            is_hidden,
            cases,
            visible,
        }
    }

    /// How many items are hidden.
    pub(crate) fn items(&self) -> usize {
        self.is_hidden.iter().filter(|&&hidden| hidden).count()
    }

    /// Events in training by dense item of `split`.
    pub(crate) fn counts(&self, split: &Split) -> Vec<u64> {
        split
            .items
            .iter()
            .map(|&item| self.training.items[item as usize].popularity)
            .collect()
    }
}

impl Later {
    /// The user as of this event, with what a tower of `length` events can see.
    pub(crate) fn user(&self, dataset: &Dataset, split: &Split, length: usize) -> User {
        let sequence = &split.users[self.user as usize];
        let record = &dataset.users[sequence.user as usize];
        // One more than is seen: the gap of the oldest counts from it.
        let from = self.positions.len().saturating_sub(length + 1);
        let event = |&position: &u32| {
            let position = position as usize;
            Event {
                item: dataset.items[split.items[sequence.items[position] as usize] as usize].id,
                kind: String::new(),
                value: sequence.values[position],
                time: sequence.times[position],
            }
        };
        User {
            id: record.id.clone(),
            features: record.features.clone(),
            time: None,
            history: self.positions[from..].iter().map(event).collect(),
        }
    }
}

/// How many of a user's events come before the cut.
fn cut(sequence: &Sequence) -> usize {
    sequence.items.len() * EARLIER.0 / EARLIER.1
}

/// The dataset with the events that train, and every user and item.
fn part(dataset: &Dataset, trains: &[bool]) -> Dataset {
    let events = dataset
        .events
        .iter()
        .zip(trains)
        .filter(|(_, trains)| **trains);
    let events: Vec<EventRecord> = events.map(|(event, _)| *event).collect();
    let name = format!("{} without a tenth of its items", dataset.name);
    Dataset::new(
        name,
        dataset.users.clone(),
        dataset.items.clone(),
        dataset.kinds.clone(),
        events,
        dataset.bad_lines.clone(),
    )
}
