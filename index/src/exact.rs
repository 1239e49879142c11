//! Finds the best items by comparing every row.

use crate::{
    dot::{BLOCK, Scorer},
    eligible::Eligible,
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
    scan_eligible(rows, queries, k, &Eligible::except(rows, exclude))
}

/// The same of the rows that may be returned.
pub(crate) fn scan_eligible(
    rows: RowsView<'_>,
    queries: &[f32],
    k: usize,
    eligible: &Eligible,
) -> Vec<Hit> {
    let k = k.min(rows.len());
    if k == 0 || queries.is_empty() {
        return Vec::new();
    }
    let mut top = Top::new(k);
    let scorer = Scorer::new(queries, rows.dim());
    let mut scores = scorer.room();
    let mut room = Vec::new();
    for (block, ids) in rows.ids().chunks(BLOCK).enumerate() {
        let first = block * BLOCK;
        let vectors = rows.block(first..first + ids.len(), &mut room);
        scorer.score(vectors, &mut scores);
        let best = best_of_each(&scores);
        for (r, id) in ids.iter().enumerate() {
            if best[r] >= top.bar() && eligible.has(first + r) {
                top.offer(hit(*id, &scores, r));
            }
        }
    }
    top.into_hits()
}

/// Returns the best `k` of some rows, each named once.
///
/// # Panics
/// If one of the rows does not exist, or `k` is 0.
pub(crate) fn rank(
    rows: RowsView<'_>,
    some: impl Iterator<Item = usize>,
    queries: &[f32],
    k: usize,
) -> Vec<Hit> {
    let mut top = Top::new(k);
    let scorer = Scorer::new(queries, rows.dim());
    let mut scores = scorer.room();
    // Rows from here and there are scored faster side by side.
    let mut ids = Vec::with_capacity(BLOCK);
    let mut vectors = Vec::with_capacity(BLOCK * rows.dim());
    let mut some = some.peekable();
    while let Some(row) = some.next() {
        ids.push(rows.ids()[row]);
        rows.append(row, &mut vectors);
        if ids.len() == BLOCK || some.peek().is_none() {
            scorer.score(&vectors, &mut scores);
            for (r, id) in ids.drain(..).enumerate() {
                top.offer(hit(id, &scores, r));
            }
            vectors.clear();
        }
    }
    top.into_hits()
}

/// The hit of the item in row `r` of a block: its best score, and the first query that gave it.
fn hit(id: u64, scores: &[[f32; BLOCK]], r: usize) -> Hit {
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
