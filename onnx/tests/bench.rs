//! The bench of the towers, over small generated data and two small recipes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use onnx::{
    bench::{error::Error, models, report::Row, serving::Effort},
    config::Models,
    dataset::generator,
};
use serde_json::Value;
use tempfile::TempDir;

const ATTENTION: &str = include_str!("../towers/quick.toml");
const YOUTUBEDNN: &str = include_str!("../towers/youtubednn-sum.toml");

const ROWS: &str = r#"
[[towers]]
recipe = "plain"
family = "Plain"
idea = "the sum"
seeds = [1, 2]
curve = true

[[towers]]
recipe = "better"
family = "Better"
idea = "attention"
base = "plain"
sets = ["S", "R"]
curve = true

[[pairs]]
of = "better"
over = "plain"
cpu_row = "better_cpu_over_plain"
goal = "<= 0.25"

[[figures]]
row = "plain_hr10_S"
tower = "plain"
figure = "hr10"
goal = ">= 0.99"

[[figures]]
row = "better_gap_hr10_S"
tower = "better"
figure = "hr10"
below = "plain"
goal = "<= plain_hr10_S"
"#;

/// A bench of its own in a directory.
struct Bench {
    dir: TempDir,
    options: Models,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let dataset = generator::generate(&generator::Options {
            seed: 5,
            users: 250,
            items: 150,
            events: 8_000,
        });
        dataset.write(&path("data")).unwrap();
        let options = Models {
            rows: path("bench.toml"),
            recipes: path("towers"),
            data: Some(path("data")),
            work: path("work"),
            docs: path("docs"),
            report: path("report/models.json"),
            only: Vec::new(),
            dry_run: false,
            tables_only: false,
        };
        fs::create_dir(&options.recipes).unwrap();
        fs::write(&options.rows, ROWS).unwrap();
        let bench = Self { dir, options };
        bench.recipe("plain", YOUTUBEDNN, "epochs = 6");
        bench.recipe("better", ATTENTION, "epochs = 20");
        bench
    }

    /// Writes a recipe of one epoch.
    fn recipe(&self, name: &str, text: &str, epochs: &str) {
        let (old, rest) = text.split_once("\nitems").unwrap();
        let (before, _) = old.rsplit_once("name").unwrap();
        let text = format!("{before}name = \"{name}\"\nitems{rest}")
            .replace(epochs, "epochs = 1")
            .replace("dim = 64", "dim = 16");
        assert!(text.contains("epochs = 1\n"), "{text}");
        fs::write(self.options.recipes.join(format!("{name}.toml")), text).unwrap();
    }

    /// Runs the bench, and returns what it told.
    fn run(&self) -> Result<Vec<String>, Error> {
        let effort = Effort {
            repeats: 2,
            cpu_seconds: 0.02,
        };
        let mut told = Vec::new();
        models::run(&self.options, effort, &mut |line| told.push(line))?;
        Ok(told)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    fn report(&self) -> Vec<Row> {
        serde_json::from_str(&self.read("report/models.json")).unwrap()
    }

    /// Writes another value into a finished row.
    fn alter(&self, run: &str, key: &str, value: Value) {
        let path = self.dir.path().join(format!("docs/runs/{run}.json"));
        let mut row: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        row[key] = value;
        fs::write(&path, row.to_string()).unwrap();
    }
}

/// The jobs that were trained.
fn trained(told: &[String]) -> Vec<&str> {
    told.iter()
        .filter_map(|line| line.strip_prefix("train ")?.split(':').next())
        .collect()
}

fn exists(bench: &Bench, path: &str) -> bool {
    Path::new(bench.dir.path()).join(path).exists()
}

#[test]
fn a_bench_trains_every_row_once_and_writes_runs_tables_figures_and_report() {
    let bench = Bench::new();
    let told = bench.run().unwrap();
    let all = [
        "plain-S-seed1",
        "plain-S-seed2",
        "better-S-seed1",
        "better-R-seed1",
    ];
    assert_eq!(trained(&told), all);

    let row: Value = serde_json::from_str(&bench.read("docs/runs/plain-S-seed1.json")).unwrap();
    assert_eq!(row["training"]["curve"].as_array().unwrap().len(), 1);
    assert_eq!(row["serving"].as_array().unwrap().len(), 3);
    assert_eq!(row["test"].as_array().unwrap().len(), 6);
    for key in ["user_tower_bytes", "item_tower_bytes", "parameters"] {
        assert!(row[key].as_u64().unwrap() > 0, "{key}");
    }

    let page = bench.read("docs/models.md");
    for expected in [
        "### Plain",
        "### Better",
        "| *transitions* | S |",
        "| better | R | 1 |",
        "**missed**",
        "±",
        "leave-one-out",
        "| attention | better | plain |",
    ] {
        assert!(page.contains(expected), "{expected} is not in\n{page}");
    }
    assert!(!page.contains("reused (") && !page.contains("Not measured.\n"));
    assert!(page.contains("**Not measured yet**: nothing."));
    assert!(bench.read("docs/figures/learning.svg").contains("plain"));
    assert!(bench.read("docs/figures/frontier.svg").contains("better"));

    let report = bench.report();
    let value = |name: &str| {
        let row = report.iter().find(|row| row.row == name);
        row.unwrap_or_else(|| panic!("{name}: {report:?}")).value
    };
    let seeds = [1, 2].map(|seed| value(&format!("hr10_S.plain.seed{seed}")));
    assert!((value("plain_hr10_S") - (seeds[0] + seeds[1]) / 2.0).abs() < 1e-12);
    assert!(value("better_cpu_over_plain") > 0.0);
    let gap = value("plain_hr10_S") - value("hr10_S.better.seed1");
    assert!((value("better_gap_hr10_S") - gap).abs() < 1e-12);

    // And once more: there is nothing left to do.
    let told = bench.run().unwrap();
    assert!(trained(&told).is_empty(), "{told:?}");
    assert_eq!(bench.read("docs/models.md"), page);
}

#[test]
fn only_a_row_whose_recipe_changed_is_trained_again() {
    let mut bench = Bench::new();
    bench.options.only = vec!["plain".to_owned()];
    let told = bench.run().unwrap();
    assert_eq!(trained(&told), ["plain-S-seed1", "plain-S-seed2"]);
    let page = bench.read("docs/models.md");
    assert!(
        page.contains("**Not measured yet**: better-S-seed1, better-R-seed1."),
        "{page}"
    );

    let text = YOUTUBEDNN.replace("rate = 0.001", "rate = 0.002");
    bench.recipe("plain", &text, "epochs = 6");
    bench.options.dry_run = true;
    let told = bench.run().unwrap();
    assert!(told[0].contains("plain-S-seed1: its recipe changed"));
    bench.options.dry_run = false;
    assert_eq!(trained(&bench.run().unwrap()), trained(&told));
    // The run that an older recipe left behind is not taken for the new one's.
    let row: Value = serde_json::from_str(&bench.read("docs/runs/plain-S-seed1.json")).unwrap();
    assert_eq!(row["recipe"]["training"]["rate"], 0.002);
}

#[test]
fn a_row_made_by_other_code_is_reused_and_says_so() {
    let mut bench = Bench::new();
    bench.options.only = vec!["plain".to_owned()];
    bench.run().unwrap();
    bench.alter("plain-S-seed2", "code", "0123456789abcdef".into());
    let told = bench.run().unwrap();
    assert!(trained(&told).is_empty(), "{told:?}");
    let label = "reused (made by code 01234567)";
    assert!(told[1].contains(label), "{told:?}");
    assert!(bench.read("docs/models.md").contains(label));
}

#[test]
fn tables_alone_need_no_data_and_make_nothing() {
    let mut bench = Bench::new();
    bench.options.tables_only = true;
    bench.options.data = None;
    let told = bench.run().unwrap();
    assert!(trained(&told).is_empty(), "{told:?}");
    assert!(bench.read("docs/models.md").contains("Not measured.\n"));
    assert!(!exists(&bench, "work"));
}

#[test]
fn a_recipe_that_is_missing_is_named() {
    let bench = Bench::new();
    fs::remove_file(bench.options.recipes.join("better.toml")).unwrap();
    let refusal = bench.run().unwrap_err().to_string();
    assert!(refusal.contains("better.toml"), "{refusal}");
}
