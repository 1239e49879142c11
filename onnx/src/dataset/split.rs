//! Leave-one-out: of each user's events the last is the test, the one before validates, the rest train.

use crate::dataset::Dataset;

/// Which items take part.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
pub enum ItemSet {
    /// Items with at least 5 events: the headline, and the set of most published figures.
    S,
    /// All items with an event.
    R,
}

impl ItemSet {
    /// Returns how many events an item of this set has at least.
    pub fn least_events(self) -> u64 {
        match self {
            Self::S => 5,
            Self::R => 1,
        }
    }
}

/// A dataset cut for training and evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Index into [`Dataset::items`] of each dense item, in catalog order.
    pub items: Vec<u32>,
    /// One sequence for each user that has an event on one of the items, in the order of the users.
    pub users: Vec<Sequence>,
}

/// One user's events, oldest first; events of equal time are in file order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sequence {
    /// Index into [`Dataset::users`].
    pub user: u32,
    /// Dense item of each event.
    pub items: Vec<u32>,
    /// Rating of each event.
    pub values: Vec<f32>,
    /// Seconds since the epoch.
    pub times: Vec<i64>,
    /// Index into [`Dataset::events`] of each event.
    pub events: Vec<u32>,
}

impl Split {
    /// Cuts a dataset. The sort by time is stable: another one changes a quarter of MovieLens-1M's test items.
    pub fn new(dataset: &Dataset, set: ItemSet) -> Self {
        Self::of(dataset, set.least_events())
    }

    /// Cuts a dataset, with every item of its catalog, events or none.
    pub(crate) fn whole(dataset: &Dataset) -> Self {
        Self::of(dataset, 0)
    }

    fn of(dataset: &Dataset, least_events: u64) -> Self {
        let mut items = Vec::new();
        let mut dense = vec![u32::MAX; dataset.items.len()];
        for (index, item) in (0..).zip(&dataset.items) {
            if item.popularity >= least_events {
                dense[index as usize] = items.len() as u32;
                items.push(index);
            }
        }
        let mut order: Vec<Vec<u32>> = vec![Vec::new(); dataset.users.len()];
        for (index, event) in (0..).zip(&dataset.events) {
            if dense[event.item as usize] != u32::MAX {
                order[event.user as usize].push(index);
            }
        }
        let sequence = |(user, mut events): (u32, Vec<u32>)| {
            events.sort_by_key(|&event| dataset.events[event as usize].time);
            let records = || events.iter().map(|&event| &dataset.events[event as usize]);
            Sequence {
                user,
                items: records().map(|event| dense[event.item as usize]).collect(),
                values: records().map(|event| event.value).collect(),
                times: records().map(|event| event.time).collect(),
                events,
            }
        };
        let users = (0..)
            .zip(order)
            .filter(|(_, events)| !events.is_empty())
            .map(sequence)
            .collect();
        Self { items, users }
    }

    /// Returns how many events the split holds.
    pub fn events(&self) -> usize {
        self.users.iter().map(|user| user.items.len()).sum()
    }

    /// Counts each dense item in the training part.
    pub fn training_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.items.len()];
        for user in &self.users {
            for &item in user.training() {
                counts[item as usize] += 1;
            }
        }
        counts
    }
}

impl Sequence {
    /// Returns whether there are enough events (3) to hold two of them back.
    pub fn is_evaluated(&self) -> bool {
        self.items.len() >= 3
    }

    /// Returns how many events train: all but two, or all of a user with fewer than 3.
    pub fn training_len(&self) -> usize {
        match self.is_evaluated() {
            true => self.items.len() - 2,
            false => self.items.len(),
        }
    }

    /// Returns the dense items that train.
    pub fn training(&self) -> &[u32] {
        &self.items[..self.training_len()]
    }

    /// Returns the dense item before the last, whose history is [`Self::training`].
    pub fn validation(&self) -> Option<u32> {
        self.is_evaluated()
            .then(|| self.items[self.items.len() - 2])
    }

    /// Returns the last dense item, whose history is all that comes before it.
    pub fn test(&self) -> Option<u32> {
        self.is_evaluated()
            .then(|| self.items[self.items.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use encoder::features::CatalogItem;

    use super::*;
    use crate::dataset::{EventRecord, UserRecord, bad_lines::BadLines};

    fn dataset(events: &[(u32, u32, i64)]) -> Dataset {
        let users = (0..3).map(|id: u32| UserRecord {
            id: id.to_string(),
            features: Default::default(),
        });
        let items = (0..4).map(|id| CatalogItem {
            id,
            key: None,
            title: String::new(),
            popularity: 0,
            features: Default::default(),
        });
        let events = (0..)
            .zip(events)
            .map(|(event_id, &(user, item, time))| EventRecord {
                user,
                item,
                kind: 0,
                value: 1.0,
                time,
                event_id,
            });
        Dataset::new(
            "small",
            users.collect(),
            items.collect(),
            vec!["view".into()],
            events.collect(),
            BadLines::default(),
        )
    }

    #[test]
    fn equal_times_keep_the_order_of_the_file() {
        let split = Split::new(
            &dataset(&[(0, 3, 7), (0, 1, 7), (0, 2, 5), (0, 0, 7)]),
            ItemSet::R,
        );
        assert_eq!(split.users[0].items, [2, 3, 1, 0]);
        assert_eq!(split.users[0].training(), [2, 3]);
        assert_eq!(split.users[0].validation(), Some(1));
        assert_eq!(split.users[0].test(), Some(0));
    }

    #[test]
    fn a_user_with_two_events_is_in_training_only() {
        let split = Split::new(&dataset(&[(1, 3, 1), (1, 2, 2)]), ItemSet::R);
        assert_eq!(split.users.len(), 1);
        assert_eq!(split.users[0].user, 1);
        assert_eq!(split.users[0].training(), [1, 0]);
        assert_eq!(split.users[0].test(), None);
    }

    #[test]
    fn the_headline_set_leaves_out_items_with_fewer_than_five_events() {
        let mut events: Vec<_> = (0..5).map(|time| (0, 2, time)).collect();
        events.extend((0..4).map(|time| (1, 1, time)));
        let split = Split::new(&dataset(&events), ItemSet::S);
        assert_eq!(split.items, [2]);
        assert_eq!(split.users.len(), 1);
        assert_eq!(split.events(), 5);
        assert_eq!(split.training_counts(), [3]);
    }
}
