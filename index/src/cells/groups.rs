//! Groups of rows that lie near each other, by k-means (Lloyd, IEEE Transactions on Information Theory 28, 1982).
//!
//! The same rows give the same groups, on every machine with fused multiply-add and however many threads work.

use std::thread;

use crate::{
    dot::{BLOCK, Scorer},
    rows::RowsView,
};

/// Rows of the sample that the centres are found with, for each of them.
const SAMPLE: usize = 8;
/// Rounds in which the first centres are taken, and those in which they move.
const SEEDINGS: usize = 8;
const ROUNDS: usize = 3;
/// Centres that are compared at a time.
const PART: usize = 64;
/// How many times as far apart as those of most the rows lie of a group that is divided.
const WIDE: f32 = 1.1;

/// Rows whose nearest centre is the same.
pub(super) struct Group {
    /// `[dim]`.
    pub(super) center: Vec<f32>,
    /// The rows, in the order in which they came.
    pub(super) rows: Vec<usize>,
}

impl Group {
    /// Divides `wanted` rows into `count` groups, by so many threads; those that nothing is nearest to are empty.
    pub(super) fn divide(
        rows: RowsView<'_>,
        wanted: Vec<usize>,
        count: usize,
        threads: usize,
    ) -> Vec<Self> {
        let centers = centers(rows, &wanted, count.max(1), threads);
        let mut groups: Vec<Self> = centers
            .chunks_exact(rows.dim())
            .map(|center| Self {
                center: center.to_vec(),
                rows: Vec::new(),
            })
            .collect();
        let nearest = nearest(rows, &centers, &wanted, threads);
        for (nearest, row) in nearest.into_iter().zip(wanted) {
            groups[nearest.center as usize].rows.push(row);
        }
        groups
    }

    /// How far rows lie from the centre in one direction: the root of the mean square.
    pub(super) fn spread(&self, rows: RowsView<'_>) -> f32 {
        let off = |row: &usize| {
            let row = rows.row(*row);
            let each = row.iter().zip(&self.center);
            f64::from(each.map(|(x, c)| (x - c) * (x - c)).sum::<f32>())
        };
        let numbers = self.rows.len() * rows.dim();
        let squares: f64 = self.rows.iter().map(off).sum();
        (squares / numbers.max(1) as f64).sqrt() as f32
    }
}

/// The middle one of some numbers; 0 of none.
fn median(mut numbers: Vec<f32>) -> f32 {
    let middle = numbers.len() / 2;
    if numbers.is_empty() {
        return 0.0;
    }
    *numbers.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Divides groups in two whose rows lie much further apart than those of most: several groups of rows may be in one.
pub(super) fn split(rows: RowsView<'_>, groups: Vec<Group>, threads: usize) -> Vec<Group> {
    let spreads: Vec<f32> = groups.iter().map(|group| group.spread(rows)).collect();
    let of_some = spreads.iter().copied().filter(|spread| *spread > 0.0);
    let most = WIDE * median(of_some.collect());
    let mut split = Vec::with_capacity(groups.len());
    for (group, spread) in groups.into_iter().zip(spreads) {
        if spread > most {
            split.extend(Group::divide(rows, group.rows, 2, threads));
        } else {
            split.push(group);
        }
    }
    split
}

/// Finds `count` centres of the `wanted` rows, `[count, dim]`.
fn centers(rows: RowsView<'_>, wanted: &[usize], count: usize, threads: usize) -> Vec<f32> {
    let dim = rows.dim();
    // Ids are no order that vectors know of, so evenly spaced rows are a fair sample.
    let size = (SAMPLE * count).min(wanted.len());
    let sample: Vec<usize> = (0..size).map(|i| wanted[i * wanted.len() / size]).collect();
    let mut centers = seeds(rows, &sample, count, threads);
    for _ in 0..if count > 1 { ROUNDS } else { 1 } {
        let mut sums = vec![0.0_f64; count * dim];
        let mut counts = vec![0_u32; count];
        let nearest = nearest(rows, &centers, &sample, threads);
        for (&row, nearest) in sample.iter().zip(nearest) {
            let cell = nearest.center as usize;
            counts[cell] += 1;
            let sum = &mut sums[cell * dim..][..dim];
            for (sum, x) in sum.iter_mut().zip(rows.row(row).iter()) {
                *sum += f64::from(*x);
            }
        }
        // A centre that no row is near stays where it is.
        for cell in (0..count).filter(|cell| counts[*cell] > 0) {
            for i in cell * dim..(cell + 1) * dim {
                centers[i] = (sums[i] / f64::from(counts[cell])) as f32;
            }
        }
    }
    centers
}

/// Takes `count` of the rows as centres to begin with, `[count, dim]`: each with a chance that grows with the square of its distance
/// from those that were taken (k-means++, Arthur and Vassilvitskii, SODA 2007), so that few groups of rows go without. They are taken
/// in a few rounds, not one by one (as in k-means||, Bahmani and others, VLDB 2012).
fn seeds(rows: RowsView<'_>, sample: &[usize], count: usize, threads: usize) -> Vec<f32> {
    let dim = rows.dim();
    let mut chance = Chance(count as u64);
    let mut squares = vec![1.0; sample.len()];
    let mut seeds = Vec::with_capacity(count * dim);
    for _ in 0..SEEDINGS.min(count) {
        let seeded = seeds.len();
        let wanted = count.div_ceil(SEEDINGS).min(count - seeded / dim);
        for row in chance.draw(&squares, wanted) {
            rows.append(sample[row], &mut seeds);
        }
        let nearest = nearest(rows, &seeds[seeded..], sample, threads);
        let first = seeded == 0;
        for ((square, nearest), row) in squares.iter_mut().zip(nearest).zip(sample) {
            let off = nearest.off(&rows.row(*row));
            *square = if first { off } else { square.min(off) };
        }
    }
    seeds.resize(count * dim, 0.0);
    seeds
}

/// Numbers that look like chance, the same every time (SplitMix64, Steele and others, OOPSLA 2014).
struct Chance(u64);

impl Chance {
    /// Draws `count` places, each with a chance that its weight says; in order.
    fn draw(&mut self, weights: &[f32], count: usize) -> Vec<usize> {
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let mut heights: Vec<f64> = (0..count).map(|_| sum * self.next()).collect();
        heights.sort_unstable_by(f64::total_cmp);
        let mut drawn = Vec::with_capacity(count);
        let mut reached = 0.0;
        for (place, weight) in weights.iter().enumerate() {
            reached += f64::from(*weight);
            while heights
                .get(drawn.len())
                .is_some_and(|height| *height < reached)
            {
                drawn.push(place);
            }
        }
        drawn
    }

    /// The next number, at least 0 and less than 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The centre that a row is nearest to.
#[derive(Clone, Copy, Debug)]
struct Nearest {
    /// Its place.
    center: u32,
    /// The product of row and centre, less half the square of the centre's length: the greatest of all.
    score: f32,
}

impl Nearest {
    /// The square of the distance of a row that has this centre.
    fn off(&self, row: &[f32]) -> f32 {
        let length: f32 = row.iter().map(|x| x * x).sum();
        (length - 2.0 * self.score).max(0.0)
    }

    const NONE: Self = Self {
        center: 0,
        score: f32::NEG_INFINITY,
    };
}

/// The nearest centre of each of the `wanted` rows, found by so many threads; the first of equals.
fn nearest(rows: RowsView<'_>, centers: &[f32], wanted: &[usize], threads: usize) -> Vec<Nearest> {
    let dim = rows.dim();
    // Few at a time, so that their scores stay near the core.
    let parts: Vec<_> = centers
        .chunks(PART * dim)
        .map(|centers| {
            let half = |center: &[f32]| center.iter().map(|x| x * x).sum::<f32>() / 2.0;
            let halves: Vec<f32> = centers.chunks_exact(dim).map(half).collect();
            (Scorer::new(centers, dim), halves)
        })
        .collect();
    let of_block = |wanted: &[usize], found: &mut [Nearest]| {
        let mut vectors = Vec::with_capacity(wanted.len() * dim);
        for row in wanted {
            rows.append(*row, &mut vectors);
        }
        let mut center = 0;
        for (scorer, halves) in &parts {
            let mut scores = scorer.room();
            scorer.score(&vectors, &mut scores);
            for (scores, half) in scores.iter().zip(halves) {
                for (found, score) in found.iter_mut().zip(scores) {
                    let score = score - half;
                    if score > found.score {
                        *found = Nearest { center, score };
                    }
                }
                center += 1;
            }
        }
    };
    let mut found = vec![Nearest::NONE; wanted.len()];
    let part = wanted
        .len()
        .div_ceil(threads)
        .next_multiple_of(BLOCK)
        .max(BLOCK);
    thread::scope(|scope| {
        for (wanted, found) in wanted.chunks(part).zip(found.chunks_mut(part)) {
            scope.spawn(|| {
                for (wanted, found) in wanted.chunks(BLOCK).zip(found.chunks_mut(BLOCK)) {
                    of_block(wanted, found);
                }
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn every_row_is_in_one_group_that_whose_centre_is_nearest(
            count in 0_usize..400,
            groups in 1_usize..12,
            dim in 1_usize..20,
            numbers in prop::collection::vec(-1.0_f32..1.0, 997),
        ) {
            let ids: Vec<u64> = (0..count as u64).collect();
            let vectors: Vec<f32> = (0..count * dim).map(|i| numbers[i % 997]).collect();
            let rows = RowsView::new(&ids, &vectors, dim);
            let wanted: Vec<usize> = (0..count).step_by(2).collect();
            let divided = Group::divide(rows, wanted.clone(), groups, 2);
            prop_assert_eq!(divided.len(), groups);
            let off = |row: usize, group: &Group| -> f32 {
                let row = rows.row(row);
                let each = row.iter().zip(&group.center);
                each.map(|(x, c)| (x - c) * (x - c)).sum()
            };
            let mut all: Vec<usize> = Vec::new();
            for group in &divided {
                prop_assert!(group.rows.is_sorted());
                for &row in &group.rows {
                    let least = divided.iter().map(|group| off(row, group)).fold(f32::INFINITY, f32::min);
                    prop_assert!(off(row, group) <= least + 1e-4);
                }
                all.extend(&group.rows);
            }
            all.sort_unstable();
            prop_assert_eq!(all, wanted);
        }
    }
}
