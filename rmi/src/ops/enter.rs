//! The run of a REC: the checks before it, and the completion of what the last exit left open.

use granule::{GranuleAddr, RdState, RecState, Running};
use machine::vcpu::HostVgic;
use machine::{Memory, Slot};
use realm::exit::{Answer, Exit};
use realm::rd::{Rd, RealmState};
use realm::rec::exception::{
    ESR_ISV, ESR_WNR, Exception, access_bits, class, class_of, page_of, register_of,
};
use realm::rec::{LastExit, Pending, controls};
use realm::{Features, Rec, Rmm};

use super::vgic::{self, VgicSource};
use super::{Cause, Named};

/// What a Host asks for with a run: a set of these constants. One number, since every entry builds
/// and reads it (perf: `rec_enter_host_call`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryFlags(u64);

impl EntryFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The Host emulated the access that caused the last exit.
    pub const EMULATES: Self = Self(1);
    /// The Realm is to take an external abort for the last exit.
    pub const INJECTS_ABORT: Self = Self(1 << 1);
    /// WFI causes an exit.
    pub const TRAPS_WFI: Self = Self(1 << 2);
    /// WFE causes an exit.
    pub const TRAPS_WFE: Self = Self(1 << 3);
    /// The Host rejects the RIPAS change that the Realm asked for.
    pub const REJECTS_RIPAS: Self = Self(1 << 4);

    /// These and `others`, if `condition` holds.
    #[must_use]
    #[inline(always)]
    pub const fn with_if(self, condition: bool, others: Self) -> Self {
        if condition { Self(self.0 | others.0) } else { self }
    }

    /// Whether any of `others` is asked for.
    #[inline(always)]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// What the Host passes to a run.
#[derive(Debug)]
pub struct Entry<'e> {
    /// What it asks for.
    pub flags: EntryFlags,
    /// Registers: the answer to what the Realm asked for.
    pub gprs: &'e [u64; 31],
    /// Virtual interrupts.
    pub vgic: &'e HostVgic,
    /// Where they come from.
    pub source: VgicSource,
}

/// Runs a REC until it needs the Host. `run` does the running, `told` tells the Host of the exit.
///
/// # Errors
///
/// `State`; `RealmNew`, `RealmOff`; `RecRunning`, `RecOff`, `RecPsciPending`, `Vgic`,
/// `NotEmulatable`; what `told` fails with, although the REC has run.
// perf: two dialects call it, and neither should pay for that (`rec_enter_host_call`).
#[inline(always)]
pub fn enter<M: Memory>(
    rmm: &Rmm<'_, M>,
    rec: Named<'_>,
    entry: &Entry<'_>,
    run: impl FnOnce(&Rmm<'_, M>, &mut Rec, &Answer<'_>) -> Exit,
    told: impl FnOnce(&Rec, &Exit) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let mut running = start(rmm, rec, entry)?;
    let mut page = machine.page(Slot::Rec, running.exclusive());
    let rec: &mut Rec = page.view_mut();
    prepare(rec, entry, &rmm.features);
    let ripas_reject = entry.flags.has(EntryFlags::REJECTS_RIPAS);
    let exit = run(rmm, rec, &Answer { gprs: entry.gprs, ripas_reject });
    told(rec, &exit)
}

/// Checks that the REC may run, and marks it as running; from there on no lock is held, the count
/// says that it runs.
///
/// The REC's own conditions are checked under its lock, so that a REC that is off is never seen
/// running: another CPU may be completing a CPU_ON about it. The Realm's state needs the RD, whose
/// lock must not be taken while the REC's is held.
// perf: two dialects call it, and neither should pay for that (`rec_enter_host_call`).
#[inline(always)]
fn start<'t, M: Memory>(
    rmm: &Rmm<'_, M>,
    rec: Named<'t>,
    entry: &Entry<'_>,
) -> Result<Running<'t>, Cause> {
    let mut rec = rec.lock::<RecState>()?;
    if rec.count() != 0 {
        return Err(Cause::RecRunning);
    }
    let (owner, checked) = {
        let page = rmm.machine.page(Slot::Rec, rec.exclusive());
        let rec: &Rec = page.view();
        (rec.owner(), check_rec(rec, entry, &rmm.features))
    };
    if let Err(cause) = checked {
        rec.unlock();
        // No order is stated; like the reference monitor, the Realm's state goes first.
        check_realm(rmm, owner)?;
        return Err(cause);
    }
    let running = rec.start_running();
    check_realm(rmm, owner)?;
    Ok(running)
}

/// The state of a Realm that has a REC, or had one a moment ago.
fn check_realm<M: Memory>(rmm: &Rmm<'_, M>, rd: GranuleAddr) -> Result<(), Cause> {
    let Ok(mut rd) = rmm.granules.lock::<RdState>(rd) else { return Ok(()) };
    let state = rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().state();
    match state {
        RealmState::New => Err(Cause::RealmNew),
        RealmState::Active => Ok(()),
        RealmState::SystemOff => Err(Cause::RealmOff),
        RealmState::Zombie => Err(Cause::RealmTerminated),
    }
}

/// The conditions of the REC itself.
#[inline(always)] // perf: each dialect has one source of interrupts (`rec_enter_host_call`).
fn check_rec(rec: &Rec, entry: &Entry<'_>, features: &Features) -> Result<(), Cause> {
    if !rec.is_runnable() {
        return Err(Cause::RecOff);
    }
    if rec.pending() == Pending::Psci {
        return Err(Cause::RecPsciPending);
    }
    if !vgic::is_valid(entry.source, entry.vgic, features) {
        return Err(Cause::Vgic);
    }
    let flags = entry.flags;
    if flags.has(EntryFlags::EMULATES)
        && !flags.has(EntryFlags::INJECTS_ABORT)
        && !was_emulatable(rec)
    {
        return Err(Cause::NotEmulatable);
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
#[inline(always)] // perf: each dialect has one source of interrupts (`rec_enter_host_call`).
fn prepare(rec: &mut Rec, entry: &Entry<'_>, features: &Features) {
    vgic::give(&mut rec.registers.gic, entry.source, entry.vgic, features);
    // Both look at the last exit, which is forgotten only then.
    complete_sysreg_read(rec, entry);
    complete_abort(rec, entry);
    rec.last_exit = LastExit::default();
    let flags = entry.flags;
    rec.registers.hcr_el2 =
        controls::hcr(flags.has(EntryFlags::TRAPS_WFI), flags.has(EntryFlags::TRAPS_WFE));
}

/// A trapped read of a system register gets the Host's value.
///
/// No read exits in 1.0; Hosts that know later versions answer them like this: X0 of the entry is
/// the value.
fn complete_sysreg_read(rec: &mut Rec, entry: &Entry<'_>) {
    const READ: u64 = 1;
    let esr = rec.last_exit.esr;
    if class_of(esr) == class::SYSREG && esr & READ != 0 {
        let [value, ..] = *entry.gprs;
        rec.set_gpr(register_of(esr >> 5), value);
    }
}

/// INJECT_SEA and EMUL_MMIO; the first wins.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.2.3, A4.4. INJECT_SEA after any other exit has
/// no effect (the reference monitor returns RMI_ERROR_REC).
fn complete_abort(rec: &mut Rec, entry: &Entry<'_>) {
    if entry.flags.has(EntryFlags::INJECTS_ABORT) {
        if was_unprotected_abort(rec) {
            let LastExit { esr, far, .. } = rec.last_exit;
            rec.inject(Exception::ExternalAbort { esr, far });
        }
    } else if entry.flags.has(EntryFlags::EMULATES) {
        let [value, ..] = *entry.gprs;
        let esr = rec.last_exit.esr;
        if esr & ESR_WNR == 0 {
            rec.set_gpr(register_of(esr >> 16), emulated_read(esr, value));
        }
        rec.advance_pc();
    }
}

/// What an emulated load leaves in its register: cut to the access size, sign extended if the
/// instruction does, cut to 32 bits if the register is a W register.
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
