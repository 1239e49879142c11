//! Slices as a table for people.

use std::fmt;

use crate::evaluate::slices::{Mean, Slice};

/// Writes the slices, kind by kind, with standard errors.
pub(crate) fn write(slices: &[Slice], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut kind = None;
    for slice in slices {
        if kind != Some(slice.kind) {
            kind = Some(slice.kind);
            let name = format!("by {}", slice.kind);
            writeln!(
                f,
                "\n{name:34}{:>8}{:>17}{:>17}{:>17}",
                "users", "HR@10", "NDCG@10", "HR@50"
            )?;
        }
        write!(f, "  {:32}{:>8}", slice.value, slice.users)?;
        for Mean { mean, error } in [slice.hr_10, slice.ndcg_10, slice.hr_50] {
            write!(f, "{mean:>9.4} ±{error:.4}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}
