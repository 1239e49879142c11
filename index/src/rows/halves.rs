//! Rounds vectors to 16 bits a number (IEEE 754 binary16), and makes f32 of them again, which loses nothing.

use half::{f16, slice::HalfFloatSliceExt as _};

use crate::{error::Error, rows::RowsView};

/// How far rounding may take a vector away, in its length: twice what it does to numbers that are not below what 16 bits keep wholly.
const FARTHEST: f64 = 1.0 / 1024.0;

/// Rounds rows to the nearest, the even one of two; `[len, dim]`.
///
/// # Errors
/// The first row with a number that is not finite then ([`Error::Half`]), or that is another vector then ([`Error::Coarse`]).
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
        let off = off(&vector, halves);
        if off > FARTHEST {
            return Err(Error::Coarse {
                row,
                id: rows.ids()[row],
                off,
            });
        }
    }
    Ok(halves)
}

/// How far a vector was taken away, in its length.
fn off(vector: &[f32], halves: &[f16]) -> f64 {
    let (mut off, mut length) = (0.0, 0.0);
    for (number, half) in vector.iter().zip(halves) {
        let number = f64::from(*number);
        off += (number - half.to_f64()).powi(2);
        length += number * number;
    }
    match off {
        0.0 => 0.0,
        off => (off / length).sqrt(),
    }
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
