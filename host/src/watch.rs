//! Looking for a Realm's secrets where the host can see: in granules that come back, in exits, in
//! registers.
//!
//! The host does not know the secrets, so it checks something stronger: what comes back is zero,
//! and what it had itself is unchanged.
//!
//! | Place | What must hold |
//! | --- | --- |
//! | a granule that the monitor gave back | every byte is zero |
//! | the exit half of a run page | every word that this kind of exit does not define is zero |
//! | `ICH_HCR_EL2`, in version 2.0 | as the host wrote it, but switched off |
//! | general-purpose, floating-point, SVE, EL1, debug and PMU registers of the CPU | as before the entry |

use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::machine::Changed;
use crate::rmi::RmiError;
use crate::rmi::abi::{VERSION_1_0, rec_exit};
use crate::rmi::command::REC_ENTER;
use crate::rmi::run::{ExitReason, RunPage};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// What was entered when something was seen.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    /// The Realm's number on the console, if there are several.
    pub number: Option<usize>,
    /// The Realm's RD, by which the monitor knows it.
    pub rd: u64,
    /// The virtual CPU.
    pub cpu: usize,
}

impl fmt::Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "Realm {number} (RD {:#x}), CPU {}", self.rd, self.cpu),
            None => write!(f, "the Realm of RD {:#x}, CPU {}", self.rd, self.cpu),
        }
    }
}

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
    pub fn rec_enter(
        &self,
        host: &Host,
        entered: Entered,
        rec: u64,
        run: RunPage,
    ) -> Result<(), RmiError> {
        let machine = host.machine();
        let args = [rec, run.pa(), 0, 0, 0];
        let (reply, changed) = machine.smc_watched([REC_ENTER.number(), rec, run.pa(), 0, 0, 0, 0]);
        let exit = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(changed) = changed {
            let Changed { before, after, .. } = changed;
            self.found(
                host,
                format_args!("{entered}, exit {exit}"),
                format_args!("{changed}"),
                [before, after],
            );
        }
        RmiError::from_reply(REC_ENTER, args, reply)?;
        let has_interrupts = host.dialect().version() == VERSION_1_0;
        let reason = run.read_exit(machine).reason;
        for offset in (rec_exit::EXIT_REASON..PAGE_SIZE).step_by(8) {
            let value = machine.read_u64(run.pa() + offset);
            if value != 0 && !is_defined(reason, offset, has_interrupts) {
                let at = offset - rec_exit::EXIT_REASON;
                self.found(
                    host,
                    format_args!("{entered}, exit {exit}"),
                    format_args!("{reason:?} exit, offset {at:#x}"),
                    [0, value],
                );
            }
        }
        Ok(())
    }

    /// `ICH_HCR_EL2` as it should be after an exit in version 2.0, and as it is; hardware counts in
    /// some of its bits.
    pub fn virtual_interface(&self, host: &Host, entered: Entered, values: [u64; 2]) {
        const EOI_COUNT: u64 = 0x1f << 27;
        let [expected, found] = values.map(|value| value & !EOI_COUNT);
        if expected != found {
            self.found(
                host,
                format_args!("{entered}"),
                format_args!("ICH_HCR_EL2"),
                [expected, found],
            );
        }
    }

    /// A granule came back from the monitor.
    pub fn returned(&self, host: &Host, pa: u64, purpose: Purpose) {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let words = (pa..pa + PAGE_SIZE).step_by(8);
        let mut words = words.map(|at| (at, host.machine().read_u64(at)));
        if let Some((at, value)) = words.find(|(_, value)| *value != 0) {
            let place = format_args!("{at:#x}");
            self.found(host, format_args!("a {purpose} that came back"), place, [0, value]);
        }
    }

    /// Reports what `place` of `whose` should hold and what it holds.
    fn found(
        &self,
        host: &Host,
        whose: fmt::Arguments<'_>,
        place: fmt::Arguments<'_>,
        [before, after]: [u64; 2],
    ) {
        if self.findings.fetch_add(1, Ordering::Relaxed) < REPORTED {
            host.machine().console_line(format_args!(
                "@cairn {{\"event\":\"finding\",\"whose\":\"{whose}\",\"place\":\"{place}\",\
                 \"before\":\"{before:#x}\",\"after\":\"{after:#x}\"}}"
            ));
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
/// Virtual interrupts are in the page in version 1.0 only.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0-bet3, "Realm and REC exit semantics",
/// `RmiRecExit`.
fn is_defined(reason: ExitReason, offset: u64, has_interrupts: bool) -> bool {
    let gprs = |count: u64| rec_exit::GPRS..rec_exit::GPRS + 8 * count;
    let always = offset == rec_exit::EXIT_REASON
        || has_interrupts && (rec_exit::GICV3_HCR..=rec_exit::GICV3_VMCR).contains(&offset)
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
        let console = machine.0.lock().console.clone();
        assert!(console.contains("\"pages\":2,\"findings\":1"));
        let place = "that came back\",\"place\":\"0x";
        assert!(console.contains(place) && console.contains("\"before\":\"0x0\""), "{console}");
    }

    #[test]
    fn a_virtual_interface_that_stays_on_is_found() {
        let (_, host) = watched();
        let watch = host.watch.as_ref().unwrap();
        let entered = Entered { number: None, rd: 0x4200_0000, cpu: 0 };
        watch.virtual_interface(&host, entered, [0b1000, 3 << 27 | 0b1000]);
        assert!(watch.report(&host).is_ok());
        watch.virtual_interface(&host, entered, [0, 1]);
        assert!(watch.report(&host).is_err());
    }

    #[test]
    fn what_is_found_says_where_and_both_values() {
        let (machine, host) = watched();
        let watch = host.watch.as_ref().unwrap();
        let entered = Entered { number: Some(2), rd: 0x4200_0000, cpu: 1 };
        let changed = Changed::find("z", 4, &[7; 128], &{
            let mut after = [7; 128];
            after[13] = 9;
            after
        });
        let changed = changed.unwrap();
        let [before, after] = [changed.before, changed.after];
        let (whose, place) = (entered.to_string(), changed.to_string());
        watch.found(&host, format_args!("{whose}"), format_args!("{place}"), [before, after]);
        assert_eq!(
            machine.0.lock().console,
            "@cairn {\"event\":\"finding\",\"whose\":\"Realm 2 (RD 0x42000000), CPU 1\",\"place\":\"z3 word 1\",\
             \"before\":\"0x7\",\"after\":\"0x9\"}\n"
        );
        assert_eq!(Changed::find("x", 1, &[1, 2], &[1, 2]), None);
        let x1 = Changed::find("x", 1, &[1, 2], &[1, 3]).unwrap();
        assert_eq!((x1.to_string().as_str(), x1.before, x1.after), ("x1", 2, 3));
    }

    #[test]
    fn an_exit_may_show_what_it_defines_and_nothing_else() {
        assert!(is_defined(ExitReason::Sync, rec_exit::HPFAR, true));
        assert!(is_defined(ExitReason::Sync, rec_exit::GPRS, true));
        assert!(!is_defined(ExitReason::Sync, rec_exit::GPRS + 8, true));
        assert!(!is_defined(ExitReason::Irq, rec_exit::ESR, true));
        assert!(!is_defined(ExitReason::Irq, rec_exit::GPRS, true));
        assert!(is_defined(ExitReason::HostCall, rec_exit::GPRS + 8 * 30, true));
        assert!(!is_defined(ExitReason::HostCall, rec_exit::GPRS + 8 * 31, true));
        assert!(is_defined(ExitReason::Irq, rec_exit::GICV3_LRS, true));
        assert!(!is_defined(ExitReason::Irq, rec_exit::GICV3_LRS, false));
        assert!(!is_defined(ExitReason::Irq, 0xff8, true));
    }
}
