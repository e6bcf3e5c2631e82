//! Granules that a Host gives for the monitor's own use, with the two objects that they are for.

use granule::{Delegated, GranuleAddr, GranuleGuard, RdState, RecAuxState};
use realm::Rmm;
use realm::rec::AUX_MAX;

use super::{Cause, Named, Operand};

/// Everything that a new REC takes, locked: nobody else can take a part of it meanwhile.
pub(crate) struct Locked<'t> {
    /// The Realm Descriptor.
    pub(crate) rd: GranuleGuard<'t, RdState>,
    /// The REC.
    pub(crate) rec: GranuleGuard<'t, Delegated>,
    /// Its auxiliary granules.
    pub(crate) donation: Donation<'t>,
}

/// Auxiliary granules on their way to a REC.
pub(crate) struct Donation<'t> {
    /// Locked, in ascending order of address.
    granules: heapless::Vec<GranuleGuard<'t, Delegated>, TAKEN_MAX>,
    /// In the order in which the Host named them.
    addresses: heapless::Vec<GranuleAddr, AUX_MAX>,
}

/// Most DELEGATED granules that a REC takes: the auxiliary ones and its own.
const TAKEN_MAX: usize = AUX_MAX + 1;

/// Locks an RD, a REC that is to be and the auxiliary granules at these addresses.
///
/// All are the Host's choice, so they are locked in ascending order of address: two commands that
/// want some of the same granules cannot wait for each other, and of those that refuse each other
/// one always gets all of its own.
///
/// # Errors
///
/// `Unaligned`, `Untracked`, `Alias`, `State`; `RecAuxCount` if they are more than any REC needs.
pub(crate) fn lock_all<'t, M>(
    rmm: &Rmm<'t, M>,
    rd: Named<'t>,
    rec: Named<'t>,
    aux: &[u64],
) -> Result<Locked<'t>, Cause> {
    let mut wanted: heapless::Vec<Named<'t>, TAKEN_MAX> = heapless::Vec::new();
    let mut addresses = heapless::Vec::new();
    let mut add = |named: Named<'t>| {
        let addr = named.addr();
        let at = wanted.partition_point(|other| other.addr() < addr);
        if wanted.get(at).is_some_and(|other| other.addr() == addr) {
            return Err(Cause::Alias(Operand::RecAux));
        }
        // Locking it twice would never end.
        if addr == rd.addr() {
            return Err(named.in_wrong_state());
        }
        wanted.insert(at, named).map_err(|_| Cause::RecAuxCount)
    };
    add(rec)?;
    for &raw in aux {
        let named = Named::new(rmm, Operand::RecAux, raw)?;
        add(named)?;
        addresses.push(named.addr()).map_err(|_| Cause::RecAuxCount)?;
    }

    let mut granules = heapless::Vec::new();
    let (mut locked_rd, mut locked_rec) = (None, None);
    for named in wanted {
        if locked_rd.is_none() && rd.addr() < named.addr() {
            locked_rd = Some(rd.lock()?);
        }
        let granule = named.lock::<Delegated>()?;
        if granule.addr() == rec.addr() {
            locked_rec = Some(granule);
        } else {
            granules.push(granule).map_err(|_| Cause::RecAuxCount)?;
        }
    }
    let rd = match locked_rd {
        Some(rd) => rd,
        None => rd.lock()?,
    };
    let Some(rec) = locked_rec else { unreachable!("the REC is among the granules") };
    Ok(Locked { rd, rec, donation: Donation { granules, addresses } })
}

impl Donation<'_> {
    /// The granules, in the order in which they were named.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = GranuleAddr> + Clone {
        self.addresses.iter().copied()
    }

    /// How many granules there are.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Makes them auxiliary granules, all zero as they were. The lock on the REC has to stay until
    /// that exists.
    pub(crate) fn take<M>(self, rmm: &Rmm<'_, M>) {
        for granule in self.granules {
            rmm.granules.claim::<RecAuxState>(granule).unlock();
        }
    }
}

/// Takes granules for a REC that is being made, up to the first that is not DELEGATED: they are
/// auxiliary granules then, all zero as they were. One is locked at a time.
///
/// # Errors
///
/// `DonationState` if that is the first of all.
pub(crate) fn take<M>(
    rmm: &Rmm<'_, M>,
    granules: impl Iterator<Item = Option<GranuleAddr>>,
) -> Result<heapless::Vec<GranuleAddr, AUX_MAX>, Cause> {
    let mut taken = heapless::Vec::new();
    for addr in granules {
        let granule = addr.and_then(|addr| rmm.granules.lock::<Delegated>(addr).ok());
        let Some(granule) = granule else {
            return if taken.is_empty() { Err(Cause::DonationState) } else { Ok(taken) };
        };
        // The caller has counted them.
        let Ok(()) = taken.push(granule.addr()) else { unreachable!("more than any REC wants") };
        rmm.granules.claim::<RecAuxState>(granule).unlock();
    }
    Ok(taken)
}

/// Locks an auxiliary granule that a REC has.
pub(crate) fn lock_donated<'t, M>(
    rmm: &Rmm<'t, M>,
    addr: GranuleAddr,
) -> GranuleGuard<'t, RecAuxState> {
    match rmm.granules.lock(addr) {
        Ok(granule) => granule,
        Err(_) => unreachable!("auxiliary granule of a REC"),
    }
}
