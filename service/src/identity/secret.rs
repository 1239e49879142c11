//! Files that hold secrets: their owner's alone.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, ensure};

/// Reads a secret.
///
/// # Errors
/// If the file cannot be read, or others than its owner, or the group of one that is root's, may read it.
pub fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let secret = fs::read(file).with_context(|| format!("key file {}", file.display()))?;
    let found = fs::metadata(file)?;
    let mode = found.mode();
    // Secrets of Kubernetes are root's, and readable by the group of the pod.
    let others = if found.uid() == 0 { 0o037 } else { 0o077 };
    ensure!(
        mode & others == 0,
        "key file {} may be read by others (mode {:o}), must be its owner's alone",
        file.display(),
        mode & 0o777
    );
    Ok(secret)
}
