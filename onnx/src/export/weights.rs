//! Reads a trained model's parameters as weights of a graph.

use candle_core::Tensor;

use crate::{
    export::error::Error,
    graph::{Edge, Graph, Weight},
    model::trained::Trained,
};

/// Returns the parameter `name`.
pub(super) fn weight(trained: &Trained, name: &str) -> Result<Weight, Error> {
    let tensor = trained
        .parameters
        .get(name)
        .ok_or_else(|| Error::Parameter {
            name: name.to_owned(),
        })?;
    of(tensor)
}

/// Returns a tensor's axes and values.
pub(super) fn of(tensor: &Tensor) -> Result<Weight, Error> {
    Ok(Weight {
        shape: tensor.dims().to_vec(),
        values: tensor.flatten_all()?.to_vec1()?,
    })
}

/// Returns a single number.
pub(super) fn number(value: f32) -> Weight {
    Weight {
        shape: Vec::new(),
        values: vec![value],
    }
}

/// Adds the affine map of `NAME.weight` and `NAME.bias`.
pub(super) fn affine(
    graph: &mut Graph,
    trained: &Trained,
    name: &str,
    x: &Edge,
) -> Result<Edge, Error> {
    let [weight, bias] = constants(graph, trained, name)?;
    Ok(graph.affine(x, &weight, &bias))
}

/// Adds the layer norm of `NAME.weight` and `NAME.bias`.
pub(super) fn norm(
    graph: &mut Graph,
    trained: &Trained,
    name: &str,
    x: &Edge,
) -> Result<Edge, Error> {
    let [weight, bias] = constants(graph, trained, name)?;
    Ok(graph.layer_norm(x, &weight, &bias, crate::kernels::layer_norm::EPSILON))
}

fn constants(graph: &mut Graph, trained: &Trained, name: &str) -> Result<[Edge; 2], Error> {
    let mut constant = |part: &str| -> Result<Edge, Error> {
        let name = format!("{name}.{part}");
        Ok(graph.constant(&name, &weight(trained, &name)?))
    };
    Ok([constant("weight")?, constant("bias")?])
}
