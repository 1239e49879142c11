//! Writes golden vectors: raw rows, the tensors and the vectors that they become.

use std::{fs, path::Path};

use encoder::{
    features::tensors::{ItemTensors, Tensor, UserTensors},
    golden::{self, RAW, Raw},
    messages::TensorProto,
    signature::Signature,
    vocabulary::Vocabularies,
};
use prost::Message as _;

use crate::{
    export::{error::Error, rows},
    model::trained::Trained,
};

/// Users and items drawn beside the strange ones.
const ROWS: usize = 6;
const SEED: u64 = 20_261_124;

/// Writes `golden/` with the trainer's own vectors: what serves must reach them from the raw rows.
pub(super) fn write(trained: &Trained, signature: &Signature, dir: &Path) -> Result<(), Error> {
    let vocabularies = Vocabularies::read(signature, |file| {
        let path = dir.join(file);
        fs::read(&path).map_err(|source| encoder::error::Error::File { path, source })
    })?;
    let mut users = rows::strange_users(trained);
    users.extend(rows::users(trained, ROWS, SEED));
    let mut items = rows::strange_items(trained);
    items.extend(rows::items(trained)?.into_iter().take(ROWS));

    let inputs = UserTensors::new(signature, &vocabularies)
        .batch(&users, users.len())
        .tensors;
    set(
        dir,
        0,
        &inputs,
        &match signature.interests {
            1 => vec![users.len(), signature.dim],
            interests => vec![users.len(), interests, signature.dim],
        },
        &trained.embed_users(&users)?.values,
    )?;
    let inputs = ItemTensors::new(signature, &vocabularies).batch(&items, items.len());
    set(
        dir,
        1,
        &inputs,
        &[items.len(), signature.dim],
        &trained.embed_items(&items)?.values,
    )?;
    let raw = dir.join(RAW);
    fs::write(&raw, golden::lines(&[Raw::User(users), Raw::Item(items)])).map_err(Error::file(&raw))
}

fn set(
    dir: &Path,
    number: usize,
    inputs: &[Tensor],
    shape: &[usize],
    vectors: &[f32],
) -> Result<(), Error> {
    let dir = dir.join(format!("golden/test_data_set_{number}"));
    fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
    let write = |name: String, tensor: &TensorProto| {
        let path = dir.join(name);
        fs::write(&path, tensor.encode_to_vec()).map_err(Error::file(&path))
    };
    for (at, input) in inputs.iter().enumerate() {
        write(format!("input_{at}.pb"), &TensorProto::from(input))?;
    }
    write(
        "output_0.pb".to_owned(),
        &TensorProto::f32s("", shape, vectors),
    )
}
