//! Recall, one by one, in batches and in streams.

mod answer;

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use generation::partition;
use proto::v1::{
    self as pb, item_ref::Name, recall_result::Result as Outcome,
    recall_service_server::RecallService,
};
use service::{deadline::Deadline, drain::Shutdown, status};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use self::answer::duration;

use crate::{
    admission::{Admission, Place},
    config::{Config, RecallConfig},
    error::Error,
    filter::Filter,
    last::LastUsers,
    query::Query,
    recall::Recaller,
    topology::Topology,
    user_tower::Who,
};

/// The most items that a caller may list to be left out.
const MAX_EXCLUDED: usize = 10_000;
/// The most recalls of a batch.
const MAX_BATCH: usize = 64;
/// How many recalls of one stream, or of one batch, are under way at most.
const UNDER_WAY: usize = 16;

/// Answers recalls within the limits of the config.
#[derive(Debug)]
pub(crate) struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    admission: Admission,
    recaller: Recaller,
    limits: RecallConfig,
    /// How long a recall of a stream may take.
    time: Duration,
    /// Permits of recalls that are not calls of their own.
    batched: Semaphore,
    /// Ends streams.
    shutdown: Shutdown,
}

impl Service {
    pub(super) fn new(
        topology: Arc<Topology>,
        last: Arc<LastUsers>,
        config: &Config,
        shutdown: Shutdown,
    ) -> Self {
        let limits = config.recall.clone();
        Self(Arc::new(Shared {
            admission: Admission::new(limits.concurrency),
            recaller: Recaller::new(topology, last, limits.soft_deadline),
            batched: Semaphore::new(limits.batch_concurrency),
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
        let query = query(request.into_inner(), &self.0.limits)?;
        let patience = deadline.remaining().min(self.0.limits.patience);
        let place = self.0.admission.enter(Instant::now() + patience).await?;
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

    type StreamRecallStream = BoxStream<'static, Result<pb::StreamRecallResponse, Status>>;

    async fn stream_recall(
        &self,
        request: Request<Streaming<pb::StreamRecallRequest>>,
    ) -> Result<Response<Self::StreamRecallStream>, Status> {
        let stream_ends = Deadline::of(&request);
        let shared = self.0.clone();
        let shutdown = self.0.shutdown.clone();
        let asked = request
            .into_inner()
            .take_until(async move { shutdown.requested().await });
        let answers = asked.map_ok(move |asked| {
            let deadline = Deadline::after(shared.time).min(stream_ends);
            let shared = shared.clone();
            // A task of its own: it goes on while the caller reads nothing, so that it gives back what it holds. It ends with the stream.
            let mut task = JoinSet::new();
            task.spawn(async move {
                let recall = asked.recall.unwrap_or_default();
                pb::StreamRecallResponse {
                    correlation_id: asked.correlation_id,
                    result: Some(shared.in_turn(recall, deadline).await),
                }
            });
            async move {
                let ended = task.join_next().await;
                ended.and_then(Result::ok).ok_or_else(status::internal)
            }
        });
        let answers = answers.try_buffer_unordered(UNDER_WAY);
        Ok(Response::new(answers.boxed()))
    }
}

impl Shared {
    async fn recall(
        &self,
        query: Query,
        place: Place<'_>,
        deadline: Deadline,
    ) -> Result<pb::RecallResponse, Error> {
        let answer = self.recaller.recall(&query, deadline.remaining()).await?;
        // Popular items that stand in, and a part of the shards, take another time.
        if answer.degraded.is_empty() {
            place.answered_whole();
        }
        Ok(answer.into())
    }

    /// Recalls once there is a place for it.
    async fn recall_patiently(
        &self,
        request: pb::RecallRequest,
        deadline: Deadline,
    ) -> Result<pb::RecallResponse, Error> {
        let query = query(request, &self.limits)?;
        let until = deadline.at().into();
        let place = self.admission.enter_in_turn(until).await?;
        self.recall(query, place, deadline).await
    }

    /// Recalls once it is the recall's turn, so that batches and streams leave room for others.
    async fn in_turn(&self, request: pb::RecallRequest, deadline: Deadline) -> pb::RecallResult {
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

/// Checks a request.
fn query(request: pb::RecallRequest, limits: &RecallConfig) -> Result<Query, Error> {
    let (page_size, most) = (request.page_size, limits.max_page_size);
    if page_size > most {
        let description = format!("is {page_size}, at most {most} is allowed");
        return Err(Error::field("page_size", description));
    }
    if request.user_id.is_empty() && request.context.is_none() {
        let description = "is empty, and there is no context that describes the user";
        return Err(Error::field("user_id", description));
    }
    let options = request.options.unwrap_or_default();
    let min_coverage = options.min_coverage;
    if !(0.0..=1.0).contains(&min_coverage) {
        let description = format!("is {min_coverage}, must be between 0 and 1");
        return Err(Error::field("options.min_coverage", description));
    }
    let exclude = request.exclude.unwrap_or_default();
    let who = Who::new(request.user_id, request.context, request.consistency_token);
    Ok(Query {
        experiment_unit: match request.experiment_unit {
            unit if unit.is_empty() => who.id().to_owned(),
            unit => unit,
        },
        who,
        k: match page_size {
            0 => limits.page_size,
            page_size => page_size,
        } as usize,
        allow_seen: exclude.allow_seen,
        exclude: excluded(exclude.items)?,
        filter: request.filter.and_then(Filter::new),
        exact: options.exact,
        reproducible: options.reproducible,
        with_item: options.with_item,
        min_coverage,
        generation: request.generation,
    })
}

fn excluded(items: Vec<pb::ItemRef>) -> Result<Vec<u64>, Error> {
    if items.len() > MAX_EXCLUDED {
        let description = format!(
            "has {} items, at most {MAX_EXCLUDED} are allowed",
            items.len()
        );
        return Err(Error::field("exclude.items", description));
    }
    let id = |(at, item): (usize, pb::ItemRef)| match item.name {
        Some(Name::Id(id)) => Ok(id),
        Some(Name::Key(key)) => Ok(partition::item_id(&key)),
        None => {
            let description = "names neither an id nor a key";
            Err(Error::field(format!("exclude.items[{at}]"), description))
        }
    };
    items.into_iter().enumerate().map(id).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const LIMITS: RecallConfig = RecallConfig {
        page_size: 100,
        max_page_size: 1_000,
        soft_deadline: 0.8,
        batch_concurrency: 1,
        concurrency: 1,
        patience: Duration::ZERO,
        last_vectors_bytes: 0,
    };

    fn request() -> pb::RecallRequest {
        pb::RecallRequest {
            user_id: "1".to_owned(),
            ..Default::default()
        }
    }

    fn item(name: Option<Name>) -> pb::ItemRef {
        pb::ItemRef { name }
    }

    /// Changes a good request and expects it to be refused, naming `field` and `what`.
    fn refused(change: impl FnOnce(&mut pb::RecallRequest), field: &str, what: &str) {
        let mut changed = request();
        change(&mut changed);
        let error = query(changed, &LIMITS).unwrap_err().to_string();
        assert_eq!(error, format!("{field}: {what}"));
    }

    #[test]
    fn fields_out_of_their_bounds_are_named_with_value_and_limit() {
        refused(
            |r| r.page_size = 1_001,
            "page_size",
            "is 1001, at most 1000 is allowed",
        );
        refused(
            |r| r.user_id.clear(),
            "user_id",
            "is empty, and there is no context that describes the user",
        );
        for (coverage, shown) in [(1.5, "1.5"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
            refused(
                |r| r.options.get_or_insert_default().min_coverage = coverage,
                "options.min_coverage",
                &format!("is {shown}, must be between 0 and 1"),
            );
        }
        refused(
            |r| r.exclude.get_or_insert_default().items = vec![item(Some(Name::Id(1))), item(None)],
            "exclude.items[1]",
            "names neither an id nor a key",
        );
        refused(
            |r| {
                r.exclude.get_or_insert_default().items = vec![item(Some(Name::Id(1))); 10_001];
            },
            "exclude.items",
            "has 10001 items, at most 10000 are allowed",
        );
    }

    #[test]
    fn limits_themselves_are_allowed() {
        let mut asked = request();
        asked.page_size = 1_000;
        asked.options.get_or_insert_default().min_coverage = 1.0;
        asked.exclude.get_or_insert_default().items = vec![item(Some(Name::Id(1))); 10_000];
        let query = query(asked, &LIMITS).unwrap();
        assert_eq!((query.k, query.exclude.len()), (1_000, 10_000));
    }

    #[test]
    fn a_page_size_of_zero_is_the_default() {
        assert_eq!(query(request(), &LIMITS).unwrap().k, 100);
    }

    #[test]
    fn a_described_user_needs_no_id() {
        let mut asked = request();
        asked.user_id.clear();
        asked.context = Some(pb::UserContext::default());
        query(asked, &LIMITS).unwrap();
    }

    #[test]
    fn excluded_keys_become_ids() {
        let mut asked = request();
        asked.exclude.get_or_insert_default().items = vec![
            item(Some(Name::Id(7))),
            item(Some(Name::Key("a".to_owned()))),
        ];
        let query = query(asked, &LIMITS).unwrap();
        assert_eq!(query.exclude, [7, partition::item_id("a")]);
    }
}
