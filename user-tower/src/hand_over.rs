//! Changes MEMBERS, and moves users to their new owners while all members serve.
//!
//! First everything is copied to those who will own it; then MEMBERS is swapped; once every member goes by it, what came
//! meanwhile is copied too. Until then the new owners say that a history may be stale. At last each member forgets the
//! users of others. Copies become one in whatever order they come, so it may be run again after a failure, from the start.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use generation::store::{Members, Store};
use proto::v1::{ForgetUsersRequest, ImportUsersRequest};
use service::client::Connector;
use tracing::info;

use crate::{
    client,
    config::Config,
    hand_over::{copy::copy, peer::Peer},
};

mod copy;
mod peer;

/// How far members' clocks may be apart, and how long they may take to go by the new MEMBERS, together.
const SLACK: Duration = Duration::from_secs(300);

/// Change the members, and move users to their new owners while all of them serve.
#[derive(Debug, Args)]
pub struct HandOver {
    /// A member from now on, whether it was one before or not: its name in MEMBERS and where it runs.
    #[arg(long = "member", value_name = "NAME=URI", required = true)]
    members: Vec<String>,
    /// A member that leaves.
    #[arg(long = "leaving", value_name = "NAME=URI")]
    leaving: Vec<String>,
    /// A member that is gone with what it kept: its users begin anew, or out of a backup that is imported then.
    #[arg(long = "lost", value_name = "NAME")]
    lost: Vec<String>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// The epoch of the MEMBERS that hold now.
    pub epoch: u64,
    /// Users copied, those with a write in the meantime twice.
    pub copied: u64,
    /// Users that former owners forgot.
    pub forgotten: u64,
}

/// The command `hand-over`.
///
/// # Errors
/// As [`hand_over`].
pub async fn command(config: Config, arguments: HandOver) -> anyhow::Result<()> {
    let store = Store::open(&config.store)?;
    let parse = |entries: &[String]| {
        let entries = entries.iter().map(|entry| {
            let (name, uri) = entry
                .split_once('=')
                .with_context(|| format!("{entry:?} is not NAME=URI"))?;
            Ok((name.to_owned(), uri.to_owned()))
        });
        entries.collect::<anyhow::Result<BTreeMap<_, _>>>()
    };
    let (members, leaving) = (parse(&arguments.members)?, parse(&arguments.leaving)?);
    let begin = Instant::now();
    let lost = BTreeSet::from_iter(arguments.lost);
    let connector = Connector::new(&config.identity)?;
    let done = hand_over(&connector, &store, &members, &leaving, &lost).await?;
    info!(
        epoch = done.epoch,
        copied = done.copied,
        forgotten = done.forgotten,
        seconds = begin.elapsed().as_secs_f64(),
        "users handed over"
    );
    Ok(())
}

/// Makes `members` (addresses by name) the members of `store`, and hands users over from all who were but the `lost`.
///
/// # Errors
/// If a member is not to be reached or has another name, one that was a member is in no list, or somebody else changes
/// MEMBERS. What was done until then harms nobody; run it again.
pub async fn hand_over(
    connector: &Connector,
    store: &Store,
    members: &BTreeMap<String, String>,
    leaving: &BTreeMap<String, String>,
    lost: &BTreeSet<String>,
) -> anyhow::Result<HandedOver> {
    let names: Vec<String> = members.keys().cloned().collect();
    let before = store
        .members()
        .await?
        .context("the store has no MEMBERS: start a user tower first")?;
    let all = || members.iter().chain(leaving);
    for name in &before.value.members {
        ensure!(
            all().any(|(listed, _)| listed == name) || lost.contains(name),
            "{name} is a member now, and is listed neither as one nor as leaving nor as lost"
        );
    }
    ensure!(
        leaving.keys().all(|name| !members.contains_key(name)),
        "a member that leaves is listed as one that stays, too"
    );
    let mut peers = BTreeMap::new();
    for (name, uri) in all() {
        peers.insert(name.clone(), Peer::connect(name, uri, connector).await?);
    }

    let mut done = HandedOver {
        epoch: before.value.epoch,
        ..HandedOver::default()
    };
    let mut marks = BTreeMap::new();
    if before.value.members != names {
        for (name, peer) in &peers {
            let (mark, copied) = copy(peer, &peers, &names, 0).await?;
            marks.insert(name.clone(), mark);
            done.copied += copied;
        }
        // A new owner's writes arrive later than all that the former ones take until they go by the new MEMBERS, whatever
        // their clocks say: a deletion must be later than what it deletes.
        let last = marks.values().copied().max().unwrap_or_default();
        for name in &names {
            let chunk = ImportUsersRequest {
                arrives_after: last + SLACK.as_micros() as u64,
                ..ImportUsersRequest::default()
            };
            let mut users = peers[name].users.clone();
            users.import_users(tokio_stream::once(chunk)).await?;
        }
        let new = Members {
            epoch: before.value.epoch + 1,
            members: names.clone(),
        };
        store.swap_members(Some(&before.version), &new).await?;
        done.epoch = new.epoch;
        info!(epoch = new.epoch, copied = done.copied, "MEMBERS changed");
    }
    for (name, peer) in &peers {
        peer.follows(name, done.epoch).await?;
    }
    for (name, peer) in &peers {
        let mark = marks.get(name).copied().unwrap_or_default();
        done.copied += copy(peer, &peers, &names, mark).await?.1;
    }
    for name in &names {
        let settled = ImportUsersRequest {
            settles_epoch: done.epoch,
            ..ImportUsersRequest::default()
        };
        let chunks = tokio_stream::once(settled);
        peers[name].users.clone().import_users(chunks).await?;
    }
    for peer in peers.values() {
        let request = ForgetUsersRequest {
            members_epoch: done.epoch,
        };
        let mut users = peer.users.clone();
        let answer = users.forget_users(client::long(request)).await?;
        done.forgotten += answer.into_inner().users;
    }
    Ok(done)
}
