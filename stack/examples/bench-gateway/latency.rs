//! How late recalls come: the servers on one core, what asks on the others, calls begun at fixed times.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    Options, calls,
    peer::Peer,
    quantiles::{median, p99},
    recalls::{self, Whom},
    stage::Stage,
};

/// Stretches that alternate.
const STRETCHES: usize = 3;

/// The 99th percentile of ours and of the peer's, in milliseconds, where calls begin `every` so often.
pub(crate) async fn measure(
    stage: &Stage,
    every: Duration,
    options: &Options,
) -> anyhow::Result<(f64, Option<f64>)> {
    let Stage {
        house, peer, users, ..
    } = stage;
    let last = std::thread::available_parallelism()?.get() - 1;
    let others = if last == 0 {
        "0".to_owned()
    } else {
        format!("1-{last}")
    };
    let mut servers = house.pids();
    servers.extend(peer.iter().flat_map(Peer::pids));
    pin(&servers, "0")?;
    pin(&[std::process::id().to_string()], &others)?;
    let time = Duration::from_secs(options.seconds);
    let ours = house.gateway.channel().await?;
    let front = match peer {
        Some(peer) => Some(peer.front.channel().await?),
        None => None,
    };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STRETCHES {
        let recalls = recalls::turns(Whom::Gateway, &ours, users);
        mine.push(stretch(every, time, recalls).await?);
        if let Some(front) = &front {
            let recalls = recalls::turns(Whom::Front, front, users);
            theirs.push(stretch(every, time, recalls).await?);
        }
    }
    let all = format!("0-{last}");
    pin(&servers, &all)?;
    pin(&[std::process::id().to_string()], &all)?;
    println!("  p99 in ms: ours {mine:.2?}, the peer {theirs:.2?}");
    Ok((median(mine), peer.is_some().then(|| median(theirs))))
}

async fn stretch(
    every: Duration,
    time: Duration,
    recall: impl Fn(usize) -> recalls::Recall,
) -> anyhow::Result<f64> {
    let (millis, failed) = calls::open(every, time, recall).await?;
    anyhow::ensure!(failed == 0, "{failed} of {} calls failed", millis.len());
    Ok(p99(millis))
}

/// Lets processes, with all their threads, run on these cores only.
fn pin(pids: &[String], cores: &str) -> anyhow::Result<()> {
    for pid in pids {
        let mut command = Command::new("taskset");
        command.args(["--all-tasks", "--cpu-list", "--pid", cores, pid]);
        let done = command.stdout(Stdio::null()).status()?;
        anyhow::ensure!(
            done.success(),
            "taskset could not move {pid} to cores {cores}"
        );
    }
    Ok(())
}
