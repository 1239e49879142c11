//! Generations whose rows were rounded to 16 bits a number.

use generation::{partition, rows::Storage};
use index::rows::{RowsView, halves};
use proto::v1::{self as pb, search_service_client::SearchServiceClient};

use crate::rig::{Rig, SHARDS, vectors};

#[tokio::test(flavor = "multi_thread")]
async fn rounded_rows_are_searched_and_told_as_what_they_are() {
    let mut rig = Rig::new().await;
    rig.storage = Storage::F16;
    let generation = rig.publish(1..=50).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;

    let shard = partition::shard_of(7, SHARDS);
    let request = rig.search(&generation, 7, &[shard], 5);
    let found = tower.search(request).await.unwrap();
    assert_eq!(found[0].ids, rig.ranking(7, 1..=50, shard)[..5]);

    let request = pb::GetVectorsRequest {
        generation: generation.clone(),
        ids: vec![7],
        as_of: None,
    };
    let mut client = SearchServiceClient::new(tower.channel.clone());
    let told = client.get_vectors(request).await.unwrap().into_inner();
    let (mut row, dim) = (rig.sample.row(7), rig.sample.dim);
    let rounded = halves::round(RowsView::new(&[7], &row, dim)).unwrap();
    halves::widen(&rounded, &mut row);
    assert_ne!(row, rig.sample.row(7));
    assert_eq!(told.vectors, Some(vectors(&row, dim, &rig.space)));
}
