//! An EL3 for tests: see the library.
//!
//! All that touches hardware is in the leaf module.

#![cfg_attr(all(target_arch = "aarch64", target_os = "none"), no_std, no_main)]

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
fn main() {}

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod firmware;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[expect(unsafe_code, reason = "the leaf: everything that touches hardware")]
mod leaf;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod services;
