//! What the catalog's log says since the generation that serves was made: it wins over the catalog's file.

use std::collections::{BTreeMap, BTreeSet};

use encoder::features::CatalogItem;
use generation::{deltas, open, store::Store};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which deltas of the log a job takes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The last that the generation that serves holds.
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
    /// All that is in the log now, after what the generation `serving` holds.
    ///
    /// # Errors
    /// If the log cannot be listed.
    pub(crate) async fn now(store: &Store, serving: Option<&str>) -> Result<Self, Error> {
        let after = match serving {
            None => 0,
            // Of one that cannot be read nothing is known; all that is left of the log is newer than what was collected.
            Some(id) => {
                let opened = open::open(store, id).await;
                opened.map_or(0, |opened| opened.manifest.updates_from)
            }
        };
        let last = deltas::numbers(store).await?.pop();
        Ok(Self {
            after,
            up_to: last.unwrap_or(0).max(after),
        })
    }
}

impl Updates {
    /// Reads the deltas of a range, with the vectors that were made of them in a space.
    ///
    /// # Errors
    /// If one cannot be read, or [`Error::Json`] for an item that is none.
    pub(crate) async fn read(store: &Store, range: Range, space: &str) -> Result<Self, Error> {
        let mut updates = Self::default();
        let mut numbers = deltas::numbers(store).await?;
        numbers.retain(|number| range.after < *number && *number <= range.up_to);
        for number in numbers {
            let changes = deltas::read(store, number).await?.unwrap_or_default();
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
