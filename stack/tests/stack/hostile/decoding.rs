//! Whatever bytes a file has, its decoder answers or refuses, in bounded memory.

use std::{env, fs, process::Command};

use super::{
    corpus, seeds,
    targets::{
        DECODERS,
        source::{Source, damage},
    },
    try_scripts,
};

/// The most memory that a process has in which decoders run, in KiB.
const MEMORY: &str = "2097152";
/// Says that this process is that one.
const BOUNDED: &str = "TWOTOWER_TEST_BOUNDED";
const NAME: &str =
    "hostile::decoding::every_decoder_answers_or_refuses_whatever_comes_in_bounded_memory";

#[test]
fn every_decoder_answers_or_refuses_whatever_comes_in_bounded_memory() {
    if env::var_os(BOUNDED).is_none() {
        return run_bounded();
    }
    let folder = tempfile::tempdir().unwrap();
    for decoder in &DECODERS {
        let work = folder.path().join(decoder.name);
        fs::create_dir(&work).unwrap();
        let seeds = seeds(&corpus().join(decoder.name));
        let run = |bytes: &[u8]| (decoder.run)(&work, bytes);
        seeds.iter().for_each(|seed| run(seed));
        let input = |script: &[u8]| spoilt(&seeds, script);
        try_scripts(decoder.cases, 96, input, run);
    }
}

/// Runs this test in a process of its own, with so much memory and no more: whoever believes a length that a file claims ends it.
fn run_bounded() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v \"$0\" && exec \"$@\"", MEMORY])
        .arg(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(BOUNDED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{why}");
    assert!(said.contains("1 passed"), "{said}");
}

/// One of the seeds, damaged; now and then bytes of nobody.
fn spoilt(seeds: &[Vec<u8>], script: &[u8]) -> Vec<u8> {
    let mut source = Source::new(script);
    if source.byte() % 8 == 7 {
        return source.rest().to_vec();
    }
    let mut bytes = seeds[source.below(seeds.len())].clone();
    let other = &seeds[source.below(seeds.len())];
    damage(&mut bytes, other, &mut source);
    bytes
}
