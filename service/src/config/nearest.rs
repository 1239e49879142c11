//! Finds the setting that was meant by a name that is none.

use ::config::{Value, ValueKind};
use strsim::normalized_damerau_levenshtein as likeness;

use super::layers::join;

/// How like the name a setting must be, 0 to 1, to be worth naming.
const ALIKE: f64 = 0.6;

/// Returns the setting or section of `known` whose path, or whose last name, is most like that of `key`; ties go to the more alike
/// path, then to the first by name.
pub(super) fn nearest(known: &Value, key: &str) -> Option<String> {
    let mut paths = Vec::new();
    collect(known, "", &mut paths);
    let scored = paths.into_iter().map(|path| {
        let whole = likeness(&path, key);
        let score = whole.max(likeness(last(&path), last(key)));
        (score, whole, path)
    });
    scored
        .filter(|(score, ..)| *score >= ALIKE)
        .max_by(|a, b| {
            let score = a.0.total_cmp(&b.0);
            score.then(a.1.total_cmp(&b.1)).then(b.2.cmp(&a.2))
        })
        .map(|(.., path)| path)
}

fn collect(value: &Value, path: &str, paths: &mut Vec<String>) {
    let ValueKind::Table(table) = &value.kind else {
        return;
    };
    for (name, value) in table {
        let path = join(path, name);
        collect(value, &path, paths);
        paths.push(path);
    }
}

fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}
