//! The page through which the Host runs a REC: what 1.0 adds to it, the virtual interrupts.

use machine::vcpu::HostVgic;
use machine::{GranuleAddr, HostMemory};
use realm::exit::Exit;
use realm::{Features, Rec};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::ops::Cause;
use crate::ops::enter::Entry;
use crate::ops::vgic::{self, VgicSource};
use crate::run_page::{self, ExitPage};

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

impl RecEnter {
    /// Nothing asked for, all registers zero.
    pub(super) fn zeroed() -> Self {
        Self::new_zeroed()
    }

    /// Copies the Host's part of the page at `run`. In place: perf, a result of this size would be
    /// copied once more (`rec_enter_host_call`).
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
        run_page::read(machine, run, words)
    }

    /// What it says.
    #[inline(always)]
    pub(super) fn entry(&self) -> Entry<'_> {
        Entry {
            flags: run_page::flags(self.flags),
            gprs: &self.gprs,
            vgic: &self.gicv3,
            source: VgicSource::RunPage,
        }
    }
}

/// Tells the Host why the REC stopped.
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
    run_page::tell(machine, run, (rec, exit), |page| encode_gic(page, rec, features))
}

/// Offset of `gicv3_lrs` in `RmiRecExit`.
const LRS_AT: usize = 0x308;

/// Writes the virtual interrupts.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecExit`, A6.1.
#[inline(always)]
fn encode_gic(page: &mut ExitPage, rec: &Rec, features: &Features) {
    let gic = &rec.registers.gic;
    page.set_u64_at::<0x300>(vgic::exit_hcr(gic.hcr));
    let lrs = page.0.iter_mut().skip(LRS_AT / 8).take(features.list_registers());
    for (word, lr) in lrs.zip(gic.lrs) {
        *word = lr;
    }
    page.set_words_at::<0x388, 2>(&[gic.misr, gic.vmcr]);
}
