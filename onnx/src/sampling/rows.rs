//! The rows of a table that one step reads, numbered anew: only they are copied, differentiated and moved.

/// Distinct rows of a table; row 0, the padding, is always the first.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    rows: Vec<u32>,
    /// For each row of the table its number here, plus one; 0 for none.
    numbers: Vec<u32>,
}

impl Rows {
    /// No row but the padding, of a table with `len` rows.
    pub(crate) fn new(len: usize) -> Self {
        let mut rows = Self {
            rows: Vec::new(),
            numbers: vec![0; len],
        };
        rows.number(0);
        rows
    }

    /// The number of a row here.
    pub(crate) fn number(&mut self, row: u32) -> u32 {
        let number = &mut self.numbers[row as usize];
        if *number == 0 {
            self.rows.push(row);
            *number = self.rows.len() as u32;
        }
        *number - 1
    }

    /// The rows by number.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Forgets all rows but the padding.
    pub(crate) fn clear(&mut self) {
        for row in self.rows.drain(..) {
            self.numbers[row as usize] = 0;
        }
        self.number(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_in_the_order_of_their_first_use() {
        let mut rows = Rows::new(9);
        assert_eq!([7, 3, 7, 0, 8].map(|row| rows.number(row)), [1, 2, 1, 0, 3]);
        assert_eq!(rows.rows(), [0, 7, 3, 8]);
        rows.clear();
        assert_eq!(rows.number(8), 1);
    }
}
