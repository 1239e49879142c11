//! Compiles the wire contract with protox, so that no protoc has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("proto");
    let mut files = vec![root.join("inference/inference.proto")];
    for entry in fs::read_dir(root.join("twotower/v1"))? {
        files.push(entry?.path());
    }
    files.sort();
    println!("cargo:rerun-if-changed=proto");

    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("twotower.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".twotower.v1.Vectors")
        .bytes(".inference")
        .codec_path("crate::codec::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}
