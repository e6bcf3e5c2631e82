//! The instructions that the suite's Realms run, encoded.
//!
//! Source: Arm ARM (DDI0487), C4.1.

use cairn_tests::program::{Access, El1, SystemRegister, Wait};

/// Register that holds an address while a load or store runs.
pub(super) const BASE: usize = 27;
/// Register that receives what MRS reads on behalf of a program.
pub(super) const RESULT: usize = 3;

/// SMC #0.
pub(super) const SMC: u32 = 0xd400_0003;
/// HVC #0.
pub(super) const HVC: u32 = 0xd400_0002;
/// `RDVL X3, #1`: an instruction of SVE.
pub(super) const RDVL: u32 = 0x04bf_5023;
/// `LASTB X3, P6, Z31.D`: with no active element, which is how P6 starts, the last of all.
pub(super) const READ_Z31_LAST: u32 = 0x05e1_bbe3;
/// `DUP Z31.D, X4`.
pub(super) const WRITE_Z31: u32 = 0x05e0_389f;
/// `CNTP X3, P15, P15.B`.
pub(super) const COUNT_P15: u32 = 0x2520_bde3;
/// `PTRUE P15.B`.
pub(super) const SET_P15: u32 = 0x2518_e3ef;
/// `PFALSE P15.B`.
pub(super) const CLEAR_P15: u32 = 0x2518_e40f;
/// `RDSVL X3, #1`: an instruction of SME.
pub(super) const RDSVL: u32 = 0x04bf_5823;
/// ISB.
pub(super) const ISB: u32 = 0xd503_3fdf;
/// `FMOV X3, D0`.
pub(super) const READ_D0: u32 = 0x9e66_0003;
/// `FMOV D0, X4`.
pub(super) const WRITE_D0: u32 = 0x9e67_0080;
/// `STR W28, [X29]`.
pub(super) const STORE_W28_AT_X29: u32 = 0xb900_03bc;
/// `BR X27`.
pub(super) const BRANCH: u32 = 0xd61f_0000 | 27 << 5;

/// CNTP_CTL_EL0, CNTP_CVAL_EL0.
pub(super) const PHYSICAL_TIMER: (SystemRegister, SystemRegister) =
    ((3, 3, 14, 2, 1), (3, 3, 14, 2, 2));
/// CNTV_CTL_EL0, CNTV_CVAL_EL0.
pub(super) const VIRTUAL_TIMER: (SystemRegister, SystemRegister) =
    ((3, 3, 14, 3, 1), (3, 3, 14, 3, 2));
/// ICC_PMR_EL1.
pub(super) const ICC_PMR: SystemRegister = (3, 0, 4, 6, 0);
/// ICC_IGRPEN1_EL1.
pub(super) const ICC_IGRPEN1: SystemRegister = (3, 0, 12, 12, 7);
/// ICC_IAR1_EL1.
pub(super) const ICC_IAR1: SystemRegister = (3, 0, 12, 12, 0);
/// ICC_EOIR1_EL1.
pub(super) const ICC_EOIR1: SystemRegister = (3, 0, 12, 12, 1);

fn number(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn register(value: usize) -> u32 {
    u32::try_from(value & 31).unwrap_or(0)
}

const fn system((op0, op1, crn, crm, op2): SystemRegister) -> u64 {
    0xd500_0000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

/// MRS (or SYSL) into a register.
pub(super) fn mrs(from: SystemRegister, rt: usize) -> u32 {
    number(system(from) | 1 << 21) | register(rt)
}

/// MSR (or SYS) from a register.
pub(super) fn msr(to: SystemRegister, rt: usize) -> u32 {
    number(system(to)) | register(rt)
}

/// The register of an EL1 register that programs use as it is.
pub(super) const fn el1(name: El1) -> Option<SystemRegister> {
    Some(match name {
        El1::Sctlr | El1::Vbar => return None,
        El1::Tpidr => (3, 0, 13, 0, 4),
        El1::Mair => (3, 0, 10, 2, 0),
        El1::VmPidr => (3, 0, 0, 0, 5),
        El1::CntpCval => PHYSICAL_TIMER.1,
        El1::CntvCval => VIRTUAL_TIMER.1,
    })
}

/// A load or store at the address in [`BASE`].
///
/// An instruction without syndrome is one that writes its base register back (by nothing).
pub(super) fn access(access: Access, store: bool) -> u32 {
    let opc = match (store, access.sign, access.wide) {
        (true, ..) => 0b00,
        (false, false, _) => 0b01,
        (false, true, true) => 0b10,
        (false, true, false) => 0b11,
    };
    let form = if access.syndrome { 0x3900_0000 } else { 0x3800_0400 };
    form | number(access.size & 3) << 30
        | opc << 22
        | register(BASE) << 5
        | register(access.register)
}

/// WFI and its kin; the operand of the timed ones is X7.
pub(super) const fn wait(kind: Wait) -> u32 {
    match kind {
        Wait::Wfi => 0xd503_207f,
        Wait::Wfe => 0xd503_205f,
        Wait::Wfit => 0xd503_1027,
        Wait::Wfet => 0xd503_1007,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_an_assembler() {
        assert_eq!(access(Access::WORD, false), 0xf940_0363); // ldr x3, [x27]
        assert_eq!(access(Access::WORD, true), 0xf900_0363); // str x3, [x27]
        // ldr x3, [x27], #0
        assert_eq!(access(Access::WORD.without_syndrome(), false), 0xf840_0763);
        assert_eq!(access(Access::WORD.without_syndrome(), true), 0xf800_0763); // str x3, [x27], #0
        let signed = Access { sign: true, ..Access::sized(0) };
        assert_eq!(access(signed, false), 0x39c0_0363); // ldrsb w3, [x27]
        let wide = Access { wide: true, ..signed };
        assert_eq!(access(wide, false), 0x3980_0363); // ldrsb x3, [x27]
        assert_eq!(access(Access::sized(2), false), 0xb940_0363); // ldr w3, [x27]
        assert_eq!(mrs((3, 0, 0, 4, 0), 5), 0xd538_0405); // mrs x5, id_aa64pfr0_el1
        assert_eq!(msr(ICC_PMR, 25), 0xd518_4619); // msr icc_pmr_el1, x25
        assert_eq!(msr(VIRTUAL_TIMER.0, 3), 0xd51b_e323); // msr cntv_ctl_el0, x3
    }
}
