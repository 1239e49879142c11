//! Finds and loads the ONNX Runtime library, once in a process.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::environment::Environment;

use crate::error::Error;

/// What helps when the library is missing.
pub const HINT: &str = "`make ort` fetches it into .ort/, or name it by ORT_DYLIB_PATH or the setting `onnxruntime.library`";

/// The environment of the process; ONNX Runtime allows one.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads the ONNX Runtime library.
///
/// Once it is loaded, further calls do nothing, whatever library they name.
///
/// # Errors
/// [`Error::Library`] if the file is missing, is no ONNX Runtime, or is too old.
pub fn init(library: &Path) -> Result<(), Error> {
    environment_from(|| Ok(library.to_owned())).map(|_| ())
}

/// Finds the ONNX Runtime library: `ORT_DYLIB_PATH`, else `.ort/` in this directory, that of the program, or above one.
///
/// # Errors
/// [`Error::Library`] if there is none.
pub fn library() -> Result<PathBuf, Error> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let name = Path::new(".ort").join(format!(
        "{}onnxruntime{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    ));
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let found = starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|place| place.join(&name))
        .find(|path| path.is_file());
    found.ok_or_else(|| Error::Library {
        problem: format!(
            "there is no ONNX Runtime library ({}) here or above",
            name.display()
        ),
    })
}

/// Returns the environment of the process, for sessions of one's own; loads the library from where [`library`] finds it if
/// nobody has called [`init`].
///
/// # Errors
/// As [`init`].
pub fn environment() -> Result<Environment, Error> {
    environment_from(library)
}

fn environment_from(
    library: impl FnOnce() -> Result<PathBuf, Error>,
) -> Result<Environment, Error> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*environment {
        return Ok(loaded.clone());
    }
    let path = library()?;
    // `ort` looks beside the executable for a relative path; ours is relative to the working directory.
    let path = std::path::absolute(&path).unwrap_or(path);
    if !path.is_file() {
        return Err(Error::Library {
            problem: format!("there is no ONNX Runtime library at {}", path.display()),
        });
    }
    let refuse = |cause: String| Error::Library {
        problem: format!("{} is no usable ONNX Runtime: {cause}", path.display()),
    };
    let loaded = ort::init_from(&path)
        .map_err(|cause| refuse(cause.to_string()))?
        .with_telemetry(false)
        .build()
        .map_err(|cause| refuse(cause.to_string()))?;
    Ok(environment.insert(loaded).clone())
}
