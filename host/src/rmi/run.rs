//! The page through which the Host and a REC exchange registers: `RmiRecRun`.

use super::abi::{rec_enter, rec_exit};
use crate::machine::Machine;

/// Most list registers that the page has room for.
pub const MAX_LRS: usize = 16;

/// What the Host gives a REC for one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecEnter {
    /// Entry flags, see [`rec_enter`].
    pub flags: u64,
    /// `gprs[0]`: the value read by an emulated access, or the answer to a host call.
    pub gpr0: u64,
    /// The Host's bits of `ICH_HCR_EL2`.
    pub gicv3_hcr: u64,
    /// List registers; those past the implemented ones are ignored.
    pub gicv3_lrs: [u64; MAX_LRS],
}

/// Why a REC came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// A synchronous exception: an abort, `WFI`, or a trapped register.
    Sync,
    /// A physical interrupt.
    Irq,
    /// A physical fast interrupt.
    Fiq,
    /// A PSCI call that needs the Host.
    Psci,
    /// The Realm asks for a change of RIPAS.
    RipasChange,
    /// The Realm calls the Host.
    HostCall,
    /// A system error.
    Serror,
    /// A reason that version 1.0 does not have.
    Unknown(u64),
}

impl ExitReason {
    const fn new(value: u64) -> Self {
        match value & 0xff {
            0 => Self::Sync,
            1 => Self::Irq,
            2 => Self::Fiq,
            3 => Self::Psci,
            4 => Self::RipasChange,
            5 => Self::HostCall,
            6 => Self::Serror,
            other => Self::Unknown(other),
        }
    }
}

/// State of one guest timer at an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerState {
    /// Control: bit 0 enable, bit 1 masked, bit 2 condition met.
    pub ctl: u64,
    /// Compare value in ticks of the physical counter.
    pub cval: u64,
}

/// What a REC gives the Host at an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecExit {
    /// Why.
    pub reason: ExitReason,
    /// Syndrome of a `Sync` or `Serror` exit.
    pub esr: u64,
    /// Low bits of the fault address.
    pub far: u64,
    /// Faulting IPA.
    pub hpfar: u64,
    /// The first registers; the rest are zero but for host calls, which nobody here reads further.
    pub gprs: [u64; 4],
    /// List registers as the REC left them.
    pub gicv3_lrs: [u64; MAX_LRS],
    /// `ICH_VMCR_EL2` of the REC.
    pub gicv3_vmcr: u64,
    /// Physical timer.
    pub cntp: TimerState,
    /// Virtual timer.
    pub cntv: TimerState,
    /// First IPA of a RIPAS change.
    pub ripas_base: u64,
    /// End IPA of a RIPAS change.
    pub ripas_top: u64,
    /// Wanted RIPAS.
    pub ripas_value: u64,
    /// Immediate of a host call.
    pub imm: u64,
}

/// Offset of the `n`-th 64-bit element of an array at `base`.
const fn element(base: u64, n: usize) -> u64 {
    base + 8 * n as u64
}

/// A run page in Normal-world memory.
#[derive(Clone, Copy, Debug)]
pub struct RunPage {
    pa: u64,
    list_registers: usize,
}

impl RunPage {
    /// Uses the zeroed page at `pa` for a REC with this many list registers.
    #[must_use]
    pub fn new(pa: u64, list_registers: usize) -> Self {
        Self { pa, list_registers: list_registers.min(MAX_LRS) }
    }

    /// Physical address of the page.
    #[must_use]
    pub const fn pa(self) -> u64 {
        self.pa
    }

    /// Writes the `enter` half. Words that are always zero are left as they are.
    pub fn write_enter(self, machine: &dyn Machine, enter: &RecEnter) {
        machine.write_u64(self.pa + rec_enter::FLAGS, enter.flags);
        machine.write_u64(self.pa + rec_enter::GPRS, enter.gpr0);
        machine.write_u64(self.pa + rec_enter::GICV3_HCR, enter.gicv3_hcr);
        for (n, lr) in enter.gicv3_lrs.iter().take(self.list_registers).enumerate() {
            machine.write_u64(self.pa + element(rec_enter::GICV3_LRS, n), *lr);
        }
    }

    /// Reads the `exit` half.
    #[must_use]
    pub fn read_exit(self, machine: &dyn Machine) -> RecExit {
        let read = |offset: u64| machine.read_u64(self.pa + offset);
        let timer = |ctl: u64, cval: u64| TimerState { ctl: read(ctl), cval: read(cval) };
        let mut gprs = [0; 4];
        for (n, gpr) in gprs.iter_mut().enumerate() {
            *gpr = read(element(rec_exit::GPRS, n));
        }
        let mut gicv3_lrs = [0; MAX_LRS];
        for (n, lr) in gicv3_lrs.iter_mut().take(self.list_registers).enumerate() {
            *lr = read(element(rec_exit::GICV3_LRS, n));
        }
        RecExit {
            reason: ExitReason::new(read(rec_exit::EXIT_REASON)),
            esr: read(rec_exit::ESR),
            far: read(rec_exit::FAR),
            hpfar: read(rec_exit::HPFAR),
            gprs,
            gicv3_lrs,
            gicv3_vmcr: read(rec_exit::GICV3_VMCR),
            cntp: timer(rec_exit::CNTP_CTL, rec_exit::CNTP_CVAL),
            cntv: timer(rec_exit::CNTV_CTL, rec_exit::CNTV_CVAL),
            ripas_base: read(rec_exit::RIPAS_BASE),
            ripas_top: read(rec_exit::RIPAS_TOP),
            ripas_value: read(rec_exit::RIPAS_VALUE) & 0xff,
            imm: read(rec_exit::IMM) & 0xffff,
        }
    }
}
