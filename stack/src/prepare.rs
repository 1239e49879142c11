//! From raw data to an evaluated artifact in the store: data, train, export, evaluate. What was trained already is not trained again.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::bail;
use generation::store::Store;
use onnx::{
    dataset::{Dataset, generator, import, movielens},
    evaluate::{self, Evaluation},
    export,
    model::recipe::{Overrides, Recipe},
    train::{self, report::Report},
};

use crate::print;

/// Epochs of the demo on generated data: enough to learn what is planted, in a few minutes of two cores.
const GENERATED_EPOCHS: usize = 5;

/// What to prepare, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// `generated`, a folder of MovieLens-1M, one with a dataset.toml, or one that `onnx data` made.
    #[arg(long, default_value = "generated")]
    pub data: String,
    /// The folder for everything that is made.
    #[arg(long, default_value = "var/generated")]
    pub work: PathBuf,
    /// The folder of the recipes.
    #[arg(long, default_value = "onnx/towers")]
    pub towers: PathBuf,
    /// The recipe, a file of that folder.
    #[arg(long, default_value = "quick")]
    pub recipe: String,
    /// Passes over the training data, instead of the recipe's.
    #[arg(long)]
    pub epochs: Option<usize>,
}

/// What was prepared.
pub struct Prepared {
    /// The data.
    pub dataset: Dataset,
    /// How the model was trained.
    pub training: Report,
    /// How the exported model does.
    pub evaluation: Evaluation,
    /// The exported model's directory.
    pub artifact: PathBuf,
    /// When the work began, if nothing of an earlier run was used.
    pub begun: Option<Instant>,
}

impl Options {
    /// The store that the artifact is put into.
    pub fn store(&self) -> PathBuf {
        self.work.join("store")
    }

    /// The folder of the prepared dataset.
    pub fn dataset(&self) -> PathBuf {
        self.work.join("data")
    }

    fn epochs(&self) -> Option<usize> {
        self.epochs
            .or((self.data == "generated").then_some(GENERATED_EPOCHS))
    }
}

/// Prepares everything that the servers need. Blocks for minutes on all cores.
///
/// # Errors
/// The first step that fails says why; the steps before it need not be done again.
pub fn run(options: &Options) -> anyhow::Result<Prepared> {
    let begun = Instant::now();
    let run = options.work.join("run");
    let fresh = !run.exists();

    print::heading("Data");
    let dataset = dataset(&options.data, &options.dataset())?;
    print::line(format!(
        "  {}: {} users, {} items, {} events, {} bad lines",
        dataset.name,
        dataset.users.len(),
        dataset.items.len(),
        dataset.events.len(),
        dataset.bad_lines.count
    ));
    for bad in &dataset.bad_lines.first {
        print::line(format!("  {}:{}: {}", bad.file, bad.line, bad.reason));
    }

    print::heading("Training");
    let recipe = Recipe::read(&options.towers.join(&options.recipe).with_extension("toml"))?;
    let overrides = Overrides {
        epochs: options.epochs(),
        ..Default::default()
    };
    let training = train::train(&recipe, &dataset, &run, &overrides, true)?;
    print::line(format!(
        "  {}: {} parameters, best of {} epochs is {}, {:.1} minutes of wall time, validation HR@10 {:.4}",
        recipe.name,
        training.parameters,
        training.epochs.len(),
        training.best_epoch,
        training.wall_seconds / 60.0,
        training.validation.hr_10
    ));

    print::heading("Export and evaluation");
    let artifact = options.work.join("artifact");
    let exported = export::export(&run, &artifact)?;
    print::line(format!("  {exported}"));
    let evaluation = evaluate::evaluate(&artifact, &dataset, &evaluate::Options::default())?;
    evaluate::report(&evaluation, &artifact)?;
    print::line(evaluation.to_string());

    Ok(Prepared {
        dataset,
        training,
        evaluation,
        artifact,
        begun: fresh.then_some(begun),
    })
}

/// Puts the artifact into the store.
///
/// # Errors
/// If the store cannot be written.
pub async fn store(prepared: &Prepared, store: &Path) -> anyhow::Result<()> {
    let store = Store::open(&store.display().to_string())?;
    Ok(store
        .put_artifact(&prepared.artifact, &prepared.evaluation.space)
        .await?)
}

/// Makes the dataset that `data` names, and keeps it in `prepared`.
fn dataset(data: &str, prepared: &Path) -> anyhow::Result<Dataset> {
    let folder = Path::new(data);
    let dataset = if data == "generated" {
        generator::generate(&generator::Options::default())
    } else if folder.join("ratings.dat").exists() {
        movielens::read(folder, &movielens::Options::default())?
    } else if folder.join("dataset.toml").exists() {
        import::read(folder, &import::Options::default())?
    } else if folder.join("dataset.json").exists() {
        Dataset::read(folder)?
    } else {
        bail!(
            "{data} is neither `generated`, nor a folder with ratings.dat (MovieLens-1M; \
             `target/release/onnx data fetch ml-1m --out {data}` downloads it), nor one with a \
             dataset.toml or dataset.json"
        );
    };
    dataset.write(prepared)?;
    Ok(dataset)
}
