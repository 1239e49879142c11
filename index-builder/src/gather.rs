//! Reads what all parts spooled for one shard into memory, and orders it by id.

use std::{borrow::Cow, collections::HashMap, fs, mem, path::Path};

use encoder::features::CatalogItem;

use crate::{
    embed::Part,
    error::{Error, JobError, VectorsError},
    items::NO_ROW,
    job::Job,
    plan,
    popularity::Popular,
    spool::{Kind, Record},
    work::Made,
};

/// What the parts came to, all together.
pub(crate) fn total(parts: &[Made<Part>]) -> Part {
    parts.iter().fold(Part::default(), |sum, part| Part {
        rows: sum.rows + part.made.rows,
        bad: sum.bad + part.made.bad,
        left_out: sum.left_out + part.made.left_out,
        items: sum.items + part.made.items,
        kept: sum.kept + part.made.kept,
        unknown: sum.unknown + part.made.unknown,
        vectors: sum.vectors + part.made.vectors,
    })
}

/// One kind of spool of a shard, of all parts.
pub(crate) struct Gathered {
    files: Vec<Vec<u8>>,
    /// Where the records are, by ascending id, then row.
    places: Vec<Place>,
    /// How popular the rows are whose place items of the log took.
    replaced: HashMap<u64, u64>,
}

struct Place {
    id: u64,
    row: u64,
    file: usize,
    at: usize,
}

/// The rows of a shard, by ascending id.
pub(crate) struct ShardRows<'a> {
    /// Item ids.
    pub(crate) ids: Vec<u64>,
    /// `[ids, dim]`.
    pub(crate) vectors: Vec<f32>,
    /// What the shard stores of each item.
    pub(crate) items: Vec<Cow<'a, [u8]>>,
    /// The most popular of them.
    pub(crate) popular: Popular,
    /// Items for which there is no ready vector.
    pub(crate) without_vector: u64,
    /// Ready vectors for which there is no item.
    pub(crate) without_item: u64,
}

impl Gathered {
    /// Reads the spools of a shard and holds each against its hash.
    ///
    /// # Errors
    /// [`JobError::Damaged`] if one is not what its part wrote; the part is forgotten then. [`Error::Read`].
    pub(crate) fn read(
        job: &Job,
        parts: &[Made<Part>],
        kind: Kind,
        shard: u32,
    ) -> Result<Self, Error> {
        let mut gathered = Self {
            files: Vec::with_capacity(parts.len()),
            places: Vec::new(),
            replaced: HashMap::new(),
        };
        for (part, made) in (1..).zip(parts) {
            let name = kind.file(shard);
            let step = plan::part_step(part);
            let path = job.work.path(&step).join(&name);
            let bytes = fs::read(&path).map_err(|source| Error::Read {
                path: path.clone(),
                source,
            })?;
            let found = blake3::hash(&bytes).to_hex().to_string();
            let expected = made.files.get(&name).map(|file| file.blake3.clone());
            if expected.as_ref() != Some(&found) || !gathered.take(bytes) {
                job.work.forget(&step)?;
                return Err(JobError::Damaged {
                    path,
                    found,
                    expected: expected.unwrap_or_default(),
                    command: format!("`embed --part {part}/{}`", parts.len()),
                }
                .into());
            }
        }
        gathered
            .places
            .sort_unstable_by_key(|place| (place.id, place.row));
        gathered.replace();
        Ok(gathered)
    }

    /// Lets each item of the log take the place of the row of its id, as popular as that is.
    fn replace(&mut self) {
        let mut kept: Vec<Place> = Vec::with_capacity(self.places.len());
        for place in mem::take(&mut self.places) {
            let fresh = kept
                .last()
                .is_some_and(|last| last.row == NO_ROW && last.id == place.id);
            if fresh && !self.replaced.contains_key(&place.id) {
                let record = self.record(&place);
                let popularity = record.map_or(0, |record| record.popularity);
                self.replaced.insert(place.id, popularity);
            } else {
                kept.push(place);
            }
        }
        self.places = kept;
    }

    /// Takes a spool; false if its last record is not whole.
    fn take(&mut self, bytes: Vec<u8>) -> bool {
        let (mut at, file) = (0, self.files.len());
        while let Some((record, length)) = Record::first(&bytes[at..]) {
            self.places.push(Place {
                id: record.id,
                row: record.row,
                file,
                at,
            });
            at += length;
        }
        let whole = at == bytes.len();
        self.files.push(bytes);
        whole
    }

    /// The first id that two records have, and the rows of both.
    fn twice(&self) -> Option<(u64, u64, u64)> {
        let mut pairs = self.places.windows(2);
        let pair = pairs.find(|pair| pair[0].id == pair[1].id)?;
        Some((pair[0].id, pair[0].row, pair[1].row))
    }

    /// What the shard stores of an item: as popular as the row whose place it took.
    fn stored<'a>(&self, item: &Record<'a>) -> Result<(Cow<'a, [u8]>, u64), Error> {
        let Some(&popularity) = self.replaced.get(&item.id) else {
            return Ok((Cow::Borrowed(item.item), item.popularity));
        };
        let json = |source| Error::Json {
            id: item.id,
            source,
        };
        let stored: CatalogItem = serde_json::from_slice(item.item).map_err(json)?;
        let stored = CatalogItem {
            popularity,
            ..stored
        };
        let stored = serde_json::to_vec(&stored).map_err(json)?;
        Ok((Cow::Owned(stored), popularity))
    }

    fn record(&self, place: &Place) -> Option<Record<'_>> {
        Record::first(&self.files[place.file][place.at..]).map(|(record, _)| record)
    }

    /// The records by ascending id.
    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.places.iter().filter_map(|place| self.record(place))
    }
}

impl<'a> ShardRows<'a> {
    /// Puts items together with their vectors: those beside them, or those of `vectors` if they are ready.
    ///
    /// # Errors
    /// [`Error::Duplicate`] or [`VectorsError::Duplicate`] if two rows of the `catalog` or of the ready vectors have one id.
    pub(crate) fn join(
        catalog: &Path,
        items: &'a Gathered,
        vectors: Option<(&Path, &Gathered)>,
    ) -> Result<Self, Error> {
        if let Some((id, first, second)) = items.twice() {
            let path = catalog.to_owned();
            return Err(Error::Duplicate {
                path,
                id,
                first,
                second,
            });
        }
        let mut rows = Self {
            ids: Vec::with_capacity(items.places.len()),
            vectors: Vec::new(),
            items: Vec::with_capacity(items.places.len()),
            popular: Popular::default(),
            without_vector: 0,
            without_item: 0,
        };
        match vectors {
            None => {
                for item in items.records() {
                    rows.push(items, &item, &item)?;
                }
            }
            Some((path, vectors)) => {
                if let Some((id, first, second)) = vectors.twice() {
                    let path = path.to_owned();
                    return Err(VectorsError::Duplicate {
                        path,
                        id,
                        first,
                        second,
                    }
                    .into());
                }
                rows.merge(items, vectors)?;
            }
        }
        Ok(rows)
    }

    fn merge(&mut self, items: &'a Gathered, vectors: &Gathered) -> Result<(), Error> {
        let mut vectors = vectors.records().peekable();
        for item in items.records() {
            while vectors.next_if(|vector| vector.id < item.id).is_some() {
                self.without_item += 1;
            }
            match vectors.next_if(|vector| vector.id == item.id) {
                Some(vector) => self.push(items, &item, &vector)?,
                None => self.without_vector += 1,
            }
        }
        self.without_item += vectors.count() as u64;
        Ok(())
    }

    fn push(
        &mut self,
        items: &Gathered,
        item: &Record<'a>,
        vector: &Record<'_>,
    ) -> Result<(), Error> {
        let (stored, popularity) = items.stored(item)?;
        self.ids.push(item.id);
        self.vectors.extend(vector.numbers());
        self.items.push(stored);
        self.popular.push(item.id, popularity);
        Ok(())
    }
}
