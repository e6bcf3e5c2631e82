//! SVE, performance monitors and debug registers of a Realm's CPU, as far as programs of scenarios
//! use them.

use granule::GranuleAddr;
use machine::extensions::{DebugRegisters, PmuRegisters};
use machine::vcpu::VcpuRegisters;

use super::dram::Dram;
use super::vcpu::Loaded;
use crate::program::SystemRegister;

/// ZCR_EL1.
const ZCR: SystemRegister = (3, 0, 1, 2, 0);
/// SMCR_EL1.
const SMCR: SystemRegister = (3, 0, 1, 2, 6);
/// SVCR.
const SVCR: SystemRegister = (3, 3, 4, 2, 2);
/// FPCR.
const FPCR: SystemRegister = (3, 3, 4, 4, 0);
/// FPSR.
const FPSR: SystemRegister = (3, 3, 4, 4, 1);
/// ESR_EL2 of an instruction that CPTR_EL2.FPEN traps.
pub(super) const SIMD_ESR: u64 = 0x07 << 26 | 1 << 25 | 0x1e << 20;
/// ESR_EL2 of one that CPTR_EL2.ZEN traps.
const SVE_ESR: u64 = 0x19 << 26 | 1 << 25;
/// ESR_EL2 of one that CPTR_EL2.SMEN traps.
const SME_ESR: u64 = 0x1d << 26 | 1 << 25;
/// PMCR_EL0.P: resets the Realm's event counters when written.
const PMCR_P: u64 = 1 << 1;
/// PMCR_EL0.C: resets the cycle counter when written.
const PMCR_C: u64 = 1 << 2;
/// What PMCR_EL0 keeps of what is written: E, D, X, DP, LC, LP and FZO.
const PMCR_KEPT: u64 = 0x2f9;
/// MDSCR_EL1.MDE and SS.
const MDSCR_ARMED: u64 = 1 << 15 | 1;
/// DBGWCR_EL1.E.
const WATCHPOINT_ENABLED: u64 = 1;

/// What a Realm with SVE has in Z31 and P15.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sve {
    vector_bytes: u64,
    granules: (GranuleAddr, Option<GranuleAddr>),
    /// The last lane of Z31.
    pub(super) lane: u64,
    zcr: u64,
    /// Active bytes of P15.
    pub(super) active: u64,
}

impl Sve {
    /// What a CPU loads when it is lent its SIMD unit.
    pub(super) fn load(dram: &Dram, registers: &VcpuRegisters) -> Option<Self> {
        let vl = registers.extensions.sve_vl()?;
        let mut sve = Self {
            vector_bytes: 16 * (u64::from(vl) + 1),
            granules: registers.sve.granules(),
            lane: 0,
            zcr: registers.sve.zcr_el1,
            active: registers.sve.predicates[0],
        };
        if registers.sve.used != 0 {
            sve.lane = dram.load(sve.last_lane());
        }
        Some(sve)
    }

    pub(super) fn store(&self, dram: &Dram, registers: &mut VcpuRegisters) {
        dram.store(self.last_lane(), self.lane);
        registers.sve.predicates[0] = self.active;
        registers.sve.zcr_el1 = self.zcr;
        registers.sve.used = 1;
    }

    /// Where the last eight bytes of Z31 are.
    fn last_lane(&self) -> u64 {
        match self.granules {
            (_, Some(high)) => high.as_u64() + 16 * self.vector_bytes - 8,
            (low, None) => low.as_u64() + 2048 + 16 * self.vector_bytes - 8,
        }
    }

    /// Bytes of a vector, as ZCR_EL1 has it.
    pub(super) fn vector_bytes(&self) -> u64 {
        self.vector_bytes.min(16 * (self.zcr & 0xf) + 16)
    }
}

/// Debug registers, once they are lent.
pub(super) fn lend_debug(loaded: &mut Loaded, registers: &VcpuRegisters) {
    loaded.debug.get_or_insert(registers.debug);
}

/// Whether a Realm with this MDSCR_EL1 has its debug registers from the start.
pub(super) fn is_armed(mdscr: u64) -> bool {
    mdscr & MDSCR_ARMED != 0
}

impl Loaded {
    /// A register that the CPU gives to its Realm without a trap.
    pub(super) fn native(&mut self, register: SystemRegister, read: bool) -> Option<Native<'_>> {
        if register == (2, 0, 0, 2, 2) && self.debug.is_some() {
            return Some(Native::Word(&mut self.el1.mdscr_el1));
        }
        match register {
            ZCR => return Some(Native::Word(&mut self.sve.as_mut()?.zcr)),
            FPCR => return Some(Native::Word(&mut self.simd.as_mut()?.fpcr)),
            FPSR => return Some(Native::Word(&mut self.simd.as_mut()?.fpsr)),
            _ => {}
        }
        match register.0 {
            2 => debug(self.debug.as_mut()?, register),
            _ => {
                let (registers, counters) = self.pmu.as_mut()?;
                pmu(registers, *counters, register, read)
            }
        }
    }

    /// ESR_EL2 of an access to a register of the SIMD unit that CPTR_EL2 traps: its classes are not
    /// that of other registers.
    pub(super) fn simd_trap(&self, register: SystemRegister) -> Option<u64> {
        match register {
            ZCR if self.sve.is_none() => Some(SVE_ESR),
            FPCR | FPSR if self.simd.is_none() => Some(SIMD_ESR),
            SMCR | SVCR => Some(SME_ESR),
            _ => None,
        }
    }

    /// Whether a watchpoint of the Realm sees an access.
    pub(super) fn watched(&self, address: u64) -> bool {
        let Some(debug) = &self.debug else { return false };
        let armed = self.el1.mdscr_el1 & MDSCR_ARMED != 0 && debug.os_lock == 0;
        armed
            && debug
                .watchpoints
                .iter()
                .any(|[value, control]| control & WATCHPOINT_ENABLED != 0 && *value == address & !7)
    }
}

/// How a register behaves.
pub(super) enum Native<'a> {
    /// It keeps what is written.
    Word(&'a mut u64),
    /// PMCR_EL0, with this number of counters.
    Control(&'a mut PmuRegisters, u8),
    /// Ones that are written go into the set.
    Set(&'a mut u64),
    /// Ones that are written leave the set.
    Clear(&'a mut u64),
}

impl Native<'_> {
    pub(super) fn read(&self) -> u64 {
        match self {
            Native::Word(word) | Native::Set(word) | Native::Clear(word) => **word,
            Native::Control(pmu, counters) => pmu.pmcr_el0 | u64::from(*counters) << 11,
        }
    }

    pub(super) fn write(&mut self, value: u64) {
        match self {
            Native::Word(word) => **word = value,
            Native::Control(pmu, counters) => {
                pmu.pmcr_el0 = value & PMCR_KEPT;
                if value & PMCR_P != 0 {
                    pmu.pmevcntr_el0[..usize::from(*counters)].fill(0);
                }
                if value & PMCR_C != 0 {
                    pmu.pmccntr_el0 = 0;
                }
            }
            Native::Set(word) => **word |= value,
            Native::Clear(word) => **word &= !value,
        }
    }
}

fn debug(debug: &mut DebugRegisters, register: SystemRegister) -> Option<Native<'_>> {
    let (2, 0, crn, crm, op2) = register else { return None };
    let number = usize::try_from(crm).unwrap_or(0);
    Some(match (crn, op2) {
        (0, 4) => Native::Word(&mut debug.breakpoints[number][0]),
        (0, 5) => Native::Word(&mut debug.breakpoints[number][1]),
        (0, 6) => Native::Word(&mut debug.watchpoints[number][0]),
        (0, 7) => Native::Word(&mut debug.watchpoints[number][1]),
        (7, 6) if crm == 8 => Native::Set(&mut debug.claim),
        (7, 6) if crm == 9 => Native::Clear(&mut debug.claim),
        _ => return None,
    })
}

fn pmu(
    pmu: &mut PmuRegisters,
    counters: u8,
    register: SystemRegister,
    read: bool,
) -> Option<Native<'_>> {
    Some(match register {
        (3, 3, 9, 12, 0) => Native::Control(pmu, counters),
        (3, 3, 9, 12, 1) => Native::Set(&mut pmu.pmcnten),
        (3, 3, 9, 12, 2) => Native::Clear(&mut pmu.pmcnten),
        (3, 3, 9, 12, 3) => Native::Clear(&mut pmu.pmovs),
        (3, 3, 9, 14, 3) => Native::Set(&mut pmu.pmovs),
        (3, 0, 9, 14, 1) => Native::Set(&mut pmu.pminten),
        (3, 0, 9, 14, 2) => Native::Clear(&mut pmu.pminten),
        (3, 3, 9, 13, 0) => {
            // Time goes on with each look at it.
            let runs = pmu.pmcr_el0 & 1 != 0 && pmu.pmcnten >> 31 & 1 != 0;
            pmu.pmccntr_el0 += u64::from(read && runs);
            Native::Word(&mut pmu.pmccntr_el0)
        }
        (3, 3, 14, crm @ 8..=11, op2) => {
            Native::Word(pmu.pmevcntr_el0.get_mut(usize::try_from((crm - 8) * 8 + op2).ok()?)?)
        }
        (3, 3, 14, crm @ 12..=15, op2) => {
            Native::Word(pmu.pmevtyper_el0.get_mut(usize::try_from((crm - 12) * 8 + op2).ok()?)?)
        }
        _ => return None,
    })
}
