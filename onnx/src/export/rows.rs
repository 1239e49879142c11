//! Raw users and items made of a model's own vocabularies, to compare ONNX Runtime with the trainer and to keep as golden
//! vectors.

use encoder::features::{Event, Features, Item, User, Value};

use crate::model::{
    attention::mix,
    trained::Trained,
    vocabulary::{RESERVED, Vocabulary},
};

/// An item that no catalog has.
const NO_ITEM: u64 = u64::MAX;
/// A value that no vocabulary has.
const NO_VALUE: &str = "never seen before";

/// Returns the catalog's items with their raw features, in the order of their ids.
pub(super) fn items(trained: &Trained) -> Result<Vec<Item>, candle_core::Error> {
    let vocabulary = trained.items_vocabulary();
    let mut items: Vec<Item> = vocabulary.lines()[RESERVED..]
        .iter()
        .map(|line| Item {
            id: line.parse().unwrap_or(NO_ITEM),
            features: Features::new(),
        })
        .collect();
    for feature in trained.recipe.item_features() {
        let Some(ids) = trained.catalog.get(feature) else {
            continue;
        };
        let lines = trained.vocabularies[&format!("item.{feature}")].lines();
        let rows: Vec<Vec<u32>> = ids.to_vec2()?;
        for (item, row) in items.iter_mut().zip(rows.iter().skip(RESERVED)) {
            let values: Vec<String> = row
                .iter()
                .filter(|id| **id != 0)
                .map(|id| lines[*id as usize].clone())
                .collect();
            if !values.is_empty() {
                item.features.insert(feature.clone(), Value::List(values));
            }
        }
    }
    Ok(items)
}

/// Returns an item that the model has never seen, one without features, and one with values it has never seen.
pub(super) fn strange_items(trained: &Trained) -> Vec<Item> {
    let strange = |feature: &String| {
        (
            feature.clone(),
            Value::List(vec![NO_VALUE.to_owned(), NO_VALUE.to_owned()]),
        )
    };
    let known = trained
        .items_vocabulary()
        .lines()
        .get(RESERVED)
        .and_then(|line| line.parse().ok());
    vec![
        Item {
            id: NO_ITEM,
            features: Features::new(),
        },
        Item {
            id: known.unwrap_or(0),
            features: trained.recipe.item_features().iter().map(strange).collect(),
        },
    ]
}

/// Returns `count` users drawn by a seed: every length of history from none to twice what the model sees, with items and
/// values that it does not know among them.
pub(super) fn users(trained: &Trained, count: usize, seed: u64) -> Vec<User> {
    let mut draw = Draw { state: mix(seed) };
    let longest = 2 * trained.recipe.history as u64;
    (0..count as u64)
        .map(|at| user(trained, &mut draw, at * longest / (count as u64 - 1).max(1)))
        .collect()
}

/// Returns a user of whom nothing is known, and one of whom nothing is in a vocabulary.
pub(super) fn strange_users(trained: &Trained) -> Vec<User> {
    let strange = |feature: &String| (feature.clone(), Value::from(NO_VALUE));
    vec![
        User::default(),
        User {
            id: NO_VALUE.to_owned(),
            features: trained.recipe.user_features().iter().map(strange).collect(),
            history: vec![event(NO_ITEM, 5.0, 0)],
            time: None,
        },
    ]
}

fn user(trained: &Trained, draw: &mut Draw, events: u64) -> User {
    let items = trained.items_vocabulary();
    let mut time = 978_300_000;
    let history = (0..events).map(|_| {
        time += draw.below(2) * (1 << draw.below(28));
        let item = draw.line(items, 30).parse().unwrap_or(NO_ITEM);
        event(item, draw.below(11) as f32 / 2.0, time as i64)
    });
    let history = history.collect();
    let mut user = User {
        history,
        ..User::default()
    };
    for feature in trained.recipe.user_features() {
        let value = draw.line(&trained.vocabularies[&format!("user.{feature}")], 10);
        match feature.as_str() {
            "id" => user.id = value,
            _ => drop(user.features.insert(feature.clone(), Value::Text(value))),
        }
    }
    user
}

fn event(item: u64, value: f32, time: i64) -> Event {
    Event {
        item,
        kind: "rating".to_owned(),
        value,
        time,
    }
}

/// Draws by SplitMix64.
struct Draw {
    state: u64,
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.state = mix(self.state);
        self.state % bound
    }

    /// A raw value of a vocabulary, or one in `strange` times one that it does not have.
    fn line(&mut self, vocabulary: &Vocabulary, strange: u64) -> String {
        let known = (vocabulary.len() - RESERVED) as u64;
        if known == 0 || self.below(strange) == 0 {
            return NO_VALUE.to_owned();
        }
        vocabulary.lines()[RESERVED + self.below(known) as usize].clone()
    }
}
