//! The virtual CPU interface (GICv3, system registers).

use machine::vcpu::{GicRegisters, HostVgic};

use crate::features::Features;
use crate::registers::{mrs, msr};

/// Runs `$body` for each register whose number is below `$count`, in one chain: the first missing one ends it.
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

/// Loads the virtual CPU interface of a Realm. Registers that the CPU does not have are not touched.
///
/// Source: GIC architecture (Arm IHI0069), "ICH_*" registers. ICH_HCR_EL2 is the last: it switches the interface on.
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

/// Reads the Host's control and list registers.
pub(super) fn read_host(features: &Features) -> HostVgic {
    let mut host = HostVgic { hcr: mrs!("s3_4_c12_c11_0"), ..HostVgic::default() };
    list_registers!(features.list_registers, host.lrs, save_one);
    host
}
