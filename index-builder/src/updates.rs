//! What the catalog's log says that the catalog's file does not: it wins over the file.

use std::collections::{BTreeMap, BTreeSet};

use encoder::features::CatalogItem;
use generation::{
    deltas,
    open::{self, Generation},
    store::Store,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which deltas of the log a job takes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The last that the catalog's file is taken to hold.
    pub(crate) after: u64,
    /// The last of them.
    pub(crate) up_to: u64,
}

/// Items put in and taken out, the last change of each.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    /// Items put in, by id.
    pub(crate) put: BTreeMap<u64, CatalogItem>,
    /// Items taken out.
    pub(crate) out: BTreeSet<u64>,
    /// Vectors of items put in that were made in the artifact's space.
    pub(crate) vectors: BTreeMap<u64, Vec<f32>>,
}

impl Range {
    /// All that is in the log now and the catalog's file is not taken to hold.
    ///
    /// That is what came after `held` if it is not 0, else after what the generation `serving` holds; where that was made of the
    /// same file, whose hash is `blake3`, after what the file was taken to hold then.
    ///
    /// # Errors
    /// If the log cannot be listed.
    pub(crate) async fn now(
        store: &Store,
        serving: Option<&str>,
        blake3: &str,
        held: u64,
    ) -> Result<Self, Error> {
        let numbers = deltas::numbers(store).await?;
        let after = match (held, serving) {
            (0, None) => 0,
            (0, Some(id)) => match open::open(store, id).await {
                Ok(Generation { manifest, .. }) => {
                    let same = manifest.catalog.filter(|catalog| catalog.blake3 == blake3);
                    same.map_or(manifest.updates_from, |catalog| catalog.delta)
                }
                // Of one that cannot be read nothing is known but that the log is as long as it needs.
                Err(_) => numbers.first().map_or(0, |first| first - 1),
            },
            (held, _) => held,
        };
        Ok(Self {
            after,
            up_to: numbers.last().copied().unwrap_or(0).max(after),
        })
    }
}

impl Updates {
    /// Reads the deltas of a range, with the vectors that were made of them in a space.
    ///
    /// # Errors
    /// If one is missing or cannot be read, or [`Error::Json`] for an item that is none.
    pub(crate) async fn read(store: &Store, range: Range, space: &str) -> Result<Self, Error> {
        let mut updates = Self::default();
        for number in range.after + 1..=range.up_to {
            let missing = || generation::error::Error::Missing {
                what: "delta",
                name: number.to_string(),
            };
            let changes = deltas::read(store, number).await?.ok_or_else(missing)?;
            let vectors = deltas::read_vectors(store, number, space).await?;
            let mut vectors = vectors.unwrap_or_default().rows;
            for (id, item) in changes.items {
                updates.vectors.remove(&id);
                let Some(item) = item else {
                    updates.put.remove(&id);
                    updates.out.insert(id);
                    continue;
                };
                let item = serde_json::from_slice(&item);
                let item = item.map_err(|source| Error::Json { id, source })?;
                updates.out.remove(&id);
                updates.put.insert(id, item);
                updates.vectors.extend(vectors.remove_entry(&id));
            }
        }
        Ok(updates)
    }
}
