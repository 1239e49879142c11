//! Every TOML file of the repository is one that its program takes, and so is every setting that a document names.

use std::{fs, path::Path};

use anyhow::bail;
use onnx::{bench::plan::Plan, dataset::import, model::recipe::Recipe};
use service::{Settings as _, config};
use toml::{Table, Value};

/// The programs that have settings.
const PROGRAMS: [&str; 4] = ["gateway", "user-tower", "item-tower", "index-builder"];
/// Files that tools of others read, or our own in Python.
const OTHERS: [&str; 6] = [
    "clients/python/pyproject.toml",
    "clippy.toml",
    "deny.toml",
    "examples/faults/covered.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];
/// The same of whole folders.
const OTHERS_BELOW: [&str; 2] = ["deploy/checks/", "fuzz/"];
/// Folders of what is built, fetched or made.
const MADE: [&str; 4] = ["__pycache__", "data", "target", "var"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The paths of the repository's files below `folder` whose names have one of these ends.
fn files(folder: &str, ends: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = match folder {
            "" => name.clone(),
            folder => format!("{folder}/{name}"),
        };
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !MADE.contains(&name.as_str()) {
                found.extend(files(&path, ends));
            }
        } else if ends.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found
}

/// Reads a file as the program does whose it is.
fn read(path: &str) -> anyhow::Result<()> {
    let file = workspace().join(path);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_below = |folder: &&str| path.starts_with(*folder);
    if name == "Cargo.toml" || OTHERS.contains(&path) || OTHERS_BELOW.iter().any(is_below) {
        return Ok(());
    }
    match (folder, name) {
        ("onnx", "bench.toml") => Plan::read(&file).map(drop)?,
        ("onnx/towers" | "examples/bench-torch", _) => Recipe::read(&file).map(drop)?,
        (_, "dataset.toml") => {
            let options = import::Options::default();
            import::read(&workspace().join(folder), &options).map(drop)?;
        }
        // The sections that every server has.
        ("service", "config.toml") => settings("gateway", Some(&file)).map(drop)?,
        (program, "config.toml") => settings(program, Some(&file)).map(drop)?,
        ("deploy", _) => settings(name.trim_end_matches(".toml"), Some(&file)).map(drop)?,
        _ => bail!("nobody is known to read it"),
    }
    Ok(())
}

/// The settings of a program, checked: a file's over its defaults.
fn settings(program: &str, file: Option<&Path>) -> anyhow::Result<Table> {
    let printed = match program {
        "gateway" => {
            let defaults = gateway::config::DEFAULTS;
            config::print(&config::load::<gateway::config::Config>(
                program, defaults, file,
            )?)?
        }
        "user-tower" => {
            let defaults = user_tower::config::DEFAULTS;
            config::print(&config::load::<user_tower::config::Config>(
                program, defaults, file,
            )?)?
        }
        "item-tower" => {
            let defaults = item_tower::config::DEFAULTS;
            let mut config: item_tower::config::Config = config::layered(program, defaults, file)?;
            // Each of them is told its name by its environment.
            config.member.clone_from(&config.members[0]);
            config.validate()?;
            config::print(&config)?
        }
        "index-builder" => {
            let defaults = index_builder::config::DEFAULTS;
            let config: index_builder::config::Config = config::layered(program, defaults, file)?;
            config.validate()?;
            config::print(&config)?
        }
        _ => bail!("{program} has no settings"),
    };
    Ok(toml::from_str(&printed)?)
}

/// What a text names by the variables of a program, as paths of settings.
fn named(text: &str, program: &str) -> Vec<String> {
    let prefix = format!("{}__", program.to_uppercase().replace('-', "_"));
    let ends = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let names = text.split(&prefix).skip(1).map(|rest| {
        let name = &rest[..rest.find(ends).unwrap_or(rest.len())];
        name.trim_end_matches('_').to_lowercase().replace("__", ".")
    });
    names.filter(|name| !name.is_empty()).collect()
}

fn has(settings: &Table, path: &str) -> bool {
    let mut value = Value::Table(settings.clone());
    path.split('.').all(|key| match value.get(key).cloned() {
        Some(inner) => {
            value = inner;
            true
        }
        None => false,
    })
}

#[test]
fn every_toml_file_is_one_that_its_program_takes() {
    let paths = files("", &[".toml"]);
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        if let Err(cause) = read(&path) {
            panic!("{path}: {cause:#}");
        }
    }
    assert!(read("examples/of-nobody.toml").is_err());
}

#[test]
fn settings_that_a_document_shows_are_ones_that_a_program_takes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shown.toml");
    for path in files("", &[".md"]) {
        let text = fs::read_to_string(workspace().join(&path)).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let (block, _) = block.split_once("```").unwrap();
            fs::write(&file, block).unwrap();
            let takes = |program: &&str| settings(program, Some(&file)).is_ok();
            let is_taken = PROGRAMS.iter().any(takes);
            assert!(is_taken, "no program takes this of {path}:\n{block}");
        }
    }
}

#[test]
fn variables_that_are_named_anywhere_are_settings() {
    let known = PROGRAMS.map(|program| (program, settings(program, None).unwrap()));
    let mut count = 0;
    for path in files("", &[".md", ".py", ".yaml", ".yml", "Makefile", "cluster"]) {
        // Of what was once, too.
        if path == "CHANGELOG.md" {
            continue;
        }
        let text = fs::read_to_string(workspace().join(&path)).unwrap();
        for (program, settings) in &known {
            for setting in named(&text, program) {
                let is_known = has(settings, &setting);
                assert!(is_known, "{path}: {program} has no {setting}");
                count += 1;
            }
        }
    }
    assert!(count > 10);
}
