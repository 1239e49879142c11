//! `EventService`: keeps what users do and who they are.

use proto::v1::{
    GetUserRequest, GetUserResponse, PutUserProfileRequest, PutUserProfileResponse,
    RecordEventsRequest, RecordEventsResponse, event_service_server::EventService,
};
use tonic::{Request, Response, Status};

use crate::{
    grpc::{Tower, read, write},
    history::Write,
};

#[tonic::async_trait]
impl EventService for Tower {
    async fn record_events(
        &self,
        request: Request<RecordEventsRequest>,
    ) -> Result<Response<RecordEventsResponse>, Status> {
        let request = request.into_inner();
        let records = read::records(request.events)?;
        let users = records.iter().map(|record| record.user.as_str());
        self.check_owned(request.members_epoch, users)?;
        let write = Write {
            records,
            profiles: Vec::new(),
        };
        let tally = self.history.write(write).await?;
        Ok(Response::new(RecordEventsResponse {
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
        self.check_owned(request.members_epoch, [user.as_str()].into_iter())?;
        let write = Write {
            records: Vec::new(),
            profiles: vec![(user, profile)],
        };
        self.history.write(write).await?;
        Ok(Response::new(PutUserProfileResponse {}))
    }
}
