//! Errata of CPUs that the monitor works around itself, by `MIDR_EL1`.
//!
//! Owns the list of parts and whether this machine has one of them. What firmware works around at
//! reset is not here.

use core::sync::atomic::{AtomicBool, Ordering};

/// Parts, as implementer and part number of `MIDR_EL1`, whose stores may land after a broadcast
/// TLBI and its DSB (CVE-2025-10263). All revisions.
///
/// The TLBI removes the translation in time. What is late is a store that another CPU has
/// translated with it: a Realm's store could reach a page that has gone back to the Host or to
/// another Realm. One more broadcast TLBI, of any kind, with one more DSB waits for those stores.
///
/// Source: Arm security bulletin 112137 (CVE-2025-10263); the errata notices of the parts (4118414,
/// 4193780 to 4193801); NVIDIA T410-OLY-1029; Linux commits cfd391e74134, ec7216f92e4e and
/// 1940e70a8144 for the part numbers.
const LATE_STORES: [(u64, u64); 23] = [
    (ARM, 0xd0b),  // Cortex-A76
    (ARM, 0xd0c),  // Neoverse N1
    (ARM, 0xd0d),  // Cortex-A77
    (ARM, 0xd0e),  // Cortex-A76AE
    (ARM, 0xd40),  // Neoverse V1
    (ARM, 0xd41),  // Cortex-A78
    (ARM, 0xd42),  // Cortex-A78AE
    (ARM, 0xd44),  // Cortex-X1
    (ARM, 0xd47),  // Cortex-A710
    (ARM, 0xd48),  // Cortex-X2
    (ARM, 0xd49),  // Neoverse N2
    (ARM, 0xd4b),  // Cortex-A78C
    (ARM, 0xd4c),  // Cortex-X1C
    (ARM, 0xd4e),  // Cortex-X3
    (ARM, 0xd4f),  // Neoverse V2
    (ARM, 0xd82),  // Cortex-X4
    (ARM, 0xd83),  // Neoverse V3AE
    (ARM, 0xd84),  // Neoverse V3
    (ARM, 0xd85),  // Cortex-X925
    (ARM, 0xd8c),  // C1-Ultra
    (ARM, 0xd90),  // C1-Premium
    (0x4e, 0x010), // NVIDIA Olympus
    (0x6d, 0xd49), // Microsoft Azure Cobalt 100
];

/// Implementer Arm.
const ARM: u64 = 0x41;

/// Whether a CPU with this `MIDR_EL1` may have stores under way after a broadcast TLBI and its DSB.
fn has_late_stores(midr: u64) -> bool {
    LATE_STORES.contains(&(midr >> 24 & 0xff, midr >> 4 & 0xfff))
}

/// Whether a CPU that has booted is one of [`LATE_STORES`]. It is the CPU that stores which
/// matters, not the one that invalidates, so one such CPU makes all repeat. False while the MMU is
/// off.
static LATE: AtomicBool = AtomicBool::new(false);

/// Notes the CPU that boots. Its note is visible everywhere before it can run a Realm: the others
/// must see it when they invalidate what that Realm has used.
pub fn note(midr: u64) {
    if has_late_stores(midr) {
        LATE.store(true, Ordering::Relaxed);
        #[cfg(target_os = "none")]
        aarch64_cpu::asm::barrier::dsb(aarch64_cpu::asm::barrier::SY);
    }
}

/// Whether broadcast invalidations have to be repeated.
#[inline(always)]
pub fn is_repeating() -> bool {
    LATE.load(Ordering::Relaxed)
}

/// Waits for stores that other CPUs have translated with what a broadcast TLBI removed, where its
/// DSB may not have done so. Stands after that DSB.
///
/// The monitor's own stage 1 is never invalidated on other CPUs: slots belong to one CPU, whose DSB
/// waits for its stores.
#[cfg(target_os = "none")]
#[inline(always)]
pub(crate) fn wait_for_late_stores() {
    use aarch64_cpu::asm::barrier::{self, ISH};
    if is_repeating() {
        // VALE2IS of address 0, where nothing is mapped: the broadcast that costs the least.
        // SAFETY: invalidates a cached translation of the monitor that does not exist, and that the
        // tables still hold if it does.
        unsafe {
            core::arch::asm!("tlbi vale2is, xzr", options(nostack));
        }
        barrier::dsb(ISH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MIDR_EL1` of a part, with any variant and revision.
    fn midr(implementer: u64, part: u64, variant: u64, revision: u64) -> u64 {
        implementer << 24 | variant << 20 | 0xf << 16 | part << 4 | revision
    }

    #[test]
    fn every_revision_of_the_parts_is_found() {
        for (variant, revision) in [(0, 0), (0, 2), (1, 0), (15, 15)] {
            assert!(has_late_stores(midr(0x41, 0xd84, variant, revision)), "Neoverse V3");
            assert!(has_late_stores(midr(0x41, 0xd8c, variant, revision)), "C1-Ultra");
            assert!(has_late_stores(midr(0x4e, 0x10, variant, revision)), "Olympus");
        }
        assert!(has_late_stores(0x6d0f_d490), "Cobalt 100");
    }

    #[test]
    fn other_parts_and_other_implementers_are_not() {
        assert!(!has_late_stores(0x000f_0510), "QEMU");
        assert!(!has_late_stores(midr(0x41, 0xd8e, 0, 0)), "Neoverse N3");
        assert!(!has_late_stores(midr(0x41, 0xd8b, 0, 0)), "C1-Pro");
        assert!(!has_late_stores(midr(0x41, 0x010, 0, 0)));
        assert!(!has_late_stores(midr(0x4e, 0xd84, 0, 0)));
    }

    #[test]
    fn one_such_cpu_makes_the_machine_repeat_for_ever() {
        note(0x000f_0510);
        assert!(!is_repeating());
        note(0x410f_d841);
        assert!(is_repeating());
        note(0x000f_0510);
        assert!(is_repeating());
    }
}
