//! Ghost state of the stage 2 translation caches: what any CPU may still remember.
//!
//! The caches are adversarial: they hold everything that a Realm that has run could have used, they take up again whatever
//! still translates right after an invalidation, and they forget nothing on their own.

use std::collections::BTreeMap;

use machine::stage2::Stale;

use super::dram::Dram;
use super::walk::{Regime, walk};

/// A cached translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf {
    pub(crate) vmid: u16,
    pub(crate) ipa: u64,
    pub(crate) size: u64,
    pub(crate) pa: u64,
    /// The output is Non-secure memory: the granule protection table guards everything else.
    pub(crate) ns: bool,
}

/// A cached pointer to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Branch {
    pub(crate) vmid: u16,
    /// What the table translates.
    pub(crate) ipa: u64,
    pub(crate) size: u64,
    pub(crate) table: u64,
}

/// Everything that is cached anywhere.
#[derive(Debug, Default)]
pub(crate) struct Tlb {
    /// In order, each once.
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) branches: Vec<Branch>,
    /// Translation regime of each VMID that has run.
    pub(crate) regimes: BTreeMap<u16, Regime>,
}

/// Whether a TLBI for every `stride` bytes of `[ipa, ipa + length)` hits `[base, base + size)`.
fn is_hit((ipa, length, stride): (u64, u64, u64), base: u64, size: u64) -> bool {
    let stride = stride.max(1);
    let first = if base <= ipa { ipa } else { ipa + (base - ipa).div_ceil(stride) * stride };
    first < ipa.saturating_add(length) && first < base.saturating_add(size)
}

/// Adds to a list that is in order.
fn insert<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}

impl Tlb {
    /// A CPU loads this regime: from now on its translations may be cached.
    pub(crate) fn activate(&mut self, regime: Regime) {
        self.regimes.insert(regime.vmid(), regime);
    }

    /// A CPU translated `ipa`.
    pub(crate) fn fill(&mut self, dram: &Dram, regime: Regime, ipa: u64) {
        let steps = walk(dram, regime, ipa);
        for branch in steps.branches {
            insert(&mut self.branches, branch);
        }
        if let Ok(leaf) = steps.result {
            insert(&mut self.leaves, leaf.cached(regime.vmid()));
        }
    }

    /// Carries out an invalidation, and takes up again what still translates.
    pub(crate) fn invalidate(&mut self, dram: &Dram, vmid: u16, stale: Stale) {
        match stale {
            Stale::All => {
                self.leaves.retain(|leaf| leaf.vmid != vmid);
                self.branches.retain(|branch| branch.vmid != vmid);
                self.regimes.remove(&vmid);
            }
            Stale::Range { ipa, size_bytes, leaf_size_bytes } => {
                let range = (ipa, size_bytes, leaf_size_bytes);
                let mut gone = Vec::new();
                self.leaves.retain(|leaf| {
                    let hit = leaf.vmid == vmid && is_hit(range, leaf.ipa, leaf.size);
                    if hit {
                        gone.push(leaf.ipa);
                    }
                    !hit
                });
                self.branches.retain(|branch| {
                    let hit = branch.vmid == vmid && is_hit(range, branch.ipa, branch.size);
                    if hit {
                        gone.push(branch.ipa);
                    }
                    !hit
                });
                if let Some(&regime) = self.regimes.get(&vmid) {
                    for ipa in gone {
                        self.fill(dram, regime, ipa);
                    }
                }
            }
        }
    }

    /// Why a granule must not change hands: somebody may still translate to it, or walk through it.
    pub(crate) fn user_of(&self, pa: u64) -> Option<String> {
        let mut leaves = self.leaves.iter().filter(|leaf| !leaf.ns);
        let leaf = leaves.find(|leaf| (leaf.pa..leaf.pa + leaf.size).contains(&pa));
        let branch = self.branches.iter().find(|branch| branch.table == pa);
        match (leaf, branch) {
            (Some(leaf), _) => Some(format!("still cached: {leaf:x?}")),
            (None, Some(branch)) => Some(format!("walk still cached: {branch:x?}")),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_hit;

    #[test]
    fn an_invalidation_hits_what_one_of_its_addresses_is_in() {
        assert!(is_hit((0x1000, 0x1000, 0x1000), 0x1000, 0x1000));
        assert!(!is_hit((0x1000, 0x1000, 0x1000), 0x2000, 0x1000));
        assert!(is_hit((0x20_1000, 0x1000, 0x1000), 0x20_0000, 0x20_0000));
        assert!(!is_hit((0x20_0000, 0x20_0000, 0x20_0000), 0x20_1000, 0x1000), "stride too wide");
        assert!(is_hit((0x20_0000, 0x20_0000, 0x1000), 0x20_1000, 0x1000));
    }
}
