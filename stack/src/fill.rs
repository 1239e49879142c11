//! Fills running servers: indexes the catalog, imports events and profiles.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use index_builder::summary::Summary;
use indicatif::{ProgressBar, ProgressStyle};
use onnx::dataset::{
    Dataset,
    split::{ItemSet, Split},
};
use user_tower::import::{self, Imported};

/// Publishes a generation of the prepared dataset in `data` with the artifact `space`, in so many shards.
///
/// # Errors
/// As the index builder.
pub async fn index(
    store: &Path,
    data: &Path,
    space: &str,
    item_tower: &str,
    shards: u32,
) -> anyhow::Result<Summary> {
    let mut config = index_builder::config::Config::defaults()?;
    config.store = store.display().to_string();
    config.work = store.with_file_name("index-builder");
    config.catalog = data.join("items.jsonl");
    config.artifact = space.to_owned();
    config.item_towers = vec![item_tower.to_owned()];
    config.shards = shards;
    Ok(index_builder::run(config).await?)
}

/// The events that evaluation holds back: each evaluated user's last event on an item of `set`, and all after it.
pub fn held_back(dataset: &Dataset, set: ItemSet) -> BTreeSet<u32> {
    let split = Split::new(dataset, set);
    let tests: HashMap<u32, u32> = split
        .users
        .iter()
        .filter(|user| user.is_evaluated())
        .map(|user| (user.user, user.events[user.events.len() - 1]))
        .collect();
    let everything = Split::new(dataset, ItemSet::R);
    let mut held = BTreeSet::new();
    for user in &everything.users {
        if let Some(test) = tests.get(&user.user) {
            held.extend(user.events.iter().skip_while(|event| *event != test));
        }
    }
    held
}

/// Imports profiles, and the events whose index `wanted` takes.
///
/// # Errors
/// If the user tower cannot be reached or refuses a message.
pub async fn import(
    dataset: &Dataset,
    user_tower: &str,
    wanted: impl Fn(u32) -> bool,
) -> anyhow::Result<Imported> {
    let events = (0..)
        .zip(&dataset.events)
        .filter(|&(index, _)| wanted(index))
        .map(|(_, event)| *event);
    let part = Dataset {
        events: events.collect(),
        ..dataset.clone()
    };
    let folder = tempfile::tempdir()?;
    part.write(folder.path())?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:30} {bytes}/{total_bytes} imported, {eta} left",
    )?);
    let imported = import::import(folder.path(), user_tower, &bar).await?;
    bar.finish_and_clear();
    Ok(imported)
}
