//! The bounds of the settings.

use crate::{config::Config, error::Error};

/// The most items that one message may carry.
const CHUNK_LIMIT: usize = 1_024;
/// The generations that CURRENT names: the one that serves and the previous one.
const NAMED: usize = 2;

impl Config {
    /// Checks every setting that has bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names the first setting out of its bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let rules = [
            ("store", !self.store.is_empty(), "must not be empty"),
            (
                "item_towers",
                !self.item_towers.is_empty() || self.has_vectors(),
                "must name one at least, unless `vectors` names ready ones",
            ),
            ("shards", self.shards > 0, "must be at least 1"),
            ("parts", self.parts > 0, "must be at least 1"),
            (
                "work",
                !self.work.as_os_str().is_empty(),
                "must not be empty",
            ),
            (
                "catalog_columns.separator",
                !self.catalog_columns.separator.is_empty(),
                "must not be empty",
            ),
            (
                "keep_generations",
                self.keep_generations >= NAMED,
                "must be at least 2",
            ),
            (
                "catalog_checks.bad_lines",
                share(self.catalog_checks.bad_lines),
                "must be between 0 and 1",
            ),
            (
                "embed.chunk",
                (1..=CHUNK_LIMIT).contains(&self.embed.chunk),
                "must be between 1 and 1024",
            ),
            (
                "hnsw.connectivity",
                self.hnsw.connectivity >= 2,
                "must be at least 2",
            ),
            (
                "hnsw.recall",
                share(self.hnsw.recall),
                "must be between 0 and 1",
            ),
            (
                "verify.ann_recall_floor",
                share(self.verify.ann_recall_floor),
                "must be between 0 and 1",
            ),
            (
                "verify.sample",
                self.verify.sample > 0,
                "must be at least 1",
            ),
            (
                "verify.items_floor",
                share(self.verify.items_floor),
                "must be between 0 and 1",
            ),
            (
                "verify.hr_floor",
                share(self.verify.hr_floor),
                "must be between 0 and 1",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((setting, _, rule)) => Err(Error::Config { setting, rule }),
        }
    }
}
