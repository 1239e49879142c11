//! Vectors of items, read by id.

use std::time::Duration;

use proto::v1::{self as pb, search_service_client::SearchServiceClient};
use service::status;
use tonic::{Code, Request};

use crate::rig::{Rig, vectors};

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_read_up_to_the_limit_and_as_of_a_delta_that_there_is() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=50).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    let read = async |count, as_of| {
        let mut request = Request::new(pb::GetVectorsRequest {
            generation: generation.clone(),
            ids: vec![7; count],
            as_of,
        });
        request.set_timeout(Duration::from_millis(200));
        let mut client = SearchServiceClient::new(tower.channel.clone());
        client.get_vectors(request).await
    };
    let most = read(2_048, None).await.unwrap().into_inner();
    assert_eq!(most.ids, vec![7; 2_048]);
    let row = rig.sample.row(7).repeat(2_048);
    let expected = vectors(&row, rig.sample.dim, &rig.space);
    assert_eq!(most.vectors, Some(expected));
    let refused = read(2_049, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "ids: has 2049, may have at most 2048");
    read(1, Some(0)).await.unwrap();
    let refused = read(1, Some(u64::MAX)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::DELTA_NOT_HELD)
    );
}
