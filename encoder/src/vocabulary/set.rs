//! All the vocabularies that a signature names.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    error::Error,
    signature::{Encoding, Input, Signature},
    vocabulary::Vocabulary,
};

/// The vocabularies of a signature's inputs, each file read once.
///
/// The ids that the signature reserves are below the length of their vocabulary.
#[derive(Debug, Default)]
pub struct Vocabularies(BTreeMap<Place, Arc<Vocabulary>>);

/// Which vocabulary: its file, and the reserved ids if its other lines are item ids.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: String,
    items_but: Option<Vec<u32>>,
}

impl Vocabularies {
    /// Reads the files that `signature` names, whose bytes `read` gives by name.
    ///
    /// # Errors
    /// Whatever `read` gives; [`Error::Vocabulary`] if a file cannot be used, or the signature reserves an id that it
    /// does not have.
    pub fn read(
        signature: &Signature,
        mut read: impl FnMut(&str) -> Result<Vec<u8>, Error>,
    ) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        for input in signature.user.inputs.iter().chain(&signature.item.inputs) {
            let Some((place, reserved)) = place(input) else {
                continue;
            };
            let vocabulary: &mut Arc<Vocabulary> = match all.entry(place) {
                std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    let bytes = read(&free.key().file)?;
                    let file = &free.key().file;
                    let vocabulary = match &free.key().items_but {
                        Some(reserved) => Vocabulary::read_items(file, &bytes, reserved)?,
                        None => Vocabulary::read(file, &bytes)?,
                    };
                    free.insert(Arc::new(vocabulary))
                }
            };
            if let Some(id) = reserved.iter().find(|id| **id >= vocabulary.len()) {
                return Err(Error::Vocabulary {
                    file: place_of(input),
                    problem: format!(
                        "input `{}` reserves id {id}, the file ends at {}",
                        input.name,
                        vocabulary.len() - 1
                    ),
                });
            }
        }
        Ok(Self(all))
    }

    /// Returns the item ids that any of them names, in no order, one that several name as often.
    pub fn items(&self) -> impl Iterator<Item = u64> {
        self.0.values().flat_map(|vocabulary| vocabulary.items())
    }

    /// Returns the texts of the lowest and the highest id of an input's vocabulary but the reserved ones; none if it has
    /// no vocabulary, or one of items.
    pub(crate) fn ends(&self, input: &Input) -> Vec<String> {
        match place(input) {
            Some((_, reserved)) => self.of(input).ends(&reserved),
            None => Vec::new(),
        }
    }

    /// Returns the vocabulary of an input that has one.
    ///
    /// # Panics
    /// If it was not read.
    pub(crate) fn of(&self, input: &Input) -> Arc<Vocabulary> {
        let vocabulary = place(input).and_then(|(place, _)| self.0.get(&place));
        Arc::clone(vocabulary.expect("the vocabularies were read for this signature"))
    }
}

fn place(input: &Input) -> Option<(Place, Vec<u32>)> {
    let Encoding::Vocabulary {
        file,
        unknown,
        padding,
    } = &input.encoding
    else {
        return None;
    };
    let mut reserved: Vec<u32> = padding.iter().copied().chain([*unknown]).collect();
    reserved.sort_unstable();
    let place = Place {
        file: file.clone(),
        items_but: input.source.is_item().then(|| reserved.clone()),
    };
    Some((place, reserved))
}

fn place_of(input: &Input) -> String {
    place(input)
        .map(|(place, _)| place.file)
        .unwrap_or_default()
}
