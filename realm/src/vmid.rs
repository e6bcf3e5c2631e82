//! VMIDs in use: claimed by number where the Host chooses them, or chosen here.

use core::sync::atomic::{AtomicU64, Ordering};

const WORDS: usize = (1 << 16) / 64;

/// The set of VMIDs that belong to a Realm.
#[derive(Debug)]
pub struct VmidSet([AtomicU64; WORDS]);

impl VmidSet {
    /// No VMID in use.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    fn bit(&self, vmid: u16) -> (Option<&AtomicU64>, u64) {
        (self.0.get(usize::from(vmid) / 64), 1 << (vmid % 64))
    }

    /// Takes `vmid` for a Realm that is being created; `None` if another Realm has it.
    ///
    /// The reservation ends when it is dropped, unless [`Reservation::keep`] was called.
    pub fn reserve(&self, vmid: u16) -> Option<Reservation<'_>> {
        let (word, bit) = self.bit(vmid);
        let before = word?.fetch_or(bit, Ordering::AcqRel);
        (before & bit == 0).then(|| Reservation { set: self, vmid })
    }

    /// Takes the lowest free VMID below `limit`, but 0, for a Realm that is being created; `None`
    /// if all are in use.
    pub fn reserve_any(&self, limit: u32) -> Option<Reservation<'_>> {
        let limit = limit.min(1 << 16);
        // The VMID of no Realm: what runs before the first one is loaded has it.
        const NOBODYS: u64 = 1;
        self.0.iter().zip((0..limit).step_by(64)).find_map(|(word, first)| {
            let mut taken = word.load(Ordering::Relaxed);
            loop {
                let nobodys = if first == 0 { NOBODYS } else { 0 };
                let bit = (!(taken | nobodys)).trailing_zeros();
                let vmid = u16::try_from(first + bit).ok().filter(|_| bit < 64)?;
                match self.reserve(vmid) {
                    Some(reservation) => return Some(reservation),
                    // Another CPU was faster.
                    None => taken |= 1 << bit,
                }
            }
        })
    }

    /// Frees the VMID of a Realm whose cached translations are gone.
    pub fn release(&self, vmid: u16) {
        let (word, bit) = self.bit(vmid);
        if let Some(word) = word {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// Number of VMIDs in use.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }
}

impl Default for VmidSet {
    fn default() -> Self {
        Self::new()
    }
}

/// A VMID taken for a Realm that does not exist yet.
#[must_use = "dropping the reservation frees the VMID"]
#[derive(Debug)]
pub struct Reservation<'s> {
    set: &'s VmidSet,
    vmid: u16,
}

impl Reservation<'_> {
    /// The VMID.
    pub fn vmid(&self) -> u16 {
        self.vmid
    }

    /// The Realm exists now: the VMID stays taken until [`VmidSet::release`].
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.set.release(self.vmid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vmid_belongs_to_one_realm_until_it_is_released() {
        let set = VmidSet::new();
        set.reserve(65535).unwrap().keep();
        assert!(set.reserve(65535).is_none());
        assert_eq!(set.count(), 1);
        set.release(65535);
        assert!(set.reserve(65535).is_some());
    }

    #[test]
    fn the_lowest_free_vmid_but_0_is_chosen_until_all_are_in_use() {
        let set = VmidSet::new();
        for expected in 1..256 {
            let reservation = set.reserve_any(256).unwrap();
            assert_eq!(reservation.vmid(), expected);
            reservation.keep();
        }
        assert!(set.reserve_any(256).is_none());
        set.release(77);
        assert_eq!(set.reserve_any(256).unwrap().vmid(), 77);
        assert_eq!(set.reserve_any(1 << 16).unwrap().vmid(), 77);
        set.reserve(77).unwrap().keep();
        assert_eq!(set.reserve_any(1 << 16).unwrap().vmid(), 256);
    }

    /// Bug catalogue C5: the VMID was not freed when REALM_CREATE failed late.
    #[test]
    fn c5_a_dropped_reservation_frees_the_vmid() {
        let set = VmidSet::new();
        drop(set.reserve(0).unwrap());
        assert_eq!(set.count(), 0);
    }
}
