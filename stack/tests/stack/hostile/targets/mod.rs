//! What hostile bytes are fed to: the decoders of files, and the calls of a house.
//!
//! Both `make test` and `make fuzz` build this folder, each into a program of its own: nothing here knows which it is in.

use std::path::Path;

use self::calls::site::Site;

pub(crate) mod calls;
mod catalog;
mod encoder;
mod generation;
mod index;
mod settings;
pub(crate) mod source;

/// A decoder of files.
pub(crate) struct Decoder {
    /// Its name, and that of its folder of seeds.
    pub(crate) name: &'static str,
    /// How many inputs `make test` tries.
    pub(crate) cases: u32,
    /// Decodes bytes, in a folder of its own; panics if what it gives is not what was asked for.
    pub(crate) run: fn(&Path, &[u8]),
}

/// The decoders of files, those first that programs read first.
pub(crate) const DECODERS: [Decoder; 12] = [
    decoder("settings", 3_000, settings::settings),
    decoder("pointer", 6_000, generation::pointer),
    decoder("manifest", 14_000, generation::manifest),
    decoder("rows", 6_000, generation::rows),
    decoder("items", 6_000, index::items),
    decoder("cells", 6_000, index::cells),
    decoder("delta", 6_000, generation::delta),
    decoder("listing", 3_000, encoder::listing),
    decoder("signature", 14_000, encoder::signature),
    decoder("vocabulary", 12_000, encoder::vocabulary),
    decoder("tensor", 14_000, encoder::tensor),
    decoder("golden", 12_000, encoder::golden),
];

/// What takes bytes to a running house, by the name of its folder of seeds.
pub(crate) const HOUSE: [(&str, Sent); 2] = [("calls", calls::any), ("catalog", catalog::catalog)];

/// Sends bytes to a running house.
pub(crate) type Sent = fn(&Site, &[u8]);

const fn decoder(name: &'static str, cases: u32, run: fn(&Path, &[u8])) -> Decoder {
    Decoder { name, cases, run }
}
