//! The gateway among members that crash, hang, are cut off and lag behind, in time that is simulated.
//!
//! A seed decides what happens to whom and what is asked when; of things that happen at one instant the runtime chooses the first, so
//! a story told twice may differ in that.
//! `TWOTOWER_SIMULATED_SEEDS` says how many stories are told, `TWOTOWER_SIMULATED_FROM` from which seed on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "says which stories were told")]

mod network;
mod story;
mod towers;
mod truth;

use std::{env, sync::Arc, thread};

use truth::Shelf;

/// Stories told where nothing else is said.
const SEEDS: u64 = 60;

#[test]
fn whatever_befalls_the_members_no_answer_is_wrong_and_all_is_well_again_after() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = number("TWOTOWER_SIMULATED_SEEDS").unwrap_or(SEEDS);
    let from = number("TWOTOWER_SIMULATED_FROM").unwrap_or(0);
    let tellers = thread::available_parallelism().map_or(1, usize::from) as u64;
    let told = thread::scope(|scope| {
        let tellers: Vec<_> = (0..tellers)
            .map(|teller| {
                scope.spawn(move || {
                    // Of its own, for a story moves CURRENT.
                    let shelf = Arc::new(Shelf::new());
                    let mine = (from..from + seeds).skip(teller as usize);
                    let mine = mine.step_by(tellers as usize);
                    mine.map(|seed| story::tell(seed, &shelf))
                        .sum::<story::Tally>()
                })
            })
            .collect();
        let told = tellers.into_iter().map(|teller| teller.join().unwrap());
        told.sum::<story::Tally>()
    });
    println!("stories {from} to {}: {told:?}", from + seeds - 1);
    // What never happens proves nothing.
    assert!(told.whole > seeds * 20, "{told:?}");
    assert!(
        told.partial > seeds / 2 && told.popular > seeds / 4,
        "{told:?}"
    );
    assert!(told.last > seeds / 8 && told.again > seeds / 8, "{told:?}");
}
