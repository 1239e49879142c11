//! `GenerationService`: tells which generations' models are held.

use futures::{StreamExt as _, stream::BoxStream};
use proto::v1::{
    Generation, GetGenerationRequest, GetGenerationResponse, ListGenerationsRequest,
    ListGenerationsResponse, WatchGenerationRequest, WatchGenerationResponse,
    generation_service_server::GenerationService,
};
use service::changes::changes;
use tonic::{Request, Response, Status};

use crate::{
    grpc::{Tower, write},
    models::snapshot::Snapshot,
};

#[tonic::async_trait]
impl GenerationService for Tower {
    async fn list_generations(
        &self,
        _: Request<ListGenerationsRequest>,
    ) -> Result<Response<ListGenerationsResponse>, Status> {
        Ok(Response::new(ListGenerationsResponse {
            generations: list(&self.models.snapshot()),
            members_epoch: self.ownership.epoch(),
            member: self.ownership.member().to_owned(),
        }))
    }

    async fn get_generation(
        &self,
        request: Request<GetGenerationRequest>,
    ) -> Result<Response<GetGenerationResponse>, Status> {
        let snapshot = self.models.snapshot();
        let held = snapshot.get(&request.into_inner().generation)?;
        Ok(Response::new(GetGenerationResponse {
            generation: Some(write::generation(&held.manifest, snapshot.answering())),
            manifest_json: serde_json::to_string(&held.manifest)
                .map_err(|_| service::status::internal())?,
        }))
    }

    type WatchGenerationStream = BoxStream<'static, Result<WatchGenerationResponse, Status>>;

    async fn watch_generation(
        &self,
        request: Request<WatchGenerationRequest>,
    ) -> Result<Response<Self::WatchGenerationStream>, Status> {
        let lease = self.models.leases.take(&request.into_inner().generation);
        let held = changes(self.models.watch(), self.shutdown.clone());
        let answers = held.map(move |snapshot| {
            // Lives as long as the stream does.
            let _ = &lease;
            let generations = list(&snapshot);
            Ok(WatchGenerationResponse { generations })
        });
        Ok(Response::new(answers.boxed()))
    }
}

fn list(snapshot: &Snapshot) -> Vec<Generation> {
    let held = snapshot.held().iter();
    held.map(|held| write::generation(&held.manifest, snapshot.answering()))
        .collect()
}
