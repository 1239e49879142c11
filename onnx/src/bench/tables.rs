//! The tables of `docs/models.md`, in Markdown.

use std::collections::BTreeSet;

use crate::{
    bench::{
        finished::Finished,
        found::Found,
        goals,
        pairs::{BATCH, Hits, Paired},
        plan::{Figure, Tower},
        report::Row,
        serving::BATCHES,
        standing::Spread,
    },
    dataset::split::ItemSet,
};

/// What stands where there is no figure.
const NOTHING: &str = "–";

/// A heading and a table for each family of towers, the baselines in each.
pub fn families(found: &Found) -> String {
    let mut families: Vec<&str> = Vec::new();
    for tower in &found.plan.towers {
        if !families.contains(&tower.family.as_str()) {
            families.push(&tower.family);
        }
    }
    let sections = families.into_iter().map(|family| {
        let mut rows = Vec::new();
        for (set, users) in cuts(found) {
            let towers = found.towers(set);
            let towers: Vec<&Tower> = towers
                .filter(|tower| tower.family == family && tower.users == users)
                .collect();
            if !towers.is_empty() {
                let names = ["popularity", "transitions"];
                rows.extend(names.map(|name| baseline(found, name, set, users)));
                rows.extend(towers.into_iter().map(|tower| trained(found, tower, set)));
            }
        }
        let heads = [
            "tower",
            "set",
            "seeds",
            "parameters",
            "CPU-min of training",
            "HR@10",
            "NDCG@10",
            "HR@50",
            "HR@100",
            "HR@50, seen not excluded",
            "CPU us per user, batch 1 / 8 / 32",
            "user / item tower, KiB",
            "made",
        ];
        format!("### {family}\n\n{}", table(&heads, &rows))
    });
    sections.collect::<Vec<_>>().join("\n")
}

/// What each idea adds over its base, on set S.
pub fn ablation(found: &Found) -> String {
    let row = |tower: &Tower| {
        let base = tower.base.as_ref()?;
        let of = |name: &str, figure| found.figure(name, ItemSet::S, figure);
        let more = |figure| {
            let (ours, theirs) = (of(tower.name(), figure)?, of(base, figure)?);
            Some(ours.mean - theirs.mean)
        };
        let change = |figure| more(figure).map_or(NOTHING.to_owned(), |more| format!("{more:+.4}"));
        let micros = found
            .micros(tower.name(), BATCH)
            .zip(found.micros(base, BATCH));
        Some(vec![
            tower.idea.clone(),
            tower.name().to_owned(),
            base.clone(),
            share(of(tower.name(), Figure::Hr10)),
            change(Figure::Hr10),
            change(Figure::Ndcg10),
            change(Figure::Hr50),
            change(Figure::Hr100),
            micros.map_or(NOTHING.to_owned(), |(ours, theirs)| {
                format!("{:+.0}", ours - theirs)
            }),
        ])
    };
    let rows: Vec<_> = found.towers(ItemSet::S).filter_map(row).collect();
    let heads = [
        "idea",
        "tower",
        "over",
        "HR@10",
        "HR@10 more",
        "NDCG@10 more",
        "HR@50 more",
        "HR@100 more",
        "CPU us more, batch 8",
    ];
    table(&heads, &rows)
}

/// Towers by what they cost to serve, on set S; those that no cheaper one equals are marked.
pub fn frontier(found: &Found) -> String {
    let point = |tower: &Tower| {
        let hr = found.figure(tower.name(), ItemSet::S, Figure::Hr10)?;
        Some((
            found.micros(tower.name(), BATCH)?,
            hr,
            tower.name().to_owned(),
        ))
    };
    let mut points: Vec<_> = found.everybody().filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best = f64::NEG_INFINITY;
    let row = |(micros, hr, tower): (f64, Spread, String)| {
        let leads = hr.mean > best;
        best = best.max(hr.mean);
        vec![
            if leads { format!("**{tower}**") } else { tower },
            format!("{micros:.0}"),
            share(Some(hr)),
        ]
    };
    let rows: Vec<_> = points.into_iter().map(row).collect();
    table(&["tower", "CPU us per user, batch 8", "HR@10"], &rows)
}

/// Pairs of towers, user by user.
pub fn pairs(found: &Found) -> String {
    let row = |paired: &Paired, hits: &Hits| {
        let [first, second] = &paired.towers;
        let ratio =
            |[least, median, most]: [f64; 3]| format!("{median:.2} ({least:.2} to {most:.2})");
        vec![
            first.clone(),
            second.clone(),
            hits.depth.to_string(),
            hits.both.to_string(),
            hits.first_only.to_string(),
            hits.second_only.to_string(),
            hits.neither.to_string(),
            format!("{:.1e}", hits.chance()),
            paired.cpu_ratio.map_or(NOTHING.to_owned(), ratio),
            paired.date.clone(),
        ]
    };
    let rows = found.pairs.iter().flat_map(|paired| {
        let hits = paired.hits.iter();
        hits.map(move |hits| row(paired, hits))
    });
    let heads = [
        "tower",
        "over",
        "k",
        "hits of both",
        "of the first only",
        "of the second only",
        "of neither",
        "chance",
        "CPU, first over second",
        "made",
    ];
    table(&heads, &rows.collect::<Vec<_>>())
}

/// Figures beside their goals; those that are not made yet are open.
pub fn goals(found: &Found, rows: &[Row]) -> String {
    let row = |row: &Row| {
        let verdict = match goals::reaches(row.value, &row.goal) {
            _ if row.goal.is_empty() => NOTHING,
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "open",
        };
        let whole = row.value.fract() == 0.0 && row.value > 1.0;
        vec![
            format!("`{}`", row.row),
            match (whole, row.unit.as_str()) {
                (true, _) => format!("{:.0}", row.value),
                (false, "min") => format!("{:.1} min", row.value),
                (false, _) => format!("{:.4}", row.value),
            },
            row.goal.clone(),
            verdict.to_owned(),
            row.date.clone(),
        ]
    };
    let named = rows.iter().filter(|row| !row.row.contains('.'));
    let mut lines: Vec<_> = named.map(row).collect();
    let figures = found.plan.figures.iter();
    let figures = figures.map(|named| (&named.row, &named.goal));
    let pairs = found.plan.pairs.iter();
    let pairs = pairs.filter_map(|pair| Some((pair.cpu_row.as_ref()?, &pair.goal)));
    for (name, goal) in figures.chain(pairs) {
        if !rows.iter().any(|row| row.row == *name) {
            let texts = [&format!("`{name}`"), NOTHING, goal, "open", NOTHING];
            lines.push(texts.map(str::to_owned).to_vec());
        }
    }
    table(&["row", "value", "goal", "", "made"], &lines)
}

/// Every run, with what was decided on and what it cost.
pub fn runs(found: &Found) -> String {
    let row = |(job, finished): &(crate::bench::plan::Job, Finished)| {
        let test = finished.figures("artifact", true);
        let training = &finished.training;
        let id = job.id();
        vec![
            format!("[{id}](runs/{id}.json)"),
            format!("{} of {}", training.best_epoch, training.curve.len()),
            training
                .targets_per_cpu_second
                .map_or(NOTHING.to_owned(), |targets| format!("{targets:.0}")),
            format!(
                "{:.4} / {:.4}",
                finished.validation.hr_10, finished.validation.ndcg_10
            ),
            test.map_or(NOTHING.to_owned(), |test| {
                format!("{:.4} / {:.4}", test.hr_10, test.ndcg_10)
            }),
            finished
                .ann_recall_100
                .map_or(NOTHING.to_owned(), |recall| format!("{recall:.4}")),
            format!("{:.0e}", finished.parity.user.max(finished.parity.item)),
            made(&[finished]),
        ]
    };
    let rows: Vec<_> = found.kept.iter().map(row).collect();
    let heads = [
        "run",
        "best epoch",
        "targets per CPU-second",
        "validation HR@10 / NDCG@10",
        "test HR@10 / NDCG@10",
        "ANN recall@100",
        "parity",
        "made",
    ];
    table(&heads, &rows)
}

/// The item sets and users of the list, everybody first.
fn cuts(found: &Found) -> Vec<(ItemSet, Option<usize>)> {
    let users: BTreeSet<Option<usize>> = found.plan.towers.iter().map(|row| row.users).collect();
    let sets = |users| [(ItemSet::S, users), (ItemSet::R, users)];
    users.into_iter().flat_map(sets).collect()
}

fn cut(set: ItemSet, users: Option<usize>) -> String {
    match users {
        None => format!("{set:?}"),
        Some(users) => format!("{set:?}, first {users} users"),
    }
}

fn trained(found: &Found, tower: &Tower, set: ItemSet) -> Vec<String> {
    let results = found.kept.of(tower.name(), set);
    let figure = |figure| found.figure(tower.name(), set, figure);
    let number = |spread: Option<Spread>, digits: usize| {
        spread.map_or(NOTHING.to_owned(), |spread| {
            format!("{:.digits$}", spread.mean)
        })
    };
    let micros = BATCHES.map(|batch| {
        let mean = found
            .kept
            .mean(tower.name(), set, |finished| finished.micros(batch));
        number(mean, 0)
    });
    let kib = |of: fn(&Finished) -> u64| {
        let bytes = results.first().map_or(0, |finished| of(finished));
        format!("{:.0}", bytes as f64 / 1024.0)
    };
    vec![
        tower.name().to_owned(),
        cut(set, tower.users),
        results.len().to_string(),
        number(figure(Figure::Parameters), 0),
        number(figure(Figure::CpuMinutes), 1),
        share(figure(Figure::Hr10)),
        share(figure(Figure::Ndcg10)),
        share(figure(Figure::Hr50)),
        share(figure(Figure::Hr100)),
        share(figure(Figure::Hr50SeenIncluded)),
        micros.join(" / "),
        format!(
            "{} / {}",
            kib(|finished| finished.user_tower_bytes),
            kib(|finished| finished.item_tower_bytes)
        ),
        made(&results),
    ]
}

fn baseline(found: &Found, name: &str, set: ItemSet, users: Option<usize>) -> Vec<String> {
    let figure = |figure| share(found.baseline(name, set, users, figure));
    let date = found.kept.any(set, users);
    let nothing = || NOTHING.to_owned();
    vec![
        format!("*{name}*"),
        cut(set, users),
        nothing(),
        nothing(),
        nothing(),
        figure(Figure::Hr10),
        figure(Figure::Ndcg10),
        figure(Figure::Hr50),
        figure(Figure::Hr100),
        figure(Figure::Hr50SeenIncluded),
        nothing(),
        nothing(),
        date.map_or_else(nothing, |finished| finished.date.clone()),
    ]
}

/// A share of users: the mean over the seeds, and their standard deviation.
fn share(spread: Option<Spread>) -> String {
    match spread {
        None => NOTHING.to_owned(),
        Some(Spread {
            mean,
            deviation: None,
        }) => format!("{mean:.4}"),
        Some(Spread {
            mean,
            deviation: Some(deviation),
        }) => format!("{mean:.4} ± {deviation:.4}"),
    }
}

/// The days, and whether other code made it.
fn made(results: &[&Finished]) -> String {
    let words = results
        .iter()
        .flat_map(|finished| std::iter::once(finished.date.clone()).chain(finished.reused()));
    let words: BTreeSet<String> = words.collect();
    Vec::from_iter(words).join(", ")
}

/// A table, or a line that says there is nothing to show.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "Not measured.\n".to_owned();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(heads.len()));
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(&heads) + &rule + &rows
}
