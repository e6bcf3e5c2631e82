//! Cold and warm boot: from EL3's first instruction to the firmware's main loop.
//!
//! | Step | Where | MMU |
//! | --- | --- | --- |
//! | relocate, zero .bss | `entry` (assembly) | off |
//! | check registers and manifest: `Firmware::plan` | the firmware, safe code | off |
//! | divide memory, write tables and per-CPU blocks | `cold` and [`carve`] | off |
//! | invalidate what EL3 left of that memory in the caches, clear the cold flag | `entry` | off |
//! | turn the MMU on, take the CPU's stack | `entry` | on |
//! | learn what EL3 has opened, write the trap registers | `openings` | on |
//! | zero the granule words, `Firmware::cold_init` | `start`, the firmware | on |
//! | `Firmware::serve` | the firmware | on |
//!
//! A warm boot enters at "turn the MMU on". It reads only what the cold boot wrote with the MMU
//! off.
//!
//! What EL3 passes at a warm boot besides X0 is not looked at: with interface 2.0 X1 is the
//! activation token, which the monitor has no use for, and X4 is undefined.
//!
//! Source: RMM-EL3 communication interface 0.x and 2.0, "Cold boot", "Warm boot".

pub mod carve;
#[cfg(target_os = "none")]
mod cold;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod openings;
#[cfg(target_os = "none")]
pub(crate) mod racy;
#[cfg(target_os = "none")]
pub(crate) mod start;

use core::sync::atomic::AtomicU16;

use machine::CpuFacts;
use machine::dram::Banks;
#[cfg(target_os = "none")]
use machine::{Event, Page};

#[cfg(target_os = "none")]
use crate::cpu::Cpu;
use crate::el3::GranuleCalls;
use crate::traps::Openings;

#[cfg(target_os = "none")]
pub use cold::plan;
#[cfg(target_os = "none")]
pub use start::start;

/// What EL3 passes at cold boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootArgs {
    /// X0: linear index of this CPU.
    pub cpu: u64,
    /// X1: version of the RMM-EL3 interface, major in bits 30:16, minor in 15:0.
    pub interface: u64,
    /// X2: number of CPUs.
    pub cpus: u64,
    /// X3: physical address of the page shared with EL3.
    pub shared_buffer: u64,
    /// Width of physical addresses that the monitor can express.
    pub pa_bits: u32,
}

/// Where EL3 has put the image, and the memory after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSpan {
    /// Physical address of its first byte.
    pub base: u64,
    /// First address past the image, its zeroed data included.
    pub end: u64,
}

/// Most memory that an image may count on, from its base.
///
/// Source: TF-A 2.12.1, plat/qemu and plat/arm: the smallest load window is 24 MiB, shared buffer
/// included.
pub const WINDOW_BYTES: u64 = 24 << 20;

impl ImageSpan {
    /// First address past the memory that belongs to the monitor: its window ends at 24 MiB or at
    /// the buffer shared with EL3, whichever comes first.
    pub fn limit(&self, shared_buffer: u64) -> u64 {
        let window = self.base.saturating_add(WINDOW_BYTES);
        if (self.end..window).contains(&shared_buffer) { shared_buffer } else { window }
    }
}

/// What the firmware made of EL3's manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// DRAM that the Host may delegate; without the monitor's own window.
    pub banks: Banks,
    /// DRAM of the monitor's own window.
    pub reserved: Banks,
    /// Physical address of the console's PL011.
    pub console: Option<u64>,
    /// Number of CPUs.
    pub cpus: usize,
    /// EL3 left something out of the console list's checksum; survived, and worth a line in the
    /// log.
    pub console_checksum_deviates: bool,
}

/// Why the monitor does not boot.
///
/// Source: RMM-EL3 communication interface 0.x, "RMM_BOOT_COMPLETE", boot error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum BootCode {
    /// Anything without a code of its own: a CPU feature is missing, memory does not suffice.
    Unknown = -1,
    /// The version of the interface is not supported.
    InterfaceVersion = -2,
    /// No CPU, or more than the monitor has memory for.
    CpuCount = -3,
    /// The CPU's index is out of range.
    CpuId = -4,
    /// The shared buffer is missing or misplaced.
    SharedBuffer = -5,
    /// The version of the manifest is not supported.
    ManifestVersion = -6,
    /// The manifest contradicts itself.
    ManifestData = -7,
}

/// What the firmware gets once, at cold boot, with the MMU on.
#[derive(Debug)]
pub struct ColdEnv {
    /// What `Firmware::plan` returned.
    pub layout: Layout,
    /// One zeroed word for each granule of `layout.banks`.
    pub words: &'static [AtomicU16],
    /// Identification registers of this CPU.
    pub facts: CpuFacts,
    /// What EL3 passed.
    pub args: BootArgs,
    /// What EL3 has opened to Realms on this CPU.
    pub openings: Openings,
    /// What EL3 offers to change granules with.
    pub granule_calls: GranuleCalls,
    /// Where the image lies.
    pub image: ImageSpan,
    /// First address past all memory that the monitor uses.
    pub used_end: u64,
}

/// Whether a CPU may go on after an SError that was pending when it booted, by `DISR_EL1`: nothing
/// is pending, or an error that changed nothing, restartable or corrected.
///
/// Who the error belongs to is not known, and the first Realm that runs must not be taken for it.
///
/// Source: Arm ARM (DDI0487), DISR_EL1; "ISS encoding for an SError exception", AET.
pub const fn survives(disr: u64) -> bool {
    const PENDING: u64 = 1 << 31;
    const IDS: u64 = 1 << 24;
    const ASYNCHRONOUS: u64 = 0x11;
    const RESTARTABLE: u64 = 2;
    const CORRECTED: u64 = 6;
    let known = disr & IDS == 0 && disr & 0x3f == ASYNCHRONOUS;
    disr & PENDING == 0 || known && matches!((disr >> 10) & 7, RESTARTABLE | CORRECTED)
}

/// The firmware that runs on this crate: [`crate::firmware!`] makes a type of it the image's entry.
#[cfg(target_os = "none")]
pub trait Firmware: Sized + 'static {
    /// Judges EL3's registers and manifest. Runs with the MMU off: no atomics, no logging.
    ///
    /// # Errors
    ///
    /// The code for EL3, which then does without a monitor.
    fn plan(args: &BootArgs, image: &ImageSpan, manifest: &Page) -> Result<Layout, BootCode>;

    /// Makes the state that all CPUs share. Once, on the boot CPU.
    ///
    /// # Errors
    ///
    /// The code for EL3, which then does without a monitor.
    fn cold_init(env: ColdEnv, cpu: &Cpu<Self>) -> Result<(), BootCode>;

    /// Judges a CPU that boots after the first, at each of its boots, by its identification
    /// registers.
    ///
    /// # Errors
    ///
    /// The code for EL3. The CPU then serves nobody: it answers whatever EL3 still brings it with
    /// "not supported".
    fn warm_init(facts: &CpuFacts, cpu: &Cpu<Self>) -> Result<(), BootCode>;

    /// Serves the Host from this CPU. Entered on every CPU, again after each power-on.
    fn serve(cpu: Cpu<Self>) -> !;

    /// Writes an event to the log.
    fn log(event: Event<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_ends_at_the_shared_buffer_or_after_24_mib() {
        let image = ImageSpan { base: 0x4010_0000, end: 0x4014_0000 };
        assert_eq!(image.limit(0x418f_f000), 0x418f_f000);
        assert_eq!(image.limit(0x5000_0000), 0x4190_0000);
        assert_eq!(image.limit(0x4000_0000), 0x4190_0000);
    }

    #[test]
    fn an_error_that_is_pending_at_boot_ends_it_unless_it_changed_nothing() {
        assert!(survives(0) && survives(0x7fff_ffff), "none pending");
        let pending = |aet: u64| 1 << 31 | aet << 10 | 0x11;
        // Uncontainable, unrecoverable, restartable, recoverable, corrected.
        let survived = [0, 1, 2, 3, 6].map(|aet| survives(pending(aet)));
        assert_eq!(survived, [false, false, true, false, true]);
        assert!(!survives(pending(6) | 1 << 24), "a syndrome of the implementation's own");
        assert!(!survives(1 << 31 | 6 << 10), "uncategorised");
    }
}
