//! Exceptions that the monitor makes a Realm take at EL1, as the architecture would.
//!
//! EL1's registers are in the REC, or on the CPU while it is loaded there; what becomes of them is
//! the same.

use machine::Vcpu;
use machine::vcpu::{LiveRegister, VcpuRegisters};

use super::Rec;

/// Exception classes of ESR_ELx, those that occur here.
///
/// Source: Arm ARM (DDI0487), ESR_EL2.
#[expect(missing_docs, reason = "each constant is the class of that name")]
pub mod class {
    pub const UNKNOWN: u64 = 0x00;
    pub const WFX: u64 = 0x01;
    pub const FP: u64 = 0x07;
    pub const HVC64: u64 = 0x16;
    pub const SMC64: u64 = 0x17;
    pub const SYSREG: u64 = 0x18;
    pub const SVE: u64 = 0x19;
    pub const SME: u64 = 0x1d;
    pub const INSTRUCTION_ABORT_LOWER: u64 = 0x20;
    pub const INSTRUCTION_ABORT_SAME: u64 = 0x21;
    pub const DATA_ABORT_LOWER: u64 = 0x24;
    pub const DATA_ABORT_SAME: u64 = 0x25;
    pub const SERROR: u64 = 0x2f;
}

/// The exception class of a syndrome.
pub const fn class_of(esr: u64) -> u64 {
    (esr >> 26) & 0x3f
}

/// ESR: 32-bit instruction.
pub const ESR_IL: u64 = 1 << 25;
/// ESR of an abort: the syndrome of the access is valid.
pub const ESR_ISV: u64 = 1 << 24;
/// ESR of an abort: far not valid.
const ESR_FNV: u64 = 1 << 10;
/// ESR of an abort: external abort type.
const ESR_EA: u64 = 1 << 9;
/// ESR of an abort: fault on a stage 2 walk for a stage 1 walk.
pub const ESR_S1PTW: u64 = 1 << 7;
/// ESR of an abort: write, not read.
pub const ESR_WNR: u64 = 1 << 6;
/// ESR of an abort: fault status code.
pub const ESR_FSC: u64 = 0x3f;
/// Fault status: synchronous external abort, not on a table walk.
const FSC_EXTERNAL: u64 = 0x10;

/// The register number in the low five bits of `field`, a syndrome shifted to where it has one.
#[inline(always)]
pub fn register_of(field: u64) -> usize {
    usize::try_from(field & 0x1f).unwrap_or(31)
}

/// Bits of the access of a data abort with a valid syndrome: ESR.SAS.
pub const fn access_bits(esr: u64) -> u32 {
    8 << ((esr >> 22) & 3)
}

/// The page that HPFAR_EL2 names: HPFAR_EL2.FIPA.
pub const fn page_of(hpfar: u64) -> u64 {
    (hpfar & 0xffff_ffff_fff0) << 8
}

/// An exception that the monitor can make a Realm take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// The instruction at the PC is UNDEFINED.
    Undefined,
    /// A synchronous external abort for the access of a data or instruction abort.
    ExternalAbort {
        /// ESR_EL2 of that abort.
        esr: u64,
        /// FAR_EL2 of that abort.
        far: u64,
    },
}

/// The registers that a REC has when it has taken an exception at EL1; the others stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtVector {
    pc: u64,
    pstate: u64,
    esr: u64,
    /// FAR_EL1, if the exception sets it.
    far: Option<u64>,
    elr: u64,
    spsr: u64,
}

const PSTATE_MODE: u64 = 0x1f;
const PSTATE_AARCH32: u64 = 1 << 4;
const MODE_EL0T: u64 = 0b0000;
const MODE_EL1T: u64 = 0b0100;
const MODE_EL1H: u64 = 0b0101;
const PSTATE_DAIF: u64 = 0b1111 << 6;
const PSTATE_SSBS: u64 = 1 << 12;
const PSTATE_PAN: u64 = 1 << 22;
const PSTATE_DIT: u64 = 1 << 24;
const PSTATE_NZCV: u64 = 0b1111 << 28;
const SCTLR_SPAN: u64 = 1 << 23;
const SCTLR_DSSBS: u64 = 1 << 44;

/// Whether the Realm was at EL0.
pub const fn is_el0(pstate: u64) -> bool {
    pstate & PSTATE_MODE == MODE_EL0T || pstate & PSTATE_AARCH32 != 0
}

/// Whether the Realm was in AArch32 state.
pub const fn is_aarch32(pstate: u64) -> bool {
    pstate & PSTATE_AARCH32 != 0
}

impl Exception {
    /// Takes the exception to EL1, from what PC and PSTATE are and EL1's VBAR and SCTLR.
    ///
    /// Source: Arm ARM (DDI0487), `AArch64.TakeException`.
    fn enter(self, pc: u64, pstate: u64, vbar: u64, sctlr: u64) -> AtVector {
        let (esr, far) = self.syndrome(pstate);
        let offset = match pstate & PSTATE_MODE {
            _ if is_aarch32(pstate) => 0x600,
            MODE_EL0T => 0x400,
            MODE_EL1T => 0x000,
            _ => 0x200,
        };
        let kept = pstate & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN);
        let pan = if sctlr & SCTLR_SPAN == 0 { PSTATE_PAN } else { 0 };
        let ssbs = if sctlr & SCTLR_DSSBS != 0 { PSTATE_SSBS } else { 0 };
        AtVector {
            pc: vbar.wrapping_add(offset),
            pstate: kept | pan | ssbs | PSTATE_DAIF | MODE_EL1H,
            esr,
            far,
            elr: pc,
            spsr: pstate,
        }
    }

    /// ESR_EL1, and FAR_EL1 if it is set.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.2.7: ESR_EL1.EA is 1.
    fn syndrome(self, pstate: u64) -> (u64, Option<u64>) {
        match self {
            Self::Undefined => (class::UNKNOWN << 26 | ESR_IL, None),
            Self::ExternalAbort { esr, far } => {
                let instruction = class_of(esr) == class::INSTRUCTION_ABORT_LOWER;
                let class = match (instruction, is_el0(pstate)) {
                    (true, true) => class::INSTRUCTION_ABORT_LOWER,
                    (true, false) => class::INSTRUCTION_ABORT_SAME,
                    (false, true) => class::DATA_ABORT_LOWER,
                    (false, false) => class::DATA_ABORT_SAME,
                };
                const KEPT: u64 = 0x3ff_ffff & !(ESR_FSC | ESR_FNV | ESR_S1PTW);
                (class << 26 | esr & KEPT | ESR_EA | FSC_EXTERNAL, Some(far))
            }
        }
    }
}

impl Rec {
    /// Makes the REC, which is not on a CPU, take an exception when it next runs.
    pub fn inject(&mut self, exception: Exception) {
        let VcpuRegisters { pc, pstate, el1, .. } = &mut self.registers;
        let after = exception.enter(*pc, *pstate, el1.vbar_el1, el1.sctlr_el1);
        (*pc, *pstate) = (after.pc, after.pstate);
        el1.esr_el1 = after.esr;
        el1.elr_el1 = after.elr;
        el1.spsr_el1 = after.spsr;
        if let Some(far) = after.far {
            el1.far_el1 = far;
        }
    }

    /// Makes the REC, which is loaded on `cpu`, take an exception when it goes on.
    pub fn inject_loaded(&mut self, cpu: &impl Vcpu, exception: Exception) {
        let VcpuRegisters { pc, pstate, .. } = &mut self.registers;
        let vbar = cpu.live(LiveRegister::Vbar);
        let after = exception.enter(*pc, *pstate, vbar, cpu.live(LiveRegister::Sctlr));
        (*pc, *pstate) = (after.pc, after.pstate);
        cpu.set_live(LiveRegister::Esr, after.esr);
        cpu.set_live(LiveRegister::Elr, after.elr);
        cpu.set_live(LiveRegister::Spsr, after.spsr);
        if let Some(far) = after.far {
            cpu.set_live(LiveRegister::Far, far);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: u64 = 0x1000;
    const PSTATE: u64 = 0x6000_0005;
    const VBAR: u64 = 0x8000;

    fn taken(exception: Exception, pstate: u64, sctlr: u64) -> AtVector {
        exception.enter(PC, pstate, VBAR, sctlr)
    }

    #[test]
    fn an_abort_at_el1_goes_to_the_spx_vector_with_everything_masked() {
        let esr = class::DATA_ABORT_LOWER << 26 | ESR_IL | ESR_ISV | ESR_FNV | ESR_S1PTW | 0x46;
        let abort = Exception::ExternalAbort { esr, far: 0xdead };
        let after = taken(abort, PSTATE, 0);
        assert_eq!(class_of(after.esr), class::DATA_ABORT_SAME);
        assert_eq!(after.esr & ESR_FSC, 0x10);
        assert_eq!(after.esr & (ESR_FNV | ESR_S1PTW), 0);
        assert_eq!(after.esr & (ESR_EA | ESR_ISV | ESR_WNR), ESR_EA | ESR_ISV | ESR_WNR);
        assert_eq!((after.pc, after.elr, after.far), (0x8200, PC, Some(0xdead)));
        assert_eq!(after.pstate, 0x6000_0000 | PSTATE_PAN | 0x3c5);
        assert_eq!(after.spsr, PSTATE);
    }

    #[test]
    fn the_vector_depends_on_where_the_realm_was() {
        for (mode, offset, class) in [
            (0b0101, 0x200, class::INSTRUCTION_ABORT_SAME),
            (0b0100, 0x000, class::INSTRUCTION_ABORT_SAME),
            (0b0000, 0x400, class::INSTRUCTION_ABORT_LOWER),
            (0b1_0000, 0x600, class::INSTRUCTION_ABORT_LOWER),
        ] {
            let abort = |of| Exception::ExternalAbort { esr: of << 26, far: 0 };
            let after = taken(abort(class::INSTRUCTION_ABORT_LOWER), mode, 0);
            assert_eq!(after.pc, VBAR + offset);
            assert_eq!(class_of(after.esr), class);
            // A data abort keeps its own pair of classes.
            let after = taken(abort(class::DATA_ABORT_LOWER), mode, 0);
            let same = class == class::INSTRUCTION_ABORT_SAME;
            let data = if same { class::DATA_ABORT_SAME } else { class::DATA_ABORT_LOWER };
            assert_eq!(class_of(after.esr), data);
        }
    }

    #[test]
    fn undefined_keeps_pan_when_span_is_set_and_takes_ssbs_from_sctlr() {
        let after = taken(Exception::Undefined, PSTATE, SCTLR_SPAN | SCTLR_DSSBS);
        assert_eq!(after.esr, 0x200_0000);
        assert_eq!(after.far, None);
        assert_eq!(after.pstate & (PSTATE_PAN | PSTATE_SSBS), PSTATE_SSBS);
    }
}
