//! ListGenerations, GetGeneration and WatchGeneration.

use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use proto::v1::{self as pb, generation_service_server::GenerationService};
use service::{changes::changes, drain::Shutdown};
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    shards::{Shards, held::Held, snapshot::Snapshot},
};

/// Tells of the generations that `shards` holds.
pub(crate) struct Service {
    pub(crate) shards: Arc<Shards>,
    /// Ends the calls that watch.
    pub(crate) shutdown: Shutdown,
}

#[tonic::async_trait]
impl GenerationService for Service {
    async fn list_generations(
        &self,
        _: Request<pb::ListGenerationsRequest>,
    ) -> Result<Response<pb::ListGenerationsResponse>, Status> {
        Ok(Response::new(pb::ListGenerationsResponse {
            generations: list(&self.shards.snapshot()),
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

    type WatchGenerationStream = BoxStream<'static, Result<pb::WatchGenerationResponse, Status>>;

    async fn watch_generation(
        &self,
        request: Request<pb::WatchGenerationRequest>,
    ) -> Result<Response<Self::WatchGenerationStream>, Status> {
        let lease = self.shards.leases.take(&request.into_inner().generation);
        let held = changes(self.shards.watch(), self.shutdown.clone());
        let answers = held.map(move |snapshot| {
            // Lives as long as the stream does.
            let _ = &lease;
            let generations = list(&snapshot);
            Ok(pb::WatchGenerationResponse { generations })
        });
        Ok(Response::new(answers.boxed()))
    }
}

fn list(snapshot: &Snapshot) -> Vec<pb::Generation> {
    let held = snapshot.held().iter();
    held.map(|held| summary(held, snapshot)).collect()
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
