//! Raw features of users and items, before any vocabulary or encoding.
//!
//! [`tensors`] turns them into padded tensors by the signature; [`history`] decides which events a model sees.

pub mod extremes;
pub mod history;
pub mod tensors;

mod coder;
mod hash;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

/// One raw feature value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number, e.g. a year; looked up in a vocabulary as its shortest decimal text (`1995`).
    Number(#[serde(serialize_with = "shortest")] f64),
    /// A category or free text.
    Text(String),
    /// Several categories, e.g. the genres of a movie.
    List(Vec<String>),
}

/// Raw features by name. A feature that the model does not name is ignored; one that is missing takes the unknown id.
pub type Features = BTreeMap<String, Value>;

/// One event of a history, as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The item.
    pub item: u64,
    /// What was done, e.g. `rating`.
    #[serde(default)]
    pub kind: String,
    /// How much, e.g. the rating.
    #[serde(default)]
    pub value: f32,
    /// When, in seconds since the epoch.
    #[serde(default)]
    pub time: i64,
}

/// A user to embed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name; empty is an unknown user.
    #[serde(default)]
    pub id: String,
    /// The profile.
    #[serde(default)]
    pub features: Features,
    /// What the user did, oldest first.
    #[serde(default)]
    pub history: Vec<Event>,
    /// When the vectors are asked for, in seconds since the epoch; none if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

/// An item to embed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The item's id.
    pub id: u64,
    /// Its content.
    #[serde(default)]
    pub features: Features,
}

/// One line of a catalog (`items.jsonl`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogItem {
    /// The item's id.
    pub id: u64,
    /// The key that the id was made of, in catalogs whose items have string keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// How many events it has.
    #[serde(default)]
    pub popularity: u64,
    /// Its content.
    #[serde(default)]
    pub features: Features,
}

impl From<&CatalogItem> for Item {
    fn from(item: &CatalogItem) -> Self {
        Self {
            id: item.id,
            features: item.features.clone(),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Value {
    fn from(values: Vec<String>) -> Self {
        Self::List(values)
    }
}

/// Writes a whole number without a decimal point, as people write years.
fn shortest<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_catalog_line_is_read_and_written_alike() {
        let line = r#"{"id":1,"title":"Toy Story (1995)","popularity":2077,"features":{"genres":["Animation","Comedy"],"score":4.5,"year":1995}}"#;
        let item: CatalogItem = serde_json::from_str(line).unwrap();
        assert_eq!(item.features["year"], Value::Number(1995.0));
        assert_eq!(serde_json::to_string(&item).unwrap(), line);
    }

    #[test]
    fn a_user_may_be_nothing_at_all() {
        let user: User = serde_json::from_str("{}").unwrap();
        assert_eq!(user, User::default());
        let line = r#"{"id":"7","features":{},"history":[]}"#;
        let user: User = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&user).unwrap(), line);
    }
}
