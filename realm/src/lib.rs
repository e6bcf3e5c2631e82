//! What a Realm is made of.
//!
//! Owns: the Realm Descriptor ([`rd`]), the Realm Execution Context ([`rec`]), the stage 2
//! translation tables ([`rtt`]), the measurements ([`measurement`]), VMIDs ([`vmid`]), what the
//! CPUs can give a Realm ([`features`]), operations that are not finished ([`operation`]), and
//! [`Rmm`], the handle that a command works with.
//!
//! Does not own: any ABI. The Host's view of these objects is in crate `rmi`, the Realm's in `rsi`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod exit;
pub mod features;
pub mod holdings;
pub mod host;
pub mod ipa;
pub mod measurement;
pub mod monitor;
pub mod operation;
pub mod rd;
pub mod rec;
pub mod rtt;
pub mod vmid;

pub use exit::Exit;
pub use features::Features;
pub use ipa::IpaSpace;
pub use monitor::{Rmm, Shared};
pub use rd::{Numbering, Rd, RealmState};
pub use rec::Rec;
