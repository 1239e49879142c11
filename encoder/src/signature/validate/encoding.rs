//! Compares the encoding of a tensor with its source and its elements.

use crate::signature::{Dtype, Encoding, Input, Source};

const MAX_EDGES: usize = 4_096;

/// Compares the encoding with the source and the element type, and looks at its numbers.
pub(super) fn encoding(input: &Input) -> Option<String> {
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
