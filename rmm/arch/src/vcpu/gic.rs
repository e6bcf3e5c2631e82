//! The virtual CPU interface (GICv3, system registers).

use aarch64_cpu::asm::barrier::{self, SY};
use machine::vcpu::{GicRegisters, HostVgic, returned_hcr};

use crate::area::CpuArea;
use crate::features::Features;
use crate::registers::{ICC_SRE, mrs, msr};

/// Runs `$body` for each register whose number is below `$count`, in one chain: the first missing
/// one ends it.
macro_rules! chain {
    ($count:expr, $values:expr, $access:ident, [$($index:literal: $name:literal),*]) => {
        'chain: {
            $(
                if $count <= $index {
                    break 'chain;
                }
                $access!($values, $index, $name);
            )*
        }
    };
}

macro_rules! load_one {
    ($values:expr, $index:literal, $name:literal) => {
        msr!($name, $values[$index]);
    };
}

macro_rules! save_one {
    ($values:expr, $index:literal, $name:literal) => {
        $values[$index] = mrs!($name);
    };
}

macro_rules! list_registers {
    ($count:expr, $values:expr, $access:ident) => {
        chain!($count, $values, $access, [
            0: "s3_4_c12_c12_0", 1: "s3_4_c12_c12_1", 2: "s3_4_c12_c12_2", 3: "s3_4_c12_c12_3",
            4: "s3_4_c12_c12_4", 5: "s3_4_c12_c12_5", 6: "s3_4_c12_c12_6", 7: "s3_4_c12_c12_7",
            8: "s3_4_c12_c13_0", 9: "s3_4_c12_c13_1", 10: "s3_4_c12_c13_2", 11: "s3_4_c12_c13_3",
            12: "s3_4_c12_c13_4", 13: "s3_4_c12_c13_5", 14: "s3_4_c12_c13_6", 15: "s3_4_c12_c13_7"
        ])
    };
}

macro_rules! active_priorities_0 {
    ($count:expr, $values:expr, $access:ident) => {
        chain!($count, $values, $access, [
            0: "s3_4_c12_c8_0", 1: "s3_4_c12_c8_1", 2: "s3_4_c12_c8_2", 3: "s3_4_c12_c8_3"
        ])
    };
}

macro_rules! active_priorities_1 {
    ($count:expr, $values:expr, $access:ident) => {
        chain!($count, $values, $access, [
            0: "s3_4_c12_c9_0", 1: "s3_4_c12_c9_1", 2: "s3_4_c12_c9_2", 3: "s3_4_c12_c9_3"
        ])
    };
}

/// Loads the virtual CPU interface of a Realm. Registers that the CPU does not have are not
/// touched.
///
/// Source: GIC architecture (Arm IHI0069), "ICH_*" registers. ICH_HCR_EL2 is the last: it switches
/// the interface on.
#[inline(always)]
pub(super) fn load(from: &GicRegisters, features: &Features) {
    active_priorities_0!(features.active_priorities, from.ap0r, load_one);
    active_priorities_1!(features.active_priorities, from.ap1r, load_one);
    list_registers!(features.list_registers, from.lrs, load_one);
    msr!("s3_4_c12_c11_7", from.vmcr); // ICH_VMCR_EL2
    msr!("s3_4_c12_c11_0", from.hcr); // ICH_HCR_EL2
}

/// Stores the virtual CPU interface of a Realm and switches it off.
#[inline(always)]
pub(super) fn unload(to: &mut GicRegisters, features: &Features) {
    to.misr = mrs!("s3_4_c12_c11_2"); // ICH_MISR_EL2
    to.hcr = mrs!("s3_4_c12_c11_0");
    to.vmcr = mrs!("s3_4_c12_c11_7");
    active_priorities_0!(features.active_priorities, to.ap0r, save_one);
    active_priorities_1!(features.active_priorities, to.ap1r, save_one);
    list_registers!(features.list_registers, to.lrs, save_one);
    msr!("s3_4_c12_c11_0", 0);
}

/// Reads the Host's control and list registers. They are UNDEFINED while ICC_SRE_EL2.SRE is 0,
/// which with interface 2.0 is the Host's to choose.
pub(super) fn read_host(features: &Features) -> HostVgic {
    let host_sre = features.shares_vgic.then(use_system_registers);
    let mut host = HostVgic { hcr: mrs!("s3_4_c12_c11_0"), ..HostVgic::default() };
    list_registers!(features.list_registers, host.lrs, save_one);
    if let Some(sre) = host_sre {
        give_back_system_registers(sre);
    }
    host
}

/// Exchanges ICC_SRE_EL2 for the monitor's; the Host's. Nearly always they are equal.
#[inline(always)]
pub(crate) fn use_system_registers() -> u64 {
    let host = mrs!("s3_4_c12_c9_5");
    if host != ICC_SRE {
        msr!("s3_4_c12_c9_5", ICC_SRE);
        // The registers of the interface can be reached from here on.
        barrier::isb(SY);
    }
    host
}

/// Brings the Host's ICC_SRE_EL2 back, after the last access to the registers that depend on it.
#[inline(always)]
pub(crate) fn give_back_system_registers(host: u64) {
    if host != ICC_SRE {
        barrier::isb(SY);
        msr!("s3_4_c12_c9_5", host);
    }
}

/// [`load`] with interface 2.0: what EL3 does not switch any more is put away first.
///
/// The list registers, priorities and ICH_VMCR_EL2 of a Host that enters the REC with its
/// interrupts in the hardware are those of the Realm; only ICH_HCR_EL2, of which the monitor sets
/// bits, is exchanged. A Host of RMI 1.0 passes them in memory, and its own are unknown to it
/// afterwards but for those that EL3 used to switch.
#[cold]
#[inline(never)]
pub(super) fn load_shared(area: &CpuArea, gic: &mut GicRegisters) {
    let features = &area.features.get();
    area.host_sre.set(use_system_registers());
    gic.host_hcr = mrs!("s3_4_c12_c11_0");
    if gic.in_hardware == 0 {
        area.host_vmcr.set(mrs!("s3_4_c12_c11_7"));
        load(gic, features);
    } else {
        msr!("s3_4_c12_c11_0", gic.hcr);
    }
}

/// [`unload`] with interface 2.0: brings back what [`load_shared`] has put away.
#[cold]
#[inline(never)]
pub(super) fn unload_shared(area: &CpuArea, gic: &mut GicRegisters) {
    let features = &area.features.get();
    if gic.in_hardware == 0 {
        unload(gic, features);
        msr!("s3_4_c12_c11_7", area.host_vmcr.get());
        msr!("s3_4_c12_c11_0", gic.host_hcr);
    } else {
        // ICH_MISR_EL2 follows ICH_HCR_EL2: it is read while that is the Realm's.
        gic.misr = mrs!("s3_4_c12_c11_2");
        gic.hcr = mrs!("s3_4_c12_c11_0");
        msr!("s3_4_c12_c11_0", returned_hcr(gic.host_hcr, gic.hcr));
    }
    give_back_system_registers(area.host_sre.get());
}
