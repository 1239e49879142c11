//! Makes a session of a model's bytes and its external data, all hashed before.

use std::sync::Arc;

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
};
use prost::bytes::Bytes;

use crate::{artifact::Artifact, error::Error, external};

/// No protobuf message is larger than 2 GiB.
const LIMIT: u64 = 1 << 31;

/// A model in memory.
pub(super) struct Model {
    file: String,
    bytes: Bytes,
    external: Vec<(String, Arc<[u8]>)>,
}

impl Model {
    /// Reads a model of an artifact with the files that it names, each of which the artifact must list.
    pub(super) fn read(artifact: &Artifact, file: &str) -> Result<Self, Error> {
        let bytes = Bytes::from(artifact.read(file, LIMIT)?);
        let refuse = |problem: String| Error::Model {
            file: file.to_owned(),
            problems: vec![problem],
        };
        let mut external = Vec::new();
        for name in external::locations(bytes.clone()).map_err(refuse)? {
            if !artifact.listing().files.contains_key(&name) {
                return Err(refuse(format!(
                    "external data {name:?} is not listed in artifact.json"
                )));
            }
            external.push((name.clone(), Arc::from(artifact.read(&name, u64::MAX)?)));
        }
        Ok(Self {
            file: file.to_owned(),
            bytes,
            external,
        })
    }

    /// Makes a session that runs on the thread that calls it.
    pub(super) fn session(&self, environment: &Environment) -> Result<Session, Error> {
        self.build(environment).map_err(|cause| Error::Model {
            file: self.file.clone(),
            problems: vec![format!("ONNX Runtime refuses it: {}", cause.message())],
        })
    }

    fn build(&self, environment: &Environment) -> ort::Result<Session> {
        let mut builder = Session::builder(environment)?
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?;
        for (name, bytes) in &self.external {
            builder = builder.with_external_initializer_file_in_memory(name, Arc::clone(bytes))?;
        }
        builder.commit_from_memory(&self.bytes)
    }
}
