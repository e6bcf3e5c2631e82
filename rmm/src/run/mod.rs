//! The run loop: a REC runs until something needs the Host.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`timers`] | which timer changes the Host has to hear of |
//! | [`abort`] | stage 2 aborts and SErrors |
//! | [`sysreg`] | trapped system registers |
//! | [`id_registers`] | what a Realm sees of the CPU |

pub mod abort;
pub mod id_registers;
pub mod sysreg;
pub mod timers;

use machine::vcpu::{Cause, VcpuExit};
use machine::{Event, Machine, Vcpu};
use realm::exit::{Answer, Exit, PageOffset};
use realm::rec::LastExit;
use realm::rec::exception::{Exception, class, class_of, register_of};
use realm::{Rec, Rmm};

use timers::Timers;

/// Runs a REC whose entry has been checked. Returns what the Host has to know.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.1 to A4.5.
pub fn run<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, answer: &Answer<'_>) -> Exit {
    // A REC that cannot go on is loaded all the same: what its exit leaves in the registers that
    // the Host shares with it does not depend on how far it got.
    let resumed = rsi::resume(rmm, rec, answer);
    rmm.machine.load(&mut rec.registers);
    let exit = match resumed {
        Some(exit) => exit,
        None => run_loaded(rmm, rec),
    };
    rmm.machine.unload(&mut rec.registers);
    let el1 = &rec.registers.el1;
    rec.reported_timers = [el1.cntp_ctl_el0, el1.cntv_ctl_el0];
    exit
}

/// Runs a REC that is on the CPU until it has to leave it.
#[inline(always)] // It has one caller, on the path that every entry takes.
fn run_loaded<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Exit {
    let mut timers = Timers::new(rec.reported_timers);
    loop {
        if timers.changed(rmm.machine) {
            return Exit::Irq;
        }
        let exit = rmm.machine.run(&mut rec.registers);
        let handled = match exit.cause {
            Cause::Sync => synchronous(rmm, rec, &exit),
            Cause::Irq => Some(Exit::Irq),
            Cause::Fiq => Some(Exit::Fiq),
            Cause::SError => Some(abort::serror(rmm, rec, &exit)),
        };
        if let Some(exit) = handled {
            return exit;
        }
    }
}

/// Handles a synchronous exception; `None` if the Realm goes on.
fn synchronous<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit) -> Option<Exit> {
    match class_of(exit.esr) {
        class::SMC64 => rsi::smc(rmm, rec),
        class::DATA_ABORT_LOWER => abort::data(rmm, rec, exit),
        class::INSTRUCTION_ABORT_LOWER => abort::instruction(rmm, rec, exit),
        class::SYSREG => sysreg::access(rmm, rec, exit),
        class::WFX => Some(wait(rec, exit)),
        class @ (class::FP | class::SVE | class::SME) if lend_simd(rmm, rec, class) => None,
        class::HVC64 => {
            // ELR_EL2 is already behind the HVC, and an UNDEFINED one is reported at itself.
            rec.registers.pc = rec.registers.pc.wrapping_sub(4);
            rec.inject_loaded(rmm.machine, Exception::Undefined);
            None
        }
        _ => {
            rmm.machine.log(Event::UnknownException { esr: exit.esr, pc: rec.registers.pc });
            rec.inject_loaded(rmm.machine, Exception::Undefined);
            None
        }
    }
}

/// Lends the SIMD unit for an instruction that has trapped; false if the Realm does not have that
/// instruction.
///
/// In streaming mode, in which the Host may have called, an instruction of SVE traps as one of SME
/// does. Lending ends that mode, so an SME trap after it is the Realm's own.
fn lend_simd<M: Vcpu>(rmm: &Rmm<'_, M>, rec: &Rec, class: u64) -> bool {
    let has = class == class::FP || rec.registers.extensions.sve_vl().is_some();
    has && (rmm.machine.lend_simd(&rec.registers) || class != class::SME)
}

/// A trapped WFI, WFE, WFIT or WFET: the Host learns which, and the operand of the latter two.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3.4.1.
fn wait(rec: &mut Rec, exit: &VcpuExit) -> Exit {
    const SHOWN: u64 = 0xfc00_0003;
    const TIMED: u64 = 0b10;
    const REGISTER_VALID: u64 = 1 << 2;
    let mut gpr0 = 0;
    if exit.esr & TIMED != 0 && exit.esr & REGISTER_VALID != 0 {
        gpr0 = rec.gpr(register_of(exit.esr >> 5));
    }
    rec.advance_pc();
    remember(rec, exit.esr & SHOWN, 0, 0);
    Exit::Sync { esr: exit.esr & SHOWN, far: PageOffset::default(), hpfar: 0, gpr0 }
}

/// Keeps the syndrome of an exit for the flags of the next entry.
fn remember(rec: &mut Rec, esr: u64, far: u64, hpfar: u64) {
    rec.last_exit = LastExit { esr, far, hpfar };
}
