//! Whatever stands in a catalog, its reader goes on or refuses.

use std::{fs, sync::LazyLock};

use proptest::prelude::*;

use super::{FORMATS, columns, read, written};

/// Reads whatever there is of it, and looks at every row.
fn survives(name: &str, bytes: &[u8]) {
    let columns = columns(&[], &["genres"]);
    if let Ok(rows) = read(name, bytes, &columns) {
        assert!(rows.len() <= bytes.len() + 1);
    }
}

static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    FORMATS
        .map(|format| fs::read(written(&dir, format)).unwrap())
        .to_vec()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in FORMATS {
            survives(&format!("items.{format}"), &bytes);
        }
        // Past the checks of the first bytes.
        survives("items.csv", &[b"id,title,genres\n", &bytes[..]].concat());
        let length = (bytes.len() as u32).to_le_bytes();
        survives("items.parquet", &[b"PAR1", &bytes[..], &length, b"PAR1"].concat());
    }

    #[test]
    fn no_damage_makes_a_reader_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        for (format, valid) in FORMATS.iter().zip(VALID.iter()) {
            let mut bytes = valid.clone();
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            survives(&format!("items.{format}"), &bytes);
        }
    }
}
