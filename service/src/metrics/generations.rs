//! Which generations a server holds, and which of them answers, as metrics: 1 for each, 0 for those of before.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use metrics::gauge;

/// What was told last.
#[derive(Debug)]
pub struct Generations {
    server: &'static str,
    told: Mutex<BTreeSet<(String, &'static str)>>,
}

impl Generations {
    /// Those of the server `server`.
    pub fn new(server: &'static str) -> Self {
        Self {
            server,
            told: Mutex::default(),
        }
    }

    /// Tells which are held, and which answers by default.
    pub fn tell<'a>(&self, held: impl IntoIterator<Item = &'a str>, serving: Option<&str>) {
        let held = held.into_iter().map(|id| (id.to_owned(), "held"));
        let serving = serving.map(|id| (id.to_owned(), "serving"));
        let now: BTreeSet<_> = held.chain(serving).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == now {
            return;
        }
        for (generation, state) in told.union(&now) {
            let is = now.contains(&(generation.clone(), *state));
            let labels = [
                ("server", self.server.to_owned()),
                ("generation", generation.clone()),
                ("state", (*state).to_owned()),
            ];
            gauge!("twotower_generation_info", &labels).set(f64::from(u8::from(is)));
        }
        *told = now;
    }
}
