//! Recall, one by one, in batches and in streams.

mod answer;
mod diversity;
mod explain;
mod query;
mod score;
mod similar;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use proto::v1::{
    self as pb, recall_result::Result as Outcome, recall_service_server::RecallService,
};
use service::{deadline::Deadline, drain::Shutdown, status, telemetry::Within};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;
use tracing::{error, info};

pub(super) use self::answer::duration;
use self::query::query;

use crate::{
    admission::{Admission, Place},
    answer::Answer,
    config::{Config, RecallConfig},
    error::Error,
    last::LastUsers,
    metrics,
    query::Query,
    recall::Recaller,
    shadow::{Compared, Shadow},
    token::{Keys, Then},
    topology::{Topology, Variant},
};

/// The most recalls of a batch.
const MAX_BATCH: usize = 64;
/// How many recalls of one stream, or of one batch, are under way at most.
const UNDER_WAY: usize = 16;

/// How many explanations are under way at most.
const EXPLAINED_AT_ONCE: usize = 4;

/// Answers recalls within the limits of the config.
#[derive(Debug)]
pub(crate) struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    admission: Admission,
    recaller: Recaller,
    topology: Arc<Topology>,
    limits: RecallConfig,
    /// What tokens are sealed with.
    keys: Arc<Keys>,
    /// What a candidate answers unseen.
    shadow: Arc<Shadow>,
    /// How long a recall of a stream may take.
    time: Duration,
    /// Permits of recalls that are not calls of their own.
    batched: Semaphore,
    /// Permits of explanations, which are many searches each.
    explaining: Semaphore,
    /// Ends streams.
    shutdown: Shutdown,
}

impl Service {
    pub(super) fn new(
        topology: Arc<Topology>,
        last: Arc<LastUsers>,
        keys: Arc<Keys>,
        shadow: Arc<Shadow>,
        config: &Config,
        shutdown: Shutdown,
    ) -> Self {
        let limits = config.recall.clone();
        Self(Arc::new(Shared {
            admission: Admission::new(limits.concurrency),
            recaller: Recaller::new(topology.clone(), last, keys.clone(), limits.soft_deadline),
            topology,
            keys,
            shadow,
            batched: Semaphore::new(limits.batch_concurrency),
            explaining: Semaphore::new(EXPLAINED_AT_ONCE),
            time: config.server.default_deadline,
            shutdown,
            limits,
        }))
    }
}

#[tonic::async_trait]
impl RecallService for Service {
    async fn recall(
        &self,
        request: Request<pb::RecallRequest>,
    ) -> Result<Response<pb::RecallResponse>, Status> {
        let deadline = Deadline::of(&request);
        let query = self.0.query(request.into_inner())?;
        let place = self.0.enter(deadline).await?;
        Ok(Response::new(self.0.recall(query, place, deadline).await?))
    }

    async fn batch_recall(
        &self,
        request: Request<pb::BatchRecallRequest>,
    ) -> Result<Response<pb::BatchRecallResponse>, Status> {
        let deadline = Deadline::of(&request);
        let recalls = request.into_inner().recalls;
        let count = recalls.len();
        if !(1..=MAX_BATCH).contains(&count) {
            let description = format!("has {count}, must have 1 to {MAX_BATCH}");
            return Err(Error::field("recalls", description).into());
        }
        let recalls = recalls.into_iter();
        let results = stream::iter(recalls.map(|recall| self.0.in_turn(recall, deadline)));
        Ok(Response::new(pb::BatchRecallResponse {
            results: results.buffered(UNDER_WAY).collect().await,
        }))
    }

    async fn similar_items(
        &self,
        request: Request<pb::SimilarItemsRequest>,
    ) -> Result<Response<pb::SimilarItemsResponse>, Status> {
        let deadline = Deadline::of(&request);
        let asked = similar::read(request.into_inner(), &self.0.limits)?;
        let _place = self.0.enter(deadline).await?;
        let found = self.0.recaller.similar(&asked, deadline.remaining());
        Ok(Response::new(similar::write(&asked, found.await?)))
    }

    async fn score_items(
        &self,
        request: Request<pb::ScoreItemsRequest>,
    ) -> Result<Response<pb::ScoreItemsResponse>, Status> {
        let deadline = Deadline::of(&request);
        let (recall, items) = score::read(request.into_inner())?;
        let query = self.0.query(recall)?;
        let _place = self.0.enter(deadline).await?;
        let scored = self.0.recaller.score(&query, &items, deadline.remaining());
        Ok(Response::new(score::write(&items, scored.await?)))
    }

    async fn explain_recall(
        &self,
        request: Request<pb::ExplainRecallRequest>,
    ) -> Result<Response<pb::ExplainRecallResponse>, Status> {
        let deadline = Deadline::of(&request);
        let (recall, asked) = explain::read(request.into_inner())?;
        let query = self.0.query(recall)?;
        let turn = timeout_at(deadline.at().into(), self.0.explaining.acquire());
        let late = |_| status::deadline_exceeded("it was not the explanation's turn in time");
        let _turn = turn.await.map_err(late)?;
        let _place = self.0.enter(deadline).await?;
        let explained = self
            .0
            .recaller
            .explain(&query, &asked, deadline.remaining());
        Ok(Response::new(explain::write(explained.await?)))
    }

    async fn replay_recall(
        &self,
        request: Request<pb::ReplayRecallRequest>,
    ) -> Result<Response<pb::ReplayRecallResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let mut query = self.0.query(request.recall.unwrap_or_default())?;
        let digest = query.tokens.map(|digests| digests.request);
        let token = self.0.keys.open(&request.recall_token);
        let token = token.filter(|token| token.answer != 0);
        let none = || Error::field("recall_token", "is no recall token of this gateway");
        let token = token.ok_or_else(none)?;
        if digest != Some(token.request) {
            let description = "is of another request";
            return Err(Error::field("recall_token", description).into());
        }
        let _place = self.0.enter(deadline).await?;
        let before = query.then.take().unwrap_or_default().returned;
        query.generation = token.then.generation.clone();
        query.then = Some(Then {
            returned: before,
            ..token.then
        });
        let recaller = &self.0.recaller;
        let mut answer = recaller.recall(&query, deadline.remaining()).await?;
        let then: Vec<u64> = ids(&answer);
        let identical = answer.digest() == token.answer;
        if !request.generation.is_empty() && request.generation != query.generation {
            query.generation = request.generation;
            answer = recaller.recall(&query, deadline.remaining()).await?;
        }
        let now = ids(&answer);
        let without = |ids: &[u64], others: &[u64]| -> Vec<u64> {
            let others: HashSet<&u64> = others.iter().collect();
            ids.iter()
                .filter(|id| !others.contains(id))
                .copied()
                .collect()
        };
        let left = without(&then, &now);
        Ok(Response::new(pb::ReplayRecallResponse {
            identical: identical && answer.digest() == token.answer,
            overlap: match then.len() {
                0 => 1.0,
                len => 1.0 - left.len() as f64 / len as f64,
            },
            entered: without(&now, &then),
            left,
            answer: Some(answer.into()),
        }))
    }

    type StreamRecallStream = BoxStream<'static, Result<pb::StreamRecallResponse, Status>>;

    async fn stream_recall(
        &self,
        request: Request<Streaming<pb::StreamRecallRequest>>,
    ) -> Result<Response<Self::StreamRecallStream>, Status> {
        let stream_ends = Deadline::of(&request);
        let shared = self.0.clone();
        let shutdown = self.0.shutdown.clone();
        let call = Within::current();
        let asked = request
            .into_inner()
            .take_until(async move { shutdown.requested().await });
        let answers = asked.map_ok(move |asked| {
            let deadline = Deadline::after(shared.time).min(stream_ends);
            let shared = shared.clone();
            // A task of its own: it goes on while the caller reads nothing, so that it gives back what it holds. It ends with the stream.
            let mut task = JoinSet::new();
            task.spawn(call.clone().run(async move {
                let recall = asked.recall.unwrap_or_default();
                pb::StreamRecallResponse {
                    correlation_id: asked.correlation_id,
                    result: Some(shared.in_turn(recall, deadline).await),
                }
            }));
            async move {
                match task.join_next().await {
                    Some(Ok(answer)) => Ok(answer),
                    ended => {
                        error!(?ended, "a recall of a stream did not end");
                        service::metrics::panicked();
                        Err(status::internal())
                    }
                }
            }
        });
        let answers = answers.try_buffer_unordered(UNDER_WAY);
        Ok(Response::new(answers.boxed()))
    }
}

/// The items of an answer, in its order.
fn ids(answer: &Answer) -> Vec<u64> {
    let ids = answer.candidates.iter().map(|candidate| candidate.hit.id);
    ids.collect()
}

impl Shared {
    /// Checks a request.
    fn query(&self, request: pb::RecallRequest) -> Result<Query, Error> {
        query(request, &self.limits, &self.keys)
    }

    /// Takes a place among those under way, or refuses soon.
    async fn enter(&self, deadline: Deadline) -> Result<Place<'_>, Error> {
        let patience = deadline.remaining().min(self.limits.patience);
        let entered = self.admission.enter(Instant::now() + patience).await;
        entered.inspect_err(|_| metrics::shed())
    }

    async fn recall(
        self: &Arc<Self>,
        query: Query,
        place: Place<'_>,
        deadline: Deadline,
    ) -> Result<pb::RecallResponse, Error> {
        let answer = self.recaller.recall(&query, deadline.remaining()).await?;
        metrics::answered(answer.coverage.fraction(), &answer.degraded);
        // Popular items that stand in, and a part of the shards, take another time.
        if answer.degraded.is_empty() {
            place.answered_whole();
        }
        self.try_candidate(query, &answer);
        Ok(answer.into())
    }

    /// While a candidate is on trial: logs which generation the caller was shown, and lets the candidate answer its share of recalls,
    /// too, unseen.
    fn try_candidate(self: &Arc<Self>, mut query: Query, answer: &Answer) {
        let view = self.topology.view();
        let Some(candidate) = view.candidate() else {
            return;
        };
        if answer.variant != Variant::Named && !query.experiment_unit.is_empty() {
            info!(
                target: "twotower::exposure",
                unit = self.keys.pseudonym(&query.experiment_unit),
                variant = ?answer.variant,
                generation = answer.generation,
                candidates = answer.candidates.len(),
                "shown"
            );
        }
        let due = candidate.shadow > 0.0 && rand::random::<f64>() < candidate.shadow;
        if !due || answer.variant != Variant::Serving {
            return;
        }
        let candidate = candidate.generation.clone();
        let Some(room) = self.shadow.room(&answer.generation, &candidate) else {
            return;
        };
        let serving = Compared::of(answer);
        query.generation.clone_from(&candidate);
        let shared = Arc::clone(self);
        tokio::spawn(Within::current().run(async move {
            // Callers go first: where they wait, there is no place for it.
            match shared.admission.enter(Instant::now()).await {
                Ok(_place) => {
                    let answered = shared.recaller.recall(&query, shared.time).await;
                    shared.shadow.note(&candidate, &serving, answered);
                }
                Err(_) => shared.shadow.skip(&serving.generation, &candidate),
            }
            drop(room);
        }));
    }

    /// Recalls once there is a place for it.
    async fn recall_patiently(
        self: &Arc<Self>,
        request: pb::RecallRequest,
        deadline: Deadline,
    ) -> Result<pb::RecallResponse, Error> {
        let query = self.query(request)?;
        let until = deadline.at().into();
        let place = self.admission.enter_in_turn(until).await?;
        self.recall(query, place, deadline).await
    }

    /// Recalls once it is the recall's turn, so that batches and streams leave room for others.
    async fn in_turn(
        self: &Arc<Self>,
        request: pb::RecallRequest,
        deadline: Deadline,
    ) -> pb::RecallResult {
        let turn = timeout_at(deadline.at().into(), self.batched.acquire()).await;
        let recalled = match turn {
            Ok(_permit) => self
                .recall_patiently(request, deadline)
                .await
                .map_err(Status::from),
            Err(_) => Err(status::deadline_exceeded(
                "it was not the recall's turn in time",
            )),
        };
        let outcome = match recalled {
            Ok(answer) => Outcome::Answer(answer),
            Err(status) => Outcome::Failure(failure(&status)),
        };
        pb::RecallResult {
            result: Some(outcome),
        }
    }
}

/// A status as part of an answer.
fn failure(status: &Status) -> pb::RecallFailure {
    let retry = status.get_details_retry_info();
    pb::RecallFailure {
        code: status.code().into(),
        message: status.message().to_owned(),
        reason: status::reason(status).unwrap_or_default(),
        retry_after: retry.and_then(|retry| duration(retry.retry_delay?)),
    }
}
