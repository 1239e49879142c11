//! What an operator asks of a store: what it holds, whether that is whole, and the generation before.

use std::fs;

use generation::traffic::roll_back;
use index_builder::inspect::{self, Role};

use crate::reindex::rig::{NUMBERS, Rig, lines};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_checks_and_goes_back() {
    let rig = Rig::new().await;
    let old = rig.run().await.unwrap().generation;
    rig.write_catalog(&lines(1..=40));
    let new = rig.run().await.unwrap().generation;
    rig.served(&new).await;

    let listing = inspect::list(&rig.store).await.unwrap();
    let roles: Vec<_> = listing.0.iter().map(|listed| listed.role).collect();
    assert_eq!(roles, [Some(Role::Serving), Some(Role::Previous)]);
    let text = listing.to_string();
    let line = text.lines().find(|line| line.starts_with(&old)).unwrap();
    assert!(line.contains("previous") && line.contains(" 60 "), "{line}");

    let checked = inspect::check(&rig.store, None).await.unwrap();
    assert_eq!(
        (checked.generation.as_str(), checked.files),
        (new.as_str(), 7)
    );
    assert!(checked.problems.is_empty(), "{checked}");
    roll_back(&rig.store, None).await.unwrap();
    assert_eq!(rig.serving().await.as_ref(), Some(&old));
    let again = rig.search(&old, 7, 5).await.unwrap();
    assert_eq!(again, rig.ranking(7, 1..=NUMBERS)[..5]);

    let damaged = rig.store.root().join("generations").join(&new);
    let file = damaged.join("shard-0001.items");
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    let checked = inspect::check(&rig.store, Some(new.clone())).await.unwrap();
    assert_eq!(checked.problems.len(), 1, "{checked}");
    assert!(
        checked.problems[0].contains("shard-0001.items: blake3"),
        "{checked}"
    );
    let cause = roll_back(&rig.store, None).await.unwrap_err();
    assert!(cause.to_string().contains("blake3"), "{cause}");
    fs::remove_file(damaged.join("manifest.json")).unwrap();
    fs::write(damaged.join("manifest.json"), "{").unwrap();
    let listing = inspect::list(&rig.store).await.unwrap().to_string();
    assert!(listing.contains("manifest.json: EOF"), "{listing}");
    assert_eq!(rig.serving().await, Some(old));
}
