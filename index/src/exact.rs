//! Finds the best items by comparing every row.

use crate::{
    dot::{BLOCK, Scorer},
    hit::Hit,
    rows::RowsView,
    top::Top,
};

/// Returns the best `k` items that are not in `exclude`, best first; all there are if they are fewer.
///
/// Reads the rows once for all queries. An item's score is the greatest over the queries.
///
/// # Shapes
/// - `queries`: `[q, dim]`, finite; `exclude`: ascending
pub fn scan(rows: RowsView<'_>, queries: &[f32], k: usize, exclude: &[u64]) -> Vec<Hit> {
    let k = k.min(rows.len());
    if k == 0 || queries.is_empty() {
        return Vec::new();
    }
    let mut top = Top::new(k, exclude);
    let scorer = Scorer::new(queries, rows.dim());
    let mut scores = scorer.room();
    let vectors = rows.vectors().chunks(BLOCK * rows.dim());
    for (vectors, ids) in vectors.zip(rows.ids().chunks(BLOCK)) {
        scorer.score(vectors, &mut scores);
        let best = best_of_each(&scores);
        for (r, id) in ids.iter().enumerate() {
            if best[r] >= top.bar() {
                top.offer(hit(*id, &scores, r));
            }
        }
    }
    top.into_hits()
}

/// The hit of the item in row `r` of a block: its best score, and the first query that gave it.
pub(crate) fn hit(id: u64, scores: &[[f32; BLOCK]], r: usize) -> Hit {
    let mut hit = Hit {
        id,
        score: scores[0][r],
        interest: 0,
    };
    for (interest, scores) in scores.iter().enumerate().skip(1) {
        if scores[r].total_cmp(&hit.score).is_gt() {
            hit.score = scores[r];
            hit.interest = interest as u32;
        }
    }
    hit
}

/// The greatest score of each row of a block.
fn best_of_each(scores: &[[f32; BLOCK]]) -> [f32; BLOCK] {
    let mut best = scores[0];
    for scores in &scores[1..] {
        for (best, score) in best.iter_mut().zip(scores) {
            *best = if score > best { *score } else { *best };
        }
    }
    best
}
