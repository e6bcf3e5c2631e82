//! The atomics of the granule locks, and what a CPU does while it waits for one.
//!
//! They are the language's own. With feature `shuttle`, which only the test of interleavings sets,
//! they are those of a scheduler that decides at each of them which thread goes on: the code of the
//! locks is the same.

#[cfg(not(feature = "shuttle"))]
pub use core::{
    hint::spin_loop,
    sync::atomic::{AtomicU16, fence},
};

#[cfg(feature = "shuttle")]
pub use shuttle::{
    hint::spin_loop,
    sync::atomic::{AtomicU16, fence},
};

#[cfg(all(feature = "shuttle", target_os = "none"))]
compile_error!("the feature `shuttle` is for tests on the build host");
