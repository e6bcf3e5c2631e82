//! Running a Realm's CPU.
//!
//! | Step | Does |
//! | --- | --- |
//! | `load` | Host's EL1 registers away, Realm's EL1 registers, keys, GIC and EL2 controls in |
//! | `run` | X0 to X30, PC and PSTATE, ERET; the vectors store them again (see [`crate::vectors`]) |
//! | `unload` | the reverse of `load`; SIMD registers too if they were lent |
//!
//! `HCR_EL2`, `VTCR_EL2`, `VTTBR_EL2` and `VMPIDR_EL2` keep the Realm's values after `unload`: they
//! mean nothing to code at EL2, and EL3 switches them for the Host.

mod debug;
mod el1;
pub(crate) mod gic;
mod hidden;
mod keys;
mod pmu;
pub(crate) mod simd;
mod stage1;

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, ISH, NSH, SY};
use machine::Vcpu;
use machine::vcpu::{Cause, HostVgic, LiveRegister, VcpuExit, VcpuRegisters};

use crate::area::{LAST_RUN_ENTRIES, LastRun};
use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::registers::*;

/// INTID of the EL1 virtual timer. Source: Arm Base System Architecture, PPI assignments.
const VIRTUAL_TIMER: u64 = 27;
/// INTID of the EL1 physical timer.
const PHYSICAL_TIMER: u64 = 30;
/// Most reads of the highest pending interrupt while a masked timer's signal dies away.
const SETTLE_MAX: u32 = 10_000;
/// Bit of [`VcpuRegisters::vserror`]: a virtual SError is pending.
const VSERROR_PENDING: u64 = 1 << 63;
/// Bits of `VSESR_EL2` for AArch64: IDS and ISS.
const VSESR_MASK: u64 = (1 << 25) - 1;

unsafe extern "C" {
    /// Runs the Realm from `registers` until an exception; the number of its vector.
    ///
    /// # Safety
    ///
    /// A Realm is loaded, and `registers` is 16-byte aligned and writable at this address for all
    /// of the run.
    fn cairn_realm_enter(registers: *mut VcpuRegisters) -> u64;
}

impl<F: Firmware> Cpu<F> {
    /// Forgets what this CPU has cached for the loaded VMID, if another REC of that Realm ran here
    /// last: the two may use one ASID for different tables.
    ///
    /// Which REC ran last is remembered by VMID, in a small table; a forgotten one costs an
    /// invalidation.
    fn separate_from_last_run(&self, registers: &VcpuRegisters) {
        let this = LastRun { vttbr: registers.vttbr_el2, vmpidr: registers.vmpidr_el2 };
        let index = (this.vttbr >> 48) as usize % LAST_RUN_ENTRIES;
        let Some(last) = self.area().last_run.get(index) else { return };
        if last.get() == this {
            return;
        }
        last.set(this);
        barrier::isb(SY);
        // SAFETY: invalidates cached translations of the Realm's regime on this CPU; the tables
        // still hold them.
        unsafe {
            asm!("tlbi vmalle1", options(nostack));
        }
        barrier::dsb(NSH);
    }
}

impl<F: Firmware> Vcpu for Cpu<F> {
    fn load(&self, registers: &mut VcpuRegisters) {
        let area = self.area();
        let features = area.features.get();
        area.host.set(el1::read());
        if features.keep_host_keys {
            for (cell, key) in area.host_keys.iter().zip(keys::read()) {
                cell.set(key);
            }
        }
        el1::write(&registers.el1);
        if features.pauth {
            keys::write(&registers.pauth.0);
        }
        if features.shares_vgic {
            gic::load_shared(area, &mut registers.gic);
        } else {
            gic::load(&registers.gic, &features);
        }
        // SAFETY: made by `realm` for the tables of this REC's Realm, and the same in all its RECs.
        unsafe { VTCR_EL2.set(registers.vtcr_el2) };
        // SAFETY: the tables and the VMID of this REC's Realm, which live as long as its RECs.
        unsafe { VTTBR_EL2.set(registers.vttbr_el2) };
        VMPIDR_EL2.set(registers.vmpidr_el2);
        let mut hcr = registers.hcr_el2;
        if features.ras {
            area.host_vdisr.set(VDISR_EL2.get());
            VDISR_EL2.set(registers.vdisr_el2);
        }
        area.vsesr.set(registers.vserror & VSESR_MASK);
        if registers.vserror & VSERROR_PENDING != 0 {
            hcr |= HCR_EL2::VSE::SET.value;
            if features.ras {
                VSESR_EL2.set(registers.vserror & VSESR_MASK);
            }
        }
        // SAFETY: made by `realm`: stage 2 is on, what a Realm must not reach traps, and E2H, on
        // which the monitor stands, is set. A virtual SError changes none of that.
        unsafe { HCR_EL2.set(hcr) };
        self.separate_from_last_run(registers);
        pmu::load(area, registers);
        let hidden = area.hidden.get();
        if hidden != 0 {
            hidden::hide(area, hidden);
        }
        if debug::armed(registers.el1.mdscr_el1) {
            self.lend_debug(registers);
        }
        // The timers' ISTATUS, which the caller looks at before it runs the Realm, follows their
        // new values.
        barrier::isb(SY);
    }

    fn host_vgic(&self) -> HostVgic {
        gic::read_host(&self.area().features.get())
    }

    #[inline(always)]
    fn run(&self, registers: &mut VcpuRegisters) -> VcpuExit {
        self.give_vectors_back();
        let registers: *mut VcpuRegisters = registers;
        const { assert!(align_of::<VcpuRegisters>() == 16) };
        // SAFETY: the caller has loaded the Realm by the contract of `Vcpu`; aligned by its type;
        // exclusive and mapped, since it comes from a `&mut`.
        let vector = unsafe { cairn_realm_enter(registers) };
        let cause = match vector {
            0 => Cause::Sync,
            1 => Cause::Irq,
            2 => Cause::Fiq,
            _ => Cause::SError,
        };
        VcpuExit { cause, esr: ESR_EL2.get(), far: FAR_EL2.get(), hpfar: HPFAR_EL2.get() }
    }

    fn unload(&self, registers: &mut VcpuRegisters) {
        let area = self.area();
        let features = area.features.get();
        self.give_vectors_back();
        if area.simd_lent.get() {
            simd::take_back(area, &features, registers);
        }
        let debug_lent = area.debug_lent.replace(false);
        if debug_lent {
            // SAFETY: one trap more.
            unsafe { MDCR_EL2.modify(MDCR_EL2::TDA::SET) };
            debug::take_back(&mut registers.debug, &features);
        }
        pmu::unload(area, registers);
        registers.el1 = el1::read();
        if debug_lent {
            registers.el1.mdscr_el1 &= debug::MDSCR_OWN;
        }
        if features.pauth {
            registers.pauth.0 = keys::read();
        }
        if features.shares_vgic {
            gic::unload_shared(area, &mut registers.gic);
        } else {
            gic::unload(&mut registers.gic, &features);
        }
        registers.vserror = if HCR_EL2.is_set(HCR_EL2::VSE) {
            // Not taken yet: it pends again when the Realm is loaded next.
            // SAFETY: what `load` has written, and no SError that would go to another Realm.
            unsafe { HCR_EL2.set(registers.hcr_el2 & !HCR_EL2::VSE::SET.value) };
            VSERROR_PENDING | area.vsesr.get()
        } else {
            0
        };
        if features.ras {
            registers.vdisr_el2 = VDISR_EL2.get();
            VDISR_EL2.set(area.host_vdisr.get());
        }
        if area.cnthctl.get() != CNTHCTL {
            area.cnthctl.set(CNTHCTL);
            // SAFETY: as at boot: opens the counter and the timer that are switched with the Realm.
            unsafe { CNTHCTL_EL2.set(CNTHCTL) };
        }
        if features.keep_host_keys {
            let mut host = [0; 10];
            for (key, cell) in host.iter_mut().zip(&area.host_keys) {
                *key = cell.get();
            }
            keys::write(&host);
        }
        el1::write(&area.host.get());
        let hidden = area.hidden.get();
        if hidden != 0 {
            hidden::bring_back(area, hidden);
        }
        if debug_lent {
            barrier::isb(SY);
            debug::set_os_lock(area.host_os_lock.get());
        }
        // TLB and cache maintenance that the Realm has begun here: its DSB may run on another CPU.
        barrier::dsb(ISH);
        // Without it the Realm's timer may still look asserted to the Host. Source: bug catalogue
        // T6.
        barrier::isb(SY);
    }

    #[inline(always)]
    fn timer_controls(&self) -> (u64, u64) {
        (el1::physical_timer_control(), el1::virtual_timer_control())
    }

    #[inline(always)]
    fn mask_timers(&self, physical: bool, virtual_: bool) {
        let area = self.area();
        let before = area.cnthctl.get();
        let physical = if physical { CNTHCTL_CNTPMASK } else { 0 };
        let virtual_ = if virtual_ { CNTHCTL_CNTVMASK } else { 0 };
        let after = CNTHCTL | physical | virtual_;
        if before != after {
            area.cnthctl.set(after);
            // SAFETY: as at boot; which timers reach the GIC opens nothing.
            unsafe { CNTHCTL_EL2.set(after) };
            barrier::isb(SY);
            settle(after & !before);
        }
    }

    fn lend_simd(&self, registers: &VcpuRegisters) -> bool {
        self.give_vectors_back();
        let area = self.area();
        let lends = !area.simd_lent.replace(true);
        if lends {
            simd::lend(area, &area.features.get(), registers);
        }
        lends
    }

    #[cold]
    fn lend_debug(&self, registers: &mut VcpuRegisters) {
        let area = self.area();
        if !area.debug_lent.replace(true) {
            let host_lock = debug::lend(&mut registers.debug, &area.features.get());
            area.host_os_lock.set(host_lock);
            // SAFETY: the registers that do not trap any more are the Realm's since `lend`.
            unsafe { MDCR_EL2.modify(MDCR_EL2::TDA::CLEAR) };
        }
    }

    fn live(&self, register: LiveRegister) -> u64 {
        match register {
            LiveRegister::Sctlr => SCTLR_EL12.get(),
            LiveRegister::Vbar => VBAR_EL12.get(),
            LiveRegister::Esr => ESR_EL12.get(),
            LiveRegister::Far => FAR_EL12.get(),
            LiveRegister::Elr => ELR_EL12.get(),
            LiveRegister::Spsr => SPSR_EL12.get(),
            LiveRegister::OsLock => debug::os_lock(),
        }
    }

    fn set_live(&self, register: LiveRegister, value: u64) {
        match register {
            LiveRegister::Sctlr => SCTLR_EL12.set(value),
            LiveRegister::Vbar => VBAR_EL12.set(value),
            LiveRegister::Esr => ESR_EL12.set(value),
            LiveRegister::Far => FAR_EL12.set(value),
            LiveRegister::Elr => ELR_EL12.set(value),
            LiveRegister::Spsr => SPSR_EL12.set(value),
            LiveRegister::OsLock => debug::set_os_lock(value & 1),
        }
    }

    fn translate_stage1(&self, va: u64) -> Option<u64> {
        stage1::translate(va)
    }

    fn pend_serror(&self, syndrome: u64) {
        let area = self.area();
        area.vsesr.set(syndrome & VSESR_MASK);
        if area.features.get().ras {
            VSESR_EL2.set(syndrome & VSESR_MASK);
        }
        // SAFETY: a virtual SError for the loaded Realm, and nothing else.
        unsafe { HCR_EL2.modify(HCR_EL2::VSE::SET) };
    }

    #[inline(always)]
    fn interrupt_pending(&self) -> bool {
        ISR_EL1.get() != 0
    }
}

/// Waits until the timers that have just been masked are no longer the highest pending interrupt:
/// the GIC learns of it a little later, and the Realm would exit at once.
fn settle(masked: u64) {
    for _ in 0..SETTLE_MAX {
        let pending = ICC_HPPIR1_EL1.get();
        let signalled = (pending == VIRTUAL_TIMER && masked & CNTHCTL_CNTVMASK != 0)
            || (pending == PHYSICAL_TIMER && masked & CNTHCTL_CNTPMASK != 0);
        if !signalled {
            return;
        }
    }
}
