//! Lets as many recalls begin as the servers can do at once, and refuses the rest while that is cheap.

mod limit;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use metrics::{Gauge, gauge};
use tokio::{
    sync::{Mutex as Turns, Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use crate::{count::Counted, error::Error};
use limit::Limit;

/// The door to the recalls of a gateway.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Semaphore,
    waiting: AtomicU32,
    /// Whose turn it is of those that leave room for others.
    turns: Turns<()>,
    /// Tells who has the turn that a place may be free.
    left: Notify,
    state: Mutex<State>,
    /// Tells how many places there are.
    size: Gauge,
}

#[derive(Debug)]
struct State {
    limit: Limit,
    /// Places that there are.
    size: usize,
    /// Places to be taken away when they are given back.
    surplus: usize,
    /// Places taken, and those of them by who leaves room for others.
    taken: usize,
    taken_in_turn: usize,
}

/// A recall under way.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    admission: &'a Admission,
    permit: Option<SemaphorePermit<'a>>,
    began: Instant,
    in_turn: bool,
    whole: bool,
}

impl Admission {
    /// At most `most` at once.
    pub(crate) fn new(most: usize) -> Self {
        let limit = Limit::new(most);
        let size = limit.get();
        let gauge = gauge!("twotower_admission_limit");
        gauge.set(size as f64);
        Self {
            size: gauge,
            places: Semaphore::new(size),
            waiting: AtomicU32::new(0),
            turns: Turns::default(),
            left: Notify::new(),
            state: Mutex::new(State {
                limit,
                size,
                surplus: 0,
                taken: 0,
                taken_in_turn: 0,
            }),
        }
    }

    /// Lets a recall begin; it waits until `until` for the end of another, unless as many wait already as may be under way.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub(crate) async fn enter(&self, until: Instant) -> Result<Place<'_>, Error> {
        if let Ok(permit) = self.places.try_acquire() {
            return Ok(self.place(permit, false));
        }
        let size = self.note_full();
        let _waiting = Counted::new(&self.waiting);
        if self.waiting.load(Relaxed) as usize > size {
            return Err(self.refusal());
        }
        match timeout_at(until, self.places.acquire()).await {
            Ok(Ok(permit)) => Ok(self.place(permit, false)),
            _ => Err(self.refusal()),
        }
    }

    /// Lets a recall begin that leaves room for others: one such may wait among those of [`enter`](Self::enter), more only take
    /// places for which nobody waits, half of all at the most.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if it was not its turn before `until`.
    pub(crate) async fn enter_in_turn(&self, until: Instant) -> Result<Place<'_>, Error> {
        let turn = async {
            let _turn = self.turns.lock().await;
            loop {
                let left = self.left.notified();
                if let Some(permit) = self.free_for_others() {
                    return Some(permit);
                }
                if self.state().taken_in_turn == 0 {
                    self.note_full();
                    return self.places.acquire().await.ok();
                }
                left.await;
            }
        };
        match timeout_at(until, turn).await {
            Ok(Some(permit)) => Ok(self.place(permit, true)),
            _ => Err(self.refusal()),
        }
    }

    /// A place that nobody waits for and that leaves half of all to single recalls.
    fn free_for_others(&self) -> Option<SemaphorePermit<'_>> {
        let state = self.state();
        let has_room = state.taken_in_turn < (state.size / 2).max(1);
        let is_quiet = self.waiting.load(Relaxed) == 0;
        let permit = (has_room && is_quiet).then(|| self.places.try_acquire());
        permit?.ok()
    }

    fn place<'a>(&'a self, permit: SemaphorePermit<'a>, in_turn: bool) -> Place<'a> {
        let mut state = self.state();
        state.taken += 1;
        state.taken_in_turn += usize::from(in_turn);
        let taken = state.taken;
        state.limit.began(taken);
        drop(state);
        Place {
            admission: self,
            permit: Some(permit),
            began: Instant::now(),
            in_turn,
            whole: false,
        }
    }

    /// Notes that somebody has to wait, and returns how many places there are.
    fn note_full(&self) -> usize {
        let mut state = self.state();
        state.limit.is_full();
        state.size
    }

    fn refusal(&self) -> Error {
        let state = self.state();
        Error::Overloaded {
            under_way: state.taken,
            limit: state.size,
            again: state.limit.time(),
        }
    }

    /// Takes a place back, and what it says of how long recalls take.
    fn leave(&self, place: &mut Place<'_>) {
        let Some(permit) = place.permit.take() else {
            return;
        };
        let mut state = self.state();
        state.taken -= 1;
        state.taken_in_turn -= usize::from(place.in_turn);
        state.limit.ended(place.began, place.whole);
        let size = state.limit.get();
        self.resize(&mut state, size);
        if state.surplus > 0 {
            state.surplus -= 1;
            permit.forget();
        } else {
            drop(permit);
        }
        drop(state);
        self.left.notify_one();
    }

    fn resize(&self, state: &mut State, size: usize) {
        if size > state.size {
            let more = size - state.size;
            let kept = more.min(state.surplus);
            state.surplus -= kept;
            self.places.add_permits(more - kept);
        } else {
            state.surplus += state.size - size;
        }
        state.size = size;
        self.size.set(size as f64);
        state.surplus -= self.places.forget_permits(state.surplus);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// The recall was answered as it should be, so what it took is what recalls take.
    pub(crate) fn answered_whole(mut self) {
        self.whole = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admission.leave(self);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::{sync::Arc, time::Duration};

    use futures::future::join_all;

    use super::*;

    const WAIT: Duration = Duration::from_millis(5);

    fn soon() -> Instant {
        Instant::now() + WAIT
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_is_refused_after_a_while_and_told_how_many_there_are() {
        let admission = Admission::new(2);
        let places = (
            admission.enter(soon()).await.unwrap(),
            admission.enter(soon()).await.unwrap(),
        );
        let began = Instant::now();
        let refused = admission.enter(soon()).await.unwrap_err();
        assert_eq!(began.elapsed(), WAIT);
        let said = "2 recalls are under way, at most 2 can be answered at once";
        assert_eq!(refused.to_string(), said);
        drop(places);
        admission.enter(soon()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_place_of_who_ends() {
        let admission = Admission::new(1);
        let place = admission.enter(soon()).await.unwrap();
        let ends = async {
            tokio::time::sleep(WAIT / 2).await;
            place.answered_whole();
        };
        let (second, ()) = tokio::join!(admission.enter(soon()), ends);
        second.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_may_be_under_way() {
        let admission = Admission::new(2);
        let _places = (
            admission.enter(soon()).await.unwrap(),
            admission.enter(soon()).await.unwrap(),
        );
        let began = Instant::now();
        let enter = async || {
            let refused = admission.enter(soon()).await.is_err();
            (refused, began.elapsed())
        };
        let all = join_all((0..5).map(|_| enter())).await;
        assert!(all.iter().all(|(refused, _)| *refused));
        let waited = all.iter().filter(|(_, after)| *after == WAIT);
        assert_eq!(waited.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_leave_room_for_others_take_half_of_the_places_at_most() {
        let admission = Admission::new(4);
        let places: Vec<_> = join_all((0..2).map(|_| admission.enter_in_turn(soon()))).await;
        assert!(places.iter().all(Result::is_ok));
        assert!(admission.enter_in_turn(soon()).await.is_err());
        let singles = (admission.enter(soon()).await, admission.enter(soon()).await);
        assert!(singles.0.is_ok() && singles.1.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn while_others_wait_one_at_a_time_is_let_in_of_those_that_leave_room() {
        let admission = Admission::new(2);
        let order = Mutex::new(Vec::new());
        let recall = async |place: Place<'_>, name| {
            order.lock().unwrap().push(name);
            tokio::time::sleep(3 * WAIT).await;
            place.answered_whole();
        };
        let in_turn = async || {
            let far = Instant::now() + 1_000 * WAIT;
            recall(admission.enter_in_turn(far).await.unwrap(), "in turn").await;
        };
        // Somebody who is refused tries again at once.
        let single = async || {
            for _ in 0..20 {
                if let Ok(place) = admission.enter(soon()).await {
                    recall(place, "single").await;
                }
            }
        };
        let singles = join_all((0..4).map(|_| single()));
        let others = join_all((0..30).map(|_| in_turn()));
        tokio::join!(singles, others);
        let order = order.into_inner().unwrap();
        let single = order.iter().filter(|name| **name == "single").count();
        assert_eq!(order.len() - single, 30, "all have their turn");
        let first: Vec<_> = order.iter().take(20).collect();
        let single = first.iter().filter(|name| ***name == "single").count();
        assert!((5..=15).contains(&single), "{first:?}");
    }

    /// Offers twice what servers can do, which share one core, and counts what comes of it once that is known.
    #[tokio::test(start_paused = true)]
    async fn at_twice_what_can_be_done_as_much_is_done_and_not_late() {
        const WORK: Duration = Duration::from_millis(40);
        const RECALLS: usize = 6_000;
        let admission = Arc::new(Admission::new(1_024));
        let under_way = Arc::new(AtomicU32::new(0));
        let mut ticks = tokio::time::interval(WORK / 2);
        let mut recalls = Vec::new();
        for _ in 0..RECALLS {
            ticks.tick().await;
            let (admission, under_way) = (admission.clone(), under_way.clone());
            recalls.push(tokio::spawn(async move {
                let began = Instant::now();
                let place = admission.enter(soon()).await.ok()?;
                let sharing = Counted::new(&under_way);
                let mut done = Duration::ZERO;
                while done < WORK {
                    tokio::time::sleep(WORK / 8).await;
                    done += WORK / 8 / under_way.load(Relaxed);
                }
                drop(sharing);
                place.answered_whole();
                Some(began.elapsed())
            }));
        }
        let recalls = join_all(recalls).await.into_iter().skip(RECALLS / 5);
        let mut took: Vec<_> = recalls.filter_map(|recall| recall.unwrap()).collect();
        assert!(took.len() > RECALLS * 4 / 5 * 45 / 100, "{}", took.len());
        took.sort();
        let p99 = took[took.len() * 99 / 100];
        assert!(p99 < 16 * WORK, "{p99:?}");
    }
}
