//! Masks secrets in settings that are printed.

use toml::{Table, Value};

/// Ends of a setting's name that say its text is a secret.
const SECRET: [&str; 4] = ["secret", "password", "token", "credential"];

/// Replaces every non-empty text under a secret name by `****`.
pub(super) fn mask(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(table) => mask(table),
            Value::String(text) if is_secret(key) && !text.is_empty() => *text = "****".to_owned(),
            Value::Array(values) => values.iter_mut().for_each(|value| match value {
                Value::Table(table) => mask(table),
                Value::String(text) if is_secret(key) => *text = "****".to_owned(),
                _ => {}
            }),
            _ => {}
        }
    }
}

fn is_secret(key: &str) -> bool {
    SECRET.iter().any(|end| key.ends_with(end))
}
