//! Embeds the items that a delta puts in.

use std::{collections::BTreeMap, sync::Arc};

use encoder::features::{CatalogItem, Item};
use generation::deltas::{Changes, Vectors};
use service::blocking::Blocking;

use crate::{error::Error, models::Model, search::comparable};

/// Items of one inference, at most.
const CHUNK: usize = 1_024;

/// Reads the items that a delta puts in.
///
/// # Errors
/// [`Error::Fresh`] for one that is not what a catalog stores.
pub(crate) fn stored(changes: &Changes) -> Result<Vec<CatalogItem>, Error> {
    let items = changes.items.iter();
    let items = items.filter_map(|(id, bytes)| Some((*id, bytes.as_ref()?)));
    let items = items.map(|(id, bytes)| {
        serde_json::from_slice(bytes).map_err(|source| Error::Fresh { id, source })
    });
    items.collect()
}

/// Makes the vectors of items; those that the model neither knows nor reads any feature of get none, nor does an item
/// whose vector cannot be compared with others.
///
/// # Errors
/// What the model says.
pub(crate) async fn embed(
    model: &Arc<Model>,
    items: Vec<CatalogItem>,
    embedding: &Blocking,
) -> Result<Vectors, Error> {
    let artifact = &model.artifact;
    let says =
        |item: &CatalogItem| artifact.knows_item(item.id) || artifact.reads_any(&item.features);
    let items: Vec<Item> = items
        .iter()
        .filter(|item| says(item))
        .map(Item::from)
        .collect();
    let mut rows = BTreeMap::new();
    for chunk in items.chunks(CHUNK) {
        let (model, chunk) = (Arc::clone(model), chunk.to_vec());
        let ids: Vec<u64> = chunk.iter().map(|item| item.id).collect();
        let embed = move || model.encoder.encode(&chunk);
        let embedded = embedding.run(embed).await??;
        let found = ids.into_iter().zip(embedded.rows().map(<[f32]>::to_vec));
        rows.extend(found.filter(|(_, row)| comparable(row)));
    }
    Ok(Vectors {
        dim: artifact.signature().dim,
        rows,
    })
}
