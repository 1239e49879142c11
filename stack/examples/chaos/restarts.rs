//! Every process is stopped in turn and started again under load: nobody fails.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    Figure, Options,
    answers::Seen,
    figure,
    house::{House, REFRESH},
    load::{Clients, Closed, request},
    site::Site,
};

const ITEMS: u64 = 2_000;
const CALLERS: u64 = 4;
/// How long a process must have served before the next is stopped: until the gateways have seen it.
const READY: Duration = REFRESH.saturating_mul(4);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(options, ITEMS, 1).await?;
    let mut house = House::start(&site, 2).await?;
    let seen = Arc::new(Seen::default());
    let callers = Closed::start(&Clients::new(&house.uris(), 1)?, CALLERS, &seen, request);
    let (mut restarts, mut longest) = (0, Duration::ZERO);
    for round in 1..=options.restarts {
        for server in house.servers_mut() {
            longest = longest.max(server.stop().await?);
            server.again()?;
            server.serves(site.newest()).await?;
            sleep(READY).await;
            restarts += 1;
        }
        println!(
            "  {round} rounds, {} calls, {} failed",
            seen.calls(),
            seen.failed()
        );
    }
    callers.stop().await?;
    seen.print();
    let partial = seen.partial() as f64 / seen.calls() as f64;
    Ok(vec![
        figure(
            "restarts",
            f64::from(restarts),
            "1",
            ">= 50 of each process",
        ),
        figure("restart_calls", seen.calls() as f64, "1", ""),
        figure("restart_failed", seen.failed() as f64, "1", "0"),
        figure("restart_mixed", seen.mixed() as f64, "1", "0"),
        figure("restart_partial_share", partial, "1", ""),
        figure("restart_exit_s", longest.as_secs_f64(), "s", "<= 10"),
    ])
}
