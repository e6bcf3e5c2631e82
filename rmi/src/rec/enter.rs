//! RMI_REC_ENTER: the checks before a REC runs, the completion of its last exit, and the page that the Host gets back.

use granule::machine::{HostMemory, Memory, Slot};
use granule::{GranuleAddr, RdState, RecState, Running, Tracked};
use realm::exit::{Answer, Exit};
use realm::rd::{Rd, RealmState};
use realm::rec::exception::{ESR_ISV, ESR_WNR, access_bits, class, class_of, page_of, register_of};
use realm::rec::{Pending, controls};
use realm::{Features, Rec, Rmm};

use super::gic;
use crate::abi::{EnterFlags, NONE, Outputs, REC_EXIT_OFFSET, RecEnter, RecExit};
use crate::args::{self, REC};
use crate::error::{Refusal, RmiError};

/// `RMI_REC_ENTER`: runs a REC until it needs the Host. `run` does the running.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `run_align`, `run_bound`, `run_pas`, `rec_*`; RMI_ERROR_REALM: `realm_new` (index 0), `system_off` (index 1);
/// RMI_ERROR_REC: `rec_state`, `rec_runnable`, `rec_psci`, `rec_gicv3`, `rec_mmio`. If the exit cannot be written to the Host's
/// page any more, RMI_ERROR_INPUT although the REC has run.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REC_ENTER`, A4.2, A4.3.
pub fn enter<M: Memory + HostMemory>(
    rmm: &Rmm<'_, '_, M>,
    rec: u64,
    run_ptr: u64,
    run: impl FnOnce(&Rmm<'_, '_, M>, &mut Rec, &Answer<'_>) -> Exit,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let run_ptr = args::host_pointer(rmm, run_ptr, "run_align", "run_bound")?;
    let rec = REC.check(rmm, rec)?;
    let mut enter = RecEnter::zeroed();
    machine.read_host(run_ptr, 0, enter.words_mut()).map_err(args::host_fault("run_pas"))?;

    let mut running = start(rmm, rec, &enter)?;
    let mut page = machine.page(Slot::Rec, running.exclusive());
    let rec: &mut Rec = page.view_mut();

    prepare(rec, &enter, &rmm.features);
    let answer = Answer { gprs: &enter.gprs, ripas_reject: enter.flags().ripas_reject() };
    let exit = run(rmm, rec, &answer);

    let mut page_out = RecExit::zeroed();
    encode(&mut page_out, rec, &exit, &rmm.features);
    machine
        .write_host(run_ptr, REC_EXIT_OFFSET, page_out.words())
        .map_err(args::host_fault("run_pas"))?;
    Ok(NONE)
}

/// Checks that the REC may run, and marks it as running; from there on no lock is held, the count says that it runs.
///
/// The REC's own conditions are checked under its lock, so that a REC that is off is never seen running: another CPU may be
/// completing a CPU_ON about it. The Realm's state needs the RD, whose lock must not be taken while the REC's is held.
fn start<'t, M: Memory>(
    rmm: &Rmm<'_, 't, M>,
    rec: Tracked<'t>,
    enter: &RecEnter,
) -> Result<Running<'t>, Refusal> {
    let mut rec = rec.lock::<RecState>().map_err(|error| REC.refusal(error))?;
    if rec.count() != 0 {
        return Err(Refusal::rec("rec_state"));
    }
    let (owner, checked) = {
        let page = rmm.machine.page(Slot::Rec, rec.exclusive());
        let rec: &Rec = page.view();
        (rec.owner(), check_rec(rec, enter, &rmm.features))
    };
    if let Err(refusal) = checked {
        rec.unlock();
        // No order is stated; like the reference monitor, the Realm's state goes first.
        check_realm(rmm, owner)?;
        return Err(refusal);
    }
    let running = rec.start_running();
    check_realm(rmm, owner)?;
    Ok(running)
}

/// `realm_new`, `system_off`, for a Realm that has a REC, or had one a moment ago.
fn check_realm<M: Memory>(rmm: &Rmm<'_, '_, M>, rd: GranuleAddr) -> Result<(), Refusal> {
    let Ok(mut rd) = rmm.granules.lock::<RdState>(rd) else { return Ok(()) };
    let state = rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().state();
    match state {
        RealmState::New => Err(Refusal::realm("realm_new")),
        RealmState::Active => Ok(()),
        RealmState::SystemOff => {
            Err(Refusal { error: RmiError::Realm(1), ..Refusal::realm("system_off") })
        }
    }
}

/// `rec_runnable`, `rec_psci`, `rec_gicv3`, `rec_mmio`.
fn check_rec(rec: &Rec, enter: &RecEnter, features: &Features) -> Result<(), Refusal> {
    if !rec.is_runnable() {
        return Err(Refusal::rec("rec_runnable"));
    }
    if rec.pending() == Pending::Psci {
        return Err(Refusal::rec("rec_psci"));
    }
    if !gic::is_valid(enter, features) {
        return Err(Refusal::rec("rec_gicv3"));
    }
    let flags = enter.flags();
    if flags.emul_mmio() && !flags.inject_sea() && !was_emulatable(rec) {
        return Err(Refusal::rec("rec_mmio"));
    }
    Ok(())
}

/// Whether the last exit was an emulatable data abort.
fn was_emulatable(rec: &Rec) -> bool {
    let esr = rec.last_exit.esr;
    class_of(esr) == class::DATA_ABORT_LOWER && esr & ESR_ISV != 0
}

/// Whether the last exit was a data abort at an unprotected address.
fn was_unprotected_abort(rec: &Rec) -> bool {
    let last = rec.last_exit;
    let ipa = page_of(last.hpfar);
    class_of(last.esr) == class::DATA_ABORT_LOWER && rec.tree().space.is_unprotected(ipa)
}

/// Brings the REC to where it goes on, as far as that needs no access to the Realm's memory.
fn prepare(rec: &mut Rec, enter: &RecEnter, features: &Features) {
    let flags = enter.flags();
    gic::take(&mut rec.registers.gic, enter, features);
    complete_sysreg_read(rec, enter);
    complete_abort(rec, enter, flags);
    rec.last_exit = realm::rec::LastExit::default();
    rec.registers.hcr_el2 = controls::hcr(flags.trap_wfi(), flags.trap_wfe());
}

/// A trapped read of a system register gets the Host's value.
///
/// No read exits in 1.0; Hosts that know later versions answer them like this: X0 of the entry is the value.
fn complete_sysreg_read(rec: &mut Rec, enter: &RecEnter) {
    const READ: u64 = 1;
    let esr = rec.last_exit.esr;
    if class_of(esr) == class::SYSREG && esr & READ != 0 {
        let [value, ..] = enter.gprs;
        rec.set_gpr(register_of(esr >> 5), value);
    }
}

/// INJECT_SEA and EMUL_MMIO; the first wins.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.2.3, A4.4. INJECT_SEA after any other exit has no effect (the reference
/// monitor returns RMI_ERROR_REC).
fn complete_abort(rec: &mut Rec, enter: &RecEnter, flags: EnterFlags) {
    if flags.inject_sea() {
        if was_unprotected_abort(rec) {
            let last = rec.last_exit;
            rec.take(rec.before_exception().external_abort(last.esr, last.far));
        }
    } else if flags.emul_mmio() {
        let [value, ..] = enter.gprs;
        let esr = rec.last_exit.esr;
        if esr & ESR_WNR == 0 {
            rec.set_gpr(register_of(esr >> 16), emulated_read(esr, value));
        }
        rec.advance_pc();
    }
}

/// What an emulated load leaves in its register: cut to the access size, sign extended if the instruction does, cut to
/// 32 bits if the register is a W register.
fn emulated_read(esr: u64, value: u64) -> u64 {
    let sign_extend = esr >> 21 & 1 != 0;
    let wide = esr >> 15 & 1 != 0;
    let unused = 64 - access_bits(esr);
    let value = if sign_extend {
        ((value << unused).cast_signed() >> unused).cast_unsigned()
    } else {
        value << unused >> unused
    };
    if wide { value } else { value & 0xffff_ffff }
}

/// Writes the exit page. Whatever is not set here stays zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecExit`, A4.3.1.
fn encode(page: &mut RecExit, rec: &Rec, exit: &Exit, features: &Features) {
    const SYNC: u64 = 0;
    const IRQ: u64 = 1;
    const FIQ: u64 = 2;
    const PSCI: u64 = 3;
    const RIPAS_CHANGE: u64 = 4;
    const HOST_CALL: u64 = 5;
    const SERROR: u64 = 6;
    let reason = match *exit {
        Exit::Sync { esr, far, hpfar, gpr0 } => {
            page.set_words_at::<0x100, 3>(&[esr, far.into(), hpfar]);
            page.set_u64_at::<0x200>(gpr0);
            SYNC
        }
        Exit::Irq => IRQ,
        Exit::Fiq => FIQ,
        Exit::Psci { call, target } => {
            page.set_words_at::<0x200, 2>(&[call, target]);
            PSCI
        }
        Exit::RipasChange { base, top, ripas } => {
            page.set_words_at::<0x500, 3>(&[base, top, ripas]);
            RIPAS_CHANGE
        }
        Exit::HostCall { imm } => {
            page.set_words_at::<0x200, 31>(&rec.host_call);
            page.set_u64_at::<0x600>(u64::from(imm));
            HOST_CALL
        }
        Exit::SError { esr } => {
            page.set_u64_at::<0x100>(esr);
            SERROR
        }
    };
    page.set_u64_at::<0x0>(reason);
    let gic = &rec.registers.gic;
    page.set_u64_at::<0x300>(gic::exit_hcr(gic.hcr));
    for (word, lr) in page.gicv3_lrs_mut().iter_mut().zip(gic.lrs).take(features.list_registers()) {
        *word = lr;
    }
    page.set_words_at::<0x388, 2>(&[gic.misr, gic.vmcr]);
    let el1 = &rec.registers.el1;
    // Each field from its own register: a mixed-up timer was a leak in another monitor (bug catalogue L1).
    page.set_u64_at::<0x400>(el1.cntp_ctl_el0);
    page.set_u64_at::<0x408>(el1.cntp_cval_el0);
    page.set_u64_at::<0x410>(el1.cntv_ctl_el0);
    page.set_u64_at::<0x418>(el1.cntv_cval_el0);
    let registers = &rec.registers;
    if let Some(counters) = registers.extensions.counters() {
        page.set_u64_at::<0x700>(u64::from(registers.pmu.overflow(counters)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ESR of an emulatable load.
    fn load(size: u64, sign: u64, wide: u64) -> u64 {
        ESR_ISV | size << 22 | sign << 21 | wide << 15
    }

    #[test]
    fn emulated_loads_extend_as_the_instruction_says() {
        for (esr, value, expected) in [
            (load(0, 0, 0), 0x1ff, 0xff),
            (load(0, 1, 0), 0x80, 0xffff_ff80),
            (load(0, 1, 1), 0x80, 0xffff_ffff_ffff_ff80),
            (load(1, 0, 0), 0x1_8000, 0x8000),
            (load(2, 1, 1), 0x8000_0000, 0xffff_ffff_8000_0000),
            (load(2, 0, 0), u64::MAX, 0xffff_ffff),
            (load(3, 0, 1), u64::MAX, u64::MAX),
        ] {
            assert_eq!(emulated_read(esr, value), expected, "{esr:#x}");
        }
    }
}
