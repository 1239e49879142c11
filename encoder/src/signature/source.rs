//! The raw values that a tensor may hold, by their names in the signature.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A raw value of a user, an item or a history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// `user.id`.
    UserId,
    /// `user.F`: feature `F` of the profile.
    User(String),
    /// `item.id`.
    ItemId,
    /// `item.F`: feature `F` of the item.
    Item(String),
    /// `history.item`: each event's item.
    HistoryItem,
    /// `history.value`: each event's value.
    HistoryValue,
    /// `history.kind`: each event's kind.
    HistoryKind,
    /// `history.gap`: seconds since the event before it that names a known item; 0 for the first of all.
    HistoryGap,
    /// `history.age`: seconds from each event to the request; 0 if the request's time is not known.
    HistoryAge,
    /// `history.mask`: where events are.
    HistoryMask,
    /// `history.length`: how many events there are.
    HistoryLength,
}

impl Source {
    /// Returns whether a row holds one element an event.
    pub fn is_per_event(&self) -> bool {
        matches!(
            self,
            Self::HistoryItem
                | Self::HistoryValue
                | Self::HistoryKind
                | Self::HistoryGap
                | Self::HistoryAge
                | Self::HistoryMask
        )
    }

    /// Returns whether the raw value is an item's id.
    pub fn is_item(&self) -> bool {
        matches!(self, Self::ItemId | Self::HistoryItem)
    }

    /// Returns whether the raw value belongs to an item, and so to the item tower.
    pub fn is_of_item(&self) -> bool {
        matches!(self, Self::ItemId | Self::Item(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserId => f.write_str("user.id"),
            Self::User(feature) => write!(f, "user.{feature}"),
            Self::ItemId => f.write_str("item.id"),
            Self::Item(feature) => write!(f, "item.{feature}"),
            Self::HistoryItem => f.write_str("history.item"),
            Self::HistoryValue => f.write_str("history.value"),
            Self::HistoryKind => f.write_str("history.kind"),
            Self::HistoryGap => f.write_str("history.gap"),
            Self::HistoryAge => f.write_str("history.age"),
            Self::HistoryMask => f.write_str("history.mask"),
            Self::HistoryLength => f.write_str("history.length"),
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let known = match name.split_once('.') {
            Some(("user", "id")) => Self::UserId,
            Some(("user", feature)) if !feature.is_empty() => Self::User(feature.to_owned()),
            Some(("item", "id")) => Self::ItemId,
            Some(("item", feature)) if !feature.is_empty() => Self::Item(feature.to_owned()),
            Some(("history", "item")) => Self::HistoryItem,
            Some(("history", "value")) => Self::HistoryValue,
            Some(("history", "kind")) => Self::HistoryKind,
            Some(("history", "gap")) => Self::HistoryGap,
            Some(("history", "age")) => Self::HistoryAge,
            Some(("history", "mask")) => Self::HistoryMask,
            Some(("history", "length")) => Self::HistoryLength,
            _ => {
                return Err(format!(
                    "source `{name}` is none of user.id, user.F, item.id, item.F, history.item, history.value, \
                     history.kind, history.gap, history.age, history.mask, history.length"
                ));
            }
        };
        Ok(known)
    }
}
