//! Ghost state of the stage 2 translation caches: what any CPU may still remember.
//!
//! The caches are adversarial: they hold everything that a Realm that has run could have used, they
//! take up again whatever still translates right after an invalidation, and they forget nothing on
//! their own.
//!
//! An invalidation removes what the operations name that the monitor's machine layer would issue
//! for it, decoded as the architecture reads them, and no more.

use std::collections::BTreeMap;

use machine::stage2::Stale;
use rmm_arch::stage2::{Method, OPERATIONS_MAX, Ranges};

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

/// What the operations of one invalidation name.
pub(crate) enum Named {
    /// Everything of the VMID.
    All,
    /// TLBI operations by IPA: for each, the first byte and the bytes from there on that it is
    /// about.
    Runs(Vec<(u64, u64)>),
}

impl Named {
    /// The operations that a CPU issues which can name these `ranges`; a complaint if they are too
    /// many.
    fn new(stale: Stale, ranges: Ranges) -> Result<Self, String> {
        let Stale::Range { ipa, size_bytes, leaf_size_bytes } = stale else { return Ok(Self::All) };
        let runs = match Method::of(ipa, size_bytes, leaf_size_bytes, || ranges) {
            Method::All => return Ok(Self::All),
            Method::Entry => vec![(ipa, 4096)],
            Method::Entries => {
                let stride = usize::try_from(leaf_size_bytes).unwrap_or(usize::MAX);
                (ipa..ipa + size_bytes).step_by(stride).map(|ipa| (ipa, 4096)).collect()
            }
            Method::Ranges { lead, mut operands } => {
                let mut runs: Vec<_> = (0..lead).map(|page| (ipa + page * 4096, 4096)).collect();
                runs.extend((&mut operands).map(|operand| decode(operand, ranges)));
                let (page, pages) = operands.rest();
                runs.extend((page..page + pages).map(|page| (page * 4096, 4096)));
                runs
            }
        };
        if runs.len() as u64 > OPERATIONS_MAX {
            return Err(format!("{} operations for {stale:x?}", runs.len()));
        }
        Ok(Self::Runs(runs))
    }

    /// Whether an operation names an address in `[base, base + size)`.
    fn hits(&self, base: u64, size: u64) -> bool {
        match self {
            Self::All => true,
            Self::Runs(runs) => runs.iter().any(|&(ipa, length)| {
                ipa < base.saturating_add(size) && base < ipa.saturating_add(length)
            }),
        }
    }
}

/// First byte and length of an operand of TLBI RIPAS2E1IS.
///
/// Source: Arm ARM (DDI0487), TLBI RIPAS2E1IS: TG, SCALE, NUM, BaseADDR.
fn decode(operand: u64, ranges: Ranges) -> (u64, u64) {
    let (num, scale) = (operand >> 39 & 0x1f, operand >> 44 & 3);
    let unit = if ranges == Ranges::SixtyFourKib { 16 } else { 12 };
    ((operand & ((1 << 37) - 1)) << unit, ((num + 1) << (5 * scale + 1)) * 4096)
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

    /// Carries out an invalidation on a CPU that can name these `ranges`, and takes up again what
    /// still translates.
    ///
    /// # Errors
    ///
    /// What the monitor does wrong: it would issue too many operations.
    pub(crate) fn invalidate(
        &mut self,
        dram: &Dram,
        vmid: u16,
        stale: Stale,
        ranges: Ranges,
    ) -> Result<(), String> {
        let named = Named::new(stale, ranges)?;
        let mut gone = Vec::new();
        self.leaves.retain(|leaf| {
            let hit = leaf.vmid == vmid && named.hits(leaf.ipa, leaf.size);
            if hit {
                gone.push(leaf.ipa);
            }
            !hit
        });
        self.branches.retain(|branch| {
            let hit = branch.vmid == vmid && named.hits(branch.ipa, branch.size);
            if hit {
                gone.push(branch.ipa);
            }
            !hit
        });
        if stale == Stale::All {
            // The Realm is no more.
            self.regimes.remove(&vmid);
        } else if let Some(&regime) = self.regimes.get(&vmid) {
            for ipa in gone {
                self.fill(dram, regime, ipa);
            }
        }
        Ok(())
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
    use super::*;

    fn hits(ipa: u64, size_bytes: u64, leaf_size_bytes: u64, base: u64, size: u64) -> [bool; 3] {
        let stale = Stale::Range { ipa, size_bytes, leaf_size_bytes };
        [Ranges::None, Ranges::Pages, Ranges::SixtyFourKib]
            .map(|ranges| Named::new(stale, ranges).unwrap().hits(base, size))
    }

    #[test]
    fn an_invalidation_hits_what_one_of_its_addresses_is_in() {
        assert_eq!(hits(0x1000, 0x1000, 0x1000, 0x1000, 0x1000), [true; 3]);
        assert_eq!(hits(0x1000, 0x1000, 0x1000, 0x2000, 0x1000), [false; 3]);
        assert_eq!(hits(0x20_1000, 0x1000, 0x1000, 0x20_0000, 0x20_0000), [true; 3]);
        assert_eq!(hits(0x20_0000, 0x20_0000, 0x20_0000, 0x20_1000, 0x1000), [false; 3], "stride");
        assert_eq!(hits(0x20_0000, 0x20_0000, 0x1000, 0x20_1000, 0x1000), [true; 3]);
        assert_eq!(hits(0x20_0000, 0x4_0000, 0x1000, 0x24_0000, 0x1000), [false; 3], "behind it");
    }

    #[test]
    fn a_level_0_table_is_named_by_no_address() {
        for ranges in [Ranges::None, Ranges::Pages, Ranges::SixtyFourKib] {
            let stale = Stale::Range { ipa: 0, size_bytes: 1 << 48, leaf_size_bytes: 1 << 39 };
            assert!(matches!(Named::new(stale, ranges), Ok(Named::All)));
        }
    }
}
