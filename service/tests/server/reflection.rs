//! Server reflection, by its public client.

use std::time::Duration;

use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::sample::{NAME, Running, ask, start};

#[tokio::test]
async fn reflection_answers_and_can_be_switched_off() {
    let running = start(|_| {}).await;
    let names = listed_services(&running).await.unwrap();
    assert!(
        names.contains(&"grpc.health.v1.Health".to_owned()),
        "{names:?}"
    );
    assert!(
        names.contains(&"grpc.reflection.v1.ServerReflection".to_owned()),
        "{names:?}"
    );
    assert!(names.contains(&NAME.to_owned()), "{names:?}");
    let silent = start(|config| config.reflection = false).await;
    let status = listed_services(&silent).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_stream_of_questions_ends_at_its_deadline_and_its_connection_lives() {
    let running = start(|_| {}).await;
    let channel = running.channel().await;
    let mut questions = Request::new(tokio_stream::pending());
    questions.set_timeout(Duration::from_millis(500));
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client.server_reflection_info(questions).await.unwrap();
    let status = answers.into_inner().next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    HealthClient::new(channel).check(ask("")).await.unwrap();
}

async fn listed_services(running: &Running) -> Result<Vec<String>, Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(running.channel().await);
    let answers = client
        .server_reflection_info(tokio_stream::iter([request]))
        .await?;
    let answer = answers.into_inner().next().await.unwrap()?;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("not a list: {answer:?}");
    };
    Ok(list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect())
}
