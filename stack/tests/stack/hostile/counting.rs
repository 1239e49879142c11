//! How many hostile inputs `make test` tries in all.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    calling::CALLS,
    corpus,
    targets::{DECODERS, HOUSE, calls::rpc::Rpc},
};

/// The least that there are to be.
const GOAL: u32 = 100_000;
/// Property tests of decoders that only their own crates reach: what they read, the file, the cases of each, and how many there are.
const ELSEWHERE: [(&str, &str, &str, u32); 5] = [
    ("page and recall tokens", "gateway/src/token.rs", "2_000", 3),
    ("consistency tokens", "user-tower/src/token.rs", "4_000", 2),
    (
        "event records",
        "user-tower/src/redb_store/tests/records.rs",
        "300",
        1,
    ),
    (
        "catalog rows",
        "index-builder/src/catalog/tests/damage.rs",
        "600",
        2,
    ),
    (
        "ready vectors",
        "index-builder/src/embed/ready/tests.rs",
        "600",
        1,
    ),
];
/// What all seeds may take together.
const CORPUS_BYTES: u64 = 200 * 1024;

#[test]
fn a_hundred_thousand_hostile_inputs_are_tried() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut counts = vec![("calls", Rpc::all().len() as u32 * CALLS)];
    counts.extend(DECODERS.iter().map(|decoder| (decoder.name, decoder.cases)));
    for (what, file, cases, tests) in ELSEWHERE {
        let text = fs::read_to_string(workspace.join(file)).unwrap();
        let config = format!("proptest_config(ProptestConfig::with_cases({cases}))");
        assert!(text.contains(&config), "{file} does not say {config}");
        let cases: u32 = cases.replace('_', "").parse().unwrap();
        counts.push((what, cases * tests));
    }
    let all: u32 = counts.iter().map(|(_, count)| count).sum();
    assert!(all >= GOAL, "{all}: {counts:?}");
    let told: String = counts
        .iter()
        .map(|(what, count)| format!(" {what} {count},"))
        .collect();
    let told = format!(
        "hostile inputs: {all} tried ({})\n",
        told.trim_matches([' ', ','])
    );
    let target = workspace.join("target");
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join("hostile-inputs.log"), told).unwrap();
}

#[test]
fn the_corpus_is_small_and_has_a_folder_for_each_target_and_for_nothing_else() {
    let targets = DECODERS.iter().map(|decoder| decoder.name);
    let targets: BTreeSet<_> = targets.chain(HOUSE.map(|(name, _)| name)).collect();
    let (mut found, mut bytes) = (BTreeSet::new(), 0);
    for folder in fs::read_dir(corpus()).unwrap() {
        let folder = folder.unwrap();
        found.insert(folder.file_name().into_string().unwrap());
        let seeds = fs::read_dir(folder.path()).unwrap();
        let sizes = seeds.map(|seed| seed.unwrap().metadata().unwrap().len());
        let sizes: Vec<u64> = sizes.collect();
        assert!(!sizes.is_empty(), "{folder:?}");
        bytes += sizes.iter().sum::<u64>();
    }
    assert!(found.iter().map(String::as_str).eq(targets));
    assert!(bytes <= CORPUS_BYTES, "{bytes}");
}
