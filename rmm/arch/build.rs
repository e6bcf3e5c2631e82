//! Chooses the log level of this crate's messages, as `rmm/build.rs` does for the firmware's.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=DEFMT_LOG");
    if env::var_os("DEFMT_LOG").is_none() {
        let has = |feature: &str| env::var_os(feature).is_some();
        let level = match (has("CARGO_FEATURE_LOG_TRACE"), has("CARGO_FEATURE_LOG_DEBUG")) {
            (true, _) => "trace",
            (false, true) => "debug",
            (false, false) => "info",
        };
        println!("cargo:rustc-env=DEFMT_LOG={level}");
    }
}
