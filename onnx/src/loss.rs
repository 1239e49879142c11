//! What a training step minimizes: an objective cuts examples into parts and gives each part its loss.

pub(crate) mod every_position;
pub(crate) mod single_sample;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use crate::kernels::tape::Tape;
use crate::model::Parameters;
use crate::model::attention::Drops;

/// One way to learn from the training part.
pub(crate) trait Objective: Sync {
    /// What an epoch is a list of.
    type Example: Copy;
    /// The examples of one shard, ready for the network.
    type Part: Sync;

    /// All examples of an epoch (from 0), in the order they are taken.
    fn examples(&self, epoch: usize) -> Vec<Self::Example>;

    /// Prepares a step; `number` counts the steps of the whole run.
    fn step(&mut self, examples: &[Self::Example], number: u64) -> Step<Self::Part>;

    /// A part's share of the step's loss, a scalar.
    fn loss(
        &self,
        tape: &Tape,
        parameters: &Parameters,
        part: &Self::Part,
        drops: Drops,
    ) -> Result<Tensor>;
}

/// One step: its parts, and the rows that it reads of tables that are not read whole.
#[derive(Clone, Debug)]
pub(crate) struct Step<P> {
    /// One for each shard.
    pub(crate) parts: Vec<P>,
    /// By parameter, the rows that stand in for it.
    pub(crate) rows: BTreeMap<String, Vec<u32>>,
    /// How many targets the loss is the mean over.
    pub(crate) targets: usize,
}
