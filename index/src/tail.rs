//! Fresh items: what was put in and taken out since a shard was built, delta by delta.
//!
//! Deltas have numbers that only grow. A row carries the number that made it and the one that ended it, so a search can
//! see the shard as it was at any number since it was built, while newer deltas arrive.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use roaring::RoaringBitmap;

use crate::{
    error::Error,
    exact,
    filter::{Attributes, Filter},
    hit::Hit,
    rows::{RowsView, unusable},
};

/// The number that ends no row.
const NEVER: u64 = u64::MAX;

/// An item put in, in place of what the shard had of that id.
#[derive(Clone, Copy, Debug)]
pub struct Upsert<'a> {
    /// The item.
    pub id: u64,
    /// The item's bytes.
    pub bytes: &'a [u8],
    /// Its vector; an item without one is not found.
    pub vector: Option<&'a [f32]>,
}

/// What was put in and taken out since the shard was built.
#[derive(Debug)]
pub(crate) struct Tail {
    dim: usize,
    ids: Vec<u64>,
    vectors: Vec<f32>,
    items: Vec<Arc<[u8]>>,
    /// Which delta made each row, and which ended it.
    made: Vec<u64>,
    ended: Vec<u64>,
    attributes: Attributes,
    /// The rows of an id, oldest first.
    versions: HashMap<u64, Vec<u32>>,
    /// Rows of the shard that a delta replaced or took out, and which.
    gone: BTreeMap<u32, u64>,
    /// The delta that the shard was built with, and the last that was taken up.
    base: u64,
    number: u64,
}

/// What a search of the tail looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought<'a> {
    /// `[q, dim]`.
    pub(crate) queries: &'a [f32],
    pub(crate) k: usize,
    /// Ascending.
    pub(crate) exclude: &'a [u64],
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) as_of: u64,
}

/// What a search of the tail found.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// Best first.
    pub(crate) hits: Vec<Hit>,
    /// Rows that could be returned; all of them were compared.
    pub(crate) eligible: usize,
    /// Rows that stood.
    pub(crate) rows: usize,
}

impl Tail {
    /// Nothing yet, over a shard that holds the deltas up to `base`.
    pub(crate) fn new(dim: usize, base: u64) -> Self {
        Self {
            dim,
            ids: Vec::new(),
            vectors: Vec::new(),
            items: Vec::new(),
            made: Vec::new(),
            ended: Vec::new(),
            attributes: Attributes::default(),
            versions: HashMap::new(),
            gone: BTreeMap::new(),
            base,
            number: base,
        }
    }

    /// The last delta that was taken up.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How many rows deltas made and ended.
    pub(crate) fn len(&self) -> usize {
        self.ids.len() + self.gone.len()
    }

    /// The number to search as of: the last one, if none is asked for.
    ///
    /// # Errors
    /// [`Error::AsOf`] if the shard was built later, or was not brought up to that number yet.
    pub(crate) fn as_of(&self, asked: Option<u64>) -> Result<u64, Error> {
        match asked {
            None => Ok(self.number),
            Some(asked) if (self.base..=self.number).contains(&asked) => Ok(asked),
            Some(asked) => Err(Error::AsOf {
                asked,
                first: self.base,
                last: self.number,
            }),
        }
    }

    /// Refuses a delta that cannot be taken up.
    ///
    /// # Errors
    /// [`Error::Delta`] if its number is not greater than the last, [`Error::UpsertLength`] or [`Error::Upsert`] for a
    /// vector that cannot be compared.
    pub(crate) fn check(&self, number: u64, upserts: &[Upsert<'_>]) -> Result<(), Error> {
        if number <= self.number {
            return Err(Error::Delta {
                found: number,
                last: self.number,
            });
        }
        for Upsert { id, vector, .. } in upserts {
            let Some(vector) = vector else { continue };
            if vector.len() != self.dim {
                return Err(Error::UpsertLength {
                    id: *id,
                    found: vector.len(),
                    dim: self.dim,
                });
            }
            if let Some(length) = unusable(vector) {
                return Err(Error::Upsert { id: *id, length });
            }
        }
        Ok(())
    }

    /// Takes up a delta that was checked; `ids` are those of the shard's rows, ascending, and `attributes` what is known of the
    /// upserts that have a vector, by their place among those.
    pub(crate) fn apply(
        &mut self,
        number: u64,
        upserts: &[Upsert<'_>],
        deletes: &[u64],
        ids: &[u64],
        attributes: Attributes,
    ) {
        self.attributes.merge(attributes, self.ids.len() as u32);
        let out = upserts.iter().map(|upsert| &upsert.id).chain(deletes);
        for id in out {
            self.end(*id, number, ids);
        }
        for Upsert { id, bytes, vector } in upserts {
            let Some(vector) = vector else { continue };
            let row = self.ids.len() as u32;
            self.ids.push(*id);
            self.vectors.extend_from_slice(vector);
            self.items.push(Arc::from(*bytes));
            self.made.push(number);
            self.ended.push(NEVER);
            self.versions.entry(*id).or_default().push(row);
        }
        self.number = number;
    }

    /// Rows of the shard that are gone as of a number, ascending.
    pub(crate) fn gone(&self, as_of: u64) -> Vec<u32> {
        let gone = self.gone.iter().filter(|(_, number)| **number <= as_of);
        gone.map(|(row, _)| *row).collect()
    }

    /// Compares every row that may be returned.
    pub(crate) fn search(&self, sought: &Sought<'_>) -> Fresh {
        let standing = self.standing(sought.as_of);
        let rows = standing.len() as usize;
        let passing = match sought.filter.filter(|filter| !filter.is_empty()) {
            Some(filter) => standing & self.passing(filter),
            None => standing,
        };
        let eligible: Vec<usize> = passing
            .iter()
            .map(|row| row as usize)
            .filter(|&row| sought.exclude.binary_search(&self.ids[row]).is_err())
            .collect();
        let view = RowsView::new(&self.ids, &self.vectors, self.dim);
        let k = sought.k.min(eligible.len());
        Fresh {
            eligible: eligible.len(),
            rows,
            hits: match k {
                0 => Vec::new(),
                _ => exact::rank(view, eligible.into_iter(), sought.queries, k),
            },
        }
    }

    /// The ids of the newest rows that pass.
    pub(crate) fn ids_passing(&self, filter: &Filter) -> Vec<u64> {
        let passing = self.standing(self.number) & self.passing(filter);
        passing.iter().map(|row| self.ids[row as usize]).collect()
    }

    /// What is known of an item now: its bytes, or that it was taken out, or nothing.
    pub(crate) fn item(&self, id: u64) -> Option<Option<Arc<[u8]>>> {
        let row = *self.versions.get(&id)?.last()? as usize;
        Some((self.ended[row] == NEVER).then(|| Arc::clone(&self.items[row])))
    }

    /// The vector that a delta gave an item, if it stands as of a number.
    pub(crate) fn vector(&self, id: u64, as_of: u64) -> Option<&[f32]> {
        let rows = self.versions.get(&id)?.iter();
        let stands = |row: &usize| self.made[*row] <= as_of && as_of < self.ended[*row];
        let row = rows.map(|row| *row as usize).find(stands)?;
        Some(&self.vectors[row * self.dim..][..self.dim])
    }

    /// Whether a row of the shard is gone as of a number.
    pub(crate) fn is_gone_at(&self, row: u32, as_of: u64) -> bool {
        self.gone.get(&row).is_some_and(|number| *number <= as_of)
    }

    /// Whether a row of the shard is gone now.
    pub(crate) fn is_gone(&self, row: u32) -> bool {
        self.gone.contains_key(&row)
    }

    fn standing(&self, as_of: u64) -> RoaringBitmap {
        let lives = self.made.iter().zip(&self.ended);
        let rows = lives
            .zip(0..)
            .filter_map(|((made, ended), row)| (*made <= as_of && as_of < *ended).then_some(row));
        rows.collect()
    }

    fn passing(&self, filter: &Filter) -> RoaringBitmap {
        let rows = |id: u64| self.versions.get(&id).into_iter().flatten().copied();
        filter.rows(&self.attributes, self.ids.len(), rows)
    }

    /// Ends what stands of an id.
    fn end(&mut self, id: u64, number: u64, ids: &[u64]) {
        if let Some(row) = self.versions.get(&id).and_then(|rows| rows.last()) {
            let ended = &mut self.ended[*row as usize];
            *ended = number.min(*ended);
        }
        if let Ok(row) = ids.binary_search(&id) {
            self.gone.entry(row as u32).or_insert(number);
        }
    }
}
