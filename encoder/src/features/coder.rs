//! Makes one raw value one element of a tensor.

use std::sync::Arc;

use crate::{
    features::{Value, hash::hash},
    signature::{Encoding, HashFunction, Input},
    vocabulary::{Key, Vocabularies, Vocabulary},
};

/// An encoding with its vocabulary at hand.
///
/// Elements are f64 on their way: exact for every id, and for every f32.
#[derive(Debug)]
pub(crate) enum Coder {
    /// See [`Encoding::Vocabulary`](crate::signature::Encoding::Vocabulary); both ids are below the vocabulary's length.
    Vocabulary {
        /// The ids.
        vocabulary: Arc<Vocabulary>,
        /// Where everything else goes.
        unknown: u32,
        /// Padding, never a raw value's id.
        padding: Option<u32>,
    },
    /// Counts the edges that are at most the value.
    Bucket {
        /// Ascending.
        edges: Vec<f64>,
        /// Added to the count.
        offset: u32,
    },
    /// Centres and scales.
    Numeric {
        /// Becomes 0.
        mean: f64,
        /// Becomes 1.
        std: f64,
    },
    /// Hashes the text.
    Hash {
        /// Which.
        function: HashFunction,
        /// Its seed.
        seed: u64,
        /// The modulus.
        buckets: u32,
        /// Added to the remainder.
        offset: u32,
    },
    /// 1 for anything.
    Present,
}

/// A raw value, whoever it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// None given.
    Missing,
    /// Something to look up or to reckon with.
    Is(Key<'a>),
}

impl Coder {
    /// Prepares the encoding of an input.
    ///
    /// # Panics
    /// If `vocabularies` were read for another signature.
    pub(crate) fn new(input: &Input, vocabularies: &Vocabularies) -> Self {
        match &input.encoding {
            Encoding::Vocabulary {
                unknown, padding, ..
            } => Self::Vocabulary {
                vocabulary: vocabularies.of(input),
                unknown: *unknown,
                padding: *padding,
            },
            Encoding::Bucket { edges, offset } => Self::Bucket {
                edges: edges.clone(),
                offset: *offset,
            },
            Encoding::Numeric { mean, std } => Self::Numeric {
                mean: *mean,
                std: *std,
            },
            Encoding::Hash {
                function,
                seed,
                buckets,
                offset,
            } => Self::Hash {
                function: *function,
                seed: *seed,
                buckets: *buckets,
                offset: *offset,
            },
            Encoding::Mask | Encoding::Length | Encoding::ItemVector => Self::Present,
        }
    }

    /// Returns the element of a raw value.
    pub(crate) fn code(&self, raw: Raw<'_>) -> f64 {
        match self {
            Self::Vocabulary { unknown, .. } => f64::from(self.known(raw).unwrap_or(*unknown)),
            Self::Bucket { edges, offset } => number(raw).map_or(0.0, |value| {
                (edges.partition_point(|edge| *edge <= value) + *offset as usize) as f64
            }),
            Self::Numeric { mean, std } => number(raw)
                .map(|value| f64::from(((value - mean) / std) as f32))
                .filter(|value| value.is_finite())
                .unwrap_or(0.0),
            Self::Hash {
                function,
                seed,
                buckets,
                offset,
            } => {
                let hash = with_text(raw, |text| hash(*function, *seed, text.as_bytes()));
                (hash % u64::from(*buckets)) as f64 + f64::from(*offset)
            }
            Self::Present => 1.0,
        }
    }

    /// Returns the element of padding.
    pub(crate) fn padding(&self) -> f64 {
        match self {
            Self::Vocabulary { padding, .. } => f64::from(padding.unwrap_or(0)),
            Self::Bucket { .. } | Self::Numeric { .. } | Self::Hash { .. } | Self::Present => 0.0,
        }
    }

    /// Returns whether the model can tell `raw` from what it has never seen. Only a vocabulary can say no.
    pub(crate) fn knows(&self, raw: Raw<'_>) -> bool {
        !matches!(self, Self::Vocabulary { .. }) || self.known(raw).is_some()
    }

    /// Looks `raw` up; the reserved lines are nobody's.
    fn known(&self, raw: Raw<'_>) -> Option<u32> {
        match (self, raw) {
            (
                Self::Vocabulary {
                    vocabulary,
                    unknown,
                    padding,
                },
                Raw::Is(key),
            ) => vocabulary
                .id(key)
                .filter(|id| id != unknown && Some(*id) != *padding),
            _ => None,
        }
    }
}

impl<'a> Raw<'a> {
    /// Takes the `at`-th value of a feature, from 0; a value that is no list has one.
    pub(crate) fn of(value: Option<&'a Value>, at: usize) -> Option<Self> {
        match value {
            Some(Value::List(values)) => values.get(at).map(|text| Self::Is(Key::Text(text))),
            Some(Value::Text(text)) if at == 0 => Some(Self::Is(Key::Text(text))),
            Some(Value::Number(number)) if at == 0 => Some(Self::Is(Key::Number(*number))),
            _ => None,
        }
    }
}

impl Raw<'_> {
    /// Returns whether it is a number, or a text of one.
    pub(crate) fn is_number(self) -> bool {
        number(self).is_some()
    }
}

/// Returns the value as a number, if it is one.
fn number(raw: Raw<'_>) -> Option<f64> {
    let number = match raw {
        Raw::Missing => None,
        Raw::Is(Key::Number(number)) => Some(number),
        Raw::Is(Key::Item(item)) => Some(item as f64),
        Raw::Is(Key::Text(text)) => text.trim().parse().ok(),
    };
    number.filter(|number: &f64| !number.is_nan())
}

fn with_text<T>(raw: Raw<'_>, take: impl FnOnce(&str) -> T) -> T {
    match raw {
        Raw::Missing => take(""),
        Raw::Is(Key::Text(text)) => take(text),
        Raw::Is(Key::Number(number)) => take(&number.to_string()),
        Raw::Is(Key::Item(item)) => take(&item.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn text(text: &str) -> Raw<'_> {
        Raw::Is(Key::Text(text))
    }

    #[test]
    fn the_reserved_lines_of_a_vocabulary_are_no_raw_values() {
        let coder = Coder::Vocabulary {
            vocabulary: Arc::new(Vocabulary::read("v", b"<pad>\n<unk>\nF\n").unwrap()),
            unknown: 1,
            padding: Some(0),
        };
        assert_eq!(coder.code(text("F")), 2.0);
        for unseen in [text("<pad>"), text("<unk>"), text("x"), Raw::Missing] {
            assert_eq!(coder.code(unseen), 1.0);
            assert!(!coder.knows(unseen));
        }
        assert_eq!(coder.padding(), 0.0);
    }

    #[test]
    fn a_bucket_counts_the_edges_that_are_at_most_the_value() {
        let coder = Coder::Bucket {
            edges: vec![0.0, 10.0, 100.0],
            offset: 1,
        };
        let code = |value: f64| coder.code(Raw::Is(Key::Number(value)));
        assert_eq!(
            [code(-1.0), code(0.0), code(10.0), code(99.0), code(1e300)],
            [1.0, 2.0, 3.0, 3.0, 4.0]
        );
        assert_eq!(coder.code(text("25")), 3.0);
        assert_eq!(
            [
                code(f64::NAN),
                coder.code(text("x")),
                coder.code(Raw::Missing)
            ],
            [0.0; 3]
        );
    }

    #[test]
    fn a_number_is_scaled_and_never_infinite() {
        let coder = Coder::Numeric {
            mean: 10.0,
            std: 2.0,
        };
        assert_eq!(coder.code(Raw::Is(Key::Number(13.0))), 1.5);
        assert_eq!(coder.code(Raw::Is(Key::Number(1e300))), 0.0);
        assert_eq!(coder.code(Raw::Missing), 0.0);
    }

    #[test]
    fn a_hash_stays_within_its_buckets() {
        let coder = Coder::Hash {
            function: HashFunction::Murmur3_32,
            seed: 0,
            buckets: 10,
            offset: 1,
        };
        assert_eq!(
            coder.code(text("test")),
            f64::from(0xba6b_d213_u32 % 10 + 1)
        );
        assert_eq!(coder.code(Raw::Missing), 1.0);
    }
}
