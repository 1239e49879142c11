//! Turns the rows of the catalog into the items to be indexed: the one place where it is decided what is.
//!
//! What the catalog's log says wins over its file: items taken out are passed over here, items put in come after the last row of the
//! first part, and where a shard is gathered they take the place of the rows of their ids.

use std::{sync::Arc, vec};

use encoder::{artifact::Artifact, features::CatalogItem};
use tracing::warn;

use crate::{
    catalog::{Catalog, columns::Columns},
    error::Error,
    plan::Plan,
    updates::Updates,
};

/// Rows of a block: every n-th block of the catalog is of one part of n.
pub(crate) const BLOCK: u64 = 1_024;
/// The row of an item that the log put in; rows begin at 1.
pub(crate) const NO_ROW: u64 = 0;
/// How many bad rows are shown one by one.
const SHOWN: u64 = 10;

/// The items of one part of the catalog, in the order of its rows.
pub(crate) struct Items {
    catalog: Catalog,
    slice: Slice,
    /// Decides what is left out; nothing is where vectors are ready.
    artifact: Option<Arc<Artifact>>,
    unknown_items: bool,
    updates: Arc<Updates>,
    /// Items that the log put in and that are still to come.
    fresh: vec::IntoIter<CatalogItem>,
    path: String,
    passed: u64,
    counts: Counts,
}

/// Every `of`-th block, from block `at`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    at: u64,
    of: u64,
}

/// An item to index, and the row that it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The row's number, or [`NO_ROW`].
    pub(crate) row: u64,
    /// The item.
    pub(crate) item: CatalogItem,
}

/// What the rows were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rows of the part.
    pub(crate) rows: u64,
    /// Rows that hold no item.
    pub(crate) bad: u64,
    /// Items that the artifact makes no vector of.
    pub(crate) left_out: u64,
}

impl Slice {
    /// Part `part` of `parts`, from 1.
    pub(crate) fn new(part: u32, parts: u32) -> Self {
        Self {
            at: u64::from(part) - 1,
            of: u64::from(parts),
        }
    }

    /// Whether block `number`, from 0, is in it.
    pub(crate) fn has(self, number: u64) -> bool {
        number % self.of == self.at
    }
}

impl Items {
    /// Opens the catalog of a plan before its first row.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub(crate) fn open(
        plan: &Plan,
        artifact: &Arc<Artifact>,
        slice: Slice,
        updates: Arc<Updates>,
    ) -> Result<Self, Error> {
        let settings = &plan.settings;
        let fresh: Vec<_> = match slice.has(0) {
            true => updates.put.values().cloned().collect(),
            false => Vec::new(),
        };
        let columns = Columns::new(&settings.catalog_columns, artifact.signature());
        let path = &plan.catalog.path;
        Ok(Self {
            catalog: Catalog::open(path, settings.catalog_format, &columns)?,
            slice,
            artifact: plan.vectors.is_none().then(|| Arc::clone(artifact)),
            unknown_items: settings.unknown_items,
            updates,
            fresh: fresh.into_iter(),
            path: path.display().to_string(),
            passed: 0,
            counts: Counts::default(),
        })
    }

    /// The next item; `None` after the last. A row that holds none is counted, shown with its number, and passed over.
    ///
    /// # Errors
    /// As [`Catalog::advance`].
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        while let Some(row) = self.catalog.advance()? {
            let block = self.passed / BLOCK;
            self.passed += 1;
            if !self.slice.has(block) {
                continue;
            }
            self.counts.rows += 1;
            match self.catalog.item() {
                Ok(item) if self.goes(item.id) => {}
                Ok(item) if self.takes(&item) => return Ok(Some(Entry { row, item })),
                Ok(_) => self.counts.left_out += 1,
                Err(cause) => self.reject(row, &cause),
            }
        }
        while let Some(item) = self.fresh.next() {
            if self.takes_fresh(&item) {
                return Ok(Some(Entry { row: NO_ROW, item }));
            }
            self.counts.left_out += 1;
        }
        Ok(None)
    }

    /// Whether the artifact can tell the item from one that it has never seen.
    pub(crate) fn knows(&self, item: &CatalogItem) -> bool {
        let artifact = self.artifact.as_ref();
        artifact.is_none_or(|artifact| artifact.knows_item(item.id))
    }

    /// Whether an item that the log put in takes the place of the row where the shard is gathered.
    pub(crate) fn is_replaced(&self, entry: &Entry) -> bool {
        entry.row != NO_ROW && self.updates.put.contains_key(&entry.item.id)
    }

    /// What the rows were so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many rows of the part there are, as far as can be told from the share that was read.
    pub(crate) fn estimate(&self) -> u64 {
        (self.counts.rows as f64 / self.catalog.share().max(f64::EPSILON)) as u64
    }

    /// Whether the item can be embedded: all unknown items that nothing is told of would get one and the same vector.
    fn takes(&self, item: &CatalogItem) -> bool {
        let artifact = self.artifact.as_ref();
        let reads = |artifact: &Arc<Artifact>| artifact.reads_any(&item.features);
        self.knows(item) || (self.unknown_items && artifact.is_some_and(reads))
    }

    /// Whether the log took an item out, or put another in its place that cannot be embedded.
    fn goes(&self, id: u64) -> bool {
        let Updates { put, out, .. } = &*self.updates;
        out.contains(&id) || put.get(&id).is_some_and(|fresh| !self.takes_fresh(fresh))
    }

    /// Whether an item that the log put in can be embedded, as a server does it: whether unknown ones are wanted is settled.
    fn takes_fresh(&self, item: &CatalogItem) -> bool {
        let reads = |artifact: &Arc<Artifact>| artifact.reads_any(&item.features);
        self.knows(item) || self.artifact.as_ref().is_some_and(reads)
    }

    fn reject(&mut self, row: u64, cause: &str) {
        self.counts.bad += 1;
        if self.counts.bad <= SHOWN {
            warn!(at = %format_args!("{}:{row}", self.path), cause, "bad row");
        }
    }
}
