//! Chooses the log level of this crate's messages, as `rmm/build.rs` does for the firmware's.

fn main() {
    println!("cargo:rerun-if-env-changed=DEFMT_LOG");
    if std::env::var_os("DEFMT_LOG").is_none() {
        println!("cargo:rustc-env=DEFMT_LOG=info");
    }
}
