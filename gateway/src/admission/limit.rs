//! How many recalls may be under way at once, by how long they take.
//!
//! Where the servers have nothing left, more recalls at once answer no more of them, each only takes longer. So the limit follows the
//! ratio of two times: what a recall takes while as many are under way as may be, and what it takes while few are. Up to twice as long
//! is what it takes to keep all parts busy; beyond that the limit shrinks in proportion. Time with few under way is what quiet
//! moments show; where there are none, the limit is cut to a quarter for a moment now and then to see it, and at once where recalls
//! take no less for being fewer, for then it is not their number that makes them slow.
//! (The idea of TCP Vegas; the moments are those of BBR.)

use std::time::Duration;

use tokio::time::Instant;

/// Recalls at once, before anything is known.
const FIRST: f64 = 64.0;
/// How long is measured before the limit moves, and how many recalls at least.
const WINDOW: (Duration, u32) = (Duration::from_millis(100), 20);
/// How many times as long as in quiet a recall may take.
const TOLERANCE: f64 = 2.0;
/// The part of the limit that is quiet.
const QUIET: f64 = 0.25;
/// What it is multiplied by to grow until it shrank for the first time, and from then on, and at most to shrink.
const STEPS: (f64, f64, f64) = (2.0, 1.125, 0.5);
/// How much the newest quiet moment counts.
const NEWEST: f64 = 0.25;
/// What is not more than this part of something else is the same.
const NOISE: f64 = 0.1;
/// After how many windows without a quiet one that is made: soon after one that showed something new, and later.
const LOUD: (u32, u32) = (10, 50);

/// The limit, and what is known of the time that recalls take.
#[derive(Debug)]
pub(super) struct Limit {
    most: f64,
    now: f64,
    /// The limit outside of a quiet moment that was made.
    beside: Option<f64>,
    /// When it went down last: what began before tells of what was before.
    down: Instant,
    /// Seconds of a recall before it went down last, if it grew no more since.
    before: Option<f64>,
    /// Whether it shrank ever.
    shrank: bool,
    /// Seconds of a recall in quiet.
    quiet: Option<f64>,
    /// Windows since the last quiet one, and after how many one is made.
    loud: u32,
    quiet_after: u32,
    window: Window,
}

/// What was measured since it began.
#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
    seconds: f64,
    peak: usize,
    full: bool,
}

impl Limit {
    /// At most `most`.
    pub(super) fn new(most: usize) -> Self {
        let most = most as f64;
        Self {
            most,
            now: FIRST.min(most),
            beside: None,
            down: Instant::now(),
            before: None,
            shrank: false,
            quiet: None,
            loud: 0,
            quiet_after: LOUD.0,
            window: Window::new(),
        }
    }

    /// The limit.
    pub(super) fn get(&self) -> usize {
        self.now.max(1.0) as usize
    }

    /// How long a recall took lately.
    pub(super) fn time(&self) -> Duration {
        let seconds = self.window.mean().or(self.quiet);
        seconds.map_or(WINDOW.0, Duration::from_secs_f64)
    }

    /// So many are under way now.
    pub(super) fn began(&mut self, under_way: usize) {
        self.window.peak = self.window.peak.max(under_way);
    }

    /// One has to wait for the end of another.
    pub(super) fn is_full(&mut self) {
        self.window.full = true;
    }

    /// One ended that began then. One without a whole answer took at least so long: that tells nothing if it was short.
    pub(super) fn ended(&mut self, began: Instant, whole: bool) {
        let seconds = began.elapsed().as_secs_f64();
        let long = self.quiet.is_some_and(|quiet| seconds > TOLERANCE * quiet);
        if began < self.down || !(whole || long) {
            return;
        }
        self.window.count += 1;
        self.window.seconds += seconds;
        let (time, count) = WINDOW;
        if self.window.count >= count && self.window.began.elapsed() >= time {
            let window = std::mem::replace(&mut self.window, Window::new());
            self.learn(&window);
        }
    }

    fn learn(&mut self, window: &Window) {
        let Some(seconds) = window.mean() else {
            return;
        };
        if let Some(beside) = self.beside.take() {
            self.now = beside;
            self.before = None;
            self.found_quiet(seconds);
        } else if window.peak as f64 <= QUIET * self.now {
            let known = self.quiet.unwrap_or(seconds);
            self.found_quiet(known + NEWEST * (seconds - known));
        } else if window.full {
            match self.quiet {
                None => self.be_quiet(),
                Some(quiet) => self.follow(quiet, seconds),
            }
        }
    }

    /// Moves by what recalls take while as many are under way as may be.
    fn follow(&mut self, quiet: f64, seconds: f64) {
        let quiet = quiet + NEWEST * (seconds - quiet).min(0.0);
        self.quiet = Some(quiet);
        let ratio = TOLERANCE * quiet / seconds;
        let (first, up, down) = STEPS;
        self.loud += 1;
        if ratio >= 1.0 {
            let factor = if self.shrank { up } else { first };
            self.now = (self.now * factor).max(self.now + 1.0).min(self.most);
            self.before = None;
        } else if self
            .before
            .is_some_and(|before| seconds > (1.0 - NOISE) * before)
        {
            return self.be_quiet();
        } else {
            self.now = (self.now * ratio.max(down)).max(1.0);
            self.before = Some(seconds);
            self.shrank = true;
            self.down = Instant::now();
        }
        if self.loud >= self.quiet_after {
            self.be_quiet();
        }
    }

    fn found_quiet(&mut self, seconds: f64) {
        let known = self.quiet.replace(seconds);
        let is_news = known.is_none_or(|known| (seconds - known).abs() > NOISE * known);
        self.quiet_after = if is_news { LOUD.0 } else { LOUD.1 };
        self.loud = 0;
    }

    /// Makes a quiet moment.
    fn be_quiet(&mut self) {
        self.beside = Some(self.now);
        self.now *= QUIET;
        self.down = Instant::now();
    }
}

impl Window {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            count: 0,
            seconds: 0.0,
            peak: 0,
            full: false,
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.seconds / f64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers that do so many recalls at once in this time each; more share what there is.
    #[derive(Clone, Copy)]
    struct Servers {
        at_once: f64,
        seconds: f64,
    }

    impl Servers {
        /// Asks all that the limit allows of them, `wanted` at most, for so many windows.
        async fn ask(self, limit: &mut Limit, wanted: usize, windows: u32) {
            for _ in 0..windows {
                let under_way = wanted.min(limit.get());
                let share = (under_way as f64 / self.at_once).max(1.0);
                limit.began(under_way);
                if wanted > under_way {
                    limit.is_full();
                }
                let began = Instant::now();
                let took = Duration::from_secs_f64(self.seconds * share);
                tokio::time::advance(took).await;
                for _ in 1..WINDOW.1 {
                    limit.ended(began, true);
                }
                // One more closes the window.
                let left = WINDOW.0.saturating_sub(took);
                tokio::time::advance(left).await;
                limit.ended(Instant::now() - took, true);
            }
        }
    }

    /// The limit outside of quiet moments.
    fn usual(limit: &Limit) -> f64 {
        limit.beside.unwrap_or(limit.now)
    }

    #[tokio::test(start_paused = true)]
    async fn servers_are_kept_busy_and_not_much_more() {
        for at_once in [1.0, 3.0, 16.0, 300.0] {
            let servers = Servers {
                at_once,
                seconds: 0.004,
            };
            let mut limit = Limit::new(10_000);
            servers.ask(&mut limit, 100_000, 600).await;
            let mut quiet = 0;
            for _ in 0..100 {
                servers.ask(&mut limit, 100_000, 1).await;
                let bounds = at_once..=5.0 * at_once;
                assert!(bounds.contains(&usual(&limit)), "{at_once}: {limit:?}");
                quiet += usize::from(limit.beside.is_some());
            }
            assert!(quiet <= 20, "{at_once}: {quiet} windows of 100 are quiet");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_quiet_time_an_overload_is_bounded_within_a_second() {
        let servers = Servers {
            at_once: 2.0,
            seconds: 0.002,
        };
        let mut limit = Limit::new(1_024);
        servers.ask(&mut limit, 1, 20).await;
        assert_eq!(limit.get(), FIRST as usize);
        servers.ask(&mut limit, 1_000, 10).await;
        assert!(usual(&limit) <= 10.0, "{limit:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_that_comes_to_idle_servers_is_let_in_within_seconds() {
        let servers = Servers {
            at_once: 2_000.0,
            seconds: 0.05,
        };
        let mut limit = Limit::new(1_024);
        let began = Instant::now();
        while limit.get() < 1_000 {
            servers.ask(&mut limit, 1_000, 1).await;
        }
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn recalls_that_are_slow_for_another_reason_are_not_kept_out_for_long() {
        let server = |seconds| Servers {
            at_once: 100.0,
            seconds,
        };
        let mut limit = Limit::new(1_024);
        server(0.002).ask(&mut limit, 80, 100).await;
        let began = Instant::now();
        let mut kept_out = 0;
        for _ in 0..100 {
            server(0.8).ask(&mut limit, 80, 1).await;
            kept_out += usize::from(usual(&limit) < 32.0);
        }
        assert!(kept_out <= 20, "{kept_out} of 100 windows");
        assert!(
            usual(&limit) >= 80.0,
            "{limit:?} after {:?}",
            began.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_become_faster_or_slower_are_found_out() {
        let mut limit = Limit::new(1_024);
        for (at_once, seconds) in [(2.0, 0.002), (40.0, 0.02), (2.0, 0.2)] {
            let servers = Servers { at_once, seconds };
            servers.ask(&mut limit, 1_000, 600).await;
            let bounds = at_once..=5.0 * at_once;
            assert!(bounds.contains(&usual(&limit)), "{at_once}: {limit:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_less_is_never_cut() {
        let servers = Servers {
            at_once: 1.0,
            seconds: 0.05,
        };
        let mut limit = Limit::new(1_024);
        servers.ask(&mut limit, FIRST as usize, 300).await;
        assert_eq!(limit.get(), FIRST as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn recalls_that_fail_soon_say_nothing_and_those_that_fail_late_do() {
        let mut limit = Limit::new(1_024);
        let quick = Servers {
            at_once: 1_000.0,
            seconds: 0.002,
        };
        quick.ask(&mut limit, 1, 10).await;
        let known = limit.quiet;
        for _ in 0..1_000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            limit.ended(Instant::now() - Duration::from_millis(1), false);
        }
        assert_eq!((limit.window.count, limit.quiet), (0, known));
        limit.began(64);
        limit.is_full();
        for _ in 0..WINDOW.1 {
            tokio::time::advance(Duration::from_secs(1)).await;
            limit.ended(Instant::now() - Duration::from_secs(1), false);
        }
        assert!(limit.get() < FIRST as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_stays_within_its_bounds() {
        let fast = Servers {
            at_once: 1e9,
            seconds: 0.001,
        };
        let mut limit = Limit::new(100);
        for _ in 0..99 {
            fast.ask(&mut limit, 100_000, 1).await;
            assert!((1..=100).contains(&limit.get()), "{limit:?}");
        }
        assert_eq!(usual(&limit), 100.0);
        let slow = Servers {
            at_once: 1e-3,
            seconds: 0.001,
        };
        slow.ask(&mut limit, 100_000, 200).await;
        assert!((1.0..=5.0).contains(&usual(&limit)), "{limit:?}");
        assert_eq!(Limit::new(3).get(), 3);
    }
}
