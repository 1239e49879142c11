//! Reads items of one held generation by id or key.

use encoder::features::CatalogItem;
use generation::partition;

use crate::{error::Error, shards::held::Held};

/// How a caller names an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// By its id.
    Id(u64),
    /// By its key, which makes its id.
    Key(String),
}

/// Items in the order asked.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Those found.
    pub(crate) items: Vec<CatalogItem>,
    /// Those that the shards held do not have.
    pub(crate) missing: Vec<Asked>,
}

/// Reads the items `asked` from the shards held; touches files, so call it off the async executor.
///
/// # Errors
/// If a stored item cannot be read back.
pub(crate) fn read(held: &Held, asked: Vec<Asked>) -> Result<Read, Error> {
    let mut read = Read::default();
    for name in asked {
        match find(held, &name)? {
            Some(item) => read.items.push(item),
            None => read.missing.push(name),
        }
    }
    Ok(read)
}

fn find(held: &Held, name: &Asked) -> Result<Option<CatalogItem>, Error> {
    let id = match name {
        Asked::Id(id) => *id,
        Asked::Key(key) => partition::item_id(key),
    };
    let shards = held.manifest.partitioner.shards;
    let Some(shard) = held.shards.get(&partition::shard_of(id, shards)) else {
        return Ok(None);
    };
    let Some(stored) = shard.item(id)? else {
        return Ok(None);
    };
    let item: CatalogItem = serde_json::from_slice(stored.bytes).map_err(|source| Error::Item {
        generation: held.manifest.id.clone(),
        id,
        source,
    })?;
    // A numeric catalog may have an item whose id some key happens to make.
    let meant = match name {
        Asked::Id(_) => true,
        Asked::Key(key) => item.key.as_ref() == Some(key),
    };
    Ok(meant.then_some(item))
}
