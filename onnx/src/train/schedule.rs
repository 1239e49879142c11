//! The learning rate: a linear rise, then half a cosine down to 0.

use crate::model::recipe::Training;

/// The rate of step `number` (from 1) of `total`.
pub(crate) fn rate(settings: &Training, number: u64, total: u64) -> f32 {
    let warmup = (settings.warmup as u64).min(total / 2);
    if number <= warmup {
        return settings.rate * number as f32 / warmup as f32;
    }
    let done = (number - warmup) as f32 / (total - warmup).max(1) as f32;
    settings.rate * 0.5 * (1.0 + (std::f32::consts::PI * done.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::recipe::Recipe;

    #[test]
    fn it_rises_to_the_highest_and_falls_to_nothing() {
        let settings = Recipe::quick_tower().unwrap().training;
        assert!((rate(&settings, 50, 1_000) - 0.001).abs() < 1e-8);
        assert!((rate(&settings, 100, 1_000) - 0.002).abs() < 1e-8);
        assert!((rate(&settings, 550, 1_000) - 0.001).abs() < 1e-6);
        assert!(rate(&settings, 1_000, 1_000) < 1e-8);
        assert!(rate(&settings, 1, 1) <= settings.rate);
    }
}
