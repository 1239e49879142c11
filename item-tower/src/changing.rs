//! Puts items into the catalog and takes items out: checked, embedded, and on disk before the answer.

use std::{collections::BTreeMap, sync::Arc};

use encoder::features::{CatalogItem, Value};
use generation::{deltas::Changes, partition};
use service::blocking::Blocking;

use crate::{
    catalog::{self, Asked},
    deltas::{
        embed,
        writer::{Change, Writer},
    },
    error::Error,
    models::Models,
    shards::{Shards, held::Held},
};

/// The most items of one call.
pub(crate) const ITEMS_LIMIT: usize = 1_000;

/// What it takes to change the catalog.
#[derive(Clone)]
pub(crate) struct Changing {
    /// The models to embed with.
    pub(crate) models: Arc<Models>,
    /// What serves.
    pub(crate) shards: Arc<Shards>,
    /// Where changes go.
    pub(crate) writer: Arc<Writer>,
    /// Where inference runs.
    pub(crate) embedding: Blocking,
    /// How many items may have changed since the serving generation was made.
    pub(crate) max_items: usize,
}

/// What became of items that were put in.
#[derive(Debug)]
pub(crate) struct Upserted {
    /// The delta.
    pub(crate) delta: u64,
    /// Items without a vector in the serving generation's space, ascending.
    pub(crate) not_embedded: Vec<u64>,
}

impl Changing {
    /// Puts items in, in place of what there is of their ids.
    ///
    /// # Errors
    /// [`Error::Field`] for items that cannot be told apart, [`Error::NoGeneration`] before the first,
    /// [`Error::TailFull`] if too many changed since it was made, [`Error::NotStored`] if the log cannot be written.
    pub(crate) async fn upsert(&self, items: Vec<CatalogItem>) -> Result<Upserted, Error> {
        check_count(items.len())?;
        let held = self.serving(items.len())?;
        let space = held.manifest.space.clone();
        let prepare = move || prepare(items, &held);
        let (items, changes) = self.embedding.run(prepare).await??;
        let model = self.models.get(&space).await?;
        let vectors = embed::embed(&model, items, &self.embedding).await?;
        let ids = changes.items.keys().copied();
        let not_embedded = ids.filter(|id| !vectors.rows.contains_key(id)).collect();
        let vectors = Some((space, vectors));
        Ok(Upserted {
            delta: self.writer.put(Change { changes, vectors }).await?,
            not_embedded,
        })
    }

    /// Takes items out; returns the delta.
    ///
    /// # Errors
    /// As [`Changing::upsert`].
    pub(crate) async fn delete(&self, items: Vec<Asked>) -> Result<u64, Error> {
        check_count(items.len())?;
        let held = self.serving(items.len())?;
        let meant = move || {
            let meant = items.iter().map(|name| is_meant(name, &held));
            let meant: Vec<bool> = meant.collect::<Result<_, _>>()?;
            let named = items.iter().zip(meant).filter(|(_, meant)| *meant);
            Ok::<_, Error>(named.map(|(name, _)| (name.id(), None)).collect())
        };
        let items: BTreeMap<_, _> = self.embedding.run(meant).await??;
        let changes = Changes { items };
        let vectors = None;
        self.writer.put(Change { changes, vectors }).await
    }

    /// The generation that serves, if it takes so many changes more.
    fn serving(&self, more: usize) -> Result<Arc<Held>, Error> {
        let snapshot = self.shards.snapshot();
        let held = snapshot.get("")?;
        let changed = held.changed() + more;
        if changed > self.max_items {
            return Err(Error::TailFull {
                generation: held.manifest.id.clone(),
                changed,
                limit: self.max_items,
            });
        }
        Ok(Arc::clone(held))
    }
}

/// Names the items and writes them as the log keeps them. Reads what the shards have, so call it off the async executor.
fn prepare(items: Vec<CatalogItem>, held: &Held) -> Result<(Vec<CatalogItem>, Changes), Error> {
    let items = items.into_iter().map(|item| named(item, held));
    let items: Vec<CatalogItem> = items.collect::<Result<_, _>>()?;
    let mut changes = Changes::default();
    for item in &items {
        let bytes = serde_json::to_vec(item).map_err(|source| Error::Json {
            what: "an item",
            source,
        })?;
        if changes.items.insert(item.id, Some(bytes)).is_some() {
            return Err(field(format!("has item {} twice", item.id)));
        }
    }
    Ok((items, changes))
}

/// Gives an item the id that its key makes; refuses what could not be read back or told apart.
fn named(mut item: CatalogItem, held: &Held) -> Result<CatalogItem, Error> {
    for (feature, value) in &item.features {
        if let Value::Number(number) = value
            && !number.is_finite()
        {
            let description = format!("has an item whose {feature} is {number}, it must be finite");
            return Err(field(description));
        }
    }
    let Some(key) = &item.key else {
        return match item.id {
            0 => Err(field("has an item with neither id nor key".to_owned())),
            _ => Ok(item),
        };
    };
    let id = partition::item_id(key);
    if item.id != 0 && item.id != id {
        let description = format!("has id {}, the key {key:?} makes {id}", item.id);
        return Err(field(description));
    }
    let other = catalog::find(held, &Asked::Id(id))?;
    if let Some(other) = other.filter(|other| other.key.as_ref() != Some(key)) {
        let other = other.key.unwrap_or_default();
        let description = format!("has the keys {key:?} and {other:?} of one id, {id}");
        return Err(field(description));
    }
    item.id = id;
    Ok(item)
}

/// Whether the item of that id is the one named: in a catalog of numbers, a key may make the id of some item.
fn is_meant(name: &Asked, held: &Held) -> Result<bool, Error> {
    let other = match name {
        Asked::Id(_) => None,
        Asked::Key(_) => catalog::find(held, &Asked::Id(name.id()))?,
    };
    Ok(
        other
            .is_none_or(|other| matches!(name, Asked::Key(key) if other.key.as_ref() == Some(key))),
    )
}

fn check_count(found: usize) -> Result<(), Error> {
    match found {
        1..=ITEMS_LIMIT => Ok(()),
        _ => Err(field(format!("has {found}, must have 1 to {ITEMS_LIMIT}"))),
    }
}

fn field(description: String) -> Error {
    Error::Field {
        field: "items",
        description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_a_thousand_items_are_taken_at_once() {
        let check = |count| check_count(count).map_err(|refused| refused.to_string());
        for count in [1, 1_000] {
            assert_eq!(check(count), Ok(()));
        }
        for count in [0, 1_001] {
            let expected = format!("items: has {count}, must have 1 to 1000");
            assert_eq!(check(count), Err(expected));
        }
    }
}
