//! Rounding is to the nearest, what does not fit is refused, and widening loses nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// Rounds rows of one number each, with ids 3, 10, 17, ...
fn rounded(numbers: &[f32]) -> Result<Vec<f16>, Error> {
    let ids: Vec<u64> = (0..numbers.len() as u64).map(|row| 7 * row + 3).collect();
    round(RowsView::new(&ids, numbers, 1))
}

#[test]
fn a_number_becomes_the_nearest_and_of_two_the_even_one() {
    let step = 2.0_f32.powi(-10);
    for (number, nearest) in [
        (1.0 + 0.5 * step, 1.0),
        (1.0 + 0.51 * step, 1.0 + step),
        (1.0 + 1.5 * step, 1.0 + 2.0 * step),
        (-1.0 - 0.5 * step, -1.0),
        (65_519.0, 65_504.0),
    ] {
        assert_eq!(rounded(&[number]).unwrap()[0].to_f32(), nearest);
    }
}

#[test]
fn what_is_not_finite_in_16_bits_is_refused_by_item_and_number() {
    for (number, words) in [
        (65_520.0, "65520"),
        (-1e6, "-1000000"),
        (f32::INFINITY, "inf"),
        (f32::NAN, "NaN"),
    ] {
        assert_eq!(
            rounded(&[1.0, number]).unwrap_err().to_string(),
            format!(
                "row 1 (item 10) has the number {words}, in f16 it must be finite: at most 65504 on either side of 0"
            )
        );
    }
}

#[test]
fn vectors_that_rounding_would_make_others_are_refused_by_item() {
    let few = [1e-7_f32, -3e-7, 2e-7];
    let view = RowsView::new(&[10], &few, 3);
    let refused = round(view).unwrap_err().to_string();
    assert!(
        refused.starts_with("row 0 (item 10) would be 0."),
        "{refused}"
    );
    let refused = rounded(&[1.0, 1e-9]).unwrap_err().to_string();
    assert!(
        refused.starts_with("row 1 (item 10) would be 1.0000"),
        "{refused}"
    );
    // Beside numbers that are kept a small one is nothing.
    let view = RowsView::new(&[10], &[1.0, 1e-9, 1e-7], 3);
    assert!(round(view).is_ok());
}

#[test]
fn what_was_rounded_once_stays_as_it_is() {
    let all = (0..=u16::MAX).map(f16::from_bits);
    let halves: Vec<f16> = all.filter(|half| half.is_finite()).collect();
    let mut numbers = vec![0.0; halves.len()];
    widen(&halves, &mut numbers);
    for (number, half) in numbers.iter().zip(&halves) {
        assert_eq!(*number, half.to_f32());
    }
    assert!(rounded(&numbers).unwrap() == halves);
}
