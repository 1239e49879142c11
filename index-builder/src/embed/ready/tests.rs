#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, sync::LazyLock};

use encoder::{artifact, sample::Sample};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::catalog::tests::tables::{self, Cells};

static VALID: LazyLock<(TempDir, Artifact, Vec<u8>)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::default();
    sample.write(dir.path()).unwrap();
    let space = artifact::seal(dir.path(), "test").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let columns = [
        ("item_id", Cells::Ids((1..=20).collect())),
        (
            "vector",
            Cells::Vectors((1..=20).map(|id| sample.row(id)).collect()),
        ),
    ];
    tables::write(file.path(), &columns, &[(SPACE, &space)], 8);
    let artifact = Artifact::open(dir.path()).unwrap();
    (dir, artifact, fs::read(file.path()).unwrap())
});

fn read(bytes: &[u8]) -> Result<u64, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let mut ready = Ready::open(file.path(), &VALID.1)?;
    let mut rows = 0;
    while let Some(block) = ready.next()? {
        assert_eq!(block.first, rows + 1);
        assert_eq!(
            block.vectors.len(),
            block.ids.len() * VALID.1.signature().dim
        );
        rows += block.ids.len() as u64;
    }
    Ok(rows)
}

#[test]
fn blocks_come_group_by_group() {
    assert_eq!(read(&VALID.2).unwrap(), 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_damage_makes_the_reader_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = VALID.2.clone();
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = read(&bytes);
    }
}
