//! The operators that the towers need, by the names of ONNX.

use encoder::messages::{AttributeProto, AttributeType, DataType};

use crate::graph::{Edge, Graph};

impl Graph {
    /// Rows of a table: `[rows, d]` and ids `[..]` give `[.., d]`.
    pub(crate) fn gather(&mut self, table: &Edge, ids: &Edge) -> Edge {
        self.node("Gather", &[table, ids], Vec::new())
    }

    /// The element at `index` of an axis, which goes away; with a list of indices those elements.
    pub(crate) fn pick(&mut self, x: &Edge, index: &Edge, axis: i64) -> Edge {
        self.node("Gather", &[x, index], vec![integer("axis", axis)])
    }

    /// The sum, with broadcasting.
    pub(crate) fn add(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Add", &[a, b], Vec::new())
    }

    /// The product by elements, with broadcasting.
    pub(crate) fn mul(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Mul", &[a, b], Vec::new())
    }

    /// The quotient by elements, with broadcasting.
    pub(crate) fn div(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Div", &[a, b], Vec::new())
    }

    /// The root of each element.
    pub(crate) fn sqrt(&mut self, x: &Edge) -> Edge {
        self.node("Sqrt", &[x], Vec::new())
    }

    /// The logistic function.
    pub(crate) fn sigmoid(&mut self, x: &Edge) -> Edge {
        self.node("Sigmoid", &[x], Vec::new())
    }

    /// The difference, with broadcasting.
    pub(crate) fn sub(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Sub", &[a, b], Vec::new())
    }

    /// The larger by elements, with broadcasting.
    pub(crate) fn max(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Max", &[a, b], Vec::new())
    }

    /// The smaller by elements, with broadcasting.
    pub(crate) fn min(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Min", &[a, b], Vec::new())
    }

    /// The natural logarithm.
    pub(crate) fn log(&mut self, x: &Edge) -> Edge {
        self.node("Log", &[x], Vec::new())
    }

    /// The whole number below.
    pub(crate) fn floor(&mut self, x: &Edge) -> Edge {
        self.node("Floor", &[x], Vec::new())
    }

    /// The running sum along an axis.
    pub(crate) fn cumulative_sum(&mut self, x: &Edge, axis: i64) -> Edge {
        let axis = self.id(axis);
        self.node("CumSum", &[x, &axis], Vec::new())
    }

    /// The same numbers as elements of another type.
    pub(crate) fn cast(&mut self, x: &Edge, to: DataType) -> Edge {
        let to = i64::from(i32::from(to));
        self.node("Cast", &[x], vec![integer("to", to)])
    }

    /// What is positive.
    pub(crate) fn relu(&mut self, x: &Edge) -> Edge {
        self.node("Relu", &[x], Vec::new())
    }

    /// `x weight' + bias` for `x [n, in]`, `weight [out, in]`, `bias [out]`.
    pub(crate) fn affine(&mut self, x: &Edge, weight: &Edge, bias: &Edge) -> Edge {
        self.node("Gemm", &[x, weight, bias], vec![integer("transB", 1)])
    }

    /// The matrix product over the last two axes.
    pub(crate) fn matmul(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("MatMul", &[a, b], Vec::new())
    }

    /// Layer norm over the last axis.
    pub(crate) fn layer_norm(
        &mut self,
        x: &Edge,
        weight: &Edge,
        bias: &Edge,
        epsilon: f32,
    ) -> Edge {
        let attributes = vec![integer("axis", -1), float("epsilon", epsilon)];
        self.node("LayerNormalization", &[x, weight, bias], attributes)
    }

    /// Softmax over the last axis.
    pub(crate) fn softmax(&mut self, x: &Edge) -> Edge {
        self.node("Softmax", &[x], vec![integer("axis", -1)])
    }

    /// The same elements under other axes; one may be -1, and 0 keeps the axis at its place.
    pub(crate) fn reshape(&mut self, x: &Edge, axes: &[i64]) -> Edge {
        let axes = self.integers(axes);
        self.node("Reshape", &[x, &axes], Vec::new())
    }

    /// The same elements with axes in another order.
    pub(crate) fn transpose(&mut self, x: &Edge, order: &[i64]) -> Edge {
        self.node("Transpose", &[x], vec![integers("perm", order)])
    }

    /// New axes of length 1.
    pub(crate) fn unsqueeze(&mut self, x: &Edge, axes: &[i64]) -> Edge {
        let axes = self.integers(axes);
        self.node("Unsqueeze", &[x, &axes], Vec::new())
    }

    /// `N` parts of an axis, each of length `size`.
    pub(crate) fn split<const N: usize>(&mut self, x: &Edge, axis: i64, size: usize) -> [Edge; N] {
        let sizes = self.integers(&[size as i64; N]);
        self.nodes("Split", &[x, &sizes], vec![integer("axis", axis)])
    }

    /// Edges side by side along an axis.
    pub(crate) fn concat(&mut self, edges: &[&Edge], axis: i64) -> Edge {
        self.node("Concat", edges, vec![integer("axis", axis)])
    }

    /// The sum over an axis, which goes away.
    pub(crate) fn reduce_sum(&mut self, x: &Edge, axis: i64) -> Edge {
        let axes = self.integers(&[axis]);
        self.node("ReduceSum", &[x, &axes], vec![integer("keepdims", 0)])
    }

    /// Where ids are equal.
    pub(crate) fn equal(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("Equal", &[a, b], Vec::new())
    }

    /// Where `a` is not below `b`, with broadcasting.
    pub(crate) fn at_least(&mut self, a: &Edge, b: &Edge) -> Edge {
        self.node("GreaterOrEqual", &[a, b], Vec::new())
    }

    /// `yes` where the condition holds, `no` elsewhere.
    pub(crate) fn choose(&mut self, condition: &Edge, yes: &Edge, no: &Edge) -> Edge {
        self.node("Where", &[condition, yes, no], Vec::new())
    }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: value,
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.to_vec(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: value,
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    }
}
