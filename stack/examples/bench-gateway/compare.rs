//! A recall beside its floor and beside the peer, in one catalog.

use std::time::Duration;

use tonic::transport::Channel;

use crate::{
    Options, calls,
    costs::{self, Round},
    figure::Figure,
    house::House,
    latency, peer,
    recalls::{self, Whom},
    site::Site,
    stage::Stage,
    truth,
};

/// The share of one core that the costlier side takes where latency is measured.
const LOAD: f64 = 0.6;
/// Items of a catalog, its name in rows, and the goals: at most so much over the floor, at least so much less than the peer.
const GOALS: [(usize, &str, &str, &str); 3] = [
    (3_700, "3k7", "<= 1.3", ">= 4"),
    (100_000, "100k", "<= 1.2", ">= 1.8"),
    (1_000_000, "1m", "<= 1.2", ">= 2"),
];

/// Something of a round.
type Part = fn(&Round) -> f64;

/// What a recall costs, what it finds and how late it comes.
pub(crate) async fn whole(site: &Site, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::set(site, options).await?;
    let rounds = costs::rounds(&stage, site, options).await?;
    let goals = GOALS.iter().find(|(items, ..)| *items == site.items());
    let (name, over_floor, over_ours) = match goals {
        Some((_, name, over_floor, over_ours)) => ((*name).to_owned(), *over_floor, *over_ours),
        None => (site.items().to_string(), "", ""),
    };
    let mut figures = told(&rounds, &name);
    figures.extend(judged(&rounds, &name, over_floor, over_ours));
    let model = if options.items.first() == Some(&site.items()) {
        site.model.clone()
    } else {
        format!("{}_{name}", site.model)
    };
    figures.push(share(&rounds, &model));
    figures.extend(found(&stage, &name).await?);
    figures.extend(late(&stage, &rounds, &name, options).await?);

    let mib = stage.house.memory()? as f64 / f64::from(1 << 20);
    figures.push(Figure::new(format!("memory_mib_{name}"), mib, "MiB"));
    let cached = cached(stage, site, options).await?;
    figures.push(Figure::new(format!("cpu_us_cached_{name}"), cached, "us"));
    Ok(figures)
}

/// What a recall costs with another model.
pub(crate) async fn model(site: &Site, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::set(site, options).await?;
    let rounds = costs::rounds(&stage, site, options).await?;
    let mut figures = told(&rounds, &site.model);
    figures.extend(judged(&rounds, &site.model, "", ""));
    figures.push(share(&rounds, &site.model));
    Ok(figures)
}

/// CPU time by server and by kind of work.
fn told(rounds: &[Round], name: &str) -> Vec<Figure> {
    let parts: [(&str, Part); 15] = [
        ("cpu_us", |round| round.ours.total()),
        ("cpu_us_gateway", |round| round.ours.gateway),
        ("cpu_us_user_tower", |round| round.ours.user_tower),
        ("cpu_us_item_towers", |round| round.ours.item_towers),
        ("floor_us", Round::floor),
        ("floor_us_session", |round| round.session),
        ("floor_us_search", |round| round.search),
        ("floor_us_rpcs", |round| round.bare.total()),
        ("floor_us_rpcs_gateway", |round| round.bare.gateway),
        ("floor_us_rpcs_user_tower", |round| round.bare.user_tower),
        ("floor_us_rpcs_item_towers", |round| round.bare.item_towers),
        ("excess_us_gateway", |round| {
            round.ours.gateway - round.bare.gateway
        }),
        ("excess_us_user_tower", |round| {
            round.ours.user_tower - round.bare.user_tower - round.session
        }),
        ("excess_us_item_towers", |round| {
            round.ours.item_towers - round.bare.item_towers - round.search
        }),
        ("python_cpu_us", Round::python),
    ];
    type Theirs = fn(peer::Cpu) -> f64;
    let theirs: [(&str, Theirs); 2] = [
        ("python_cpu_us_front", |spent| spent.front),
        ("python_cpu_us_search", |spent| spent.search),
    ];
    let parts = parts.map(|(row, part)| (row, costs::of(rounds, part)));
    let theirs = theirs.map(|(row, part)| {
        let part = |round: &Round| round.peer.map_or(f64::NAN, part);
        (row, costs::of(rounds, part))
    });
    let figures = parts.into_iter().chain(theirs);
    let figures = figures.filter(|(_, value)| value.is_finite());
    figures
        .map(|(row, value)| Figure::new(format!("{row}_{name}"), value, "us"))
        .collect()
}

/// The ratios that have goals, with the least and the greatest of the rounds.
fn judged(rounds: &[Round], name: &str, over_floor: &str, over_ours: &str) -> Vec<Figure> {
    let ratios: [(&str, &str, Part); 2] = [
        ("cpu_over_floor", over_floor, |round| {
            round.ours.total() / round.floor()
        }),
        ("python_over_ours", over_ours, |round| {
            round.python() / round.ours.total()
        }),
    ];
    let mut figures = Vec::new();
    for (row, goal, ratio) in ratios {
        let all: Vec<f64> = rounds.iter().map(ratio).collect();
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if least.is_finite() {
            let middle = costs::of(rounds, ratio);
            figures.push(Figure::new(format!("{row}_{name}"), middle, "1").goal(goal));
            figures.push(Figure::new(format!("{row}_least_{name}"), least, "1"));
            figures.push(Figure::new(format!("{row}_most_{name}"), most, "1"));
        }
    }
    figures
}

/// What of our CPU time the model alone would take.
fn share(rounds: &[Round], name: &str) -> Figure {
    let share = costs::of(rounds, |round| round.session / round.ours.total());
    Figure::new(format!("inference_share_{name}"), share, "1")
}

/// How much of what should be found both sides find.
async fn found(stage: &Stage, name: &str) -> anyhow::Result<Vec<Figure>> {
    let channel = stage.house.gateway.channel().await?;
    let mine = recall(stage, Whom::Gateway, &channel).await?;
    let mut figures = vec![Figure::new(format!("recall100_{name}"), mine, "1").goal(">= 0.99")];
    if let Some(peer) = &stage.peer {
        let theirs = recall(stage, Whom::Front, &peer.front.channel().await?).await?;
        figures.push(Figure::new(format!("python_recall100_{name}"), theirs, "1").goal(">= 0.99"));
        figures.push(Figure::new(
            format!("python_ef_search_{name}"),
            peer.effort,
            "1",
        ));
    }
    Ok(figures)
}

/// The mean recall of the answers to the first users.
async fn recall(stage: &Stage, whom: Whom, channel: &Channel) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for (user, best) in stage.users.iter().zip(&stage.best) {
        sum += truth::recall(&recalls::ask(whom, channel.clone(), user).await?, best);
    }
    Ok(sum / stage.best.len() as f64)
}

/// How late recalls come, equally many a second on both sides.
async fn late(
    stage: &Stage,
    rounds: &[Round],
    name: &str,
    options: &Options,
) -> anyhow::Result<Vec<Figure>> {
    let cost = costs::of(rounds, |round| round.ours.total().max(round.python()));
    let every = Duration::from_secs_f64(cost / 1e6 / LOAD);
    let (mine, theirs) = latency::measure(stage, every, options).await?;
    let rate = Figure::new(
        format!("open_loop_per_s_{name}"),
        1.0 / every.as_secs_f64(),
        "1/s",
    );
    let mine = Figure::new(format!("p99_ms_{name}"), mine, "ms");
    Ok(match theirs {
        None => vec![rate, mine],
        Some(theirs) => vec![
            rate,
            mine.goal(format!("< {theirs:.2}, the peer's")),
            Figure::new(format!("python_p99_ms_{name}"), theirs, "ms"),
        ],
    })
}

/// CPU microseconds of a recall where the user tower keeps vectors, as it does unless told otherwise.
async fn cached(stage: Stage, site: &Site, options: &Options) -> anyhow::Result<f64> {
    let users = stage.users;
    let item_towers = stage.house.item_towers;
    let addresses: Vec<_> = item_towers.iter().map(|tower| tower.uri.clone()).collect();
    let house = House::before(item_towers, &addresses, site, &users, &[], options).await?;
    let channel = house.gateway.channel().await?;
    let recalls = recalls::turns(Whom::Gateway, &channel, &users);
    let recalls = calls::closed(options.callers, options.calls, recalls);
    Ok(house.spent(recalls).await?.total() * 1e6 / options.calls as f64)
}
