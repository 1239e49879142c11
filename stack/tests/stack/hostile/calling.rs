//! Whatever is called, no server fails, and all answer the next caller.

use prost::Message as _;

use super::{
    corpus, seeds,
    targets::{
        HOUSE,
        calls::{self, site::Site},
        source::Source,
    },
    try_scripts,
};

/// How many calls of each RPC of each server are tried.
pub(super) const CALLS: u32 = 160;

#[test]
fn whatever_is_called_no_server_fails_and_all_answer_the_next() {
    let site = Site::start();
    site.is_well();
    good_messages_are_taken(&site);
    for (name, run) in HOUSE {
        let seeds = seeds(&corpus().join(name));
        seeds.iter().for_each(|seed| run(&site, seed));
    }
    for rpc in site.rpcs() {
        let run = |script: &[u8]| calls::one(&site, rpc, Source::new(script));
        try_scripts(CALLS, 160, <[u8]>::to_vec, run);
        site.is_well();
    }
    site.stop();
}

/// Else spoiling them would tell nothing: all but those that this member cannot answer are taken.
fn good_messages_are_taken(site: &Site) {
    let (mut taken, mut refused) = (0, Vec::new());
    for rpc in site.rpcs() {
        for message in site.valid(rpc) {
            match site.call(rpc, vec![message.encode_to_vec()]) {
                Ok(_) => taken += 1,
                Err(status) => refused.push(format!("{rpc}: {status}")),
            }
        }
    }
    assert!(taken >= 30 && refused.len() <= 4, "{taken}, {refused:#?}");
}
