//! Finds what is wrong with a signature before any tensor is made by it.

use std::collections::BTreeSet;

use crate::{
    error::Error,
    signature::{Dtype, Encoding, FORMAT, Input, Metric, Signature, Source, Tower},
};

const MAX_DIM: usize = 4_096;
const MAX_INTERESTS: usize = 64;
const MAX_HISTORY: usize = 10_000;
const MAX_LIST: usize = 1_024;
const MAX_RANK: usize = 4;
const MAX_AXIS: usize = MAX_HISTORY;
const MAX_EDGES: usize = 4_096;

impl Signature {
    /// Reads and validates `signature.json`.
    ///
    /// # Errors
    /// [`Error::Signature`] with everything that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let signature: Self = serde_json::from_slice(json).map_err(|cause| Error::Signature {
            problems: vec![cause.to_string()],
        })?;
        let problems = signature.problems();
        if problems.is_empty() {
            Ok(signature)
        } else {
            Err(Error::Signature { problems })
        }
    }

    /// Returns what is wrong, one line each, saying where.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.format != FORMAT {
            problems.push(format!(
                "format is {}, this program reads {FORMAT}",
                self.format
            ));
        }
        within(&mut problems, "dim", self.dim, MAX_DIM);
        within(&mut problems, "interests", self.interests, MAX_INTERESTS);
        within(
            &mut problems,
            "history.length",
            self.history.length,
            MAX_HISTORY,
        );
        if self.metric == Metric::Cosine && !self.normalized {
            problems.push("metric is cosine, so the towers must give normalized rows, but normalized is false".to_owned());
        }
        tower(&mut problems, "user", &self.user, self);
        tower(&mut problems, "item", &self.item, self);
        for (name, output) in [
            ("weights", &self.item.output.weights),
            ("attention", &self.item.output.attention),
        ] {
            if output.is_some() {
                problems.push(format!(
                    "item.output.{name} is set, only the user tower has it"
                ));
            }
        }
        problems
    }
}

fn within(problems: &mut Vec<String>, what: &str, found: usize, most: usize) {
    if found == 0 || found > most {
        problems.push(format!(
            "{what} is {found}, it must be between 1 and {most}"
        ));
    }
}

fn tower(problems: &mut Vec<String>, name: &str, tower: &Tower, signature: &Signature) {
    if tower.inputs.is_empty() {
        problems.push(format!("{name}.inputs is empty"));
    }
    let mut names = BTreeSet::new();
    for input in &tower.inputs {
        let place = format!("{name}.inputs `{}`", input.name);
        if !names.insert(input.name.as_str()) {
            problems.push(format!("{place} is there twice"));
        }
        if input.source.is_of_item() != (name == "item") {
            problems.push(format!(
                "{place}: source `{}` does not belong to the {name} tower",
                input.source
            ));
        }
        for problem in shape(input, signature).into_iter().chain(encoding(input)) {
            problems.push(format!("{place}: {problem}"));
        }
    }
}

/// Compares the shape with what the source gives a row.
fn shape(input: &Input, signature: &Signature) -> Option<String> {
    let shown = || {
        format!("{:?}", input.shape)
            .replace("None", "null")
            .replace("Some(", "")
            .replace(')', "")
    };
    let bounded = |axis: &Option<usize>| axis.is_some_and(|axis| (1..=MAX_AXIS).contains(&axis));
    let dynamic_first =
        input.shape.first() == Some(&None) && input.shape.iter().skip(1).all(bounded);
    if !dynamic_first || input.shape.len() > MAX_RANK {
        return Some(format!(
            "shape {} must be null at axis 0, 1 to {MAX_AXIS} elsewhere, at most {MAX_RANK} axes",
            shown()
        ));
    }
    let length = signature.history.length;
    if input.is_item_vector() {
        let wanted = [None, Some(length), Some(signature.dim)];
        return (input.shape != wanted).then(|| {
            format!(
                "shape {} must be [null, {length}, {}]: a vector of the signature's dim for each event",
                shown(),
                signature.dim
            )
        });
    }
    let width = input.width();
    let wanted = match &input.source {
        source if source.is_per_event() => length,
        Source::User(_) | Source::Item(_) if (1..=MAX_LIST).contains(&width) => width,
        _ => 1,
    };
    (width != wanted).then(|| {
        format!(
            "shape {} holds {width} values a row, source `{}` gives {wanted}",
            shown(),
            input.source
        )
    })
}

/// Compares the encoding with the source and the element type, and looks at its numbers.
fn encoding(input: &Input) -> Option<String> {
    let source = &input.source;
    let (name, sources_fit, dtypes): (_, _, &[Dtype]) = match &input.encoding {
        Encoding::Vocabulary { .. } => (
            "vocabulary",
            is_categorical(source),
            &[Dtype::I64, Dtype::I32],
        ),
        Encoding::Hash { .. } => ("hash", is_categorical(source), &[Dtype::I64, Dtype::I32]),
        Encoding::Bucket { .. } => ("bucket", is_numeric(source), &[Dtype::I64, Dtype::I32]),
        Encoding::Numeric { .. } => ("numeric", is_numeric(source), &[Dtype::F32]),
        Encoding::Mask => (
            "mask",
            *source == Source::HistoryMask,
            &[Dtype::Bool, Dtype::F32, Dtype::I64, Dtype::I32],
        ),
        Encoding::Length => (
            "length",
            *source == Source::HistoryLength,
            &[Dtype::I64, Dtype::I32, Dtype::F32],
        ),
        Encoding::ItemVector => ("item_vector", *source == Source::HistoryItem, &[Dtype::F32]),
    };
    if !sources_fit {
        return Some(format!("encoding {name} does not fit source `{source}`"));
    }
    if !dtypes.contains(&input.dtype) {
        return Some(format!(
            "encoding {name} gives no {:?}, one of {dtypes:?} it can",
            input.dtype
        ));
    }
    numbers(input)
}

fn numbers(input: &Input) -> Option<String> {
    let may_be_padded = input.source.is_per_event() || input.width() > 1;
    match &input.encoding {
        Encoding::Vocabulary { padding: None, .. } if may_be_padded => {
            Some("rows may be padded, but the vocabulary names no padding id".to_owned())
        }
        Encoding::Vocabulary {
            unknown, padding, ..
        } if *padding == Some(*unknown) && input.source.is_per_event() => Some(format!(
            "unknown and padding are both {unknown}: an event could not be told from none"
        )),
        Encoding::Bucket { edges, offset } => {
            let ascending = edges.windows(2).all(|pair| pair[0] < pair[1])
                && edges.iter().all(|edge| edge.is_finite());
            let few = (1..=MAX_EDGES).contains(&edges.len());
            if !ascending || !few {
                return Some(format!(
                    "edges must be 1 to {MAX_EDGES} finite, ascending numbers"
                ));
            }
            let most = (i32::MAX as usize) - edges.len();
            (*offset as usize > most)
                .then(|| format!("offset is {offset}, it must be at most {most}"))
        }
        Encoding::Numeric { mean, std } if !mean.is_finite() || !std.is_finite() || *std <= 0.0 => {
            Some(format!(
                "mean {mean} and std {std} must be finite, std above 0"
            ))
        }
        Encoding::Hash {
            buckets, offset, ..
        } if *buckets == 0
            || buckets
                .checked_add(*offset)
                .is_none_or(|ids| ids > i32::MAX as u32) =>
        {
            Some(format!(
                "buckets {buckets} with offset {offset} must be between 1 and {}",
                i32::MAX
            ))
        }
        _ => None,
    }
}

fn is_categorical(source: &Source) -> bool {
    matches!(
        source,
        Source::UserId
            | Source::User(_)
            | Source::ItemId
            | Source::Item(_)
            | Source::HistoryItem
            | Source::HistoryKind
    )
}

fn is_numeric(source: &Source) -> bool {
    matches!(
        source,
        Source::User(_)
            | Source::Item(_)
            | Source::HistoryValue
            | Source::HistoryGap
            | Source::HistoryAge
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value, json};

    use super::*;

    fn sample() -> Value {
        json!({
            "format": 1, "metric": "dot", "dim": 4, "interests": 1,
            "history": {"length": 3, "side": "left", "order": "oldest_first"},
            "user": {
                "inputs": [
                    {"name": "h", "dtype": "i64", "shape": [null, 3], "source": "history.item",
                     "encoding": {"vocabulary": {"file": "vocabulary/item.id.txt", "unknown": 1, "padding": 0}}},
                    {"name": "m", "dtype": "bool", "shape": [null, 3], "source": "history.mask", "encoding": "mask"},
                ],
                "output": {"name": "user"},
            },
            "item": {
                "inputs": [
                    {"name": "y", "dtype": "i32", "shape": [null], "source": "item.year",
                     "encoding": {"bucket": {"edges": [1950.0, 2000.0], "offset": 1}}},
                ],
                "output": {"name": "item"},
            },
        })
    }

    /// Sets one place of the sample to `value` and returns what is found wrong.
    fn problems_with(place: &str, value: Value) -> String {
        let mut signature = sample();
        *signature.pointer_mut(place).unwrap() = value;
        match Signature::parse(signature.to_string().as_bytes()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    fn refused(place: &str, value: Value, words: &str) {
        let found = problems_with(place, value);
        assert!(
            found.contains(words),
            "{place}: {found:?} does not say {words:?}"
        );
    }

    #[test]
    fn a_sound_signature_is_read_and_written_alike() {
        let signature = Signature::parse(sample().to_string().as_bytes()).unwrap();
        let again = serde_json::to_vec(&signature).unwrap();
        assert_eq!(Signature::parse(&again).unwrap(), signature);
    }

    #[test]
    fn unknown_fields_and_sources_are_refused() {
        refused(
            "/history",
            json!({"length": 3, "side": "left", "order": "oldest_first", "x": 1}),
            "unknown field `x`",
        );
        refused("/item/inputs/0/source", json!("item"), "none of user.id");
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        refused("/format", json!(2), "format is 2, this program reads 1");
        refused("/dim", json!(0), "dim is 0");
        refused("/interests", json!(65), "interests is 65");
        refused("/history/length", json!(10_001), "history.length is 10001");
        refused(
            "/item/inputs/0/encoding",
            json!({"bucket": {"edges": [2.0, 1.0]}}),
            "ascending",
        );
        refused(
            "/item/inputs/0/encoding",
            json!({"bucket": {"edges": [1.0, 2.0], "offset": i32::MAX - 1}}),
            "offset is 2147483646, it must be at most 2147483645",
        );
    }

    #[test]
    fn a_shape_that_the_source_cannot_fill_is_refused() {
        refused(
            "/user/inputs/0/shape",
            json!([null, 4]),
            "shape [null, 4] holds 4 values a row, source `history.item` gives 3",
        );
        refused(
            "/user/inputs/0/shape",
            json!([1, 3]),
            "must be null at axis 0",
        );
        refused(
            "/user/inputs/0/shape",
            json!([null, 1_u64 << 32, 1_u64 << 32]),
            "1 to 10000 elsewhere",
        );
        refused(
            "/user/inputs/0/shape",
            json!([null, 0, usize::MAX]),
            "1 to 10000 elsewhere",
        );
        refused(
            "/item/inputs/0/shape",
            json!([null, 2000]),
            "holds 2000 values",
        );
    }

    #[test]
    fn item_vectors_are_one_row_of_dim_f32_for_each_event() {
        let input = |shape: Value, dtype: &str| json!({"name": "h", "dtype": dtype, "shape": shape, "source": "history.item", "encoding": "item_vector"});
        let place = "/user/inputs/0";
        assert_eq!(problems_with(place, input(json!([null, 3, 4]), "f32")), "");
        for shape in [json!([null, 3]), json!([null, 12]), json!([null, 3, 5])] {
            let words = "must be [null, 3, 4]: a vector of the signature's dim";
            refused(place, input(shape, "f32"), words);
        }
        let wrong = input(json!([null, 3, 4]), "i64");
        refused(place, wrong, "encoding item_vector gives no I64");
        refused(
            "/user/inputs/1/encoding",
            json!("item_vector"),
            "shape [null, 3] must be [null, 3, 4]",
        );
    }

    #[test]
    fn an_encoding_that_does_not_fit_is_refused() {
        refused(
            "/user/inputs/0/encoding",
            json!("mask"),
            "encoding mask does not fit source `history.item`",
        );
        refused(
            "/item/inputs/0/dtype",
            json!("f32"),
            "encoding bucket gives no F32",
        );
        refused(
            "/user/inputs/0/encoding",
            json!({"vocabulary": {"file": "v", "unknown": 1}}),
            "names no padding id",
        );
        refused(
            "/item/inputs/0/source",
            json!("user.age"),
            "does not belong to the item tower",
        );
        refused("/metric", json!("cosine"), "normalized is false");
    }
}
