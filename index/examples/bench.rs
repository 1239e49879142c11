//! The library's part of `make bench-index`: a shard of vectors that the script made, and what it is told to do with them.
//!
//! `bench DIR DIM INTERESTS K` reads `DIR/rows.f32` and `DIR/queries.f32`, little-endian, and a command a line:
//!
//! - `graph CONNECTIVITY EXPANSION`: from now on graphs are made with so many neighbours a node and so many candidates for each;
//!   else with the default settings
//! - `build`: makes the shard's graph and items; `build dot`: for dot products of vectors of unequal length
//! - `divide`: makes the file of the shard's cells if it is large enough to have some; whoever opens it without divides it himself
//! - `change EACH`: makes a graph out of that of `build`, one of so many rows having got another vector
//! - `add`: what usearch alone takes for that: a loop that adds every row to a graph with the same settings; `save`: writes it to
//!   `DIR/added`
//! - `exact`, `cells`, `walk EF`: opens the shard so that it is always scanned, its cells are, or it is walked with that effort
//! - `plan`: opens the shard as an item tower does
//! - `filter SHARE`: from now on only that share of the rows passes, those with the smallest [`number`]; 1 means no filter
//! - `search`: finds the best `K` for each user and writes their ids to `DIR/found.u64`; a missing one is the largest number
//!
//! Each is answered by a line when it is done. The script takes the CPU time meanwhile.
#![allow(clippy::print_stdout, reason = "the answers go to the script")]

use std::{
    convert::Infallible,
    error::Error,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use index::{
    build,
    filter::{Condition, Filter},
    hnsw::{Hnsw, HnswConfig, Metric},
    plan::Strategy,
    shard::{Options, Query, Rows, RowsView, Shard},
};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Vectors in memory, whose ids are their places.
#[derive(Clone)]
struct Vectors {
    ids: Vec<u64>,
    numbers: Vec<f32>,
    dim: usize,
}

impl Rows for Vectors {
    fn view(&self) -> RowsView<'_> {
        RowsView::new(&self.ids, &self.numbers, self.dim)
    }
}

struct Bench {
    dir: PathBuf,
    rows: Vectors,
    /// `[users, interests, dim]`.
    queries: Vec<f32>,
    interests: usize,
    k: usize,
    /// How graphs are made; the metric is that of the one that was built last.
    graph: HnswConfig,
    /// What usearch alone made.
    added: Option<Index>,
    shard: Option<Shard<Vectors>>,
    filter: Option<Filter>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, dim, interests, k] = &arguments[..] else {
        return Err("usage: bench DIR DIM INTERESTS K".into());
    };
    let (dir, dim) = (PathBuf::from(dir), dim.parse()?);
    let numbers = read(&dir.join("rows.f32"))?;
    let mut bench = Bench {
        queries: read(&dir.join("queries.f32"))?,
        rows: Vectors {
            ids: (0..(numbers.len() / dim) as u64).collect(),
            numbers,
            dim,
        },
        dir,
        interests: interests.parse()?,
        k: k.parse()?,
        graph: HnswConfig::default(),
        added: None,
        shard: None,
        filter: None,
    };
    for line in io::stdin().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["graph", connectivity, expansion] => {
                bench.graph.connectivity = connectivity.parse()?;
                bench.graph.expansion_add = expansion.parse()?;
            }
            ["build"] => bench.build(Metric::Cosine)?,
            ["build", "dot"] => bench.build(Metric::Dot)?,
            ["divide"] => bench.divide()?,
            ["change", each] => bench.change(each.parse()?)?,
            ["add"] => bench.added = Some(add(bench.rows.view(), &bench.graph)?),
            ["save"] => bench.save()?,
            ["cells"] => bench.open(Strategy::Cells, None)?,
            ["exact"] => bench.open(Strategy::Scan, None)?,
            ["plan"] => bench.open(Strategy::Auto, None)?,
            ["walk", effort] => bench.open(Strategy::Graph, Some(effort.parse()?))?,
            ["filter", share] => bench.filter = filter(share.parse()?),
            ["search"] => bench.search()?,
            _ => return Err(format!("no such command: {line}").into()),
        }
        println!("{line}");
        io::stdout().flush()?;
    }
    Ok(())
}

impl Bench {
    fn build(&mut self, metric: Metric) -> Result<(), Box<dyn Error>> {
        self.graph.metric = metric;
        let items = vec![""; self.rows.ids.len()];
        let [graph, described, _] = self.files();
        Ok(build::build(
            self.rows.view(),
            &items,
            &self.graph,
            None,
            &graph,
            &described,
            &|_| {},
        )?)
    }

    fn divide(&self) -> Result<(), Box<dyn Error>> {
        let [_, _, cells] = self.files();
        build::cells(self.rows.view(), self.graph.threads, &cells)?;
        Ok(())
    }

    fn change(&self, each: usize) -> Result<(), Box<dyn Error>> {
        let [graph, ..] = self.files();
        let mut rows = self.rows.clone();
        let changed = (0..rows.ids.len()).step_by(each);
        for row in changed.clone().skip(1) {
            let [from, to] = [row - 1, row].map(|row| row * rows.dim);
            rows.numbers.copy_within(from..from + rows.dim, to);
        }
        let same = |row: usize| (!row.is_multiple_of(each)).then_some(row);
        let before: Vec<_> = (0..rows.ids.len()).map(same).collect();
        let changed = Hnsw::rebuild(
            &File::open(graph)?,
            before.len(),
            &before,
            rows.view(),
            &self.graph,
            &|_| {},
        )?;
        Ok(changed.save(&self.dir.join("changed"))?)
    }

    fn save(&mut self) -> Result<(), Box<dyn Error>> {
        let added = self.added.take().ok_or("nothing was added")?;
        let file = self.dir.join("added");
        Ok(added.save(file.to_str().ok_or("the folder's name is not text")?)?)
    }

    fn open(&mut self, strategy: Strategy, effort: Option<usize>) -> Result<(), Box<dyn Error>> {
        let [graph, items, cells] = self.files();
        let mut hnsw = self.graph.clone();
        hnsw.expansion_search = effort.unwrap_or(hnsw.expansion_search);
        let options = Options {
            strategy,
            hnsw,
            ..Options::default()
        };
        self.shard = None;
        let mut shard = Shard::open(
            self.rows.clone(),
            File::open(graph)?,
            File::open(items)?,
            cells.exists().then(|| File::open(cells)).transpose()?,
            &options,
        )?;
        let mut row = 0;
        shard.describe(|_, item| {
            item.number("number", number(row));
            row += 1;
            Ok::<_, Infallible>(())
        })?;
        self.shard = Some(shard);
        Ok(())
    }

    fn search(&self) -> Result<(), Box<dyn Error>> {
        let shard = self.shard.as_ref().ok_or("no shard is open")?;
        let mut found = Vec::new();
        for queries in self.queries.chunks_exact(self.interests * self.rows.dim) {
            let query = Query {
                filter: self.filter.as_ref(),
                ..Query::new(queries, self.k)
            };
            let hits = shard.search(&query)?.hits;
            let ids = hits.iter().map(|hit| hit.id);
            found.extend(
                ids.chain(std::iter::repeat(u64::MAX))
                    .take(self.k)
                    .flat_map(u64::to_le_bytes),
            );
        }
        Ok(fs::write(self.dir.join("found.u64"), found)?)
    }

    fn files(&self) -> [PathBuf; 3] {
        ["graph", "items", "cells"].map(|name| self.dir.join(name))
    }
}

/// The attribute of a row: a number from 0 to 1, well mixed.
fn number(row: u32) -> f64 {
    f64::from(row.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX)
}

fn filter(share: f64) -> Option<Filter> {
    let condition = Condition::Range {
        attribute: "number".to_owned(),
        min: 0.0,
        max: share,
    };
    (share < 1.0).then(|| Filter {
        must: vec![condition],
        ..Filter::default()
    })
}

/// Adds every row to a graph of usearch, by as many threads as there are cores.
fn add(rows: RowsView<'_>, config: &HnswConfig) -> Result<Index, Box<dyn Error>> {
    let threads = thread::available_parallelism()?.get();
    let index = Index::new(&IndexOptions {
        dimensions: rows.dim(),
        metric: MetricKind::Cos,
        quantization: ScalarKind::F32,
        connectivity: config.connectivity,
        expansion_add: config.expansion_add,
        expansion_search: config.expansion_search,
        multi: false,
    })?;
    index.reserve_capacity_and_threads(rows.len(), threads)?;
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let adders: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> Result<(), String> {
                    loop {
                        let row = next.fetch_add(1, Ordering::Relaxed);
                        if row >= rows.len() {
                            return Ok(());
                        }
                        let added = index.add(row as u64, &rows.row(row));
                        added.map_err(|cause| cause.to_string())?;
                    }
                })
            })
            .collect();
        for adder in adders {
            adder
                .join()
                .map_err(|_| "a thread that adds rows panicked")??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(index)
}

fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
}
