//! `docs/models.md`: the text of `models.md` beside this file, with the tables in their places.

use std::{collections::BTreeSet, fs, path::Path};

use crate::bench::{
    error::Error, finished::Finished, found::Found, report::Row, standing::Kept, tables,
};

/// The text around the tables.
const TEXT: &str = include_str!("models.md");

/// Writes the page.
///
/// # Errors
/// [`Error::Io`] if it cannot be written, [`Error::File`] if the text has a place that nothing fills.
pub fn write(found: &Found, rows: &[Row], page: &Path) -> Result<(), Error> {
    let places = [
        ("dataset", each(&found.kept, dataset)),
        (
            "protocol",
            each(&found.kept, |finished| finished.protocol.clone()),
        ),
        (
            "machine",
            each(&found.kept, |finished| finished.machine.to_string()),
        ),
        ("absent", absent(found)),
        ("goals", tables::goals(found, rows)),
        ("families", tables::families(found)),
        ("ablation", tables::ablation(found)),
        ("frontier", tables::frontier(found)),
        ("pairs", tables::pairs(found)),
        ("runs", tables::runs(found)),
    ];
    let mut text = TEXT.to_owned();
    for (place, content) in places {
        text = text.replace(&format!("{{{{{place}}}}}"), content.trim_end());
    }
    if let Some(at) = text.find("{{") {
        let place = text[at..].lines().next().unwrap_or_default().to_owned();
        return Err(Error::file(page)(format!("nothing fills {place}")));
    }
    fs::write(page, text).map_err(Error::io(page))
}

fn dataset(finished: &Finished) -> String {
    format!("{} ({:.8})", finished.dataset, finished.dataset_hash)
}

/// What the results say of something, each answer once.
fn each(kept: &Kept, of: impl Fn(&Finished) -> String) -> String {
    let answers: BTreeSet<String> = kept.iter().map(|(_, finished)| of(finished)).collect();
    Vec::from_iter(answers).join("; ")
}

fn absent(found: &Found) -> String {
    let absent = found.kept.absent(&found.jobs);
    match absent.is_empty() {
        true => "nothing".to_owned(),
        false => Vec::from_iter(absent.iter().map(|job| job.id())).join(", "),
    }
}
