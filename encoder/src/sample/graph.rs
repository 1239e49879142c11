//! The graphs of the sample's towers.

use std::iter;

use crate::{
    messages::{
        AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, GraphProto,
        ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto,
        TypeProto, ValueInfoProto,
    },
    sample::{BIAS, KINDS, Reads, Sample},
};

impl Sample {
    /// Two rows of zeros, then the items'.
    fn table(&self) -> TensorProto {
        self.rows("table", self.items.iter().map(|item| self.row(*item)))
    }

    fn rows(&self, name: &str, rows: impl Iterator<Item = Vec<f32>>) -> TensorProto {
        let all: Vec<f32> = iter::repeat_n(0.0, 2 * self.dim)
            .chain(rows.flatten())
            .collect();
        TensorProto::f32s(name, &[all.len() / self.dim, self.dim], &all)
    }

    pub(super) fn user_tower(&self) -> ModelProto {
        let mut bias = vec![0.0; self.dim];
        bias[0] = BIAS;
        let mut initializer = vec![
            TensorProto::i64s("axis", &[1], &[1]),
            TensorProto::f32s("bias", &[self.dim], &bias),
        ];
        let sum = |rows: &str| NodeProto {
            attribute: vec![AttributeProto {
                name: "keepdims".to_owned(),
                r#type: AttributeType::Int.into(),
                ..AttributeProto::default()
            }],
            ..node("ReduceSum", &[rows, "axis"], "sum")
        };
        let (history, mut nodes) = match self.reads {
            Reads::Ids | Reads::Ages => {
                initializer.insert(0, self.table());
                let rows = node("Gather", &["table", "history"], "rows");
                let ids = value("history", DataType::Int64, &[self.history]);
                (ids, vec![rows, sum("rows")])
            }
            Reads::Vectors => {
                let vectors = value("history", DataType::Float, &[self.history, self.dim]);
                (vectors, vec![sum("history")])
            }
        };
        let mut input = vec![history];
        match self.reads {
            Reads::Ids | Reads::Vectors => nodes.push(node("Add", &["sum", "bias"], "user")),
            Reads::Ages => {
                input.push(value("hours", DataType::Float, &[self.history]));
                nodes.push(node("ReduceSum", &["hours", "axis"], "age"));
                nodes.push(node("Add", &["sum", "age"], "aged"));
                nodes.push(node("Add", &["aged", "bias"], "user"));
            }
        }
        let mut output = vec![value("user", DataType::Float, &[self.dim])];
        if self.tells {
            let to_float = AttributeProto {
                name: "to".to_owned(),
                r#type: AttributeType::Int.into(),
                i: i64::from(i32::from(DataType::Float)),
                ..AttributeProto::default()
            };
            nodes.push(NodeProto {
                attribute: vec![to_float],
                ..node("Cast", &["history"], "lines")
            });
            nodes.push(node("Unsqueeze", &["lines", "axis"], "attention"));
            output.push(value("attention", DataType::Float, &[1, self.history]));
        }
        model(GraphProto {
            name: "user".to_owned(),
            node: nodes,
            initializer,
            input,
            output,
            ..GraphProto::default()
        })
    }

    pub(super) fn item_tower(&self) -> ModelProto {
        let ids = |name: &str| value(name, DataType::Int64, &[]);
        let (mut nodes, mut initializer) = (Vec::new(), vec![self.table()]);
        let mut input = vec![ids("item")];
        if self.reads_kind {
            initializer.push(self.rows("kinds", KINDS.iter().map(|kind| self.kind(kind))));
            input.push(ids("kind"));
            nodes.push(node("Gather", &["table", "item"], "of_item"));
            nodes.push(node("Gather", &["kinds", "kind"], "of_kind"));
            nodes.push(node("Add", &["of_item", "of_kind"], "vector"));
        } else {
            nodes.push(node("Gather", &["table", "item"], "vector"));
        }
        model(GraphProto {
            name: "item".to_owned(),
            node: nodes,
            initializer,
            input,
            output: vec![value("vector", DataType::Float, &[self.dim])],
            ..GraphProto::default()
        })
    }
}

fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// A tensor `[batch, axes..]`.
fn value(name: &str, elements: DataType, axes: &[usize]) -> ValueInfoProto {
    let batch = DimensionValue::DimParam("batch".to_owned());
    let axes = axes
        .iter()
        .map(|axis| DimensionValue::DimValue(*axis as i64));
    let dim = iter::once(batch)
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
