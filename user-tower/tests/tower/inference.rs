//! Running the user models on tensors, by the Open Inference Protocol.

mod public_client;
mod refusals;

use encoder::sample::{Reads, Sample};
use proto::inference::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, ServerLiveRequest, ServerMetadataRequest,
    ServerReadyRequest,
    grpc_inference_service_client::GrpcInferenceServiceClient,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_metadata_response::TensorMetadata,
};
use service::status;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::house::{
    EVENTS, Site, Tower, USERS, check_close, check_refused, event, expected, vector, wait_until,
};

const INFERENCE: &str = "inference.GRPCInferenceService";
const MODEL: &str = "user_tower";

type Client = GrpcInferenceServiceClient<Channel>;

async fn client(tower: &Tower) -> Client {
    Client::connect(tower.uri.clone()).await.unwrap()
}

/// The history of a user with the events 3 and 4, whose elements are yet to be added.
fn history() -> InferInputTensor {
    InferInputTensor {
        name: "history".to_owned(),
        datatype: "INT64".to_owned(),
        shape: vec![1, 5],
        ..InferInputTensor::default()
    }
}

/// Left-padded; ids of the vocabulary, which has two reserved lines.
const IDS: [i64; 5] = [0, 0, 0, 4, 5];

fn raw(ids: &[i64]) -> ModelInferRequest {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    ModelInferRequest {
        model_name: MODEL.to_owned(),
        inputs: vec![history()],
        raw_input_contents: vec![bytes.into()],
        ..ModelInferRequest::default()
    }
}

fn typed(ids: &[i64]) -> ModelInferRequest {
    let contents = InferTensorContents {
        int64_contents: ids.to_vec(),
        ..InferTensorContents::default()
    };
    ModelInferRequest {
        inputs: vec![InferInputTensor {
            contents: Some(contents),
            ..history()
        }],
        raw_input_contents: Vec::new(),
        ..raw(ids)
    }
}

async fn infer(client: &mut Client, request: ModelInferRequest) -> ModelInferResponse {
    client.model_infer(request).await.unwrap().into_inner()
}

/// The elements of the only output.
fn floats(answer: &ModelInferResponse) -> Vec<f32> {
    assert_eq!(
        (answer.outputs.len(), answer.raw_output_contents.len()),
        (1, 1)
    );
    let (chunks, rest) = answer.raw_output_contents[0].as_chunks();
    assert!(rest.is_empty());
    chunks
        .iter()
        .map(|chunk| f32::from_le_bytes(*chunk))
        .collect()
}

async fn metadata(client: &mut Client, version: &str) -> Result<ModelMetadataResponse, Status> {
    let request = ModelMetadataRequest {
        name: MODEL.to_owned(),
        version: version.to_owned(),
    };
    Ok(client.model_metadata(request).await?.into_inner())
}

async fn is_ready(client: &mut Client, name: &str, version: &str) -> bool {
    let request = ModelReadyRequest {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    client
        .model_ready(request)
        .await
        .unwrap()
        .into_inner()
        .ready
}

fn other(seed: u64) -> Sample {
    Sample {
        seed,
        ..Sample::default()
    }
}

#[tokio::test]
async fn raw_and_typed_contents_are_embedded_as_the_same_user() {
    let mut tower = Site::published().await.start(USERS).await;
    let events = [event("7", 1, "a", 3), event("7", 2, "b", 4)];
    tower.record(events.into()).await.unwrap();
    let embedded = vector(&tower.embed_stored("7").await);
    let mut client = client(&tower).await;
    for request in [raw(&IDS), typed(&IDS)] {
        let answer = infer(&mut client, request).await;
        let found = floats(&answer);
        assert_eq!(found.len(), embedded.len());
        for (found, embedded) in found.iter().zip(&embedded) {
            assert!((found - embedded).abs() < 1e-6, "{found} is not {embedded}");
        }
        let output = &answer.outputs[0];
        assert_eq!(
            (output.name.as_str(), output.datatype.as_str()),
            ("user", "FP32")
        );
        assert_eq!(output.shape, [1, 8]);
        assert_eq!(output.contents, None);
    }
}

#[tokio::test]
async fn a_batch_is_answered_row_by_row() {
    let tower = Site::published().await.start(USERS).await;
    let ids: Vec<i64> = (0..64).flat_map(|row| [0, 0, 0, 0, row % 20 + 2]).collect();
    let mut request = raw(&ids);
    request.inputs[0].shape = vec![64, 5];
    let answer = infer(&mut client(&tower).await, request).await;
    assert_eq!(answer.outputs[0].shape, [64, 8]);
    for (row, found) in floats(&answer).chunks(8).enumerate() {
        check_close(found, &expected(&[row as u64 % 20 + 1]));
    }
}

#[tokio::test]
async fn what_the_caller_names_comes_back() {
    let site = Site::new();
    let version = site.publish(&Sample::default()).await;
    let tower = site.start(USERS).await;
    let wanted = InferRequestedOutputTensor {
        name: "user".to_owned(),
        ..InferRequestedOutputTensor::default()
    };
    let request = ModelInferRequest {
        id: "42".to_owned(),
        model_version: version.clone(),
        outputs: vec![wanted],
        ..raw(&IDS)
    };
    let answer = infer(&mut client(&tower).await, request).await;
    check_close(&floats(&answer), &expected(&[3, 4]));
    assert_eq!(answer.id, "42");
    assert_eq!(answer.model_name, MODEL);
    assert_eq!(answer.model_version, version);
}

#[tokio::test]
async fn versions_are_the_generations_held_newest_first() {
    let site = Site::new();
    let first = site.publish(&other(1)).await;
    let second = site.publish(&other(2)).await;
    let tower = site.start(USERS).await;
    tower.wait_for(&[&first, &second]).await;
    let mut client = client(&tower).await;
    let found = metadata(&mut client, "").await.unwrap();
    assert_eq!(found.versions, [second.as_str(), &first]);
    for (version, sample) in [(&first, other(1)), (&second, other(2))] {
        assert!(is_ready(&mut client, MODEL, version).await);
        let request = ModelInferRequest {
            model_version: version.clone(),
            ..raw(&[0, 0, 0, 0, 4])
        };
        let answer = infer(&mut client, request).await;
        assert_eq!(answer.model_version, *version);
        let mut alone = sample.row(3);
        alone[0] += encoder::sample::BIAS;
        check_close(&floats(&answer), &alone);
    }
    let unnamed = infer(&mut client, raw(&IDS)).await;
    assert_eq!(unnamed.model_version, second);
}

#[tokio::test]
async fn metadata_tells_the_tensors_of_the_model() {
    let site = Site::new();
    let sample = Sample {
        reads: Reads::Ages,
        ..Sample::default()
    };
    let version = site.publish(&sample).await;
    let tower = site.start(USERS).await;
    let mut client = client(&tower).await;
    let tensor = |name: &str, datatype: &str, axis| TensorMetadata {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: vec![-1, axis],
    };
    let expected = ModelMetadataResponse {
        name: MODEL.to_owned(),
        versions: vec![version.clone()],
        platform: "onnxruntime_onnx".to_owned(),
        inputs: vec![tensor("history", "INT64", 5), tensor("hours", "FP32", 5)],
        outputs: vec![tensor("user", "FP32", 8)],
    };
    for asked in ["", &version] {
        assert_eq!(metadata(&mut client, asked).await.unwrap(), expected);
    }
    let server = client.server_metadata(ServerMetadataRequest {}).await;
    let server = server.unwrap().into_inner();
    assert_eq!(server.name, "twotower user-tower");
    assert_eq!(server.version, env!("CARGO_PKG_VERSION"));
    assert!(server.extensions.is_empty());
}

#[tokio::test]
async fn a_model_that_reads_item_vectors_takes_them_as_tensors() {
    let site = Site::new();
    let sample = Sample {
        reads: Reads::Vectors,
        ..Sample::default()
    };
    site.publish(&sample).await;
    let tower = site.start(USERS).await;
    let mut elements = vec![0.0; 3 * 8];
    elements.extend([sample.row(3), sample.row(4)].concat());
    let bytes: Vec<u8> = elements.iter().flat_map(|x| f32::to_le_bytes(*x)).collect();
    let request = ModelInferRequest {
        inputs: vec![InferInputTensor {
            datatype: "FP32".to_owned(),
            shape: vec![1, 5, 8],
            ..history()
        }],
        raw_input_contents: vec![bytes.into()],
        ..raw(&IDS)
    };
    let answer = infer(&mut client(&tower).await, request).await;
    check_close(&floats(&answer), &expected(&[3, 4]));
}

#[tokio::test]
async fn a_tower_without_a_generation_lives_but_is_not_ready() {
    let site = Site::new();
    let tower = site.start(EVENTS).await;
    wait_until(&tower.uri, INFERENCE, ServingStatus::NotServing).await;
    let mut client = client(&tower).await;
    let live = client.server_live(ServerLiveRequest {}).await.unwrap();
    assert!(live.into_inner().live);
    let ready = client.server_ready(ServerReadyRequest {}).await.unwrap();
    assert!(!ready.into_inner().ready);
    assert!(!is_ready(&mut client, MODEL, "").await);
    let refused = client.model_infer(raw(&IDS)).await.unwrap_err();
    check_refused(&refused, Code::FailedPrecondition, status::NO_GENERATION);

    site.publish(&Sample::default()).await;
    wait_until(&tower.uri, INFERENCE, ServingStatus::Serving).await;
    let ready = client.server_ready(ServerReadyRequest {}).await.unwrap();
    assert!(ready.into_inner().ready);
    assert!(is_ready(&mut client, MODEL, "").await);
}
