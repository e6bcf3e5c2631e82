//! Links the image: the linker script, the log's string table, and a static position-independent
//! executable. Chooses the log level if `DEFMT_LOG` does not: `info`, or what a feature asks for.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=cairn.ld");
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
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let Ok(folder) = env::var("CARGO_MANIFEST_DIR") else { return };
    for argument in [
        &format!("-T{folder}/cairn.ld"),
        "-Tdefmt.x",
        "-pie",
        "--no-dynamic-linker",
        "--build-id=none",
        "-znorelro",
        // A bit for each word to relocate, where the older list has 24 bytes.
        "--pack-dyn-relocs=relr",
        // Constants with pointers stay in .rodata: they are relocated before anything is
        // write-protected.
        "-znotext",
        "-znognustack",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
