//! Items as people name them: a number is an id, anything else is a key.

use anyhow::ensure;
use proto::v1::{Candidate, Item, ItemRef, item_ref::Name};

/// Reads an id or a key.
///
/// # Errors
/// If it is empty.
pub(crate) fn parse(text: &str) -> anyhow::Result<ItemRef> {
    ensure!(!text.is_empty(), "expected the id or the key of an item");
    let name = match text.parse() {
        Ok(id) => Name::Id(id),
        Err(_) => Name::Key(text.to_owned()),
    };
    Ok(ItemRef { name: Some(name) })
}

/// Returns the id or the key.
pub(crate) fn name(item: &ItemRef) -> String {
    match &item.name {
        Some(Name::Id(id)) => id.to_string(),
        Some(Name::Key(key)) => key.clone(),
        None => String::new(),
    }
}

/// Returns ids and keys in a row.
pub(crate) fn names(items: &[ItemRef]) -> String {
    items.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Returns a candidate's key, or its id when it has none.
pub(crate) fn key(candidate: &Candidate) -> String {
    match &candidate.item {
        Some(item) if !item.key.is_empty() => item.key.clone(),
        _ => candidate.id.to_string(),
    }
}

/// Returns an item's title, or its key or id when it has none.
pub(crate) fn title(item: &Item) -> String {
    [&item.title, &item.key]
        .into_iter()
        .find(|text| !text.is_empty())
        .cloned()
        .unwrap_or_else(|| format!("item {}", item.id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_number_is_an_id_and_anything_else_is_a_key() {
        let parsed = |text| parse(text).unwrap().name;
        assert_eq!(parsed("7"), Some(Name::Id(7)));
        for key in ["tt0078748", "-1", "7.0", "99999999999999999999"] {
            assert_eq!(parsed(key), Some(Name::Key(key.to_owned())));
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn names_are_what_was_typed() {
        let items = [parse("7").unwrap(), parse("a").unwrap()];
        assert_eq!(names(&items), "7, a");
    }

    #[test]
    fn an_item_without_a_title_goes_by_its_key_or_id() {
        let mut item = Item {
            id: 7,
            key: "a".to_owned(),
            title: "Alien".to_owned(),
            ..Default::default()
        };
        assert_eq!(title(&item), "Alien");
        item.title.clear();
        assert_eq!(title(&item), "a");
        item.key.clear();
        assert_eq!(title(&item), "item 7");
    }
}
