//! Passes what concerns users on to the user towers that own them.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use futures::future::join_all;
use proto::v1::{
    self as pb, event_service_client::EventServiceClient, event_service_server::EventService,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, transport::Channel};

use super::deadline;
use crate::{
    error::Error,
    last::LastUsers,
    topology::{Topology, UserMember, View},
};

/// The most events of one call.
const MAX_EVENTS: usize = 1_000;

/// Passes calls on to the owners that `topology` knows.
#[derive(Debug)]
pub(crate) struct Service {
    topology: Arc<Topology>,
    last: Arc<LastUsers>,
}

#[tonic::async_trait]
impl EventService for Service {
    async fn record_events(
        &self,
        request: Request<pb::RecordEventsRequest>,
    ) -> Result<Response<pb::RecordEventsResponse>, Status> {
        let until = deadline(&request);
        let events = request.into_inner().events;
        check(&events)?;
        let view = self.topology.settled(until).await;
        let mut total = pb::RecordEventsResponse::default();
        let mut again = Vec::new();
        let events = events.into_iter().enumerate().collect();
        for (events, answer) in record(&view, events, until).await? {
            match answer {
                Err(stale) if stale.is_stale() => again.extend(events),
                answer => add(&mut total, answer?),
            }
        }
        if !again.is_empty() {
            let view = self.topology.refresh(until).await;
            for (_, answer) in record(&view, again, until).await? {
                add(&mut total, answer?);
            }
        }
        Ok(Response::new(total))
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let until = deadline(&request);
        let request = request.into_inner();
        let rpc =
            |channel, request| async { EventServiceClient::new(channel).get_user(request).await };
        let ask = |epoch| pb::GetUserRequest {
            members_epoch: epoch,
            ..request.clone()
        };
        self.at_owner(&request.user_id, until, ask, rpc).await
    }

    async fn put_user_profile(
        &self,
        request: Request<pb::PutUserProfileRequest>,
    ) -> Result<Response<pb::PutUserProfileResponse>, Status> {
        let until = deadline(&request);
        let request = request.into_inner();
        let rpc = |channel, request| async {
            EventServiceClient::new(channel)
                .put_user_profile(request)
                .await
        };
        let ask = |epoch| pb::PutUserProfileRequest {
            members_epoch: epoch,
            ..request.clone()
        };
        self.at_owner(&request.user_id, until, ask, rpc).await
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let until = deadline(&request);
        let request = request.into_inner();
        // Before, so that nothing of it is answered if the owner cannot; and after, in case it was embedded meanwhile.
        self.last.forget(&request.user_id);
        let rpc = |channel, request| async {
            EventServiceClient::new(channel).delete_user(request).await
        };
        let ask = |epoch| pb::DeleteUserRequest {
            members_epoch: epoch,
            ..request.clone()
        };
        let deleted = self.at_owner(&request.user_id, until, ask, rpc).await;
        self.last.forget(&request.user_id);
        deleted
    }
}

impl Service {
    pub(super) fn new(topology: Arc<Topology>, last: Arc<LastUsers>) -> Self {
        Self { topology, last }
    }

    /// Makes one call, which names the epoch of MEMBERS, at the user's owner.
    async fn at_owner<Q, A, F>(
        &self,
        user: &str,
        until: Instant,
        request: impl Fn(u64) -> Q,
        rpc: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        if user.is_empty() {
            return Err(Error::field("user_id", "is empty").into());
        }
        let answer = self.topology.with_view(until, |view| {
            let request = request(view.epoch());
            let rpc = &rpc;
            async move {
                let owner = view.owner(user)?;
                ask(owner, request, until, rpc).await
            }
        });
        Ok(Response::new(answer.await?))
    }
}

/// Refuses a batch that no owner could take.
fn check(events: &[pb::Event]) -> Result<(), Error> {
    if events.len() > MAX_EVENTS {
        let description = format!(
            "has {} events, at most {MAX_EVENTS} are allowed",
            events.len()
        );
        return Err(Error::field("events", description));
    }
    match events.iter().position(|event| event.user_id.is_empty()) {
        Some(at) => Err(Error::field(format!("events[{at}].user_id"), "is empty")),
        None => Ok(()),
    }
}

/// Events with their places in the batch.
type Placed = Vec<(usize, pb::Event)>;
/// The events that went to one owner, and its answer.
type Recorded = (Placed, Result<pb::RecordEventsResponse, Error>);

/// Splits a batch by owner and records the parts, all at once.
async fn record(view: &View, events: Placed, until: Instant) -> Result<Vec<Recorded>, Error> {
    let mut parts = BTreeMap::<_, (_, Placed)>::new();
    for (at, event) in events {
        let owner = view.owner(&event.user_id)?;
        let (_, part) = parts.entry(&owner.name).or_insert((owner, Vec::new()));
        part.push((at, event));
    }
    let calls = parts.into_values().map(|(owner, events)| async move {
        let request = pb::RecordEventsRequest {
            events: events.iter().map(|(_, event)| event.clone()).collect(),
            members_epoch: view.epoch(),
        };
        let rpc = |channel, request| async {
            EventServiceClient::new(channel)
                .record_events(request)
                .await
        };
        let answer = ask(owner, request, until, rpc).await;
        let answer = answer.map_err(|error| error.rename_fields(|field| replace(field, &events)));
        (events, answer)
    });
    Ok(join_all(calls).await)
}

/// The name in the whole batch of a field that an owner names in its part, `events[3].time`.
fn replace(field: &str, part: &Placed) -> String {
    let named = field
        .strip_prefix("events[")
        .and_then(|rest| rest.split_once(']'));
    let place = |(at, rest): (&str, _)| Some((part.get(at.parse::<usize>().ok()?)?.0, rest));
    match named.and_then(place) {
        Some((at, rest)) => format!("events[{at}]{rest}"),
        None => field.to_owned(),
    }
}

/// Makes one call at an owner, unless it is gone.
async fn ask<Q, A, F>(
    owner: &UserMember,
    request: Q,
    until: Instant,
    rpc: impl FnOnce(Channel, Request<Q>) -> F,
) -> Result<A, Error>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    if owner.is_gone() {
        return Err(Error::Unreachable {
            member: owner.name.clone(),
            cause: "its last calls all failed".to_owned(),
        });
    }
    let answer = owner.replica.probe(request, until, rpc).await;
    answer.map_err(|failure| Error::of(&owner.name, failure))
}

fn add(total: &mut pb::RecordEventsResponse, part: pb::RecordEventsResponse) {
    total.recorded += part.recorded;
    total.duplicates += part.duplicates;
    // Tokens put together are one.
    if !total.consistency_token.is_empty() && !part.consistency_token.is_empty() {
        total.consistency_token.push('.');
    }
    total.consistency_token.push_str(&part.consistency_token);
}
