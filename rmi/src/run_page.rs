//! The page through which the Host runs a REC, as far as every version of the interface has it:
//! what is asked for, and why the REC stopped.

use machine::{GranuleAddr, HostMemory};
use realm::Rec;
use realm::exit::Exit;

use crate::entry;
use crate::ops::enter::EntryFlags;
use crate::ops::{Cause, HostPage};
use crate::words::AbiWords;

/// Flags of `RmiRecEnter`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecEnterFlags`; 2.0 has the same, and more for
/// what this monitor has not.
mod flag {
    pub(super) const EMUL_MMIO: u64 = 1;
    pub(super) const INJECT_SEA: u64 = 1 << 1;
    pub(super) const TRAP_WFI: u64 = 1 << 2;
    pub(super) const TRAP_WFE: u64 = 1 << 3;
    pub(super) const RIPAS_REJECT: u64 = 1 << 4;
}

/// What the Host asks for.
#[inline(always)]
pub(crate) fn flags(flags: u64) -> EntryFlags {
    let is_set = |flag| flags & flag != 0;
    EntryFlags::NONE
        .with_if(is_set(flag::EMUL_MMIO), EntryFlags::EMULATES)
        .with_if(is_set(flag::INJECT_SEA), EntryFlags::INJECTS_ABORT)
        .with_if(is_set(flag::TRAP_WFI), EntryFlags::TRAPS_WFI)
        .with_if(is_set(flag::TRAP_WFE), EntryFlags::TRAPS_WFE)
        .with_if(is_set(flag::RIPAS_REJECT), EntryFlags::REJECTS_RIPAS)
}

/// Copies words from the start of the page at `run`.
///
/// # Errors
///
/// `HostFault`; what was copied is not to be used.
#[inline(always)]
pub(crate) fn read(
    machine: &impl HostMemory,
    run: GranuleAddr,
    words: &mut [u64],
) -> Result<(), Cause> {
    machine.read_host(run, 0, words).map_err(|_| Cause::HostFault(HostPage::Run))
}

/// Offset of `RmiRecExit` in the run page, and its words.
const EXIT_AT: usize = 0x800;
const EXIT_WORDS: usize = 256;

/// The second half of the run page.
pub(crate) type ExitPage = AbiWords<EXIT_WORDS>;

/// Tells the Host why the REC stopped: the second half of the page at `run`, built from zeros.
/// `more` adds what only one version of the interface has.
///
/// # Errors
///
/// `HostFault`: the page is not the Host's any more.
#[inline(always)]
pub(crate) fn tell(
    machine: &impl HostMemory,
    run: GranuleAddr,
    (rec, exit): (&Rec, &Exit),
    more: impl FnOnce(&mut ExitPage),
) -> Result<(), Cause> {
    let mut page = ExitPage::zeroed();
    encode(&mut page, rec, exit);
    more(&mut page);
    machine.write_host(run, EXIT_AT, &page.0).map_err(|_| Cause::HostFault(HostPage::Run))
}

/// Writes the exit page. Whatever is not set here stays zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecExit`, A4.3.1.
#[inline(always)]
fn encode(page: &mut ExitPage, rec: &Rec, exit: &Exit) {
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
            page.set_words_at::<0x500, 3>(&[base, top, entry::ripas_number(ripas)]);
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
    let el1 = &rec.registers.el1;
    // Each field from its own register: a mixed-up timer was a leak in another monitor (bug
    // catalogue L1).
    page.set_u64_at::<0x400>(el1.cntp_ctl_el0);
    page.set_u64_at::<0x408>(el1.cntp_cval_el0);
    page.set_u64_at::<0x410>(el1.cntv_ctl_el0);
    page.set_u64_at::<0x418>(el1.cntv_cval_el0);
    let registers = &rec.registers;
    if let Some(counters) = registers.extensions.counters() {
        page.set_u64_at::<0x700>(u64::from(registers.pmu.overflow(counters)));
    }
}
