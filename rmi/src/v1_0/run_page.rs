//! The page through which the Host runs a REC: what it passes in, and what it gets back.

use machine::vcpu::HostVgic;
use machine::{GranuleAddr, HostMemory};
use realm::exit::Exit;
use realm::{Features, Rec};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::ops::enter::{Entry, EntryFlags};
use crate::ops::vgic;
use crate::ops::{Cause, HostPage};
use crate::words::AbiWords;

/// `RmiRecEnter`, the first half of the run page, as far as it has a meaning.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecEnter`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub(super) struct RecEnter {
    flags: u64,
    hole_1: [u64; 63],
    /// `gprs`, from byte offset 0x200.
    gprs: [u64; 31],
    hole_2: u64,
    /// `gicv3_hcr`, at byte offset 0x300, and `gicv3_lrs`, from 0x308.
    gicv3: HostVgic,
}

/// Flags of `RmiRecEnter`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecEnterFlags`.
mod flag {
    pub(super) const EMUL_MMIO: u64 = 1;
    pub(super) const INJECT_SEA: u64 = 1 << 1;
    pub(super) const TRAP_WFI: u64 = 1 << 2;
    pub(super) const TRAP_WFE: u64 = 1 << 3;
    pub(super) const RIPAS_REJECT: u64 = 1 << 4;
}

impl RecEnter {
    /// Nothing asked for, all registers zero.
    pub(super) fn zeroed() -> Self {
        Self::new_zeroed()
    }

    /// Copies the Host's part of the page at `run`. In place: perf, a result of this size would be copied once more
    /// (`rec_enter_host_call`).
    ///
    /// # Errors
    ///
    /// `HostFault`; what was copied is not to be used.
    pub(super) fn read(
        &mut self,
        machine: &impl HostMemory,
        run: GranuleAddr,
    ) -> Result<(), Cause> {
        let words: &mut [u64; 113] = zerocopy::transmute_mut!(self);
        machine.read_host(run, 0, words).map_err(|_| Cause::HostFault(HostPage::Run))
    }

    /// What it says.
    #[inline(always)]
    pub(super) fn entry(&self) -> Entry<'_> {
        let is_set = |flag| self.flags & flag != 0;
        let flags = EntryFlags::NONE
            .with_if(is_set(flag::EMUL_MMIO), EntryFlags::EMULATES)
            .with_if(is_set(flag::INJECT_SEA), EntryFlags::INJECTS_ABORT)
            .with_if(is_set(flag::TRAP_WFI), EntryFlags::TRAPS_WFI)
            .with_if(is_set(flag::TRAP_WFE), EntryFlags::TRAPS_WFE)
            .with_if(is_set(flag::RIPAS_REJECT), EntryFlags::REJECTS_RIPAS);
        Entry { flags, gprs: &self.gprs, vgic: &self.gicv3 }
    }
}

/// Offset of `RmiRecExit` in the run page, and its words.
const EXIT_AT: usize = 0x800;
const EXIT_WORDS: usize = 256;
/// Offset of `gicv3_lrs` in `RmiRecExit`.
const LRS_AT: usize = 0x308;

/// Tells the Host why the REC stopped: the second half of the page at `run`, built from zeros.
///
/// # Errors
///
/// `HostFault`: the page is not the Host's any more.
pub(super) fn tell(
    machine: &impl HostMemory,
    run: GranuleAddr,
    (rec, exit): (&Rec, &Exit),
    features: &Features,
) -> Result<(), Cause> {
    let mut page = AbiWords::zeroed();
    encode(&mut page, rec, exit, features);
    machine.write_host(run, EXIT_AT, &page.0).map_err(|_| Cause::HostFault(HostPage::Run))
}

/// Writes the exit page. Whatever is not set here stays zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecExit`, A4.3.1.
fn encode(page: &mut AbiWords<EXIT_WORDS>, rec: &Rec, exit: &Exit, features: &Features) {
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
    page.set_u64_at::<0x300>(vgic::exit_hcr(gic.hcr));
    let lrs = page.0.iter_mut().skip(LRS_AT / 8).take(features.list_registers());
    for (word, lr) in lrs.zip(gic.lrs) {
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
