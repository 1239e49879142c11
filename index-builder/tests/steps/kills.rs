//! kill -9 at every step, then the same command again.

use std::{
    fs,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::rig::Rig;

/// What a run makes in the directory of the job, in this order.
const MARKS: [&str; 12] = [
    "plan.json",
    "part-0001.new",
    "part-0001",
    "part-0002.new",
    "part-0003",
    "shard-0000.new",
    "shard-0000.new/shard-0000.rows",
    "shard-0000",
    "shard-0001.new/shard-0001.graph",
    "shard-0001",
    "verified.json",
    "published.json",
];

fn rig() -> Rig {
    let mut rig = Rig::of(6_000);
    rig.config.parts = 3;
    rig.config.reuse = false;
    rig
}

/// Kills the process as soon as `mark` is there; whether it was still running.
fn kill_at(mut child: Child, mark: &Path) -> bool {
    let patience = Instant::now() + Duration::from_secs(60);
    while !mark.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < patience, "{}", mark.display());
        thread::yield_now();
    }
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn a_run_that_is_killed_at_every_step_makes_what_an_unbroken_one_makes() {
    let rig = rig();
    let whole = rig.run().unwrap().generation;
    let mut killed = 0;
    for mark in MARKS {
        let child = rig.spawn(&["run"]);
        killed += usize::from(kill_at(child, &rig.config.work.join(mark)));
    }
    assert!(
        killed >= MARKS.len() / 2,
        "{killed} of {} runs were killed",
        MARKS.len()
    );
    let embedded = rig.embedded();
    let summary = rig.step(&["run"]);
    let generation = summary["generation"].as_str().unwrap();
    assert!(rig.files(generation) == rig.files(&whole));
    assert_eq!(rig.serving().as_deref(), Some(generation));
    // Nothing is left but the lock.
    let left = fs::read_dir(&rig.config.work).unwrap();
    assert_eq!(left.count(), 1);
    assert!(rig.embedded() - embedded <= 6_000);
}

#[test]
fn what_a_killed_run_embedded_is_not_embedded_again() {
    let rig = rig();
    let child = rig.spawn(&["run"]);
    assert!(kill_at(child, &rig.config.work.join("shard-0000.new")));
    assert_eq!(rig.embedded(), 6_000);
    let summary = rig.run().unwrap();
    assert_eq!((summary.items, rig.embedded()), (6_000, 6_000));
}

#[test]
fn every_step_that_is_killed_is_done_again_from_its_beginning() {
    let rig = rig();
    let whole = rig.run().unwrap().generation;
    rig.step(&["plan"]);
    let steps: [(&[&str], &str); 7] = [
        (&["embed", "--part", "1/3"], "part-0001.new"),
        (
            &["embed", "--part", "2/3"],
            "part-0002.new/items-0000.spool",
        ),
        (
            &["embed", "--part", "3/3"],
            "part-0003.new/items-0001.spool",
        ),
        (&["build", "--shard", "0"], "shard-0000.new"),
        (&["build", "--shard", "1"], "shard-0001.new/shard-0001.rows"),
        (&["verify"], "verified.json.new"),
        (&["publish"], "published.json"),
    ];
    for (step, mark) in steps {
        kill_at(rig.spawn(step), &rig.config.work.join(mark));
        rig.step(step);
        assert_eq!(rig.step(step)["before"], true);
    }
    assert!(rig.files(&rig.serving().unwrap()) == rig.files(&whole));
}
