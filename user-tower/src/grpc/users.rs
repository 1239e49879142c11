//! `UserTowerService`: turns users into vectors, and loads many of them.

use std::sync::{Arc, atomic::Ordering};

use futures::{
    StreamExt as _, TryStreamExt as _,
    future::try_join_all,
    stream::{self, BoxStream},
};
use generation::placement;
use proto::v1::{
    EmbedUsersRequest, EmbedUsersResponse, ExportUsersRequest, ExportUsersResponse,
    ForgetUsersRequest, ForgetUsersResponse, GetUserModelSignatureRequest,
    GetUserModelSignatureResponse, ImportUsersRequest, ImportUsersResponse, UserEmbedding,
    user_tower_service_server::UserTowerService,
};
use service::deadline::Deadline;
use tonic::{Request, Response, Status, Streaming};
use tracing::info;

use crate::{
    batcher::How,
    error::Error,
    grpc::{Tower, read, write},
    history::{History, PATIENCE, Removal, Selection, Tally, Write},
    sweep,
    user::{self, Query, Whole},
};

#[tonic::async_trait]
impl UserTowerService for Tower {
    async fn embed_users(
        &self,
        request: Request<EmbedUsersRequest>,
    ) -> Result<Response<EmbedUsersResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let queries = read::queries(request.users)?;
        let users = queries.iter().map(|query| query.user.as_str());
        self.check_owned(request.members_epoch, users)?;
        let held = Arc::clone(self.models.snapshot().get(&request.generation)?);

        let mut users = self.complete(queries).await?;
        let model = &held.model;
        let how = How {
            alone: request.reproducible,
            attention: request.with_attention,
        };
        let (moments, histories) = (request.reproducible, request.with_history);
        // The model takes the users' inputs with it.
        let extras: Vec<_> = users
            .iter()
            .map(|user| {
                let moment = moments.then(|| write::as_of(user.as_of()));
                let items = user.input.history.iter().map(|event| event.item);
                let items: Vec<u64> = items.filter(|_| histories).collect();
                (moment, items)
            })
            .collect();
        for user in users.iter_mut().filter(|user| user.is_cut) {
            user.seen.clear();
        }
        let embedded = model.embed(&mut users, how, deadline).await?;
        let answers = users.into_iter().zip(embedded).zip(extras);
        Ok(Response::new(EmbedUsersResponse {
            users: answers
                .map(|((user, embedded), (as_of, history))| UserEmbedding {
                    as_of,
                    history,
                    ..write::embedding(user, embedded, &model.artifact.space)
                })
                .collect(),
        }))
    }

    async fn get_user_model_signature(
        &self,
        request: Request<GetUserModelSignatureRequest>,
    ) -> Result<Response<GetUserModelSignatureResponse>, Status> {
        let snapshot = self.models.snapshot();
        let held = snapshot.get(&request.into_inner().generation)?;
        Ok(Response::new(GetUserModelSignatureResponse {
            generation: held.manifest.id.clone(),
            space: held.model.artifact.space.clone(),
            signature_json: held.model.artifact.signature.clone(),
        }))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<ImportUsersRequest>>,
    ) -> Result<Response<ImportUsersResponse>, Status> {
        let mut chunks = request.into_inner();
        let mut done = ImportUsersResponse::default();
        let mut settles = 0;
        while let Some(chunk) = chunks.message().await? {
            let handing_over = chunk.handing_over;
            settles = settles.max(chunk.settles_epoch);
            if handing_over {
                self.receiving.store(true, Ordering::Release);
            }
            let write = read::import(chunk)?;
            let sent = parts(&write);
            let (tally, taken, profiles) = self.take(&write, handing_over).await?;
            done.foreign += (sent - taken) as u64;
            done.recorded += tally.recorded;
            done.duplicates += tally.duplicates;
            done.profiles += profiles as u64;
        }
        if settles > 0 {
            self.ownership.by(settles)?;
            let write = Write {
                settles,
                ..Write::default()
            };
            self.history.write_patiently(write).await?;
            self.receiving.store(false, Ordering::Release);
            info!(epoch = settles, "all users are handed over");
        }
        Ok(Response::new(done))
    }

    type ExportUsersStream = BoxStream<'static, Result<ExportUsersResponse, Status>>;

    async fn export_users(
        &self,
        request: Request<ExportUsersRequest>,
    ) -> Result<Response<Self::ExportUsersStream>, Status> {
        let request = request.into_inner();
        let member = self.ownership.member().to_owned();
        let members = request.members;
        let leaves = move |user: &str| {
            members.is_empty() || placement::owner(user, &members) != Some(member.as_str())
        };
        let selection = Selection {
            after: String::new(),
            arrived_after: request.arrived_after,
            wanted: Arc::new(leaves),
        };
        // Whatever was queued while this member owned its users is written after this.
        self.history.write_patiently(Write::default()).await?;
        let arrived = self.history.arrived();
        let history = Arc::clone(&self.history);
        let pages = stream::try_unfold(Some(selection), move |selection| {
            let history = Arc::clone(&history);
            async move {
                let Some(selection) = selection else {
                    return Ok(None);
                };
                let page = history.page(selection.clone()).await?;
                let next = page.next.map(|after| Selection { after, ..selection });
                let messages = write::pages(page.users, arrived).into_iter().map(Ok);
                Ok::<_, Status>(Some((stream::iter(messages), next)))
            }
        });
        Ok(Response::new(pages.try_flatten().boxed()))
    }

    async fn forget_users(
        &self,
        request: Request<ForgetUsersRequest>,
    ) -> Result<Response<ForgetUsersResponse>, Status> {
        let epoch = request.into_inner().members_epoch;
        let members = self.ownership.by(epoch)?;
        if self.receiving.load(Ordering::Acquire) {
            return Err(Error::Receiving.into());
        }
        let member = self.ownership.member().to_owned();
        let foreign =
            move |user: &str| placement::owner(user, &members.members) != Some(member.as_str());
        // Other MEMBERS may say that they are this member's now.
        let goes_on = || self.ownership.by(epoch).map(|_| ());
        let history = self.history.as_ref();
        let removed = sweep::remove(history, foreign, |_| true, Removal::Forget, goes_on).await?;
        let users = removed.users;
        info!(users, "users of other members are forgotten");
        Ok(Response::new(ForgetUsersResponse { users }))
    }
}

/// The events, profiles and copies of a write.
fn parts(write: &Write) -> usize {
    write.records.len() + write.profiles.len() + write.copies.len()
}

impl Tower {
    /// Writes what of an import is this member's, or all of it if it is being handed over; again and again while too many
    /// writes wait. Returns what became of it, how many parts were taken, and how many of them were profiles.
    async fn take(
        &self,
        import: &Write,
        handing_over: bool,
    ) -> Result<(Tally, usize, usize), Error> {
        loop {
            let (queued, taken, profiles) = self.ownership.while_owner(|owns| {
                let takes = |user: &str| handing_over || owns(user);
                let mut write = import.clone();
                write.records.retain(|record| takes(&record.user));
                write.profiles.retain(|(user, _)| takes(user));
                write.copies.retain(|copy| takes(&copy.user));
                let copied = write.copies.iter().filter(|copy| copy.profile.is_some());
                let profiles = write.profiles.len() + copied.count();
                let taken = parts(&write);
                (self.history.write(write), taken, profiles)
            });
            match queued.await {
                Err(Error::QueueFull { .. }) => tokio::time::sleep(PATIENCE).await,
                tally => return Ok((tally?, taken, profiles)),
            }
        }
    }

    /// Adds to each query what is stored of its user.
    async fn complete(&self, queries: Vec<Query>) -> Result<Vec<Whole>, Error> {
        let now = user::now();
        try_join_all(queries.into_iter().map(|query| async move {
            let as_of = query.as_of;
            let gone = |user: &str| Error::HistoryGone {
                user: user.to_owned(),
            };
            let stored = match (query.user.as_str(), as_of) {
                ("", _) => Arc::<History>::default(),
                (user, None) => self.history.read(user).await?,
                (user, Some(as_of)) => {
                    let then = self.history.copy(user).await?.history_at(as_of.arrived);
                    Arc::new(then.ok_or_else(|| gone(user))?)
                }
            };
            let may_lack = !query.user.is_empty()
                && self.ownership.may_lack(&query.user, self.history.settled());
            let mut whole = Whole::new(query, &stored, as_of.map_or(now, |as_of| as_of.time));
            if as_of.is_some_and(|as_of| whole.as_of() != as_of) {
                return Err(gone(&whole.input.id));
            }
            whole.lacks |= may_lack;
            Ok(whole)
        }))
        .await
    }
}
