//! `GenerationService`: tells which generations' models are held.

use proto::v1::{
    GetGenerationRequest, GetGenerationResponse, ListGenerationsRequest, ListGenerationsResponse,
    generation_service_server::GenerationService,
};
use tonic::{Request, Response, Status};

use crate::grpc::{Tower, write};

#[tonic::async_trait]
impl GenerationService for Tower {
    async fn list_generations(
        &self,
        _: Request<ListGenerationsRequest>,
    ) -> Result<Response<ListGenerationsResponse>, Status> {
        let snapshot = self.models.snapshot();
        let held = snapshot.held().iter();
        Ok(Response::new(ListGenerationsResponse {
            generations: held
                .map(|held| write::generation(&held.manifest, snapshot.answering()))
                .collect(),
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
}
