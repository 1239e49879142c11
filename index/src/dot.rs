//! Scores rows against a few queries at once, by the best instructions that the machine has.
//!
//! A score has one definition, whoever computes it. Row and query are padded with zeros to a
//! multiple of 16; partial sum `j` of sixteen adds up the products of positions `j`, `j + 16`, ...
//! in that order; then the upper half of the sums is added to the lower, 16, 8, 4, 2, 1. It does not
//! depend on what else is scored in the same call, so that a row scored alone scores the same, bit
//! for bit, as in a scan. Machines with fused multiply-add agree with each other to the last bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

/// The most rows scored in one call.
pub(crate) const BLOCK: usize = 64;

/// How many partial sums a score has.
const LANES: usize = 16;

/// Sixteen numbers of a vector.
type Lanes = [f32; LANES];

/// A few queries, ready to be compared with rows.
#[derive(Debug)]
pub(crate) struct Scorer {
    queries: Vec<Lanes>,
    count: usize,
    dim: usize,
    kernel: Kernel,
}

/// What computes a tile: the scores of sixteen rows with each query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Scorer {
    /// Takes `[q, dim]` queries.
    ///
    /// # Panics
    /// If `dim` is 0.
    pub(crate) fn new(queries: &[f32], dim: usize) -> Self {
        Self::with_kernel(queries, dim, Kernel::detect())
    }

    fn with_kernel(queries: &[f32], dim: usize, kernel: Kernel) -> Self {
        let vectors = queries.chunks_exact(dim);
        Self {
            count: vectors.len(),
            queries: vectors
                .flat_map(|vector| vector.chunks(LANES).map(padded))
                .collect(),
            dim,
            kernel,
        }
    }

    /// Room for the scores of one call: a block of rows for each query.
    pub(crate) fn room(&self) -> Vec<[f32; BLOCK]> {
        vec![[0.0; BLOCK]; self.count]
    }

    /// Scores up to [`BLOCK`] rows; the score of row `r` with query `q` goes to `scores[q][r]`.
    ///
    /// # Shapes
    /// - `rows`: `[n, dim]`; `scores`: `[q, BLOCK]`, the first `n` of each overwritten
    ///
    /// # Panics
    /// If there are more rows, or there is not room for every query.
    pub(crate) fn score(&self, rows: &[f32], scores: &mut [[f32; BLOCK]]) {
        assert!(rows.len() <= BLOCK * self.dim, "more rows than a block has");
        assert_eq!(scores.len(), self.count, "room for every query");
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => avx512::score(self, rows, scores),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => avx2::score(self, rows, scores),
            Kernel::Portable => portable::score(self, rows, scores),
        }
    }

    /// The numbers of query `q`.
    fn query(&self, q: usize) -> &[Lanes] {
        let steps = self.dim.div_ceil(LANES);
        &self.queries[q * steps..][..steps]
    }
}

impl Kernel {
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        if is_x86_feature_detected!("avx512f") {
            Self::Avx512
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Self::Avx2
        } else {
            Self::Portable
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::Portable
    }
}

/// Up to sixteen numbers, and zeros.
#[inline(always)]
fn padded(numbers: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[..numbers.len()].copy_from_slice(numbers);
    lanes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every kernel that this machine can run.
    fn kernels() -> Vec<Kernel> {
        let mut kernels = vec![Kernel::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Kernel::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Kernel::Avx2);
            }
        }
        kernels
    }

    fn score(kernel: Kernel, rows: &[f32], queries: &[f32], dim: usize) -> Vec<f32> {
        let scorer = Scorer::with_kernel(queries, dim, kernel);
        let mut room = scorer.room();
        scorer.score(rows, &mut room);
        let rows = 0..rows.len() / dim;
        rows.flat_map(|r| room.iter().map(move |scores| scores[r]))
            .collect()
    }

    fn naive(rows: &[f32], queries: &[f32], dim: usize) -> Vec<f64> {
        let dot = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let rows = rows.chunks_exact(dim);
        rows.flat_map(|row| queries.chunks_exact(dim).map(move |query| dot(row, query)))
            .collect()
    }

    fn bits(scores: Vec<f32>) -> Vec<u32> {
        scores.into_iter().map(f32::to_bits).collect()
    }

    proptest! {
        #[test]
        fn every_kernel_is_near_a_naive_loop_and_the_fused_ones_are_equal(
            dim in 1_usize..150,
            rows in 0_usize..=BLOCK,
            queries in 1_usize..18,
            numbers in prop::collection::vec(-1.0_f32..1.0, 997),
        ) {
            let rows: Vec<f32> = (0..rows * dim).map(|i| numbers[i % 997]).collect();
            let queries: Vec<f32> = (0..queries * dim).map(|i| numbers[(7 * i + 3) % 997]).collect();
            let expected = naive(&rows, &queries, dim);
            for kernel in kernels() {
                let found = score(kernel, &rows, &queries, dim);
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert!((f64::from(*found) - expected).abs() < 1e-6 * dim as f64, "{kernel:?}");
                }
            }
            for pair in kernels()[1..].windows(2) {
                let both = [pair[0], pair[1]].map(|kernel| bits(score(kernel, &rows, &queries, dim)));
                prop_assert_eq!(&both[0], &both[1]);
            }
        }

        #[test]
        fn a_row_alone_scores_as_it_does_among_others(
            dim in 1_usize..150,
            queries in 1_usize..9,
            numbers in prop::collection::vec(-1.0_f32..1.0, 997),
        ) {
            let rows: Vec<f32> = (0..35 * dim).map(|i| numbers[i % 997]).collect();
            let queries: Vec<f32> = (0..queries * dim).map(|i| numbers[(3 * i + 1) % 997]).collect();
            for kernel in kernels() {
                let together = bits(score(kernel, &rows, &queries, dim));
                let alone: Vec<u32> = rows
                    .chunks_exact(dim)
                    .flat_map(|row| bits(score(kernel, row, &queries, dim)))
                    .collect();
                prop_assert_eq!(alone, together);
            }
        }
    }
}
