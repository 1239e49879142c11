//! Reads items of one held generation by id or key.

use std::collections::BTreeSet;

use encoder::features::CatalogItem;
use generation::partition;
use index::{filter::Filter, shard::Passing};

use crate::{error::Error, shards::held::Held};

/// How a caller names an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// By its id.
    Id(u64),
    /// By its key, which makes its id.
    Key(String),
}

impl Asked {
    /// The item's id.
    pub(crate) fn id(&self) -> u64 {
        match self {
            Self::Id(id) => *id,
            Self::Key(key) => partition::item_id(key),
        }
    }
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

/// Popular items, most popular first; ties go to the smaller id.
#[derive(Debug, Default)]
pub(crate) struct Popular {
    /// Items and their counts.
    pub(crate) items: Vec<(u64, u64)>,
    /// How many items could be listed.
    pub(crate) eligible: u64,
}

/// Lists the `k` most popular items of the generation; those that pass, of the `shards` named, if a filter or shards are.
///
/// Items that came since are in filtered lists only: in the list of all they have no place until their popularity is known.
/// With a filter it reads all of a shard's attributes, so call it off the async executor.
///
/// # Errors
/// [`Error::ShardNotHeld`] if shards are named that are not held.
pub(crate) fn popular(
    held: &Held,
    k: usize,
    filter: Option<&Filter>,
    shards: &BTreeSet<u32>,
) -> Result<Popular, Error> {
    if filter.is_none() && shards.is_empty() {
        let mut items = held.standing(held.popular.iter().copied());
        items.truncate(k);
        return Ok(Popular {
            items,
            eligible: held.manifest.items,
        });
    }
    let all = || held.shards.keys().copied().collect();
    let shards = if shards.is_empty() {
        all()
    } else {
        shards.clone()
    };
    let everything = Filter::default();
    let mut popular = Popular::default();
    for number in shards {
        let shard = held.shard(number)?;
        let (ids, counts) = (shard.rows().ids(), &held.counts[&number]);
        let Passing { rows, fresh } = shard.passing(filter.unwrap_or(&everything));
        let built = rows.into_iter().map(|row| (ids[row], counts[row]));
        // A fresh item is as popular as the one whose place it took.
        let count = |id| ids.binary_search(&id).map_or(0, |row| counts[row]);
        let fresh = fresh.into_iter().map(|id| (id, count(id)));
        popular.items.extend(built.chain(fresh));
    }
    popular.eligible = popular.items.len() as u64;
    let best_first = |a: &(u64, u64), b: &(u64, u64)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
    if popular.items.len() > k {
        popular.items.select_nth_unstable_by(k, best_first);
        popular.items.truncate(k);
    }
    popular.items.sort_unstable_by(best_first);
    Ok(popular)
}

/// Reads one item, as it is now.
///
/// # Errors
/// If it cannot be read back.
pub(crate) fn find(held: &Held, name: &Asked) -> Result<Option<CatalogItem>, Error> {
    let id = name.id();
    let shards = held.manifest.partitioner.shards;
    let Some(shard) = held.shards.get(&partition::shard_of(id, shards)) else {
        return Ok(None);
    };
    let Some(stored) = shard.item(id)? else {
        return Ok(None);
    };
    let item: CatalogItem =
        serde_json::from_slice(&stored.bytes).map_err(|source| Error::Item {
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
