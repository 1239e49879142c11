//! ListGenerations and GetGeneration.

use std::sync::Arc;

use generation::manifest::Manifest;
use proto::v1::{self as pb, generation_service_server::GenerationService};
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    topology::{Topology, View},
};

/// Tells of the generations that the item towers hold.
#[derive(Debug)]
pub(crate) struct Service {
    topology: Arc<Topology>,
}

impl Service {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        Self { topology }
    }
}

#[tonic::async_trait]
impl GenerationService for Service {
    async fn list_generations(
        &self,
        _: Request<pb::ListGenerationsRequest>,
    ) -> Result<Response<pb::ListGenerationsResponse>, Status> {
        let view = self.topology.view();
        let held = view.generations();
        Ok(Response::new(pb::ListGenerationsResponse {
            generations: held.map(|held| summary(&held.manifest, &view)).collect(),
            members_epoch: view.epoch(),
            member: String::new(),
        }))
    }

    async fn get_generation(
        &self,
        request: Request<pb::GetGenerationRequest>,
    ) -> Result<Response<pb::GetGenerationResponse>, Status> {
        let view = self.topology.view();
        let held = view.generation(&request.into_inner().generation)?;
        Ok(Response::new(whole(&held.manifest, &view)?))
    }
}

fn summary(manifest: &Manifest, view: &View) -> pb::Generation {
    pb::Generation {
        id: manifest.id.clone(),
        space: manifest.space.clone(),
        items: manifest.items,
        shards: manifest.shards.len() as u32,
        serving: view.pinned() == Some(manifest.id.as_str()),
    }
}

fn whole(manifest: &Manifest, view: &View) -> Result<pb::GetGenerationResponse, Error> {
    let json = serde_json::to_string(manifest).map_err(|source| Error::Manifest {
        generation: manifest.id.clone(),
        source,
    })?;
    Ok(pb::GetGenerationResponse {
        generation: Some(summary(manifest, view)),
        manifest_json: json,
    })
}
