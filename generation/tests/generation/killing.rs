//! A builder killed at any moment leaves what served, or what it just published, whole.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use generation::{collect::collect, open, publish::Staging, store::Store};

use crate::fixture::{House, Place, SPACE, draft, in_both, stage};

in_both! { what_serves_is_whole_after_every_kill }

/// Tells the processes below which store to work in.
const VICTIM: &str = "TWOTOWER_TEST_VICTIM_STORE";

/// A process of its own for the tests below: publishes until it is killed.
#[tokio::test]
#[ignore = "the victim of another test"]
async fn publishes_until_killed() {
    let store = Store::open(&env::var(VICTIM).unwrap()).unwrap();
    for seed in 0_u16.. {
        stage(&store, seed.into()).commit(draft()).await.unwrap();
    }
}

/// A process of its own for the tests below: stages, and waits to be killed.
#[test]
#[ignore = "the victim of another test"]
fn stages_and_waits() {
    let store = Store::open(&env::var(VICTIM).unwrap()).unwrap();
    let _staging = stage(&store, 1.0);
    fs::write(store.root().join("staged"), "").unwrap();
    loop {
        std::thread::park();
    }
}

fn spawn(victim: &str, house: &House) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("killing::{victim}")])
        .env(VICTIM, &house.location)
        .envs(house.settings.clone())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut victim: Child) {
    victim.kill().unwrap();
    victim.wait().unwrap();
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done().await {
        assert!(Instant::now() < deadline, "{what} never happened");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

async fn what_serves_is_whole_after_every_kill(place: Place) {
    let house = place.house().await;
    let store = &house.store;
    for round in 0..12 {
        let before = store.generations().await.unwrap().len();
        let victim = spawn("publishes_until_killed", &house);
        until("a publication", async || {
            store.generations().await.unwrap().len() > before
        })
        .await;
        // Kills come at different moments of the next publication, which takes longer in a bucket.
        let step = match place {
            Place::Directory => Duration::from_micros(700),
            Place::Bucket => Duration::from_millis(12),
        };
        tokio::time::sleep(step * round).await;
        kill(victim);

        let ids = store.generations().await.unwrap();
        let elsewhere = house.elsewhere();
        for id in &ids[..ids.len().min(4)] {
            let generation = open::open(&elsewhere, id).await.unwrap();
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
    let last = house.publish(1.0).await.id;
    assert_eq!(house.staged(), 0);
    if place == Place::Bucket {
        house.age("");
        collect(store, 1).await.unwrap();
        let left = store.generations().await.unwrap();
        let (serving, previous) = house.serving().await;
        assert_eq!(left, [serving.clone(), previous.unwrap()]);
        assert_eq!(serving, last);
        assert!(house.objects("claims").await.is_empty());
        let files = house.objects("generations").await;
        let of_left = |name: &String| left.iter().any(|id| name.contains(id.as_str()));
        assert!(files.iter().all(of_left), "{files:?}");
    }
}

#[tokio::test]
async fn leftovers_of_the_dead_are_collected_and_work_of_the_living_is_not() {
    let house = Place::Directory.house().await;
    let victim = spawn("stages_and_waits", &house);
    until("a staging", async || {
        house.store.root().join("staged").exists()
    })
    .await;
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
