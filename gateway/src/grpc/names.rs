//! Names of items on the wire.

use generation::partition;
use proto::v1::{self as pb, item_ref::Name};

use crate::error::Error;

/// The ids of items that a field names.
pub(super) fn ids(field: &str, items: &[pb::ItemRef], most: usize) -> Result<Vec<u64>, Error> {
    if items.len() > most {
        let description = format!("has {} items, at most {most} are allowed", items.len());
        return Err(Error::field(field, description));
    }
    let id = |(at, item): (usize, &pb::ItemRef)| match &item.name {
        Some(Name::Id(id)) => Ok(*id),
        Some(Name::Key(key)) => Ok(partition::item_id(key)),
        None => {
            let description = "names neither an id nor a key";
            Err(Error::field(format!("{field}[{at}]"), description))
        }
    };
    items.iter().enumerate().map(id).collect()
}

/// An item by its id.
pub(super) fn of(id: u64) -> pb::ItemRef {
    pb::ItemRef {
        name: Some(Name::Id(id)),
    }
}
