//! A vocabulary: the raw values of a feature, line i of its file is id i.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use encoder::features::Value;

use crate::model::error::Error;

/// Id of what fills up lists and histories.
pub const PADDING: u32 = 0;
/// Id of a value that the vocabulary does not hold.
pub const UNKNOWN: u32 = 1;
/// How many ids stand before the first value.
pub const RESERVED: usize = 2;

/// The lines of the reserved ids.
const RESERVED_LINES: [&str; RESERVED] = ["<pad>", "<unk>"];

/// Raw values by id. Ids 0 and 1 are [`PADDING`] and [`UNKNOWN`], lines `<pad>` and `<unk>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    lines: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Gives ids to values in their order.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let reserved = RESERVED_LINES.map(str::to_owned);
        Self::of_lines(reserved.into_iter().chain(values).collect())
    }

    /// Gives ids to the values of one feature, sorted.
    pub fn of_feature<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let sorted: BTreeSet<String> = values.into_iter().flat_map(texts).collect();
        Self::new(sorted)
    }

    /// Reads a vocabulary file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Ok(Self::of_lines(text.lines().map(str::to_owned).collect()))
    }

    /// Writes a vocabulary file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut text = self.lines.join("\n");
        text.push('\n');
        std::fs::write(path, text).map_err(Error::io(path))
    }

    /// The id of a raw value, [`UNKNOWN`] for one that is not here.
    pub fn id(&self, raw: &str) -> u32 {
        self.ids.get(raw).copied().unwrap_or(UNKNOWN)
    }

    /// The ids of a feature's values; none for a feature that is missing.
    pub fn ids(&self, value: Option<&Value>) -> Vec<u32> {
        value
            .map(|value| texts(value).iter().map(|raw| self.id(raw)).collect())
            .unwrap_or_default()
    }

    /// How many ids there are, the reserved ones among them.
    #[expect(
        clippy::len_without_is_empty,
        reason = "never empty: two ids are reserved"
    )]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Raw values by id.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The first value that no line of a file can hold: it breaks the line, or reads as a reserved one.
    pub(crate) fn unwritable(&self) -> Option<&str> {
        let mut values = self.lines.iter().skip(RESERVED).map(String::as_str);
        let unwritable =
            |value: &&str| value.contains(['\n', '\r']) || RESERVED_LINES.contains(value);
        values.find(unwritable)
    }

    fn of_lines(lines: Vec<String>) -> Self {
        let ids = (0..)
            .zip(&lines)
            .skip(RESERVED)
            .map(|(id, line)| (line.clone(), id))
            .collect();
        Self { lines, ids }
    }
}

/// The raw texts of a value, as they stand in vocabulary files: a whole number has no point.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Number(number) => vec![number.to_string()],
        Value::Text(text) => vec![text.clone()],
        Value::List(texts) => texts.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_vocabulary_survives_its_file() {
        let path = tempfile::tempdir().unwrap().keep().join("year.txt");
        let years = [
            Value::Number(1995.0),
            Value::List(vec!["b".into(), "a".into()]),
            Value::Text("a".into()),
        ];
        let vocabulary = Vocabulary::of_feature(&years);
        assert_eq!(vocabulary.lines(), ["<pad>", "<unk>", "1995", "a", "b"]);
        vocabulary.write(&path).unwrap();
        assert_eq!(Vocabulary::read(&path).unwrap(), vocabulary);
    }

    #[test]
    fn values_that_no_line_can_hold_are_found() {
        let unwritable = |value: &str| {
            let vocabulary = Vocabulary::new(["x".to_owned(), value.to_owned()]);
            vocabulary.unwritable().map(str::to_owned)
        };
        for value in ["a\nb", "a\r", "<pad>", "<unk>"] {
            assert_eq!(unwritable(value).as_deref(), Some(value));
        }
        assert_eq!(unwritable("<pad> and more"), None);
    }

    #[test]
    fn unseen_values_and_reserved_words_are_unknown() {
        let vocabulary = Vocabulary::new(["x".to_owned()]);
        assert_eq!(
            [
                vocabulary.id("x"),
                vocabulary.id("y"),
                vocabulary.id("<pad>")
            ],
            [2, UNKNOWN, UNKNOWN]
        );
        assert_eq!(vocabulary.ids(None), [0u32; 0]);
    }
}
