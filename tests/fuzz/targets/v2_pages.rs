//! See `cairn_tests::differential::v2_0::fuzz`.
#![no_main]

use cairn_tests::differential::v2_0::fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let target = Target::named("v2_pages").expect("a target of this name");
    if let Err(script) = target.run(bytes) {
        panic!("{script}");
    }
});
