//! What the columns of a table stand for.

use std::collections::BTreeSet;

use encoder::signature::{Encoding, Signature, Source};

use crate::config::ColumnsConfig;

/// What is known of the columns before a table is opened.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    named: BTreeSet<String>,
    numbers: BTreeSet<String>,
    lists: BTreeSet<String>,
    separator: String,
}

/// What a column gives an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Its id.
    Id,
    /// The key that makes the id.
    Key,
    /// Its title.
    Title,
    /// How many events it has.
    Popularity,
    /// A feature.
    Feature(String, Kind),
}

/// How a text becomes a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is.
    Text,
    /// As a finite number.
    Number,
    /// Cut at each separator.
    List(String),
}

impl Columns {
    /// Puts together what the settings and the artifact say.
    pub(crate) fn new(config: &ColumnsConfig, signature: &Signature) -> Self {
        let mut columns = Self {
            named: config
                .numbers
                .iter()
                .chain(&config.lists)
                .cloned()
                .collect(),
            numbers: config.numbers.iter().cloned().collect(),
            lists: config.lists.iter().cloned().collect(),
            separator: config.separator.clone(),
        };
        for input in &signature.item.inputs {
            let Source::Item(feature) = &input.source else {
                continue;
            };
            if matches!(
                input.encoding,
                Encoding::Numeric { .. } | Encoding::Bucket { .. }
            ) {
                columns.numbers.insert(feature.clone());
            } else if input.width() > 1 {
                columns.lists.insert(feature.clone());
            }
        }
        columns
    }

    /// Gives each column of a table its role.
    ///
    /// # Errors
    /// In words: two columns of one name, neither an id nor a key, or a setting that names a column that is not there.
    pub(super) fn roles(&self, header: &[&str]) -> Result<Vec<Role>, String> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = header.iter().find(|name| !seen.insert(**name)) {
            return Err(format!("two columns are called {twice:?}"));
        }
        if !seen.contains("id") && !seen.contains("key") {
            return Err(format!(
                "neither of the columns id and key is among {header:?}"
            ));
        }
        if let Some(name) = self.named.iter().find(|name| !seen.contains(name.as_str())) {
            return Err(format!(
                "`catalog_columns` names {name:?}, which is not among {header:?}"
            ));
        }
        Ok(header.iter().map(|name| self.role(name)).collect())
    }

    fn role(&self, name: &str) -> Role {
        match name {
            "id" => Role::Id,
            "key" => Role::Key,
            "title" => Role::Title,
            "popularity" => Role::Popularity,
            name => Role::Feature(name.to_owned(), self.kind(name)),
        }
    }

    fn kind(&self, name: &str) -> Kind {
        if self.lists.contains(name) {
            Kind::List(self.separator.clone())
        } else if self.numbers.contains(name) {
            Kind::Number
        } else {
            Kind::Text
        }
    }
}
