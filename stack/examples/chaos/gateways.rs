//! Two gateways over the same towers are asked the same while one generation follows the other: they answer the same.

use std::{sync::Arc, time::Duration};

use proto::v1::RecallResponse;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::{
    Figure, Options,
    answers::Seen,
    figure,
    house::House,
    load::{Clients, request},
    site::Site,
};

const ITEMS: u64 = 2_000;
const GENERATIONS: u64 = 3;
/// Users that are asked for in turn.
const USERS: u64 = 200;
/// How long.
const TIME: Duration = Duration::from_secs(60);
/// The time between two swaps.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(options, ITEMS, GENERATIONS).await?;
    let house = House::start(&site, 2).await?;
    let [first, second] = [0, 1].map(|at| Clients::new(&[house.gateways[at].uri()], 1));
    let (first, second) = (first?, second?);
    let seen = Arc::new(Seen::default());
    let until = Instant::now() + TIME;

    let swapping = async {
        let mut turn = 0;
        while Instant::now() < until {
            house.serves(site.swap(turn).await?).await?;
            turn += 1;
            sleep(EVERY).await;
        }
        anyhow::Ok(turn)
    };
    let asking = async {
        let (mut differ, mut apart, mut user) = (0, 0, 0);
        while Instant::now() < until {
            let recall = request(user);
            let answers = tokio::join!(first.recall(recall.clone()), second.recall(recall));
            seen.take(user, &answers.0);
            seen.take(user, &answers.1);
            match compare(&answers.0, &answers.1) {
                Compared::Same => {}
                Compared::Apart => apart += 1,
                Compared::Different => differ += 1,
            }
            user = (user + 1) % USERS;
        }
        (differ, apart)
    };
    let (turns, (differ, apart)) = tokio::join!(swapping, asking);
    seen.print();
    println!("  {} swaps, {apart} pairs of two generations", turns?);
    Ok(vec![
        figure("two_gateways_calls", seen.calls() as f64, "1", ""),
        figure("two_gateways_failed", seen.failed() as f64, "1", "0"),
        figure("two_gateways_mixed", seen.mixed() as f64, "1", "0"),
        figure("two_gateways_differ", f64::from(differ), "1", "0"),
    ])
}

/// Two answers to the same.
enum Compared {
    Same,
    /// One gateway has seen the swap, the other has not.
    Apart,
    Different,
}

/// Compares two answers, item by item and score by score; one that is missing or not whole counts elsewhere.
fn compare(a: &Result<RecallResponse, Status>, b: &Result<RecallResponse, Status>) -> Compared {
    let (Ok(a), Ok(b)) = (a, b) else {
        return Compared::Same;
    };
    let whole = a.degraded_reasons.is_empty() && b.degraded_reasons.is_empty();
    if a.generation != b.generation {
        Compared::Apart
    } else if whole && a.candidates != b.candidates {
        Compared::Different
    } else {
        Compared::Same
    }
}
