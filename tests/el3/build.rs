//! Passes the linker script when the program is built for the machine itself.

fn main() {
    println!("cargo::rerun-if-changed=el3.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("aarch64-unknown-none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-T{folder}/el3.ld");
        println!("cargo::rustc-link-arg-bins=-n");
    }
}
