//! The rows of a shard that may be returned.

use roaring::RoaringBitmap;

use crate::{
    filter::{Attributes, Filter},
    rows::RowsView,
};

/// The rows that may be returned.
#[derive(Debug)]
pub(crate) enum Eligible {
    /// All but these few, ascending.
    Except(Vec<u32>),
    /// These only, which passed a filter; so many that pass are excluded.
    Only(RoaringBitmap, usize),
}

impl Eligible {
    /// All rows but those of the ids `exclude`, which ascend; ids of no row do no harm.
    pub(crate) fn except(rows: RowsView<'_>, exclude: &[u64]) -> Self {
        Self::Except(excluded(rows, exclude).collect())
    }

    /// The rows that pass the filter if there is one, but not those of the ids `exclude` nor those `gone`; both ascend.
    pub(crate) fn new(
        rows: RowsView<'_>,
        attributes: &Attributes,
        filter: Option<&Filter>,
        exclude: &[u64],
        gone: Vec<u32>,
    ) -> Self {
        let Some(filter) = filter.filter(|filter| !filter.is_empty()) else {
            let mut out = gone;
            out.extend(excluded(rows, exclude));
            out.sort_unstable();
            out.dedup();
            return Self::Except(out);
        };
        let mut passing = filter.rows(attributes, rows.len(), |id| row(rows, id));
        let out = excluded(rows, exclude).chain(gone);
        let out = out.filter(|row| passing.remove(*row)).count();
        Self::Only(passing, out)
    }

    /// Whether a row may be returned.
    pub(crate) fn has(&self, row: usize) -> bool {
        match self {
            Self::Except(rows) => rows.binary_search(&(row as u32)).is_err(),
            Self::Only(rows, _) => rows.contains(row as u32),
        }
    }

    /// How many rows are left out by their ids, not by the filter.
    pub(crate) fn excluded(&self) -> usize {
        match self {
            Self::Except(out) => out.len(),
            Self::Only(_, out) => *out,
        }
    }

    /// How many of `rows` rows may be returned.
    pub(crate) fn count(&self, rows: usize) -> usize {
        match self {
            Self::Except(out) => rows - out.len(),
            Self::Only(rows, _) => rows.len() as usize,
        }
    }
}

fn excluded(rows: RowsView<'_>, exclude: &[u64]) -> impl Iterator<Item = u32> {
    exclude.iter().filter_map(move |id| row(rows, *id))
}

/// The row of an id.
pub(crate) fn row(rows: RowsView<'_>, id: u64) -> Option<u32> {
    Some(rows.ids().binary_search(&id).ok()? as u32)
}
