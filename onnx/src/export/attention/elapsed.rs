//! The bias by the time between two events, as a graph: seconds to buckets to scores.
//!
//! Times are running sums of the gaps in f64. A gap comes in as f32, which holds every second up to 194 days; a longer one is
//! off by a few seconds, which only moves a pair that lies as close to an edge. The bucket is the number of edges
//! 1, 2, 4, .. not above the seconds: one more than the whole part of log2(seconds + 1/2), where the half keeps the logarithm
//! of whole numbers away from the edges, and 0 seconds below them.

use encoder::messages::DataType;

use super::Builder;
use crate::{
    export::{
        error::Error,
        signature::HISTORY_SECONDS,
        weights::{number, weight},
    },
    graph::{Edge, Weight},
};

impl Builder<'_> {
    /// The bucket of the time between each position and each other, `[batch, length, length]`; what is later has bucket 0.
    pub(super) fn elapsed(&mut self) -> Edge {
        let graph = &mut self.graph;
        let gaps = graph.input_numbers(HISTORY_SECONDS, &[self.length]);
        let gaps = graph.cast(&gaps, DataType::Double);
        let times = graph.cumulative_sum(&gaps, 1);
        let queries = graph.unsqueeze(&times, &[2]);
        let keys = graph.unsqueeze(&times, &[1]);
        let seconds = graph.sub(&queries, &keys);
        let mut wide = |name: &str, value: f32| {
            let edge = graph.constant(name, &number(value));
            graph.cast(&edge, DataType::Double)
        };
        let (zero, half) = (wide("elapsed.zero", 0.0), wide("elapsed.half", 0.5));
        let (one, two) = (wide("elapsed.one", 1.0), wide("elapsed.two", 2.0));
        let most = wide("elapsed.most", self.tower.gap_edges.len() as f32);
        let seconds = graph.max(&seconds, &zero);
        let seconds = graph.add(&seconds, &half);
        let (power, base) = (graph.log(&seconds), graph.log(&two));
        let power = graph.div(&power, &base);
        let power = graph.floor(&power);
        let bucket = graph.add(&power, &one);
        let bucket = graph.min(&bucket, &most);
        graph.cast(&bucket, DataType::Int64)
    }

    /// The bias of a block's scores, `[1, batch, heads, queries, length]`.
    pub(super) fn elapsed_bias(
        &mut self,
        block: usize,
        buckets: &Edge,
        newest: bool,
    ) -> Result<Edge, Error> {
        let name = format!("block.{block}.attention.elapsed");
        let by_head = weight(self.trained, &name)?;
        let edges = by_head.shape[1];
        let by_bucket = Weight {
            shape: vec![edges, self.heads],
            values: (0..edges * self.heads)
                .map(|at| by_head.values[at % self.heads * edges + at / self.heads])
                .collect(),
        };
        let graph = &mut self.graph;
        let table = graph.constant(&name, &by_bucket);
        let bias = if newest {
            let last = graph.integers(&[self.length as i64 - 1]);
            let buckets = graph.pick(buckets, &last, 1);
            graph.gather(&table, &buckets)
        } else {
            graph.gather(&table, buckets)
        };
        let bias = graph.transpose(&bias, &[0, 3, 1, 2]);
        Ok(graph.unsqueeze(&bias, &[0]))
    }
}
