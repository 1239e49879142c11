//! Copies users from one member to those who will own them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use generation::placement;
use proto::v1::{ExportUsersRequest, ImportUsersRequest, StoredUser};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

use crate::{client, hand_over::peer::Peer};

/// Chunks on their way to one member.
const AHEAD: usize = 4;

/// Copies the users of `from` whom others own by `members`, and of whom a write arrived after `mark`, to their owners.
/// Returns the mark for the next time, and how many they were.
pub(super) async fn copy(
    from: &Peer,
    peers: &BTreeMap<String, Peer>,
    members: &[String],
    mark: u64,
) -> anyhow::Result<(u64, u64)> {
    let request = client::long(ExportUsersRequest {
        members: members.to_vec(),
        arrived_after: mark,
    });
    let mut users = from.users.clone();
    let mut pages = users.export_users(request).await?.into_inner();
    let mut owners: BTreeMap<&str, Owner> = BTreeMap::new();
    let (mut mark, mut copied) = (mark, 0);
    while let Some(page) = pages.message().await? {
        mark = page.arrived;
        // A user comes in several parts if there is much; the last says when the last write arrived.
        let whole = page.users.iter().filter(|user| user.arrived > 0);
        copied += whole.count() as u64;
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
            let chunks = client::long(ReceiverStream::new(receiver));
            users.import_users(chunks).await.map(|_| ())
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
