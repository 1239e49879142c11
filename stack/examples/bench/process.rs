//! A server in a process of its own, and what it has used so far.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use tonic::transport::Channel;

use crate::usage;

/// A running server; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) uri: String,
}

impl Process {
    /// Starts a binary of the house on a free port, with settings as `SECTION__KEY` and value.
    pub(crate) fn server(binary: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let name = binary.file_name().context("a binary has a name")?;
        let prefix = name.to_string_lossy().to_uppercase().replace('-', "_");
        let mut command = Command::new(binary);
        let own = [
            ("SERVER__LISTEN", "127.0.0.1:0"),
            ("TELEMETRY__FORMAT", "json"),
        ];
        for (key, value) in own.iter().chain(settings) {
            command.env(format!("{prefix}__{key}"), value);
        }
        Self::start(command, |line| {
            let log: serde_json::Value = serde_json::from_str(line).ok()?;
            (log["message"] == "listening").then(|| Some(log["address"].as_str()?.to_owned()))?
        })
    }

    /// Starts a server that says on standard error where it listens.
    pub(crate) fn start(
        mut command: Command,
        address: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let found = address(&line);
            said.push(line);
            found
        });
        // Reads on, so that the server never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let found = found.with_context(|| format!("it does not serve: {}", said.join("\n")))?;
        Ok(Self {
            child,
            uri: format!("http://{found}"),
        })
    }

    pub(crate) async fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Channel::from_shared(self.uri.clone())?.connect().await?)
    }

    /// Its number, as [`usage`] takes it.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// CPU time, user and system.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(&self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has stopped already, or does now; either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
