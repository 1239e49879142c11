//! One story: faults befall the members while recalls go on, then all is mended.

use std::{
    iter::Sum,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use service::config;
use tokio::time::{Instant, sleep, timeout};
use turmoil::{Builder, Sim};

use super::{
    network::{self, PORT},
    towers::{self, Notes},
    truth::{Shelf, Truth},
};
use crate::{
    answer::{Answer, Degraded},
    config::{Config, DEFAULTS},
    error::Error,
    last::LastUsers,
    query::Query,
    recall::Recaller,
    replica::{self, Connect},
    token::Keys,
    topology::Topology,
    user_tower::Who,
};

/// Where the gateway is.
const GATEWAY: &str = "gateway";
/// How long things happen.
const TROUBLE: Duration = Duration::from_secs(6);
/// How long it may take after that until all is well: a member that failed often is left alone for eight seconds.
const MENDING: Duration = Duration::from_secs(20);
/// The resolution of time.
const TICK: Duration = Duration::from_millis(5);

/// What happened in some stories.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) whole: u64,
    pub(super) partial: u64,
    pub(super) popular: u64,
    pub(super) last: u64,
    pub(super) failed: u64,
    /// Shards that were asked for all.
    pub(super) again: u64,
}

/// One thing that happens to a member.
#[derive(Clone, Debug)]
enum Fault {
    Crash(String),
    Return(String),
    CutOff(String),
    Swallow(String),
    Mend(String),
    Slow(String, Duration),
}

/// Tells the story of a seed.
pub(super) fn tell(seed: u64, shelf: &Arc<Shelf>) -> Tally {
    let mut dice = StdRng::seed_from_u64(seed);
    replica::seed(seed);
    let truth = Arc::new(Truth::new(&mut dice, shelf));
    let mut faults = faults(&mut dice, &truth);
    let mut sim = Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .simulation_duration(TROUBLE + MENDING + Duration::from_secs(10))
        .build();
    let notes = Arc::new(Mutex::new(Notes::default()));
    let members = truth.item_towers.iter().chain(&truth.user_towers);
    for (number, name) in members.enumerate() {
        let (truth, notes) = (truth.clone(), notes.clone());
        sim.host(name.as_str(), move || {
            towers::serve(truth.clone(), number, notes.clone())
        });
    }
    let tally = Arc::new(Mutex::new(Tally::default()));
    let caller = StdRng::seed_from_u64(dice.random());
    sim.client(
        GATEWAY,
        live(
            truth.clone(),
            shelf.clone(),
            caller,
            notes.clone(),
            tally.clone(),
        ),
    );
    loop {
        while faults.first().is_some_and(|(at, _)| *at <= sim.elapsed()) {
            befall(&mut sim, faults.remove(0).1);
        }
        match sim.step() {
            Ok(true) => break,
            Ok(false) => {}
            Err(cause) => panic!("seed {seed}: {cause}"),
        }
    }
    let notes = notes.lock().unwrap();
    assert!(notes.wrong.is_empty(), "seed {seed}: {:?}", notes.wrong);
    let mut tally = *tally.lock().unwrap();
    tally.again = notes.again;
    if truth.has_spares() {
        assert_eq!(
            tally.failed, 0,
            "seed {seed}: recalls failed with a replica of all that is well"
        );
    }
    tally
}

/// What happens, and when; all is mended in the end.
fn faults(dice: &mut StdRng, truth: &Truth) -> Vec<(Duration, Fault)> {
    let mut faults = Vec::new();
    let members: Vec<&String> = truth.item_towers.iter().chain(&truth.user_towers).collect();
    let victims = truth.victims();
    for _ in 0..dice.random_range(1..7) {
        let Some(member) = victims.choose(dice).map(|name| (*name).clone()) else {
            continue;
        };
        let from = Duration::from_millis(dice.random_range(800..TROUBLE.as_millis() as u64));
        let until = from + Duration::from_millis(dice.random_range(200..2_500));
        let (fault, end) = match dice.random_range(0..4) {
            0 => (Fault::Crash(member.clone()), Fault::Return(member)),
            1 => (Fault::CutOff(member.clone()), Fault::Mend(member)),
            2 => (Fault::Swallow(member.clone()), Fault::Mend(member)),
            _ => {
                let latency = Duration::from_millis(dice.random_range(50..600));
                let usual = Duration::from_millis(5);
                (
                    Fault::Slow(member.clone(), latency),
                    Fault::Slow(member, usual),
                )
            }
        };
        faults.extend([(from, fault), (until.min(TROUBLE), end)]);
    }
    faults.sort_by_key(|(at, _)| *at);
    for member in members {
        faults.extend([
            (TROUBLE, Fault::Mend(member.clone())),
            (TROUBLE, Fault::Return(member.clone())),
        ]);
    }
    faults
}

fn befall(sim: &mut Sim<'_>, fault: Fault) {
    match fault {
        Fault::Crash(member) => sim.crash(member),
        Fault::Return(member) => {
            if !sim.is_host_running(member.as_str()) {
                sim.bounce(member);
            }
        }
        Fault::CutOff(member) => sim.partition(GATEWAY, member),
        Fault::Swallow(member) => sim.hold(GATEWAY, member),
        Fault::Mend(member) => {
            sim.repair(GATEWAY, member.as_str());
            sim.release(GATEWAY, member);
        }
        Fault::Slow(member, latency) => sim.set_link_latency(GATEWAY, member, latency),
    }
}

/// The gateway, and who calls it.
async fn live(
    truth: Arc<Truth>,
    shelf: Arc<Shelf>,
    mut dice: StdRng,
    notes: Arc<Mutex<Notes>>,
    tally: Arc<Mutex<Tally>>,
) -> turmoil::Result {
    shelf.serve(truth.current(0)).await;
    let address = |name: &String| format!("http://{name}:{PORT}");
    let mut config: Config = config::parse(DEFAULTS)?;
    config.item_towers = truth.item_towers.iter().map(address).collect();
    config.user_towers = truth.user_towers.iter().map(address).collect();
    config.topology.refresh = Duration::from_millis(200);
    config.topology.timeout = Duration::from_millis(500);
    config.topology.patience = Duration::from_secs(2);
    let topology = Arc::new(Topology::new(
        shelf.store.clone(),
        &config,
        Connect::new(network::connect),
    ));
    let following = topology.clone();
    tokio::spawn(async move { following.follow(|_| {}).await });
    let last = Arc::new(LastUsers::new(1 << 20));
    let gateway = Recaller::new(
        topology.clone(),
        last,
        Arc::new(Keys::load(&[]).unwrap()),
        config.recall.soft_deadline,
    );

    let mut swaps = 1..truth.swaps.len();
    let mut swap = swaps.next();
    let begun = Instant::now();
    while begun.elapsed() < TROUBLE {
        if let Some(next) = swap
            && truth.swaps[next].0 <= begun.elapsed()
        {
            shelf.serve(truth.current(next)).await;
            swap = swaps.next();
        }
        let recall = Recall::random(&mut dice);
        notes.lock().unwrap().asked.clear();
        let answer = recall.ask(&gateway).await?;
        recall.check(&truth, answer, &tally)?;
        sleep(Duration::from_millis(dice.random_range(0..60))).await;
    }
    let serving = &truth.current(truth.swaps.len() - 1).serving;
    let mut well = 0;
    while well < 8 {
        let recall = Recall::random(&mut dice);
        notes.lock().unwrap().asked.clear();
        let answer = recall.ask(&gateway).await?;
        let is_well = |answer: &Answer| answer.degraded.is_empty() && answer.generation == *serving;
        well = if answer.as_ref().is_ok_and(is_well) {
            well + 1
        } else {
            0
        };
        if begun.elapsed() > TROUBLE + MENDING {
            return Err(format!("not well again: {answer:?}").into());
        }
        recall.check(&truth, answer, &tally)?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// One recall of a story.
struct Recall {
    user: u64,
    query: Query,
    time: Duration,
}

impl Recall {
    fn random(dice: &mut StdRng) -> Self {
        let user = dice.random_range(1..40);
        let query = Query {
            who: Who::new(user.to_string(), None, String::new()),
            k: dice.random_range(1..120),
            exclude: (0..dice.random_range(0..20))
                .map(|_| dice.random_range(1..320))
                .collect(),
            allow_seen: false,
            filter: None,
            exact: true,
            reproducible: false,
            with_item: false,
            min_coverage: 0.0,
            generation: String::new(),
            experiment_unit: user.to_string(),
            diversity: None,
            popular: 0,
            fresh: 0,
            tokens: None,
            then: None,
        };
        Self {
            user,
            query,
            time: Duration::from_millis(dice.random_range(300..1_500)),
        }
    }

    /// Asks; no answer in time is a fault of the gateway.
    async fn ask(&self, gateway: &Recaller) -> Result<Result<Answer, Error>, String> {
        let late = self.time + 4 * TICK;
        timeout(late, gateway.recall(&self.query, self.time))
            .await
            .map_err(|_| format!("no answer after {:?}", self.time))
    }

    /// Compares an answer with the truth.
    fn check(
        &self,
        truth: &Truth,
        answer: Result<Answer, Error>,
        tally: &Mutex<Tally>,
    ) -> Result<(), String> {
        let mut tally = tally.lock().unwrap();
        let answer = match answer {
            Ok(answer) => answer,
            // At first.
            Err(Error::NoGeneration) if tally.whole == 0 => return Ok(()),
            Err(cause)
                if cause.is_stale()
                    || cause.is_unanswered()
                    || matches!(cause, Error::NoGeneration) =>
            {
                println!("a recall failed: {cause}");
                tally.failed += 1;
                return Ok(());
            }
            Err(cause) => return Err(format!("user {}: {cause}", self.user)),
        };
        let wrong = |what: &str| Err(format!("{what}: {answer:?} for {:?}", self.query));
        let number = truth
            .number(&answer.generation)
            .ok_or("no such generation")?;
        let hits: Vec<_> = answer.candidates.iter().map(|found| found.hit).collect();
        let ids: Vec<u64> = hits.iter().map(|hit| hit.id).collect();
        if answer.space != truth.generations[number].space || ids.len() > self.query.k {
            return wrong("another space, or too many");
        }
        if ids.iter().any(|id| self.query.exclude.contains(id)) {
            return wrong("excluded items");
        }
        if answer.degraded.contains(&Degraded::FallbackPopular) {
            tally.popular += 1;
            return Ok(());
        }
        tally.last += u64::from(answer.degraded.contains(&Degraded::UserTowerDown));
        let scored = |hit: &crate::hit::Hit| hit.score == truth.score(number, self.user, hit.id);
        if !hits.iter().all(scored) || !hits.is_sorted() {
            return wrong("scores of another generation, or in disorder");
        }
        if ids.iter().any(|id| Truth::has_seen(self.user, *id)) {
            return wrong("seen items");
        }
        let lost = [Degraded::ShardUnreachable, Degraded::Deadline];
        if lost.iter().any(|reason| answer.degraded.contains(reason)) {
            tally.partial += 1;
            return match self.overstates(truth, number, &answer) {
                true => wrong("more coverage than there is"),
                false => Ok(()),
            };
        }
        tally.whole += 1;
        if ids != truth.best(number, self.user, self.query.k, &self.query.exclude)
            || answer.coverage.fraction() < 1.0
        {
            return wrong("not the best of all");
        }
        Ok(())
    }
}

impl Recall {
    /// Whether an answer says that shards were searched whose best item is missing from it.
    fn overstates(&self, truth: &Truth, number: usize, answer: &Answer) -> bool {
        let coverage = &answer.coverage;
        let last = answer.candidates.last().map(|found| found.hit);
        let full = answer.candidates.len() == self.query.k;
        let (mut shards, mut items) = (0, 0);
        for shard in 0..coverage.shards_total {
            let free = truth
                .items(number, shard)
                .filter(|id| !Truth::has_seen(self.user, *id) && !self.query.exclude.contains(id));
            let free: Vec<u64> = free.collect();
            let given = |id: &u64| answer.candidates.iter().any(|found| found.hit.id == *id);
            let belongs = |id: &u64| {
                let score = truth.score(number, self.user, *id);
                !full || last.is_some_and(|last| score > last.score)
            };
            let silent = !free.iter().any(given) && free.iter().any(belongs);
            shards += u32::from(!silent);
            items += if silent { 0 } else { free.len() as u64 };
        }
        coverage.shards_answered > shards || coverage.items_searched > items
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, next| Self {
            whole: sum.whole + next.whole,
            partial: sum.partial + next.partial,
            popular: sum.popular + next.popular,
            last: sum.last + next.last,
            failed: sum.failed + next.failed,
            again: sum.again + next.again,
        })
    }
}
