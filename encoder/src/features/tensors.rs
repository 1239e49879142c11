//! Turns batches of users or items into padded tensors, by the signature.
//!
//! This is the only code that pads, looks up, buckets and hashes: training, serving and indexing share it. Every id it
//! gives is below its vocabulary's length, so none can reach outside a table in native code.

mod pad;
pub mod review;

use crate::{
    features::{
        Event, Features, Item, User, Value,
        coder::{Coder, Raw},
        history::{self, Kept},
    },
    gather::ItemVectors,
    signature::{Dtype, HistorySpec, Input, Order, Side, Signature, Source, Tower},
    vocabulary::{Key, Vocabularies},
};

/// A tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its axes; the first is the batch.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Data,
}

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// Makes the input tensors of the user tower.
#[derive(Debug)]
pub struct UserTensors {
    columns: Vec<Column>,
    history: HistorySpec,
    reads_item_vectors: bool,
}

/// Makes the input tensors of the item tower.
#[derive(Debug)]
pub struct ItemTensors {
    columns: Vec<Column>,
}

/// The tensors of a batch of users.
#[derive(Debug, Clone, PartialEq)]
pub struct UserBatch {
    /// In the order of the signature's inputs.
    pub tensors: Vec<Tensor>,
    /// Per user: no event of the history is known.
    pub cold: Vec<bool>,
    /// Per user: the items of the events that the model sees, oldest first.
    pub items: Vec<Vec<u64>>,
}

/// One input tensor and what fills it.
#[derive(Debug)]
struct Column {
    source: Source,
    coder: Coder,
    is_item_vector: bool,
    dtype: Dtype,
    row: Vec<usize>,
}

/// What one row of a batch is made of.
struct Row<'a> {
    id: Raw<'a>,
    features: &'a Features,
    history: Vec<Kept<'a>>,
    time: Option<i64>,
    vectors: Option<&'a dyn ItemVectors>,
}

impl UserTensors {
    /// Prepares for the user tower.
    ///
    /// # Panics
    /// If `vocabularies` were read for another signature.
    pub fn new(signature: &Signature, vocabularies: &Vocabularies) -> Self {
        Self {
            columns: columns(&signature.user, vocabularies),
            history: signature.history,
            reads_item_vectors: signature.reads_item_vectors(),
        }
    }

    /// Makes the tensors of `rows` rows: the users, then unknown users without a history.
    ///
    /// A model that reads item vectors knows no item then.
    pub fn batch(&self, users: &[User], rows: usize) -> UserBatch {
        self.batch_with(users, rows, None)
    }

    /// Makes the tensors of `rows` rows as [`batch`](UserTensors::batch), with the vectors of items at hand.
    ///
    /// The vectors must be as long as the signature's `dim`.
    pub fn batch_with(
        &self,
        users: &[User],
        rows: usize,
        vectors: Option<&dyn ItemVectors>,
    ) -> UserBatch {
        let nobody = User::default();
        let padding = rows.saturating_sub(users.len());
        let made: Vec<Row<'_>> = users
            .iter()
            .chain(std::iter::repeat_n(&nobody, padding))
            .map(|user| self.row(user, vectors))
            .collect();
        UserBatch {
            tensors: self
                .columns
                .iter()
                .map(|column| column.tensor(&made, self.history))
                .collect(),
            cold: made[..users.len()]
                .iter()
                .map(|row| row.history.is_empty())
                .collect(),
            items: made[..users.len()].iter().map(Row::items).collect(),
        }
    }

    /// Returns whether the model can tell the event's item from one it has never seen: by its vector if the model reads
    /// vectors, else by all of its vocabularies of items.
    fn knows(&self, event: &Event, vectors: Option<&dyn ItemVectors>) -> bool {
        if self.reads_item_vectors {
            return vectors.is_some_and(|vectors| vectors.vector(event.item).is_some());
        }
        let of_items = |column: &&Column| column.source == Source::HistoryItem;
        let mut items = self.columns.iter().filter(of_items);
        items.all(|column| column.coder.knows(Raw::Is(Key::Item(event.item))))
    }

    fn row<'a>(&self, user: &'a User, vectors: Option<&'a dyn ItemVectors>) -> Row<'a> {
        Row {
            id: match user.id.as_str() {
                "" => Raw::Missing,
                id => Raw::Is(Key::Text(id)),
            },
            features: &user.features,
            history: history::keep(&user.history, self.history.length, |event| {
                self.knows(event, vectors)
            }),
            time: user.time,
            vectors,
        }
    }
}

impl Row<'_> {
    fn items(&self) -> Vec<u64> {
        self.history.iter().map(|kept| kept.event.item).collect()
    }
}

impl ItemTensors {
    /// Prepares for the item tower.
    ///
    /// # Panics
    /// If `vocabularies` were read for another signature.
    pub fn new(signature: &Signature, vocabularies: &Vocabularies) -> Self {
        Self {
            columns: columns(&signature.item, vocabularies),
        }
    }

    /// Makes the tensors of `rows` rows: the items, then unknown items without features.
    pub fn batch(&self, items: &[Item], rows: usize) -> Vec<Tensor> {
        let nothing = Features::new();
        let padding = rows.saturating_sub(items.len());
        let made: Vec<Row<'_>> = items
            .iter()
            .map(|item| (Raw::Is(Key::Item(item.id)), &item.features))
            .chain(std::iter::repeat_n((Raw::Missing, &nothing), padding))
            .map(|(id, features)| Row {
                id,
                features,
                history: Vec::new(),
                time: None,
                vectors: None,
            })
            .collect();
        let no_history = HistorySpec {
            length: 0,
            side: Side::Left,
            order: Order::OldestFirst,
        };
        self.columns
            .iter()
            .map(|column| column.tensor(&made, no_history))
            .collect()
    }

    /// Returns whether the model can tell the item from one it has never seen. A model that takes no id knows all.
    pub fn knows(&self, id: u64) -> bool {
        self.columns
            .iter()
            .filter(|column| column.source == Source::ItemId)
            .all(|column| column.coder.knows(Raw::Is(Key::Item(id))))
    }
}

impl Column {
    fn new(input: &Input, vocabularies: &Vocabularies) -> Self {
        Self {
            source: input.source.clone(),
            coder: Coder::new(input, vocabularies),
            is_item_vector: input.is_item_vector(),
            dtype: input.dtype,
            row: input.shape.iter().skip(1).flatten().copied().collect(),
        }
    }

    fn tensor(&self, rows: &[Row<'_>], history: HistorySpec) -> Tensor {
        let width: usize = self.row.iter().product();
        let mut data = Data::with_capacity(self.dtype, rows.len() * width);
        for row in rows {
            self.fill(row, width, history, &mut data);
        }
        Tensor {
            shape: std::iter::once(rows.len())
                .chain(self.row.iter().copied())
                .collect(),
            data,
        }
    }

    /// Appends one row of `width` elements.
    fn fill(&self, row: &Row<'_>, width: usize, history: HistorySpec, data: &mut Data) {
        match &self.source {
            Source::UserId | Source::ItemId => data.push(self.coder.code(row.id)),
            Source::User(feature) | Source::Item(feature) => {
                self.fill_feature(row, feature, width, data)
            }
            Source::HistoryLength => data.push(row.history.len() as f64),
            Source::HistoryItem
            | Source::HistoryValue
            | Source::HistoryKind
            | Source::HistoryGap
            | Source::HistoryAge
            | Source::HistoryMask => self.fill_history(row, history, data),
        }
    }

    /// Appends the values of a feature, then padding. One unknown if there is no such feature; none if its list is empty.
    fn fill_feature(&self, row: &Row<'_>, feature: &str, width: usize, data: &mut Data) {
        let value = row.features.get(feature);
        let empty = width > 1 && matches!(value, Some(Value::List(values)) if values.is_empty());
        for at in 0..width {
            let element = match Raw::of(value, at) {
                Some(raw) => self.coder.code(raw),
                None if at == 0 && !empty => self.coder.code(Raw::Missing),
                None => self.coder.padding(),
            };
            data.push(element);
        }
    }

    fn fill_history(&self, row: &Row<'_>, spec: HistorySpec, data: &mut Data) {
        let elements = if self.is_item_vector { self.row[1] } else { 1 };
        let padding = (spec.length - row.history.len()) * elements;
        if spec.side == Side::Left {
            data.repeat(self.coder.padding(), padding);
        }
        let events = row.history.iter();
        match spec.order {
            Order::OldestFirst => events.for_each(|kept| self.fill_event(row, kept, data)),
            Order::NewestFirst => events
                .rev()
                .for_each(|kept| self.fill_event(row, kept, data)),
        }
        if spec.side == Side::Right {
            data.repeat(self.coder.padding(), padding);
        }
    }

    fn fill_event(&self, row: &Row<'_>, kept: &Kept<'_>, data: &mut Data) {
        if self.is_item_vector {
            let vector = row
                .vectors
                .and_then(|vectors| vectors.vector(kept.event.item));
            data.extend(&vector.expect("only events whose item has a vector are kept"));
        } else {
            data.push(self.event(kept, row.time));
        }
    }

    fn event(&self, kept: &Kept<'_>, request: Option<i64>) -> f64 {
        let key = match &self.source {
            Source::HistoryItem => Key::Item(kept.event.item),
            Source::HistoryKind => Key::Text(&kept.event.kind),
            Source::HistoryGap => Key::Number(kept.gap as f64),
            Source::HistoryAge => Key::Number(history::age(kept.event.time, request) as f64),
            _ => Key::Number(f64::from(kept.event.value)),
        };
        self.coder.code(Raw::Is(key))
    }
}

impl Data {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::I64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// Returns the element type.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::I64(_) => Dtype::I64,
            Self::I32(_) => Dtype::I32,
            Self::F32(_) => Dtype::F32,
            Self::Bool(_) => Dtype::Bool,
        }
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns element `at` as a number; truth is 1.
    ///
    /// # Panics
    /// If there are not that many elements.
    pub fn number(&self, at: usize) -> f64 {
        match self {
            Self::I64(values) => values[at] as f64,
            Self::I32(values) => f64::from(values[at]),
            Self::F32(values) => f64::from(values[at]),
            Self::Bool(values) => f64::from(u8::from(values[at])),
        }
    }

    fn with_capacity(dtype: Dtype, capacity: usize) -> Self {
        match dtype {
            Dtype::I64 => Self::I64(Vec::with_capacity(capacity)),
            Dtype::I32 => Self::I32(Vec::with_capacity(capacity)),
            Dtype::F32 => Self::F32(Vec::with_capacity(capacity)),
            Dtype::Bool => Self::Bool(Vec::with_capacity(capacity)),
        }
    }

    fn push(&mut self, element: f64) {
        self.repeat(element, 1);
    }

    fn extend(&mut self, elements: &[f32]) {
        match self {
            Self::F32(values) => values.extend_from_slice(elements),
            _ => elements
                .iter()
                .for_each(|element| self.push(f64::from(*element))),
        }
    }

    fn repeat(&mut self, element: f64, times: usize) {
        match self {
            Self::I64(values) => values.resize(values.len() + times, element as i64),
            Self::I32(values) => values.resize(values.len() + times, element as i32),
            Self::F32(values) => values.resize(values.len() + times, element as f32),
            Self::Bool(values) => values.resize(values.len() + times, element != 0.0),
        }
    }
}

fn columns(tower: &Tower, vocabularies: &Vocabularies) -> Vec<Column> {
    tower
        .inputs
        .iter()
        .map(|input| Column::new(input, vocabularies))
        .collect()
}

#[cfg(test)]
mod tests;
