//! ONNX Runtime alone on tensors that were made before: what an embedding cannot cost less than.

use std::path::Path;

use anyhow::Context as _;
use encoder::features::tensors::{Data, Tensor};
use ort::{
    session::{Session, SessionInputValue},
    value::TensorRef,
};

/// A session on one thread, and the names of its inputs.
pub(crate) struct Floor {
    session: Session,
    names: Vec<String>,
}

impl Floor {
    /// Opens the user tower of an artifact.
    pub(crate) fn open(artifact: &Path) -> anyhow::Result<Self> {
        let signature: serde_json::Value =
            serde_json::from_slice(&std::fs::read(artifact.join("signature.json"))?)?;
        let inputs = signature["user"]["inputs"].as_array();
        let names = inputs.into_iter().flatten();
        let names = names.map(|input| Some(input["name"].as_str()?.to_owned()));
        let model = std::fs::read(artifact.join("user_tower.onnx"))?;
        let environment = encoder::session::environment()?;
        let build = || {
            let mut builder = Session::builder(&environment)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_intra_op_spinning(false)?;
            builder.commit_from_memory(&model)
        };
        let session = build().map_err(|cause: ort::Error| anyhow::anyhow!("{cause}"))?;
        Ok(Self {
            session,
            names: names
                .collect::<Option<_>>()
                .context("an input without a name")?,
        })
    }

    /// Runs the model on the tensors of a batch.
    pub(crate) fn run(&mut self, tensors: &[Tensor]) -> anyhow::Result<()> {
        let feed = self.names.iter().zip(tensors).map(|(name, tensor)| {
            let value = view(tensor).map_err(|cause| anyhow::anyhow!("{cause}"))?;
            Ok((name.as_str(), value))
        });
        let feed = feed.collect::<anyhow::Result<Vec<_>>>()?;
        let outputs = self
            .session
            .run(feed)
            .map_err(|cause| anyhow::anyhow!("{cause}"))?;
        anyhow::ensure!(outputs.len() > 0, "the model gave nothing");
        Ok(())
    }
}

fn view(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape.clone();
    Ok(match &tensor.data {
        Data::I64(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
        Data::I32(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
        Data::F32(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
        Data::Bool(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
    })
}
