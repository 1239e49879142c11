//! What can be wrong with an artifact, a library or a batch.

use std::{io, path::PathBuf};

/// Why an artifact cannot be opened, or a batch not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the artifact cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file's name would leave the artifact's directory, or is none.
    #[error("{name:?} names no file inside the artifact")]
    Name {
        /// The name as found.
        name: String,
    },
    /// A file that the artifact needs is not listed in `artifact.json`.
    #[error("{} does not list {name}", .dir.display())]
    Unlisted {
        /// The artifact.
        dir: PathBuf,
        /// The file.
        name: String,
    },
    /// A file's size is not the one listed, or is more than this program takes.
    #[error("{}: {found} bytes, expected {expected}", .path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The size listed or allowed.
        expected: String,
    },
    /// A file's content is not the one listed.
    #[error("{}: hash {found}, artifact.json lists {expected}", .path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The hash of its bytes.
        found: String,
        /// The hash listed.
        expected: String,
    },
    /// The listing hashes to another name than the one it carries.
    #[error("{}: the listing makes space {found}, but says {expected}", .path.display())]
    Space {
        /// `artifact.json`.
        path: PathBuf,
        /// What the listing makes.
        found: String,
        /// What it says.
        expected: String,
    },
    /// A JSON file does not hold what it should.
    #[error("{}: {problem}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// `signature.json` cannot be served.
    #[error("signature.json: {}", .problems.join("; "))]
    Signature {
        /// Everything that is wrong, saying where.
        problems: Vec<String>,
    },
    /// A vocabulary file cannot be used.
    #[error("{file}: {problem}")]
    Vocabulary {
        /// The file's name in the artifact.
        file: String,
        /// What is wrong, and at which line.
        problem: String,
    },
    /// The ONNX Runtime library cannot be found or loaded.
    #[error("{problem}; {}", crate::session::HINT)]
    Library {
        /// What is wrong.
        problem: String,
    },
    /// A model is refused: by ONNX Runtime, or because it is not what the signature says.
    #[error("{file}: {}", .problems.join("; "))]
    Model {
        /// The ONNX file.
        file: String,
        /// Everything that is wrong.
        problems: Vec<String>,
    },
    /// ONNX Runtime failed on a batch, or gave an output of another shape.
    #[error("{file}: {problem}")]
    Run {
        /// The ONNX file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The user tower reads the vectors of items, and has none, or none that fit.
    #[error(
        "user_tower.onnx: it takes item vectors of length {expected}, {}",
        .found.map_or_else(|| "none were handed in".to_owned(), |found| format!("those handed in have length {found}"))
    )]
    ItemVectors {
        /// The length of the vectors handed in.
        found: Option<usize>,
        /// The length that the model takes.
        expected: usize,
    },
    /// Tensors handed in are not what the user tower takes; it did not run.
    #[error("user_tower.onnx: {}", .misfits.iter().map(|misfit| misfit.problem.as_str()).collect::<Vec<_>>().join("; "))]
    Tensors {
        /// Everything that does not fit.
        misfits: Vec<Misfit>,
    },
    /// A tower gave a number that is none.
    #[error("{file}: output {output} of row {row} is {value}, not a finite number")]
    NonFinite {
        /// The ONNX file.
        file: String,
        /// The output tensor.
        output: String,
        /// The row of the batch.
        row: usize,
        /// The number.
        value: f32,
    },
    /// The artifact's golden vectors are missing or unreadable.
    #[error("golden: {problem}")]
    Golden {
        /// What is wrong, and where.
        problem: String,
    },
    /// The artifact no longer gives its own golden vectors.
    #[error("golden/test_data_set_{set}: {problem}")]
    GoldenMismatch {
        /// Which vector.
        set: usize,
        /// Both values, and where.
        problem: String,
    },
}

/// Why a tensor handed in does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Its place among those handed in; none if it is missing.
    pub at: Option<usize>,
    /// Its name, what is wrong with it, and what it must be.
    pub problem: String,
}
