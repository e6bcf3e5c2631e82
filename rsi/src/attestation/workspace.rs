//! The auxiliary granules of a REC for its token: where it is, between two runs and between two
//! calls.

use attest::sign::SavedSigner;
use attest::token::REALM_TOKEN_MAX;
use granule::{GranuleGuard, RecAuxState};
use machine::{Memory, Page, Slot};
use realm::measurement::{Algorithm, AlgorithmWord, Measurements};
use realm::rd::{InstanceWords, Rd};
use realm::rec::RecAux;
use realm::{Rec, Rmm};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a token is to say, noted when the Realm asks for it.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Request {
    /// The Realm's own bytes, for freshness.
    pub challenge: [u8; 64],
    /// What the token is about.
    pub subject: Subject,
    /// What tells the Realm from all others, if its tokens say that.
    pub instance: InstanceWords,
}

/// What is true of a Realm at the moment when it asks for a token.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Subject {
    /// Realm Personalization Value.
    pub personalization_value: [u8; 64],
    algorithm: AlgorithmWord,
    /// RIM and REMs at that moment.
    pub measurements: Measurements,
}

impl Subject {
    /// Notes what a token is to say.
    #[inline(always)] // perf: made where it is kept (`attest_token_init`).
    pub(super) fn new(rd: &Rd) -> Self {
        Self {
            personalization_value: rd.rpv,
            algorithm: rd.algorithm().into(),
            measurements: rd.measurements,
        }
    }

    /// The Realm's hash algorithm.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm.get()
    }
}

const USED: usize = size_of::<Request>() + size_of::<SavedSigner>() + REALM_TOKEN_MAX;

/// [`RecAux::Workspace`]: the token while it is made.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Workspace {
    /// What it is to say.
    pub request: Request,
    /// The signature being made; zeros once it is made. Secret.
    pub signer: SavedSigner,
    /// The Realm's token, with zeros or the signature at its end.
    pub realm: [u8; REALM_TOKEN_MAX],
    unused: [u8; size_of::<Page>() - USED],
}

/// [`RecAux::Token`]: the complete token.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Complete(pub [u8; size_of::<Page>()]);

/// Lets `access` work on the REC's workspace, locked.
///
/// Only the CPU that runs the REC comes here. The lock makes a Host that names the granule in a
/// command wait, so it is held for copies only, never for a computation.
pub(super) fn with<M: Memory, R>(
    rmm: &Rmm<'_, M>,
    rec: &Rec,
    access: impl FnOnce(&mut Workspace) -> R,
) -> R {
    locked(rmm, rec, RecAux::Workspace, |page| access(page.view_mut()))
}

/// Lets `access` work on the REC's complete token, locked as in [`with`].
pub(super) fn with_complete<M: Memory, R>(
    rmm: &Rmm<'_, M>,
    rec: &Rec,
    access: impl FnOnce(&mut [u8; size_of::<Page>()]) -> R,
) -> R {
    locked(rmm, rec, RecAux::Token, |page| access(&mut page.view_mut::<Complete>().0))
}

/// Forgets all that there is of a token in the making, secrets included.
pub(super) fn wipe<M: Memory>(rmm: &Rmm<'_, M>, rec: &Rec) {
    let mut granule = lock(rmm, rec, RecAux::Workspace);
    rmm.machine.wipe(Slot::RecAux, granule.exclusive());
}

fn locked<M: Memory, R>(
    rmm: &Rmm<'_, M>,
    rec: &Rec,
    role: RecAux,
    access: impl FnOnce(&mut Page) -> R,
) -> R {
    let mut granule = lock(rmm, rec, role);
    let mut page = rmm.machine.page(Slot::RecAux, granule.exclusive());
    access(&mut page)
}

#[inline] // perf: `attest_token_init`.
fn lock<'t, M>(rmm: &Rmm<'t, M>, rec: &Rec, role: RecAux) -> GranuleGuard<'t, RecAuxState> {
    match rmm.granules.lock(rec.aux_for(role)) {
        Ok(granule) => granule,
        Err(_) => unreachable!("auxiliary granule of a REC"),
    }
}
