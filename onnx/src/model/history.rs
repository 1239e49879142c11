//! A user's events as the towers read them: ids of items, buckets of values and gaps.

use std::ops::Range;

use encoder::features::{Event, history};

use crate::model::recipe::{Recipe, Tower};
use crate::model::vocabulary::UNKNOWN;

/// Events of known items, oldest first, one entry each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Vocabulary ids.
    pub items: Vec<u32>,
    /// Buckets of the values, from 1.
    pub values: Vec<u32>,
    /// Buckets of the seconds since the event before, from 1.
    pub gaps: Vec<u32>,
    /// Buckets of the seconds to the event after it, or of the newest to the request, from 1.
    pub waits: Vec<u32>,
    /// Seconds since the epoch.
    pub times: Vec<i64>,
}

impl History {
    /// Encodes the newest `length` events of known items, as of a request at `time`; `id` gives an item's vocabulary id.
    ///
    /// The rule is [`encoder::features::history`]'s, so that training and serving see the same.
    pub fn encode(
        recipe: &Recipe,
        events: &[Event],
        time: Option<i64>,
        length: usize,
        id: impl Fn(u64) -> u32,
    ) -> Self {
        let (value_edges, gap_edges): (&[f64], &[f64]) = match &recipe.tower {
            Tower::Attention(tower) => (&tower.value_edges, &tower.gap_edges),
            Tower::YouTubeDnn(tower) => (&tower.value_edges, &tower.gap_edges),
        };
        let mut history = Self::default();
        for kept in history::keep(events, length, |event| id(event.item) != UNKNOWN) {
            history.items.push(id(kept.event.item));
            history
                .values
                .push(bucket(value_edges, f64::from(kept.event.value)));
            history.gaps.push(bucket(gap_edges, kept.gap as f64));
            history.times.push(kept.event.time);
        }
        if let Some(&newest) = history.times.last() {
            history.waits.extend(&history.gaps[1..]);
            let wait = history::age(newest, time);
            history.waits.push(bucket(gap_edges, wait as f64));
        }
        history
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Appends a part of another history.
    pub(crate) fn append(&mut self, other: &Self, part: Range<usize>) {
        self.items.extend(&other.items[part.clone()]);
        self.values.extend(&other.values[part.clone()]);
        self.gaps.extend(&other.gaps[part.clone()]);
        self.waits.extend(&other.waits[part.clone()]);
        self.times.extend(&other.times[part]);
    }

    /// The positions of the newest `length` of the first `end` events.
    pub fn window(end: usize, length: usize) -> Range<usize> {
        end.saturating_sub(length)..end
    }
}

/// One more than the number of edges not above `x`: 0 stays free for padding.
pub(crate) fn bucket(edges: &[f64], x: f64) -> u32 {
    1 + edges.partition_point(|&edge| edge <= x) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn event(item: u64, value: f32, time: i64) -> Event {
        Event {
            item,
            kind: String::new(),
            value,
            time,
        }
    }

    #[test]
    fn gaps_count_from_the_known_event_before_also_outside_the_window() {
        let recipe = Recipe::quick_tower().unwrap();
        let events = [
            event(7, 5.0, 100),
            event(1, 5.0, 101),
            event(8, 1.0, 104),
            event(9, 3.0, 104),
        ];
        let id = |item| if item == 1 { UNKNOWN } else { item as u32 };
        let history = History::encode(&recipe, &events, Some(110), 2, id);
        assert_eq!(history.items, [8, 9]);
        assert_eq!(history.values, [1, 3]);
        assert_eq!(history.gaps, [4, 1]);
        assert_eq!(history.waits, [1, 4]);
        assert_eq!(history.times, [104, 104]);
    }
}
