//! The page that each CPU has to itself: what its assembly and its Rust code keep between steps.

use core::cell::Cell;

use machine::vcpu::El1Registers;

use crate::features::Features;
use crate::traps::HIDDEN;

/// Entries of the memory of who ran last under a VMID on this CPU.
pub(crate) const LAST_RUN_ENTRIES: usize = 16;

/// Who ran last under the VMIDs that share this entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastRun {
    /// `VTTBR_EL2`: the Realm.
    pub(crate) vttbr: u64,
    /// `VMPIDR_EL2`: the REC.
    pub(crate) vmpidr: u64,
}

/// What a CPU's SIMD area holds of the Host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Saved {
    /// V0 to V31: the CPU has no SVE, or the Host has nothing live in it.
    #[default]
    Halves,
    /// Z0 to Z31.
    Vectors,
    /// Z0 to Z31, P0 to P15 and FFR.
    All,
    /// The same of streaming mode.
    Streaming,
}

/// State of one CPU. Mapped at [`crate::layout::AREA`] on the CPU that it belongs to, and nowhere
/// else.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct CpuArea {
    /// The monitor's stack pointer while a Realm runs. (Assembly.)
    pub(crate) stack_pointer: Cell<u64>,
    /// X1 and X2 at an exception taken from EL2; X0 is in `TPIDR_EL2`. (Assembly.)
    pub(crate) scratch: [Cell<u64>; 2],
    /// 1 once this CPU reports a fatal exception: a second one goes nowhere. (Assembly.)
    pub(crate) faulted: Cell<u64>,
    /// Linear index of this CPU.
    pub(crate) index: Cell<u64>,
    /// X0 of the Host's call that this CPU serves, for reports.
    pub(crate) command: Cell<u64>,
    /// What this CPU has.
    pub(crate) features: Cell<Features>,
    /// `CNTHCTL_EL2` as it was last written.
    pub(crate) cnthctl: Cell<u64>,
    /// The registers that are zero while a Realm is loaded, by [`crate::traps::hidden`]. Set at
    /// each boot.
    pub(crate) hidden: Cell<u32>,
    /// Whether the loaded Realm has the SIMD unit.
    pub(crate) simd_lent: Cell<bool>,
    /// Whether it has it with SVE.
    pub(crate) sve_lent: Cell<bool>,
    /// Whether the loaded Realm has the debug registers.
    pub(crate) debug_lent: Cell<bool>,
    /// The Host's OS Lock while the debug registers are lent.
    pub(crate) host_os_lock: Cell<u64>,
    /// What was last saved of the Host's vectors.
    pub(crate) host_saved: Cell<Saved>,
    /// `SMCR_EL2` and FPSR of the Host in streaming mode.
    pub(crate) host_streaming_controls: Cell<[u64; 2]>,
    /// Whether V0 to V31 are saved and a hash function may have used them.
    pub(crate) hashing: Cell<bool>,
    /// The Host's EL1 registers while a Realm is loaded.
    pub(crate) host: Cell<El1Registers>,
    /// The Host's pointer authentication keys, where EL3 does not keep them.
    pub(crate) host_keys: [Cell<u64>; 10],
    /// PMCR_EL0 of the Host, with bit 63 set, while its counters are stopped or the Realm's; else
    /// 0.
    pub(crate) host_pmcr: Cell<u64>,
    /// ICC_SRE_EL2 and ICH_VMCR_EL2 of the Host while a Realm is loaded, where EL3 does not keep
    /// them.
    pub(crate) host_sre: Cell<u64>,
    pub(crate) host_vmcr: Cell<u64>,
    /// `VDISR_EL2` of the Host while a Realm is loaded.
    pub(crate) host_vdisr: Cell<u64>,
    /// `VSESR_EL2` of the Realm's pending virtual SError.
    pub(crate) vsesr: Cell<u64>,
    /// Who ran last, by VMID modulo the number of entries.
    pub(crate) last_run: [Cell<LastRun>; LAST_RUN_ENTRIES],
    /// The Host's values of `hidden` while a Realm is loaded. Far back: what every entry uses is
    /// reached with shorter instructions.
    pub(crate) host_hidden: [Cell<u64>; HIDDEN],
    /// V0 to V31 of the Realm that has the SIMD unit, while `hashing`.
    pub(crate) hash_save: Cell<[[u64; 2]; 32]>,
}

const _: () = assert!(size_of::<CpuArea>() == 4096);

#[cfg(target_os = "none")]
mod access {
    use core::arch::asm;
    use core::ptr;

    use super::CpuArea;
    use crate::layout;

    /// A constant address, kept from the compiler: or it would make the address of each field anew,
    /// one instruction each, instead of using offsets from one register.
    #[inline(always)]
    pub(crate) fn opaque(mut address: usize) -> usize {
        // SAFETY: no instruction at all.
        unsafe {
            asm!("/* {} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
        }
        address
    }

    /// The area of the CPU that runs this.
    ///
    /// The reference must not reach another CPU: [`crate::cpu::Cpu`], which hands it out, is
    /// neither `Send` nor `Sync`.
    #[inline(always)]
    pub(crate) fn here<'a>() -> &'a CpuArea {
        let area = opaque(layout::AREA);
        let area: *const CpuArea = ptr::with_exposed_provenance(area);
        // SAFETY:
        // - Mapped and aligned: the boot path maps each CPU's own block at AREA before any Rust
        //   runs there.
        // - Valid: the block was zeroed, and zero is a value of every field.
        // - Shared only with code of this CPU, which changes it through cells.
        unsafe { &*area }
    }
}

#[cfg(target_os = "none")]
pub(crate) use access::{here, opaque};
