//! The YouTubeDNN tower's part of a recipe: what it reads, and how a history becomes one row.

use serde::{Deserialize, Serialize};

use crate::model::error::Error;
use crate::model::recipe::{Capsules, Choice, Loss};

/// Sizes and inputs of the YouTubeDNN tower; what has a default is off by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YouTubeDnn {
    /// Width of embeddings and vectors.
    pub dim: usize,
    /// Width of the hidden layer.
    pub hidden: usize,
    /// What the hidden layer's sums pass through.
    #[serde(default)]
    pub activation: Activation,
    /// User features with an embedding each; `id` is the user itself.
    pub user_features: Vec<String>,
    /// Item features added to the item table, on both sides.
    #[serde(default)]
    pub item_features: Vec<String>,
    /// What happens to the history's rows before they are pooled.
    #[serde(default)]
    pub history: Transform,
    /// Poolings of the history, each `dim` wide, side by side.
    pub pooling: Vec<Pooling>,
    /// Edges of the buckets of an event's value, ascending.
    #[serde(default)]
    pub value_edges: Vec<f64>,
    /// Edges of the buckets of the seconds since the previous event, ascending.
    #[serde(default)]
    pub gap_edges: Vec<f64>,
    /// Whether each event's row is multiplied by a learned weight of its value's bucket.
    #[serde(default)]
    pub value_weights: bool,
    /// What else is embedded of an event and added to its row.
    #[serde(default)]
    pub event_features: Vec<EventFeature>,
    /// Edges of the buckets of an example's age in days, ascending; none for no such input.
    #[serde(default)]
    pub example_age_edges: Vec<f64>,
    /// Several interests, each from a capsule beside the other inputs; none for one vector.
    #[serde(default)]
    pub capsules: Option<Capsules>,
    /// Share of the hidden layer's inputs dropped in training.
    #[serde(default)]
    pub dropout: f32,
}

/// What the hidden layer's sums pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// One half through silu, times the other half.
    SwiGlu,
}

/// What happens to the history's rows before they are pooled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// Nothing.
    #[default]
    Plain,
    /// Each row plus a two-layer network of it.
    Nonlinear,
    /// Each row plus what it attends to in the whole history.
    SelfAttention {
        /// Heads; they share the width.
        heads: usize,
    },
}

/// One way from a history's rows to one row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The mean weighted by a power of this number: 1 for the newest, its first power for the one before.
    Decay(f32),
    /// The newest.
    Last,
    /// The one at this place from the newest, which is 1; nothing if there are fewer.
    Newest(usize),
}

/// What else is embedded of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventFeature {
    /// The bucket of its value.
    Value,
    /// The bucket of the seconds since the event before.
    Gap,
}

impl YouTubeDnn {
    /// Vectors of a user.
    pub(crate) fn interests(&self) -> usize {
        self.capsules
            .as_ref()
            .map_or(1, |capsules| capsules.interests)
    }

    /// Whether the tower reads the events' values.
    pub fn reads_values(&self) -> bool {
        self.value_weights || self.event_features.contains(&EventFeature::Value)
    }

    /// Whether the tower reads the gaps between events.
    pub fn reads_gaps(&self) -> bool {
        self.event_features.contains(&EventFeature::Gap)
    }

    /// Checks the values against each other, and against the history's length.
    pub(super) fn check(&self, length: usize, loss: Loss) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Recipe(format!("tower.youtubednn.{reason}")));
        if self.hidden == 0 {
            return refuse("hidden is 0, it must be at least 1".into());
        }
        if self.pooling.is_empty() {
            return refuse("pooling is empty, it must name one at least".into());
        }
        if let Some(capsules) = &self.capsules {
            capsules.check()?;
            if let (Choice::Best, Loss::Shared { .. }) = (capsules.objective, loss) {
                return refuse(
                    "capsules: the best interest is trained with full or sampled negatives".into(),
                );
            }
        }
        if let Transform::SelfAttention { heads } = self.history
            && (heads == 0 || !self.dim.is_multiple_of(heads))
        {
            return refuse(format!(
                "history has {heads} heads, which do not share a width of {}",
                self.dim
            ));
        }
        for pooling in &self.pooling {
            match *pooling {
                Pooling::Decay(factor) if !(factor > 0.0 && factor < 1.0) => {
                    return refuse(format!("pooling decays by {factor}, it must be in (0, 1)"));
                }
                Pooling::Newest(place) if !(1..=length).contains(&place) => {
                    return refuse(format!(
                        "pooling names the event at place {place} of a history of {length}"
                    ));
                }
                _ => {}
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse(format!("dropout is {}, it must be in [0, 1)", self.dropout));
        }
        for (key, edges) in [
            ("value_edges", &self.value_edges),
            ("gap_edges", &self.gap_edges),
            ("example_age_edges", &self.example_age_edges),
        ] {
            if !edges.is_sorted_by(|a, b| a < b) {
                return refuse(format!("{key} do not ascend"));
            }
        }
        for (key, edges, read) in [
            ("value_edges", &self.value_edges, self.reads_values()),
            ("gap_edges", &self.gap_edges, self.reads_gaps()),
        ] {
            if edges.is_empty() == read {
                let (has, reads) = (edges.len(), if read { "reads" } else { "does not read" });
                return refuse(format!("{key} has {has} edges, and the tower {reads} them"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::model::recipe::Recipe;

    fn refused(from: &str, to: &str, expected: &str) {
        let text = include_str!("../../../towers/youtubednn-sum.toml").replacen(from, to, 1);
        let error = Recipe::parse(&text).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let pooling = |text: &str, expected: &str| {
            refused(
                r#"pooling = ["sum"]"#,
                &format!("pooling = [{text}]"),
                expected,
            );
        };
        pooling("{ decay = 1.0 }", "decays by 1, it must be in (0, 1)");
        pooling("{ newest = 51 }", "place 51 of a history of 50");
        pooling(r#""median""#, "median");
        let added = |text: &str, expected: &str| {
            refused("hidden = 128", &format!("hidden = 128\n{text}"), expected);
        };
        added(
            "history = { self_attention = { heads = 3 } }",
            "3 heads, which do not share a width of 64",
        );
        added(
            "value_weights = true",
            "value_edges has 0 edges, and the tower reads them",
        );
        added(
            "gap_edges = [1.0]",
            "gap_edges has 1 edges, and the tower does not read them",
        );
        added("dropout = 1.0", "dropout is 1");
        added(
            "example_age_edges = [2.0, 1.0]",
            "example_age_edges do not ascend",
        );
    }
}
