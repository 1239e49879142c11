//! Builds graphs, whole or out of others.

use std::{
    fs::File,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use usearch::Index;

use super::{Hnsw, HnswConfig, check_metric, graph, lift::Lift, map, new_index, reserve, threads};
use crate::{error::Error, rows::RowsView};

impl Hnsw {
    /// Builds a graph over `rows`, whose vectors must be finite and not zero.
    ///
    /// Several threads add rows, so two graphs of the same rows may differ. `progress` is told how
    /// many more rows are in, from any thread.
    ///
    /// # Errors
    /// [`Error::Graph`] if usearch refuses a setting or a row.
    pub fn build(
        rows: RowsView<'_>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        Self::build_as(rows, None, config, progress)
    }

    /// Builds a graph for dot products as [`Hnsw::build`] does, over rows made equal in length by one number more. Whether it
    /// finds more than the other depends on the rows.
    ///
    /// # Errors
    /// As [`Hnsw::build`].
    pub fn build_lifted(
        rows: RowsView<'_>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        Self::build_as(rows, Some(Lift::of(rows)), config, progress)
    }

    fn build_as(
        rows: RowsView<'_>,
        lift: Option<Lift>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        let threads = threads(config.threads);
        let index = new_index(rows.dim() + usize::from(lift.is_some()), config)?;
        reserve(&index, rows.len(), threads)?;
        let all: Vec<usize> = (0..rows.len()).collect();
        add(&index, rows, lift, &all, threads, progress)?;
        Self::finish(index, None, rows.len(), rows.dim(), threads)
    }

    /// Builds a graph over `rows` out of that of other rows, from a file whose bytes were hashed.
    ///
    /// Only what differs is taken out and added, so it costs as much as that. What is taken out may leave the graph a little
    /// worse than one that was built anew. A lifted one is built anew where a row is longer than all that it had.
    ///
    /// # Shapes
    /// - `before`: for each row which row of the other graph has the same vector, ascending; `count`: the rows of that graph
    ///
    /// # Errors
    /// As [`Hnsw::build`] and [`Hnsw::view`].
    pub fn rebuild(
        file: &File,
        count: usize,
        before: &[Option<usize>],
        rows: RowsView<'_>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        let threads = threads(config.threads);
        let index = new_index(rows.dim(), config)?;
        let map = map(file)?;
        index.load_from_buffer(&map).map_err(graph("load"))?;
        check_metric(&index, config.metric)?;
        let Self { index, lifted, .. } = Self::finish(index, None, count, rows.dim(), threads)?;
        let lift = match lifted {
            false => None,
            true => match lift_of(&index, before, rows)?.filter(|lift| lift.holds(rows)) {
                Some(lift) => Some(lift),
                None => return Self::build_lifted(rows, config, progress),
            },
        };
        index.change_expansion_add(config.expansion_add);
        reserve(&index, count.max(rows.len()), threads)?;
        rename(&index, count, before)?;
        let new = |row: &usize| before[*row].is_none();
        let new: Vec<usize> = (0..rows.len()).filter(new).collect();
        progress(rows.len() - new.len());
        add(&index, rows, lift, &new, threads, progress)?;
        Self::finish(index, None, rows.len(), rows.dim(), threads)
    }
}

/// By how much the rows of a graph are lifted; none if it has none of these.
fn lift_of(
    index: &Index,
    before: &[Option<usize>],
    rows: RowsView<'_>,
) -> Result<Option<Lift>, Error> {
    let known = before.iter().enumerate();
    let Some((row, old)) = known.filter_map(|(row, old)| Some((row, (*old)?))).next() else {
        return Ok(None);
    };
    let mut lifted = vec![0.0; rows.dim() + 1];
    let found = index
        .get(old as u64, &mut lifted)
        .map_err(graph("read a row"))?;
    Ok((found == 1).then(|| Lift::by(&rows.row(row), &lifted)))
}

/// Adds some of the rows, lifted if they are to be, from several threads.
fn add(
    index: &Index,
    rows: RowsView<'_>,
    lift: Option<Lift>,
    some: &[usize],
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(), Error> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let add_rows = || {
        while let Some(&row) = some.get(next.fetch_add(1, Ordering::Relaxed)) {
            let vector = rows.row(row);
            let added = match lift {
                Some(lift) => index.add(row as u64, &lift.row(&vector)),
                None => index.add(row as u64, &vector),
            };
            if let Err(cause) = added {
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(cause);
                next.store(some.len(), Ordering::Relaxed);
                return;
            }
            progress(1);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(add_rows);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(cause) => Err(graph("add a row")(cause)),
        None => Ok(()),
    }
}

/// Names the nodes of `count` rows by the new rows, and takes out those that are no row any more.
fn rename(index: &Index, count: usize, before: &[Option<usize>]) -> Result<(), Error> {
    let mut kept = vec![false; count];
    // By way of names that are no rows, for a new one may still be the old one of another node.
    let aside = |row: usize| row as u64 | 1 << 63;
    let moved = before.iter().enumerate();
    let moved = moved.filter_map(|(row, old)| Some(((*old)?, row)));
    let moved: Vec<(usize, usize)> = moved.collect();
    for (old, row) in &moved {
        kept[*old] = true;
        if old != row {
            let found = index.rename(*old as u64, aside(*row));
            found.map_err(graph("rename a row"))?;
        }
    }
    for (old, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
        index.remove(old as u64).map_err(graph("remove a row"))?;
    }
    for (old, row) in &moved {
        if old != row {
            let found = index.rename(aside(*row), *row as u64);
            found.map_err(graph("rename a row"))?;
        }
    }
    Ok(())
}
