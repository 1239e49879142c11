//! Compares the shape of a tensor with what its source gives a row.

use crate::signature::{Input, Signature, Source, validate::MAX_HISTORY};

const MAX_LIST: usize = 1_024;
const MAX_RANK: usize = 4;
const MAX_AXIS: usize = MAX_HISTORY;

/// Compares the shape with what the source gives a row.
pub(super) fn shape(input: &Input, signature: &Signature) -> Option<String> {
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
