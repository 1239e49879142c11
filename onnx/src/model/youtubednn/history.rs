//! From a history's events to one row for each pooling.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::kernels::add::add;
use crate::kernels::bag::{Bags, bag_sum};
use crate::kernels::history_attention::history_attention;
use crate::kernels::layer_norm::layer_norm;
use crate::kernels::pool::{Factors, Histories, Weights, pool};
use crate::kernels::relu::relu;
use crate::kernels::tape::Tape;
use crate::model::history::History;
use crate::model::init::Init;
use crate::model::recipe::{EventFeature, Transform, YouTubeDnn};
use crate::model::{Parameters, affine, parameter};

/// Histories end to end, without padding, each cut to the newest events.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    histories: Histories,
    values: Arc<[u32]>,
    gaps: Arc<[u32]>,
    weights: Arc<Weights>,
}

impl Events {
    /// Histories that lie end to end in `rows`, whose items are rows of the table that is pooled.
    pub(crate) fn new(rows: History, ends: Vec<u32>, weights: Arc<Weights>) -> Self {
        let histories = Histories {
            rows: rows.items.into(),
            ends: ends.into(),
        };
        Self {
            histories,
            values: rows.values.into(),
            gaps: rows.gaps.into(),
            weights,
        }
    }

    /// How many histories.
    pub(crate) fn len(&self) -> usize {
        self.histories.ends.len()
    }

    /// The events' rows of the item table, by history.
    pub(crate) fn bags(&self) -> Bags {
        Bags::ragged(self.histories.rows.clone(), self.histories.ends.clone())
    }

    /// The same histories over other rows.
    fn over(&self, rows: &Arc<[u32]>) -> Histories {
        Histories {
            rows: rows.clone(),
            ends: self.histories.ends.clone(),
        }
    }
}

/// First values of what the history's way needs.
pub(super) fn init(tower: &YouTubeDnn, length: usize, init: &mut Init<'_>) -> Result<()> {
    let d = tower.dim;
    match tower.history {
        Transform::Plain => {}
        Transform::Nonlinear => {
            init.affine("nonlinear.0", 2 * d, d, 0.0)?;
            init.affine("nonlinear.1", d, 2 * d, 0.0)?;
        }
        Transform::SelfAttention { heads } => {
            init.norm("self_attention.norm", d)?;
            init.affine("self_attention.qkv", 3 * d, d, 0.0)?;
            init.table("self_attention.distance", heads, 2 * length - 1, heads)?;
        }
    }
    let values = tower.value_edges.len() + 2;
    if tower.value_weights {
        init.ones("history.factor", values, 1)?;
    }
    for feature in &tower.event_features {
        match feature {
            EventFeature::Value => init.table("history.value", values, d, 1)?,
            EventFeature::Gap => init.table("history.gap", tower.gap_edges.len() + 2, d, 1)?,
        }
    }
    Ok(())
}

/// The poolings side by side `[histories, poolings * d]`.
pub(crate) fn pooled(
    tape: &Tape,
    tower: &YouTubeDnn,
    parameters: &Parameters,
    items: &Tensor,
    events: &Events,
) -> Result<Tensor> {
    let factors = match tower.value_weights {
        true => Some(Factors {
            table: parameter(parameters, "history.factor")?,
            buckets: &events.values,
        }),
        false => None,
    };
    let pool = |table: &Tensor, histories: &Histories, factors| {
        pool(tape, table, histories, &events.weights, factors)
    };
    let rows = match tower.history {
        Transform::Nonlinear => transformed(tape, parameters, items)?,
        Transform::Plain | Transform::SelfAttention { .. } => items.clone(),
    };
    let mut sum = pool(&rows, &events.histories, factors)?;
    if let Transform::SelfAttention { .. } = tower.history
        && !events.histories.rows.is_empty()
    {
        let rows = attended(tape, parameters, items, &events.histories)?;
        let own: Arc<[u32]> = (0..events.histories.rows.len() as u32).collect();
        sum = add(tape, &sum, &pool(&rows, &events.over(&own), factors)?)?;
    }
    for feature in &tower.event_features {
        let (name, rows) = match feature {
            EventFeature::Value => ("history.value", &events.values),
            EventFeature::Gap => ("history.gap", &events.gaps),
        };
        let of_feature = pool(parameter(parameters, name)?, &events.over(rows), None)?;
        sum = add(tape, &sum, &of_feature)?;
    }
    Ok(sum)
}

/// Every row of the table through the non-linear network: a history of any length costs what a batch's distinct items cost.
pub(crate) fn transformed(tape: &Tape, parameters: &Parameters, items: &Tensor) -> Result<Tensor> {
    let hidden = relu(tape, &affine(tape, parameters, "nonlinear.0", items)?)?;
    add(
        tape,
        items,
        &affine(tape, parameters, "nonlinear.1", &hidden)?,
    )
}

/// What each event takes from its history `[events, d]`.
fn attended(
    tape: &Tape,
    parameters: &Parameters,
    items: &Tensor,
    histories: &Histories,
) -> Result<Tensor> {
    let qkv = projected(tape, parameters, items)?;
    // Gathered here rather than in the attention: row 0 is the padding, which no history holds.
    let qkv = bag_sum(tape, &qkv, &Bags::single(histories.rows.clone()))?;
    let distance = parameter(parameters, "self_attention.distance")?;
    history_attention(tape, &qkv, distance, &histories.ends)
}

/// Queries, keys and values of every row of the table `[rows, 3d]`.
pub(crate) fn projected(tape: &Tape, parameters: &Parameters, items: &Tensor) -> Result<Tensor> {
    let part = |name: &str| parameter(parameters, &format!("self_attention.norm.{name}"));
    let normal = layer_norm(tape, items, part("weight")?, part("bias")?)?;
    affine(tape, parameters, "self_attention.qkv", &normal)
}
