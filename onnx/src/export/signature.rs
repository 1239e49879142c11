//! The signature of what the exporter writes: its tensors' names, where they come from, and how.

use encoder::signature::{
    Dtype, Encoding, FORMAT, HistorySpec, Input, Metric, Order, Output, Side, Signature, Source,
    Tower,
};

use crate::{
    export::error::Error,
    model::{
        recipe,
        trained::Trained,
        vocabulary::{PADDING, UNKNOWN},
    },
};

/// The history's items.
pub(super) const HISTORY_ITEM: &str = "history_item";
/// The buckets of the history's values.
pub(super) const HISTORY_VALUE: &str = "history_value";
/// The buckets of the history's gaps.
pub(super) const HISTORY_GAP: &str = "history_gap";
/// The seconds of the history's gaps.
pub(super) const HISTORY_SECONDS: &str = "history_seconds";
/// The buckets of the seconds from the history's events to the request.
pub(super) const HISTORY_AGE: &str = "history_age";
/// The user tower's output.
pub(super) const USER: &str = "user";
/// How much each event counts for each interest, where the user tower tells.
pub(super) const ATTENTION: &str = "attention";
/// The item tower's output.
pub(super) const ITEM: &str = "item";

/// Returns the name of a feature's tensor; `kind` is `user` or `item`.
pub(super) fn tensor(kind: &str, feature: &str) -> String {
    format!("{kind}_{feature}")
}

/// Returns the axes behind the batch of an item feature's tensor: none, or the longest list of the catalog.
pub(super) fn axes(trained: &Trained, feature: &str) -> Result<Vec<usize>, Error> {
    let missing = || Error::Parameter {
        name: format!("catalog.{feature}"),
    };
    match trained.catalog.get(feature).ok_or_else(missing)?.dim(1)? {
        1 => Ok(Vec::new()),
        most => Ok(vec![most]),
    }
}

/// Makes the signature of a trained model.
pub(super) fn signature(trained: &Trained) -> Result<Signature, Error> {
    let recipe = &trained.recipe;
    let length = recipe.history;
    let mut user: Vec<Input> = recipe
        .user_features()
        .iter()
        .map(|feature| looked_up("user", feature, &[]))
        .collect();
    user.push(Input {
        name: HISTORY_ITEM.to_owned(),
        source: Source::HistoryItem,
        ..looked_up("item", "id", &[length])
    });
    let (value_edges, gap_edges) = match &recipe.tower {
        recipe::Tower::Attention(tower) => (Some(&tower.value_edges), Some(&tower.gap_edges)),
        recipe::Tower::YouTubeDnn(tower) => (
            tower.reads_values().then_some(&tower.value_edges),
            tower.reads_gaps().then_some(&tower.gap_edges),
        ),
    };
    for (name, source, edges) in [
        (HISTORY_VALUE, Source::HistoryValue, value_edges),
        (HISTORY_GAP, Source::HistoryGap, gap_edges),
    ] {
        user.extend(edges.map(|edges| bucketed(name, source, length, edges)));
    }
    if let recipe::Tower::Attention(tower) = &recipe.tower {
        if tower.time_bias {
            user.push(Input {
                name: HISTORY_SECONDS.to_owned(),
                dtype: Dtype::F32,
                shape: shape(&[length]),
                source: Source::HistoryGap,
                encoding: Encoding::Numeric {
                    mean: 0.0,
                    std: 1.0,
                },
            });
        }
        if tower.request_time {
            let (name, edges) = (HISTORY_AGE, &tower.gap_edges);
            user.push(bucketed(name, Source::HistoryAge, length, edges));
        }
    }
    let mut item = vec![looked_up("item", "id", &[])];
    for feature in recipe.item_features() {
        item.push(looked_up("item", feature, &axes(trained, feature)?));
    }
    let routes = match &recipe.tower {
        recipe::Tower::YouTubeDnn(tower) => tower.capsules.is_some(),
        recipe::Tower::Attention(_) => false,
    };
    Ok(Signature {
        format: FORMAT,
        metric: Metric::Dot,
        normalized: false,
        dim: recipe.dim(),
        interests: recipe.interests(),
        history: HistorySpec {
            length,
            side: Side::Left,
            order: Order::OldestFirst,
        },
        user: tower(user, USER, routes.then(|| ATTENTION.to_owned())),
        item: tower(item, ITEM, None),
    })
}

fn tower(inputs: Vec<Input>, output: &str, attention: Option<String>) -> Tower {
    Tower {
        inputs,
        output: Output {
            name: output.to_owned(),
            weights: None,
            attention,
        },
    }
}

/// An input that holds the vocabulary ids of a feature.
fn looked_up(kind: &str, feature: &str, axes: &[usize]) -> Input {
    let source = match (kind, feature) {
        ("user", "id") => Source::UserId,
        ("user", _) => Source::User(feature.to_owned()),
        (_, "id") => Source::ItemId,
        _ => Source::Item(feature.to_owned()),
    };
    Input {
        name: tensor(kind, feature),
        dtype: Dtype::I64,
        shape: shape(axes),
        source,
        encoding: Encoding::Vocabulary {
            file: format!("vocabulary/{kind}.{feature}.txt"),
            unknown: UNKNOWN,
            padding: Some(PADDING),
        },
    }
}

/// An input that holds the buckets of one number an event.
fn bucketed(name: &str, source: Source, length: usize, edges: &[f64]) -> Input {
    Input {
        name: name.to_owned(),
        dtype: Dtype::I64,
        shape: shape(&[length]),
        source,
        encoding: Encoding::Bucket {
            edges: edges.to_vec(),
            offset: 1,
        },
    }
}

fn shape(axes: &[usize]) -> Vec<Option<usize>> {
    std::iter::once(None)
        .chain(axes.iter().copied().map(Some))
        .collect()
}
