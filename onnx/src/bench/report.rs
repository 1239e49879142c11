//! Writes figures as rows of `target/report/NAME.json`, where later runs replace rows of the same name.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

/// One measured figure, with the command that makes it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What was measured, e.g. `hr10_S`.
    pub row: String,
    /// The figure.
    pub value: f64,
    /// Its unit; `1` for a share or a ratio.
    pub unit: String,
    /// What it should be, e.g. `>= 0.31`; empty when it is only told.
    pub goal: String,
    /// The command that makes it.
    pub command: String,
    /// The day, `YYYY-MM-DD`.
    pub date: String,
}

/// Merges `rows` into the report at `path`: rows of the same name are replaced, the others stay.
///
/// # Errors
/// Fails if the file cannot be read, parsed or written; the old report is kept then.
pub fn merge(path: &Path, rows: &[Row]) -> io::Result<()> {
    let mut all: Vec<Row> = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    all.retain(|old| rows.iter().all(|new| new.row != old.row));
    all.extend_from_slice(rows);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, serde_json::to_vec_pretty(&all)?)?;
    fs::rename(partial, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn row(name: &str, value: f64) -> Row {
        Row {
            row: name.to_owned(),
            value,
            unit: "1".to_owned(),
            goal: String::new(),
            command: "make demo".to_owned(),
            date: "2026-11-24".to_owned(),
        }
    }

    #[test]
    fn a_later_run_replaces_its_rows_and_keeps_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report/demo.json");
        merge(&path, &[row("hr10_S", 0.1), row("demo_minutes", 5.0)]).unwrap();
        merge(&path, &[row("hr10_S", 0.3)]).unwrap();

        let rows: Vec<Row> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(rows, [row("demo_minutes", 5.0), row("hr10_S", 0.3)]);
    }
}
