//! Models that tell how much each event counts.

use super::*;

#[test]
fn a_model_tells_how_much_each_event_counts() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample {
        tells: true,
        ..Sample::default()
    };
    sample.write(dir.path()).unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    // Nobody knows item 99, and only the newest five events are seen.
    let users = [
        user(&[3, 99, 4]),
        user(&[]),
        user(&[20, 9, 8, 7, 6, 5]),
        user(&[1]),
    ];
    let told = encoder.encode(&users).unwrap();
    let check = |at: usize, items: &[u64]| {
        let attention = told.attention_of(at).unwrap();
        assert_eq!(attention.items, items);
        let lines: Vec<f32> = items.iter().map(|item| *item as f32 + 1.0).collect();
        assert_eq!(attention.values, lines);
    };
    check(0, &[3, 4]);
    check(1, &[]);
    check(2, &[9, 8, 7, 6, 5]);
    check(3, &[1]);
    let item = ItemEncoder::open(&artifact, 1).unwrap();
    artifact.check_golden(&encoder, &item).unwrap();
}

#[test]
fn a_model_that_does_not_tell_gives_none() {
    let (_dir, _, artifact) = sample();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let told = encoder.encode(&[user(&[3])]).unwrap();
    assert_eq!(told.attention_of(0), None);
}
