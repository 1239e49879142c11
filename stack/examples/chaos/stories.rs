//! The gateway's simulation, with as many seeds as are asked for.

use std::process::Command;

use crate::{Figure, Options, figure};

pub(crate) fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let told = Command::new(cargo)
        .args([
            "test",
            "--release",
            "--quiet",
            "-p",
            "gateway",
            "--lib",
            "--",
        ])
        .args(["simulation", "--nocapture"])
        .env("TWOTOWER_SIMULATED_SEEDS", options.seeds.to_string())
        .status()?;
    let broken = u8::from(!told.success());
    Ok(vec![
        figure("simulated_seeds", options.seeds as f64, "1", ">= 1000"),
        figure("simulated_broken", f64::from(broken), "1", "0"),
    ])
}
