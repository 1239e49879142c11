//! What each input of the user tower may hold.

use crate::{
    artifact::Artifact,
    error::{Error, Misfit},
    features::tensors::{Data, Tensor},
    session::{
        LARGEST,
        given::{NamedTensor, TensorSpec},
    },
    signature::{Dtype, Encoding, Input},
    vocabulary::Vocabularies,
};

/// The inputs of the user tower, in the order of the signature.
#[derive(Debug)]
pub(in crate::session) struct Inputs(Vec<Slot>);

/// One input.
#[derive(Debug)]
struct Slot {
    spec: TensorSpec,
    /// Whole numbers must be from 0 to below this; all are if it is none.
    ids: Option<u64>,
}

impl Inputs {
    /// The inputs of an artifact's user tower.
    pub(in crate::session) fn user(artifact: &Artifact) -> Self {
        let signature = artifact.signature();
        let slot = |input| Slot {
            spec: TensorSpec::from(input),
            ids: ids(input, artifact.vocabularies(), signature.history.length),
        };
        Self(signature.user.inputs.iter().map(slot).collect())
    }

    /// Returns what the inputs are like.
    pub(super) fn specs(&self) -> impl Iterator<Item = &TensorSpec> {
        self.0.iter().map(|slot| &slot.spec)
    }

    /// Checks tensors, and puts them into the order of the signature.
    ///
    /// # Errors
    /// [`Error::Tensors`] with everything that does not fit.
    pub(super) fn arrange(&self, tensors: Vec<NamedTensor>) -> Result<Vec<Tensor>, Error> {
        let mut misfits = Vec::new();
        let mut placed: Vec<(usize, usize, Tensor)> = Vec::with_capacity(self.0.len());
        for (at, given) in tensors.into_iter().enumerate() {
            let place = self.specs().position(|spec| spec.name == given.name);
            let problem = match place {
                None => Some(self.no_input(&given.name)),
                Some(place) if placed.iter().any(|(taken, ..)| *taken == place) => {
                    Some(format!("input `{}` is there twice", given.name))
                }
                Some(place) => {
                    let problem = self.0[place].problem(&given.tensor);
                    placed.push((place, at, given.tensor));
                    problem
                }
            };
            misfits.extend(problem.map(|problem| Misfit {
                at: Some(at),
                problem,
            }));
        }
        placed.sort_unstable_by_key(|(place, ..)| *place);
        misfits.extend(self.missing(&placed));
        if misfits.is_empty() {
            misfits.extend(self.other_batches(&placed));
        }
        if !misfits.is_empty() {
            return Err(Error::Tensors { misfits });
        }
        Ok(placed.into_iter().map(|(.., tensor)| tensor).collect())
    }

    fn no_input(&self, name: &str) -> String {
        let names: Vec<String> = self
            .specs()
            .map(|spec| format!("`{}`", spec.name))
            .collect();
        let names = names.join(", ");
        format!("the model has no input `{name}`, it has {names}")
    }

    fn missing(&self, placed: &[(usize, usize, Tensor)]) -> impl Iterator<Item = Misfit> {
        let there = |place: usize| placed.iter().any(|(taken, ..)| *taken == place);
        let missing = self.specs().enumerate().filter(move |(at, _)| !there(*at));
        missing.map(|(_, spec)| Misfit {
            at: None,
            problem: format!("input `{}` is missing", spec.name),
        })
    }

    /// Finds tensors that have not as many rows as the first.
    fn other_batches(&self, placed: &[(usize, usize, Tensor)]) -> impl Iterator<Item = Misfit> {
        let first = placed.first().map(|(place, _, tensor)| {
            let name = &self.0[*place].spec.name;
            (name, tensor.shape[0])
        });
        placed.iter().filter_map(move |(place, at, tensor)| {
            let (first, expected) = first?;
            let (name, rows) = (&self.0[*place].spec.name, tensor.shape[0]);
            (rows != expected).then(|| Misfit {
                at: Some(*at),
                problem: format!("input `{name}` has {rows} rows, input `{first}` has {expected}"),
            })
        })
    }
}

impl Slot {
    /// Returns the first thing that does not fit, if any.
    fn problem(&self, tensor: &Tensor) -> Option<String> {
        let TensorSpec { name, dtype, shape } = &self.spec;
        let found = tensor.data.dtype();
        if found != *dtype {
            return Some(format!(
                "input `{name}` holds {found:?}, the signature says {dtype:?}"
            ));
        }
        let wanted = shape.iter().zip(&tensor.shape);
        let mut axes = wanted.map(|(wanted, found)| wanted.is_none_or(|wanted| wanted == *found));
        if tensor.shape.len() != shape.len() || !axes.all(|fits| fits) {
            return Some(format!(
                "input `{name}` is {:?}, the signature says {}",
                tensor.shape,
                self.shown()
            ));
        }
        let rows = tensor.shape[0];
        if !(1..=LARGEST).contains(&rows) {
            return Some(format!(
                "input `{name}` has {rows} rows, 1 to {LARGEST} are allowed"
            ));
        }
        let (found, expected) = (tensor.data.len(), tensor.shape.iter().product::<usize>());
        if found != expected {
            return Some(format!(
                "input `{name}` holds {found} elements, its shape {:?} {expected}",
                tensor.shape
            ));
        }
        self.element(&tensor.data)
    }

    /// Returns the first element that no feature becomes, if any.
    fn element(&self, data: &Data) -> Option<String> {
        let name = &self.spec.name;
        let whole = |values: &mut dyn Iterator<Item = i64>| {
            let ids = self.ids?;
            let outside = |value: &i64| u64::try_from(*value).map_or(true, |value| value >= ids);
            let (at, value) = values.enumerate().find(|(_, value)| outside(value))?;
            Some(format!(
                "element {at} of input `{name}` is {value}, it must be 0 to {}",
                ids - 1
            ))
        };
        match data {
            Data::I64(values) => whole(&mut values.iter().copied()),
            Data::I32(values) => whole(&mut values.iter().map(|value| i64::from(*value))),
            Data::F32(values) => {
                let at = values.iter().position(|value| !value.is_finite())?;
                Some(format!(
                    "element {at} of input `{name}` is {}, it must be finite",
                    values[at]
                ))
            }
            Data::Bool(_) => None,
        }
    }

    /// Shows the shape, for people.
    fn shown(&self) -> String {
        let axis = |axis: &Option<usize>| axis.map_or("batch".to_owned(), |axis| axis.to_string());
        let axes: Vec<String> = self.spec.shape.iter().map(axis).collect();
        format!("[{}]", axes.join(", "))
    }
}

/// Returns how many ids features can become, counted from 0; none if they become numbers or truth values.
///
/// A length and a mask count too: a model may look rows up by them.
fn ids(input: &Input, vocabularies: &Vocabularies, history: usize) -> Option<u64> {
    if !matches!(input.dtype, Dtype::I64 | Dtype::I32) {
        return None;
    }
    match &input.encoding {
        Encoding::Vocabulary { .. } => Some(u64::from(vocabularies.of(input).len())),
        Encoding::Bucket { edges, offset } => Some(edges.len() as u64 + u64::from(*offset) + 1),
        Encoding::Hash {
            buckets, offset, ..
        } => Some(u64::from(*buckets) + u64::from(*offset)),
        Encoding::Mask => Some(2),
        Encoding::Length => Some(history as u64 + 1),
        Encoding::Numeric { .. } | Encoding::ItemVector => None,
    }
}

#[cfg(test)]
mod tests;
