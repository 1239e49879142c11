//! An evaluation as a table, as JSON, and as the artifact's `report.json`.

use std::{collections::HashSet, fmt, fs, path::Path};

use encoder::{
    artifact::{Artifact, ITEM_TOWER, REPORT, USER_TOWER, seal},
    messages::{DataType, ModelProto, TensorProto},
};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    dataset::split::ItemSet,
    evaluate::{Error, Evaluation, Row, slices},
};

/// No protobuf message is larger than 2 GiB.
const LIMIT: u64 = 1 << 31;

/// The key of a tower's ONNX `metadata_props` under which a producer may say how many parameters were trained.
const PARAMETERS: &str = "parameters";

/// Writes the evaluation into the artifact's directory as its `report.json`, and lists it in `artifact.json`.
///
/// The artifact keeps its name: a report says what a model can do, it does not make it another one.
///
/// # Errors
/// [`Error::Encoder`] if there is no whole artifact in `dir`, [`Error::Io`] if the file cannot be written.
pub fn report(evaluation: &Evaluation, dir: &Path) -> Result<(), Error> {
    let producer = Artifact::open(dir)?.producer().to_owned();
    let path = dir.join(REPORT);
    let text = format!("{:#}\n", evaluation.to_json());
    fs::write(&path, text).map_err(|source| Error::Io {
        path: path.display().to_string(),
        source,
    })?;
    seal(dir, &producer)?;
    Ok(())
}

impl Evaluation {
    /// Returns one object: the headline's figures by name, and all rows under `rows`.
    pub fn to_json(&self) -> Value {
        let headline = |model| {
            self.rows
                .iter()
                .find(|row| row.model == model && row.seen_excluded)
        };
        let mut object = json!({
            "protocol": "leave-one-out by time, full ranking, equal scores count against the model",
            "dataset": self.dataset.0,
            "dataset_hash": self.dataset.1,
            "space": self.space,
            "parameters": self.parameters,
            "request_time": self.request_time,
            "rows": self.rows,
        });
        if let Some(row) = headline("artifact") {
            merge(&mut object, json!(row));
        }
        for baseline in ["popularity", "transitions"] {
            if let Some(row) = headline(baseline) {
                object[format!("{baseline}_hr@10")] = json!(row.figures.hr_10);
                object[format!("{baseline}_ndcg@10")] = json!(row.figures.ndcg_10);
            }
        }
        if let Some(ann) = &self.ann {
            merge(&mut object, json!(ann));
        }
        if !self.slices.is_empty() {
            object["slices"] = json!(self.slices);
        }
        if let Some(top_n) = &self.top_n {
            object["top_n"] = json!({
                "k": top_n.k,
                "hr": top_n.hit_rate(),
                "exact_hr": top_n.exact_hit_rate(),
                "recall": top_n.recall(),
            });
        }
        object
    }
}

/// Copies what `object` does not say yet.
fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        for (key, value) in more {
            object.entry(key).or_insert(value);
        }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dataset, hash) = &self.dataset;
        writeln!(
            f,
            "space {}, {} parameters, on {dataset} ({})",
            self.space,
            self.parameters,
            &hash[..hash.len().min(8)]
        )?;
        if self.request_time {
            writeln!(f, "the model knows the time of the event held back")?;
        }
        let mut protocol = None;
        for row in &self.rows {
            if protocol != Some((row.item_set, row.seen_excluded)) {
                protocol = Some((row.item_set, row.seen_excluded));
                write_protocol(row, f)?;
            }
            write_figures(row, f)?;
        }
        if let Some(ann) = &self.ann {
            writeln!(
                f,
                "\nANN search instead of exact search: recall@100 {:.4}, HR@10 {:.4}",
                ann.recall_100, ann.hr_10
            )?;
        }
        slices::write(&self.slices, f)?;
        match &self.top_n {
            None => Ok(()),
            Some(top_n) => writeln!(f, "\n{top_n}"),
        }
    }
}

fn write_protocol(row: &Row, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let set = match row.item_set {
        ItemSet::S => "items with at least 5 events",
        ItemSet::R => "all items with an event",
    };
    let seen = if row.seen_excluded {
        "excluded"
    } else {
        "not excluded"
    };
    writeln!(
        f,
        "\nset {:?} ({set}: {}), {} users, seen items {seen}",
        row.item_set, row.candidates, row.figures.users
    )?;
    if row.unknown > 0 {
        writeln!(
            f,
            "  {} of these items are unknown to the model, and a miss where one comes next",
            row.unknown
        )?;
    }
    writeln!(
        f,
        "{:14}{:>8}{:>9}{:>8}{:>8}{:>8}{:>8}{:>10}",
        "", "HR@10", "NDCG@10", "HR@50", "HR@100", "HR@200", "MRR", "coverage"
    )
}

fn write_figures(row: &Row, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let figures = &row.figures;
    writeln!(
        f,
        "  {:12}{:>8.4}{:>9.4}{:>8.4}{:>8.4}{:>8.4}{:>8.4}{:>10.3}",
        row.model,
        figures.hr_10,
        figures.ndcg_10,
        figures.hr_50,
        figures.hr_100,
        figures.hr_200,
        figures.mrr,
        figures.coverage
    )
}

/// Returns how many parameters the towers have: what the producer says, else the numbers in both files, a shared table once.
pub(crate) fn parameters(artifact: &Artifact) -> Result<u64, Error> {
    let mut counted = HashSet::new();
    let mut parameters = 0_u64;
    for file in [USER_TOWER, ITEM_TOWER] {
        let tower = |reason: String| Error::Tower {
            file: artifact.dir().join(file).display().to_string(),
            reason,
        };
        let bytes = artifact.read(file, LIMIT)?;
        let model = ModelProto::decode(bytes.as_slice()).map_err(|e| tower(e.to_string()))?;
        let said = model
            .metadata_props
            .iter()
            .find(|entry| entry.key == PARAMETERS);
        if let Some(said) = said.and_then(|entry| entry.value.parse().ok()) {
            return Ok(said);
        }
        for tensor in model.graph.iter().flat_map(|graph| &graph.initializer) {
            let content = TensorProto {
                name: String::new(),
                ..tensor.clone()
            };
            let is_float = tensor.data_type() == DataType::Float;
            if is_float && counted.insert(blake3::hash(&content.encode_to_vec())) {
                parameters = elements(&tensor.dims)
                    .and_then(|elements| parameters.checked_add(elements))
                    .ok_or_else(|| tower(format!("{:?} is {:?}", tensor.name, tensor.dims)))?;
            }
        }
    }
    Ok(parameters)
}

/// How many numbers a tensor has; nothing for dimensions that no tensor can have.
fn elements(dims: &[i64]) -> Option<u64> {
    dims.iter()
        .map(|&dim| u64::try_from(dim).ok())
        .try_fold(1_u64, |product, dim| product.checked_mul(dim?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dimensions_of_a_tensor_are_counted() {
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[22, 8]), Some(176));
        assert_eq!(elements(&[2, -1]), None);
        assert_eq!(elements(&[i64::MAX, 3]), None);
    }
}
