//! Rounds vectors to 16 bits a number (IEEE 754 binary16), and makes f32 of them again, which loses nothing.

use half::{f16, slice::HalfFloatSliceExt as _};

use crate::{error::Error, rows::RowsView};

/// Rounds rows to the nearest, the even one of two; `[len, dim]`.
///
/// # Errors
/// [`Error::Half`] names the first row with a number that is not finite then.
pub fn round(rows: RowsView<'_>) -> Result<Vec<f16>, Error> {
    let mut halves = vec![f16::ZERO; rows.len() * rows.dim()];
    for (row, halves) in halves.chunks_exact_mut(rows.dim()).enumerate() {
        let vector = rows.row(row);
        halves.convert_from_f32_slice(&vector);
        if let Some(at) = halves.iter().position(|half| !half.is_finite()) {
            return Err(Error::Half {
                row,
                id: rows.ids()[row],
                value: vector[at],
            });
        }
    }
    Ok(halves)
}

/// Puts rounded numbers in the place of as many others.
///
/// # Panics
/// If there are more or fewer.
pub fn widen(halves: &[f16], numbers: &mut [f32]) {
    halves.convert_to_f32_slice(numbers);
}

#[cfg(test)]
mod tests;
