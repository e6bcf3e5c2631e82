//! The auxiliary granule of a REC: where a token is, between two runs and between two calls.

use attest::sign::SavedSigner;
use attest::token::REALM_TOKEN_MAX;
use granule::RecAuxState;
use machine::{Memory, Page, Slot};
use realm::{Rec, Rmm};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of the granule that hold nothing while a token is signed.
const UNUSED: usize = size_of::<Page>() - size_of::<SavedSigner>() - 752;

/// The granule until the token is complete.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Draft {
    /// The signature being made; zeros once it is made. Secret.
    pub signer: SavedSigner,
    /// The Realm's token, with zeros or the signature at its end.
    pub realm: [u8; REALM_TOKEN_MAX],
    unused: [u8; UNUSED + 2],
}

/// The granule once the token is complete.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Complete(pub [u8; size_of::<Page>()]);

/// Lets `access` work on the REC's auxiliary granule, locked.
///
/// Only the CPU that runs the REC comes here. The lock makes a Host that names the granule in a command wait, so it is
/// held for copies only, never for a computation.
pub fn with<M: Memory, R>(rmm: &Rmm<'_, M>, rec: &Rec, access: impl FnOnce(&mut Page) -> R) -> R {
    let granule = rec.aux().next().and_then(|aux| rmm.granules.lock::<RecAuxState>(aux).ok());
    let Some(mut granule) = granule else { unreachable!("auxiliary granule of a REC") };
    let mut page = rmm.machine.page(Slot::RecAux, granule.exclusive());
    access(&mut page)
}
