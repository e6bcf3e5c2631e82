//! The fuzzers' corpus, replayed without a fuzzer: monitor and specification agree on every input
//! that is kept.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::path::Path;

use cairn_tests::differential::{fuzz, v2_0};

/// Replays each input of a fuzzer.
fn replay(name: &str, run: impl Fn(&[u8]) -> Result<(), String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        if let Err(script) = run(&std::fs::read(&path).unwrap()) {
            panic!("{}:\n{script}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "no input for {name}");
}

#[test]
fn every_input_of_the_corpus_holds() {
    for target in fuzz::TARGETS {
        replay(target.name, |bytes| target.run(bytes));
    }
}

#[test]
fn every_input_of_the_corpus_of_2_0_holds() {
    for target in v2_0::fuzz::TARGETS {
        replay(target.name, |bytes| target.run(bytes));
    }
}
