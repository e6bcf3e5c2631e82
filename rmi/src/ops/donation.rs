//! Granules that a Host gives for the monitor's own use: claimed one at a time, given back on failure.

use granule::delegation;
use granule::{Delegated, GranuleAddr, GranuleGuard, History, RecAuxState};
use machine::{Memory, Slot};
use realm::Rmm;
use realm::rec::AUX_MAX;

use super::{Cause, Named, Operand};

/// Auxiliary granules on their way to a REC.
///
/// They are claimed before the REC and the RD are locked: all three addresses are the Host's choice, and locking one
/// while holding another in no fixed order could deadlock two calls. A claimed granule is REC_AUX and unlocked, so
/// nothing else can take it.
pub(crate) struct Donation<'r, 't, M: Memory> {
    rmm: &'r Rmm<'t, M>,
    /// Each with what it was before.
    granules: heapless::Vec<(GranuleAddr, History), AUX_MAX>,
    kept: bool,
}

impl<'r, 't, M: Memory> Donation<'r, 't, M> {
    /// Claims the granules at these addresses for the REC at `rec`.
    ///
    /// # Errors
    ///
    /// `Unaligned`, `Untracked`, `State`, `Alias` of an auxiliary granule; `RecAuxCount` if they are more than any REC needs.
    pub(crate) fn claim(
        rmm: &'r Rmm<'t, M>,
        rec: GranuleAddr,
        addresses: &[u64],
    ) -> Result<Self, Cause> {
        let mut donation = Self { rmm, granules: heapless::Vec::new(), kept: false };
        for &raw in addresses {
            let addr = GranuleAddr::new(raw).ok_or(Cause::Unaligned(Operand::RecAux))?;
            if addr == rec || donation.addresses().any(|taken| taken == addr) {
                return Err(Cause::Alias(Operand::RecAux));
            }
            let named = Named::new(rmm, Operand::RecAux, raw)?;
            let mut granule = named.lock::<Delegated>()?;
            rmm.machine.wipe(Slot::Object, granule.exclusive());
            let history = granule.history();
            donation.granules.push((addr, history)).map_err(|_| Cause::RecAuxCount)?;
            rmm.granules.claim::<RecAuxState>(granule).unlock();
        }
        Ok(donation)
    }

    /// The granules, in the order in which they were named.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = GranuleAddr> + Clone {
        self.granules.iter().map(|(addr, _)| *addr)
    }

    /// How many granules there are.
    pub(crate) fn len(&self) -> usize {
        self.granules.len()
    }

    /// The REC exists now: the granules are its own.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl<M: Memory> Drop for Donation<'_, '_, M> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for &(addr, history) in &self.granules {
            let granule = lock_donated(self.rmm, addr);
            delegation::put_back(self.rmm.machine, &self.rmm.granules, granule, history).unlock();
        }
    }
}

/// Locks an auxiliary granule that a REC, or one that is being made, has.
pub(crate) fn lock_donated<'t, M>(
    rmm: &Rmm<'t, M>,
    addr: GranuleAddr,
) -> GranuleGuard<'t, RecAuxState> {
    match rmm.granules.lock(addr) {
        Ok(granule) => granule,
        Err(_) => unreachable!("auxiliary granule of a REC"),
    }
}
