//! See `cairn_tests::differential::fuzz`.
#![no_main]

use cairn_tests::differential::fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let target = Target::named("query").expect("a target of this name");
    if let Err(script) = target.run(bytes) {
        panic!("{script}");
    }
});
