//! One shard, opened from its files: searches it and reads its items.

use std::{
    borrow::Cow,
    fs::File,
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

pub use crate::rows::RowsView;
use crate::{
    eligible::{self, Eligible},
    error::Error,
    exact,
    filter::{Attributes, Described, Filter},
    hit::Hit,
    hnsw::{Hnsw, HnswConfig},
    items::Items,
    plan::{self, Plan, Strategy, Wanted},
    quantized::Quantized,
    rows::unusable,
    tail::{Fresh, Sought, Tail, Upsert},
};

/// Rows that a shard owns, wherever they are.
pub trait Rows: Send + Sync {
    /// Borrows the rows; every call returns the same.
    fn view(&self) -> RowsView<'_>;
}

/// How a shard is searched.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which way it is searched.
    pub strategy: Strategy,
    /// How the graph is walked; what it was built with does not matter here.
    pub hnsw: HnswConfig,
    /// The number of the last delta that the shard was built with.
    pub delta: u64,
}

/// A shard.
#[derive(Debug)]
pub struct Shard<R: Rows> {
    rows: R,
    quantized: Option<Quantized>,
    graph: Hnsw,
    items: Items,
    attributes: Attributes,
    strategy: Strategy,
    connectivity: usize,
    effort: usize,
    tier: AtomicUsize,
    tail: RwLock<Tail>,
}

/// The highest tier of effort.
pub const TIERS: usize = 3;

/// A search.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// `[q, dim]`, `q` at least 1.
    pub vectors: &'a [f32],
    /// How many items.
    pub k: usize,
    /// Ids of items to leave out, strictly ascending.
    pub exclude: &'a [u64],
    /// What the items must be.
    pub filter: Option<&'a Filter>,
    /// Compare every row that may be returned.
    pub exact: bool,
    /// See the shard as it was at this delta; as it is, if none is named.
    pub as_of: Option<u64>,
}

impl<'a> Query<'a> {
    /// The best `k` of all items, by whichever way costs less.
    pub fn new(vectors: &'a [f32], k: usize) -> Self {
        Self {
            vectors,
            k,
            exclude: &[],
            filter: None,
            exact: false,
            as_of: None,
        }
    }
}

/// What a search found, and in how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `min(k, eligible)` hits, best first, none of them excluded, all of them passing the filter.
    pub hits: Vec<Hit>,
    /// Rows that could be returned.
    pub eligible: u64,
    /// Eligible rows that were compared, or are in the graph that was walked.
    pub searched: u64,
    /// How the rows that the shard was built with were searched; fresh rows are all compared.
    pub plan: Plan,
    /// Places of the hits that are fresh, ascending.
    pub fresh: Vec<u32>,
    /// Rows there were, fresh ones among them.
    pub rows: u64,
    /// Fresh rows there were.
    pub fresh_rows: u64,
    /// The last delta that was seen.
    pub as_of: u64,
}

/// What passes a filter now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passing {
    /// Rows that the shard was built with, ascending.
    pub rows: Vec<usize>,
    /// Ids of fresh rows.
    pub fresh: Vec<u64>,
}

/// An item as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem<'a> {
    /// The item's id.
    pub id: u64,
    /// The item's bytes.
    pub bytes: Cow<'a, [u8]>,
}

impl<R: Rows> Shard<R> {
    /// Opens a shard from rows, graph and items whose bytes were hashed. Nothing is known of its items' attributes.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if they do not belong together, [`Error::Order`] if ids do not ascend,
    /// [`Error::Vector`] if a vector is zero or not finite.
    pub fn open(rows: R, graph: File, items: File, options: &Options) -> Result<Self, Error> {
        let view = rows.view();
        view.check_ids()?;
        view.check_vectors()?;
        let items = Items::map(&items)?;
        if items.len() != view.len() {
            return Err(Error::mismatch(
                "items",
                "number of items",
                items.len(),
                view.len(),
            ));
        }
        let graph = Hnsw::view(&graph, view.len(), view.dim(), &options.hnsw)?;
        Ok(Self {
            quantized: Quantized::new(view),
            tail: RwLock::new(Tail::new(view.dim(), options.delta)),
            rows,
            graph,
            items,
            attributes: Attributes::default(),
            strategy: options.strategy,
            connectivity: options.hnsw.connectivity,
            effort: options.hnsw.expansion_search,
            tier: AtomicUsize::new(0),
        })
    }

    /// Learns the attributes that filters ask for: `describe` reads an item's bytes and tells what they say.
    ///
    /// # Errors
    /// The first that `describe` returns; then nothing is learnt.
    pub fn describe<E>(
        &mut self,
        mut describe: impl FnMut(&[u8], &mut Described<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut attributes = Attributes::default();
        for row in 0..self.items.len() {
            describe(self.items.get(row), &mut attributes.of(row as u32))?;
        }
        attributes.settle();
        self.attributes = attributes;
        Ok(())
    }

    /// Sets which way is searched.
    pub fn set_strategy(&mut self, strategy: Strategy) {
        self.strategy = strategy;
    }

    /// Sets how many candidates a walk of the graph looks at.
    pub fn set_effort(&mut self, expansion_search: usize) {
        self.graph.set_effort(expansion_search);
        self.effort = expansion_search;
    }

    /// Takes up delta `number`: puts items in, in place of what there is of their ids, and takes the ids `deletes` out, of
    /// which none is put in. `describe` is as for [`Shard::describe`].
    ///
    /// Searches that run meanwhile see all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Delta`] if the number is not greater than the last, [`Error::Upsert`] or [`Error::UpsertLength`] for a
    /// vector that cannot be compared, or what `describe` returns; then nothing is taken up.
    pub fn apply<E: From<Error>>(
        &self,
        number: u64,
        upserts: &[Upsert<'_>],
        deletes: &[u64],
        mut describe: impl FnMut(&[u8], &mut Described<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // All that takes long comes before searches have to wait.
        let mut attributes = Attributes::default();
        let found = upserts.iter().filter(|upsert| upsert.vector.is_some());
        for (upsert, row) in found.zip(0..) {
            describe(upsert.bytes, &mut attributes.of(row))?;
        }
        attributes.settle();
        let ids = self.rows.view().ids();
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        tail.check(number, upserts)?;
        tail.apply(number, upserts, deletes, ids, attributes);
        Ok(())
    }

    /// The number of the last delta taken up.
    pub fn delta(&self) -> u64 {
        self.tail().number()
    }

    /// How many rows deltas have made and ended since the shard was built.
    pub fn changed(&self) -> usize {
        self.tail().len()
    }

    /// How hard searches that do not compare every row look, from 0 to [`TIERS`].
    pub fn tier(&self) -> usize {
        self.tier.load(Relaxed)
    }

    /// Lets searches look harder: each tier walks to twice as many nodes of a graph as the one before, and looks further for
    /// cells. Searches under way go on as they began.
    pub fn set_tier(&self, tier: usize) {
        self.tier.store(tier.min(TIERS), Relaxed);
    }

    /// Finds the best items that pass the filter and are not excluded, by the greatest score over the queries.
    ///
    /// Scores are dot products of the rows as they are, the same whichever way was searched. Every row that may be returned
    /// is compared if the query or the plan says so, and where the graph comes up with fewer than `min(k, eligible)`.
    ///
    /// # Errors
    /// If the vectors or the excluded ids are not as [`Query`] says, a vector is zero or not finite, or the shard cannot be
    /// seen as of the delta named.
    pub fn search(&self, query: &Query<'_>) -> Result<Found, Error> {
        let rows = self.rows.view();
        check_queries(query.vectors, rows.dim())?;
        check_exclude(query.exclude)?;
        let (as_of, gone) = {
            let tail = self.tail();
            let as_of = tail.as_of(query.as_of)?;
            (as_of, tail.gone(as_of))
        };
        let old = rows.len() - gone.len();
        let eligible = Eligible::new(rows, &self.attributes, query.filter, query.exclude, gone);
        let count = eligible.count(rows.len());
        let k = query.k.min(count);
        let strategy = if query.exact {
            Strategy::Scan
        } else {
            self.strategy
        };
        let wanted = self.wanted(query.vectors, k, &eligible);
        let mut plan = plan::choose(strategy, wanted);
        let mut hits = self.run(plan, query.vectors, k, &eligible)?;
        if hits.len() < k {
            plan = plan::choose(Strategy::Scan, wanted);
            hits = self.run(plan, query.vectors, k, &eligible)?;
        }
        let fresh = self.tail().search(&Sought {
            queries: query.vectors,
            k: query.k,
            exclude: query.exclude,
            filter: query.filter,
            as_of,
        });
        let (hits, places) = merge(hits, &fresh, query.k);
        Ok(Found {
            hits,
            eligible: (count + fresh.eligible) as u64,
            searched: (count + fresh.eligible) as u64,
            plan,
            fresh: places,
            rows: (old + fresh.rows) as u64,
            fresh_rows: fresh.rows as u64,
            as_of,
        })
    }

    /// Returns what the filter lets pass now.
    pub fn passing(&self, filter: &Filter) -> Passing {
        let rows = self.rows.view();
        let passing = filter.rows(&self.attributes, rows.len(), |id| eligible::row(rows, id));
        let tail = self.tail();
        let rows = passing.into_iter().filter(|row| !tail.is_gone(*row));
        Passing {
            rows: rows.map(|row| row as usize).collect(),
            fresh: tail.ids_passing(filter),
        }
    }

    /// Reads an item as it is now; `None` if the shard has none of that id.
    ///
    /// # Errors
    /// Never while items are mapped; callers are ready for shards that fetch them.
    pub fn item(&self, id: u64) -> Result<Option<StoredItem<'_>>, Error> {
        let stored = |bytes| StoredItem { id, bytes };
        let tail = self.tail();
        if let Some(fresh) = tail.item(id) {
            return Ok(fresh.map(|bytes| stored(Cow::Owned(bytes.to_vec()))));
        }
        let row = eligible::row(self.rows.view(), id).filter(|row| !tail.is_gone(*row));
        Ok(row.map(|row| stored(Cow::Borrowed(self.items.get(row as usize)))))
    }

    /// The rows that it was built with.
    pub fn rows(&self) -> RowsView<'_> {
        self.rows.view()
    }

    /// How many items it was built with.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it was built with none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the plan depends on.
    fn wanted(&self, queries: &[f32], k: usize, eligible: &Eligible) -> Wanted {
        let rows = self.rows.view();
        let row_bytes = match &self.quantized {
            Some(_) => Quantized::row_bytes(rows.dim()),
            None => rows.dim() * size_of::<f32>(),
        };
        Wanted {
            rows: rows.len(),
            row_bytes,
            dim: rows.dim(),
            connectivity: self.connectivity,
            effort: self.effort,
            cells: self.quantized.as_ref().map_or(1, Quantized::cells),
            share: self.quantized.as_ref().map_or(1.0, Quantized::share),
            queries: queries.len() / rows.dim(),
            k,
            eligible: eligible.count(rows.len()),
            listed: matches!(eligible, Eligible::Only(..)),
            excluded: eligible.excluded(),
        }
    }

    /// Searches one way; only a walk may find fewer than there are.
    fn run(
        &self,
        plan: Plan,
        queries: &[f32],
        k: usize,
        eligible: &Eligible,
    ) -> Result<Vec<Hit>, Error> {
        let rows = self.rows.view();
        Ok(match (plan, &self.quantized, eligible) {
            _ if k == 0 => Vec::new(),
            (Plan::Graph { fetch }, ..) => self.walk(queries, k, fetch, eligible)?,
            (Plan::Matches, _, Eligible::Only(matches, _)) => {
                exact::rank(rows, matches.iter().map(|row| row as usize), queries, k)
            }
            (Plan::Cells, Some(quantized), _) => {
                quantized
                    .scan_cells(rows, queries, k, eligible, self.tier())
                    .hits
            }
            (_, Some(quantized), _) => quantized.scan(rows, queries, k, eligible),
            (_, None, _) => exact::scan_eligible(rows, queries, k, eligible),
        })
    }

    /// Walks the graph for every query and scores what comes up with all of them.
    fn walk(
        &self,
        queries: &[f32],
        k: usize,
        fetch: usize,
        eligible: &Eligible,
    ) -> Result<Vec<Hit>, Error> {
        let rows = self.rows.view();
        // A walk for more looks at as many as it wants.
        let fetch = match self.tier() {
            0 => fetch,
            tier => fetch.max(self.effort).saturating_mul(1 << tier),
        };
        let mut candidates = Vec::new();
        for query in queries.chunks_exact(rows.dim()) {
            candidates.extend(self.graph.search(query, fetch)?);
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|row| eligible.has(*row));
        Ok(exact::rank(rows, candidates.into_iter(), queries, k))
    }
}

/// The best `k` of both, and the places of the fresh ones among them.
fn merge(mut hits: Vec<Hit>, fresh: &Fresh, k: usize) -> (Vec<Hit>, Vec<u32>) {
    if fresh.hits.is_empty() {
        return (hits, Vec::new());
    }
    hits.extend(&fresh.hits);
    hits.sort_unstable();
    hits.truncate(k);
    let is_fresh = |hit: &Hit| fresh.hits.binary_search(hit).is_ok();
    let places = hits.iter().zip(0..).filter(|(hit, _)| is_fresh(hit));
    let places = places.map(|(_, place)| place).collect();
    (hits, places)
}

fn check_queries(queries: &[f32], dim: usize) -> Result<(), Error> {
    if queries.is_empty() || !queries.len().is_multiple_of(dim) {
        return Err(Error::QueryLength {
            found: queries.len(),
            dim,
        });
    }
    for (query, vector) in queries.chunks_exact(dim).enumerate() {
        if let Some(length) = unusable(vector) {
            return Err(Error::Query { query, length });
        }
    }
    Ok(())
}

fn check_exclude(exclude: &[u64]) -> Result<(), Error> {
    match exclude.windows(2).position(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(before) => Err(Error::Exclude {
            at: before + 1,
            id: exclude[before + 1],
            previous: exclude[before],
        }),
    }
}
