//! Finds the files that a model keeps its weights in, before ONNX Runtime looks for them.

use std::collections::BTreeSet;

use prost::{Message as _, bytes::Bytes};

use crate::messages::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto,
};

/// Returns the locations of external data that the model names anywhere.
///
/// # Errors
/// A problem, if the bytes are no ONNX model.
pub(crate) fn locations(model: Bytes) -> Result<BTreeSet<String>, String> {
    let model =
        ModelProto::decode(model).map_err(|cause| format!("it is no ONNX model: {cause}"))?;
    let mut found = BTreeSet::new();
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
    Ok(found)
}

fn in_graph(graph: &GraphProto, found: &mut BTreeSet<String>) {
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

fn in_node(node: &NodeProto, found: &mut BTreeSet<String>) {
    node.attribute
        .iter()
        .for_each(|attribute| in_attribute(attribute, found));
}

fn in_attribute(attribute: &AttributeProto, found: &mut BTreeSet<String>) {
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

fn in_sparse(tensor: &SparseTensorProto, found: &mut BTreeSet<String>) {
    tensor
        .values
        .iter()
        .chain(&tensor.indices)
        .for_each(|part| in_tensor(part, found));
}

fn in_tensor(tensor: &TensorProto, found: &mut BTreeSet<String>) {
    if tensor.data_location != 0 || !tensor.external_data.is_empty() {
        let location = tensor
            .external_data
            .iter()
            .find(|entry| entry.key == "location");
        found.insert(
            location
                .map(|entry| entry.value.clone())
                .unwrap_or_default(),
        );
    }
}
