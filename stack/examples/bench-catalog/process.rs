//! What this process has used so far, as the kernel tells it.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// CPU time, user and system.
pub(crate) fn cpu() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().context("no fields")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || ticks.next().context("too few fields");
    let (user, system) = (next()??, next()??);
    Ok(Duration::from_millis((user + system) * 10))
}

/// Anonymous memory that is in use, in bytes.
pub(crate) fn memory() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no RssAnon")?.parse::<u64>()? << 10)
}

/// Open files and sockets.
pub(crate) fn descriptors() -> anyhow::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}
