//! `UserTowerService`: turns users into vectors, and loads many of them.

use std::sync::Arc;

use futures::{
    StreamExt as _,
    future::try_join_all,
    stream::{self, BoxStream},
};
use generation::placement;
use proto::v1::{
    EmbedUsersRequest, EmbedUsersResponse, ExportUsersRequest, ExportUsersResponse,
    ForgetUsersRequest, ForgetUsersResponse, GetUserModelSignatureRequest,
    GetUserModelSignatureResponse, ImportUsersRequest, ImportUsersResponse,
    user_tower_service_server::UserTowerService,
};
use service::deadline::Deadline;
use tonic::{Request, Response, Status, Streaming};
use tracing::info;

use crate::{
    batcher::How,
    error::Error,
    grpc::{Tower, read, write},
    history::{History, Removal, Selection, Write},
    retention,
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
        let embedded = model.embed(&mut users, how, deadline).await?;
        let answers = users.into_iter().zip(embedded);
        Ok(Response::new(EmbedUsersResponse {
            users: answers
                .map(|(user, embedded)| write::embedding(user, embedded, &model.artifact.space))
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
            let mut write = read::import(chunk)?;
            let sent = parts(&write);
            let takes = |user: &str| handing_over || self.ownership.owns(user);
            write.records.retain(|record| takes(&record.user));
            write.profiles.retain(|(user, _)| takes(user));
            write.copies.retain(|copy| takes(&copy.user));
            done.foreign += (sent - parts(&write)) as u64;
            let copied = write.copies.iter().filter(|copy| copy.profile.is_some());
            let profiles = write.profiles.len() + copied.count();
            let tally = self.history.write(write).await?;
            done.recorded += tally.recorded;
            done.duplicates += tally.duplicates;
            done.profiles += profiles as u64;
        }
        if settles > 0 {
            let write = Write {
                settles: Some(settles),
                ..Write::default()
            };
            self.history.write(write).await?;
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
        self.history.write(Write::default()).await?;
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
                let sent = ExportUsersResponse {
                    users: page.users.into_iter().map(write::stored).collect(),
                    arrived,
                };
                Ok(Some((sent, next)))
            }
        });
        Ok(Response::new(pages.boxed()))
    }

    async fn forget_users(
        &self,
        request: Request<ForgetUsersRequest>,
    ) -> Result<Response<ForgetUsersResponse>, Status> {
        let members = self.ownership.by(request.into_inner().members_epoch)?;
        let member = self.ownership.member().to_owned();
        let foreign =
            move |user: &str| placement::owner(user, &members.members) != Some(member.as_str());
        let history = self.history.as_ref();
        let removed = retention::remove(history, foreign, |_| true, Removal::Forget).await?;
        info!(
            users = removed.users,
            "users of other members are forgotten"
        );
        Ok(Response::new(ForgetUsersResponse {
            users: removed.users,
        }))
    }
}

/// The events, profiles and copies of a write.
fn parts(write: &Write) -> usize {
    write.records.len() + write.profiles.len() + write.copies.len()
}

impl Tower {
    /// Adds to each query what is stored of its user.
    async fn complete(&self, queries: Vec<Query>) -> Result<Vec<Whole>, Error> {
        let now = user::now();
        try_join_all(queries.into_iter().map(|query| async move {
            let stored = match query.user.as_str() {
                "" => Arc::<History>::default(),
                user => self.history.read(user).await?,
            };
            let may_lack = !query.user.is_empty()
                && self.ownership.may_lack(&query.user, self.history.settled());
            let mut whole = Whole::new(query, &stored, now);
            whole.lacks |= may_lack;
            Ok(whole)
        }))
        .await
    }
}
