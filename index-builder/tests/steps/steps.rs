//! Steps over files: done twice, out of order, over other inputs, by two at once.

use std::fs::{self, OpenOptions};

use crate::rig::Rig;

const ALL: [&[&str]; 7] = [
    &["plan"],
    &["embed", "--part", "1/2"],
    &["embed", "--part", "2/2"],
    &["build", "--shard", "0"],
    &["build", "--shard", "1"],
    &["verify"],
    &["publish"],
];

fn rig() -> Rig {
    let mut rig = Rig::of(3_000);
    rig.config.embed.chunk = 512;
    rig.config.parts = 2;
    rig.config.reuse = false;
    rig
}

#[test]
fn the_steps_make_what_a_run_makes_and_a_step_that_is_done_does_nothing() {
    let rig = rig();
    for step in ALL {
        assert_eq!(rig.step(step)["before"], false, "{step:?}");
        let embedded = rig.embedded();
        // What is published serves, so that a plan after it is another.
        assert_eq!(rig.step(step)["before"], true, "{step:?}");
        assert_eq!(rig.embedded(), embedded);
    }
    assert_eq!(rig.embedded(), 3_000);
    let steps = rig.serving().unwrap();
    // A publisher that was killed before it noted what it did.
    fs::remove_file(rig.config.work.join("published.json")).unwrap();
    let again = rig.step(&["publish"]);
    assert_eq!(
        (&again["before"], &again["generation"]),
        (&true.into(), &steps.clone().into())
    );

    let run = rig.run().unwrap();
    assert_eq!((run.items, run.kept), (3_000, 0));
    assert!(rig.files(&steps) == rig.files(&run.generation));
}

#[test]
fn a_step_out_of_order_is_refused_by_what_is_missing() {
    let rig = rig();
    let cause = rig.refusal(&["embed", "--part", "1/2"]);
    assert!(
        cause.contains("holds no plan.json: `index-builder plan` comes first"),
        "{cause}"
    );
    rig.step(ALL[0]);
    let cause = rig.refusal(&["embed", "--part", "1/4"]);
    assert!(
        cause.contains("the plan has no part 1/4: it has 1/2 to 2/2"),
        "{cause}"
    );
    let cause = rig.refusal(&["build", "--shard", "2"]);
    assert!(
        cause.contains("the plan has no shard 2: it has 0 to 1"),
        "{cause}"
    );
    rig.step(ALL[1]);
    let cause = rig.refusal(ALL[3]);
    assert!(
        cause.contains("part 2 of 2 is not done yet: `embed --part 2/2` comes before build"),
        "{cause}"
    );
    rig.step(ALL[2]);
    rig.step(ALL[3]);
    let cause = rig.refusal(ALL[5]);
    assert!(
        cause.contains("shard 1 of 2 is not done yet: `build --shard 1` comes before verify"),
        "{cause}"
    );
    rig.step(ALL[4]);
    let cause = rig.refusal(ALL[6]);
    assert!(
        cause.contains("verification is not done yet: `verify` comes before publish"),
        "{cause}"
    );
}

#[test]
fn a_step_over_other_inputs_than_planned_is_refused_with_both() {
    let mut rig = rig();
    rig.step(ALL[0]);
    rig.config.shards = 3;
    let cause = rig.refusal(ALL[1]);
    assert!(
        cause.contains("the plan has shards 2, now it is 3"),
        "{cause}"
    );
    rig.config.shards = 2;
    let space = rig.space.clone();
    rig.config.artifact = "0".repeat(32);
    let cause = rig.refusal(ALL[1]);
    let expected = format!(
        "the plan has artifact {space}, now it is {}",
        rig.config.artifact
    );
    assert!(cause.contains(&expected), "{cause}");
    rig.config.artifact = space;
    rig.step(ALL[1]);
    rig.write_catalog(1..3_000);
    let found = blake3::hash(&fs::read(&rig.config.catalog).unwrap()).to_hex();
    for step in [ALL[1], ALL[2]] {
        let cause = rig.refusal(step);
        assert!(
            cause.contains("the plan has blake3 of ")
                && cause.contains(&format!("now it is {found}")),
            "{cause}"
        );
    }
    // A new plan takes the new catalog, and none of what was made of the old one.
    assert_eq!(rig.step(ALL[0])["before"], false);
    assert_eq!(rig.step(ALL[1])["before"], false);
}

#[test]
fn who_was_overtaken_publishes_nothing() {
    let mut rig = rig();
    for step in &ALL[..6] {
        rig.step(step);
    }
    let work = rig.config.work.clone();
    rig.config.work = rig.path("other");
    let other = rig.run().unwrap().generation;
    rig.config.work = work;
    let cause = rig.refusal(ALL[6]);
    assert!(
        cause.contains(&format!("it names {other}, expected nothing")),
        "{cause}"
    );
    assert_eq!(rig.serving(), Some(other));
}

#[test]
fn two_at_once_in_one_directory_are_refused() {
    let rig = rig();
    rig.step(ALL[0]);
    let lock = OpenOptions::new()
        .write(true)
        .open(rig.config.work.join("LOCK"))
        .unwrap();
    lock.lock_shared().unwrap();
    for step in [&["run"], ALL[0]] {
        let cause = rig.refusal(step);
        assert!(cause.contains("another process is at work"), "{cause}");
    }
    // Steps go together.
    rig.step(ALL[1]);
    lock.unlock().unwrap();
    lock.lock().unwrap();
    let cause = rig.refusal(ALL[2]);
    assert!(cause.contains("another process is at work"), "{cause}");
}

#[test]
fn what_is_cut_off_is_made_again_and_what_is_damaged_is_refused() {
    let rig = rig();
    let whole = rig.run().unwrap().generation;
    for step in &ALL[..4] {
        rig.step(step);
    }
    let spool = rig.config.work.join("part-0002/items-0001.spool");
    let bytes = fs::read(&spool).unwrap();
    fs::write(&spool, &bytes[..bytes.len() / 2]).unwrap();
    let cause = rig.refusal(ALL[4]);
    assert!(cause.contains("part 2 of 2 is not done yet"), "{cause}");
    assert_eq!(rig.step(ALL[2])["before"], false);

    let mut bytes = fs::read(&spool).unwrap();
    bytes[40] ^= 1;
    fs::write(&spool, bytes).unwrap();
    let cause = rig.refusal(ALL[4]);
    assert!(
        cause.contains("blake3 is ") && cause.contains("`embed --part 2/2` makes it anew"),
        "{cause}"
    );
    assert_eq!(rig.step(ALL[2])["before"], false);

    fs::remove_file(rig.config.work.join("shard-0000/done.json")).unwrap();
    assert_eq!(rig.step(ALL[3])["before"], false);
    rig.step(ALL[4]);
    let graph = rig.config.work.join("shard-0001/shard-0001.graph");
    let mut bytes = fs::read(&graph).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&graph, bytes).unwrap();
    let cause = rig.refusal(ALL[5]);
    assert!(cause.contains("`build --shard 1` makes it anew"), "{cause}");
    for step in &ALL[4..] {
        assert_eq!(rig.step(step)["before"], false);
    }
    assert!(rig.files(&rig.serving().unwrap()) == rig.files(&whole));
}

#[test]
fn a_graph_is_built_anew_only_if_it_was_made_out_of_a_kept_one_and_finds_too_little() {
    let mut rig = rig();
    rig.config.reuse = true;
    // A graph this thin finds little.
    rig.config.hnsw.connectivity = 2;
    rig.config.hnsw.expansion_add = 2;
    rig.config.hnsw.expansion_search = 1;
    rig.config.hnsw.recall = 1.0;
    rig.config.verify.ann_recall_floor = 0.0;
    rig.step(ALL[0]);
    let build = |rig: &Rig| {
        for step in &ALL[1..5] {
            rig.step(step);
        }
        rig.step(ALL[3])
    };
    let built = build(&rig);
    assert_eq!(built["graph_kept"], false);
    let made = |rig: &Rig| {
        fs::metadata(rig.config.work.join("shard-0000/done.json"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = made(&rig);
    let measured = rig.step(ALL[5]);
    assert!(measured["recall"].as_f64().unwrap() < 1.0, "{measured}");
    assert_eq!(
        made(&rig),
        before,
        "its graph was built of nothing but its rows"
    );
    rig.step(ALL[6]);

    rig.write_catalog(2..=3_000);
    rig.step(ALL[0]);
    assert_eq!(build(&rig)["graph_kept"], true);
    let before = made(&rig);
    rig.step(ALL[5]);
    assert!(made(&rig) > before);
    assert_eq!(rig.step(ALL[3])["graph_kept"], false);
    rig.step(ALL[6]);
}
