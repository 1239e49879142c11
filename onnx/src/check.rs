//! Says whether an artifact directory can be served, through the code that serves it.

use std::path::Path;

use encoder::{
    artifact::Artifact,
    error::Error as EncoderError,
    features::{Event, Item, User},
    golden,
    session::{BUCKETS, ItemEncoder, UserEncoder},
    signature::Source,
};

use crate::export::error::Error;

/// How far a normalized row may be from length 1.
const NORM_TOLERANCE: f32 = 1e-3;

/// Returns everything that is wrong with a directory, one line each, saying what and where; none if it can be served.
pub fn check(dir: &Path) -> Vec<String> {
    let artifact = match Artifact::open(dir) {
        Ok(artifact) => artifact,
        Err(cause) => return lines(cause),
    };
    let towers = (
        UserEncoder::open(&artifact, 1),
        ItemEncoder::open(&artifact, 1),
    );
    let (user, item) = match towers {
        (Ok(user), Ok(item)) => (user, item),
        (user, item) => {
            let causes = [user.err(), item.err()].into_iter().flatten();
            let mut findings: Vec<String> = causes.flat_map(lines).collect();
            findings.dedup();
            return findings;
        }
    };
    let mut findings = Vec::new();
    if let Err(cause) = artifact.check_golden(&user, &item) {
        findings.extend(lines(cause));
    }
    findings.extend(unseen(&user, &item));
    findings.extend(whole_vocabulary(&artifact, &user, &item));
    findings
}

/// Refuses a directory that cannot be served; `name` is what it is called.
///
/// # Errors
/// [`Error::Unservable`] with all findings.
pub(crate) fn servable(dir: &Path, name: &Path) -> Result<(), Error> {
    match check(dir) {
        findings if findings.is_empty() => Ok(()),
        findings => Err(Error::Unservable {
            dir: name.to_owned(),
            findings,
        }),
    }
}

/// Embeds an empty history and values that nobody has seen, at every batch bucket.
fn unseen(user: &UserEncoder, item: &ItemEncoder) -> Vec<String> {
    let stranger = User {
        id: "\u{10ffff}".to_owned(),
        features: Default::default(),
        history: vec![event(u64::MAX)],
    };
    let mut findings = Vec::new();
    for bucket in BUCKETS {
        for (what, row) in [
            ("an empty history", &User::default()),
            ("unseen values", &stranger),
        ] {
            if let Err(cause) = user.encode(&vec![row.clone(); bucket]) {
                findings.push(format!("{what} at batch {bucket}: {cause}"));
            }
        }
        let nobody = Item {
            id: u64::MAX,
            ..Item::default()
        };
        if let Err(cause) = item.encode(&vec![nobody; bucket]) {
            findings.push(format!("an unseen item at batch {bucket}: {cause}"));
        }
    }
    findings
}

/// Embeds every item that the vocabularies name, alone and as a history: a table shorter than its vocabulary shows here.
fn whole_vocabulary(artifact: &Artifact, user: &UserEncoder, item: &ItemEncoder) -> Vec<String> {
    let signature = artifact.signature();
    let mut findings = Vec::new();
    let mut items: Vec<u64> = artifact.vocabularies().items().collect();
    items.sort_unstable();
    items.dedup();
    if signature.item.input(&Source::ItemId).is_some() {
        let rows: Vec<Item> = items
            .iter()
            .map(|id| Item {
                id: *id,
                ..Item::default()
            })
            .collect();
        match item.encode(&rows) {
            Ok(found) => findings.extend(norms(signature.normalized, "item", found.rows())),
            Err(cause) => findings.push(format!(
                "the {} items of the vocabulary: {cause}",
                items.len()
            )),
        }
    }
    let histories: Vec<User> = items
        .chunks(signature.history.length)
        .map(|items| User {
            history: items.iter().map(|item| event(*item)).collect(),
            ..User::default()
        })
        .collect();
    match user.encode(&histories) {
        Ok(found) => findings.extend(norms(
            signature.normalized,
            "user",
            found.values.chunks(signature.dim),
        )),
        Err(cause) => findings.push(format!(
            "histories of all {} items of the vocabulary: {cause}",
            items.len()
        )),
    }
    findings
}

/// Looks for the first row whose length is not 1, if they all should be.
fn norms<'a>(
    normalized: bool,
    tower: &str,
    rows: impl Iterator<Item = &'a [f32]>,
) -> Option<String> {
    let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
    let mut lengths = rows.map(length).enumerate().filter(|_| normalized);
    let (at, length) = lengths.find(|(_, length)| (length - 1.0).abs() > NORM_TOLERANCE)?;
    Some(format!(
        "signature.json: normalized is true, but row {at} of the {tower} tower has length {length}"
    ))
}

fn event(item: u64) -> Event {
    Event {
        item,
        kind: "\u{10ffff}".to_owned(),
        value: 0.0,
        time: 0,
    }
}

/// Takes an error apart into one line a problem.
fn lines(cause: EncoderError) -> Vec<String> {
    let with = |place: &str, problems: Vec<String>| {
        problems
            .into_iter()
            .map(|problem| format!("{place}: {problem}"))
            .collect()
    };
    match cause {
        EncoderError::Signature { problems } => with("signature.json", problems),
        EncoderError::Model { file, problems } => with(&file, problems),
        EncoderError::Golden { problem } => vec![format!("{}: {problem}", golden::RAW)],
        other => vec![other.to_string()],
    }
}
