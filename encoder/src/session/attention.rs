//! Tells which numbers of a model's attention belong to which event of a user.

use crate::{embedding::Attention, features::history, signature::HistorySpec};

/// A number that is not finite, and the row it is in.
#[derive(Debug, PartialEq)]
pub(super) struct NotFinite {
    pub(super) row: usize,
    pub(super) value: f32,
}

/// Takes what belongs to events out of `[rows, interests, length]`, and leaves what belongs to padding.
///
/// `items` are those of each row's events, oldest first.
///
/// # Errors
/// If a number that belongs to an event is not finite.
pub(super) fn by_event(
    values: &[f32],
    interests: usize,
    spec: HistorySpec,
    items: Vec<Vec<u64>>,
) -> Result<Vec<Attention>, NotFinite> {
    let rows = values.chunks_exact(interests * spec.length);
    let rows = rows.zip(items).enumerate();
    rows.map(|(row, (values, items))| {
        let of_interest = |values: &[f32]| {
            let places = history::places(spec, items.len());
            places.map(|place| values[place]).collect::<Vec<f32>>()
        };
        let values: Vec<f32> = values
            .chunks_exact(spec.length)
            .flat_map(of_interest)
            .collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(NotFinite { row, value }),
            None => Ok(Attention { items, values }),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Order, Side};

    const NAN: f32 = f32::NAN;

    fn check(side: Side, order: Order, values: &[f32], expected: [f32; 4]) {
        let spec = HistorySpec {
            length: 3,
            side,
            order,
        };
        let found = by_event(values, 2, spec, vec![vec![10, 11]]);
        let expected = Attention {
            items: vec![10, 11],
            values: expected.to_vec(),
        };
        assert_eq!(found, Ok(vec![expected]));
    }

    #[test]
    fn each_event_gets_what_stands_in_its_place() {
        let left = [NAN, 1.0, 2.0, NAN, 3.0, 4.0];
        check(Side::Left, Order::OldestFirst, &left, [1.0, 2.0, 3.0, 4.0]);
        check(Side::Left, Order::NewestFirst, &left, [2.0, 1.0, 4.0, 3.0]);
        let right = [1.0, 2.0, NAN, 3.0, 4.0, NAN];
        check(
            Side::Right,
            Order::OldestFirst,
            &right,
            [1.0, 2.0, 3.0, 4.0],
        );
        check(
            Side::Right,
            Order::NewestFirst,
            &right,
            [2.0, 1.0, 4.0, 3.0],
        );
    }

    #[test]
    fn a_number_of_an_event_that_is_none_is_refused_with_its_row() {
        let spec = HistorySpec {
            length: 2,
            side: Side::Left,
            order: Order::OldestFirst,
        };
        let values = [NAN, NAN, 1.0, f32::INFINITY];
        let refused = by_event(&values, 1, spec, vec![vec![], vec![10]]);
        let value = f32::INFINITY;
        assert_eq!(refused, Err(NotFinite { row: 1, value }));
    }
}
