//! `GRPCInferenceService`: runs the user models on tensors, for clients of the Open Inference Protocol.
//!
//! The model is [`MODEL`], its versions are the generations held; an empty version is the one that answers.

mod read;
mod write;

use std::sync::Arc;

use proto::inference::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    grpc_inference_service_server::GrpcInferenceService,
};
use service::deadline::Deadline;
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    grpc::Tower,
    models::{model::Held, snapshot::Snapshot},
};

/// The name of the one model.
const MODEL: &str = "user_tower";
/// What runs it, in the words of the protocol.
const PLATFORM: &str = "onnxruntime_onnx";
/// The name of the server.
const SERVER: &str = "twotower user-tower";
/// How much of a name that is unknown comes back.
const SHOWN: usize = 80;

#[tonic::async_trait]
impl GrpcInferenceService for Tower {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.models.snapshot().answering().is_some();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let request = request.into_inner();
        let ready = find(&self.models.snapshot(), &request.name, &request.version).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: Vec::new(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let request = request.into_inner();
        let snapshot = self.models.snapshot();
        let direct = &find(&snapshot, &request.name, &request.version)?
            .model
            .direct;
        Ok(Response::new(ModelMetadataResponse {
            name: MODEL.to_owned(),
            versions: snapshot.ids().map(str::to_owned).collect(),
            platform: PLATFORM.to_owned(),
            inputs: direct.takes().map(write::metadata).collect(),
            outputs: direct.gives().iter().map(write::metadata).collect(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let snapshot = self.models.snapshot();
        let held = Arc::clone(find(
            &snapshot,
            &request.model_name,
            &request.model_version,
        )?);
        let direct = &held.model.direct;
        let wanted = read::outputs(&request.outputs, direct.gives())?;
        let tensors = read::tensors(request.inputs, &request.raw_input_contents)?;
        let outputs = direct.run(tensors, deadline).await?;
        let wanted = wanted.into_iter().map(|at| &outputs[at]);
        Ok(Response::new(ModelInferResponse {
            model_name: MODEL.to_owned(),
            model_version: held.manifest.id.clone(),
            id: request.id,
            outputs: wanted.clone().map(write::output).collect(),
            raw_output_contents: wanted.map(write::raw).collect(),
            ..ModelInferResponse::default()
        }))
    }
}

/// Finds a version of the model; empty means the one that answers.
fn find<'a>(snapshot: &'a Snapshot, model: &str, version: &str) -> Result<&'a Arc<Held>, Error> {
    if model != MODEL {
        return Err(Error::ModelUnknown {
            asked: model.chars().take(SHOWN).collect(),
            held: MODEL,
        });
    }
    snapshot.get(version).map_err(|error| match error {
        Error::GenerationNotHeld { asked, held } => Error::VersionUnknown { asked, held },
        error => error,
    })
}
