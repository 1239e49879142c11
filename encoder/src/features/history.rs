//! Decides which events of a history a model sees, how long before each the one before it was, and where in a row each stands.
//!
//! Events whose item the model does not know go first; gaps are those between the events that are left; then the newest
//! `length` are kept. Training cuts its sequences by the same rule.

use crate::{
    features::Event,
    signature::{HistorySpec, Order, Side},
};

/// An event that the model sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept<'a> {
    /// The event.
    pub event: &'a Event,
    /// Seconds since the known event before it, seen or not; 0 for the first of all, never negative.
    pub gap: i64,
}

/// Returns the seconds from an event to the request; 0 if the request's time is not known, or the event lies behind it.
pub fn age(event: i64, request: Option<i64>) -> i64 {
    request.map_or(0, |request| request.saturating_sub(event).max(0))
}

/// Returns the newest `length` known events, oldest first.
///
/// Looks at no more of the history than it needs, from the newest end.
pub fn keep<'a>(
    history: &'a [Event],
    length: usize,
    known: impl Fn(&Event) -> bool,
) -> Vec<Kept<'a>> {
    let mut kept: Vec<Kept<'a>> = Vec::with_capacity(length.min(history.len()));
    for event in history.iter().rev().filter(|event| known(event)) {
        if let Some(later) = kept.last_mut() {
            later.gap = later.event.time.saturating_sub(event.time).max(0);
        }
        if kept.len() == length {
            break;
        }
        kept.push(Kept { event, gap: 0 });
    }
    kept.reverse();
    kept
}

/// Returns where in a row of the signature's length each of `events` kept events stands, the oldest first.
///
/// The other places of the row are padding.
pub fn places(spec: HistorySpec, events: usize) -> impl ExactSizeIterator<Item = usize> {
    let first = match spec.side {
        Side::Left => spec.length - events,
        Side::Right => 0,
    };
    (0..events).map(move |at| match spec.order {
        Order::OldestFirst => first + at,
        Order::NewestFirst => first + events - 1 - at,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(item: u64, time: i64) -> Event {
        Event {
            item,
            kind: String::new(),
            value: 0.0,
            time,
        }
    }

    fn check(history: &[(u64, i64)], length: usize, expected: &[(u64, i64)]) {
        let history: Vec<Event> = history
            .iter()
            .map(|&(item, time)| event(item, time))
            .collect();
        let kept = keep(&history, length, |event| event.item < 100);
        let found: Vec<(u64, i64)> = kept
            .iter()
            .map(|kept| (kept.event.item, kept.gap))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_newest_events_are_kept_not_the_oldest() {
        check(&[(1, 10), (2, 20), (3, 30)], 2, &[(2, 10), (3, 10)]);
    }

    #[test]
    fn a_gap_reaches_back_to_the_event_that_was_cut_off() {
        check(&[(1, 0), (2, 7)], 1, &[(2, 7)]);
    }

    #[test]
    fn unknown_items_go_before_gaps_are_measured() {
        check(&[(1, 0), (100, 5), (2, 7), (101, 9)], 5, &[(1, 0), (2, 7)]);
    }

    #[test]
    fn the_first_event_of_all_has_no_gap() {
        check(&[(1, 1_000)], 5, &[(1, 0)]);
        check(&[], 5, &[]);
    }

    #[test]
    fn time_that_runs_backwards_or_overflows_is_no_gap() {
        check(&[(1, 10), (2, 5)], 5, &[(1, 0), (2, 0)]);
        check(&[(1, i64::MIN), (2, i64::MAX)], 5, &[(1, 0), (2, i64::MAX)]);
    }

    #[test]
    fn an_age_is_the_time_to_the_request_if_that_is_known_and_later() {
        assert_eq!(age(100, Some(160)), 60);
        assert_eq!([age(100, None), age(100, Some(40))], [0, 0]);
        assert_eq!(age(i64::MIN, Some(i64::MAX)), i64::MAX);
    }

    #[test]
    fn padding_stands_before_or_behind_the_events_in_either_order() {
        let places = |side, order, events| {
            let spec = HistorySpec {
                length: 5,
                side,
                order,
            };
            places(spec, events).collect::<Vec<usize>>()
        };
        assert_eq!(places(Side::Left, Order::OldestFirst, 3), [2, 3, 4]);
        assert_eq!(places(Side::Left, Order::NewestFirst, 3), [4, 3, 2]);
        assert_eq!(places(Side::Right, Order::OldestFirst, 3), [0, 1, 2]);
        assert_eq!(places(Side::Right, Order::NewestFirst, 3), [2, 1, 0]);
        for side in [Side::Left, Side::Right] {
            assert_eq!(places(side, Order::OldestFirst, 5), [0, 1, 2, 3, 4]);
            assert!(places(side, Order::NewestFirst, 0).is_empty());
        }
    }

    proptest! {
        #[test]
        fn it_is_filter_then_gap_then_cut(items in prop::collection::vec((0u64..200, 0i64..1_000), 0..30), length in 0usize..10) {
            let known: Vec<_> = items.iter().filter(|(item, _)| *item < 100).collect();
            let all: Vec<(u64, i64)> = known.iter().enumerate().map(|(at, (item, time))| {
                let gap = if at == 0 { 0 } else { (time - known[at - 1].1).max(0) };
                (*item, gap)
            }).collect();
            check(&items, length, &all[all.len().saturating_sub(length)..]);
        }
    }
}
