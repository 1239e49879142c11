//! Hostile bytes, in files and in calls: whoever reads them answers or refuses, and goes on.

mod calling;
mod counting;
mod decoding;
mod targets;

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestError, TestRng, TestRunner},
};

/// Where the seeds are, a folder for each target.
fn corpus() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    workspace.join("fuzz/corpus")
}

/// The files of a folder, in the order of their names.
fn seeds(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|cause| panic!("{}: {cause}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Tries so many scripts of at most `longest` bytes; the shortest that fails is shown with the input that it makes.
fn try_scripts(cases: u32, longest: usize, input: impl Fn(&[u8]) -> Vec<u8>, run: impl Fn(&[u8])) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..Config::default()
    };
    // The same each time; `make fuzz` looks for others.
    let numbers = TestRng::deterministic_rng(config.rng_algorithm);
    let tried =
        TestRunner::new_with_rng(config, numbers).run(&vec(any::<u8>(), 0..longest), |script| {
            run(&input(&script));
            Ok(())
        });
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, script)) => {
            panic!("{why}\nthe input: \"{}\"", input(&script).escape_ascii())
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
