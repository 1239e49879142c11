//! ListGenerations, GetGeneration and WatchGeneration.

use std::{future::ready, sync::Arc};

use futures::{StreamExt as _, stream::BoxStream};
use generation::manifest::Manifest;
use proto::v1::{self as pb, generation_service_server::GenerationService};
use service::{changes::changes, drain::Shutdown};
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    topology::{Topology, View},
};

/// Tells of the generations that the item towers hold.
#[derive(Debug)]
pub(crate) struct Service {
    topology: Arc<Topology>,
    shutdown: Shutdown,
}

impl Service {
    pub(super) fn new(topology: Arc<Topology>, shutdown: Shutdown) -> Self {
        Self { topology, shutdown }
    }
}

#[tonic::async_trait]
impl GenerationService for Service {
    async fn list_generations(
        &self,
        _: Request<pb::ListGenerationsRequest>,
    ) -> Result<Response<pb::ListGenerationsResponse>, Status> {
        let view = self.topology.view();
        Ok(Response::new(pb::ListGenerationsResponse {
            generations: list(&view),
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

    type WatchGenerationStream = BoxStream<'static, Result<pb::WatchGenerationResponse, Status>>;

    async fn watch_generation(
        &self,
        request: Request<pb::WatchGenerationRequest>,
    ) -> Result<Response<Self::WatchGenerationStream>, Status> {
        let lease = self.topology.leases.take(&request.into_inner().generation);
        let views = changes(self.topology.watch(), self.shutdown.clone());
        let mut last = None;
        let answers = views.filter_map(move |view| {
            // Lives as long as the stream does.
            let _ = &lease;
            let generations = list(&view);
            let new = last.as_ref() != Some(&generations);
            last = Some(generations.clone());
            ready(new.then_some(Ok(pb::WatchGenerationResponse { generations })))
        });
        Ok(Response::new(answers.boxed()))
    }
}

fn list(view: &View) -> Vec<pb::Generation> {
    let held = view.generations();
    held.map(|held| summary(&held.manifest, view)).collect()
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
