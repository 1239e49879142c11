//! The gradients of one step: each part on a thread of its own with its own graph, then summed.

use std::collections::BTreeMap;
use std::thread;

use candle_core::{Device, Result, Tensor};

use crate::kernels::bag::{Bags, bag_sum};
use crate::kernels::products::Products;
use crate::kernels::tape::{self, Tape};
use crate::loss::{Objective, Step};
use crate::model::Parameters;
use crate::model::attention::{Drops, mix};

/// A step's loss and its gradients by parameter, or by the rows that stand in for one.
#[derive(Debug)]
pub(crate) struct Gradients {
    /// Mean over the step's targets.
    pub(crate) loss: f32,
    /// Shaped as the parameter, or as the rows of the step.
    pub(crate) by_name: BTreeMap<String, Tensor>,
}

/// Computes the gradients of a step by products of this kind; `seed` decides what is dropped.
pub(crate) fn of<O: Objective>(
    objective: &O,
    parameters: &Parameters,
    step: &Step<O::Part>,
    seed: u64,
    products: Products,
) -> Result<Gradients> {
    let leaves = leaves(parameters, &step.rows)?;
    let part = |index: usize| {
        let drops = Drops {
            seed: Some(mix(seed ^ index as u64)),
        };
        let tape = Tape::recording().with(products);
        of_part(objective, tape, &leaves, &step.parts[index], drops)
    };
    let parts: Vec<Result<Gradients>> = thread::scope(|scope| {
        let part = &part;
        let threads: Vec<_> = (1..step.parts.len())
            .map(|index| scope.spawn(move || part(index)))
            .collect();
        let first = std::iter::once(part(0));
        first
            .chain(
                threads
                    .into_iter()
                    .map(|t| t.join().unwrap_or_else(|e| std::panic::resume_unwind(e))),
            )
            .collect()
    });
    let mut sum = Gradients {
        loss: 0.0,
        by_name: BTreeMap::new(),
    };
    for part in parts {
        let part = part?;
        sum.loss += part.loss;
        for (name, gradient) in part.by_name {
            match sum.by_name.get(&name) {
                Some(other) => tape::add(other, &gradient)?,
                None => drop(sum.by_name.insert(name, gradient)),
            }
        }
    }
    Ok(sum)
}

fn of_part<O: Objective>(
    objective: &O,
    tape: Tape,
    leaves: &Parameters,
    part: &O::Part,
    drops: Drops,
) -> Result<Gradients> {
    let loss = objective.loss(&tape, leaves, part, drops)?;
    let mut gradients = tape.backward(&loss, Tensor::new(1.0_f32, &Device::Cpu)?)?;
    let by_name = leaves
        .iter()
        .filter_map(|(name, leaf)| Some((name.clone(), gradients.remove(&leaf.id())?)));
    Ok(Gradients {
        loss: loss.to_scalar()?,
        by_name: by_name.collect(),
    })
}

/// The parameters, with copies of the named rows in place of tables that are not read whole.
fn leaves(parameters: &Parameters, rows: &BTreeMap<String, Vec<u32>>) -> Result<Parameters> {
    let leaf = |(name, parameter): (&String, &Tensor)| -> Result<(String, Tensor)> {
        let leaf = match rows.get(name) {
            Some(rows) => bag_sum(&Tape::off(), parameter, &Bags::single(rows.clone()))?,
            None => parameter.clone(),
        };
        Ok((name.clone(), leaf))
    };
    parameters.iter().map(leaf).collect()
}
