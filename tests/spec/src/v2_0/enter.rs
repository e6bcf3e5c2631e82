//! REC_ENTER: its conditions, and what the exit tells about the REC.
//!
//! Source: sections 9.3 to 9.5, 10.13 and 11.2 of our notes on RMI 2.0.

use super::rec::MPIDR;
use super::verdict::{Conditions, Names, Order, RECS, ensure};
use super::words::{REALM, REC};
use super::{HostView, Model, Page, RealmState, Ripas, RipasRequest, State, Verdict, choices};

const RUN: Names = ["run_align", "run_bound", "run_pas"];

/// All rows of INPUT come first (9.4).
const ORDER: Order = &[(
    &["run_align", "run_bound", "run_pas", "rec_align", "rec_bound", "rec_gran_state"],
    &["realm_state", "rec_state", "rec_runnable", "rec_mmio", "rec_gicv3", "rec_psci"],
)];

const EMUL_MMIO: u64 = 1 << 0;
const INJECT_SEA: u64 = 1 << 1;

/// Exit reasons without devices and planes.
mod reason {
    pub(super) const SYNC: u64 = 0;
    pub(super) const IRQ: u64 = 1;
    pub(super) const FIQ: u64 = 2;
    pub(super) const PSCI: u64 = 3;
    pub(super) const RIPAS_CHANGE: u64 = 4;
    pub(super) const HOST_CALL: u64 = 5;
    pub(super) const SERROR: u64 = 6;
}

/// Whether a list register asks for the deactivation of a physical interrupt (9.5).
fn is_hardware(list_register: u64) -> bool {
    let (hw, state) = (list_register >> 61 & 1 == 1, list_register >> 62);
    hw && !(choices::ACCEPTS_INVALID_HW_LR && state == 0)
}

impl Model {
    /// Section 9.4.
    pub(crate) fn rec_enter(&self, rec: u64, run: u64, host: &dyn HostView) -> Verdict {
        let mut c = Conditions::new();
        let page = self.read_host(&mut c, RUN, run, host);
        let has_rec = self.check_granule_or(&mut c, RECS, rec, State::Rec, choices::OWNED_IN_ENTER);
        if has_rec {
            let this = &self.recs[&rec];
            let state = self.realms[&this.owner].state;
            c.fails("realm_state", state != RealmState::Active, REALM);
            c.fails("rec_state", this.is_running, REC);
            c.fails("rec_runnable", !this.is_runnable, REC);
            c.fails("rec_psci", this.cpu_on.is_some(), REC);
            c.fails("rec_gicv3", host.list_registers().into_iter().any(is_hardware), REC);
            let flags = page.as_ref().map_or(0, |page| page[0]);
            let emulates = flags & EMUL_MMIO != 0 && flags & INJECT_SEA == 0;
            c.fails("rec_mmio", emulates && !this.can_emulate, REC);
            // Without an abort before it the flag has no effect in the text; TF-RMM refuses it.
            c.may_fail("inject_sea", flags & INJECT_SEA != 0 && !this.can_inject, REC);
        }
        // Section 9.4: the page was lost while the Realm ran.
        c.or_checked(ORDER, move |model, answer, host| {
            ensure(answer[1..4] == [0; 3], "X1 to X3 are 0")?;
            let page = host.after(run).ok_or("the run page cannot be read")?;
            model.exit(rec, &page)
        })
    }

    /// Follows an exit.
    fn exit(&mut self, rec: u64, page: &Page) -> Result<(), String> {
        check_exit(page)?;
        let ripas = ripas_request(page)?;
        let owner = self.recs.get(&rec).ok_or("there is no such REC")?.owner;
        let protected = |ipa| self.realms.get(&owner).is_none_or(|realm| realm.is_protected(ipa));
        let fault = data_abort(page).filter(|&(ipa, _)| !protected(ipa));
        let psci = (page[0x800 / 8] == reason::PSCI).then_some(page[0xa00 / 8]);
        if let Some(this) = self.recs.get_mut(&rec) {
            this.can_inject = fault.is_some();
            this.can_emulate = fault.is_some_and(|(_, has_syndrome)| has_syndrome);
            // Also what was asked before this entry is over (section 8.4 of our notes on RMI 1.0).
            this.ripas = ripas;
            match psci {
                Some(CPU_OFF) => this.is_runnable = false,
                Some(function) if is_cpu_on(function) => {
                    // Affinity 3 stands higher in MPIDR_EL1 than in RmiRecMpidr (11.2).
                    let target = page[0xa08 / 8];
                    this.cpu_on = Some((target & 0xff_ffff | target >> 8 & 0xff00_0000) & MPIDR);
                }
                _ => {}
            }
        }
        if let Some(SYSTEM_OFF | SYSTEM_RESET) = psci {
            self.set_realm_state(owner, RealmState::SystemOff);
        }
        Ok(())
    }
}

const CPU_OFF: u64 = 0x8400_0002;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

/// The address of a data abort, and whether its syndrome describes the access.
fn data_abort(page: &Page) -> Option<(u64, bool)> {
    const FROM_LOWER_LEVEL: u64 = 0x24;
    let [esr, hpfar] = [page[0x900 / 8], page[0x910 / 8]];
    let is_abort = page[0x800 / 8] == reason::SYNC && esr >> 26 & 0x3f == FROM_LOWER_LEVEL;
    is_abort.then_some((hpfar >> 4 << 12, esr >> 24 & 1 == 1))
}

/// The RIPAS change that an exit asks for. What it does not say is whether DESTROYED may change.
fn ripas_request(page: &Page) -> Result<Option<RipasRequest>, String> {
    if page[0x800 / 8] != reason::RIPAS_CHANGE {
        return Ok(None);
    }
    let value = match page[0xd10 / 8] {
        0 => Ripas::Empty,
        1 => Ripas::Ram,
        _ => return Err("exit.ripas_value is EMPTY or RAM".to_owned()),
    };
    let [addr, top] = [page[0xd00 / 8], page[0xd08 / 8]];
    Ok(Some(RipasRequest { addr, top, value, changes_destroyed: None }))
}

/// CPU_ON, with 32-bit or 64-bit arguments.
fn is_cpu_on(function: u64) -> bool {
    matches!(function, 0x8400_0003 | 0xc400_0003)
}

/// Section 9.3: what is not listed for a reason is zero. Timers and the PMU are always there.
fn check_exit(page: &Page) -> Result<(), String> {
    let reason = page[0x800 / 8];
    ensure(reason <= reason::SERROR, "the exit reason is known")?;
    let always = |offset: usize| matches!(offset, 0x800 | 0xc00..=0xc18 | 0xf00);
    let of_reason = |offset: usize| match reason {
        reason::SYNC => matches!(offset, 0x900 | 0x908 | 0x910 | 0x920 | 0xa00),
        // CPU_ON names a REC; of all others the Host learns the function alone.
        reason::PSCI if is_cpu_on(page[0xa00 / 8]) => matches!(offset, 0xa00 | 0xa08),
        reason::PSCI => offset == 0xa00,
        reason::RIPAS_CHANGE => matches!(offset, 0xd00 | 0xd08 | 0xd10),
        reason::HOST_CALL => matches!(offset, 0xa00..=0xaf0 | 0xe00),
        reason::SERROR => offset == 0x900,
        reason::IRQ | reason::FIQ => false,
        _ => true,
    };
    let strange = (0x800..0x1000)
        .step_by(8)
        .find(|&offset| page[offset / 8] != 0 && !always(offset) && !of_reason(offset));
    match strange {
        Some(offset) => Err(format!("exit for reason {reason} has something at {offset:#x}")),
        None => Ok(()),
    }
}
