//! One member's address: its connection, how busy and how fast it is, whether it fails.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use service::status;
use tokio::time::{Instant, timeout_at};
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint, Error},
};

/// After so many failures in a row a member is asked nothing but how it does, until it answers that.
const FAILURES: u32 = 3;
/// The greatest answer of a member, such as a user with millions of seen items.
pub(crate) const ANSWER_BYTES: usize = 32 << 20;
/// Each answer moves the expected latency by one part in so many towards its own.
const SMOOTHING: u64 = 8;
/// A call that gave the member less time than this says nothing when it ends without an answer.
const FAIR: Duration = Duration::from_millis(100);

/// A member at one address.
pub(crate) struct Replica {
    address: String,
    channel: Channel,
    in_flight: AtomicU32,
    /// Exponentially weighted moving average, in microseconds; 0 before the first answer.
    latency_us: AtomicU64,
    /// Calls in a row that did not reach the member or got no answer in time.
    failures: AtomicU32,
}

/// Why a member gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The member cannot be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The member did not answer in time.
    #[error("no answer in time")]
    Late,
    /// The member answered with an error.
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(Status),
    /// The member's answer breaks the contract.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

impl Replica {
    /// Prepares a connection that opens with the first call.
    pub(crate) fn new(address: &str, connect_timeout: Duration) -> Result<Self, Error> {
        let channel = Endpoint::from_shared(address.to_owned())?
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .connect_lazy();
        Ok(Self {
            address: address.to_owned(),
            channel,
            in_flight: AtomicU32::new(0),
            latency_us: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        })
    }

    /// Where the member listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the last calls all failed to reach the member.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures.load(Relaxed) >= FAILURES
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
        let _in_flight = InFlight::new(&self.in_flight);
        let answer = self.probe(message, until, rpc).await;
        if answer.is_ok() {
            self.learn(started.elapsed());
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
        let answer = timeout_at(until, rpc(self.channel.clone(), request)).await;
        let answer = match answer {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Failure::of(status, until)),
            Err(_) => Err(Failure::Late),
        };
        match &answer {
            Err(Failure::Late) if time < FAIR => {}
            Err(Failure::Unreachable(_) | Failure::Late) => {
                self.failures.fetch_add(1, Relaxed);
            }
            _ => self.failures.store(0, Relaxed),
        }
        answer
    }

    fn learn(&self, latency: Duration) {
        let latest = latency.as_micros() as u64;
        let before = self.latency_us.load(Relaxed);
        let expected = if before == 0 {
            latest
        } else {
            (before * (SMOOTHING - 1) + latest) / SMOOTHING
        };
        self.latency_us.store(expected.max(1), Relaxed);
    }

    /// How long one more call is likely to take: expected latency times the calls it would share the member with.
    fn cost(&self) -> u64 {
        let in_flight = u64::from(self.in_flight.load(Relaxed));
        self.latency_us.load(Relaxed).saturating_mul(in_flight + 1)
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl Failure {
    /// What a failed call means.
    ///
    /// Errors made on this side of the wire say that the member cannot be reached; so does UNAVAILABLE without a reason
    /// of the house, as a proxy answers.
    fn of(status: Status, until: Instant) -> Self {
        let local = std::error::Error::source(&status).is_some();
        let code = status.code();
        if code == Code::DeadlineExceeded || Instant::now() >= until {
            Self::Late
        } else if local || code == Code::Unavailable && status::reason(&status).is_none() {
            Self::Unreachable(status.message().to_owned())
        } else {
            Self::Refused(status)
        }
    }

    /// Whether another member that holds the same may answer instead.
    pub(crate) fn may_try_another(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(status) => status.code() == Code::Unavailable,
            _ => false,
        }
    }
}

/// Chooses one of the members by power of two choices: of two at random, the one with the smaller cost.
pub(crate) fn pick<'a>(members: &[&'a Arc<Replica>]) -> Option<&'a Arc<Replica>> {
    let count = members.len() as u64;
    match members {
        [] => None,
        [only] => Some(only),
        _ => {
            let dice = roll();
            let first = dice % count;
            let second = (first + 1 + (dice >> 32) % (count - 1)) % count;
            let (first, second) = (members[first as usize], members[second as usize]);
            Some(if second.cost() < first.cost() {
                second
            } else {
                first
            })
        }
    }
}

/// Numbers that look random: a counter through the finalizer of splitmix64.
fn roll() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut z = COUNTER.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Counts one call while it lives, also one that is dropped half way.
struct InFlight<'a>(&'a AtomicU32);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn replica(latency_ms: u64, in_flight: u32) -> Arc<Replica> {
        let replica = Replica::new("http://127.0.0.1:1", Duration::from_millis(100)).unwrap();
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

    #[tokio::test]
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

    #[tokio::test]
    async fn failures_in_a_row_mark_a_member_and_one_answer_clears_it() {
        let replica = replica(1, 0);
        let until = Instant::now() + Duration::from_secs(60);
        let fail = async |_: Channel, _: Request<()>| -> Result<Response<()>, _> {
            Err(Status::unavailable("gone"))
        };
        for _ in 0..FAILURES {
            assert!(!replica.is_failing());
            replica.call((), until, fail).await.unwrap_err();
        }
        assert!(replica.is_failing());
        let answer = async |_: Channel, _: Request<()>| Ok(Response::new(()));
        replica.call((), until, answer).await.unwrap();
        assert!(!replica.is_failing());
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
