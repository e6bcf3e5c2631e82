//! What the host does for each reason that a REC comes back.

use super::mmio;
use super::psci;
use super::run::Context;
use crate::failure::Failure;
use crate::ipa;
use crate::report::ExitKind;
use crate::rmi::abi::rec_enter;
use crate::rmi::run::{ExitReason, RecExit};

/// What the run loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Enter the REC with these flags and this `gprs[0]`.
    Enter {
        /// Entry flags besides the usual ones.
        flags: u64,
        /// Value for `gprs[0]`.
        gpr0: u64,
    },
    /// Wait for an interrupt of the guest, or for a time, then enter the REC.
    Sleep {
        /// Time on the physical counter.
        until: Option<u64>,
    },
    /// Wait until the guest starts this CPU again.
    Off,
}

impl Default for Next {
    fn default() -> Self {
        Self::ENTER
    }
}

impl Next {
    /// Enter the REC with nothing special.
    pub(super) const ENTER: Self = Self::Enter { flags: 0, gpr0: 0 };
}

/// A syndrome, `ESR_EL2` as far as the monitor shows it.
#[derive(Clone, Copy)]
struct Syndrome(u64);

impl Syndrome {
    const WFX: u64 = 0x01;
    const SYSREG: u64 = 0x18;
    const INSTRUCTION_ABORT: u64 = 0x20;
    const DATA_ABORT: u64 = 0x24;
    const EXTERNAL: u64 = 0x10;

    const fn class(self) -> u64 {
        (self.0 >> 26) & 0x3f
    }

    const fn fault_status(self) -> u64 {
        self.0 & 0x3f
    }

    /// Whether the monitor describes the access, so that it can be emulated.
    const fn has_access(self) -> bool {
        self.0 & (1 << 24) != 0
    }

    const fn is_write(self) -> bool {
        self.0 & (1 << 6) != 0
    }

    const fn size(self) -> u64 {
        1 << ((self.0 >> 22) & 0b11)
    }
}

/// Serves an exit.
pub(super) fn handle(context: &Context<'_>, exit: &RecExit) -> Result<Next, Failure> {
    let Context { host, realm, vcpu } = context;
    match exit.reason {
        ExitReason::Sync => sync(context, exit),
        // Acknowledged before the next entry.
        ExitReason::Irq | ExitReason::Fiq => Ok(Next::ENTER),
        ExitReason::Psci => psci::handle(context, exit),
        ExitReason::RipasChange => {
            let accepted = realm.change_ripas(host, vcpu, exit)?;
            let flags = if accepted { 0 } else { rec_enter::FLAG_RIPAS_REJECT };
            Ok(Next::Enter { flags, gpr0: 0 })
        }
        ExitReason::HostCall => {
            host.log(format_args!("host call {:#x} with X0 = {:#x}", exit.imm, exit.gprs[0]));
            Ok(Next::ENTER)
        }
        ExitReason::Serror => {
            host.log(format_args!("CPU {} of the guest: SError {:#x}", vcpu.index, exit.esr));
            Ok(Next::ENTER)
        }
        ExitReason::Unknown(reason) => {
            Err(failure!("RMI_REC_ENTER gave the undefined exit reason {reason}"))
        }
    }
}

fn sync(context: &Context<'_>, exit: &RecExit) -> Result<Next, Failure> {
    let counters = &context.host.counters;
    let syndrome = Syndrome(exit.esr);
    match syndrome.class() {
        Syndrome::WFX => {
            counters.exit(ExitKind::SyncWfx);
            Ok(wait(context, exit))
        }
        Syndrome::SYSREG => {
            counters.exit(ExitKind::SyncSysreg);
            system_register(context, exit)
        }
        Syndrome::INSTRUCTION_ABORT | Syndrome::DATA_ABORT => abort(context, exit, syndrome),
        class => Err(failure!(
            "the guest stopped with exception class {class:#x}, syndrome {:#x}",
            exit.esr
        )),
    }
}

/// Longest sleep for a `WFI`, in milliseconds.
///
/// A `WFI` may end at any time, and this one may be a `WFIT`: QEMU 10.0.2 reports both alike, and
/// the time limit is lost. A Linux that is shown the instruction (Cairn hides it, other monitors
/// may not) delays by it, also with a lock held and interrupts masked; if its CPU slept until its
/// next timer, the others would spin.
const NAP_MS: u64 = 100;

/// `WFI`, `WFE`, or one of them with a time limit.
fn wait(context: &Context<'_>, exit: &RecExit) -> Next {
    let [limit, ..] = exit.gprs;
    let machine = context.host.machine();
    match exit.esr & 0b11 {
        0 => Next::Sleep { until: Some(machine.counter() + machine.counter_hz() / 1000 * NAP_MS) },
        2 => Next::Sleep { until: Some(limit) },
        _ => Next::ENTER,
    }
}

/// A write to one of the registers that generate interrupts; any other is ignored.
fn system_register(context: &Context<'_>, exit: &RecExit) -> Result<Next, Failure> {
    /// Op0, Op2, Op1, CRn, CRm of `ICC_SGI1R_EL1` in the syndrome, and "write".
    const SGI1R: u64 = 3 << 20 | 5 << 17 | 12 << 10 | 11 << 1;
    const REGISTER: u64 = 0x3f_fc1f;
    let [value, ..] = exit.gprs;
    if exit.esr & REGISTER == SGI1R {
        let set = context.realm.vgic.lock().generate_sgi(context.vcpu.index, value);
        context.kick_others(set);
    } else {
        let register = exit.esr & REGISTER;
        context.host.log(format_args!("ignored system register access, syndrome {register:#x}"));
    }
    Ok(Next::ENTER)
}

fn abort(context: &Context<'_>, exit: &RecExit, syndrome: Syndrome) -> Result<Next, Failure> {
    let Context { host, realm, .. } = context;
    let address = (exit.hpfar & 0xffff_ffff_fff0) << 8 | (exit.far & 0xfff);
    if syndrome.fault_status() == Syndrome::EXTERNAL {
        host.counters.exit(ExitKind::SyncAbort);
        host.log(format_args!("external abort in the guest, syndrome {:#x}", exit.esr));
        return Ok(Next::ENTER);
    }
    let in_ram = realm.ram().contains(&ipa::device_address(address));
    if !ipa::is_unprotected(address) {
        host.counters.exit(ExitKind::SyncAbort);
        if !in_ram {
            return Err(failure!("the guest faulted at {address:#x}, which is not RAM"));
        }
        realm.give_memory(host, address)?;
        return Ok(Next::ENTER);
    }
    if in_ram {
        host.counters.exit(ExitKind::SyncAbort);
        realm.share_page(host, address)?;
        return Ok(Next::ENTER);
    }
    host.counters.exit(ExitKind::SyncMmio);
    if !syndrome.has_access() {
        host.log(format_args!("access at {address:#x} that cannot be emulated"));
        return Ok(Next::Enter { flags: rec_enter::FLAG_INJECT_SEA, gpr0: 0 });
    }
    let [value, ..] = exit.gprs;
    let size = syndrome.size();
    let gpr0 = if syndrome.is_write() {
        mmio::write(context, address, size, value);
        0
    } else {
        mmio::read(context, address, size)
    };
    Ok(Next::Enter { flags: rec_enter::FLAG_EMUL_MMIO, gpr0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_access_is_taken_from_the_syndrome() {
        let write_of_4_bytes = Syndrome(0x24 << 26 | 1 << 24 | 2 << 22 | 1 << 6);
        assert_eq!(write_of_4_bytes.class(), Syndrome::DATA_ABORT);
        assert!(write_of_4_bytes.has_access() && write_of_4_bytes.is_write());
        assert_eq!(write_of_4_bytes.size(), 4);
    }
}
