//! Behaviours of calls that wait for an inference, on the true ONNX Runtime.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use encoder::{
    artifact::Artifact,
    features::tensors::{Data, Tensor},
    sample::Sample,
};
use tempfile::TempDir;

use super::*;

const AMPLE: Duration = Duration::from_secs(60);

/// The sample's model, one inference at once and one call at once.
fn direct() -> (TempDir, Blocking, Direct) {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    let users = UserEncoder::open(&Artifact::open(dir.path()).unwrap(), 1).unwrap();
    let direct = Direct::new(Arc::new(users), Blocking::new("inference", 1), 1);
    (dir, direct.pool.clone(), direct)
}

fn nobody() -> Vec<NamedTensor> {
    vec![NamedTensor {
        name: "history".to_owned(),
        tensor: Tensor {
            shape: vec![1, 5],
            data: Data::I64(vec![0; 5]),
        },
    }]
}

#[tokio::test]
async fn a_call_whose_time_passes_while_it_waits_is_dropped() {
    let (_dir, pool, direct) = direct();
    let busy = pool.permit().await.unwrap();
    let soon = Deadline::after(Duration::from_millis(1));
    let late = direct.run(nobody(), soon).await;
    assert!(matches!(late, Err(Error::Deadline)));
    drop(busy);
    // A free core does not help it either.
    let late = direct.run(nobody(), soon).await;
    assert!(matches!(late, Err(Error::Deadline)));
    let outputs = direct.run(nobody(), Deadline::after(AMPLE)).await;
    assert_eq!(outputs.unwrap()[0].shape, [1, 8]);
}

#[tokio::test]
async fn a_call_that_finds_no_place_is_shed() {
    let (_dir, pool, direct) = direct();
    let busy = pool.permit().await.unwrap();
    let ample = Deadline::after(AMPLE);
    let mut first = std::pin::pin!(direct.run(nobody(), ample));
    assert!(futures::poll!(&mut first).is_pending());
    let shed = direct.run(nobody(), ample).await;
    assert!(matches!(shed, Err(Error::QueueFull { limit: 1, .. })));
    drop(busy);
    assert!(first.await.is_ok());
    assert!(direct.run(nobody(), ample).await.is_ok());
}

#[tokio::test]
async fn the_caller_is_told_what_its_tensors_are_to_blame_for() {
    let (_dir, _, direct) = direct();
    let refused = direct.run(Vec::new(), Deadline::after(AMPLE)).await;
    assert!(matches!(refused, Err(Error::Tensors(misfits)) if misfits.len() == 1));
}
