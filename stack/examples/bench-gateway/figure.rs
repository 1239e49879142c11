//! One measured figure on its way into the report.

use std::time::SystemTime;

use onnx::bench::report::{self, Row};

use crate::Options;

/// A figure.
#[derive(Debug)]
pub(crate) struct Figure {
    row: String,
    value: f64,
    unit: &'static str,
    goal: String,
}

impl Figure {
    /// A figure that is only told.
    pub(crate) fn new(row: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            row: row.into(),
            value,
            unit,
            goal: String::new(),
        }
    }

    /// What it should be.
    pub(crate) fn goal(mut self, goal: impl Into<String>) -> Self {
        self.goal = goal.into();
        self
    }
}

/// Prints figures, and merges them into the report and what is kept.
pub(crate) fn keep(options: &Options, figures: Vec<Figure>) -> anyhow::Result<()> {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let row = |figure: Figure| Row {
        row: figure.row,
        value: figure.value,
        unit: figure.unit.to_owned(),
        goal: figure.goal,
        command: "make bench-gateway".to_owned(),
        date: date[..10].to_owned(),
    };
    let rows: Vec<Row> = figures.into_iter().map(row).collect();
    for row in &rows {
        println!(
            "{:<40} {:>12.3} {:<6} {}",
            row.row, row.value, row.unit, row.goal
        );
    }
    report::merge(&options.report, &rows)?;
    report::merge(&options.docs, &rows)?;
    Ok(())
}
