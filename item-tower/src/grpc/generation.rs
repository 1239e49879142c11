//! ListGenerations and GetGeneration.

use std::sync::Arc;

use proto::v1::{self as pb, generation_service_server::GenerationService};
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    shards::{Shards, held::Held, snapshot::Snapshot},
};

/// Tells of the generations that `shards` holds.
pub(crate) struct Service {
    pub(crate) shards: Arc<Shards>,
}

#[tonic::async_trait]
impl GenerationService for Service {
    async fn list_generations(
        &self,
        _: Request<pb::ListGenerationsRequest>,
    ) -> Result<Response<pb::ListGenerationsResponse>, Status> {
        let snapshot = self.shards.snapshot();
        let held = snapshot.held().iter();
        Ok(Response::new(pb::ListGenerationsResponse {
            generations: held.map(|held| summary(held, &snapshot)).collect(),
            ..Default::default()
        }))
    }

    async fn get_generation(
        &self,
        request: Request<pb::GetGenerationRequest>,
    ) -> Result<Response<pb::GetGenerationResponse>, Status> {
        let snapshot = self.shards.snapshot();
        let held = snapshot.get(&request.into_inner().generation)?;
        let manifest = serde_json::to_string(&held.manifest).map_err(|source| Error::Json {
            what: "the manifest",
            source,
        })?;
        Ok(Response::new(pb::GetGenerationResponse {
            generation: Some(summary(held, &snapshot)),
            manifest_json: manifest,
        }))
    }
}

fn summary(held: &Held, snapshot: &Snapshot) -> pb::Generation {
    let manifest = &held.manifest;
    pb::Generation {
        id: manifest.id.clone(),
        space: manifest.space.clone(),
        items: manifest.items,
        shards: manifest.shards.len() as u32,
        serving: snapshot.answering() == Some(manifest.id.as_str()),
    }
}
