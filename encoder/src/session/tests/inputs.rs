//! Models that read the time of the request, or the vectors of items.

use super::*;

#[test]
fn a_model_that_reads_ages_sees_the_time_of_the_request() {
    let (_dir, sample, artifact) = sample_that(Reads::Ages);
    assert!(artifact.signature().reads_time());
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let at = |time: Option<i64>| User {
        time,
        ..user(&[3, 4])
    };
    let users = [at(None), at(Some(3_600)), at(Some(36_000))];
    let interests = encoder.encode(&users).unwrap();
    for (row, user) in users.iter().enumerate() {
        close(interests.user(row), &sample.user(user));
    }
    assert_eq!(interests.user(2)[1] - interests.user(0)[1], 20.0);
    let item = ItemEncoder::open(&artifact, 1).unwrap();
    artifact.check_golden(&encoder, &item).unwrap();
}

#[test]
fn a_model_that_reads_item_vectors_knows_the_items_that_have_one() {
    let (_dir, sample, artifact) = sample_that(Reads::Vectors);
    let user_tower = UserEncoder::open(&artifact, 1).unwrap();
    // Item 777 is newer than the model, item 2 is gone.
    let ids = [1, 3, 4, 777];
    let newer = vec![0.25; 8];
    let row = |id: &u64| match id {
        777 => newer.clone(),
        id => sample.row(*id),
    };
    let rows = Embeddings {
        dim: 8,
        values: ids.iter().flat_map(row).collect(),
    };
    let vectors = Gathered::new(&ids, rows);
    let users = [user(&[3, 2, 777]), user(&[2]), user(&[1, 1, 3, 3, 4, 4])];
    let found = user_tower.encode_with(&users, Some(&vectors)).unwrap();
    let with_newer: Vec<f32> = sample
        .user(&user(&[3]))
        .iter()
        .zip(&newer)
        .map(|(sum, number)| sum + number)
        .collect();
    close(found.user(0), &with_newer);
    close(found.user(1), &sample.user(&user(&[])));
    close(found.user(2), &sample.user(&users[2]));
    assert_eq!(found.cold, [false, true, false]);
    let item_tower = ItemEncoder::open(&artifact, 1).unwrap();
    artifact.check_golden(&user_tower, &item_tower).unwrap();
}

#[test]
fn a_model_that_reads_item_vectors_embeds_nobody_without_them() {
    let (_dir, _, artifact) = sample_that(Reads::Vectors);
    let tower = UserEncoder::open(&artifact, 1).unwrap();
    let refusal = tower.encode(&[user(&[1])]).unwrap_err().to_string();
    let takes = "user_tower.onnx: it takes item vectors of length 8, ";
    assert_eq!(refusal, format!("{takes}none were handed in"));
    let rows = Embeddings {
        dim: 9,
        values: vec![0.0; 9],
    };
    let longer = Gathered::new(&[1], rows);
    let refusal = tower.encode_with(&[user(&[1])], Some(&longer)).unwrap_err();
    let shown = refusal.to_string();
    assert_eq!(shown, format!("{takes}those handed in have length 9"));
}
