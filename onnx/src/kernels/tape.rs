//! Records operations as they run and walks them backwards, adding gradients up in place on this thread.
//!
//! candle's own walk starts every gradient as zeros and adds with a pool of spinning threads: with the batch already
//! sharded over the cores, that took 62 % of the CPU time.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Error, InplaceOp1, Layout, Result, Tensor,
    TensorId,
};

use crate::kernels::products::Products;
use crate::kernels::read;
use crate::kernels::simd::add_to;

/// Operations in the order they ran, if it records.
#[derive(Default)]
pub(crate) struct Tape {
    entries: Option<RefCell<Vec<Entry>>>,
    products: Products,
}

/// Gradients by the tensor they belong to.
pub(crate) type Gradients = HashMap<TensorId, Tensor>;

type Backward = Box<dyn FnOnce(&Tensor) -> Result<Vec<(TensorId, Option<Tensor>)>>>;

struct Entry {
    output: TensorId,
    backward: Backward,
}

impl Tape {
    /// A tape that records.
    pub(crate) fn recording() -> Self {
        Self {
            entries: Some(RefCell::default()),
            ..Self::default()
        }
    }

    /// The same tape, for operations whose large products are these.
    pub(crate) fn with(self, products: Products) -> Self {
        Self { products, ..self }
    }

    /// How operations run their large products.
    pub(crate) fn products(&self) -> Products {
        self.products
    }

    /// A tape that does not: nothing is kept for a backward pass.
    pub(crate) fn off() -> Self {
        Self::default()
    }

    /// Runs an operation of one argument.
    pub(crate) fn apply1(&self, x: &Tensor, op: impl CustomOp1 + 'static) -> Result<Tensor> {
        let out = x.apply_op1_no_bwd(&op)?;
        if self.entries.is_some() {
            let (x, y) = (x.clone(), out.clone());
            self.record(&out, move |grad| Ok(vec![(x.id(), op.bwd(&x, &y, grad)?)]));
        }
        Ok(out)
    }

    /// Runs an operation of two arguments.
    pub(crate) fn apply2(
        &self,
        a: &Tensor,
        b: &Tensor,
        op: impl CustomOp2 + 'static,
    ) -> Result<Tensor> {
        let out = a.apply_op2_no_bwd(b, &op)?;
        if self.entries.is_some() {
            let (a, b, y) = (a.clone(), b.clone(), out.clone());
            self.record(&out, move |grad| {
                let (grad_a, grad_b) = op.bwd(&a, &b, &y, grad)?;
                Ok(vec![(a.id(), grad_a), (b.id(), grad_b)])
            });
        }
        Ok(out)
    }

    /// Runs an operation of three arguments.
    pub(crate) fn apply3(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        op: impl CustomOp3 + 'static,
    ) -> Result<Tensor> {
        let out = a.apply_op3_no_bwd(b, c, &op)?;
        if self.entries.is_some() {
            let (a, b, c, y) = (a.clone(), b.clone(), c.clone(), out.clone());
            self.record(&out, move |grad| {
                let (grad_a, grad_b, grad_c) = op.bwd(&a, &b, &c, &y, grad)?;
                Ok(vec![(a.id(), grad_a), (b.id(), grad_b), (c.id(), grad_c)])
            });
        }
        Ok(out)
    }

    /// Records how the gradient of `output` becomes those of what it was made of.
    ///
    /// The walk adds to gradients in place, so a backward may hand its own gradient on to one input at most.
    pub(crate) fn record(
        &self,
        output: &Tensor,
        backward: impl FnOnce(&Tensor) -> Result<Vec<(TensorId, Option<Tensor>)>> + 'static,
    ) {
        if let Some(entries) = &self.entries {
            entries.borrow_mut().push(Entry {
                output: output.id(),
                backward: Box::new(backward),
            });
        }
    }

    /// Walks back from `output`, whose own gradient is `seed`; returns the gradients of the leaves.
    pub(crate) fn backward(self, output: &Tensor, seed: Tensor) -> Result<Gradients> {
        let mut gradients = Gradients::from([(output.id(), seed)]);
        let mut entries = self.entries.map(RefCell::into_inner).unwrap_or_default();
        while let Some(entry) = entries.pop() {
            let Some(grad) = gradients.remove(&entry.output) else {
                continue;
            };
            for (input, gradient) in (entry.backward)(&grad)? {
                let Some(gradient) = gradient else { continue };
                match gradients.get(&input) {
                    Some(sum) => add(sum, &gradient)?,
                    None => drop(gradients.insert(input, gradient)),
                }
            }
        }
        Ok(gradients)
    }
}

/// Adds `x` to `sum`, in place.
pub(crate) fn add(sum: &Tensor, x: &Tensor) -> Result<()> {
    read(x, |x| sum.inplace_op1(&Add(x)))?
}

struct Add<'a>(&'a [f32]);

impl InplaceOp1 for Add<'_> {
    fn name(&self) -> &'static str {
        "add-in-place"
    }

    fn cpu_fwd(&self, sum: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(sum), Some((start, end))) = (sum, layout.contiguous_offsets()) else {
            return Err(Error::Msg("gradients are contiguous f32".into()));
        };
        add_to(&mut sum[start..end], self.0);
        Ok(())
    }
}
