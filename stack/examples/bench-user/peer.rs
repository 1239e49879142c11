//! The same model behind a Python server, as a team would write it.

use std::{fs, path::Path, process::Command};

use encoder::features::tensors::Tensor;

use crate::{
    process::Process,
    site::{Site, text},
    tensors,
};

/// A running peer.
pub(crate) struct Peer {
    pub(crate) process: Process,
}

impl Peer {
    /// Starts `examples/bench-user/server.py`, which has the users' tensors ready in memory: it codes no features.
    pub(crate) fn start(
        python: &Path,
        site: &Site,
        users: &[String],
        tensors: &[Vec<Tensor>],
    ) -> anyhow::Result<Self> {
        let folder = site.folder.path().join("peer");
        fs::create_dir(&folder)?;
        tensors::write(&folder, &site.artifact, users, tensors)?;
        let mut command = Command::new(python);
        command
            .arg("examples/bench-user/server.py")
            .arg(text(&site.artifact.join("user_tower.onnx")))
            .arg(&folder);
        let process = Process::start(command, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })?;
        Ok(Self { process })
    }
}
