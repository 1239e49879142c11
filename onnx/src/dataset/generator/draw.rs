//! Random draws that `rand` leaves to others: normal, exponential, weighted.

use rand::Rng;

/// Draws from the normal distribution of mean 0 and deviation 1 (Box and Muller, 1958).
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Draws from the exponential distribution.
pub(crate) fn exponential(mean: f64, rng: &mut impl Rng) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// Draws an index by weight; nothing if all weights are 0.
pub(crate) fn weighted(
    weights: impl Iterator<Item = f64> + Clone,
    rng: &mut impl Rng,
) -> Option<usize> {
    let total: f64 = weights.clone().sum();
    let mut left = total * rng.random::<f64>();
    let mut last = None;
    for (index, weight) in weights.enumerate() {
        if weight > 0.0 {
            last = Some(index);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
    }
    last
}
