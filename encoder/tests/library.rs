//! A missing, damaged or foreign ONNX Runtime library is a clear error; the right one still loads afterwards.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use encoder::session;

fn refusal(library: &Path) -> String {
    session::init(library).unwrap_err().to_string()
}

/// One test, because a process loads the library once.
#[test]
fn an_unusable_library_is_an_error_that_says_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let missing = refusal(&dir.path().join("libonnxruntime.so"));
    assert!(
        missing.contains("there is no ONNX Runtime library at"),
        "{missing}"
    );
    assert!(
        missing.contains("make ort") && missing.contains("ORT_DYLIB_PATH"),
        "{missing}"
    );

    let garbage = dir.path().join("garbage.so");
    fs::write(&garbage, b"no library at all").unwrap();
    assert!(refusal(&garbage).contains("is no usable ONNX Runtime"));
    assert!(refusal(dir.path()).contains("there is no ONNX Runtime library at"));

    if let Some(foreign) = [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib/aarch64-linux-gnu/libm.so.6",
    ]
    .iter()
    .map(Path::new)
    .find(|path| path.exists())
    {
        let foreign = refusal(foreign);
        assert!(foreign.contains("OrtGetApiBase"), "{foreign}");
    }

    let right = session::library().unwrap();
    session::init(&right).unwrap();
    session::init(Path::new("/nowhere")).unwrap();
}
