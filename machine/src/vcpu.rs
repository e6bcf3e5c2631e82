//! Running a Realm's CPU: the registers that make it up, and the steps of a run.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::extensions::{DebugRegisters, Extensions, PmuRegisters, SveRegisters};

/// Most list registers that GICv3 has.
pub const LRS_MAX: usize = 16;

/// EL1 and EL0 system registers that a Realm can change, and the Host as well: switched at each
/// entry.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.3 and D.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[expect(missing_docs, reason = "each field is the register of that name")]
pub struct El1Registers {
    pub sp_el0: u64,
    pub sp_el1: u64,
    pub elr_el1: u64,
    pub spsr_el1: u64,
    pub tpidrro_el0: u64,
    pub tpidr_el0: u64,
    pub tpidr_el1: u64,
    pub csselr_el1: u64,
    pub sctlr_el1: u64,
    pub cpacr_el1: u64,
    pub ttbr0_el1: u64,
    pub ttbr1_el1: u64,
    pub tcr_el1: u64,
    pub esr_el1: u64,
    pub afsr0_el1: u64,
    pub afsr1_el1: u64,
    pub far_el1: u64,
    pub mair_el1: u64,
    pub amair_el1: u64,
    pub vbar_el1: u64,
    pub contextidr_el1: u64,
    pub cntkctl_el1: u64,
    pub par_el1: u64,
    pub mdscr_el1: u64,
    pub cntp_cval_el0: u64,
    pub cntv_cval_el0: u64,
    pub cntp_ctl_el0: u64,
    pub cntv_ctl_el0: u64,
}

/// Pointer authentication keys. EL3 keeps the Host's, or the monitor does where EL3's interface is
/// too old for that.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PauthKeys(
    /// APIA, APIB, APDA, APDB, APGA: low half, then high half of each.
    pub [u64; 10],
);

/// The virtual CPU interface.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GicRegisters {
    /// Not 0: the Host's list registers, priorities and ICH_VMCR_EL2 stay in the hardware for the
    /// run, and only ICH_HCR_EL2 is loaded from here; see [`Vcpu::host_vgic`].
    pub in_hardware: u64,
    /// ICH_HCR_EL2 as the Host left it in the hardware. The machine's, between `load` and `unload`.
    pub host_hcr: u64,
    /// ICH_HCR_EL2.
    pub hcr: u64,
    /// ICH_VMCR_EL2.
    pub vmcr: u64,
    /// ICH_MISR_EL2, read at exit.
    pub misr: u64,
    /// ICH_LRn_EL2.
    pub lrs: [u64; LRS_MAX],
    /// ICH_AP0Rn_EL2.
    pub ap0r: [u64; 4],
    /// ICH_AP1Rn_EL2.
    pub ap1r: [u64; 4],
}

/// Floating point and Advanced SIMD registers.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SimdRegisters {
    /// V0 to V31, low half first.
    pub v: [[u64; 2]; 32],
    /// FPCR.
    pub fpcr: u64,
    /// FPSR.
    pub fpsr: u64,
}

/// All registers of a Realm's CPU, and the controls it runs under.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(16))] // The assembly that loads them uses their address as a stack pointer.
pub struct VcpuRegisters {
    /// X0 to X30.
    pub gprs: [u64; 31],
    /// The next instruction (ELR_EL2).
    pub pc: u64,
    /// PSTATE (SPSR_EL2).
    pub pstate: u64,
    /// HCR_EL2 while it runs.
    pub hcr_el2: u64,
    /// VTCR_EL2 while it runs.
    pub vtcr_el2: u64,
    /// VTTBR_EL2 while it runs.
    pub vttbr_el2: u64,
    /// VMPIDR_EL2 while it runs.
    pub vmpidr_el2: u64,
    /// Virtual SError that the Realm has not taken yet: bit 63 if there is one, VSESR_EL2 below.
    /// The machine's.
    pub vserror: u64,
    /// VDISR_EL2: what a deferred virtual SError reads as. The machine's.
    pub vdisr_el2: u64,
    /// System registers.
    pub el1: El1Registers,
    /// Pointer authentication keys.
    pub pauth: PauthKeys,
    /// Virtual CPU interface.
    pub gic: GicRegisters,
    /// Floating point and SIMD.
    pub simd: SimdRegisters,
    /// What the CPU has: decides what of the following means something.
    pub extensions: Extensions,
    /// SVE.
    pub sve: SveRegisters,
    /// Performance monitors.
    pub pmu: PmuRegisters,
    /// Breakpoints and watchpoints.
    pub debug: DebugRegisters,
}

/// The Host's part of the virtual CPU interface.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct HostVgic {
    /// ICH_HCR_EL2.
    pub hcr: u64,
    /// ICH_LRn_EL2. Those that the CPU does not have mean nothing.
    pub lrs: [u64; LRS_MAX],
}

/// ICH_HCR_EL2 that a Host gets back whose interrupts were in the hardware while the Realm ran: its
/// own, but for En, which is clear, and EOIcount, which is as the Realm left it.
///
/// Source: RMM specification (Arm DEN0137) 2.0, A6.1.
pub const fn returned_hcr(host: u64, realm: u64) -> u64 {
    const EN: u64 = 1;
    const EOI_COUNT: u64 = 0x1f << 27;
    host & !(EN | EOI_COUNT) | realm & EOI_COUNT
}

/// Which vector an exception from the Realm took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Cause {
    /// Synchronous: `esr` says what.
    Sync = 0,
    /// A physical IRQ is pending.
    Irq = 1,
    /// A physical FIQ is pending.
    Fiq = 2,
    /// A physical SError was taken: `esr` says what.
    SError = 3,
}

/// How a stretch of Realm execution ended.
#[derive(Clone, Copy, Debug)]
pub struct VcpuExit {
    /// The vector.
    pub cause: Cause,
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
}

/// EL1 registers of the loaded Realm that the monitor reads or writes while they are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the register of that name")]
pub enum LiveRegister {
    Sctlr,
    Vbar,
    Esr,
    Far,
    Elr,
    Spsr,
    /// OSLSR_EL1.OSLK, once the debug registers are lent.
    OsLock,
}

/// One REC on one CPU, in this order: `load`, any number of `run`s, `unload`.
pub trait Vcpu {
    /// Puts the Host's registers away and loads the Realm's, all but X0 to X30, PC and PSTATE.
    ///
    /// Registers that only some Realms have may be exchanged: the Host's lie in `registers` until
    /// `unload`.
    fn load(&self, registers: &mut VcpuRegisters);

    /// Reads ICH_HCR_EL2 and the list registers as the Host left them in the hardware, no Realm
    /// being loaded.
    ///
    /// With [`El3Interface::V2`](crate::El3Interface::V2) they are the Host's own until `load`,
    /// which puts the Host's ICH_HCR_EL2 away; `unload` brings it back, with EOIcount as the Realm
    /// left it and with En clear.
    fn host_vgic(&self) -> HostVgic;

    /// Runs the Realm from `registers.gprs`, `pc` and `pstate` until an exception, and writes them
    /// back.
    fn run(&self, registers: &mut VcpuRegisters) -> VcpuExit;

    /// Stores the Realm's registers and brings the Host's back, those that were lent included.
    fn unload(&self, registers: &mut VcpuRegisters);

    /// CNTP_CTL_EL0 and CNTV_CTL_EL0 of the loaded Realm at this moment, in this order.
    fn timer_controls(&self) -> (u64, u64);

    /// Keeps the physical (CNTHCTL_EL2.CNTPMASK) and virtual (CNTVMASK) timer outputs from the GIC
    /// or lets them through, and waits until a masked one is no longer signalled.
    fn mask_timers(&self, physical: bool, virtual_: bool);

    /// Lends the SIMD unit to the loaded Realm, SVE included if it has that: saves the Host's
    /// registers, loads the Realm's. False if it has been lent already.
    fn lend_simd(&self, registers: &VcpuRegisters) -> bool;

    /// Lends the debug registers to the loaded Realm: exchanges them for those in `registers`, if
    /// that has not been done.
    fn lend_debug(&self, registers: &mut VcpuRegisters);

    /// Reads a register of the loaded Realm.
    fn live(&self, register: LiveRegister) -> u64;

    /// Writes a register of the loaded Realm.
    fn set_live(&self, register: LiveRegister, value: u64);

    /// Translates a virtual address as the loaded Realm's EL1 would read it: the intermediate
    /// physical page, or `None` if its stage 1 does not translate it now.
    fn translate_stage1(&self, va: u64) -> Option<u64>;

    /// Makes a virtual SError with this syndrome pending for the loaded Realm.
    fn pend_serror(&self, syndrome: u64);

    /// Whether a physical interrupt is pending for this CPU.
    fn interrupt_pending(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gets_its_control_back_but_for_two_fields() {
        let host = 0x5_0000_60ff | 3 << 27;
        assert_eq!(returned_hcr(host, 1), 0x5_0000_60fe);
        assert_eq!(returned_hcr(host, u64::MAX), 0x5_0000_60fe | 0x1f << 27);
        assert_eq!(returned_hcr(0, 7 << 27 | 0xff), 7 << 27);
    }
}
