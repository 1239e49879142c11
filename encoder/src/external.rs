//! Finds the files that a model keeps its weights in, before ONNX Runtime looks for them.

use std::collections::BTreeSet;

use prost::{Message as _, bytes::Bytes};

use crate::messages::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto,
};

/// What the tensors say: a location each, or what is wrong with it.
type Found = BTreeSet<Result<String, String>>;

/// Returns the locations of external data that the model names anywhere.
///
/// # Errors
/// A problem, if the bytes are no ONNX model, or a tensor with external data does not name exactly one location: of
/// several, readers take different ones.
pub(crate) fn locations(model: Bytes) -> Result<BTreeSet<String>, String> {
    let model =
        ModelProto::decode(model).map_err(|cause| format!("it is no ONNX model: {cause}"))?;
    let mut found = Found::new();
    match &model.graph {
        Some(graph) => in_graph(graph, &mut found),
        None => return Err("it is no ONNX model: it has no graph".to_owned()),
    }
    for function in &model.functions {
        function
            .node
            .iter()
            .for_each(|node| in_node(node, &mut found));
        function
            .attribute_proto
            .iter()
            .for_each(|attribute| in_attribute(attribute, &mut found));
    }
    found.into_iter().collect()
}

fn in_graph(graph: &GraphProto, found: &mut Found) {
    graph
        .initializer
        .iter()
        .for_each(|tensor| in_tensor(tensor, found));
    graph
        .sparse_initializer
        .iter()
        .for_each(|tensor| in_sparse(tensor, found));
    graph.node.iter().for_each(|node| in_node(node, found));
}

fn in_node(node: &NodeProto, found: &mut Found) {
    node.attribute
        .iter()
        .for_each(|attribute| in_attribute(attribute, found));
}

fn in_attribute(attribute: &AttributeProto, found: &mut Found) {
    attribute
        .t
        .iter()
        .chain(&attribute.tensors)
        .for_each(|tensor| in_tensor(tensor, found));
    attribute
        .g
        .iter()
        .chain(&attribute.graphs)
        .for_each(|graph| in_graph(graph, found));
    let sparse = attribute
        .sparse_tensor
        .iter()
        .chain(&attribute.sparse_tensors);
    sparse.for_each(|tensor| in_sparse(tensor, found));
}

fn in_sparse(tensor: &SparseTensorProto, found: &mut Found) {
    tensor
        .values
        .iter()
        .chain(&tensor.indices)
        .for_each(|part| in_tensor(part, found));
}

fn in_tensor(tensor: &TensorProto, found: &mut Found) {
    if tensor.data_location == 0 && tensor.external_data.is_empty() {
        return;
    }
    let locations: Vec<&str> = tensor
        .external_data
        .iter()
        .filter(|entry| entry.key == "location")
        .map(|entry| entry.value.as_str())
        .collect();
    found.insert(match locations.as_slice() {
        [location] => Ok((*location).to_owned()),
        _ => Err(format!(
            "external data of tensor `{}` has {} locations, it must have 1",
            tensor.name,
            locations.len()
        )),
    });
}
