//! The settings of every binary.

use std::{fs, path::Path};

use serde::Serialize;
use service::config::{self, Settings};

/// Lays a file over the defaults of one binary; the first byte says of which.
pub(super) fn settings(folder: &Path, bytes: &[u8]) {
    let Some((binary, text)) = bytes.split_first() else {
        return;
    };
    let path = folder.join("settings.toml");
    fs::write(&path, text).unwrap();
    match binary % 4 {
        0 => server::<gateway::config::Config>("gateway", gateway::config::DEFAULTS, &path),
        1 => {
            server::<user_tower::config::Config>("user-tower", user_tower::config::DEFAULTS, &path);
        }
        2 => {
            server::<item_tower::config::Config>("item-tower", item_tower::config::DEFAULTS, &path);
        }
        _ => job(&path),
    }
}

fn server<C: Settings>(name: &str, defaults: &str, path: &Path) {
    if let Ok(settings) = config::load::<C>(name, defaults, Some(path)) {
        is_printed(&settings);
    }
}

fn job(path: &Path) {
    use index_builder::config::{Config, DEFAULTS};
    if let Ok(settings) = config::layered::<Config>("index-builder", DEFAULTS, Some(path)) {
        let _ = settings.validate();
        is_printed(&settings);
    }
}

/// What is printed of settings is TOML.
fn is_printed<C: Serialize>(settings: &C) {
    if let Ok(printed) = config::print(settings) {
        toml::from_str::<toml::Table>(&printed).unwrap();
    }
}
