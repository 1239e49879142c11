//! The self-attention user tower's graph; equations and parameters in [`crate::model::attention`].
//!
//! Three things differ from training, none of them in the result. The history's item rows are baked in whole, with their
//! features, so that serving looks nothing up. Positions are padded on the left to the full length, so the newest is
//! always the last. And only the newest position gives the user: the last block asks for it alone, which halves the work.

mod elapsed;

use crate::{
    export::{
        error::Error,
        signature::{HISTORY_AGE, HISTORY_GAP, HISTORY_ITEM, HISTORY_VALUE, USER},
        weights::{self, affine, norm, number, weight},
    },
    graph::{Edge, Graph, Weight},
    model::{recipe::Attention, trained::Trained},
};

/// Added to the score of a key that must not be seen: e^-60 times any weight is nothing, yet no denormal number, which
/// would slow the matrix products down.
pub(super) const HIDDEN: f32 = -60.0;

/// Builds the user tower.
pub(super) fn graph(trained: &Trained, tower: &Attention) -> Result<Graph, Error> {
    let mut builder = Builder {
        graph: Graph::new("user_tower"),
        trained,
        tower,
        dim: tower.dim,
        heads: tower.heads,
        length: trained.recipe.history,
    };
    let user = builder.build()?;
    builder.graph.output(&user, USER, &[tower.dim]);
    Ok(builder.graph)
}

struct Builder<'a> {
    graph: Graph,
    trained: &'a Trained,
    tower: &'a Attention,
    dim: usize,
    heads: usize,
    length: usize,
}

impl Builder<'_> {
    fn build(&mut self) -> Result<Edge, Error> {
        let (mut x, hidden) = self.embed()?;
        let elapsed = self.tower.time_bias.then(|| self.elapsed());
        for block in 0..self.tower.blocks {
            let last = block + 1 == self.tower.blocks;
            let branch = self.attention(block, &x, &hidden, elapsed.as_ref(), last)?;
            if last {
                x = self.newest(&x);
            }
            x = self.gated(&x, &branch, &format!("block.{block}.attention"))?;
            let branch = self.feed(block, &x)?;
            x = self.gated(&x, &branch, &format!("block.{block}.feed"))?;
        }
        if self.tower.blocks == 0 {
            x = self.newest(&x);
        }
        norm(&mut self.graph, self.trained, "norm", &x)
    }

    /// The positions' rows `[batch * length, dim]`, and what hides padding `[1, batch, 1, 1, length]`.
    fn embed(&mut self) -> Result<(Edge, Edge), Error> {
        let scale = (self.dim as f32).sqrt();
        let items = weights::of(&self.trained.item_table()?)?;
        let tables = [
            (HISTORY_ITEM, "history.item", items),
            (
                HISTORY_VALUE,
                "history.value",
                weight(self.trained, "history.value")?,
            ),
            (
                HISTORY_GAP,
                "history.gap",
                weight(self.trained, "history.gap")?,
            ),
        ];
        let graph = &mut self.graph;
        let mut rows = Vec::new();
        let mut inputs = Vec::new();
        for (input, name, table) in tables {
            let ids = graph.input_ids(input, &[self.length]);
            let table = graph.constant(name, &table.scaled(scale));
            rows.push(graph.gather(&table, &ids));
            inputs.push(ids);
        }
        let sum = graph.add(&rows[0], &rows[1]);
        let mut sum = graph.add(&sum, &rows[2]);
        if self.tower.request_time {
            let table = weight(self.trained, "history.wait")?.scaled(scale);
            let table = graph.constant("history.wait", &table);
            let ages = graph.input_ids(HISTORY_AGE, &[self.length]);
            let both = graph.concat(&[&inputs[2], &ages], 1);
            let length = self.length as i64;
            let waits: Vec<i64> = (1..length).chain([2 * length - 1]).collect();
            let waits = graph.integers(&waits);
            let waits = graph.pick(&both, &waits, 1);
            let rows = graph.gather(&table, &waits);
            sum = graph.add(&sum, &rows);
        }
        let x = graph.reshape(&sum, &[-1, self.dim as i64]);

        let padding = graph.id(0);
        let is_padding = graph.equal(&inputs[0], &padding);
        let hide = graph.constant("hide", &number(HIDDEN));
        let show = graph.constant("show", &number(0.0));
        let hidden = graph.choose(&is_padding, &hide, &show);
        Ok((x, graph.unsqueeze(&hidden, &[0, 2, 3])))
    }

    /// The attention branch of a block, of the newest position alone if `newest`.
    fn attention(
        &mut self,
        block: usize,
        x: &Edge,
        hidden: &Edge,
        elapsed: Option<&Edge>,
        newest: bool,
    ) -> Result<Edge, Error> {
        let name = |part: &str| format!("block.{block}.attention.{part}");
        let a = norm(&mut self.graph, self.trained, &name("norm"), x)?;
        let (queries, keys, values) = self.project(block, &a, newest)?;
        let bias = self
            .graph
            .constant(&name("bias"), &self.bias(block, newest)?);
        let keys = self.graph.transpose(&keys, &[0, 1, 2, 4, 3]);
        let scores = self.graph.matmul(&queries, &keys);
        let mut scores = self.graph.add(&scores, &bias);
        if let Some(elapsed) = elapsed {
            let bias = self.elapsed_bias(block, elapsed, newest)?;
            scores = self.graph.add(&scores, &bias);
        }
        let graph = &mut self.graph;
        let scores = graph.add(&scores, hidden);
        let weights = graph.softmax(&scores);
        let mixed = graph.matmul(&weights, &values);
        let mixed = if newest {
            mixed
        } else {
            graph.transpose(&mixed, &[0, 1, 3, 2, 4])
        };
        let mixed = graph.reshape(&mixed, &[-1, self.dim as i64]);
        affine(&mut self.graph, self.trained, &name("out"), &mixed)
    }

    /// Queries, keys and values, `[1, batch, heads, positions, dim / heads]`; queries already divided by the root.
    fn project(
        &mut self,
        block: usize,
        a: &Edge,
        newest: bool,
    ) -> Result<(Edge, Edge, Edge), Error> {
        let name = |part: &str| format!("block.{block}.attention.{part}");
        let (d, head) = (self.dim, self.dim / self.heads);
        let (mut weight, mut bias) = (
            weight(self.trained, &name("qkv.weight"))?,
            weight(self.trained, &name("qkv.bias"))?,
        );
        let scale = 1.0 / (head as f32).sqrt();
        weight.values[..d * d]
            .iter_mut()
            .for_each(|value| *value *= scale);
        bias.values[..d]
            .iter_mut()
            .for_each(|value| *value *= scale);
        let affine = |graph: &mut Graph, part: &str, rows: std::ops::Range<usize>, x: &Edge| {
            let weight =
                graph.constant(&name(&format!("{part}.weight")), &weight.rows(rows.clone()));
            let bias = graph.constant(&name(&format!("{part}.bias")), &bias.rows(rows));
            graph.affine(x, &weight, &bias)
        };
        let (heads, length, head) = (self.heads as i64, self.length as i64, head as i64);
        if newest {
            let last = self.newest(a);
            let queries = affine(&mut self.graph, "q", 0..d, &last);
            let queries = self.graph.reshape(&queries, &[1, -1, heads, 1, head]);
            let both = affine(&mut self.graph, "kv", d..3 * d, a);
            let both = self.graph.reshape(&both, &[-1, length, 2, heads, head]);
            let both = self.graph.transpose(&both, &[2, 0, 3, 1, 4]);
            let [keys, values] = self.graph.split(&both, 0, 1);
            return Ok((queries, keys, values));
        }
        let all = affine(&mut self.graph, "qkv", 0..3 * d, a);
        let all = self.graph.reshape(&all, &[-1, length, 3, heads, head]);
        let all = self.graph.transpose(&all, &[2, 0, 3, 1, 4]);
        let [queries, keys, values] = self.graph.split(&all, 0, 1);
        Ok((queries, keys, values))
    }

    /// The bias by distance, with what is later than the query hidden: `[heads, queries, length]`.
    fn bias(&self, block: usize, newest: bool) -> Result<Weight, Error> {
        let by_distance = weight(self.trained, &format!("block.{block}.attention.distance"))?;
        let length = self.length;
        let queries = if newest {
            length - 1..length
        } else {
            0..length
        };
        let mut values = Vec::with_capacity(self.heads * queries.len() * length);
        for head in by_distance.values.chunks_exact(length) {
            for query in queries.clone() {
                values.extend((0..length).map(|key| {
                    if key <= query {
                        head[query - key]
                    } else {
                        HIDDEN
                    }
                }));
            }
        }
        Ok(Weight {
            shape: vec![self.heads, queries.len(), length],
            values,
        })
    }

    /// The feed-forward branch of a block.
    fn feed(&mut self, block: usize, x: &Edge) -> Result<Edge, Error> {
        let name = |part: &str| format!("block.{block}.feed.{part}");
        let f = norm(&mut self.graph, self.trained, &name("norm"), x)?;
        let wide = affine(&mut self.graph, self.trained, &name("in"), &f)?;
        let [left, right] = self.graph.split(&wide, 1, 2 * self.dim);
        let gate = self.graph.sigmoid(&left);
        let left = self.graph.mul(&left, &gate);
        let product = self.graph.mul(&left, &right);
        affine(&mut self.graph, self.trained, &name("out"), &product)
    }

    /// `x + branch * sigmoid(x gate.weight' + gate.bias)`.
    fn gated(&mut self, x: &Edge, branch: &Edge, name: &str) -> Result<Edge, Error> {
        let gate = affine(&mut self.graph, self.trained, &format!("{name}.gate"), x)?;
        let gate = self.graph.sigmoid(&gate);
        let branch = self.graph.mul(branch, &gate);
        Ok(self.graph.add(x, &branch))
    }

    /// The newest position's rows: `[batch * length, dim]` to `[batch, dim]`.
    fn newest(&mut self, x: &Edge) -> Edge {
        let positions = self
            .graph
            .reshape(x, &[-1, self.length as i64, self.dim as i64]);
        let last = self.graph.id(self.length as i64 - 1);
        self.graph.pick(&positions, &last, 1)
    }
}
