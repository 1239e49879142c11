//! Measures one shard: what its graph and its cells find of what a scan finds.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use generation::{
    manifest::ShardEntry,
    rows::{self, Numbers},
};
use index::{
    hnsw::HnswConfig,
    plan::Strategy,
    rows::RowsView,
    shard::{Options, Query, Rows, Shard},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{config::Config, error::Error};

/// How many neighbours are compared, in shards that have enough.
const NEIGHBOURS: usize = 100;
/// The plan scans shards with fewer rows than this for each neighbour wanted; to measure the graph
/// of such a shard, fewer neighbours are compared.
const ROWS_A_NEIGHBOUR: usize = 10;
/// Candidates looked at while searching, of which the least that find enough are taken.
const EFFORTS: [usize; 9] = [64, 96, 128, 192, 256, 384, 512, 768, 1024];
/// How far a query is from the row it is made of, as a share of the row's length.
const PERTURBATION: f32 = 0.5;

/// What searches of a shard find, and how hard those of its graph have to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// The share of the true nearest that is found.
    pub(super) recall: f64,
    /// Candidates that a search must look at for that.
    pub(super) expansion_search: usize,
    /// Whether the graph finds as much as `hnsw.recall` asks for.
    pub(super) enough: bool,
}

/// Opens a shard as it will serve and measures its graph, with the effort that is set, else with the least that finds enough, and
/// its cells; the lesser recall counts.
///
/// # Errors
/// [`Error::AnnRecall`] if it is under the floor, or what opening the shard says.
pub(super) fn shard(
    config: &Config,
    dir: &Path,
    entry: &ShardEntry,
    hnsw: &HnswConfig,
) -> Result<Measured, Error> {
    let file = |name: &str| {
        let path: PathBuf = dir.join(name);
        File::open(&path).map_err(|source| Error::Read { path, source })
    };
    let mut shard = open(file, entry, hnsw)?;
    let k = NEIGHBOURS.min(shard.len() / ROWS_A_NEIGHBOUR).max(1);
    let mut random = StdRng::seed_from_u64(config.verify.seed);
    let queries: Vec<_> = (0..config.verify.sample)
        .map(|_| query(shard.rows(), &mut random))
        .collect();
    let truths = queries.iter().map(|query| last(&shard, query, k));
    let truths = truths.collect::<Result<Vec<_>, _>>()?;

    let set = [config.hnsw.expansion_search];
    let efforts = if set == [0] { &EFFORTS[..] } else { &set };
    let mut measured = Measured {
        recall: 0.0,
        expansion_search: 0,
        enough: false,
    };
    for &expansion_search in efforts {
        shard.set_effort(expansion_search);
        measured = Measured {
            recall: recall(&shard, &queries, &truths, k)?,
            expansion_search,
            enough: false,
        };
        if measured.recall >= config.hnsw.recall {
            break;
        }
    }
    let check = |way, found| match found < config.verify.ann_recall_floor {
        true => Err(Error::AnnRecall {
            way,
            shard: entry.shard,
            k,
            found,
            floor: config.verify.ann_recall_floor,
        }),
        false => Ok(()),
    };
    check("graph", measured.recall)?;
    measured.enough = measured.recall >= config.hnsw.recall;
    shard.set_strategy(Strategy::Cells);
    let cells = recall(&shard, &queries, &truths, k)?;
    check("search of cells", cells)?;
    measured.recall = measured.recall.min(cells);
    Ok(measured)
}

/// The share of the true best `k` that are found, by their scores.
fn recall(
    shard: &Shard<Mapped>,
    queries: &[Vec<f32>],
    lasts: &[f32],
    k: usize,
) -> Result<f64, Error> {
    let mut found = 0;
    for (query, last) in queries.iter().zip(lasts) {
        let hits = shard.search(&Query::new(query, k))?.hits;
        found += hits.iter().filter(|hit| hit.score >= *last).count();
    }
    Ok(found as f64 / (queries.len() * k) as f64)
}

/// The score of the last of the true best `k`.
fn last(shard: &Shard<Mapped>, query: &[f32], k: usize) -> Result<f32, Error> {
    let truth = shard.search(&Query {
        exact: true,
        ..Query::new(query, k)
    })?;
    Ok(truth.hits.last().map_or(f32::INFINITY, |hit| hit.score))
}

/// Opens a shard from its files, so that its graph is walked however few rows it has.
pub(crate) fn open(
    file: impl Fn(&str) -> Result<File, Error>,
    entry: &ShardEntry,
    hnsw: &HnswConfig,
) -> Result<Shard<Mapped>, Error> {
    let rows = Mapped(rows::Rows::map(&file(&entry.rows)?)?);
    let options = Options {
        strategy: Strategy::Graph,
        hnsw: hnsw.clone(),
        ..Options::default()
    };
    Ok(Shard::open(
        rows,
        file(&entry.graph)?,
        file(&entry.items_file)?,
        entry.cells.as_deref().map(file).transpose()?,
        &options,
    )?)
}

/// Makes a query near a row, as a user's interest is near items but is none.
fn query(rows: RowsView<'_>, random: &mut StdRng) -> Vec<f32> {
    let row = rows.row(random.random_range(0..rows.len()));
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Uniform noise of this width has the wanted length on average.
    let width = PERTURBATION * length * (3.0 / row.len() as f32).sqrt();
    row.iter()
        .map(|value| value + width * random.random_range(-1.0..=1.0))
        .collect()
}

/// Rows in their file.
pub(crate) struct Mapped(rows::Rows);

impl Rows for Mapped {
    fn view(&self) -> RowsView<'_> {
        let (ids, dim) = (self.0.ids(), self.0.dim());
        match self.0.numbers() {
            Numbers::F32(vectors) => RowsView::new(ids, vectors, dim),
            Numbers::F16(vectors) => RowsView::halves(ids, vectors, dim),
        }
    }
}
