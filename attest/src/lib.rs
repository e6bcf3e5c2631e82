//! Attestation: the realm attestation key, what a token says, and the signature under it.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`realm_key`] | the key as all CPUs share it |
//! | [`key`] | how the key comes from EL3, and what is derived from it |
//! | [`token`] | claims, COSE_Sign1 and container, in CBOR |
//! | [`sign`] | the signature, slice by slice |
//! | `nonce`, `curve`, `power`, `field`, `table` | what it is computed from |
//!
//! Does not own: the protocol by which a Realm fetches its token (crate `rsi`), or where a token
//! that is being made is kept between two calls.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod curve;
mod field;
pub mod key;
mod nonce;
mod power;
pub mod realm_key;
pub mod sign;
mod table;
pub mod token;

#[cfg(test)]
mod testing;

pub use realm_key::RealmKey;
