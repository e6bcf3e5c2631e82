//! Passes the linker script and the board's load address when the program is built for the machine
//! itself.

fn main() {
    println!("cargo::rerun-if-changed=host.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("aarch64-unknown-none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        let has = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
        let window = if has("SBSA") {
            platform_sbsa::HOST
        } else if has("FVP") || has("STAND_IN") {
            platform_fvp::HOST
        } else {
            platform_qemu::HOST
        };
        let base = window.start;
        println!("cargo::rustc-link-arg-bins=--defsym=HOST_BASE={base:#x}");
        println!("cargo::rustc-link-arg-bins=-T{folder}/host.ld");
        // One loadable image without page-sized holes between its parts.
        println!("cargo::rustc-link-arg-bins=-n");
    }
}
