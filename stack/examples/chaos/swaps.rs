//! One generation follows the other under load: nobody fails, and no answer is of two generations.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    Figure, Options,
    answers::Seen,
    figure,
    house::House,
    load::{Clients, Closed, request},
    site::Site,
    usage,
};

const ITEMS: u64 = 2_000;
/// The towers hold two generations, so with three each swap has one loaded that is not held.
const GENERATIONS: u64 = 3;
const CALLERS: u64 = 4;
/// The least time between two swaps.
const EVERY: Duration = Duration::from_millis(700);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(options, ITEMS, GENERATIONS).await?;
    let house = House::start(&site, 1).await?;
    let gateway = house.gateways[0].pid();
    let seen = Arc::new(Seen::default());
    let callers = Closed::start(&Clients::new(&house.uris(), 1)?, CALLERS, &seen, request);

    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut swaps, mut half) = (0, None);
    while swaps < options.swaps || seen.calls() < options.calls {
        ticks.tick().await;
        house.serves(site.swap(swaps).await?).await?;
        swaps += 1;
        if half.is_none() && swaps >= options.swaps / 2 && seen.calls() >= options.calls / 2 {
            half = Some((usage::memory(&gateway)?, usage::descriptors(&gateway)?));
        }
        if swaps % 50 == 0 {
            println!(
                "  {swaps} swaps, {} calls, {} failed",
                seen.calls(),
                seen.failed()
            );
        }
    }
    callers.stop().await?;
    seen.print();
    let (memory, descriptors) = (usage::memory(&gateway)?, usage::descriptors(&gateway)?);
    let (memory_half, descriptors_half) = half.unwrap_or((memory, descriptors));
    let partial = seen.partial() as f64 / seen.calls() as f64;
    Ok(vec![
        figure("swaps", swaps as f64, "1", ">= 500"),
        figure("swap_calls", seen.calls() as f64, "1", ">= 1000000"),
        figure("swap_failed", seen.failed() as f64, "1", "0"),
        figure("swap_mixed", seen.mixed() as f64, "1", "0"),
        figure("swap_partial_share", partial, "1", ""),
        figure(
            "swap_memory_growth",
            memory as f64 / memory_half as f64,
            "1",
            "<= 1.05, second half",
        ),
        figure(
            "swap_descriptors_growth",
            descriptors as f64 - descriptors_half as f64,
            "1",
            "<= 8, second half",
        ),
    ])
}
