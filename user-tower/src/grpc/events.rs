//! `EventService`: keeps what users do and who they are.

use encoder::features::tensors::review::Review;
use proto::v1::{
    DeleteUserRequest, DeleteUserResponse, GetUserRequest, GetUserResponse, PutUserProfileRequest,
    PutUserProfileResponse, RecordEventsRequest, RecordEventsResponse,
    event_service_server::EventService,
};
use tonic::{Request, Response, Status};
use tracing::info;

use crate::{
    error::Error,
    grpc::{Tower, read, write},
    history::{Removal, Write},
    metrics, token,
};

#[tonic::async_trait]
impl EventService for Tower {
    async fn record_events(
        &self,
        request: Request<RecordEventsRequest>,
    ) -> Result<Response<RecordEventsResponse>, Status> {
        let request = request.into_inner();
        let records = read::records(request.events)?;
        let users: Vec<String> = records.iter().map(|record| record.user.clone()).collect();
        let users = || users.iter().map(String::as_str);
        let write = Write {
            records,
            ..Write::default()
        };
        let tally = self
            .write_for(request.members_epoch, users(), write)
            .await?;
        metrics::recorded(tally.recorded);
        Ok(Response::new(RecordEventsResponse {
            consistency_token: token::issue(users(), tally.arrived),
            recorded: u32::try_from(tally.recorded).unwrap_or(u32::MAX),
            duplicates: u32::try_from(tally.duplicates).unwrap_or(u32::MAX),
        }))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let request = request.into_inner();
        let newest = read::newest(&request, self.keep)?;
        self.check_owned(
            request.members_epoch,
            [request.user_id.as_str()].into_iter(),
        )?;
        let history = self.history.read(&request.user_id).await?;
        Ok(Response::new(write::user(
            &request.user_id,
            &history,
            newest,
        )))
    }

    async fn put_user_profile(
        &self,
        request: Request<PutUserProfileRequest>,
    ) -> Result<Response<PutUserProfileResponse>, Status> {
        let request = request.into_inner();
        let (user, profile) = read::profile("", request.user_id, request.profile)?;
        let review = match self.models.snapshot().get("") {
            Ok(held) => held.model.artifact.review(&profile),
            Err(_) => Review::default(),
        };
        if !review.wrong.is_empty() {
            let field = |(name, what)| (format!("profile.values[{name:?}]"), what);
            return Err(Error::Fields(review.wrong.into_iter().map(field).collect()).into());
        }
        let write = Write {
            profiles: vec![(user.clone(), profile)],
            ..Write::default()
        };
        let tally = self
            .write_for(request.members_epoch, [user.as_str()], write)
            .await?;
        Ok(Response::new(PutUserProfileResponse {
            unread_features: review.unread,
            unseen_values: review.unseen,
            consistency_token: token::issue([user.as_str()], tally.arrived),
        }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let request = request.into_inner();
        let user = read::user(request.user_id)?;
        let write = Write {
            removals: vec![(user.clone(), Removal::Delete)],
            ..Write::default()
        };
        let tally = self
            .write_for(request.members_epoch, [user.as_str()], write)
            .await?;
        for held in self.models.snapshot().held() {
            held.model.vectors.forget(&user);
        }
        let removed = tally.removed;
        info!(events = removed.events, "a user was deleted");
        Ok(Response::new(DeleteUserResponse {
            events: removed.events,
            seen_items: removed.seen,
            profile: removed.profiles > 0,
        }))
    }
}
