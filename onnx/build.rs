//! Names the code that decides what a training run makes: `TRAINING_CODE`, a hash of its sources without comments and tests.

use std::{fs, io, path::Path};

/// What decides it, seen from `src/`.
const SOURCES: [&str; 13] = [
    "../../encoder/src/features/history.rs",
    "dataset/split.rs",
    "kernels",
    "kernels.rs",
    "loss",
    "loss.rs",
    "metrics.rs",
    "model",
    "model.rs",
    "sampling",
    "sampling.rs",
    "train",
    "train.rs",
];

/// Files in their folders that do not: tests, what only tests use, what measures or counts.
const BESIDE: [&str; 5] = ["tests", "gradient", "speed", "document", "error"];

fn main() -> io::Result<()> {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for source in SOURCES {
        let path = Path::new("src").join(source);
        println!("cargo:rerun-if-changed={}", path.display());
        add(&path, &mut hash)?;
    }
    println!("cargo:rustc-env=TRAINING_CODE={hash:016x}");
    Ok(())
}

/// Adds a file, or a folder's files in the order of their names.
fn add(path: &Path, hash: &mut u64) -> io::Result<()> {
    if path.is_dir() {
        let mut inside = fs::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        inside.sort();
        return inside.iter().try_for_each(|path| add(path, hash));
    }
    let stem = path.file_stem().unwrap_or_default();
    if BESIDE.iter().any(|beside| stem == *beside) {
        return Ok(());
    }
    let text = fs::read_to_string(path)?;
    let code = text.split("\nmod tests {").next();
    for line in code.unwrap_or_default().lines().map(str::trim) {
        if !line.is_empty() && !line.starts_with("//") {
            mix(line, hash);
        }
    }
    Ok(())
}

/// FNV-1a, 64 bits: the lines differ by accident, not by malice.
fn mix(line: &str, hash: &mut u64) {
    for byte in line.bytes().chain([b'\n']) {
        *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}
