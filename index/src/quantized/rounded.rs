//! Vectors as whole numbers of 8 bits and a scale, and what that loses.

use super::SHIFT;

/// The largest whole number.
const MOST: f32 = 127.0;
/// Adding and taking away one and a half times two to the 23rd leaves the whole number nearest to a small f32, the even one
/// of two.
const WHOLE: f32 = 12_582_912.0;

/// How a vector is rounded, and what that loses.
pub(super) struct Rounded {
    pub(super) scale: f32,
    /// One over the scale; 0 where the scale is.
    inverse: f32,
    /// Length of the rounded vector, rounded up.
    pub(super) length: f32,
    /// Length of what is lost, rounded up.
    pub(super) lost: f32,
}

impl Rounded {
    pub(super) fn new(vector: &[f32]) -> Self {
        let most = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let scale = most / MOST;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let mut rounded = Self {
            scale,
            inverse: if inverse.is_finite() { inverse } else { 0.0 },
            length: 0.0,
            lost: 0.0,
        };
        let (mut length, mut lost) = (0.0_f64, 0.0_f64);
        for &x in vector {
            let near = f64::from(rounded.whole(x)) * f64::from(scale);
            length += near * near;
            lost += (f64::from(x) - near).powi(2);
        }
        // A step of f32 up, for what the root and the conversion round down.
        rounded.length = (length.sqrt() as f32).next_up();
        rounded.lost = (lost.sqrt() as f32).next_up();
        rounded
    }

    /// The whole number nearest to `x` over the scale.
    pub(super) fn whole(&self, x: f32) -> i32 {
        ((x * self.inverse).clamp(-MOST, MOST) + WHOLE - WHOLE) as i32
    }
}

/// Queries in 8 bits a number.
#[derive(Debug)]
pub(super) struct Queries {
    /// `[queries, steps]`: four numbers in one.
    pub(super) words: Vec<i32>,
    /// For each query what [`SHIFT`] adds to the whole dot product, and its scale.
    pub(super) shifts: Vec<i32>,
    pub(super) scales: Vec<f32>,
    /// The greatest length of a query.
    pub(super) length: f32,
    /// The greatest length of what rounding lost of one.
    pub(super) lost: f32,
}

impl Queries {
    pub(super) fn new(queries: &[f32], dim: usize) -> Self {
        let steps = dim.div_ceil(4);
        let count = queries.len() / dim;
        let mut all = Self {
            words: Vec::with_capacity(count * steps),
            shifts: Vec::with_capacity(count),
            scales: Vec::with_capacity(count),
            length: 0.0,
            lost: 0.0,
        };
        for query in queries.chunks_exact(dim) {
            let rounded = Rounded::new(query);
            let mut sum = 0;
            for numbers in query.chunks(4) {
                let mut four = [0_i8; 4];
                for (byte, &number) in four.iter_mut().zip(numbers) {
                    let whole = rounded.whole(number);
                    sum += whole;
                    *byte = whole as i8;
                }
                all.words.push(i32::from_le_bytes(four.map(|x| x as u8)));
            }
            all.shifts.push(SHIFT * sum);
            all.scales.push(rounded.scale);
            all.length = all.length.max(rounded.length + rounded.lost);
            all.lost = all.lost.max(rounded.lost);
        }
        all
    }
}

/// How much a score of vectors of length 1 differs at most from the true one by summing in f32: a generous bound.
pub(super) fn summing(dim: usize) -> f32 {
    (dim + 64) as f32 * f32::EPSILON
}
