//! An EL3 for tests, except for the hardware under it.
//!
//! On QEMU virt it plays the firmware of Arm FVP Base RevC, and on QEMU sbsa-ref a firmware of that
//! board ([`board`]): it loads nothing (QEMU's loader has put the monitor and the Normal world's
//! program where the board has them), but sets up granule protection for the board's map, writes a
//! manifest with its two banks of DRAM, starts the monitor at Realm EL2, then the Normal world, and
//! forwards between them. Unlike real firmware it refuses
//! granule changes when the Normal world tells it to. It speaks interface 0.4 or 2.0, the latter as
//! TF-A main does or with all that the text allows.
//!
//! Owns: what can be decided without hardware ([`board`], [`gpt`], [`manifest`], [`refuse`],
//! [`opening`], [`edition`], [`kind`], [`firme`], [`call`]). The program in `main.rs` and its leaf
//! module do the rest. It is for QEMU only: it runs with its MMU off and relies on memory being
//! coherent anyway.
#![no_std]
#![forbid(unsafe_code)]

pub mod board;
pub mod call;
pub mod edition;
pub mod firme;
pub mod gpt;
pub mod kind;
pub mod manifest;
pub mod opening;
pub mod refuse;
pub mod token;

/// Most CPUs.
pub const CPUS_MAX: usize = 32;
