//! Embeds items over gRPC, before and without any generation.

use encoder::sample::Sample;
use futures::stream;
use proto::v1::{self as pb, item_tower_service_client::ItemTowerServiceClient};
use tonic::Code;

use crate::rig::{Rig, vectors};

#[tokio::test(flavor = "multi_thread")]
async fn items_are_embedded_before_any_generation_exists() {
    let rig = Rig::new().await;
    let tower = rig.start(|_| {}).await;
    let found = tower.embed(&rig.space, [7, 3, 60]).await.unwrap();
    let expected: Vec<f32> = [7, 3, 60]
        .iter()
        .flat_map(|&id| rig.sample.row(id))
        .collect();
    assert_eq!(found, vectors(&expected, rig.sample.dim, &rig.space));
    assert!(tower.healthy("ItemTowerService").await);
    assert!(!tower.healthy("SearchService").await);
    assert!(!tower.healthy("CatalogService").await);
    let cause = tower.search(rig.search("g", 7, &[0], 1)).await.unwrap_err();
    assert_eq!(cause.code(), Code::FailedPrecondition);
    tower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_answered_in_their_order_each_by_its_own_artifact() {
    let rig = Rig::new().await;
    let other = Sample {
        seed: 2,
        ..rig.sample.clone()
    };
    let dir = tempfile::tempdir().unwrap();
    let space = other.write(dir.path()).unwrap();
    rig.store.put_artifact(dir.path(), &space).await.unwrap();
    let tower = rig.start(|config| config.models.keep = 1).await;
    let chunks = (1..=30_u64).map(|id| pb::EmbedItemsRequest {
        artifact: [&rig.space, &space][id as usize % 2].clone(),
        items: vec![pb::ItemInput { id, features: None }],
    });
    let chunks: Vec<_> = chunks.collect();
    let mut client = ItemTowerServiceClient::new(tower.channel.clone());
    let mut answers = client
        .embed_items(stream::iter(chunks))
        .await
        .unwrap()
        .into_inner();
    for id in 1..=30 {
        let answer = answers.message().await.unwrap().unwrap();
        let expected = match id % 2 {
            0 => vectors(&rig.sample.row(id), rig.sample.dim, &rig.space),
            _ => vectors(&other.row(id), other.dim, &space),
        };
        assert_eq!(answer.vectors.unwrap(), expected, "item {id}");
    }
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_over_the_limit_or_of_an_unknown_artifact_is_refused() {
    let rig = Rig::new().await;
    let tower = rig.start(|_| {}).await;
    assert!(tower.embed(&rig.space, 0..1_024).await.is_ok());
    let cause = tower.embed(&rig.space, 0..1_025).await.unwrap_err();
    assert_eq!(cause.code(), Code::InvalidArgument);
    assert_eq!(cause.message(), "items: has 1025, may have 1024");
    for space in ["", "../artifacts", "00000000000000000000000000000000"] {
        let cause = tower.embed(space, [1]).await.unwrap_err();
        assert_eq!(cause.code(), Code::FailedPrecondition, "{space}");
        let reason = service::status::reason(&cause);
        assert_eq!(reason.as_deref(), Some(service::status::ARTIFACT_UNKNOWN));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_of_an_artifact_can_be_read() {
    let rig = Rig::new().await;
    let tower = rig.start(|_| {}).await;
    let mut client = ItemTowerServiceClient::new(tower.channel.clone());
    let request = pb::GetItemModelSignatureRequest {
        artifact: rig.space.clone(),
    };
    let found = client
        .get_item_model_signature(request)
        .await
        .unwrap()
        .into_inner();
    let signature: encoder::signature::Signature =
        serde_json::from_str(&found.signature_json).unwrap();
    assert_eq!((found.space, signature.dim), (rig.space, rig.sample.dim));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_whose_bytes_changed_is_refused_and_the_tower_lives() {
    let rig = Rig::new().await;
    let tower = rig.start(|_| {}).await;
    let model = rig
        .store
        .artifact_dir(&rig.space)
        .unwrap()
        .join("item_tower.onnx");
    let good = std::fs::read(&model).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    std::fs::write(&model, bad).unwrap();
    let cause = tower.embed(&rig.space, [1]).await.unwrap_err();
    assert_eq!(cause.code(), Code::Internal);
    std::fs::write(&model, good).unwrap();
    assert!(tower.embed(&rig.space, [1]).await.is_ok());
}
