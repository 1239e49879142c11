//! Shards of made-up vectors.

use std::{fs::File, path::PathBuf};

use index::{
    build::build,
    error::Error,
    hit::Hit,
    hnsw::HnswConfig,
    plan::Strategy,
    shard::{Options, Rows, RowsView, Shard},
};
use tempfile::TempDir;

pub(crate) const DIM: usize = 24;

/// Rows in memory.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) ids: Vec<u64>,
    pub(crate) vectors: Vec<f32>,
}

impl Rows for Owned {
    fn view(&self) -> RowsView<'_> {
        RowsView::new(&self.ids, &self.vectors, DIM)
    }
}

impl Owned {
    /// `count` rows with ids 3, 10, 17, ... and numbers by `seed`.
    pub(crate) fn random(count: usize, seed: u64) -> Self {
        Self {
            ids: (0..count as u64).map(|i| 7 * i + 3).collect(),
            vectors: random(count * DIM, seed),
        }
    }
}

/// A shard's files in a directory that goes away with them.
pub(crate) struct Files {
    pub(crate) dir: TempDir,
}

impl Files {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn open(&self, rows: &Owned, options: &Options) -> Result<Shard<Owned>, Error> {
        let file = |name| File::open(self.path(name)).unwrap();
        let cells = File::open(self.path("cells")).ok();
        Shard::open(rows.clone(), file("graph"), file("items"), cells, options)
    }
}

pub(crate) fn build_files(rows: &Owned) -> Result<Files, Error> {
    build_files_with(rows, &HnswConfig::default())
}

pub(crate) fn build_files_with(rows: &Owned, config: &HnswConfig) -> Result<Files, Error> {
    let files = Files {
        dir: tempfile::tempdir().unwrap(),
    };
    let items: Vec<String> = rows
        .ids
        .iter()
        .map(|id| format!("{{\"id\":{id}}}"))
        .collect();
    build(
        rows.view(),
        &items,
        config,
        None,
        &files.path("graph"),
        &files.path("items"),
        &|_| {},
    )?;
    Ok(files)
}

/// A shard whose graph is walked, however small it is.
pub(crate) fn walked(rows: &Owned) -> Shard<Owned> {
    let options = Options {
        strategy: Strategy::Graph,
        ..Options::default()
    };
    build_files(rows).unwrap().open(rows, &options).unwrap()
}

/// The answer by definition, from sums in f64.
pub(crate) fn brute_force(rows: &Owned, queries: &[f32], k: usize, exclude: &[u64]) -> Vec<Hit> {
    let score = |row: &[f32], query: &[f32]| {
        row.iter()
            .zip(query)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>() as f32
    };
    let mut hits = Vec::new();
    for (id, row) in rows.ids.iter().zip(rows.vectors.chunks_exact(DIM)) {
        if exclude.contains(id) {
            continue;
        }
        let scores = queries.chunks_exact(DIM).map(|query| score(row, query));
        let all = scores.enumerate().map(|(interest, score)| Hit {
            id: *id,
            score,
            interest: interest as u32,
        });
        hits.extend(all.min());
    }
    hits.sort();
    hits.truncate(k);
    hits
}

/// Whole numbers between -8 and 8, so that sums are exact in any order, from a xorshift generator.
pub(crate) fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) % 17) as f32 - 8.0
    };
    (0..count).map(|_| next()).collect()
}
