//! Exceptions that the monitor makes a Realm take at EL1, as the architecture would.
//!
//! Pure: from the registers that matter to the registers that change. The caller reads and writes
//! them, in the REC or live on the CPU.

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

/// What an exception changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1, if the exception sets it.
    pub far: Option<u64>,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// The next instruction.
    pub pc: u64,
    /// PSTATE.
    pub pstate: u64,
}

/// The registers on which taking an exception depends.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// The instruction to report.
    pub pc: u64,
    /// PSTATE.
    pub pstate: u64,
    /// VBAR_EL1.
    pub vbar: u64,
    /// SCTLR_EL1.
    pub sctlr: u64,
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

impl Before {
    /// A synchronous exception to EL1 with this syndrome.
    ///
    /// Source: Arm ARM (DDI0487), `AArch64.TakeException`.
    fn take(self, esr: u64, far: Option<u64>) -> Taken {
        let offset = match self.pstate & PSTATE_MODE {
            _ if is_aarch32(self.pstate) => 0x600,
            MODE_EL0T => 0x400,
            MODE_EL1T => 0x000,
            _ => 0x200,
        };
        let kept = self.pstate & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN);
        let pan = if self.sctlr & SCTLR_SPAN == 0 { PSTATE_PAN } else { 0 };
        let ssbs = if self.sctlr & SCTLR_DSSBS != 0 { PSTATE_SSBS } else { 0 };
        Taken {
            esr,
            far,
            elr: self.pc,
            spsr: self.pstate,
            pc: self.vbar.wrapping_add(offset),
            pstate: kept | pan | ssbs | PSTATE_DAIF | MODE_EL1H,
        }
    }

    /// A synchronous external abort for the access that `esr` (of EL2) describes.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.2.7: ESR_EL1.EA is 1.
    pub fn external_abort(self, esr: u64, far: u64) -> Taken {
        let from_el0 = is_el0(self.pstate);
        let instruction = class_of(esr) == class::INSTRUCTION_ABORT_LOWER;
        let class = match (instruction, from_el0) {
            (true, true) => class::INSTRUCTION_ABORT_LOWER,
            (true, false) => class::INSTRUCTION_ABORT_SAME,
            (false, true) => class::DATA_ABORT_LOWER,
            (false, false) => class::DATA_ABORT_SAME,
        };
        const KEPT: u64 = 0x3ff_ffff & !(ESR_FSC | ESR_FNV | ESR_S1PTW);
        self.take(class << 26 | esr & KEPT | ESR_EA | FSC_EXTERNAL, Some(far))
    }

    /// An UNDEFINED instruction.
    pub fn undefined(self) -> Taken {
        self.take(class::UNKNOWN << 26 | ESR_IL, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Before = Before { pc: 0x1000, pstate: 0x6000_0005, vbar: 0x8000, sctlr: 0 };

    #[test]
    fn an_abort_at_el1_goes_to_the_spx_vector_with_everything_masked() {
        let esr = class::DATA_ABORT_LOWER << 26 | ESR_IL | ESR_ISV | ESR_FNV | ESR_S1PTW | 0x46;
        let taken = BEFORE.external_abort(esr, 0xdead);
        assert_eq!(class_of(taken.esr), class::DATA_ABORT_SAME);
        assert_eq!(taken.esr & ESR_FSC, 0x10);
        assert_eq!(taken.esr & (ESR_FNV | ESR_S1PTW), 0);
        assert_eq!(taken.esr & (ESR_EA | ESR_ISV | ESR_WNR), ESR_EA | ESR_ISV | ESR_WNR);
        assert_eq!((taken.pc, taken.elr, taken.far), (0x8200, 0x1000, Some(0xdead)));
        assert_eq!(taken.pstate, 0x6000_0000 | PSTATE_PAN | 0x3c5);
        assert_eq!(taken.spsr, BEFORE.pstate);
    }

    #[test]
    fn the_vector_depends_on_where_the_realm_was() {
        for (mode, offset, class) in [
            (0b0101, 0x200, class::INSTRUCTION_ABORT_SAME),
            (0b0100, 0x000, class::INSTRUCTION_ABORT_SAME),
            (0b0000, 0x400, class::INSTRUCTION_ABORT_LOWER),
            (0b1_0000, 0x600, class::INSTRUCTION_ABORT_LOWER),
        ] {
            let before = Before { pstate: mode, ..BEFORE };
            let taken = before.external_abort(class::INSTRUCTION_ABORT_LOWER << 26, 0);
            assert_eq!(taken.pc, 0x8000 + offset);
            assert_eq!(class_of(taken.esr), class);
            // A data abort keeps its own pair of classes.
            let taken = before.external_abort(class::DATA_ABORT_LOWER << 26, 0);
            let same = class == class::INSTRUCTION_ABORT_SAME;
            let data = if same { class::DATA_ABORT_SAME } else { class::DATA_ABORT_LOWER };
            assert_eq!(class_of(taken.esr), data);
        }
    }

    #[test]
    fn undefined_keeps_pan_when_span_is_set_and_takes_ssbs_from_sctlr() {
        let before = Before { sctlr: SCTLR_SPAN | SCTLR_DSSBS, ..BEFORE };
        let taken = before.undefined();
        assert_eq!(taken.esr, 0x200_0000);
        assert_eq!(taken.far, None);
        assert_eq!(taken.pstate & (PSTATE_PAN | PSTATE_SSBS), PSTATE_SSBS);
    }
}
