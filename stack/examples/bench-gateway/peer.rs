//! The same service as a team would write it in Python: a front with the model, and a search server.

use std::{cell::Cell, collections::HashSet, fs, path::Path, process::Command};

use anyhow::Context as _;
use encoder::features::tensors::Tensor;
use serde_json::json;

use crate::{
    asked::Wanted,
    process::Process,
    site::{Site, text},
    tensors,
};

/// Running servers of the peer.
pub(crate) struct Peer {
    pub(crate) front: Process,
    pub(crate) search: Process,
    /// Candidates that a search looks at for an interest.
    pub(crate) effort: f64,
}

/// CPU seconds of the peer's servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) front: f64,
    pub(crate) search: f64,
}

impl Cpu {
    pub(crate) fn total(self) -> f64 {
        self.front + self.search
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            front: self.front * factor,
            search: self.search * factor,
        }
    }
}

impl Peer {
    /// Starts `search.py` over the site's vectors, at the least effort that finds .99 of the `best` of the first users, and
    /// `front.py` before it, which has the users' tensors and seen items ready.
    pub(crate) fn start(
        python: &Path,
        site: &Site,
        users: &[String],
        tensors: &[Vec<Tensor>],
        wanted: &[Wanted],
        best: &[HashSet<u64>],
    ) -> anyhow::Result<Self> {
        let folder = site.folder.join("peer");
        fs::create_dir_all(&folder)?;
        tensors::write(&folder, &site.artifact, users, tensors)?;
        let seen: Vec<_> = wanted.iter().map(|wanted| &wanted.seen).collect();
        fs::write(folder.join("seen.json"), json!(seen).to_string())?;
        let sample = wanted.iter().zip(best).map(|(wanted, best)| {
            json!({"interests": wanted.interests, "seen": wanted.seen, "best": best})
        });
        let sample = sample.collect::<Vec<_>>();
        fs::write(folder.join("sample.json"), json!(sample).to_string())?;

        let effort = Cell::new(f64::NAN);
        let mut command = Command::new(python);
        command
            .arg("examples/bench-gateway/search.py")
            .arg(&site.folder)
            .arg(site.catalog.dim.to_string());
        let search = Process::start(command, |line| {
            let (address, found) = line.strip_prefix("listening ")?.split_once(' ')?;
            effort.set(found.parse().ok()?);
            Some(address.to_owned())
        })?;
        let address = search.uri.strip_prefix("http://").context("an address")?;
        let mut command = Command::new(python);
        command
            .arg("examples/bench-gateway/front.py")
            .arg(text(&site.artifact.join("user_tower.onnx")))
            .arg(&folder)
            .arg(address);
        let front = Process::start(command, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })?;
        Ok(Self {
            front,
            search,
            effort: effort.get(),
        })
    }

    /// CPU seconds that the calls take.
    pub(crate) async fn spent(
        &self,
        calls: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Cpu> {
        let before = [self.front.cpu()?, self.search.cpu()?];
        calls.await?;
        Ok(Cpu {
            front: (self.front.cpu()? - before[0]).as_secs_f64(),
            search: (self.search.cpu()? - before[1]).as_secs_f64(),
        })
    }

    /// Its processes' numbers.
    pub(crate) fn pids(&self) -> Vec<String> {
        vec![self.front.pid(), self.search.pid()]
    }
}
