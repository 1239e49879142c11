//! Builds ONNX graphs: opset 17, IR version 8, a dynamic batch.
//!
//! An [`Edge`] is a tensor of the graph under construction. [`Graph`] has inputs, constants and outputs here, the
//! operators in [`ops`].

mod ops;

use std::collections::BTreeMap;

use encoder::messages::{
    AttributeProto, DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// The version of ONNX's operators.
const OPSET: i64 = 17;
/// The version of the file format.
const IR_VERSION: i64 = 8;
/// What the dynamic axis is called.
const BATCH: &str = "batch";

/// A tensor of the graph, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge(String);

/// A weight: its axes and its values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weight {
    /// The axes.
    pub(crate) shape: Vec<usize>,
    /// In row-major order.
    pub(crate) values: Vec<f32>,
}

/// A graph under construction; nodes are in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    proto: GraphProto,
    integers: BTreeMap<Vec<i64>, Edge>,
    ids: BTreeMap<i64, Edge>,
}

impl Graph {
    /// Begins a graph.
    pub(crate) fn new(name: &str) -> Self {
        let mut graph = Self::default();
        name.clone_into(&mut graph.proto.name);
        graph
    }

    /// Adds an input of ids, `[batch, axes..]`.
    pub(crate) fn input_ids(&mut self, name: &str, axes: &[usize]) -> Edge {
        self.proto.input.push(tensor(name, DataType::Int64, axes));
        Edge(name.to_owned())
    }

    /// The input of this name, which is there already.
    pub(crate) fn input(&self, name: &str) -> Edge {
        debug_assert!(self.proto.input.iter().any(|input| input.name == name));
        Edge(name.to_owned())
    }

    /// Adds an input of numbers, `[batch, axes..]`.
    pub(crate) fn input_numbers(&mut self, name: &str, axes: &[usize]) -> Edge {
        self.proto.input.push(tensor(name, DataType::Float, axes));
        Edge(name.to_owned())
    }

    /// Makes `edge` the output `name`, `[batch, axes..]` of f32.
    pub(crate) fn output(&mut self, edge: &Edge, name: &str, axes: &[usize]) {
        let named = node("Identity", &[edge], vec![name.to_owned()], Vec::new());
        self.proto.node.push(named);
        self.proto.output.push(tensor(name, DataType::Float, axes));
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, name: &str, weight: &Weight) -> Edge {
        let proto = TensorProto::f32s(name, &weight.shape, &weight.values);
        self.proto.initializer.push(proto);
        Edge(name.to_owned())
    }

    /// Adds a list of integers, such as axes; equal lists share one constant.
    pub(crate) fn integers(&mut self, values: &[i64]) -> Edge {
        if let Some(edge) = self.integers.get(values) {
            return edge.clone();
        }
        let edge = Edge(format!("integers.{}", self.integers.len()));
        let proto = TensorProto::i64s(&edge.0, &[values.len()], values);
        self.proto.initializer.push(proto);
        self.integers.insert(values.to_vec(), edge.clone());
        edge
    }

    /// Adds a single id; equal ones share one constant.
    pub(crate) fn id(&mut self, value: i64) -> Edge {
        let name = format!("id.{value}");
        let initializer = &mut self.proto.initializer;
        let edge = self.ids.entry(value).or_insert_with(|| {
            initializer.push(TensorProto::i64s(&name, &[], &[value]));
            Edge(name)
        });
        edge.clone()
    }

    /// Ends the graph; `provenance` becomes the model's metadata.
    pub(crate) fn finish(self, producer: &str, provenance: &[(String, String)]) -> ModelProto {
        let entry = |(key, value): &(String, String)| StringStringEntryProto {
            key: key.clone(),
            value: value.clone(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: producer.to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
            metadata_props: provenance.iter().map(entry).collect(),
            graph: Some(self.proto),
            ..ModelProto::default()
        }
    }

    /// Adds a node with one output.
    fn node(&mut self, op: &str, inputs: &[&Edge], attributes: Vec<AttributeProto>) -> Edge {
        let name = format!("{op}.{}", self.proto.node.len());
        self.proto
            .node
            .push(node(op, inputs, vec![name.clone()], attributes));
        Edge(name)
    }

    /// Adds a node with several outputs.
    fn nodes<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&Edge],
        attributes: Vec<AttributeProto>,
    ) -> [Edge; N] {
        let at = self.proto.node.len();
        let names: [Edge; N] = std::array::from_fn(|output| Edge(format!("{op}.{at}.{output}")));
        let outputs = names.iter().map(|edge| edge.0.clone()).collect();
        self.proto.node.push(node(op, inputs, outputs, attributes));
        names
    }
}

impl Weight {
    /// Multiplies every value.
    pub(crate) fn scaled(mut self, factor: f32) -> Self {
        self.values.iter_mut().for_each(|value| *value *= factor);
        self
    }

    /// Returns the first axis the other way round.
    pub(crate) fn reversed(&self) -> Self {
        let size: usize = self.shape[1..].iter().product();
        let rows = self.values.chunks_exact(size).rev();
        Self {
            shape: self.shape.clone(),
            values: rows.flatten().copied().collect(),
        }
    }

    /// Returns a matrix with rows and columns exchanged.
    pub(crate) fn transposed(&self) -> Self {
        let (rows, columns) = (self.shape[0], self.shape[1]);
        let column = |column| (0..rows).map(move |row| row * columns + column);
        let places = (0..columns).flat_map(column);
        Self {
            shape: vec![columns, rows],
            values: places.map(|place| self.values[place]).collect(),
        }
    }

    /// Returns rows `range` of the first axis.
    pub(crate) fn rows(&self, range: std::ops::Range<usize>) -> Self {
        let size: usize = self.shape[1..].iter().product();
        let mut shape = self.shape.clone();
        shape[0] = range.len();
        Self {
            shape,
            values: self.values[range.start * size..range.end * size].to_vec(),
        }
    }
}

fn node(
    op: &str,
    inputs: &[&Edge],
    output: Vec<String>,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: output[0].clone(),
        op_type: op.to_owned(),
        input: inputs.iter().map(|edge| edge.0.clone()).collect(),
        output,
        attribute,
        ..NodeProto::default()
    }
}

fn tensor(name: &str, elements: DataType, axes: &[usize]) -> ValueInfoProto {
    let batch = DimensionValue::DimParam(BATCH.to_owned());
    let axes = axes
        .iter()
        .map(|axis| DimensionValue::DimValue(*axis as i64));
    let dim = std::iter::once(batch)
        .chain(axes)
        .map(|value| DimensionProto { value: Some(value) });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: elements.into(),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}
