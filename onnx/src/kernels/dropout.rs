//! Dropout whose mask is a function of a seed and the entry, so that nothing is stored and a resumed run draws the same.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::kernels::simd::vectorized;
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Which entries an operation drops: each with probability `rate`, the rest scaled by `1 / (1 - rate)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    seed: u32,
    limit: u32,
    scale: f32,
}

impl Dropout {
    /// Keeps everything.
    pub(crate) const NONE: Self = Self {
        seed: 0,
        limit: 0,
        scale: 1.0,
    };

    /// Drops with probability `rate`, below 1.
    pub(crate) fn new(rate: f32, seed: u64) -> Self {
        let limit = (f64::from(rate) * (f64::from(u32::MAX) + 1.0)) as u32;
        Self {
            seed: (seed ^ (seed >> 32)) as u32,
            limit,
            scale: 1.0 / (1.0 - rate),
        }
    }

    /// What entry `index` is multiplied by: 0 or the scale.
    #[inline(always)]
    pub(crate) fn factor(self, index: u32) -> f32 {
        // The finalizer of MurmurHash3 over the seeded index.
        let mut x = index.wrapping_mul(0x9e37_79b9) ^ self.seed;
        x ^= x >> 16;
        x = x.wrapping_mul(0x85eb_ca6b);
        x ^= x >> 13;
        x = x.wrapping_mul(0xc2b2_ae35);
        x ^= x >> 16;
        if x < self.limit { 0.0 } else { self.scale }
    }
}

/// Drops entries of `x` and multiplies what stays by `factor` too.
pub(crate) fn dropout(tape: &Tape, x: &Tensor, dropout: Dropout, factor: f32) -> Result<Tensor> {
    tape.apply1(x, Drop { dropout, factor })
}

struct Drop {
    dropout: Dropout,
    factor: f32,
}

impl CustomOp1 for Drop {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = values(x, layout)?.to_vec();
        apply(&mut out, self.dropout, self.factor);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut out = read(grad, <[f32]>::to_vec)?;
        apply(&mut out, self.dropout, self.factor);
        Ok(Some(tensor(out, x)?))
    }
}

vectorized! {
    fn apply(x: &mut [f32], dropout: Dropout, factor: f32) {
        for (index, x) in x.iter_mut().enumerate() {
            *x *= factor * dropout.factor(index as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_drops_what_the_forward_dropped() {
        check(&[random(&[8, 8], 1)], |tape, inputs| {
            dropout(tape, &inputs[0], Dropout::new(0.4, 7), 3.0)
        });
    }

    #[test]
    fn a_fifth_is_dropped_and_the_mean_stays() {
        let dropout = Dropout::new(0.2, 1);
        let factors: Vec<f32> = (0..100_000).map(|index| dropout.factor(index)).collect();
        let dropped = factors.iter().filter(|&&factor| factor == 0.0).count();
        assert!((19_500..20_500).contains(&dropped), "{dropped} dropped");
        assert!((factors.iter().sum::<f32>() / 100_000.0 - 1.0).abs() < 0.01);
        assert_eq!(Dropout::NONE.factor(3), 1.0);
    }
}
