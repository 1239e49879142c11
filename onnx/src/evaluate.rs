//! Evaluates an exported artifact through the code that serves it, beside the baselines.
//!
//! Users are embedded from raw features and raw histories by `encoder`, as the user tower does it; items as the item tower does.
//! All items of the set are ranked for every user's last event by exact search, and once more by ANN search.

mod ann;
mod answers;
mod ranks;
mod report;
pub mod slices;
pub mod top_n;
pub(crate) mod vectors;

use std::path::Path;

use encoder::artifact::Artifact;
use serde::Serialize;

pub use self::{
    ann::Ann,
    answers::{Answer, answers},
    ranks::ranks,
    report::report,
};
use crate::{
    baselines::{Popularity, Transitions},
    dataset::{
        Dataset,
        split::{ItemSet, Sequence, Split},
    },
    evaluate::{
        ann::Search,
        slices::Slice,
        top_n::TopN,
        vectors::{Scorer, Vectors},
    },
    metrics::{self, Case, Figures, Rankings},
};

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct Options {
    /// The item sets, the headline first.
    pub sets: Vec<ItemSet>,
    /// Whether to build an ANN index over the items of the first set and compare.
    pub ann: bool,
    /// Whether to slice the artifact's figures on the first set, seen items excluded.
    pub slices: bool,
    /// How many items of the first set to recommend to every user over an ANN index, if any.
    pub top_n: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sets: vec![ItemSet::S, ItemSet::R],
            ann: true,
            slices: false,
            top_n: None,
        }
    }
}

/// Why an artifact could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifact cannot be opened, or a tower does not run.
    #[error(transparent)]
    Encoder(#[from] encoder::error::Error),
    /// The ANN index cannot be built or searched.
    #[error("the ANN index: {0}")]
    Index(#[from] index::error::Error),
    /// The model knows none of the dataset's items.
    #[error(
        "the artifact knows none of the {items} items of {dataset}: it was trained on another dataset"
    )]
    Foreign {
        /// How many items there are.
        items: usize,
        /// Name of the dataset.
        dataset: String,
    },
    /// No user has the 3 events that it takes to hold one back.
    #[error("no user of {dataset} has 3 events on items of set {set:?}")]
    NobodyToRank {
        /// Name of the dataset.
        dataset: String,
        /// The item set.
        set: ItemSet,
    },
    /// A tower is not the ONNX file it should be.
    #[error("{file}: {reason}")]
    Tower {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The report could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Name and hash of the dataset.
    pub dataset: (String, String),
    /// The artifact's embedding space.
    pub space: String,
    /// How many parameters the two towers have.
    pub parameters: u64,
    /// Whether the model was told the time of the event held back, as a server tells it the time of the request.
    pub request_time: bool,
    /// The artifact and the baselines, on each item set, with seen items excluded and not.
    pub rows: Vec<Row>,
    /// ANN search beside exact search, on the first item set with seen items excluded.
    pub ann: Option<Ann>,
    /// The artifact's figures by groups of users, on the first item set with seen items excluded; none unless asked for.
    pub slices: Vec<Slice>,
    /// What every user is recommended over an ANN index; nothing unless asked for.
    pub top_n: Option<TopN>,
}

/// One model under one protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `artifact`, `popularity` or `transitions`.
    pub model: &'static str,
    /// Which items are ranked.
    pub item_set: ItemSet,
    /// Whether the items of a user's history are left out.
    pub seen_excluded: bool,
    /// How many items are ranked.
    pub candidates: usize,
    /// How many of them the model does not know: each is a miss where it was the target.
    pub unknown: usize,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Evaluation {
    /// Returns a model's row; the headline is the first item set with seen items excluded.
    pub fn row(&self, model: &str, item_set: ItemSet, seen_excluded: bool) -> Option<&Row> {
        self.rows.iter().find(|row| {
            row.model == model && row.item_set == item_set && row.seen_excluded == seen_excluded
        })
    }
}

/// Evaluates the artifact in `dir` on the test events of `dataset`.
///
/// # Errors
/// An artifact that cannot be opened or run, or a dataset that has nothing to do with it.
pub fn evaluate(dir: &Path, dataset: &Dataset, options: &Options) -> Result<Evaluation, Error> {
    let artifact = Artifact::open(dir)?;
    let everything = Split::new(dataset, ItemSet::R);
    let mut vectors = Vectors::open(&artifact, dataset, &everything)?;
    let mut rows = Vec::new();
    let (mut ann, mut top_n, mut slices) = (None, None, Vec::new());
    for (index, &set) in options.sets.iter().enumerate() {
        let split = Split::new(dataset, set);
        let users: Vec<&Sequence> = split
            .users
            .iter()
            .filter(|user| user.is_evaluated())
            .collect();
        if users.is_empty() {
            let dataset = dataset.name.clone();
            return Err(Error::NobodyToRank { dataset, set });
        }
        let cases: Vec<Case<'_>> = users.iter().map(|user| test(user)).collect();
        let scorer = vectors.scorer(&split, &users)?;
        let (ranks, of_set) = rank(set, &split, &cases, &scorer);
        rows.extend(of_set);
        if index > 0 {
            continue;
        }
        if options.slices {
            slices = slices::slices(dataset, &split, &users, &ranks);
        }
        if !options.ann && options.top_n.is_none() {
            continue;
        }
        let search = Search::build(&scorer, metric(&artifact))?;
        if options.ann {
            ann = Some(ann::compare(&search, &cases)?);
        }
        if let Some(k) = options.top_n {
            top_n = Some(top_n::top_n(dataset, &split, &users, &cases, &search, k)?);
        }
    }
    Ok(Evaluation {
        dataset: (dataset.name.clone(), dataset.hash.clone()),
        space: artifact.space().to_owned(),
        parameters: report::parameters(&artifact)?,
        request_time: artifact.signature().reads_time(),
        rows,
        ann,
        slices,
        top_n,
    })
}

/// Ranks the cases by the artifact and by the baselines; also returns the artifact's ranks, seen items excluded.
fn rank(
    set: ItemSet,
    split: &Split,
    cases: &[Case<'_>],
    scorer: &Scorer,
) -> (Vec<Option<u32>>, Vec<Row>) {
    let candidates = split.items.len();
    let artifact = |case: usize, scores: &mut [f32]| scorer.score(case, scores);
    let popularity = Popularity::fit(split);
    let transitions = Transitions::fit(split);
    let by_popularity = |_: usize, scores: &mut [f32]| popularity.score(scores);
    let by_transitions =
        |case: usize, scores: &mut [f32]| transitions.score(cases[case].history, scores);
    let models = [
        (
            "artifact",
            scorer.unknown(),
            metrics::rank(cases, candidates, artifact),
        ),
        (
            "popularity",
            0,
            metrics::rank(cases, candidates, by_popularity),
        ),
        (
            "transitions",
            0,
            metrics::rank(cases, candidates, by_transitions),
        ),
    ];
    let row = |seen_excluded, (model, unknown, rankings): &(&'static str, usize, Rankings)| Row {
        model,
        item_set: set,
        seen_excluded,
        candidates,
        unknown: *unknown,
        figures: match seen_excluded {
            true => rankings.seen_excluded.figures(),
            false => rankings.seen_included.figures(),
        },
    };
    let rows = [true, false]
        .into_iter()
        .flat_map(|seen_excluded| models.iter().map(move |model| row(seen_excluded, model)));
    let rows = rows.collect();
    let [(_, _, artifact), ..] = models;
    (artifact.seen_excluded.ranks, rows)
}

/// The metric of the index: vectors of equal length are as near by the cosine as by the dot product.
fn metric(artifact: &Artifact) -> index::hnsw::Metric {
    match artifact.signature().normalized {
        true => index::hnsw::Metric::Cosine,
        false => index::hnsw::Metric::Dot,
    }
}

/// The last event, after all before it.
pub(crate) fn test(user: &Sequence) -> Case<'_> {
    Case {
        target: user.test(),
        history: &user.items[..user.items.len() - 1],
    }
}
