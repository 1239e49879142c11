//! Embeds users and items in memory: what validation ranks by, and what an exported graph is compared with.

use std::sync::Arc;
use std::thread;

use candle_core::{Device, Tensor};
use encoder::embedding::Embeddings;
use encoder::features::{Features, Item, User};

use crate::kernels::bag::{Bags, add_bags, bag_sum};
use crate::kernels::tape::Tape;
use crate::model::attention::{self, Drops, Windows};
use crate::model::capsules::repeat_first;
use crate::model::error::Error;
use crate::model::history::History;
use crate::model::recipe::{Attention, Tower, YouTubeDnn};
use crate::model::trained::Trained;
use crate::model::vocabulary::{PADDING, UNKNOWN};
use crate::model::{parameter, youtubednn};

/// Users embedded at once: enough to fill a matrix product, few enough for the cache.
const USERS_AT_ONCE: usize = 64;

/// A user as the tower reads it.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    /// The newest events.
    pub(crate) history: History,
    /// One id for each user feature of the recipe.
    pub(crate) features: Vec<u32>,
}

impl Trained {
    /// Embeds users from raw features.
    ///
    /// # Shapes
    /// - returns: `[users, interests * d]`, row `i` for `users[i]`, the interests side by side
    ///
    /// # Errors
    /// [`Error::Candle`] if the parameters do not fit the recipe.
    pub fn embed_users(&self, users: &[User]) -> Result<Embeddings, Error> {
        let encoded: Vec<Encoded> = users
            .iter()
            .map(|user| self.encode(user, self.recipe.history))
            .collect();
        Ok(Embeddings {
            dim: self.recipe.interests() * self.recipe.dim(),
            values: self.vectors(&encoded)?,
        })
    }

    /// Embeds items from raw features; an item that the vocabulary does not hold is its features alone.
    ///
    /// # Shapes
    /// - returns: `[items, d]`, row `i` for `items[i]`
    ///
    /// # Errors
    /// [`Error::Candle`] if the parameters do not fit the recipe.
    pub fn embed_items(&self, items: &[Item]) -> Result<Embeddings, Error> {
        let parameters = &self.parameters;
        let ids: Vec<u32> = items
            .iter()
            .map(|item| self.items_vocabulary().id(&item.id.to_string()))
            .collect();
        let mut sum = bag_sum(
            &Tape::off(),
            parameter(parameters, "item.id")?,
            &Bags::single(ids),
        )?;
        for feature in self.recipe.item_features() {
            let most = self.catalog[feature].dim(1)?;
            let (mut ids, mut ends) = (Vec::new(), Vec::new());
            for item in items {
                let of_item =
                    self.vocabularies[&format!("item.{feature}")].ids(item.features.get(feature));
                ids.extend(of_item.into_iter().take(most));
                ends.push(ids.len() as u32);
            }
            let table = parameter(parameters, &format!("item.{feature}"))?;
            sum = add_bags(&Tape::off(), &sum, table, &Bags::ragged(ids, ends))?;
        }
        Ok(Embeddings {
            dim: self.recipe.dim(),
            values: sum.flatten_all()?.to_vec1()?,
        })
    }

    /// The ids of a user's features, in the recipe's order.
    fn user_features(&self, id: &str, features: &Features) -> Vec<u32> {
        let of = |feature: &String| {
            let vocabulary = &self.vocabularies[&format!("user.{feature}")];
            match feature.as_str() {
                "id" => vocabulary.id(id),
                _ => vocabulary
                    .ids(features.get(feature))
                    .first()
                    .copied()
                    .unwrap_or(UNKNOWN),
            }
        };
        self.recipe.user_features().iter().map(of).collect()
    }

    /// The user vectors `[users, interests * d]`, computed on all cores.
    pub(crate) fn vectors(&self, users: &[Encoded]) -> Result<Vec<f32>, Error> {
        let items = self.item_table()?;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let chunk = users.len().div_ceil(threads).max(1);
        let part = |users: &[Encoded]| -> Result<Vec<f32>, Error> {
            let mut vectors = Vec::new();
            for users in users.chunks(USERS_AT_ONCE) {
                let rows = self.forward(&items, users)?;
                let mut rows = rows.flatten_all()?.to_vec1::<f32>()?;
                if let Tower::YouTubeDnn(YouTubeDnn {
                    capsules: Some(capsules),
                    ..
                }) = &self.recipe.tower
                {
                    let active = users.iter().map(|user| capsules.active(user.history.len()));
                    repeat_first(&mut rows, &active.collect::<Vec<_>>(), capsules.interests);
                }
                vectors.extend(rows);
            }
            Ok(vectors)
        };
        let parts: Vec<Result<Vec<f32>, Error>> = thread::scope(|scope| {
            let threads: Vec<_> = users
                .chunks(chunk)
                .map(|users| scope.spawn(|| part(users)))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
                .collect()
        });
        Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn forward(&self, items: &Tensor, users: &[Encoded]) -> Result<Tensor, Error> {
        let (tape, parameters) = (Tape::off(), &self.parameters);
        match &self.recipe.tower {
            Tower::Attention(tower) => {
                let windows = windows(tower, users);
                let newest: Vec<u32> = windows.ends.iter().map(|end| end - 1).collect();
                let drops = Drops { seed: None };
                let rows = attention::users(&tape, tower, parameters, items, &windows, drops)?;
                Ok(rows.index_select(&Tensor::new(newest, &Device::Cpu)?, 0)?)
            }
            Tower::YouTubeDnn(tower) => {
                let batch = batch(tower, users, self.recipe.history);
                let drops = Drops { seed: None };
                Ok(youtubednn::users(
                    &tape, tower, parameters, items, &batch, drops,
                )?)
            }
        }
    }

    /// A user's newest `length` known events, and the features.
    pub(crate) fn encode(&self, user: &User, length: usize) -> Encoded {
        let vocabulary = self.items_vocabulary();
        let id = |item: u64| vocabulary.id(&item.to_string());
        Encoded {
            history: History::encode(&self.recipe, &user.history, user.time, length, id),
            features: self.user_features(&user.id, &user.features),
        }
    }
}

/// The histories end to end; an empty one is one row of padding.
fn windows(tower: &Attention, users: &[Encoded]) -> Windows {
    let empty = History {
        items: vec![PADDING],
        values: vec![0],
        gaps: vec![0],
        waits: vec![0],
        times: vec![0],
    };
    let mut rows = History::default();
    let mut ends = Vec::with_capacity(users.len());
    for user in users {
        let history = match user.history.is_empty() {
            true => &empty,
            false => &user.history,
        };
        rows.append(history, 0..history.len());
        ends.push(rows.len() as u32);
    }
    Windows::new(tower, rows, ends)
}

/// The histories end to end, and each feature's ids.
fn batch(tower: &YouTubeDnn, users: &[Encoded], length: usize) -> youtubednn::Users {
    let feature = |index: usize| -> Bags {
        let ids: Vec<u32> = users.iter().map(|user| user.features[index]).collect();
        Bags::single(ids)
    };
    let mut rows = History::default();
    let mut ends = Vec::with_capacity(users.len());
    for user in users {
        rows.append(&user.history, 0..user.history.len());
        ends.push(rows.len() as u32);
    }
    let weights = Arc::new(youtubednn::weights(&tower.pooling, length));
    youtubednn::Users {
        features: (0..tower.user_features.len()).map(feature).collect(),
        events: youtubednn::Events::new(rows, ends, weights),
        ages: None,
    }
}
