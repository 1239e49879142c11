//! Cold start: how well items that training never saw are recommended by their content alone.
//!
//! A seeded tenth of the items is hidden, and every user's events are cut at nine tenths: training sees the earlier part
//! without the hidden items. Each later event on a hidden item is a case. Its history is everything that the user did before
//! it on items that are not hidden; all items of the set are ranked but those of the history, hidden ones by content alone.
//! What the user did on other hidden items is known to nobody: they stay candidates.

mod baselines;
mod hidden;

use std::fmt;
use std::path::Path;

use encoder::embedding::Embeddings;
use encoder::features::{Item, User};
use index::exact;
use index::rows::RowsView;
use serde::Serialize;

use crate::bench::machine;
use crate::bench::report::Row;
use crate::cold_start::baselines::Genres;
use crate::cold_start::hidden::Hidden;
use crate::dataset::Dataset;
use crate::dataset::split::{ItemSet, Split};
use crate::metrics::{self, Case, Figures};
use crate::model::error::Error;
use crate::model::recipe::{Overrides, Recipe};
use crate::model::trained::Trained;
use crate::train;

/// Recall is measured among so many.
const DEPTH: usize = 100;

/// What a tower and what must be beaten reach on hidden items. Recalls are Recall@100 over the cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColdStart {
    /// Items that are hidden, and all that are ranked.
    pub items: (usize, usize),
    /// Cases on hidden items, by the tower.
    pub hidden: Figures,
    /// What a random order reaches: the mean of 100 over the number of candidates.
    pub random: f64,
    /// Items by the number of events in training, which is none for hidden ones; ties in random order.
    pub popularity: f64,
    /// Items by the mean, over their genres, of the share of the history in the genre; ties in random order.
    pub genre_taste: Option<f64>,
    /// As before, each genre's share times the mean popularity of its items in training.
    pub genre_popularity: Option<f64>,
    /// The first later event of each user on an item that is not hidden, by the tower.
    pub visible: Figures,
    /// Of what these users are offered first, 100 items each, the share that is hidden.
    pub offered: f64,
}

impl ColdStart {
    /// Recall@100 on hidden items over that of a random order.
    pub fn over_random(&self) -> f64 {
        self.hidden.hr_100 / self.random
    }

    /// Recall@100 of the better of the two orders by genre.
    pub fn within_genre(&self) -> Option<f64> {
        let best = |a: f64, b: f64| a.max(b);
        self.genre_taste
            .zip(self.genre_popularity)
            .map(|(a, b)| best(a, b))
    }

    /// The rows of the report.
    pub fn rows(&self) -> Vec<Row> {
        let within_genre = self.within_genre();
        let goal = |least: &str| match within_genre {
            Some(genre) => format!(">= {least} and > {genre:.4} (popularity within genre)"),
            None => format!(">= {least}"),
        };
        let mut rows = vec![
            (
                "cold_item_recall100_over_random",
                self.over_random(),
                ">= 5".to_owned(),
            ),
            (
                "cold_item_recall100",
                self.hidden.hr_100,
                goal(&format!("{:.4}", 5.0 * self.random)),
            ),
            ("cold_item_recall100_random", self.random, String::new()),
            (
                "cold_item_recall100_popularity",
                self.popularity,
                String::new(),
            ),
            ("cold_item_share_offered", self.offered, String::new()),
            (
                "cold_item_visible_recall100",
                self.visible.hr_100,
                String::new(),
            ),
        ];
        rows.extend(
            within_genre.map(|recall| ("cold_item_recall100_within_genre", recall, String::new())),
        );
        let row = |(row, value, goal): (&str, f64, String)| Row {
            row: row.to_owned(),
            value,
            unit: "1".to_owned(),
            goal,
            command: "make bench-cold".to_owned(),
            date: machine::today(),
        };
        rows.into_iter().map(row).collect()
    }
}

impl fmt::Display for ColdStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hidden, all) = self.items;
        writeln!(
            f,
            "{hidden} of {all} items hidden from training; {} later events on them, ranked among all items",
            self.hidden.users
        )?;
        writeln!(f, "{:28}{:>12}{:>13}", "", "Recall@100", "over random")?;
        let mut row = |name: &str, recall: f64| {
            writeln!(f, "  {name:26}{recall:>12.4}{:>13.2}", recall / self.random)
        };
        row("content alone", self.hidden.hr_100)?;
        row("random", self.random)?;
        row("popularity", self.popularity)?;
        for (name, recall) in [
            ("taste in genres", self.genre_taste),
            ("popularity within genres", self.genre_popularity),
        ] {
            if let Some(recall) = recall {
                row(name, recall)?;
            }
        }
        write!(
            f,
            "on items that are not hidden: HR@10 {:.4}, Recall@100 {:.4} ({} users); {:.1} % of what they are offered is hidden items",
            self.visible.hr_10,
            self.visible.hr_100,
            self.visible.users,
            100.0 * self.offered
        )
    }
}

/// Trains a recipe in `run` on what is not hidden, and ranks the cases. `seed` decides what is hidden. A run that is whole
/// already is not trained again.
///
/// Training takes every item with an event in the earlier part (set R of it), so that none is hidden by accident.
///
/// # Errors
/// As [`train::train`]; also if `run` holds an unfinished run of something else.
pub fn measure(
    recipe: &Recipe,
    dataset: &Dataset,
    run: &Path,
    overrides: &Overrides,
    seed: u64,
) -> Result<ColdStart, Error> {
    let split = Split::new(dataset, recipe.items);
    let hidden = Hidden::new(dataset, &split, seed);
    let mut recipe = recipe.clone();
    recipe.items = ItemSet::R;
    train::train(&recipe, &hidden.training, run, overrides, true)?;
    let model = Trained::load(run)?;
    rank(&model, dataset, &split, &hidden)
}

fn rank(
    model: &Trained,
    dataset: &Dataset,
    split: &Split,
    hidden: &Hidden,
) -> Result<ColdStart, Error> {
    let catalog: Vec<Item> = split
        .items
        .iter()
        .map(|&item| Item::from(&dataset.items[item as usize]))
        .collect();
    let items = model.embed_items(&catalog)?;
    let scored = |cases: &[hidden::Later]| -> Result<Scores, Error> {
        let users: Vec<User> = cases
            .iter()
            .map(|case| case.user(dataset, split, model.recipe.history))
            .collect();
        Ok(Scores::new(model.embed_users(&users)?, &items))
    };
    let visible = scored(&hidden.visible)?;
    let cases = &hidden.cases;
    let counts = hidden.counts(split);
    let genres = Genres::new(dataset, split, &counts);
    let by_genre = |score: fn(&Genres, &[u32]) -> Vec<f32>| {
        genres
            .as_ref()
            .map(|genres| baselines::recall(cases, DEPTH, |case| score(genres, &case.history)))
    };
    let popularity: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
    Ok(ColdStart {
        items: (hidden.items(), split.items.len()),
        hidden: scored(cases)?.figures(cases),
        random: baselines::recall(cases, DEPTH, |_| vec![0.0; split.items.len()]),
        popularity: baselines::recall(cases, DEPTH, |_| popularity.clone()),
        genre_taste: by_genre(Genres::taste),
        genre_popularity: by_genre(Genres::popularity),
        visible: visible.figures(&hidden.visible),
        offered: visible.share(&hidden.visible, &hidden.is_hidden),
    })
}

/// Users embedded as of their cases, beside all items; a score is the largest dot product over a user's vectors.
struct Scores<'a> {
    users: Embeddings,
    items: &'a Embeddings,
    ids: Vec<u64>,
}

impl<'a> Scores<'a> {
    fn new(users: Embeddings, items: &'a Embeddings) -> Self {
        let ids = (0..(items.values.len() / items.dim) as u64).collect();
        Self { users, items, ids }
    }

    fn fill(&self, case: usize, cases: usize, scores: &mut [f32]) {
        let rows = RowsView::new(&self.ids, &self.items.values, self.items.dim);
        let width = self.users.values.len() / cases;
        let user = &self.users.values[case * width..][..width];
        for hit in exact::scan(rows, user, rows.len(), &[]) {
            scores[hit.id as usize] = hit.score;
        }
    }

    /// Ranks the cases, seen items excluded; equal scores count against the tower.
    fn figures(&self, cases: &[hidden::Later]) -> Figures {
        let ranked: Vec<Case<'_>> = cases
            .iter()
            .map(|case| Case {
                target: Some(case.item),
                history: &case.history,
            })
            .collect();
        let score = |case: usize, scores: &mut [f32]| self.fill(case, cases.len(), scores);
        let rankings = metrics::rank(&ranked, self.ids.len(), score);
        rankings.seen_excluded.figures()
    }

    /// The share of hidden items among the first that are offered.
    fn share(&self, cases: &[hidden::Later], is_hidden: &[bool]) -> f64 {
        let mut scores = vec![0.0; self.ids.len()];
        let (mut hidden, mut all) = (0_u32, 0_u32);
        for (index, case) in cases.iter().enumerate() {
            self.fill(index, cases.len(), &mut scores);
            for &item in &case.history {
                scores[item as usize] = f32::NEG_INFINITY;
            }
            for item in metrics::top(&scores, DEPTH) {
                hidden += u32::from(is_hidden[item as usize]);
                all += 1;
            }
        }
        f64::from(hidden) / f64::from(all.max(1))
    }
}

#[cfg(test)]
mod tests;
