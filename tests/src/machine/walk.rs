//! Stage 2 translation as hardware does it: from VTCR_EL2 and VTTBR_EL2, knowing nothing of the
//! monitor's code.
//!
//! Source: Arm ARM (DDI0487), VMSAv8-64 stage 2, 4 KiB granule.

use super::dram::{Dram, Pas};
use super::tlb::{Branch, Leaf};

/// The two registers that define a Realm's stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Regime {
    pub(crate) vtcr: u64,
    pub(crate) vttbr: u64,
}

impl Regime {
    pub(crate) fn vmid(self) -> u16 {
        (self.vttbr >> 48) as u16
    }

    fn lpa2(self) -> bool {
        self.vtcr >> 32 & 1 == 1
    }

    pub(crate) fn ipa_bits(self) -> u32 {
        64 - u32::try_from(self.vtcr & 0x3f).unwrap_or(0)
    }

    fn start_level(self) -> i32 {
        match (self.vtcr >> 6 & 3, self.vtcr >> 33 & 1) {
            (0, 1) => -1,
            (2, _) => 0,
            (1, _) => 1,
            (0, _) => 2,
            _ => 3,
        }
    }

    /// Hardware ignores the address bits below the size of the (concatenated) start-level table.
    fn base(self) -> u64 {
        let entries = 1 << self.ipa_bits().saturating_sub(shift(self.start_level()));
        let ignored: u64 = (entries * 8).max(64) - 1;
        let base = if self.lpa2() {
            (self.vttbr & 0xffff_ffff_ffc0) | (self.vttbr >> 2 & 0xf) << 48
        } else {
            self.vttbr & 0xffff_ffff_fffe
        };
        base & !ignored
    }
}

/// Number of address bits below an entry of `level`.
pub(crate) fn shift(level: i32) -> u32 {
    u32::try_from(12 + 9 * (3 - level)).unwrap_or(12)
}

/// A leaf entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// First address that the entry translates, and how many bytes.
    pub(crate) ipa: u64,
    pub(crate) size: u64,
    pub(crate) pa: u64,
    pub(crate) level: i32,
    /// Output in the Non-secure physical address space.
    pub(crate) ns: bool,
    pub(crate) mem_attr: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
}

impl Mapping {
    pub(crate) fn cached(&self, vmid: u16) -> Leaf {
        Leaf { vmid, ipa: self.ipa, size: self.size, pa: self.pa, ns: self.ns }
    }
}

/// Why a walk ended without a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Translation fault at this level.
    Translation(i32),
    /// The address is beyond the input size.
    AddressSize,
    /// The tables are not what the architecture allows: the monitor's mistake.
    Broken(&'static str),
}

/// A walk: the tables it went through, and its end.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) branches: Vec<Branch>,
    pub(crate) result: Result<Mapping, Fault>,
}

/// What hardware sees in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    Invalid,
    Table(u64),
    Leaf { pa: u64, attributes: u64 },
}

/// Reads a descriptor at `level`.
pub(crate) fn descriptor(raw: u64, level: i32, lpa2: bool) -> Descriptor {
    let mut pa = raw & 0xffff_ffff_f000;
    if lpa2 {
        pa = (raw & 0x3_ffff_ffff_f000) | (raw >> 8 & 3) << 50;
    }
    match raw & 3 {
        3 if level < 3 => Descriptor::Table(pa),
        3 => Descriptor::Leaf { pa, attributes: raw },
        1 if level < 3 => Descriptor::Leaf { pa, attributes: raw },
        _ => Descriptor::Invalid,
    }
}

/// Translates `ipa`.
pub(crate) fn walk(dram: &Dram, regime: Regime, ipa: u64) -> Steps {
    let mut branches = Vec::new();
    let broken = |why, branches| Steps { branches, result: Err(Fault::Broken(why)) };
    if ipa >> regime.ipa_bits() != 0 {
        return Steps { branches, result: Err(Fault::AddressSize) };
    }
    if regime.start_level() == 0 && regime.vtcr >> 16 & 7 < 4 {
        // AArch64.S2InvalidSL: a translation fault at level 0, whatever the tables say.
        return Steps { branches, result: Err(Fault::Translation(0)) };
    }
    let mut level = regime.start_level();
    let mut table = regime.base();
    // The start level's index is as wide as the address: concatenated tables are one long one.
    let mut index = ipa >> shift(level);
    loop {
        let at = table + index * 8;
        match dram.at(at) {
            Some(granule) if granule.pas() == Pas::Realm => {}
            _ => return broken("table outside the Realm physical address space", branches),
        }
        let span = ipa >> (shift(level) + 9) << (shift(level) + 9);
        branches.push(Branch {
            vmid: regime.vmid(),
            ipa: span,
            size: 1 << (shift(level) + 9),
            table: at & !0xfff,
        });
        match descriptor(dram.load(at), level, regime.lpa2()) {
            Descriptor::Invalid => {
                return Steps { branches, result: Err(Fault::Translation(level)) };
            }
            Descriptor::Table(next) => {
                level += 1;
                table = next;
                index = ipa >> shift(level) & 511;
            }
            Descriptor::Leaf { pa, attributes } => {
                let size = 1 << shift(level);
                if attributes >> 10 & 1 == 0 {
                    return broken("access flag clear", branches);
                }
                if level < 1 || pa % size != 0 {
                    return broken("block at a level or address that has none", branches);
                }
                let mapping = Mapping {
                    ipa: ipa & !(size - 1),
                    size,
                    pa,
                    level,
                    ns: attributes >> 55 & 1 == 1,
                    mem_attr: attributes >> 2 & 0xf,
                    readable: attributes >> 6 & 1 == 1,
                    writable: attributes >> 7 & 1 == 1,
                    executable: attributes >> 53 & 3 == 0,
                };
                return Steps { branches, result: Ok(mapping) };
            }
        }
    }
}
