//! The attention tower's objective: every position of every window is a target of the full softmax.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::kernels::bag::Bags;
use crate::kernels::full_softmax::{Over, Watched, full_softmax};
use crate::kernels::tape::Tape;
use crate::loss::{Objective, Step};
use crate::model::Parameters;
use crate::model::attention::{self, Drops, Windows};
use crate::model::cold_items;
use crate::model::error::Error;
use crate::model::history::History;
use crate::model::recipe::Attention;
use crate::model::trained::Trained;
use crate::model::vocabulary::RESERVED;
use crate::sampling::Training;
use crate::sampling::windows::{self, Window};

/// Windows of the training part under the full softmax.
pub(crate) struct EveryPosition {
    tower: Attention,
    length: usize,
    shards: usize,
    seed: u64,
    training: Training,
    catalog: Vec<(String, Bags)>,
    sequences: Arc<Vec<Vec<u32>>>,
}

/// The windows of one shard.
pub(crate) struct Part {
    windows: Windows,
    targets: Vec<u32>,
    watched: Watched,
    scale: f32,
}

impl EveryPosition {
    /// The objective of a model of this tower.
    pub(crate) fn new(
        model: &Trained,
        tower: &Attention,
        training: Training,
    ) -> std::result::Result<Self, Error> {
        let sequences = training
            .users
            .iter()
            .map(|user| user.history.items.clone())
            .collect();
        Ok(Self {
            tower: tower.clone(),
            length: model.recipe.history,
            shards: model.recipe.training.shards,
            seed: model.recipe.training.seed,
            catalog: model.catalog_bags()?,
            sequences: Arc::new(sequences),
            training,
        })
    }

    fn part(&self, windows: &[Window], scale: f32) -> Part {
        let mut rows = History::default();
        let (mut ends, mut targets, mut watched) = (Vec::new(), Vec::new(), Vec::new());
        for window in windows {
            let history = &self.training.users[window.user as usize].history;
            let (start, end) = (window.start as usize, window.end as usize);
            rows.append(history, start..end);
            targets.extend(&history.items[start + 1..=end]);
            watched.extend((window.start..window.end).map(|input| (window.user, input + 1)));
            ends.push(rows.len() as u32);
        }
        let watched = Watched {
            sequences: self.sequences.clone(),
            rows: watched,
        };
        Part {
            windows: Windows::new(&self.tower, rows, ends),
            targets,
            watched,
            scale,
        }
    }
}

impl Objective for EveryPosition {
    type Example = Window;
    type Part = Part;

    fn examples(&self, epoch: usize) -> Vec<Window> {
        windows::epoch(&self.training, self.length, self.seed, epoch)
    }

    fn step(&mut self, examples: &[Window], _number: u64) -> Step<Part> {
        let targets = examples.iter().map(|window| window.len()).sum::<usize>();
        let scale = 1.0 / targets as f32;
        let shards = balanced(examples, self.shards);
        let parts = shards
            .iter()
            .filter(|windows| !windows.is_empty())
            .map(|windows| self.part(windows, scale));
        Step {
            parts: parts.collect(),
            rows: BTreeMap::new(),
            targets,
        }
    }

    fn loss(
        &self,
        tape: &Tape,
        parameters: &Parameters,
        part: &Part,
        drops: Drops,
    ) -> Result<Tensor> {
        let items = attention::items(tape, parameters, &self.catalog)?;
        let h = attention::users(tape, &self.tower, parameters, &items, &part.windows, drops)?;
        let rate = self.tower.id_dropout;
        let ranked = cold_items::ranked(tape, rate, parameters, &self.catalog, &items, drops)?;
        let over = Over {
            reserved: RESERVED,
            targets: part.targets.clone(),
            watched: part.watched.clone(),
            active: None,
            scale: part.scale,
        };
        full_softmax(tape, &h, &ranked, over)
    }
}

/// Deals windows out so that every shard gets about as many rows.
fn balanced(windows: &[Window], shards: usize) -> Vec<Vec<Window>> {
    let mut dealt = vec![(0, Vec::new()); shards];
    for &window in windows {
        let lightest = (0..shards).min_by_key(|&shard| dealt[shard].0).unwrap_or(0);
        dealt[lightest].0 += window.len();
        dealt[lightest].1.push(window);
    }
    dealt.into_iter().map(|(_, windows)| windows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_get_about_as_many_rows_each() {
        let window = |len| Window {
            user: 0,
            start: 0,
            end: len,
        };
        let dealt = balanced(&[50, 3, 50, 20, 27].map(window), 2);
        let rows = |shard: &Vec<Window>| shard.iter().map(|window| window.len()).sum::<usize>();
        assert_eq!(dealt.iter().map(rows).collect::<Vec<_>>(), [70, 80]);
    }
}
