//! The command line of `onnx`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::dataset::split::ItemSet;

/// Trains the two towers, exports them as ONNX, evaluates them.
#[derive(Debug, Parser)]
#[command(name = "onnx", version)]
pub struct Cli {
    /// What to log to standard error: a level, or directives such as `info,onnx=debug`.
    #[arg(long, global = true, default_value = "warn", env = "ONNX_LOG")]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a prepared dataset, or fetches a raw one.
    #[command(subcommand)]
    Data(Data),
    /// Trains a recipe on a prepared dataset.
    Train(Train),
    /// Exports a run as an artifact, checks it against the trainer, and puts it in the store.
    Export(Export),
    /// Evaluates an artifact, beside popularity and item-to-item transitions.
    Evaluate(Evaluate),
    /// Measures: see `make help`.
    #[command(subcommand)]
    Bench(Bench),
    /// Says whether an artifact can be served; one line for each thing that is wrong.
    Check {
        /// The artifact's directory.
        dir: PathBuf,
    },
    /// Seals a directory that somebody else made, checks it, and puts it in the store.
    Adopt(Adopt),
}

/// Where data comes from.
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Makes MovieLens-shaped data out of a seed.
    Generate {
        /// Equal seeds give equal data.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many users.
        #[arg(long, default_value_t = 6_040)]
        users: u32,
        /// How many items.
        #[arg(long, default_value_t = 3_700)]
        items: u32,
        /// About how many events.
        #[arg(long, default_value_t = 1_000_000)]
        events: u32,
        /// The prepared dataset's directory.
        #[arg(long)]
        out: PathBuf,
    },
    /// Reads an unpacked MovieLens-1M.
    #[command(name = "ml-1m")]
    Ml1m(Source),
    /// Reads tables that a `dataset.toml` describes.
    Import(Source),
    /// Writes the training samples as Parquet, and the vocabularies, for training elsewhere.
    Export {
        /// The prepared dataset.
        dir: PathBuf,
        /// The export's directory.
        #[arg(long)]
        out: PathBuf,
        /// The items: with at least 5 events (s), or with any (r).
        #[arg(long, default_value = "s")]
        items: ItemSet,
        /// Events of a history at most.
        #[arg(long, default_value_t = 50)]
        history: usize,
        /// Negatives a training sample.
        #[arg(long, default_value_t = 10)]
        negatives: usize,
        /// Equal seeds draw equal negatives.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Downloads a raw dataset, and shows its licence.
    Fetch {
        /// Which.
        what: Fetchable,
        /// The directory for the raw files.
        #[arg(long)]
        out: PathBuf,
    },
}

/// A dataset that can be downloaded.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Fetchable {
    /// MovieLens-1M, from GroupLens.
    #[value(name = "ml-1m")]
    Ml1m,
}

/// A raw dataset to prepare.
#[derive(Debug, Args)]
pub struct Source {
    /// The raw files.
    pub dir: PathBuf,
    /// The prepared dataset's directory.
    #[arg(long)]
    pub out: PathBuf,
    /// The share of lines that may be unusable.
    #[arg(long, default_value_t = 0.01)]
    pub bad_lines: f64,
}

/// A training run.
#[derive(Debug, Args)]
pub struct Train {
    /// The recipe, such as `onnx/towers/default.toml`.
    #[arg(long)]
    pub recipe: PathBuf,
    /// The prepared dataset.
    #[arg(long)]
    pub data: PathBuf,
    /// The run's directory.
    #[arg(long)]
    pub out: PathBuf,
    /// Goes on from the last checkpoint in the run's directory.
    #[arg(long)]
    pub resume: bool,
    /// Passes over the training data, instead of the recipe's.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// The seed, instead of the recipe's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Parts that a step is cut into, each on a thread of its own, instead of the recipe's; another number draws otherwise.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
}

/// An export.
#[derive(Debug, Args)]
pub struct Export {
    /// The run's directory.
    pub run: PathBuf,
    /// The store: a directory, or s3://bucket/prefix.
    #[arg(long)]
    pub store: PathBuf,
    /// A prepared dataset to evaluate the artifact on; the report stays with it.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Trains and measures every tower of a list, and writes the tables.
    Models(Models),
    /// Hides a tenth of the items from training, and ranks them among all items by their content alone.
    ColdStart(ColdStart),
    /// Trains for one epoch without validation, and prints what it cost as a JSON object.
    Speed(Speed),
}

/// The bench of the towers.
#[derive(Debug, Clone, Args)]
pub struct Models {
    /// The list of rows.
    #[arg(long, default_value = "onnx/bench.toml")]
    pub rows: PathBuf,
    /// The recipes that it names.
    #[arg(long, default_value = "onnx/towers")]
    pub recipes: PathBuf,
    /// The prepared dataset.
    #[arg(long, required_unless_present = "tables_only")]
    pub data: Option<PathBuf>,
    /// Where runs and artifacts lie between calls.
    #[arg(long, default_value = "var/bench")]
    pub work: PathBuf,
    /// Where `models.md`, `figures/` and the finished rows in `runs/` go.
    #[arg(long, default_value = "docs")]
    pub docs: PathBuf,
    /// The report.
    #[arg(long, default_value = "target/report/models.json")]
    pub report: PathBuf,
    /// Trains only the rows of this name; may be given more than once.
    #[arg(long)]
    pub only: Vec<String>,
    /// Says what would be trained and what is reused, and does nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Writes the tables from the finished rows, and trains nothing.
    #[arg(long, conflicts_with = "dry_run")]
    pub tables_only: bool,
}

/// An evaluation.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The artifact's directory.
    #[arg(required_unless_present = "store", conflicts_with = "store")]
    pub dir: Option<PathBuf>,
    /// The store that has the artifact: a directory, or s3://bucket/prefix.
    #[arg(long, requires = "artifact")]
    pub store: Option<PathBuf>,
    /// The artifact's space.
    #[arg(long, requires = "store")]
    pub artifact: Option<String>,
    /// The prepared dataset.
    #[arg(long)]
    pub data: PathBuf,
    /// Prints one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Also by history length, age, popularity and genre of the item, cold users and items.
    #[arg(long)]
    pub slices: bool,
    /// Writes what every user is recommended over an ANN index into this CSV file.
    #[arg(long, value_name = "FILE")]
    pub top_n: Option<PathBuf>,
    /// How many items `--top-n` recommends.
    #[arg(long, default_value_t = 50, requires = "top_n", value_parser = clap::value_parser!(u16).range(1..))]
    pub k: u16,
}

/// An adoption.
#[derive(Debug, Args)]
pub struct Adopt {
    /// The stranger's directory; it stays as it is.
    pub dir: PathBuf,
    /// The store: a directory, or s3://bucket/prefix.
    #[arg(long)]
    pub store: PathBuf,
    /// What made the models, for the artifact's listing.
    #[arg(long, default_value = "adopted")]
    pub producer: String,
    /// A prepared dataset to evaluate the artifact on; the report stays with it.
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// A cold start.
#[derive(Debug, Args)]
pub struct ColdStart {
    /// The recipe.
    #[arg(long, default_value = "onnx/towers/content.toml")]
    pub recipe: PathBuf,
    /// The prepared dataset.
    #[arg(long)]
    pub data: PathBuf,
    /// The run's directory; a run that is whole is not trained again.
    #[arg(long)]
    pub out: PathBuf,
    /// Decides which items are hidden.
    #[arg(long, default_value_t = 1)]
    pub hidden_seed: u64,
    /// Passes over the training data, instead of the recipe's.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// The seed of training, instead of the recipe's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Merges the figures into this report.
    #[arg(long)]
    pub report: Option<PathBuf>,
}

/// A measurement of speed.
#[derive(Debug, Args)]
pub struct Speed {
    /// The recipe.
    #[arg(long)]
    pub recipe: PathBuf,
    /// The prepared dataset.
    #[arg(long)]
    pub data: PathBuf,
    /// Takes every item of the catalog, events or none, instead of the recipe's set.
    #[arg(long)]
    pub whole_catalog: bool,
    /// Parts that a step is cut into, each on a thread of its own, instead of the recipe's.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// Merges the figures into this report.
    #[arg(long, requires = "name")]
    pub report: Option<PathBuf>,
    /// What the names of the report's rows begin with.
    #[arg(long)]
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_artifact_is_named_by_directory_or_by_store_and_space() {
        let parses = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parses("onnx evaluate dir --data d"));
        assert!(parses("onnx evaluate --store s --artifact a --data d"));
        assert!(!parses("onnx evaluate --store s --data d"));
        assert!(!parses("onnx evaluate dir --store s --artifact a --data d"));
        assert!(!parses("onnx evaluate --data d"));
    }
}
