//! The vectors of items that a user tower takes in the place of their ids.

use std::{borrow::Cow, collections::HashMap};

use crate::{embedding::Embeddings, error::Error, features::Item, session::ItemEncoder};

/// Item vectors by the item's id, such as the rows of a generation.
///
/// A model that reads them knows exactly these items, whatever its vocabularies name.
pub trait ItemVectors: Send + Sync {
    /// Returns the length of every vector.
    fn dim(&self) -> usize;

    /// Returns an item's vector, of length [`dim`](ItemVectors::dim); none if there is no such item.
    fn vector(&self, item: u64) -> Option<Cow<'_, [f32]>>;
}

/// Item vectors in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    rows: Embeddings,
    places: HashMap<u64, usize>,
}

impl Gathered {
    /// Takes row `i` as the vector of item `ids[i]`; of an item that is there twice, the last.
    ///
    /// # Panics
    /// If there are not as many rows as ids.
    pub fn new(ids: &[u64], rows: Embeddings) -> Self {
        assert_eq!(ids.len(), rows.len(), "every item has one row");
        Self {
            places: ids.iter().copied().zip(0..).collect(),
            rows,
        }
    }

    /// Embeds items by an artifact's own item tower.
    ///
    /// # Errors
    /// As [`ItemEncoder::encode`].
    pub fn embed(items: &[Item], tower: &ItemEncoder) -> Result<Self, Error> {
        let ids: Vec<u64> = items.iter().map(|item| item.id).collect();
        Ok(Self::new(&ids, tower.encode(items)?))
    }
}

impl ItemVectors for Gathered {
    fn dim(&self) -> usize {
        self.rows.dim
    }

    fn vector(&self, item: u64) -> Option<Cow<'_, [f32]>> {
        let place = self.places.get(&item)?;
        Some(Cow::Borrowed(self.rows.row(*place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_the_last_vector_given_for_it() {
        let rows = Embeddings {
            dim: 2,
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        let gathered = Gathered::new(&[7, 8, 7], rows);
        assert_eq!(gathered.vector(7).as_deref(), Some([5.0, 6.0].as_slice()));
        assert_eq!(gathered.vector(8).as_deref(), Some([3.0, 4.0].as_slice()));
        assert_eq!(gathered.vector(9), None);
    }
}
