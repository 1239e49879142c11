//! Users' tensors as files that Python reads.

use std::{fs, path::Path};

use encoder::features::tensors::{Data, Tensor};
use serde_json::{Value, json};

/// Writes `N.bin` for input `N` of an artifact's user tower, all `users` after one another, and `users.json`, which says who they are
/// and what the files hold. `tensors` are those of each user, in the order of the signature.
pub(crate) fn write(
    folder: &Path,
    artifact: &Path,
    users: &[String],
    tensors: &[Vec<Tensor>],
) -> anyhow::Result<()> {
    let signature: Value = serde_json::from_slice(&fs::read(artifact.join("signature.json"))?)?;
    let mut inputs = Vec::new();
    for (number, first) in tensors.first().into_iter().flatten().enumerate() {
        let mut bytes = Vec::new();
        for user in tensors {
            extend(&mut bytes, &user[number].data);
        }
        fs::write(folder.join(format!("{number}.bin")), bytes)?;
        inputs.push(json!({
            "name": signature["user"]["inputs"][number]["name"],
            "dtype": dtype(&first.data),
            "shape": first.shape,
        }));
    }
    let output = &signature["user"]["output"]["name"];
    let described = json!({"users": users, "inputs": inputs, "output": output});
    Ok(fs::write(folder.join("users.json"), described.to_string())?)
}

fn dtype(data: &Data) -> &'static str {
    match data {
        Data::I64(_) => "int64",
        Data::I32(_) => "int32",
        Data::F32(_) => "float32",
        Data::Bool(_) => "bool",
    }
}

fn extend(bytes: &mut Vec<u8>, data: &Data) {
    match data {
        Data::I64(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Data::I32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Data::F32(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Data::Bool(values) => bytes.extend(values.iter().map(|value| u8::from(*value))),
    }
}
