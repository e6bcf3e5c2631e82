//! System registers that trap: identification registers, the GIC's SGI registers, and everything
//! else that a Realm does not have.

use machine::vcpu::{LiveRegister, VcpuExit};
use machine::{Event, Machine};
use realm::exit::{Exit, PageOffset};
use realm::rec::exception::{Exception, register_of};
use realm::{Rec, Rmm};

use super::{id_registers, remember};

/// OSLSR_EL1.OSLM: the OS Lock is implemented.
const OSLSR_IMPLEMENTED: u64 = 1 << 3;

/// ISS.Rt: which general-purpose register a trapped access names. The Host gets the value, and
/// needs no more.
const RT: u64 = 0x1f << 5;

/// The instruction of a trapped access, from the syndrome.
///
/// Source: Arm ARM (DDI0487), ESR_EL2, "ISS encoding for trapped MSR, MRS, or System instruction".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Op0, Op1, CRn, CRm, Op2.
    pub register: (u8, u8, u8, u8, u8),
    /// MRS, not MSR.
    pub read: bool,
    /// The general-purpose register.
    pub rt: usize,
}

impl Access {
    /// Decodes a syndrome.
    pub fn new(esr: u64) -> Self {
        let field = |shift: u32, mask: u64| u8::try_from((esr >> shift) & mask).unwrap_or(0);
        Self {
            register: (field(20, 3), field(14, 7), field(10, 15), field(1, 15), field(17, 7)),
            read: esr & 1 == 1,
            rt: register_of(esr >> 5),
        }
    }
}

/// Whether an access is to what does not exist for a Realm, rather than to what is harmless to
/// touch: registers of features that no Realm is shown, IMPLEMENTATION DEFINED ones, and every
/// instruction that traps.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.1.2.4; Arm ARM (DDI0487): a register of a
/// feature that is not there is UNDEFINED.
// Rare, and some hundred bytes of the image.
#[inline(never)]
fn is_undefined(esr: u64) -> bool {
    const OP0: u64 = 3 << 20;
    const OP1: u64 = 7 << 14;
    const OP2: u64 = 7 << 17;
    const CRN: u64 = 15 << 10;
    const CRM: u64 = 15 << 1;
    const GROUP: u64 = OP0 | CRN | CRM;
    /// The fields of a register of Op0 3, Op1 being 0.
    const fn el1(crn: u64, crm: u64) -> u64 {
        3 << 20 | crn << 10 | crm << 1
    }
    // Fields that are looked at, and their values. Registers of EL1 that a Realm has do not trap,
    // so that a whole group may stand here.
    const UNDEFINED: [(u64, u64); 17] = [
        // Instructions; CRn 11 or 15; BRB*_EL1; GMID_EL1.
        (OP0, 1 << 20),
        (0b1011 << 10, 0b1011 << 10),
        (OP0 | OP1 | 0b1110 << 10, 2 << 20 | 1 << 14 | 8 << 10),
        (OP0 | OP1 | CRN, 3 << 20 | 1 << 14),
        // SCTLR2_EL1, RGSR_EL1, GCR_EL1; SMPRI_EL1, TRFCR_EL1, TRCITECR_EL1; masks of FEAT_SRMASK.
        (GROUP, el1(1, 0)),
        (GROUP, el1(1, 2)),
        (GROUP, el1(1, 4)),
        // TCR2_EL1; GCS*; ALLINT; FPMR; TFSR*_EL1; PFAR_EL1.
        (GROUP, el1(2, 0)),
        (GROUP, el1(2, 5)),
        (GROUP, el1(4, 3)),
        (GROUP, el1(4, 4)),
        (GROUP, el1(5, 6)),
        (OP0 | CRN, el1(6, 0)),
        // PMS*, PMB*, TRB*; PIR*, POR*, S2POR*, MAIR2_EL1, AMAIR2_EL1; MPAMIDR_EL1; MPAM*_EL1.
        (OP0 | OP1 | CRN | 0b1100 << 1, el1(9, 8)),
        (GROUP & !(1 << 1), el1(10, 2)),
        (GROUP | OP1 | OP2, el1(10, 4) | 4 << 17),
        (GROUP, el1(10, 5)),
    ];
    // TPIDR2_EL0, RCW*MASK_EL1, ACCDATA_EL1, activity monitors.
    esr & (OP0 | CRN) == el1(13, 0)
        || UNDEFINED.iter().any(|&(fields, value)| esr & fields == value)
}

/// Handles a trapped access; the exit if the Host has to do it.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.1.2.3, A2.1.2.4, A4.3.4.4; the exits for the
/// GIC's SGI registers and ICC_DIR are how hosts and the reference monitor share the work.
// In the caller its registers are saved on every exit: 23 instructions of RSI_VERSION.
#[inline(never)]
pub fn access<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit) -> Option<Exit> {
    let access = Access::new(exit.esr);
    match (access.register, access.read) {
        // Identification registers.
        ((3, 0, 0, 1..=7, _), true) => {
            let extensions = &rec.registers.extensions;
            let value = id_registers::read(&rmm.facts, extensions, access.register);
            rec.set_gpr(access.rt, value);
        }
        // ICC_PMR_EL1, ICC_DIR_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1.
        ((3, 0, 4, 6, 0) | (3, 0, 12, 11, 1 | 5..=7), false) => {
            return Some(tell_host(rec, exit, access));
        }
        // A Host that has the virtual interrupts in the hardware may have set traps there, for any
        // register of the CPU interface.
        ((3, 0, 4, 6, 0) | (3, 0, 12, 8..=12, _), _) if rec.registers.gic.in_hardware != 0 => {
            return Some(tell_host(rec, exit, access));
        }
        // ACTLR_EL1, SCXTNUM_EL1, SCXTNUM_EL0: a Realm may have them, with nothing in them.
        ((3, 0, 1, 0, 1) | (3, 0 | 3, 13, 0, 7), read) => {
            if read {
                rec.set_gpr(access.rt, 0);
            }
        }
        _ if is_undefined(exit.esr) => {
            report(rmm, rec, exit);
            rec.inject_loaded(rmm.machine, Exception::Undefined);
            return None;
        }
        // OSLAR_EL1, OSLSR_EL1.
        ((2, 0, 1, 0, 4), false) => {
            rmm.machine.lend_debug(&mut rec.registers);
            rmm.machine.set_live(LiveRegister::OsLock, rec.gpr(access.rt) & 1);
        }
        ((2, 0, 1, 1, 4), true) => {
            rmm.machine.lend_debug(&mut rec.registers);
            let locked = rmm.machine.live(LiveRegister::OsLock);
            rec.set_gpr(access.rt, OSLSR_IMPLEMENTED | locked << 1);
        }
        // MDSCR_EL1, breakpoints and watchpoints, claim tags: the Realm has them, and tries again.
        ((2, 0, 0, 2, 2) | (2, 0, 0, _, 4..=7) | (2, 0, 7, 8 | 9, 6), _) => {
            rmm.machine.lend_debug(&mut rec.registers);
            return None;
        }
        // The rest of debug, and performance monitors that the Realm does not have: harmless to
        // touch.
        ((2, ..) | (3, _, 9, 12..=14, _) | (3, 3, 14, 8..=15, _), read) => {
            if read {
                rec.set_gpr(access.rt, 0);
            }
        }
        (_, read) => {
            report(rmm, rec, exit);
            if read {
                rec.set_gpr(access.rt, 0);
            }
        }
    }
    rec.advance_pc();
    None
}

/// The exit for an access that the Host handles: it gets the value of a write, and its X0 at the
/// next entry is that of a read.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3.4.4; 2.0, A6.1: ESR_EL2.ISS.Rt is 0, whatever
/// the instruction says.
fn tell_host(rec: &mut Rec, exit: &VcpuExit, access: Access) -> Exit {
    let gpr0 = if access.read { 0 } else { rec.gpr(access.rt) };
    rec.advance_pc();
    remember(rec, exit.esr, 0, 0);
    Exit::Sync { esr: exit.esr & !RT, far: PageOffset::default(), hpfar: 0, gpr0 }
}

fn report<M: Machine>(rmm: &Rmm<'_, M>, rec: &Rec, exit: &VcpuExit) {
    let iss = exit.esr & 0x1ff_ffff;
    rmm.machine.log(Event::UnknownRegister { iss, pc: rec.registers.pc });
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_reach::{Answer, Encoding, Fate};

    #[test]
    fn the_syndrome_names_the_register() {
        // MSR ICC_SGI1R_EL1, X5: op0 3, op1 0, CRn 12, CRm 11, op2 5.
        let esr = 0x18 << 26 | 3 << 20 | 5 << 17 | 12 << 10 | 5 << 5 | 11 << 1;
        let access = Access::new(esr);
        assert_eq!(access, Access { register: (3, 0, 12, 11, 5), read: false, rt: 5 });
    }

    /// Each register and instruction that traps gets the answer that the table gives it.
    #[test]
    #[cfg_attr(
        miri,
        ignore = "a pass over constants: it would take Miri an hour, and nothing is there to find"
    )]
    fn the_table_and_the_answers_agree() {
        let all = Encoding::registers().chain(Encoding::instructions());
        let mut compared = 0;
        for (encoding, row) in all.filter_map(|one| Some((one, cairn_reach::row(one)?))) {
            let (Fate::Trapped { by, answer } | Fate::Optional { by, answer, .. }) = row.fate
            else {
                continue;
            };
            // CPTR_EL2 has a syndrome of its own for vectors; both registers are answered before.
            let is_vectors = by.starts_with("CPTR_EL2.SMEN") || by.starts_with("CPTR_EL2.ZEN");
            let is_ours =
                matches!((encoding.op0, encoding.crn, encoding.crm, encoding.op2), (3, 13, 0, 7))
                    || row.name == "ACTLR_EL1";
            if is_vectors || is_ours {
                continue;
            }
            let undefined = is_undefined(syndrome(encoding));
            assert_eq!(undefined, answer == Answer::Undefined, "{encoding} ({})", row.name);
            compared += 1;
        }
        assert!(compared > 1000, "only {compared} encodings compared");
    }

    /// ESR_EL2 of a trapped `MRS` or `SYSL`.
    fn syndrome(encoding: Encoding) -> u64 {
        let Encoding { op0, op1, crn, crm, op2 } = encoding;
        let [op0, op1, crn, crm, op2] = [op0, op1, crn, crm, op2].map(u64::from);
        0x18 << 26 | op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1 | 1
    }
}
