//! Says whether an artifact directory can be served, through the code that serves it.

mod extremes;

use std::path::Path;

use encoder::{
    artifact::{self, Artifact},
    error::Error as EncoderError,
    features::{Event, Item, User},
    gather::{Gathered, ItemVectors},
    golden,
    session::{BUCKETS, ItemEncoder, UserEncoder},
    signature::{Signature, Source},
};

use crate::export::error::Error;

/// How far a normalized row may be from length 1.
const NORM_TOLERANCE: f32 = 1e-3;
/// A text that no vocabulary names.
const UNSEEN: &str = "\u{10ffff}";

/// What is tried.
struct Towers<'a> {
    artifact: &'a Artifact,
    user: UserEncoder,
    item: ItemEncoder,
    /// The items that the model knows, ascending.
    items: Vec<u64>,
    /// Their vectors, if the user tower reads them.
    vectors: Option<Gathered>,
}

/// Returns everything that is wrong with a directory, one line each, saying what and where; none if it can be served.
pub fn check(dir: &Path) -> Vec<String> {
    findings(dir).iter().map(|finding| flat(finding)).collect()
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

/// Opens the directory, then tries what a caller may send; what comes first hides what needs it.
fn findings(dir: &Path) -> Vec<String> {
    let artifact = match Artifact::open(dir) {
        Ok(artifact) => artifact,
        Err(cause) => {
            let damage = artifact::damage(dir);
            let causes = if damage.is_empty() {
                vec![cause]
            } else {
                damage
            };
            return causes.into_iter().flat_map(lines).collect();
        }
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
    let golden = artifact.golden_findings(&user, &item);
    let mut findings: Vec<String> = golden.into_iter().flat_map(lines).collect();
    match Towers::new(&artifact, user, item) {
        Ok(towers) => {
            findings.extend(unseen(&towers));
            findings.extend(whole_vocabulary(&towers));
            findings.extend(extremes::findings(&towers));
        }
        Err(cause) => findings.extend(lines(cause)),
    }
    findings.dedup();
    findings
}

impl<'a> Towers<'a> {
    /// Finds the items that the vocabularies name. A user tower that reads item vectors gets those of these items, and of
    /// the golden ones, whose content is at hand.
    fn new(
        artifact: &'a Artifact,
        user: UserEncoder,
        item: ItemEncoder,
    ) -> Result<Self, EncoderError> {
        let mut items: Vec<u64> = artifact.vocabularies().items().collect();
        let vectors = match artifact.signature().reads_item_vectors() {
            true => {
                let named = items.iter().map(|id| bare(*id));
                let mut rows: Vec<Item> = named.collect();
                rows.extend(golden::item_rows(golden::read(artifact).iter().flatten()));
                items = rows.iter().map(|item| item.id).collect();
                Some(Gathered::embed(&rows, &item)?)
            }
            false => None,
        };
        items.sort_unstable();
        items.dedup();
        Ok(Self {
            artifact,
            user,
            item,
            items,
            vectors,
        })
    }

    /// Embeds users, whatever the tower reads.
    fn embed_users(&self, users: &[User]) -> Result<Vec<f32>, EncoderError> {
        let vectors = self
            .vectors
            .as_ref()
            .map(|vectors| vectors as &dyn ItemVectors);
        Ok(self.user.encode_with(users, vectors)?.values)
    }
}

/// Embeds an empty history and values that nobody has seen, at every batch bucket; an unseen item's vector may be zero.
fn unseen(towers: &Towers<'_>) -> Vec<String> {
    let stranger = User {
        id: UNSEEN.to_owned(),
        features: Default::default(),
        history: vec![event(u64::MAX)],
        time: None,
    };
    let nobody = bare(u64::MAX);
    let embedded = |row: &User, bucket: usize| match towers.embed_users(&vec![row.clone(); bucket])
    {
        Ok(found) => unusable(towers.artifact.signature(), "user", &found),
        Err(cause) => Some(cause.to_string()),
    };
    let first = |what: &str, problem: &dyn Fn(usize) -> Option<String>| {
        BUCKETS.into_iter().find_map(|bucket| {
            problem(bucket).map(|problem| format!("{what} at batch {bucket}: {problem}"))
        })
    };
    let found = [
        first("an empty history", &|bucket| {
            embedded(&User::default(), bucket)
        }),
        first("unseen values", &|bucket| embedded(&stranger, bucket)),
        first("an unseen item", &|bucket| {
            let embedded = towers.item.encode(&vec![nobody.clone(); bucket]);
            embedded.err().map(|cause| cause.to_string())
        }),
    ];
    found.into_iter().flatten().collect()
}

/// Embeds every item that the vocabularies name, alone and as a history: a table shorter than its vocabulary shows here.
fn whole_vocabulary(towers: &Towers<'_>) -> Vec<String> {
    let signature = towers.artifact.signature();
    let items = &towers.items;
    let mut findings = Vec::new();
    if signature.item.input(&Source::ItemId).is_some() {
        let rows: Vec<Item> = items.iter().map(|id| bare(*id)).collect();
        let problem = match towers.item.encode(&rows) {
            Ok(found) => unusable(signature, "item", &found.values),
            Err(cause) => Some(cause.to_string()),
        };
        let place = format!("the {} items of the vocabulary", items.len());
        findings.extend(problem.map(|problem| format!("{place}: {problem}")));
    }
    let histories: Vec<User> = items
        .chunks(signature.history.length)
        .map(|items| User {
            history: items.iter().map(|item| event(*item)).collect(),
            ..User::default()
        })
        .collect();
    let problem = match towers.embed_users(&histories) {
        Ok(found) => unusable(signature, "user", &found),
        Err(cause) => Some(cause.to_string()),
    };
    let place = format!("histories of all {} items of the vocabulary", items.len());
    findings.extend(problem.map(|problem| format!("{place}: {problem}")));
    findings
}

/// An item without content.
fn bare(id: u64) -> Item {
    Item {
        id,
        ..Item::default()
    }
}

/// Looks for the first vector that compares with nothing, or whose length is not 1 if it should be.
fn unusable(signature: &Signature, tower: &str, vectors: &[f32]) -> Option<String> {
    let rows = vectors.chunks(signature.dim).enumerate();
    let squares = rows.map(|(at, row)| (at, row.iter().map(|value| value * value).sum::<f32>()));
    let mut problems = squares.filter_map(|(at, square)| {
        let problem = if square == 0.0 {
            "is zero".to_owned()
        } else if !square.is_finite() {
            "is too long: its squared length is not finite".to_owned()
        } else if signature.normalized && (square.sqrt() - 1.0).abs() > NORM_TOLERANCE {
            let length = square.sqrt();
            format!("has length {length}, but signature.json says normalized")
        } else {
            return None;
        };
        Some(format!("vector {at} of the {tower} tower {problem}"))
    });
    problems.next()
}

fn event(item: u64) -> Event {
    Event {
        item,
        kind: UNSEEN.to_owned(),
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

/// Puts a finding on one line: messages of ONNX Runtime may have several.
fn flat(finding: &str) -> String {
    let parts = finding.split(['\n', '\r']).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        assert_eq!(flat("a: failed\n  at b\r\n\n"), "a: failed at b");
    }
}
