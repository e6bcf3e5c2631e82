//! Stage 2 translation caches of the Realms.

/// Which cached translations of a Realm must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Translations of the intermediate physical addresses `[ipa, ipa + size_bytes)`, which were
    /// mapped by entries of `leaf_size_bytes` each, and cached walks through tables above them.
    Range {
        /// First byte.
        ipa: u64,
        /// Length in bytes.
        size_bytes: u64,
        /// Bytes that one entry described.
        leaf_size_bytes: u64,
    },
    /// Everything of the VMID.
    All,
}

/// Invalidation of stage 2 translations on every CPU.
pub trait Stage2Tlb {
    /// Invalidates on all CPUs and returns when none of them can use the old translation any more.
    ///
    /// Covers combined stage 1 and 2 entries. The descriptors must have been changed before.
    fn invalidate(&self, vmid: u16, stale: Stale);
}
