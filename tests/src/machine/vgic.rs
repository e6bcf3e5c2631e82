//! The virtual CPU interface of each CPU, as it is in the hardware. With interface 2.0 of EL3 it is
//! the Host's and the Realms' in turn.

use ::machine::El3Interface;
use machine::vcpu::{GicRegisters, HostVgic, LRS_MAX, returned_hcr};

use super::vcpu::misr;
use super::{FakeCpu, FakeMachine, lock};

/// The registers of one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the register of that name")]
pub struct HardwareGic {
    pub icc_sre_el2: u64,
    pub ich_hcr_el2: u64,
    pub ich_vmcr_el2: u64,
    pub ich_lr_el2: [u64; LRS_MAX],
    pub ich_ap0r_el2: [u64; 4],
    pub ich_ap1r_el2: [u64; 4],
}

/// How the registers were used by the call that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Use {
    /// Not at all.
    #[default]
    None,
    /// A Realm ran with what a Host of RMI 1.0 passed in memory.
    Exchanged,
    /// A Realm ran with what the Host left in the hardware.
    Shared,
}

/// What `load` puts away.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PutAway {
    sre: u64,
    vmcr: u64,
}

/// What a monitor that uses system registers writes.
const ICC_SRE: u64 = 0xf;

impl FakeMachine {
    pub(super) fn is_v2(&self) -> bool {
        self.shared.el3 == El3Interface::V2
    }
}

impl FakeCpu<'_> {
    /// The registers of this CPU as the Host finds them.
    pub fn host_gic(&self) -> HardwareGic {
        lock(&self.machine.vgics).get(&self.number()).copied().unwrap_or_default()
    }

    /// The Host writes the registers of this CPU.
    pub fn set_host_gic(&self, gic: HardwareGic) {
        lock(&self.machine.vgics).insert(self.number(), gic);
    }

    pub(super) fn read_host_vgic(&self) -> HostVgic {
        let gic = self.host_gic();
        HostVgic { hcr: gic.ich_hcr_el2, lrs: gic.ich_lr_el2 }
    }

    /// What the Realm runs with. With interface 0.x EL3 has put the Host's away.
    pub(super) fn load_gic(&self, gic: &mut GicRegisters) -> GicRegisters {
        if !self.machine.is_v2() {
            return *gic;
        }
        let mut hardware = self.host_gic();
        let put_away = PutAway { sre: hardware.icc_sre_el2, vmcr: hardware.ich_vmcr_el2 };
        gic.host_hcr = hardware.ich_hcr_el2;
        hardware.icc_sre_el2 = ICC_SRE;
        hardware.ich_hcr_el2 = gic.hcr;
        let shares = gic.in_hardware != 0;
        let loaded = if shares {
            GicRegisters {
                vmcr: hardware.ich_vmcr_el2,
                lrs: hardware.ich_lr_el2,
                ap0r: hardware.ich_ap0r_el2,
                ap1r: hardware.ich_ap1r_el2,
                ..*gic
            }
        } else {
            *gic
        };
        self.set_host_gic(hardware);
        let mut local = self.local.borrow_mut();
        local.gic_put_away = put_away;
        local.gic_use = if shares { Use::Shared } else { Use::Exchanged };
        loaded
    }

    /// Takes the Realm's registers from the hardware, and brings the Host's back.
    pub(super) fn unload_gic(&self, gic: &mut GicRegisters, loaded: &GicRegisters) {
        let shares = gic.in_hardware != 0;
        if self.machine.is_v2() {
            let put_away = self.local.borrow().gic_put_away;
            let (hcr, vmcr) = if shares {
                (returned_hcr(gic.host_hcr, loaded.hcr), loaded.vmcr)
            } else {
                (gic.host_hcr, put_away.vmcr)
            };
            self.set_host_gic(HardwareGic {
                icc_sre_el2: put_away.sre,
                ich_hcr_el2: hcr,
                ich_vmcr_el2: vmcr,
                ich_lr_el2: loaded.lrs,
                ich_ap0r_el2: loaded.ap0r,
                ich_ap1r_el2: loaded.ap1r,
            });
        }
        if !shares {
            *gic = *loaded;
        }
        (gic.hcr, gic.misr) = (loaded.hcr, misr(loaded));
    }

    /// Checks what a call has done to the registers that were `before`.
    pub(super) fn check_gic(&self, before: &HardwareGic) {
        const EN: u64 = 1;
        const EOI_COUNT: u64 = 0x1f << 27;
        let after = self.host_gic();
        let used = core::mem::take(&mut self.local.borrow_mut().gic_use);
        let may_be = match used {
            Use::None => *before,
            Use::Exchanged => HardwareGic {
                icc_sre_el2: before.icc_sre_el2,
                ich_hcr_el2: before.ich_hcr_el2,
                ich_vmcr_el2: before.ich_vmcr_el2,
                ..after
            },
            Use::Shared => HardwareGic {
                icc_sre_el2: before.icc_sre_el2,
                ich_hcr_el2: before.ich_hcr_el2 & !(EN | EOI_COUNT) | after.ich_hcr_el2 & EOI_COUNT,
                ..after
            },
        };
        if after != may_be {
            self.machine.violation(format!(
                "the Host's GIC after a call ({used:?}): {after:x?}, before: {before:x?}"
            ));
        }
    }
}
