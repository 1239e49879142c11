//! What the signature promises about a model, compared with the model's own inputs and outputs.

use ort::{
    session::Session,
    value::{Outlet, TensorElementType, ValueType},
};

use crate::{
    session::TensorSpec,
    signature::{Dtype, Input, Signature},
};

/// The tensors that a tower must have.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) inputs: Vec<Input>,
    pub(super) vectors: Promise,
    pub(super) weights: Option<Promise>,
    pub(super) attention: Option<Promise>,
}

/// An output tensor of f32: the batch, then one of these lists of axes.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) name: String,
    shapes: Vec<Vec<usize>>,
}

impl Contract {
    /// What the user tower must have.
    pub(super) fn user(signature: &Signature) -> Self {
        let (interests, dim) = (signature.interests, signature.dim);
        let output = &signature.user.output;
        let mut shapes = vec![vec![interests, dim]];
        if interests == 1 {
            shapes.push(vec![dim]);
        }
        let promise = |name: &Option<String>, shape: Vec<usize>| {
            name.clone().map(|name| Promise {
                name,
                shapes: vec![shape],
            })
        };
        Self {
            inputs: signature.user.inputs.clone(),
            vectors: Promise {
                name: output.name.clone(),
                shapes,
            },
            weights: promise(&output.weights, vec![interests]),
            attention: promise(&output.attention, vec![interests, signature.history.length]),
        }
    }

    /// What the item tower must have.
    pub(super) fn item(signature: &Signature) -> Self {
        Self {
            inputs: signature.item.inputs.clone(),
            vectors: Promise {
                name: signature.item.output.name.clone(),
                shapes: vec![vec![signature.dim]],
            },
            weights: None,
            attention: None,
        }
    }

    /// Returns where a session's tensors differ, one line each.
    pub(super) fn problems(&self, session: &Session) -> Vec<String> {
        let mut problems = Vec::new();
        for input in &self.inputs {
            match session
                .inputs()
                .iter()
                .find(|outlet| outlet.name() == input.name)
            {
                None => problems.push(format!(
                    "the model has no input `{}`, it has {}",
                    input.name,
                    names(session.inputs())
                )),
                Some(outlet) => problems.extend(check_input(input, outlet.dtype())),
            }
        }
        for outlet in session.inputs() {
            if !self.inputs.iter().any(|input| input.name == outlet.name()) {
                problems.push(format!(
                    "nothing feeds the model's input `{}`",
                    outlet.name()
                ));
            }
        }
        for promise in self.promises() {
            match session
                .outputs()
                .iter()
                .find(|outlet| outlet.name() == promise.name)
            {
                None => problems.push(format!(
                    "the model has no output `{}`, it has {}",
                    promise.name,
                    names(session.outputs())
                )),
                Some(outlet) => problems.extend(promise.check(outlet.dtype())),
            }
        }
        problems
    }

    /// Returns the outputs in the order of the signature: vectors, weights, attention.
    pub(super) fn promises(&self) -> impl Iterator<Item = &Promise> {
        let optional = [&self.weights, &self.attention].into_iter().flatten();
        std::iter::once(&self.vectors).chain(optional)
    }

    /// Returns what the outputs of a session that has no [`problems`](Contract::problems) are like.
    pub(super) fn gives(&self, session: &Session) -> Vec<TensorSpec> {
        let spec = |promise: &Promise| TensorSpec {
            name: promise.name.clone(),
            dtype: Dtype::F32,
            shape: std::iter::once(None)
                .chain(promise.axes(session).iter().copied().map(Some))
                .collect(),
        };
        self.promises().map(spec).collect()
    }
}

impl Promise {
    /// Returns whether a tensor of `rows` rows has one of the shapes.
    pub(super) fn fits(&self, shape: &[i64], rows: usize) -> bool {
        self.shapes.iter().any(|axes| {
            let wanted = std::iter::once(&rows).chain(axes);
            shape.len() == axes.len() + 1
                && shape
                    .iter()
                    .zip(wanted)
                    .all(|(found, wanted)| *found == *wanted as i64)
        })
    }

    /// Returns the axes behind the batch, for people.
    pub(super) fn shown(&self) -> String {
        let shown: Vec<String> = self
            .shapes
            .iter()
            .map(|axes| format!("[batch, {}]", list(axes)))
            .collect();
        shown.join(" or ")
    }

    /// Returns that one of the lists of axes which the model's own output has.
    fn axes(&self, session: &Session) -> &[usize] {
        let mut outlets = session.outputs().iter();
        let outlet = outlets.find(|outlet| outlet.name() == self.name);
        let rank = outlet
            .and_then(|outlet| outlet.dtype().tensor_shape())
            .map(|shape| shape.len());
        let mut shapes = self.shapes.iter();
        let own = shapes.find(|axes| rank == Some(axes.len() + 1));
        own.unwrap_or(&self.shapes[0])
    }

    fn check(&self, dtype: &ValueType) -> Option<String> {
        let Some((found, shape)) = tensor(dtype) else {
            return Some(format!("output `{}` is no tensor", self.name));
        };
        if found != TensorElementType::Float32 {
            return Some(format!(
                "output `{}` holds {found}, it must hold float32",
                self.name
            ));
        }
        let fits = self.shapes.iter().any(|axes| {
            shape.len() == axes.len() + 1
                && shape[0] < 0
                && shape[1..]
                    .iter()
                    .zip(axes)
                    .all(|(found, wanted)| *found < 0 || *found == *wanted as i64)
        });
        (!fits).then(|| {
            format!(
                "output `{}` is {}, it must be {}",
                self.name,
                show(shape),
                self.shown()
            )
        })
    }
}

fn check_input(input: &Input, dtype: &ValueType) -> Option<String> {
    let Some((found, shape)) = tensor(dtype) else {
        return Some(format!("input `{}` is no tensor", input.name));
    };
    let wanted = match input.dtype {
        Dtype::I64 => TensorElementType::Int64,
        Dtype::I32 => TensorElementType::Int32,
        Dtype::F32 => TensorElementType::Float32,
        Dtype::Bool => TensorElementType::Bool,
    };
    if found != wanted {
        return Some(format!(
            "input `{}` holds {found}, the signature says {wanted}",
            input.name
        ));
    }
    let fits = shape.len() == input.shape.len()
        && shape
            .iter()
            .zip(&input.shape)
            .all(|(found, wanted)| match wanted {
                None => *found < 0,
                Some(wanted) => *found < 0 || *found == *wanted as i64,
            });
    let axes: Vec<usize> = input.shape.iter().flatten().copied().collect();
    (!fits).then(|| {
        let wanted = if axes.is_empty() {
            "[batch]".to_owned()
        } else {
            format!("[batch, {}]", list(&axes))
        };
        format!(
            "input `{}` is {}, the signature says {wanted}",
            input.name,
            show(shape)
        )
    })
}

fn tensor(dtype: &ValueType) -> Option<(TensorElementType, &[i64])> {
    Some((dtype.tensor_type()?, dtype.tensor_shape()?))
}

/// Shows a model's shape; its dynamic axes are `?`.
fn show(shape: &[i64]) -> String {
    let axes: Vec<String> = shape
        .iter()
        .map(|axis| {
            if *axis < 0 {
                "?".to_owned()
            } else {
                axis.to_string()
            }
        })
        .collect();
    format!("[{}]", axes.join(", "))
}

fn list(axes: &[usize]) -> String {
    let axes: Vec<String> = axes.iter().map(usize::to_string).collect();
    axes.join(", ")
}

fn names(outlets: &[Outlet]) -> String {
    let names: Vec<String> = outlets
        .iter()
        .map(|outlet| format!("`{}`", outlet.name()))
        .collect();
    names.join(", ")
}
