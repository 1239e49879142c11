//! The same model behind a Python server, as a team would write it.

use std::{fs, path::Path, process::Command};

use encoder::features::tensors::{Data, Tensor};
use serde_json::json;

use crate::{
    process::Process,
    site::{Site, text},
};

/// A running peer.
pub(crate) struct Peer {
    pub(crate) process: Process,
}

impl Peer {
    /// Starts `examples/bench-user/server.py`, which has the users' tensors ready in memory: it codes no features.
    pub(crate) fn start(
        python: &Path,
        site: &Site,
        users: &[String],
        tensors: &[Vec<Tensor>],
    ) -> anyhow::Result<Self> {
        let folder = site.folder.path().join("peer");
        fs::create_dir(&folder)?;
        let mut inputs = Vec::new();
        let signature: serde_json::Value =
            serde_json::from_slice(&fs::read(site.artifact.join("signature.json"))?)?;
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
        fs::write(folder.join("users.json"), described.to_string())?;
        let mut command = Command::new(python);
        command
            .arg("examples/bench-user/server.py")
            .arg(text(&site.artifact.join("user_tower.onnx")))
            .arg(&folder);
        let process = Process::start(command, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })?;
        Ok(Self { process })
    }
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
