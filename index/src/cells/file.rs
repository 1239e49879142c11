//! The cells file: which rows of a shard lie near each other, so that whoever opens it need not compare them again.
//!
//! Little-endian. For `n` rows of `d` numbers in `c` cells:
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | the ASCII text `TTCELL01` |
//! | 8 | 4 | `d`, u32 |
//! | 12 | 4 | `c`, u32, from 1 to `n` |
//! | 16 | 8 | `n`, u64 |
//! | 24 | 40 | 0 |
//! | 64 | 4 c d | the centres, f32, cell by cell |
//! | 64 + 4 c d | 4 c | how far the rows of each cell lie from its centre in one direction, f32: the root of the mean square |
//! | 64 + 4 c d + 4 c | 4 c | where the rows of each cell end in the list that follows, u32 |
//! | 64 + 4 c d + 8 c | 4 n | the rows, u32, cell by cell, strictly ascending in each; every row once |

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Write as _},
    iter,
    path::Path,
};

use super::Cells;
use crate::{error::Error, rows::RowsView};

const MAGIC: &[u8; 8] = b"TTCELL01";
const HEADER: usize = 64;

impl Cells {
    /// Writes a cells file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        self.write_to(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads the cells of `rows` from a file whose bytes were hashed.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Mismatch`] if it is no cells file or one of other rows, its length is not
    /// what it says, a number says nothing, or a row is not in one cell.
    pub fn read(mut file: &File, rows: RowsView<'_>) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| Error::Io {
            path: "cells".into(),
            source,
        })?;
        let cells = parse(&bytes, rows)?;
        cells.check_numbers()?;
        cells.check_ends()?;
        cells.check_rows()?;
        Ok(cells)
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&(self.dim as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(self.count() as u32).to_le_bytes());
        header[16..24].copy_from_slice(&(self.rows.len() as u64).to_le_bytes());
        let ends: Vec<u32> = self.starts[1..].iter().map(|end| *end as u32).collect();
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&header)?;
        file.write_all(bytemuck::cast_slice(&self.centers))?;
        file.write_all(bytemuck::cast_slice(&self.spreads))?;
        file.write_all(bytemuck::cast_slice(&ends))?;
        file.write_all(bytemuck::cast_slice(&self.rows))?;
        file.flush()
    }

    /// Refuses centres that are not finite and spreads that are none; one that overflowed is.
    fn check_numbers(&self) -> Result<(), Error> {
        if let Some(number) = self.centers.iter().find(|number| !number.is_finite()) {
            return Err(refused("number of a centre", number, "a finite one"));
        }
        let mut spreads = self.spreads.iter();
        match spreads.find(|spread| spread.is_nan() || **spread < 0.0) {
            None => Ok(()),
            Some(spread) => Err(refused("spread of a cell", spread, "at least 0")),
        }
    }

    /// Refuses cells that end before they start, or elsewhere than the rows.
    fn check_ends(&self) -> Result<(), Error> {
        if let Some(pair) = self.starts.windows(2).find(|pair| pair[0] > pair[1]) {
            let expected = format!("at least {}", pair[0]);
            return Err(refused("end of a cell", pair[1], expected));
        }
        match self.starts[self.count()] {
            end if end == self.rows.len() => Ok(()),
            end => Err(refused("end of the last cell", end, self.rows.len())),
        }
    }

    /// Refuses rows that there are not, or that are not once in all cells.
    fn check_rows(&self) -> Result<(), Error> {
        let mut taken = vec![false; self.rows.len()];
        for cell in 0..self.count() {
            let rows = self.rows(cell);
            if let Some(pair) = rows.windows(2).find(|pair| pair[0] >= pair[1]) {
                let expected = format!("greater than {}", pair[0]);
                return Err(refused("row of a cell", pair[1], expected));
            }
            for &row in rows {
                match taken.get_mut(row as usize) {
                    None => {
                        let expected = format!("below {}", self.rows.len());
                        return Err(refused("row of a cell", row, expected));
                    }
                    Some(true) => {
                        return Err(refused("row of a cell", row, "one of no other cell"));
                    }
                    Some(taken) => *taken = true,
                }
            }
        }
        Ok(())
    }
}

/// Reads the numbers of a file that has as many as it says, of so many rows of so many numbers.
fn parse(bytes: &[u8], rows: RowsView<'_>) -> Result<Cells, Error> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(refused("size in bytes", bytes.len(), "at least 64"));
    };
    if &header[..8] != MAGIC {
        let found = String::from_utf8_lossy(&header[..8]);
        return Err(refused("first bytes", found, "TTCELL01"));
    }
    let (words, _) = header.as_chunks::<4>();
    let word = |at: usize| u64::from(u32::from_le_bytes(words[at]));
    let is = |what, found: u64, expected: usize| match found == expected as u64 {
        true => Ok(()),
        false => Err(refused(what, found, expected)),
    };
    is("dimension", word(2), rows.dim())?;
    is("number of rows", word(4) | word(5) << 32, rows.len())?;
    let count = word(3) as usize;
    if !(1..=rows.len()).contains(&count) {
        let expected = format!("1 to {}", rows.len());
        return Err(refused("number of cells", count, expected));
    }
    let centers = count * rows.dim();
    let expected = HEADER + 4 * (centers + 2 * count + rows.len());
    is("size in bytes", bytes.len() as u64, expected)?;

    let (numbers, _) = rest.as_chunks::<4>();
    let (centers, numbers) = numbers.split_at(centers);
    let (spreads, numbers) = numbers.split_at(count);
    let (ends, rows_of_cells) = numbers.split_at(count);
    let ends = ends.iter().map(|end| u32::from_le_bytes(*end) as usize);
    let listed = rows_of_cells.iter().map(|row| u32::from_le_bytes(*row));
    Ok(Cells {
        centers: floats(centers),
        spreads: floats(spreads),
        rows: listed.collect(),
        starts: iter::once(0).chain(ends).collect(),
        dim: rows.dim(),
    })
}

fn floats(numbers: &[[u8; 4]]) -> Vec<f32> {
    numbers.iter().copied().map(f32::from_le_bytes).collect()
}

fn refused(what: &'static str, found: impl ToString, expected: impl ToString) -> Error {
    Error::mismatch("cells", what, found, expected)
}

#[cfg(test)]
mod tests;
