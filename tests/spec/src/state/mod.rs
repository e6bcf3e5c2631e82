//! State that both versions of the interface have.

pub mod granule;
pub(crate) mod measurement;
pub(crate) mod memory;
pub mod rtt;
