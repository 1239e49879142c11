//! Makes an artifact of a trained run: both towers as ONNX, the signature, vocabularies and golden vectors.
//!
//! Nothing leaves here that ONNX Runtime does not run within 1e-4 of the trainer, from raw features.

mod attention;
mod capsules;
pub mod error;
mod golden;
mod item;
pub mod parity;
mod rows;
mod signature;
mod weights;
mod youtubednn;

use std::{fmt, fs, path::Path};

use encoder::{
    artifact::{self, Artifact, ITEM_TOWER, SIGNATURE, USER_TOWER},
    messages::ModelProto,
};
use generation::store::Store;
use prost::Message as _;

use crate::{
    check,
    dataset::Dataset,
    evaluate::{self, Evaluation},
    export::{error::Error, parity::Parity},
    model::{recipe::Tower, trained::Trained},
};

/// What the exporter calls itself.
pub const PRODUCER: &str = concat!("twotower onnx ", env!("CARGO_PKG_VERSION"));

/// An artifact that was written.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Exported {
    /// Its name.
    pub space: String,
    /// How many values were trained.
    pub parameters: usize,
    /// How far ONNX Runtime and the trainer are apart.
    pub parity: Parity,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "space {}, {} parameters; ONNX Runtime and the trainer differ by {:.1e} (users) and {:.1e} (items) at most",
            self.space, self.parameters, self.parity.user, self.parity.item
        )
    }
}

/// Exports a run into the directory `dir`; an artifact that is there already is replaced.
///
/// # Errors
/// [`Error::Parity`] if the trainer and ONNX Runtime differ, [`Error::Unservable`] if a check fails, [`Error::Occupied`] if
/// `dir` holds something else; what is there stays as it was.
pub fn export(run: &Path, dir: &Path) -> Result<Exported, Error> {
    let trained = Trained::load(run)?;
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(Error::file(parent))?;
    let draft = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(parent)
        .map_err(Error::file(parent))?;
    let exported = write(&trained, &provenance(&trained, run), draft.path())?;
    if dir.exists() {
        let holds_artifact = dir.join(artifact::LISTING).is_file();
        if !holds_artifact
            && fs::read_dir(dir)
                .map_err(Error::file(dir))?
                .next()
                .is_some()
        {
            return Err(Error::Occupied {
                dir: dir.to_owned(),
            });
        }
        fs::remove_dir_all(dir).map_err(Error::file(dir))?;
    }
    fs::rename(draft.keep(), dir).map_err(Error::file(dir))?;
    Ok(exported)
}

/// Exports a run into the store; with `data`, evaluates the artifact first and keeps the report with it.
///
/// # Errors
/// As [`export`], or if it cannot be evaluated or stored; the store is then as it was.
pub async fn publish(
    run: &Path,
    store: &Store,
    data: Option<&Dataset>,
) -> Result<(Exported, Option<Evaluation>), Error> {
    let draft = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    let trained = Trained::load(run)?;
    let exported = write(&trained, &provenance(&trained, run), draft.path())?;
    let evaluation = evaluated(draft.path(), data)?;
    store.put_artifact(draft.path(), &exported.space).await?;
    Ok((exported, evaluation))
}

/// Evaluates a sealed directory on `data`, if there is any; the report is sealed with it.
pub(crate) fn evaluated(dir: &Path, data: Option<&Dataset>) -> Result<Option<Evaluation>, Error> {
    let Some(data) = data else { return Ok(None) };
    let evaluation = evaluate::evaluate(dir, data, &evaluate::Options::default())?;
    evaluate::report(&evaluation, dir)?;
    Ok(Some(evaluation))
}

/// Writes and seals the artifact of a trained model in an empty directory, and checks it.
///
/// `provenance` goes into both models' metadata.
///
/// # Errors
/// As [`export`].
pub fn write(
    trained: &Trained,
    provenance: &[(String, String)],
    dir: &Path,
) -> Result<Exported, Error> {
    let signature = signature::signature(trained)?;
    let vocabulary = dir.join("vocabulary");
    fs::create_dir_all(&vocabulary).map_err(Error::file(&vocabulary))?;
    for (source, lines) in &trained.vocabularies {
        lines.write(&vocabulary.join(format!("{source}.txt")))?;
    }
    let user = match &trained.recipe.tower {
        Tower::Attention(tower) => attention::graph(trained, tower)?,
        Tower::YouTubeDnn(tower) => youtubednn::graph(trained, tower)?,
    };
    let models: [(&str, ModelProto); 2] = [
        (USER_TOWER, user.finish(PRODUCER, provenance)),
        (
            ITEM_TOWER,
            item::graph(trained)?.finish(PRODUCER, provenance),
        ),
    ];
    for (file, model) in models {
        let path = dir.join(file);
        fs::write(&path, model.encode_to_vec()).map_err(Error::file(&path))?;
    }
    let path = dir.join(SIGNATURE);
    // Names and finite numbers always have a JSON form.
    let json = serde_json::to_string_pretty(&signature).expect("a signature has a JSON form");
    fs::write(&path, json + "\n").map_err(Error::file(&path))?;
    golden::write(trained, &signature, dir)?;

    let space = artifact::seal(dir, PRODUCER)?;
    let parity = parity::check(trained, &Artifact::open(dir)?)?;
    check::servable(dir, dir)?;
    Ok(Exported {
        space,
        parameters: trained.parameter_count(),
        parity,
    })
}

/// Where the model came from, as far as the run tells.
fn provenance(trained: &Trained, run: &Path) -> Vec<(String, String)> {
    let report = fs::read(run.join("training.json")).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap_or_default();
    let recipe = toml::to_string(&trained.recipe).unwrap_or_default();
    let mut entries = vec![
        ("recipe".to_owned(), trained.recipe.name.clone()),
        ("recipe_toml".to_owned(), recipe),
        (
            "parameters".to_owned(),
            trained.parameter_count().to_string(),
        ),
    ];
    for key in ["dataset", "dataset_hash"] {
        if let Some(value) = report.get(key).and_then(serde_json::Value::as_str) {
            entries.push((key.to_owned(), value.to_owned()));
        }
    }
    entries
}
