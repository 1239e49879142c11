//! Changes MEMBERS, and moves users to their new owners while all members serve.
//!
//! First everything is copied to those who will own it; then MEMBERS is swapped; once every member goes by it, what came
//! meanwhile is copied too. Until then the new owners say that a history may be stale. At last each member forgets the
//! users of others. Copies become one in whatever order they come, so it may be run again after a failure, from the start.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use generation::{
    placement,
    store::{Members, Store},
};
use proto::v1::{
    ExportUsersRequest, ForgetUsersRequest, ImportUsersRequest, ListGenerationsRequest,
    ListGenerationsResponse, StoredUser, generation_service_client::GenerationServiceClient,
    user_tower_service_client::UserTowerServiceClient,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use tracing::info;

use crate::{
    config::Config,
    import::{CONNECT, TIME},
};

/// How far members' clocks may be apart, and how long they may take to go by the new MEMBERS, together.
const SLACK: Duration = Duration::from_secs(300);
/// How long all members may take to go by the new MEMBERS.
const FOLLOW: Duration = Duration::from_secs(60);
/// Between two looks at whether they do.
const LOOK: Duration = Duration::from_millis(50);
/// Chunks on their way to one member.
const AHEAD: usize = 4;

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
    let done = hand_over(&store, &members, &leaving, &lost).await?;
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
        peers.insert(name.clone(), connect(name, uri).await?);
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
        follows(name, peer, done.epoch).await?;
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
        let mut request = Request::new(request);
        request.set_timeout(TIME);
        let answer = peer.users.clone().forget_users(request).await?;
        done.forgotten += answer.into_inner().users;
    }
    Ok(done)
}

/// A member's two services.
#[derive(Clone)]
struct Peer {
    users: UserTowerServiceClient<Channel>,
    generations: GenerationServiceClient<Channel>,
}

async fn connect(name: &str, uri: &str) -> anyhow::Result<Peer> {
    let endpoint = Endpoint::from_shared(uri.to_owned())?.connect_timeout(CONNECT);
    let channel = endpoint
        .connect()
        .await
        .with_context(|| format!("no user tower at {uri}"))?;
    let peer = Peer {
        users: UserTowerServiceClient::new(channel.clone()),
        generations: GenerationServiceClient::new(channel),
    };
    let found = peer.state().await?.member;
    ensure!(
        found == name,
        "the user tower at {uri} is {found}, not {name}"
    );
    Ok(peer)
}

impl Peer {
    /// Who it is, and which MEMBERS it goes by.
    async fn state(&self) -> anyhow::Result<ListGenerationsResponse> {
        let mut generations = self.generations.clone();
        let answer = generations
            .list_generations(ListGenerationsRequest {})
            .await?;
        Ok(answer.into_inner())
    }
}

/// Copies the users of `from` whom others own by `members`, and of whom a write arrived after `mark`, to their owners.
/// Returns the mark for the next time, and how many they were.
async fn copy(
    from: &Peer,
    peers: &BTreeMap<String, Peer>,
    members: &[String],
    mark: u64,
) -> anyhow::Result<(u64, u64)> {
    let mut request = Request::new(ExportUsersRequest {
        members: members.to_vec(),
        arrived_after: mark,
    });
    request.set_timeout(TIME);
    let mut users = from.users.clone();
    let mut pages = users.export_users(request).await?.into_inner();
    let mut owners: BTreeMap<&str, Owner> = BTreeMap::new();
    let (mut mark, mut copied) = (mark, 0);
    while let Some(page) = pages.message().await? {
        mark = page.arrived;
        copied += page.users.len() as u64;
        let mut parts: BTreeMap<&str, Vec<StoredUser>> = BTreeMap::new();
        for user in page.users {
            let owner = placement::owner(&user.user_id, members).context("there are no members")?;
            parts.entry(owner).or_default().push(user);
        }
        for (owner, users) in parts {
            let to = owners
                .entry(owner)
                .or_insert_with(|| Owner::open(&peers[owner]));
            to.send(users).await?;
        }
    }
    for (name, owner) in owners {
        owner
            .close()
            .await
            .with_context(|| format!("{name} does not take users"))?;
    }
    Ok((mark, copied))
}

/// An import at a member, under way.
struct Owner {
    chunks: mpsc::Sender<ImportUsersRequest>,
    answer: JoinHandle<Result<(), tonic::Status>>,
}

impl Owner {
    fn open(peer: &Peer) -> Self {
        let (chunks, receiver) = mpsc::channel(AHEAD);
        let mut users = peer.users.clone();
        let answer = tokio::spawn(async move {
            let mut request = Request::new(ReceiverStream::new(receiver));
            request.set_timeout(TIME);
            users.import_users(request).await.map(|_| ())
        });
        Self { chunks, answer }
    }

    async fn send(&mut self, users: Vec<StoredUser>) -> anyhow::Result<()> {
        let chunk = ImportUsersRequest {
            users,
            handing_over: true,
            ..ImportUsersRequest::default()
        };
        if self.chunks.send(chunk).await.is_err() {
            // The import has ended early; its answer says why.
            (&mut self.answer).await??;
            bail!("an import ended before all was sent");
        }
        Ok(())
    }

    async fn close(self) -> anyhow::Result<()> {
        drop(self.chunks);
        Ok(self.answer.await??)
    }
}

/// Waits until a member goes by the MEMBERS of `epoch`.
async fn follows(name: &str, peer: &Peer, epoch: u64) -> anyhow::Result<()> {
    let until = Instant::now() + FOLLOW;
    loop {
        let found = peer.state().await?.members_epoch;
        if found == epoch {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "{name} goes by epoch {found} of MEMBERS, {epoch} holds"
        );
        tokio::time::sleep(LOOK).await;
    }
}
