//! The demo's figures beside their goals, and what to try next.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use onnx::{bench::report::Row, dataset::split::ItemSet};

use crate::{
    prepare::{Options, Prepared},
    print,
    served::Comparison,
};

/// What the reader of MovieLens-1M calls its dataset.
const MOVIELENS: &str = "ml-1m";

/// Makes the rows of the report. `took` is absent when an earlier run's work was used.
pub fn rows(
    options: &Options,
    prepared: &Prepared,
    compared: &Comparison,
    took: Option<Duration>,
) -> Vec<Row> {
    let generated = options.data == "generated";
    let command = match generated {
        true => "make demo".to_owned(),
        false => format!("make demo DATA={}", options.data),
    };
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[..10].to_owned();
    let row = |name: &str, value: f64, unit: &str, goal: String| Row {
        row: name.to_owned(),
        value,
        unit: unit.to_owned(),
        goal,
        command: command.clone(),
        date: date.clone(),
    };
    let figures = |model| {
        let row = prepared.evaluation.row(model, ItemSet::S, true);
        row.map(|row| row.figures)
    };
    let (popularity, transitions) = (figures("popularity"), figures("transitions"));

    let mut rows = Vec::new();
    if let (Some(default), Some(popularity), Some(transitions)) =
        (figures("artifact"), popularity, transitions)
    {
        let floor = match prepared.dataset.name.as_str() {
            MOVIELENS => ">= 0.31 and ".to_owned(),
            _ if generated => format!(">= {:.4} (2x popularity) and ", 2.0 * popularity.hr_10),
            _ => String::new(),
        };
        let goal = format!("{floor}> {:.4} (transitions)", transitions.hr_10);
        rows.push(row("hr10_S", default.hr_10, "1", goal));
        rows.push(row("ndcg10_S", default.ndcg_10, "1", String::new()));
        rows.push(row(
            "popularity_hr10_S",
            popularity.hr_10,
            "1",
            String::new(),
        ));
        rows.push(row(
            "transitions_hr10_S",
            transitions.hr_10,
            "1",
            String::new(),
        ));
    }
    rows.push(row(
        "served_equals_offline",
        compared.share(),
        "1",
        "1".to_owned(),
    ));
    if let Some(ann) = &prepared.evaluation.ann {
        rows.push(row(
            "ann_recall100",
            ann.recall_100,
            "1",
            ">= 0.99".to_owned(),
        ));
    }
    if let Some(seconds) = prepared.training.cpu_seconds {
        let goal = if prepared.dataset.name == MOVIELENS {
            "<= 15"
        } else {
            ""
        };
        rows.push(row(
            "train_cpu_minutes",
            seconds / 60.0,
            "min",
            goal.to_owned(),
        ));
    }
    if let Some(took) = took {
        let goal = if generated { "<= 6" } else { "" };
        rows.push(row(
            "demo_minutes",
            took.as_secs_f64() / 60.0,
            "min",
            goal.to_owned(),
        ));
    }
    rows
}

/// Prints the rows as a table.
pub fn print(rows: &[Row], report: &Path) {
    print::heading("Figures");
    for row in rows {
        print::line(format!(
            "  {:<22} {:>8.4} {:<4} {}",
            row.row, row.value, row.unit, row.goal
        ));
    }
    print::line(format!("  also in {}", report.display()));
}

/// Prints what a person may try next.
pub fn print_next(options: &Options, user: &str) {
    let data = match options.data.as_str() {
        "generated" => String::new(),
        data => format!(" DATA={data}"),
    };
    print::heading("What to try next");
    print::line(format!(
        "  make serve{data}          leaves it running on 127.0.0.1:50050"
    ));
    print::line(format!(
        "  make cluster{data}        the same as separate processes"
    ));
    print::line(format!(
        "  make python && .venv/bin/python examples/python/recall.py 127.0.0.1:50050 {user}"
    ));
    print::line(format!(
        "  target/release/onnx evaluate {} --data {}",
        options.work.join("artifact").display(),
        options.dataset().display()
    ));
    print::line(
        "  make demo DATA=data/ml-1m    the same on MovieLens-1M (target/release/onnx data fetch ml-1m)",
    );
}
