//! Generations change while people are served.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use generation::store::Store;
use onnx::{
    evaluate, export,
    model::recipe::{Overrides, Recipe},
    train,
};
use proto::v1::{RecallOptions, RecallRequest, recall_service_client::RecallServiceClient};
use stack::{
    fill,
    house::{House, Plan, SHARDS},
    ready,
};
use tonic::{Status, transport::Channel};

use crate::house::support::{RUNTIME, SMALL};

const CALLERS: usize = 4;
const REINDEXES: usize = 6;
const USERS: usize = 5;

/// What one recall answered.
struct Answer {
    user: usize,
    generation: String,
    space: String,
    items: Vec<u64>,
}

/// Asks for one user after the other until told to stop.
async fn ask(
    gateway: Channel,
    users: Vec<String>,
    stop: Arc<AtomicBool>,
) -> Vec<Result<Answer, Status>> {
    let mut gateway = RecallServiceClient::new(gateway);
    let mut answers = Vec::new();
    for user in (0..USERS).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let request = RecallRequest {
            user_id: users[user].clone(),
            page_size: 20,
            options: Some(RecallOptions {
                reproducible: true,
                ..Default::default()
            }),
            ..Default::default()
        };
        answers.push(gateway.recall(request).await.map(|answer| {
            let answer = answer.into_inner();
            Answer {
                user,
                generation: answer.generation,
                space: answer.space,
                items: answer
                    .candidates
                    .iter()
                    .map(|candidate| candidate.id)
                    .collect(),
            }
        }));
    }
    answers
}

#[test]
fn a_reindex_under_traffic_fails_nobody_and_mixes_nothing() {
    let small = &*SMALL;
    let dataset = small.dataset();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::at(folder.path(), 0);

    // A second model of another seed: its vectors mean nothing to the first one's items.
    let run = folder.path().join("run");
    let overrides = Overrides {
        epochs: Some(1),
        seed: Some(2),
        ..Overrides::default()
    };
    train::train(
        &Recipe::quick_tower().unwrap(),
        dataset,
        &run,
        &overrides,
        false,
    )
    .unwrap();
    let other = folder.path().join("other");
    let other_space = export::export(&run, &other).unwrap().space;
    let evaluation = evaluate::evaluate(&other, dataset, &evaluate::Options::default()).unwrap();
    evaluate::report(&evaluation, &other).unwrap();
    let spaces = [small.prepared.evaluation.space.clone(), other_space];
    let data = folder.path().join("data");
    dataset.write(&data).unwrap();

    RUNTIME.block_on(async {
        let store = Store::open(plan.store.to_str().unwrap()).unwrap();
        store
            .put_artifact(&small.prepared.artifact, &spaces[0])
            .await
            .unwrap();
        store.put_artifact(&other, &spaces[1]).await.unwrap();
        let mut house = House::start(&plan).await.unwrap();
        let item_tower = format!("http://{}", house.item_towers[0]);
        let first = fill::index(&plan.store, &data, &spaces[0], &item_tower, SHARDS)
            .await
            .unwrap();
        let user_tower = format!("http://{}", house.user_tower);
        fill::import(dataset, &user_tower, |_| true).await.unwrap();
        house.serves(&first.generation).await.unwrap();

        let stop = Arc::new(AtomicBool::new(false));
        let users: Vec<String> = dataset.users.iter().map(|user| user.id.clone()).collect();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                tokio::spawn(ask(
                    house.channel().unwrap(),
                    users.clone(),
                    Arc::clone(&stop),
                ))
            })
            .collect();
        let mut space_of = BTreeMap::from([(first.generation, spaces[0].clone())]);
        for round in 0..REINDEXES {
            let space = &spaces[(round + 1) % 2];
            let indexed = fill::index(&plan.store, &data, space, &item_tower, SHARDS)
                .await
                .unwrap();
            ready::serves(house.channel().unwrap(), &indexed.generation)
                .await
                .unwrap();
            space_of.insert(indexed.generation, space.clone());
        }
        stop.store(true, Ordering::Relaxed);

        let mut served = BTreeSet::new();
        let mut lists: BTreeMap<(usize, String), Vec<u64>> = BTreeMap::new();
        for caller in callers {
            for answer in caller.await.unwrap() {
                let answer = answer.unwrap();
                assert_eq!(space_of[&answer.generation], answer.space);
                let list = lists
                    .entry((answer.user, answer.space))
                    .or_insert_with(|| answer.items.clone());
                assert_eq!(
                    *list, answer.items,
                    "equal requests in one space get equal answers"
                );
                served.insert(answer.generation);
            }
        }
        assert!(
            served.len() > REINDEXES / 2,
            "{} generations answered",
            served.len()
        );
        assert!((0..USERS).all(|user| {
            lists[&(user, spaces[0].clone())] != lists[&(user, spaces[1].clone())]
        }));
        house.stop().await.unwrap();
    });
}
