//! A builder killed at any moment leaves what served, or what it just published, whole.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use generation::{open, publish::Staging, store::Store};

use crate::fixture::{House, SPACE, draft, stage};

/// Tells the processes below which store to work in.
const VICTIM: &str = "TWOTOWER_TEST_VICTIM_STORE";

/// A process of its own for the tests below: publishes until it is killed.
#[tokio::test]
#[ignore = "the victim of another test"]
async fn publishes_until_killed() {
    let store = Store::open(&std::env::var(VICTIM).unwrap()).unwrap();
    for seed in 0_u16.. {
        stage(&store, seed.into()).commit(draft()).await.unwrap();
    }
}

/// A process of its own for the tests below: stages, and waits to be killed.
#[test]
#[ignore = "the victim of another test"]
fn stages_and_waits() {
    let store = Store::open(&std::env::var(VICTIM).unwrap()).unwrap();
    let _staging = stage(&store, 1.0);
    fs::write(store.root().join("staged"), "").unwrap();
    loop {
        std::thread::park();
    }
}

fn spawn(victim: &str, store: &Store) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("killing::{victim}")])
        .env(VICTIM, store.root())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut victim: Child) {
    victim.kill().unwrap();
    victim.wait().unwrap();
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} never happened");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

#[tokio::test]
async fn what_serves_is_whole_after_every_kill() {
    let house = House::new();
    let store = &house.store;
    let generations = store.root().join("generations");
    for round in 0..12 {
        let before = count(&generations);
        let victim = spawn("publishes_until_killed", store);
        until("a publication", || count(&generations) > before).await;
        // Kills come at different moments of the next publication.
        tokio::time::sleep(Duration::from_micros(700 * round)).await;
        kill(victim);

        let ids = store.generations().await.unwrap();
        for id in &ids {
            let generation = open::open(store, id).await.unwrap();
            for file in generation.manifest.files.keys() {
                generation.file(file).unwrap();
            }
        }
        if let Some(current) = store.current().await.unwrap() {
            assert!(
                ids.contains(&current.value.serving),
                "{current:?} of {ids:?}"
            );
        }
    }
    house.publish(1.0).await;
    assert_eq!(house.staged(), 0);
}

#[tokio::test]
async fn leftovers_of_the_dead_are_collected_and_work_of_the_living_is_not() {
    let house = House::new();
    let victim = spawn("stages_and_waits", &house.store);
    until("a staging", || house.store.root().join("staged").exists()).await;
    let alive = Staging::create(&house.store).unwrap();
    assert_eq!(house.staged(), 2);

    kill(victim);
    let next = house.stage(1.0);
    assert_eq!(house.staged(), 2);
    assert!(alive.dir().is_dir());
    next.commit(draft()).await.unwrap();
    drop(alive);
    assert_eq!(
        count(&house.store.root().join("staging")),
        1,
        "all but the lock file"
    );
    assert!(house.store.artifact_dir(SPACE).unwrap().is_dir());
}
