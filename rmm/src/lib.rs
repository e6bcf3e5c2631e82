//! The firmware, except what touches hardware: boot order, dispatch of the Host's calls, the run loop of a REC.
//!
//! Everything here is generic over [`machine::Machine`], so that the tests run it on the build host; the image
//! (`main.rs`) puts crate `rmm-arch` underneath.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot;
pub mod dispatch;
pub mod log;
pub mod run;

pub use dispatch::handle;
