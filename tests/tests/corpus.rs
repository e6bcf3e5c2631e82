//! The fuzzers' corpus, replayed without a fuzzer: monitor and specification agree on every input that is kept.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::path::Path;

use cairn_tests::differential::fuzz::TARGETS;

#[test]
fn every_input_of_the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for target in TARGETS {
        let folder = corpus.join(target.name);
        let files =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            if let Err(script) = target.run(&std::fs::read(&path).unwrap()) {
                panic!("{}:\n{script}", path.display());
            }
            count += 1;
        }
        assert!(count > 0, "no input for {}", target.name);
    }
}
