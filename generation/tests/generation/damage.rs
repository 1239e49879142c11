//! Damaged, foreign and hostile files are refused by name, with both values.

use std::{collections::BTreeMap, env, fs};

use generation::{
    deltas::{self, Changes, Vectors},
    error::Error,
    open,
};
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::fixture::{House, Place, SPACE, in_both};

in_both! {
    a_truncated_file_is_refused_with_both_sizes,
    a_flipped_bit_is_refused_with_both_hashes,
    a_file_of_another_generation_is_refused,
    a_manifest_of_another_generation_is_refused_with_both_ids,
    a_changed_manifest_is_refused,
    an_unknown_format_is_refused_with_both_versions,
    a_huge_manifest_is_refused_unread,
    names_that_leave_the_store_are_refused_before_any_file_is_touched,
}

/// Opens `file` of a generation after it was changed from what it was; returns the error.
async fn refusal(place: Place, file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let house = place.house().await;
    let id = house.publish(1.0).await.id;
    let bytes = change(house.bytes(&id, file).await);
    house.tamper(&id, file, &bytes).await;
    let cause = open(&house, &id, file).await.unwrap_err().to_string();
    assert!(
        cause.contains(&format!("generations/{id}/{file}")),
        "{cause}"
    );
    cause
}

async fn open(house: &House, id: &str, file: &str) -> Result<(), Error> {
    let generation = open::open(&house.elsewhere(), id).await?;
    if file != "manifest.json" {
        generation.file(file)?;
    }
    Ok(())
}

async fn a_truncated_file_is_refused_with_both_sizes(place: Place) {
    let cause = refusal(place, "shard-0000.rows", |bytes| {
        bytes[..bytes.len() - 1].to_vec()
    })
    .await;
    assert!(
        cause.contains("size in bytes is 175, expected 176"),
        "{cause}"
    );
}

async fn a_flipped_bit_is_refused_with_both_hashes(place: Place) {
    let cause = refusal(place, "shard-0001.graph", |mut bytes| {
        bytes[3] ^= 0x10;
        bytes
    })
    .await;
    let whole = blake3::hash(b"graph 1").to_hex();
    assert!(cause.contains("blake3 is "), "{cause}");
    assert!(cause.ends_with(&format!("expected {whole}")), "{cause}");
}

async fn a_file_of_another_generation_is_refused(place: Place) {
    let house = place.house().await;
    let (old, new) = (house.publish(1.0).await.id, house.publish(2.0).await.id);
    let foreign = house.bytes(&old, "shard-0000.rows").await;
    house.tamper(&new, "shard-0000.rows", &foreign).await;
    let cause = open(&house, &new, "shard-0000.rows")
        .await
        .unwrap_err()
        .to_string();
    assert!(cause.contains("shard-0000.rows: blake3 is"), "{cause}");
    assert!(open(&house, &old, "shard-0000.rows").await.is_ok());
}

async fn a_manifest_of_another_generation_is_refused_with_both_ids(place: Place) {
    let house = place.house().await;
    let (old, new) = (house.publish(1.0).await.id, house.publish(2.0).await.id);
    let foreign = house.bytes(&old, "manifest.json").await;
    house.tamper(&new, "manifest.json", &foreign).await;
    let cause = open(&house, &new, "manifest.json")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        cause.ends_with(&format!("id is {old}, expected {new}")),
        "{cause}"
    );
}

async fn a_changed_manifest_is_refused(place: Place) {
    let cause = refusal(place, "manifest.json", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace("\"dim\": 4", "\"dim\": 5").into_bytes()
    })
    .await;
    assert!(cause.contains("hash is"), "{cause}");
    let cause = refusal(place, "manifest.json", |bytes| {
        bytes[..bytes.len() / 2].to_vec()
    })
    .await;
    assert!(cause.contains("EOF"), "{cause}");
}

async fn an_unknown_format_is_refused_with_both_versions(place: Place) {
    let cause = refusal(place, "manifest.json", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace("\"format\": 1", "\"format\": 2").into_bytes()
    })
    .await;
    assert!(cause.ends_with("format is 2, expected 1"), "{cause}");
}

async fn a_huge_manifest_is_refused_unread(place: Place) {
    let cause = refusal(place, "manifest.json", |_| vec![b' '; (16 << 20) + 1]).await;
    assert!(
        cause.ends_with("size in bytes is 16777217, expected at most 16777216"),
        "{cause}"
    );
}

async fn names_that_leave_the_store_are_refused_before_any_file_is_touched(place: Place) {
    let house = place.house().await;
    let generation = house.publish(1.0).await;
    let opened = open::open(&house.store, &generation.id).await.unwrap();
    for name in [
        "../x",
        "..",
        "a/../../x",
        "a\0b",
        "/etc/hostname",
        &"x".repeat(4096),
    ] {
        let cause = open::open(&house.store, name).await.unwrap_err();
        assert!(matches!(cause, Error::Name { .. }), "{cause}");
        let cause = house.store.artifact_dir(name).unwrap_err();
        assert!(matches!(cause, Error::Name { .. }), "{cause}");
        let cause = opened.file(name).unwrap_err();
        assert!(matches!(cause, Error::Missing { .. }), "{cause}");
    }
    let cause = open::open(&house.store, "20200101T000000Z-00000000")
        .await
        .unwrap_err();
    assert!(matches!(cause, Error::Missing { .. }), "{cause}");
}

/// How many damages of each file are tried, where the environment says nothing.
const DAMAGES: usize = 1_000;

/// Changes bytes as a faulty disk does: a bit, a run of zeros, an end that is missing, bytes from elsewhere in the file.
fn damage(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let at = random.random_range(0..bytes.len());
    let run = random.random_range(1..=4096).min(bytes.len() - at);
    match random.random_range(0..4) {
        0 => damaged[at] ^= 1 << random.random_range(0..8),
        1 => damaged[at..at + run].fill(0),
        2 => damaged.truncate(at),
        _ => damaged.copy_within(at..at + run, random.random_range(0..=bytes.len() - run)),
    }
    damaged
}

#[tokio::test]
async fn no_damage_goes_unnoticed() {
    let damages: usize =
        env::var("TWOTOWER_TEST_DAMAGES").map_or(DAMAGES, |damages| damages.parse().unwrap());
    let mut random = StdRng::seed_from_u64(1);
    let house = Place::Directory.house().await;
    let (store, id) = (&house.store, &house.publish(1.0).await.id);
    let items = BTreeMap::from([(7, Some(b"an item".to_vec())), (9, None)]);
    deltas::append(store, &Changes { items }, 0).await.unwrap();
    let rows = BTreeMap::from([(7, vec![1.0, 2.0])]);
    let vectors = Vectors { dim: 2, rows };
    deltas::put_vectors(store, 1, SPACE, &vectors)
        .await
        .unwrap();
    let files = [
        "manifest.json",
        "shard-0000.rows",
        "shard-0001.graph",
        "shard-0001.items",
        "shard-0001.cells",
        "popularity.json",
    ];
    let of_generation = files.map(|file| format!("generations/{id}/{file}"));
    let of_log = [
        format!("deltas/{:020}", 1),
        format!("deltas/{:020}.{SPACE}", 1),
    ];
    let is_read = async |name: &str| match name.strip_prefix("deltas/") {
        None => open(&house, id, name.rsplit('/').next().unwrap())
            .await
            .is_ok(),
        Some(log) if log.len() == 20 => deltas::read(store, 1).await.is_ok(),
        Some(_) => deltas::read_vectors(store, 1, SPACE).await.is_ok(),
    };
    let (mut tried, mut silent) = (0, 0);
    for name in of_generation.iter().chain(&of_log) {
        let whole = store.read(name, 1 << 30).await.unwrap().unwrap();
        let mut left = damages;
        while left > 0 {
            let damaged = damage(&whole, &mut random);
            if damaged == whole {
                continue;
            }
            house.put(name, &damaged).await;
            tried += 1;
            silent += usize::from(is_read(name).await);
            left -= 1;
        }
        house.put(name, &whole).await;
        assert!(is_read(name).await, "{name}");
    }
    assert_eq!((tried, silent), (8 * damages, 0));
    if let Ok(report) = env::var("TWOTOWER_TEST_DAMAGES_REPORT") {
        fs::write(report, format!("{tried} {silent}")).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_byte_goes_unnoticed(at in any::<prop::sample::Index>(), bit in 0..8, which in 0..5_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let files = ["manifest.json", "shard-0000.rows", "shard-0001.items", "shard-0001.cells", "popularity.json"];
            let file = files[which];
            refusal(Place::Directory, file, |mut bytes| {
                let at = at.index(bytes.len());
                bytes[at] ^= 1_u8 << bit;
                bytes
            })
            .await;
        });
    }
}
