//! Makes vectors of unequal length equal in length by one number more.
//!
//! Each row `x` becomes `(x, sqrt(m^2 - |x|^2)) / m`, `m` being the length of the longest, and each query `q` becomes `(q, 0)`:
//! the order of the dot products stays, and the rows are neighbours by angle (Bachrach et al., RecSys 2014, section 3).

use crate::rows::RowsView;

/// How much longer than the longest row another may be, as a share: what rounding makes of equal ones.
const SLACK: f64 = 1e-5;

/// The length of the longest row that can be lifted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lift(f64);

impl Lift {
    /// For these rows.
    pub(super) fn of(rows: RowsView<'_>) -> Self {
        let squared = (0..rows.len()).map(|row| squared(&rows.row(row)));
        Self(squared.fold(0.0, f64::max).sqrt())
    }

    /// By which a row was lifted.
    pub(super) fn by(row: &[f32], lifted: &[f32]) -> Self {
        let length = squared(&lifted[..row.len()]).sqrt();
        Self(squared(row).sqrt() / length)
    }

    /// Whether the rows can be lifted alike.
    pub(super) fn holds(self, rows: RowsView<'_>) -> bool {
        Self::of(rows).0 <= self.0 * (1.0 + SLACK)
    }

    /// Lifts a row.
    pub(super) fn row(self, row: &[f32]) -> Vec<f32> {
        let missing = (self.0 * self.0 - squared(row)).max(0.0).sqrt();
        let numbers = row.iter().map(|value| f64::from(*value));
        numbers
            .chain([missing])
            .map(|value| (value / self.0) as f32)
            .collect()
    }
}

/// Lifts a query.
pub(super) fn query(query: &[f32]) -> Vec<f32> {
    query.iter().copied().chain([0.0]).collect()
}

fn squared(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_equal_in_length_and_keep_the_order_of_their_dot_products() {
        let vectors = [3.0, 4.0, 0.6, 0.8, -1.0, 2.0];
        let rows = RowsView::new(&[1, 2, 3], &vectors, 2);
        let lift = Lift::of(rows);
        let asked = query(&[2.0, 1.0]);
        for (row, dot) in [(0, 10.0), (1, 2.0), (2, 0.0)] {
            let lifted = lift.row(&rows.row(row));
            assert!((squared(&lifted) - 1.0).abs() < 1e-6);
            let found: f32 = lifted.iter().zip(&asked).map(|(a, b)| a * b).sum();
            assert!((5.0 * found - dot).abs() < 1e-5);
            let again = Lift::by(&rows.row(row), &lifted);
            assert!((again.0 - 5.0).abs() < 1e-5 && again.holds(rows));
        }
        let longer = RowsView::new(&[1], &[5.0, 0.1], 2);
        assert!(!lift.holds(longer));
    }
}
