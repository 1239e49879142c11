//! The history's part of the graph: from ids to one row for each pooling, all poolings as one matrix product.

use crate::{
    export::{
        attention::HIDDEN,
        error::Error,
        signature::{HISTORY_GAP, HISTORY_ITEM, HISTORY_VALUE},
        weights::{self, weight},
    },
    graph::{Edge, Graph, Weight},
    kernels::tape::Tape,
    model::{
        recipe::{EventFeature, Transform, YouTubeDnn},
        trained::Trained,
        vocabulary::PADDING,
        youtubednn,
    },
};

/// Adds the inputs of the history and the poolings `[batch, poolings * d]`.
pub(super) fn pooled(
    graph: &mut Graph,
    trained: &Trained,
    tower: &YouTubeDnn,
) -> Result<Edge, Error> {
    let length = trained.recipe.history;
    let ids = graph.input_ids(HISTORY_ITEM, &[length]);
    let padding = graph.id(i64::from(PADDING));
    let is_padding = graph.equal(&ids, &padding);
    let mut history = History {
        graph,
        trained,
        tower,
        length,
        ids,
        is_padding,
    };
    let rows = history.rows()?;
    Ok(history.pool(&rows))
}

struct History<'a> {
    graph: &'a mut Graph,
    trained: &'a Trained,
    tower: &'a YouTubeDnn,
    length: usize,
    /// `[batch, length]`, padded on the left.
    ids: Edge,
    is_padding: Edge,
}

impl History<'_> {
    /// What is pooled of every position `[batch, length, d]`; nothing but zeros where padding is.
    fn rows(&mut self) -> Result<Edge, Error> {
        let table = self.item_rows()?;
        let table = self.graph.constant("history.item", &table);
        let mut rows = self.graph.gather(&table, &self.ids);
        if let Transform::SelfAttention { heads } = self.tower.history {
            let attended = self.attended(heads)?;
            rows = self.graph.add(&rows, &attended);
        }
        let values = self.tower.reads_values().then(|| self.input(HISTORY_VALUE));
        let gaps = self.tower.reads_gaps().then(|| self.input(HISTORY_GAP));
        if let (true, Some(values)) = (self.tower.value_weights, &values) {
            let factors = self.looked_up("history.factor", values)?;
            rows = self.graph.mul(&rows, &factors);
        }
        for feature in &self.tower.event_features {
            let (name, ids) = match feature {
                EventFeature::Value => ("history.value", &values),
                EventFeature::Gap => ("history.gap", &gaps),
            };
            if let Some(ids) = ids {
                let of_feature = self.looked_up(name, ids)?;
                rows = self.graph.add(&rows, &of_feature);
            }
        }
        Ok(rows)
    }

    fn input(&mut self, name: &str) -> Edge {
        self.graph.input_ids(name, &[self.length])
    }

    fn looked_up(&mut self, name: &str, ids: &Edge) -> Result<Edge, Error> {
        let table = self.graph.constant(name, &weight(self.trained, name)?);
        Ok(self.graph.gather(&table, ids))
    }

    /// The item table as it is pooled, the row of padding all zeros.
    fn item_rows(&self) -> Result<Weight, Error> {
        let mut items = self.trained.item_table()?;
        if let Transform::Nonlinear = self.tower.history {
            items = youtubednn::transformed(&Tape::off(), &self.trained.parameters, &items)?;
        }
        let mut table = weights::of(&items)?;
        table.values[..self.tower.dim].fill(0.0);
        Ok(table)
    }

    /// What every position takes from the others `[batch, length, d]`, zeros where padding is.
    fn attended(&mut self, heads: usize) -> Result<Edge, Error> {
        let (length, d) = (self.length as i64, self.tower.dim);
        let table = self.projected(heads)?;
        let bias = self.bias()?;
        let graph = &mut *self.graph;
        let table = graph.constant("self_attention.qkv", &table);
        let bias = graph.constant("self_attention.bias", &bias);
        let hide = graph.constant("hide", &number(HIDDEN));
        let [zero, one] =
            [("zero", 0.0), ("one", 1.0)].map(|(name, value)| graph.constant(name, &number(value)));

        let all = graph.gather(&table, &self.ids);
        let all = graph.reshape(&all, &[-1, length, 3, heads as i64, (d / heads) as i64]);
        let all = graph.transpose(&all, &[2, 0, 3, 1, 4]);
        let [queries, keys, values] = graph.split(&all, 0, 1);
        let keys = graph.transpose(&keys, &[0, 1, 2, 4, 3]);
        let scores = graph.matmul(&queries, &keys);
        let scores = graph.add(&scores, &bias);
        let hidden = graph.choose(&self.is_padding, &hide, &zero);
        let hidden = graph.unsqueeze(&hidden, &[0, 2, 3]);
        let scores = graph.add(&scores, &hidden);
        let weights = graph.softmax(&scores);
        let mixed = graph.matmul(&weights, &values);
        let mixed = graph.transpose(&mixed, &[0, 1, 3, 2, 4]);
        let mixed = graph.reshape(&mixed, &[-1, length, d as i64]);
        let shown = graph.choose(&self.is_padding, &zero, &one);
        let shown = graph.unsqueeze(&shown, &[2]);
        Ok(graph.mul(&mixed, &shown))
    }

    /// Queries, keys and values of every item, queries already divided by the root `[items + 2, 3d]`.
    fn projected(&self, heads: usize) -> Result<Weight, Error> {
        let items = self.trained.item_table()?;
        let rows = youtubednn::projected(&Tape::off(), &self.trained.parameters, &items)?;
        let mut table = weights::of(&rows)?;
        let d = self.tower.dim;
        let scale = 1.0 / ((d / heads) as f32).sqrt();
        for row in table.values.chunks_exact_mut(3 * d) {
            row[..d].iter_mut().for_each(|value| *value *= scale);
        }
        Ok(table)
    }

    /// The bias of every query and key `[heads, length, length]`.
    fn bias(&self) -> Result<Weight, Error> {
        let by_distance = weight(self.trained, "self_attention.distance")?;
        let length = self.length;
        let mut values = Vec::with_capacity(by_distance.shape[0] * length * length);
        for head in by_distance.values.chunks_exact(2 * length - 1) {
            for query in 0..length {
                values.extend((0..length).map(|key| head[length - 1 + query - key]));
            }
        }
        Ok(Weight {
            shape: vec![by_distance.shape[0], length, length],
            values,
        })
    }

    /// All poolings of the rows.
    fn pool(&mut self, rows: &Edge) -> Edge {
        let (poolings, length) = (self.tower.pooling.len(), self.length);
        let weights = youtubednn::weights(&self.tower.pooling, length);
        // The newest event stands last, whatever the padding.
        let by_position = weights.by_age.iter().flat_map(|by_age| by_age.iter().rev());
        let by_position = Weight {
            shape: vec![poolings, length],
            values: by_position.copied().collect(),
        };
        let by_position = self.graph.constant("pooling", &by_position);
        let mut pooled = self.graph.matmul(&by_position, rows);
        if weights
            .by_length
            .iter()
            .flatten()
            .any(|&factor| factor != 1.0)
        {
            let events = self.events();
            let graph = &mut *self.graph;
            let by_events = |events: usize| weights.by_length.iter().map(move |by| by[events]);
            let by_length = Weight {
                shape: vec![length + 1, poolings],
                values: (0..=length).flat_map(by_events).collect(),
            };
            let by_length = graph.constant("pooling.by_length", &by_length);
            let factors = graph.gather(&by_length, &events);
            let factors = graph.unsqueeze(&factors, &[2]);
            pooled = graph.mul(&pooled, &factors);
        }
        let width = (poolings * self.tower.dim) as i64;
        self.graph.reshape(&pooled, &[-1, width])
    }

    /// How many events each history has `[batch]`.
    fn events(&mut self) -> Edge {
        let (none, one) = (self.graph.id(0), self.graph.id(1));
        let shown = self.graph.choose(&self.is_padding, &none, &one);
        self.graph.reduce_sum(&shown, 1)
    }
}

fn number(value: f32) -> Weight {
    Weight {
        shape: Vec::new(),
        values: vec![value],
    }
}
