//! The wire contract of twotower: `proto/twotower/v1/*.proto`, and `inference` beside it, and the types made from them.
//!
//! Ground floor of the house; depends on no other crate of it and holds no logic. Binaries name
//! these types only in their `grpc.rs`, `error.rs` and client files.

/// Package `twotower.v1`: messages, clients and servers.
#[expect(
    clippy::all,
    reason = "generated; the comments of the .proto files are the documentation"
)]
pub mod v1 {
    tonic::include_proto!("twotower.v1");
}

/// Package `inference`: the Open Inference Protocol, version 2.
pub mod inference {
    tonic::include_proto!("inference");
}

pub mod codec;
pub mod roles;

/// The compiled file descriptors, for server reflection and for tables over all RPCs.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/twotower.bin"));
