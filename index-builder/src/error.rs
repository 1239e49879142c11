//! Why a command failed.

use std::{io, path::PathBuf};

pub use crate::error::{job::JobError, vectors::VectorsError};

mod job;
mod vectors;

/// Why a command failed; the store's CURRENT is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be read.
    #[error(transparent)]
    Settings(#[from] Box<service::config::Error>),
    /// A setting is out of its bounds.
    #[error("{setting} {rule}")]
    Config {
        /// The setting's path.
        setting: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The artifact to embed with is not named, and the store does not have exactly one.
    #[error("`artifact` names none and the store has {}: {}", .found.len(), .found.join(", "))]
    Artifact {
        /// The spaces of the store's artifacts.
        found: Vec<String>,
    },
    /// A file of the job or of its input cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The catalog, or the file of ready vectors, is no table of items.
    #[error("{}: {reason}", .path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Two rows of the catalog have one id, given or made of their keys.
    #[error("{}: rows {first} and {second} both have item id {id}", .path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The id.
        id: u64,
        /// The earlier row: its line, or its place in a Parquet file, from 1.
        first: u64,
        /// The later row.
        second: u64,
    },
    /// Too many rows of the catalog hold no item.
    #[error("{}: {bad} of {rows} rows hold no item, at most a share of {limit} may", .path.display())]
    BadRows {
        /// The file.
        path: PathBuf,
        /// Rows that hold no item.
        bad: u64,
        /// Rows that hold anything.
        rows: u64,
        /// The share allowed.
        limit: f64,
    },
    /// Ready vectors cannot be taken.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// A step of the job cannot be done.
    #[error(transparent)]
    Job(#[from] JobError),
    /// No item of the catalog can be indexed.
    #[error("nothing to index: there is a vector of none of the catalog's {left_out} items")]
    Empty {
        /// Items left out.
        left_out: u64,
    },
    /// The item tower's address is not one.
    #[error("item_tower {0:?} is not an address like http://127.0.0.1:50052")]
    Address(String),
    /// What `identity` names cannot be used.
    #[error("identity: {0}")]
    Identity(String),
    /// The item tower cannot be reached.
    #[error("item tower {address} cannot be reached: {source}")]
    Connect {
        /// Its address.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The item tower refused to embed.
    #[error("item tower {address} refused to embed: {} ({:?})", .status.message(), .status.code())]
    Embed {
        /// Its address.
        address: String,
        /// Its answer.
        status: Box<tonic::Status>,
    },
    /// The item tower sent an answer more than it was asked.
    #[error("the item tower answered a chunk that it was not sent")]
    Unasked,
    /// The item tower left items without an answer.
    #[error("the item tower was asked for {asked} items and answered {answered}")]
    Unanswered {
        /// Items read from the catalog.
        asked: u64,
        /// Items whose vectors came.
        answered: u64,
    },
    /// Vectors of another space came back.
    #[error("asked for vectors of space {asked}, got space {found:?}")]
    Space {
        /// The artifact's space.
        asked: String,
        /// The answer's space.
        found: String,
    },
    /// An answer has not one vector an item.
    #[error(
        "{items} items of dimension {dim} came back as {found_values} values of dimension {found_dim}"
    )]
    AnswerShape {
        /// Items asked.
        items: usize,
        /// The artifact's dimension.
        dim: usize,
        /// The answer's dimension.
        found_dim: usize,
        /// Values in the answer.
        found_values: usize,
    },
    /// An item's vector cannot be compared with anything.
    #[error("the vector of item {id} is zero or not finite")]
    Vector {
        /// The item.
        id: u64,
    },
    /// Too few items for so many shards.
    #[error("shard {shard} of {shards} would hold none of the {items} items, use fewer shards")]
    EmptyShard {
        /// The shard.
        shard: u32,
        /// Shards asked for.
        shards: u32,
        /// Items to spread.
        items: u64,
    },
    /// The artifact has no report that shows the figure asked for.
    #[error(
        "artifact {space} has no report with hr@10, verify.hr_floor asks for {floor} (0 takes it as it is)"
    )]
    NoReport {
        /// The artifact's space.
        space: String,
        /// The floor.
        floor: f64,
    },
    /// The artifact recommends too badly.
    #[error("artifact {space} has hr@10 {found}, verify.hr_floor asks for {floor}")]
    HitRate {
        /// The artifact's space.
        space: String,
        /// HR@10 in its report.
        found: f64,
        /// The floor.
        floor: f64,
    },
    /// Far fewer items than the generation that serves has.
    #[error(
        "{found} items are to be indexed, generation {generation} has {before}; verify.items_floor asks for a share of {floor}"
    )]
    Items {
        /// The generation that serves.
        generation: String,
        /// Its items.
        before: u64,
        /// The items to index.
        found: u64,
        /// The least share of them.
        floor: f64,
    },
    /// A shard's graph misses too much.
    #[error(
        "shard {shard}: its {way} finds {found} of the true nearest {k}, verify.ann_recall_floor asks for {floor}"
    )]
    AnnRecall {
        /// What was searched: the graph or the cells.
        way: &'static str,
        /// The shard.
        shard: u32,
        /// How many neighbours were compared.
        k: usize,
        /// The recall measured.
        found: f64,
        /// The floor.
        floor: f64,
    },
    /// There is no store to look at.
    #[error("{} is not a directory: there is no store", .0.display())]
    NoStore(PathBuf),
    /// A thread of the run did not finish.
    #[error("a thread of the run did not finish: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A file of the job cannot be written.
    #[error("{}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An item cannot be written as JSON.
    #[error("item {id} cannot be written as JSON: {source}")]
    Json {
        /// The item.
        id: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// The artifact cannot be opened.
    #[error(transparent)]
    Encoder(#[from] encoder::error::Error),
    /// A shard cannot be built or searched.
    #[error(transparent)]
    Index(#[from] index::error::Error),
    /// The store failed, or somebody else published meanwhile.
    #[error(transparent)]
    Store(#[from] generation::error::Error),
}
