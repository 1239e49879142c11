//! `UserTowerService`: turns users into vectors, and loads many of them.

use std::sync::Arc;

use futures::future::try_join_all;
use proto::v1::{
    EmbedUsersRequest, EmbedUsersResponse, GetUserModelSignatureRequest,
    GetUserModelSignatureResponse, ImportUsersRequest, ImportUsersResponse,
    user_tower_service_server::UserTowerService,
};
use service::deadline::Deadline;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    error::Error,
    grpc::{Tower, read, write},
    history::History,
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
        let inputs = users.iter_mut().map(|user| std::mem::take(&mut user.input));
        let model = &held.model;
        let embedded = model
            .batcher
            .embed(inputs.collect(), request.reproducible, deadline)
            .await?;
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
        while let Some(chunk) = chunks.message().await? {
            let mut write = read::import(chunk)?;
            let sent = write.records.len() + write.profiles.len();
            write
                .records
                .retain(|record| self.ownership.owns(&record.user));
            write.profiles.retain(|(user, _)| self.ownership.owns(user));
            let profiles = write.profiles.len();
            done.foreign += (sent - write.records.len() - profiles) as u64;
            let tally = self.history.write(write).await?;
            done.recorded += tally.recorded;
            done.duplicates += tally.duplicates;
            done.profiles += profiles as u64;
        }
        Ok(Response::new(done))
    }
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
            Ok(Whole::new(query, &stored, now))
        }))
        .await
    }
}
