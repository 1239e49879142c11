//! Dense ids of raw values: line `i` of a vocabulary file, counted from 0, is id `i`.

mod set;

use std::collections::{HashMap, hash_map::Entry};

use crate::error::Error;

pub use crate::vocabulary::set::Vocabularies;

/// The lines of one vocabulary file.
///
/// An id looked up is always below [`len`](Vocabulary::len).
#[derive(Debug)]
pub struct Vocabulary {
    keys: Keys,
    len: u32,
}

/// A raw value looked up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Key<'a> {
    /// A category or a user's id.
    Text(&'a str),
    /// A number, by its shortest decimal text.
    Number(f64),
    /// An item's id.
    Item(u64),
}

#[derive(Debug)]
enum Keys {
    Texts(HashMap<Box<str>, u32>),
    Items(HashMap<u64, u32>),
}

impl Vocabulary {
    /// Reads a file of raw values.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] if it is empty, not UTF-8, or names a value twice.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let mut texts = HashMap::new();
        let len = each_line(file, bytes, |id, line| match texts.entry(Box::from(line)) {
            Entry::Occupied(first) => Err(twice(line, *first.get())),
            Entry::Vacant(place) => {
                place.insert(id);
                Ok(())
            }
        })?;
        Ok(Self {
            keys: Keys::Texts(texts),
            len,
        })
    }

    /// Reads a file of item ids in decimal, except for the `reserved` lines.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] as [`Vocabulary::read`], or if a line is no item id.
    pub fn read_items(file: &str, bytes: &[u8], reserved: &[u32]) -> Result<Self, Error> {
        let mut items = HashMap::new();
        let len = each_line(file, bytes, |id, line| {
            let Ok(item) = line.parse::<u64>() else {
                if reserved.contains(&id) {
                    return Ok(());
                }
                return Err(format!("{line:?} is no item id"));
            };
            match items.entry(item) {
                Entry::Occupied(first) => Err(twice(line, *first.get())),
                Entry::Vacant(place) => {
                    place.insert(id);
                    Ok(())
                }
            }
        })?;
        Ok(Self {
            keys: Keys::Items(items),
            len,
        })
    }

    /// Returns the id of a raw value; `None` if the file does not name it.
    pub fn id(&self, key: Key<'_>) -> Option<u32> {
        match (&self.keys, key) {
            (Keys::Texts(texts), Key::Text(text)) => texts.get(text).copied(),
            (Keys::Texts(texts), Key::Number(number)) => {
                texts.get(number.to_string().as_str()).copied()
            }
            (Keys::Texts(texts), Key::Item(item)) => texts.get(item.to_string().as_str()).copied(),
            (Keys::Items(items), Key::Item(item)) => items.get(&item).copied(),
            (Keys::Items(items), Key::Text(text)) => items.get(&text.parse().ok()?).copied(),
            (Keys::Items(_), Key::Number(_)) => None,
        }
    }

    /// Returns the number of ids, reserved ones included.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Returns whether there are no ids; a vocabulary that was read has one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the texts of the lowest and the highest id but the `reserved` ones; none if its lines are item ids.
    pub(crate) fn ends(&self, reserved: &[u32]) -> Vec<String> {
        let Keys::Texts(texts) = &self.keys else {
            return Vec::new();
        };
        let named = || texts.iter().map(|(text, id)| (id, text));
        let free = || named().filter(|(id, _)| !reserved.contains(id));
        let ends = [free().min(), free().max()].into_iter().flatten();
        ends.map(|(_, text)| text.to_string()).collect()
    }

    /// Returns the item ids that it names, in no order; none if it was not read as a file of item ids.
    pub fn items(&self) -> impl Iterator<Item = u64> {
        let items = match &self.keys {
            Keys::Items(items) => Some(items.keys().copied()),
            Keys::Texts(_) => None,
        };
        items.into_iter().flatten()
    }
}

/// Gives every line with its id to `take`; returns how many there were.
fn each_line(
    file: &str,
    bytes: &[u8],
    mut take: impl FnMut(u32, &str) -> Result<(), String>,
) -> Result<u32, Error> {
    let refuse = |problem: String| Error::Vocabulary {
        file: file.to_owned(),
        problem,
    };
    let text = std::str::from_utf8(bytes).map_err(|cause| refuse(cause.to_string()))?;
    let mut len = 0;
    for line in text.lines() {
        if len == i32::MAX as u32 {
            return Err(refuse(format!("more than {len} lines")));
        }
        take(len, line).map_err(|problem| refuse(format!("line {len} (from 0): {problem}")))?;
        len += 1;
    }
    if len == 0 {
        return Err(refuse("it has no line".to_owned()));
    }
    Ok(len)
}

fn twice(line: &str, first: u32) -> String {
    format!("{line:?} is line {first} already")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_line_number_is_the_id() {
        let genders = Vocabulary::read("v", b"<pad>\n<unk>\nF\nM\n").unwrap();
        assert_eq!(genders.len(), 4);
        assert_eq!(genders.id(Key::Text("M")), Some(3));
        assert_eq!(genders.id(Key::Text("m")), None);
        assert_eq!(genders.ends(&[0, 1]), ["F", "M"]);
        assert!(genders.ends(&[0, 1, 2, 3]).is_empty());
    }

    #[test]
    fn a_number_is_found_by_its_shortest_text() {
        let years = Vocabulary::read("v", b"1995\r\n4.5\r\n").unwrap();
        assert_eq!(years.id(Key::Number(1995.0)), Some(0));
        assert_eq!(years.id(Key::Number(4.5)), Some(1));
    }

    #[test]
    fn reserved_lines_of_an_item_vocabulary_are_no_items() {
        let items =
            Vocabulary::read_items("v", b"<pad>\n<unk>\n7\n18446744073709551615\n", &[0, 1])
                .unwrap();
        assert_eq!(items.id(Key::Item(7)), Some(2));
        assert_eq!(items.id(Key::Item(u64::MAX)), Some(3));
        assert_eq!(items.id(Key::Item(0)), None);
        assert_eq!(items.items().count(), 2);
    }

    #[test]
    fn bad_files_are_refused_by_line() {
        let refusal = |bytes: &[u8]| Vocabulary::read("v", bytes).unwrap_err().to_string();
        assert_eq!(
            refusal(b"a\nb\na\n"),
            "v: line 2 (from 0): \"a\" is line 0 already"
        );
        assert_eq!(refusal(b""), "v: it has no line");
        assert!(refusal(b"a\n\xff").contains("utf-8"));
        let items = Vocabulary::read_items("v", b"<pad>\nx\n", &[0]).unwrap_err();
        assert_eq!(items.to_string(), "v: line 1 (from 0): \"x\" is no item id");
    }
}
