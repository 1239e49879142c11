//! Finds the real MovieLens-1M for tests, and keeps a log of which of them ran.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// Returns the directory of raw MovieLens-1M, or nothing if it is not here: then the test is over.
///
/// Looks at `TWOTOWER_ML1M`, else `data/ml-1m` of the workspace. Either way a line `ran NAME` or `skipped NAME` goes to
/// `target/real-data-tests.log`, which `make test` sums up: a test that did not run is never taken for one that passed.
pub fn ml1m(test: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let dir = match std::env::var_os("TWOTOWER_ML1M") {
        Some(dir) => workspace.join(dir),
        None => workspace.join("data/ml-1m"),
    };
    let found = dir.join("ratings.dat").is_file();
    let word = if found { "ran" } else { "skipped" };
    log(&workspace.join("target"), &format!("{word} {test}\n"));
    if !found {
        tell("skipped: no MovieLens-1M");
    }
    found.then_some(dir)
}

/// One write to a file opened for appending: lines of tests that run at once do not mix.
fn log(target: &Path, line: &str) {
    let write = || {
        fs::create_dir_all(target)?;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(target.join("real-data-tests.log"))?;
        file.write_all(line.as_bytes())
    };
    if let Err(e) = write() {
        tell(&format!("real-data-tests.log: {e}"));
    }
}

#[expect(clippy::print_stderr, reason = "tests have no other way to say it")]
fn tell(line: &str) {
    eprintln!("{line}");
}
