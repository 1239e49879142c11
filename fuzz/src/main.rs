//! Feeds what libFuzzer makes to the target that FUZZ_TARGET names, with FUZZ_WORK for its files.
#![no_main]
#![allow(
    dead_code,
    unused_imports,
    reason = "the targets have what the tests of the workspace need, too"
)]

use std::{env, fs, path::PathBuf};

use libfuzzer_sys::fuzz_target;

use crate::targets::{DECODERS, HOUSE, calls::site::Site};

#[path = "../../stack/tests/stack/hostile/targets/mod.rs"]
mod targets;

thread_local! {
    static TARGET: Box<dyn Fn(&[u8])> = target();
}

fuzz_target!(|bytes: &[u8]| TARGET.with(|run| run(bytes)));

/// Looks up the target, and prepares what it needs.
fn target() -> Box<dyn Fn(&[u8])> {
    let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    if let Some(decoder) = DECODERS.iter().find(|decoder| decoder.name == name) {
        let work = PathBuf::from(env::var_os("FUZZ_WORK").expect("FUZZ_WORK names a folder"));
        fs::create_dir_all(&work).expect("the folder can be made");
        let run = decoder.run;
        return Box::new(move |bytes| run(&work, bytes));
    }
    let house = HOUSE.iter().find(|(house, _)| *house == name);
    let (_, run) = *house.expect("FUZZ_TARGET names a target that there is");
    let site = Site::start();
    Box::new(move |bytes| run(&site, bytes))
}
