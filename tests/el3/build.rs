//! Passes the linker script and the address of the board's secure RAM when the program is built for
//! the machine itself.

fn main() {
    println!("cargo::rerun-if-changed=el3.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("aarch64-unknown-none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        let is_sbsa = std::env::var_os("CARGO_FEATURE_SBSA").is_some();
        let secure = if is_sbsa { platform_sbsa::SECURE } else { platform_qemu::SECURE };
        println!("cargo::rustc-link-arg-bins=--defsym=SECURE_BASE={:#x}", secure.start);
        println!("cargo::rustc-link-arg-bins=-T{folder}/el3.ld");
        println!("cargo::rustc-link-arg-bins=-n");
    }
}
