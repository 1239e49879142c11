//! What the catalog's log says of items since a generation was made, for models that read its rows.

use std::{collections::HashMap, sync::Arc};

use generation::{deltas, store::Store};

use crate::error::Error;

/// The vectors of items that changed, up to one delta.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fresh {
    delta: u64,
    items: HashMap<u64, Vector>,
}

/// One delta, in one embedding space.
#[derive(Debug, PartialEq)]
pub(super) struct Delta {
    number: u64,
    items: Vec<(u64, Vector)>,
}

/// An item's vector; none if it was taken out, or cannot be embedded.
type Vector = Option<Arc<[f32]>>;

impl Fresh {
    /// Knows of no change after `delta`.
    pub(super) fn after(delta: u64) -> Self {
        Self {
            delta,
            items: HashMap::new(),
        }
    }

    /// The last delta taken in.
    pub(super) fn delta(&self) -> u64 {
        self.delta
    }

    /// Returns what became of an item that changed: its vector, or that it has none any more.
    pub(super) fn changed(&self, item: u64) -> Option<Option<&[f32]>> {
        self.items.get(&item).map(Option::as_deref)
    }

    /// Takes in the next delta.
    pub(super) fn apply(&mut self, delta: Delta) {
        self.delta = delta.number;
        self.items.extend(delta.items);
    }
}

/// Reads the delta `number` in a space of vectors of length `dim`; none while it is not in the log, or puts items in whose
/// vectors nobody put there yet.
///
/// # Errors
/// If it cannot be read, or its vectors have another length.
pub(super) async fn read(
    store: &Store,
    number: u64,
    space: &str,
    dim: usize,
) -> Result<Option<Delta>, Error> {
    let Some(changes) = deltas::read(store, number).await? else {
        return Ok(None);
    };
    let mut vectors = deltas::Vectors::default();
    if changes.items.values().any(Option::is_some) {
        let Some(found) = deltas::read_vectors(store, number, space).await? else {
            return Ok(None);
        };
        vectors = found;
    }
    if !vectors.rows.is_empty() && vectors.dim != dim {
        return Err(Error::Delta {
            number,
            found: vectors.dim,
            expected: dim,
        });
    }
    let mut vector_of = |item: u64, put_in: bool| {
        let vector = vectors.rows.remove(&item).filter(|_| put_in);
        (item, vector.map(Arc::from))
    };
    let items = changes.items.into_iter();
    let items = items.map(|(item, bytes)| vector_of(item, bytes.is_some()));
    Ok(Some(Delta {
        number,
        items: items.collect(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use generation::deltas::{Changes, Vectors};
    use tempfile::TempDir;

    use super::*;

    fn store() -> (TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_str().unwrap()).unwrap();
        (dir, store)
    }

    /// Puts a delta in the log: items put in, and items taken out.
    async fn append(store: &Store, put: &[u64], out: &[u64]) -> u64 {
        let put = put.iter().map(|item| (*item, Some(b"{}".to_vec())));
        let out = out.iter().map(|item| (*item, None));
        let changes = Changes {
            items: put.chain(out).collect(),
        };
        deltas::append(store, &changes, 0).await.unwrap()
    }

    async fn put_vectors(store: &Store, number: u64, dim: usize, items: &[u64]) {
        let rows = items.iter().map(|item| (*item, vec![*item as f32; dim]));
        let vectors = Vectors {
            dim,
            rows: rows.collect(),
        };
        let put = deltas::put_vectors(store, number, "s", &vectors);
        put.await.unwrap();
    }

    async fn take(store: &Store, fresh: &mut Fresh) {
        while let Some(delta) = read(store, fresh.delta() + 1, "s", 2).await.unwrap() {
            fresh.apply(delta);
        }
    }

    #[tokio::test]
    async fn items_put_in_have_a_vector_and_items_taken_out_have_none() {
        let (_dir, store) = store();
        append(&store, &[7, 8], &[3]).await;
        // Item 8 cannot be embedded in this space.
        put_vectors(&store, 1, 2, &[7]).await;
        append(&store, &[], &[7]).await;
        let mut fresh = Fresh::after(0);
        let first = read(&store, 1, "s", 2).await.unwrap().unwrap();
        fresh.apply(first);
        assert_eq!(fresh.changed(7), Some(Some([7.0, 7.0].as_slice())));
        assert_eq!([fresh.changed(8), fresh.changed(3)], [Some(None); 2]);
        assert_eq!(fresh.changed(9), None);
        take(&store, &mut fresh).await;
        assert_eq!((fresh.delta(), fresh.changed(7)), (2, Some(None)));
    }

    #[tokio::test]
    async fn a_delta_is_waited_for_until_its_vectors_are_there() {
        let (_dir, store) = store();
        for item in [7, 8] {
            append(&store, &[item], &[]).await;
        }
        put_vectors(&store, 2, 2, &[8]).await;
        let mut fresh = Fresh::after(0);
        take(&store, &mut fresh).await;
        assert_eq!(fresh, Fresh::after(0));
        put_vectors(&store, 1, 2, &[7]).await;
        take(&store, &mut fresh).await;
        assert_eq!(fresh.delta(), 2);
        assert!([7, 8].iter().all(|item| fresh.changed(*item).is_some()));
    }

    #[tokio::test]
    async fn what_the_generation_holds_is_not_taken_in_again() {
        let (_dir, store) = store();
        for item in [7, 8] {
            let number = append(&store, &[item], &[]).await;
            put_vectors(&store, number, 2, &[item]).await;
        }
        let mut fresh = Fresh::after(1);
        take(&store, &mut fresh).await;
        assert_eq!((fresh.changed(7), fresh.delta()), (None, 2));
    }

    #[tokio::test]
    async fn vectors_of_another_length_are_refused_with_both() {
        let (_dir, store) = store();
        append(&store, &[7], &[]).await;
        put_vectors(&store, 1, 3, &[7]).await;
        let refused = read(&store, 1, "s", 2).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "the vectors of delta 1 have dimension 3, expected 2"
        );
    }
}
