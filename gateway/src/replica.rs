//! One member's address: its connection, how busy and how fast it is, whether it is given work.

mod pick;
mod standing;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Error},
};

use crate::{count::Counted, failure::Failure};
use standing::Standing;

pub(crate) use pick::pick;
#[cfg(test)]
pub(crate) use pick::seed;

/// The greatest answer of a member, such as a user with millions of seen items.
pub(crate) const ANSWER_BYTES: usize = 32 << 20;
/// Each answer moves the expected latency by one part in so many towards its own.
const SMOOTHING: u64 = 8;
/// What is known of a latency counts half after this, so that a member that seemed slow is tried again.
const FADES: Duration = Duration::from_secs(5);
/// What a call to a member is taken to last that nobody made one to.
const UNKNOWN_US: u64 = 1_000;
/// A call that gave the member less time than this says nothing when it ends without an answer.
const FAIR: Duration = Duration::from_millis(100);

/// How a connection that opens with the first call is made.
#[derive(Clone)]
pub(crate) struct Connect(Arc<dyn Fn(Endpoint) -> Channel + Send + Sync>);

impl Connect {
    /// By `connect`.
    pub(crate) fn new(connect: impl Fn(Endpoint) -> Channel + Send + Sync + 'static) -> Self {
        Self(Arc::new(connect))
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a way to connect")
    }
}

/// A member at one address.
pub(crate) struct Replica {
    address: String,
    channel: Channel,
    in_flight: AtomicU32,
    born: Instant,
    /// Exponentially weighted moving average, in microseconds.
    latency_us: AtomicU64,
    /// When that was learnt, in microseconds since it was born.
    learnt_us: AtomicU64,
    /// Whether it says that it serves.
    serving: AtomicBool,
    standing: Standing,
}

impl Replica {
    /// Prepares a connection that opens with the first call.
    pub(crate) fn new(
        address: &str,
        connect_timeout: Duration,
        connect: &Connect,
    ) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(address.to_owned())?
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5));
        Ok(Self {
            address: address.to_owned(),
            channel: (connect.0)(endpoint),
            in_flight: AtomicU32::new(0),
            born: Instant::now(),
            latency_us: AtomicU64::new(UNKNOWN_US),
            learnt_us: AtomicU64::new(0),
            serving: AtomicBool::new(false),
            standing: Standing::new(),
        })
    }

    /// Where the member listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The connection, for calls that last.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Notes whether the member says that it serves; returns whether it said otherwise before.
    pub(crate) fn says_serving(&self, serving: bool) -> bool {
        let changed = self.serving.swap(serving, Relaxed) != serving;
        if changed && serving {
            self.standing.begin();
        }
        changed
    }

    /// Whether the member says that it serves.
    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Relaxed)
    }

    /// Whether the member is left out, for its last calls all failed.
    pub(crate) fn is_out(&self) -> bool {
        self.standing.is_out()
    }

    /// The smaller, the better to ask; none for a member that neither says that it serves nor answers.
    pub(crate) fn rank(&self) -> Option<u8> {
        match (self.is_serving(), self.is_out()) {
            (true, false) => Some(0),
            (true, true) => Some(1),
            (false, false) => Some(2),
            (false, true) => None,
        }
    }

    /// Makes one call that ends at `until`, and learns from it how fast the member is.
    pub(crate) async fn call<Q, A, F>(
        &self,
        message: Q,
        until: Instant,
        rpc: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<A, Failure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let started = Instant::now();
        let _in_flight = Counted::new(&self.in_flight);
        let fair = until - started >= FAIR;
        let answer = self.probe(message, until, rpc).await;
        match answer {
            Ok(_) => self.learn(started.elapsed()),
            Err(Failure::Late) if fair => self.learn_at_least(started.elapsed()),
            Err(_) => {}
        }
        answer
    }

    /// Makes one call that ends at `until` and says nothing of the member's speed.
    pub(crate) async fn probe<Q, A, F>(
        &self,
        message: Q,
        until: Instant,
        rpc: impl FnOnce(Channel, Request<Q>) -> F,
    ) -> Result<A, Failure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        let time = until.saturating_duration_since(Instant::now());
        request.set_timeout(time);
        // It differs from call to call: no use to remember it for the next header list.
        if let Some(timeout) = request.metadata_mut().get_mut("grpc-timeout") {
            timeout.set_sensitive(true);
        }
        service::telemetry::pass_on(request.metadata_mut());
        let answer = timeout_at(until, rpc(self.channel.clone(), request)).await;
        let answer = match answer {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Failure::of(status, until)),
            Err(_) => Err(Failure::Late),
        };
        match &answer {
            Err(Failure::Late) if time < FAIR => {}
            Err(Failure::Unreachable(_) | Failure::Late) => self.standing.failed(),
            Err(failure) if failure.is_fault() => self.standing.failed(),
            _ => self.standing.answered(),
        }
        answer
    }

    /// Notes that another member answered while this one was asked for `so_long`.
    pub(crate) fn outrun(&self, so_long: Duration) {
        self.learn_at_least(so_long);
        self.standing.failed();
    }

    /// Notes that an answer broke the contract.
    pub(crate) fn broke_contract(&self) {
        self.standing.failed();
    }

    /// Takes up that a call would have taken longer than this.
    fn learn_at_least(&self, time: Duration) {
        let expected = Duration::from_micros(self.latency_us.load(Relaxed));
        self.learn(time.max(expected));
    }

    fn learn(&self, latency: Duration) {
        let latest = latency.as_micros() as u64;
        let before = self.latency_us.load(Relaxed);
        let first = self.learnt_us.load(Relaxed) == 0;
        let expected = if first {
            latest
        } else {
            (before * (SMOOTHING - 1) + latest) / SMOOTHING
        };
        self.latency_us.store(expected.max(1), Relaxed);
        let now = self.born.elapsed().as_micros() as u64;
        self.learnt_us.store(now.max(1), Relaxed);
    }

    /// How long one more call is likely to take: expected latency, as far as it is news, times the calls it would share the member
    /// with, and more as long as the member begins.
    fn cost(&self) -> f64 {
        let learnt = Duration::from_micros(self.learnt_us.load(Relaxed));
        let age = self.born.elapsed().saturating_sub(learnt);
        let faded = (-age.div_duration_f64(FADES)).exp2();
        let in_flight = f64::from(self.in_flight.load(Relaxed));
        self.latency_us.load(Relaxed) as f64 * faded * (in_flight + 1.0) * self.standing.burden()
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn replica(latency_ms: u64, in_flight: u32) -> Arc<Replica> {
        let timeout = Duration::from_millis(100);
        let connect = Connect::new(|endpoint| endpoint.connect_lazy());
        let replica = Replica::new("http://127.0.0.1:1", timeout, &connect).unwrap();
        replica.learn(Duration::from_millis(latency_ms));
        replica.in_flight.store(in_flight, Relaxed);
        Arc::new(replica)
    }

    #[tokio::test]
    async fn of_two_members_the_cheaper_is_asked() {
        let (busy, slow, good) = (replica(1, 9), replica(8, 0), replica(1, 0));
        for other in [&busy, &slow] {
            for _ in 0..20 {
                assert!(Arc::ptr_eq(pick(&[other, &good]).unwrap(), &good));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_one_of_many_equal_members_gets_its_turn() {
        let members: Vec<_> = (0..5).map(|_| replica(1, 0)).collect();
        let members: Vec<_> = members.iter().collect();
        let mut picked = [0; 5];
        for _ in 0..500 {
            let chosen = pick(&members).unwrap();
            let at = members.iter().position(|m| Arc::ptr_eq(m, chosen));
            picked[at.unwrap()] += 1;
        }
        assert!(picked.iter().all(|&count| count > 50), "{picked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_seemed_slow_is_tried_again() {
        let (slow, good) = (replica(9, 0), replica(1, 0));
        assert!(Arc::ptr_eq(pick(&[&slow, &good]).unwrap(), &good));
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            good.learn(Duration::from_millis(1));
        }
        assert!(Arc::ptr_eq(pick(&[&slow, &good]).unwrap(), &slow));
    }

    #[tokio::test]
    async fn a_member_that_was_outrun_seems_slower_and_is_left_out_in_the_end() {
        let (stalled, good) = (replica(1, 0), replica(2, 0));
        for _ in 0..standing::FAILURES {
            assert!(!stalled.is_out());
            stalled.outrun(Duration::from_millis(20));
        }
        assert!(stalled.is_out());
        assert!(Arc::ptr_eq(pick(&[&stalled, &good]).unwrap(), &good));
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable() {
        use proto::v1::{ListShardsRequest, search_service_client::SearchServiceClient};
        let replica = replica(1, 0);
        let until = Instant::now() + Duration::from_secs(60);
        let failure = replica
            .call(ListShardsRequest {}, until, |channel, request| async move {
                SearchServiceClient::new(channel).list_shards(request).await
            })
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
    }
}
