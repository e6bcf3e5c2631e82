//! Looking for a Realm's secrets where the host can see: in granules that come back, in exits, in registers.
//!
//! The host does not know the secrets, so it checks something stronger: what comes back is zero, and what it had itself
//! is unchanged.
//!
//! | Place | What must hold |
//! | --- | --- |
//! | a granule that the monitor gave back | every byte is zero |
//! | the exit half of a run page | every word that this kind of exit does not define is zero |
//! | general-purpose, floating-point, SVE, EL1, debug and PMU registers of the CPU | as before the entry |

use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::rmi::RmiError;
use crate::rmi::abi::{Command, rec_exit};
use crate::rmi::run::{ExitReason, RunPage};
use core::sync::atomic::{AtomicU64, Ordering};

/// Findings that are reported one by one; more are only counted.
const REPORTED: u64 = 8;

/// The watch over one run.
#[derive(Debug, Default)]
pub struct Watch {
    entries: AtomicU64,
    pages: AtomicU64,
    findings: AtomicU64,
}

impl Watch {
    /// `RMI_REC_ENTER`, with the registers and the exit watched.
    ///
    /// # Errors
    ///
    /// As [`crate::rmi::Rmi::rec_enter`].
    pub fn rec_enter(&self, host: &Host, rec: u64, run: RunPage) -> Result<(), RmiError> {
        let machine = host.machine();
        let args = [rec, run.pa(), 0, 0, 0];
        let function = u64::from(Command::RecEnter as u32);
        let (reply, changed) = machine.smc_watched([function, rec, run.pa(), 0, 0, 0, 0]);
        self.entries.fetch_add(1, Ordering::Relaxed);
        if let Some(register) = changed {
            self.found(host, format_args!("{register} changed across RMI_REC_ENTER"));
        }
        RmiError::from_reply(Command::RecEnter, args, reply)?;
        let reason = run.read_exit(machine).reason;
        for offset in (rec_exit::EXIT_REASON..PAGE_SIZE).step_by(8) {
            let value = machine.read_u64(run.pa() + offset);
            if value != 0 && !is_defined(reason, offset) {
                let at = offset - rec_exit::EXIT_REASON;
                self.found(host, format_args!("exit {reason:?} shows a value at offset {at:#x}"));
            }
        }
        Ok(())
    }

    /// A granule came back from the monitor.
    pub fn returned(&self, host: &Host, pa: u64, purpose: Purpose) {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let is_zero = |at: u64| host.machine().read_u64(at) == 0;
        if let Some(at) = (pa..pa + PAGE_SIZE).step_by(8).find(|at| !is_zero(*at)) {
            self.found(host, format_args!("a {purpose} came back with content at {at:#x}"));
        }
    }

    fn found(&self, host: &Host, what: core::fmt::Arguments<'_>) {
        if self.findings.fetch_add(1, Ordering::Relaxed) < REPORTED {
            host.log(format_args!("not isolated: {what}"));
        }
    }

    /// Prints what was looked at.
    ///
    /// # Errors
    ///
    /// Something was found.
    pub fn report(&self, host: &Host) -> Result<(), Failure> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (entries, pages) = (get(&self.entries), get(&self.pages));
        let findings = get(&self.findings);
        host.machine().console_line(format_args!(
            "@cairn {{\"event\":\"isolation\",\"entries\":{entries},\"pages\":{pages},\"findings\":{findings}}}"
        ));
        if findings == 0 {
            return Ok(());
        }
        Err(failure!("the Realms are not isolated: {findings} findings"))
    }
}

/// Whether an exit for `reason` defines the word at `offset` of the run page.
///
/// Source: RMM specification (Arm DEN0137) 1.0, "Realm and REC exit semantics", `RmiRecExit`.
fn is_defined(reason: ExitReason, offset: u64) -> bool {
    let gprs = |count: u64| rec_exit::GPRS..rec_exit::GPRS + 8 * count;
    let always = offset == rec_exit::EXIT_REASON
        || (rec_exit::GICV3_HCR..=rec_exit::GICV3_VMCR).contains(&offset)
        || (rec_exit::CNTP_CTL..=rec_exit::CNTV_CVAL).contains(&offset);
    let syndrome = (rec_exit::ESR..=rec_exit::HPFAR).contains(&offset);
    let own = match reason {
        ExitReason::Irq | ExitReason::Fiq => false,
        ExitReason::Sync => syndrome || gprs(1).contains(&offset),
        ExitReason::Serror => offset == rec_exit::ESR,
        ExitReason::Psci => gprs(4).contains(&offset),
        ExitReason::RipasChange => (rec_exit::RIPAS_BASE..=rec_exit::RIPAS_VALUE).contains(&offset),
        ExitReason::HostCall => gprs(31).contains(&offset) || offset == rec_exit::IMM,
        ExitReason::Unknown(_) => false,
    };
    always || own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use alloc::string::ToString;

    fn watched() -> (testing::FakeMachine, Host) {
        let (machine, mut host) = testing::host();
        host.watch = Some(Watch::default());
        (machine, host)
    }

    #[test]
    fn a_granule_with_one_bit_left_is_found() {
        let (machine, host) = watched();
        let pa = host.take_granule().unwrap();
        host.reclaim(pa, Purpose::Data);
        assert!(host.account().is_ok());
        let pa = host.take_granule().unwrap();
        machine.0.lock().residue = Some(pa);
        host.reclaim(pa, Purpose::Data);
        let why = host.account().unwrap_err().to_string();
        assert_eq!(why, "the Realms are not isolated: 1 findings");
        assert!(machine.0.lock().console.contains("\"pages\":2,\"findings\":1"));
    }

    #[test]
    fn an_exit_may_show_what_it_defines_and_nothing_else() {
        assert!(is_defined(ExitReason::Sync, rec_exit::HPFAR));
        assert!(is_defined(ExitReason::Sync, rec_exit::GPRS));
        assert!(!is_defined(ExitReason::Sync, rec_exit::GPRS + 8));
        assert!(!is_defined(ExitReason::Irq, rec_exit::ESR));
        assert!(!is_defined(ExitReason::Irq, rec_exit::GPRS));
        assert!(is_defined(ExitReason::HostCall, rec_exit::GPRS + 8 * 30));
        assert!(!is_defined(ExitReason::HostCall, rec_exit::GPRS + 8 * 31));
        assert!(is_defined(ExitReason::Irq, rec_exit::GICV3_LRS));
        assert!(!is_defined(ExitReason::Irq, 0xff8));
    }
}
