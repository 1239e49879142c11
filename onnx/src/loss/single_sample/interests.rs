//! The losses of several interests a user: by the best of them for each item, or by label-aware attention.

use std::sync::Arc;

use candle_core::{Error, Result, Tensor};

use crate::kernels::best_sampled_softmax::best_sampled_softmax;
use crate::kernels::full_softmax::full_softmax;
use crate::kernels::label_aware::label_aware;
use crate::kernels::tape::Tape;
use crate::loss::single_sample::{Part, Targets, over, plain};
use crate::model::recipe::{Capsules, Choice};

/// A part's share of the step's loss; `h` is `[users * interests, d]`.
pub(super) fn loss(
    tape: &Tape,
    capsules: &Capsules,
    h: &Tensor,
    items: &Tensor,
    part: &Part,
) -> Result<Tensor> {
    let bags = part.users.events.bags();
    let active: Arc<[u32]> = bags.iter().map(|ids| capsules.active(ids.len())).collect();
    match (capsules.objective, &part.targets) {
        (Choice::LabelAware(power), targets) => {
            let positives = targets.positives(active.len());
            let user = label_aware(tape, h, items, positives, active, power)?;
            plain(tape, &user, items, part)
        }
        (Choice::Best, Targets::Sampled(candidates)) => {
            best_sampled_softmax(tape, h, items, candidates.clone(), active, part.scale)
        }
        (Choice::Best, Targets::Full(targets, watched)) => {
            let over = over(targets, watched, Some(active), part.scale);
            full_softmax(tape, h, items, over)
        }
        (Choice::Best, Targets::Shared(_)) => Err(Error::Msg(
            "the best interest is not trained with shared negatives".into(),
        )),
    }
}

impl Targets {
    /// Each user's positive, a row of the items that take part.
    fn positives(&self, users: usize) -> Vec<u32> {
        match self {
            Self::Sampled(candidates) => {
                let each = candidates.len() / users;
                candidates.iter().step_by(each).copied().collect()
            }
            Self::Shared(shared) => shared.positives.clone(),
            Self::Full(positives, _) => positives.clone(),
        }
    }
}
