//! A bounded pool of sessions of one model.

use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, PoisonError},
};

use ort::{
    session::{Session, SessionInputValue, SessionOutputs},
    value::TensorRef,
};

use crate::{
    artifact::Artifact,
    error::Error,
    features::tensors::{Data, Tensor},
    session::{
        attention::NotFinite,
        contract::{Contract, Promise},
        given::TensorSpec,
        model::Model,
        runtime,
    },
};

/// Sessions of one model, checked against the signature.
#[derive(Debug)]
pub(super) struct Pool {
    file: &'static str,
    contract: Contract,
    /// What the outputs are like, in the order of the signature.
    pub(super) gives: Vec<TensorSpec>,
    idle: Mutex<Vec<Session>>,
    returned: Condvar,
}

/// What a tower gave for a batch, without its padding rows.
#[derive(Debug)]
pub(super) struct Outputs {
    /// `[rows, ..]`.
    pub(super) vectors: Vec<f32>,
    /// `[rows, interests]`, empty if the tower gives none.
    pub(super) weights: Vec<f32>,
    /// `[rows, interests, length]`, empty if the tower gives none; numbers of padding may be anything.
    pub(super) attention: Vec<f32>,
}

/// Tensors lent to ONNX Runtime, by their names.
type Feed<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

/// A session out of the pool; it goes back when dropped.
struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Pool {
    /// Makes `sessions` sessions of an artifact's model, at least one.
    pub(super) fn open(
        artifact: &Artifact,
        file: &'static str,
        contract: Contract,
        sessions: usize,
    ) -> Result<Self, Error> {
        let environment = runtime::environment()?;
        let model = Model::read(artifact, file)?;
        let idle = (0..sessions.max(1))
            .map(|_| model.session(&environment))
            .collect::<Result<Vec<_>, _>>()?;
        let problems = contract.problems(&idle[0]);
        if !problems.is_empty() {
            return Err(Error::Model {
                file: file.to_owned(),
                problems,
            });
        }
        Ok(Self {
            file,
            gives: contract.gives(&idle[0]),
            contract,
            idle: Mutex::new(idle),
            returned: Condvar::new(),
        })
    }

    /// Runs a batch on the next free session, and returns its first `rows` rows.
    pub(super) fn run(&self, tensors: &[Tensor], rows: usize) -> Result<Outputs, Error> {
        let (feed, batch) = self.feed(tensors)?;
        let mut session = self.lease();
        let outputs = session.run(feed).map_err(|cause| self.failed(&cause))?;
        let take = |promise: &Promise| self.take(&outputs, promise, batch, rows);
        let take_finite = |promise: &Promise| self.finite(promise, take(promise)?, rows);
        let (weights, attention) = (&self.contract.weights, &self.contract.attention);
        Ok(Outputs {
            vectors: take_finite(&self.contract.vectors)?,
            weights: weights.as_ref().map_or(Ok(Vec::new()), take_finite)?,
            attention: attention.as_ref().map_or(Ok(Vec::new()), take)?,
        })
    }

    /// Runs a batch as [`Pool::run`], and returns the first `rows` rows of each tensor of `gives`.
    pub(super) fn run_all(&self, tensors: &[Tensor], rows: usize) -> Result<Vec<Vec<f32>>, Error> {
        let (feed, batch) = self.feed(tensors)?;
        let mut session = self.lease();
        let outputs = session.run(feed).map_err(|cause| self.failed(&cause))?;
        let is_attention = |promise: &Promise| {
            let attention = self.contract.attention.as_ref();
            attention.is_some_and(|attention| attention.name == promise.name)
        };
        let take = |promise| {
            let values = self.take(&outputs, promise, batch, rows)?;
            // What attention says of padding may be anything.
            match is_attention(promise) {
                true => Ok(values),
                false => self.finite(promise, values, rows),
            }
        };
        self.contract.promises().map(take).collect()
    }

    /// Names the tensors, and returns them with their batch.
    fn feed<'a>(&'a self, tensors: &'a [Tensor]) -> Result<(Feed<'a>, usize), Error> {
        let mut feed = Vec::with_capacity(tensors.len());
        for (input, tensor) in self.contract.inputs.iter().zip(tensors) {
            let value = view(tensor).map_err(|cause| self.failed(&cause))?;
            feed.push((Cow::Borrowed(input.name.as_str()), value));
        }
        let batch = tensors
            .first()
            .and_then(|tensor| tensor.shape.first())
            .copied()
            .unwrap_or(0);
        Ok((feed, batch))
    }

    /// The error for a number of the attention that is not finite.
    pub(super) fn attention_error(&self, found: &NotFinite) -> Error {
        let attention = self.contract.attention.as_ref();
        let output = attention.map_or("", |promise| promise.name.as_str());
        self.not_finite(output, found)
    }

    /// Waits for a free session.
    fn lease(&self) -> Lease<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let session = loop {
            match idle.pop() {
                Some(session) => break session,
                None => {
                    idle = self
                        .returned
                        .wait(idle)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        };
        Lease {
            pool: self,
            session: Some(session),
        }
    }

    /// Copies the first `rows` rows of an output.
    fn take(
        &self,
        outputs: &SessionOutputs<'_>,
        promise: &Promise,
        batch: usize,
        rows: usize,
    ) -> Result<Vec<f32>, Error> {
        let refuse = |problem: String| Error::Run {
            file: self.file.to_owned(),
            problem,
        };
        let output = outputs
            .get(promise.name.as_str())
            .ok_or_else(|| refuse(format!("it gave no output `{}`", promise.name)))?;
        let (shape, values) = output
            .try_extract_tensor::<f32>()
            .map_err(|cause| self.failed(&cause))?;
        if !promise.fits(shape, batch) {
            return Err(refuse(format!(
                "output `{}` of a batch of {batch} is {:?}, it must be {}",
                promise.name,
                &shape[..],
                promise.shown()
            )));
        }
        let size = values.len() / batch.max(1);
        Ok(values[..rows * size].to_vec())
    }

    /// Refuses `rows` rows of an output of whose numbers one is not finite.
    fn finite(&self, promise: &Promise, values: Vec<f32>, rows: usize) -> Result<Vec<f32>, Error> {
        let Some(at) = values.iter().position(|value| !value.is_finite()) else {
            return Ok(values);
        };
        let found = NotFinite {
            row: at / (values.len() / rows),
            value: values[at],
        };
        Err(self.not_finite(&promise.name, &found))
    }

    fn not_finite(&self, output: &str, found: &NotFinite) -> Error {
        Error::NonFinite {
            file: self.file.to_owned(),
            output: output.to_owned(),
            row: found.row,
            value: found.value,
        }
    }

    fn failed(&self, cause: &ort::Error) -> Error {
        Error::Run {
            file: self.file.to_owned(),
            problem: format!("ONNX Runtime failed: {}", cause.message()),
        }
    }
}

/// Lends a tensor's elements to ONNX Runtime.
fn view(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape.clone();
    Ok(match &tensor.data {
        Data::I64(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
        Data::I32(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
        Data::F32(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
        Data::Bool(values) => TensorRef::from_array_view((shape, values.as_slice()))?.into(),
    })
}

impl Deref for Lease<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
            .as_ref()
            .expect("a lease holds its session until it is dropped")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
            .as_mut()
            .expect("a lease holds its session until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let mut idle = self
                .pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            idle.push(session);
            self.pool.returned.notify_one();
        }
    }
}
