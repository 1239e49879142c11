//! What only a store in a bucket can meet: its cache, large files, a server that is away.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    time::{Duration, Instant},
};

use generation::{collect::collect, open, store::Store};

use crate::{
    fixture::{Place, SPACE, draft},
    server,
};

fn text(mut file: fs::File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_damaged_file_of_the_cache_is_fetched_anew() {
    let house = Place::Bucket.house().await;
    let id = house.publish(1.0).await.id;
    let generation = open::open(&house.store, &id).await.unwrap();
    let cached = house.path(&id, "shard-0001.graph");
    assert!(!cached.exists(), "fetched before anybody asked for it");
    for damage in ["graph 9", "graph", ""] {
        let file = generation.file("shard-0001.graph").unwrap();
        assert_eq!(text(file), "graph 1");
        fs::remove_file(&cached).unwrap();
        fs::write(&cached, damage).unwrap();
    }
    let file = generation.file("shard-0001.graph").unwrap();
    assert_eq!(text(file), "graph 1");
    // A whole one is not asked for again.
    house.tamper(&id, "shard-0001.graph", b"graph 9").await;
    assert_eq!(
        text(generation.file("shard-0001.graph").unwrap()),
        "graph 1"
    );
    assert_eq!(house.staged(), 0);
}

#[tokio::test]
async fn a_damaged_artifact_of_the_cache_is_fetched_anew() {
    let house = Place::Bucket.house().await;
    let dir = house.store.fetch_artifact(SPACE).await.unwrap();
    let listing = dir.join("artifact.json");
    fs::remove_file(&listing).unwrap();
    fs::write(&listing, "{\"").unwrap();
    assert_eq!(house.store.fetch_artifact(SPACE).await.unwrap(), dir);
    assert_eq!(fs::read_to_string(&listing).unwrap(), "{}");
}

#[tokio::test]
async fn a_large_file_travels_in_pieces_and_arrives_whole() {
    let house = Place::Bucket.house().await;
    let staging = house.stage(1.0);
    let large: Vec<u8> = (0..(20_u32 << 20) + 7).map(|at| (at % 251) as u8).collect();
    fs::write(staging.dir().join("large"), &large).unwrap();
    let id = staging.commit(draft()).await.unwrap().id;
    let generation = open::open(&house.elsewhere(), &id).await.unwrap();
    let mut found = Vec::new();
    let mut file = generation.file("large").unwrap();
    file.read_to_end(&mut found).unwrap();
    assert!(found == large);
}

#[tokio::test]
async fn the_cache_forgets_generations_that_the_bucket_no_longer_has() {
    let house = Place::Bucket.house().await;
    let elsewhere = house.elsewhere();
    let mut ids = Vec::new();
    for seed in 0..4 {
        ids.push(house.publish(seed as f32).await.id);
        let opened = open::open(&elsewhere, &ids[seed]).await.unwrap();
        opened.file("popularity.json").unwrap();
        collect(&house.store, 2).await.unwrap();
    }
    let cached = fs::read_dir(elsewhere.root().join("generations")).unwrap();
    // The last was opened before what it made old was collected.
    assert_eq!(cached.count(), 3);
}

#[tokio::test]
async fn a_store_in_a_bucket_can_be_used_from_any_runtime_and_from_none() {
    let house = Place::Bucket.house().await;
    let id = house.publish(1.0).await.id;
    let generation = open::open(&house.store, &id).await.unwrap();
    let thread = std::thread::spawn(move || generation.file("popularity.json").map(text).unwrap());
    assert_eq!(thread.join().unwrap(), "[[10, 3]]");
    let store = house.store.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(store.generations()).unwrap()
    });
    assert_eq!(thread.join().unwrap(), [id]);
}

/// A store whose server is at a port.
fn store_at(port: u16, dir: &tempfile::TempDir, more: &[(&str, &str)]) -> Store {
    let cache = ("TWOTOWER_CACHE", dir.path().to_str().unwrap());
    let more = more.iter().chain([&cache]);
    let more = more.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let settings = server::settings_of(port).into_iter().chain(more);
    Store::open_with("s3://stores/a", settings).unwrap()
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_that_names_the_object_and_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let store = store_at(port, &dir, &[]);
    let begun = Instant::now();
    let cause = store.current().await.unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(cause.starts_with("CURRENT: "), "{cause}");
    assert!(cause.contains(&format!("127.0.0.1:{port}")), "{cause}");
    assert!(cause.contains("Connection refused"), "{cause}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_an_error_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let store = store_at(port, &dir, &[("AWS_TIMEOUT", "300ms")]);
    let begun = Instant::now();
    let cause = store.current().await.unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(cause.starts_with("CURRENT: "), "{cause}");
    assert!(cause.contains("timed out"), "{cause}");
}
