//! What a process has used so far, as the kernel tells it; `self` is the one that asks.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// CPU time, user and system.
pub(crate) fn cpu(pid: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().context("no fields")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || ticks.next().context("too few fields");
    let (user, system) = (next()??, next()??);
    Ok(Duration::from_millis((user + system) * 10))
}

/// Anonymous memory that is in use, in bytes.
pub(crate) fn memory(pid: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no RssAnon")?.parse::<u64>()? << 10)
}

/// Open files and sockets.
pub(crate) fn descriptors(pid: &str) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
