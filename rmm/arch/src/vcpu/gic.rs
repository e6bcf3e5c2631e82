//! The virtual CPU interface (GICv3, system registers).

use aarch64_cpu::asm::barrier::{self, SY};
use machine::vcpu::{GicRegisters, HostVgic, returned_hcr};

use crate::area::CpuArea;
use crate::features::Features;
use crate::registers::*;

/// Runs `$body` for each register whose number is below `$count`, in one chain: the first missing
/// one ends it.
macro_rules! chain {
    ($count:expr, $values:expr, $access:ident, [$($index:literal: $register:ident),*]) => {
        'chain: {
            $(
                if $count <= $index {
                    break 'chain;
                }
                $access!($values, $index, $register);
            )*
        }
    };
}

macro_rules! load_one {
    ($values:expr, $index:literal, $register:ident) => {
        $register.set($values[$index]);
    };
}

macro_rules! save_one {
    ($values:expr, $index:literal, $register:ident) => {
        $values[$index] = $register.get();
    };
}

macro_rules! list_registers {
    ($count:expr, $values:expr, $access:ident) => {
        chain!($count, $values, $access, [
            0: ICH_LR0_EL2, 1: ICH_LR1_EL2, 2: ICH_LR2_EL2, 3: ICH_LR3_EL2,
            4: ICH_LR4_EL2, 5: ICH_LR5_EL2, 6: ICH_LR6_EL2, 7: ICH_LR7_EL2,
            8: ICH_LR8_EL2, 9: ICH_LR9_EL2, 10: ICH_LR10_EL2, 11: ICH_LR11_EL2,
            12: ICH_LR12_EL2, 13: ICH_LR13_EL2, 14: ICH_LR14_EL2, 15: ICH_LR15_EL2
        ])
    };
}

macro_rules! active_priorities_0 {
    ($count:expr, $values:expr, $access:ident) => {
        chain!($count, $values, $access, [
            0: ICH_AP0R0_EL2, 1: ICH_AP0R1_EL2, 2: ICH_AP0R2_EL2, 3: ICH_AP0R3_EL2
        ])
    };
}

macro_rules! active_priorities_1 {
    ($count:expr, $values:expr, $access:ident) => {
        chain!($count, $values, $access, [
            0: ICH_AP1R0_EL2, 1: ICH_AP1R1_EL2, 2: ICH_AP1R2_EL2, 3: ICH_AP1R3_EL2
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
    ICH_VMCR_EL2.set(from.vmcr);
    // SAFETY: all registers of the interface are the Realm's now, and `hcr` has only bits that a
    // Host may choose, besides the monitor's own.
    unsafe { ICH_HCR_EL2.set(from.hcr) };
}

/// Stores the virtual CPU interface of a Realm and switches it off.
#[inline(always)]
pub(super) fn unload(to: &mut GicRegisters, features: &Features) {
    to.misr = ICH_MISR_EL2.get();
    to.hcr = ICH_HCR_EL2.get();
    to.vmcr = ICH_VMCR_EL2.get();
    active_priorities_0!(features.active_priorities, to.ap0r, save_one);
    active_priorities_1!(features.active_priorities, to.ap1r, save_one);
    list_registers!(features.list_registers, to.lrs, save_one);
    // SAFETY: nothing is signalled to EL1 by an interface that is off.
    unsafe { ICH_HCR_EL2.set(0) };
}

/// Reads the Host's control and list registers. They are UNDEFINED while ICC_SRE_EL2.SRE is 0,
/// which with interface 2.0 is the Host's to choose.
pub(super) fn read_host(features: &Features) -> HostVgic {
    let host_sre = features.shares_vgic.then(use_system_registers);
    let mut host = HostVgic { hcr: ICH_HCR_EL2.get(), ..HostVgic::default() };
    list_registers!(features.list_registers, host.lrs, save_one);
    if let Some(sre) = host_sre {
        give_back_system_registers(sre);
    }
    host
}

/// Exchanges ICC_SRE_EL2 for the monitor's; the Host's. Nearly always they are equal.
#[inline(always)]
pub(crate) fn use_system_registers() -> u64 {
    let host = ICC_SRE_EL2.get();
    if host != ICC_SRE {
        // SAFETY: only the monitor runs until the Host's value is back or EL3 has switched it; it
        // needs the system registers, and lower levels have them as well.
        unsafe { ICC_SRE_EL2.set(ICC_SRE) };
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
        // SAFETY: the Host's own, and the monitor reaches no register of the interface after it.
        unsafe { ICC_SRE_EL2.set(host) };
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
    gic.host_hcr = ICH_HCR_EL2.get();
    if gic.in_hardware == 0 {
        area.host_vmcr.set(ICH_VMCR_EL2.get());
        load(gic, features);
    } else {
        // SAFETY: the other registers of the interface are what the Host gives the Realm, and `hcr`
        // has only the bits that a Host may choose, besides the monitor's own.
        unsafe { ICH_HCR_EL2.set(gic.hcr) };
    }
}

/// [`unload`] with interface 2.0: brings back what [`load_shared`] has put away.
#[cold]
#[inline(never)]
pub(super) fn unload_shared(area: &CpuArea, gic: &mut GicRegisters) {
    let features = &area.features.get();
    if gic.in_hardware == 0 {
        unload(gic, features);
        ICH_VMCR_EL2.set(area.host_vmcr.get());
        // SAFETY: the Host's own; no Realm runs before `load_shared` writes it again.
        unsafe { ICH_HCR_EL2.set(gic.host_hcr) };
    } else {
        // ICH_MISR_EL2 follows ICH_HCR_EL2: it is read while that is the Realm's.
        gic.misr = ICH_MISR_EL2.get();
        gic.hcr = ICH_HCR_EL2.get();
        // SAFETY: the Host's own, with the Realm's count of EOIs, which the Host is to see; no
        // Realm runs before `load_shared` writes it again.
        unsafe { ICH_HCR_EL2.set(returned_hcr(gic.host_hcr, gic.hcr)) };
    }
    give_back_system_registers(area.host_sre.get());
}
