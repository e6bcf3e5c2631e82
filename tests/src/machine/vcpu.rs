//! A Realm's CPU: registers that are loaded and stored, and the scripted program that runs on it.

use std::collections::VecDeque;

use machine::Vcpu;
use machine::extensions::{DebugRegisters, PmuRegisters};
use machine::vcpu::{
    El1Registers, GicRegisters, HostVgic, LiveRegister, SimdRegisters, VcpuExit, VcpuRegisters,
};

use super::extensions::{self, Sve};
use super::walk::Regime;
use super::{FakeCpu, lock};
use crate::program::{Action, El1, Observed};

/// An action whose instruction has trapped and is not over yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) action: Action,
    pub(super) pc: u64,
}

/// A program and its progress. It stays when the REC is not on a CPU.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(super) actions: VecDeque<Action>,
    pub(super) in_flight: Option<InFlight>,
    pub(crate) observed: Vec<Observed>,
    /// How often the action in flight has been repeated since the REC was entered.
    pub(super) repeats: u32,
    /// Whether the conditions of CNTP and CNTV are met.
    pub(super) timer_conditions: [bool; 2],
}

impl Program {
    pub(crate) fn new(actions: &[Action]) -> Self {
        Self { actions: actions.iter().cloned().collect(), ..Self::default() }
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// A REC on a CPU.
pub(crate) struct Loaded {
    pub(super) regime: Regime,
    pub(super) hcr: u64,
    pub(super) vmpidr: u64,
    pub(super) el1: El1Registers,
    pub(super) gic: GicRegisters,
    pub(super) masked: [bool; 2],
    pub(super) simd: Option<SimdRegisters>,
    pub(super) sve: Option<Sve>,
    /// Performance monitors, and the number of event counters.
    pub(super) pmu: Option<(PmuRegisters, u8)>,
    pub(super) debug: Option<DebugRegisters>,
    pub(super) vserror: Option<u64>,
    /// VMID and index: which program it runs.
    pub(super) key: (u16, u64),
}

const CTL_ENABLE: u64 = 1;
const CTL_IMASK: u64 = 2;
const CTL_ISTATUS: u64 = 4;

/// Index of a REC from its VMPIDR_EL2.
fn index_of(vmpidr: u64) -> u64 {
    vmpidr & 0xf | (vmpidr >> 8 & 0xffff) << 4 | (vmpidr >> 32 & 0xff) << 20
}

impl Loaded {
    pub(super) fn timer_control(&self, number: usize, conditions: [bool; 2]) -> u64 {
        let raw = if number == 0 { self.el1.cntp_ctl_el0 } else { self.el1.cntv_ctl_el0 };
        let met = conditions[number] && raw & CTL_ENABLE != 0;
        raw & (CTL_ENABLE | CTL_IMASK) | if met { CTL_ISTATUS } else { 0 }
    }

    /// Whether a timer interrupts the CPU now.
    pub(super) fn timer_fires(&self, conditions: [bool; 2]) -> bool {
        [0, 1].into_iter().any(|number| {
            let asserted = self.timer_control(number, conditions) == CTL_ENABLE | CTL_ISTATUS;
            asserted && !self.masked[number]
        })
    }

    pub(super) fn el1_register(&mut self, register: El1) -> &mut u64 {
        match register {
            El1::Sctlr => &mut self.el1.sctlr_el1,
            El1::Vbar => &mut self.el1.vbar_el1,
            El1::Tpidr => &mut self.el1.tpidr_el1,
            El1::Mair => &mut self.el1.mair_el1,
            El1::VmPidr => &mut self.vmpidr,
            El1::CntpCval => &mut self.el1.cntp_cval_el0,
            El1::CntvCval => &mut self.el1.cntv_cval_el0,
        }
    }
}

impl Vcpu for FakeCpu<'_> {
    fn load(&self, registers: &mut VcpuRegisters) {
        let regime = Regime { vtcr: registers.vtcr_el2, vttbr: registers.vttbr_el2 };
        lock(&self.machine.tlb).activate(regime);
        let key = (regime.vmid(), index_of(registers.vmpidr_el2));
        // A Host that enters a REC again and again without giving it memory makes it repeat too.
        if let Some(program) = lock(&self.machine.programs).get_mut(&key) {
            program.repeats = 0;
        }
        let loaded = Loaded {
            regime,
            hcr: registers.hcr_el2,
            vmpidr: registers.vmpidr_el2,
            el1: registers.el1,
            gic: self.load_gic(&mut registers.gic),
            masked: [false; 2],
            simd: None,
            sve: None,
            pmu: registers.extensions.counters().map(|counters| (registers.pmu, counters)),
            debug: extensions::is_armed(registers.el1.mdscr_el1).then_some(registers.debug),
            vserror: (registers.vserror >> 63 == 1).then_some(registers.vserror << 1 >> 1),
            key,
        };
        let mut local = self.local.borrow_mut();
        local.vtcr = registers.vtcr_el2;
        if local.vcpu.replace(loaded).is_some() {
            self.machine.violation("a REC loaded on a CPU that has one");
        }
    }

    fn host_vgic(&self) -> HostVgic {
        self.read_host_vgic()
    }

    fn run(&self, registers: &mut VcpuRegisters) -> VcpuExit {
        let Some(mut loaded) = self.local.borrow_mut().vcpu.take() else {
            panic!("run without load")
        };
        let mut programs = lock(&self.machine.programs);
        let mut program = programs.remove(&loaded.key).unwrap_or_default();
        drop(programs);
        if self.machine.is_single() {
            self.check_unlocked();
        }
        let exit = self.run_program(&mut loaded, registers, &mut program);
        // Timers run on while the monitor works.
        loaded.el1.cntp_ctl_el0 = loaded.timer_control(0, program.timer_conditions);
        loaded.el1.cntv_ctl_el0 = loaded.timer_control(1, program.timer_conditions);
        lock(&self.machine.programs).insert(loaded.key, program);
        self.local.borrow_mut().vcpu = Some(loaded);
        exit
    }

    fn unload(&self, registers: &mut VcpuRegisters) {
        let Some(loaded) = self.local.borrow_mut().vcpu.take() else {
            panic!("unload without load")
        };
        registers.el1 = loaded.el1;
        self.unload_gic(&mut registers.gic, &loaded.gic);
        registers.vserror = loaded.vserror.map_or(0, |syndrome| 1 << 63 | syndrome);
        if let Some(simd) = loaded.simd {
            registers.simd = simd;
        }
        if let Some(sve) = loaded.sve {
            sve.store(&self.machine.dram, registers);
        }
        registers.pmu = loaded.pmu.map_or(registers.pmu, |(pmu, _)| pmu);
        registers.debug = loaded.debug.unwrap_or(registers.debug);
    }

    fn timer_controls(&self) -> (u64, u64) {
        let local = self.local.borrow();
        let Some(loaded) = &local.vcpu else { panic!("timers without load") };
        let conditions = lock(&self.machine.programs)
            .get(&loaded.key)
            .map_or([false; 2], |program| program.timer_conditions);
        (loaded.timer_control(0, conditions), loaded.timer_control(1, conditions))
    }

    fn mask_timers(&self, physical: bool, virtual_: bool) {
        if let Some(loaded) = &mut self.local.borrow_mut().vcpu {
            loaded.masked = [physical, virtual_];
        }
    }

    fn lend_simd(&self, registers: &VcpuRegisters) -> bool {
        let mut local = self.local.borrow_mut();
        let Some(loaded) = &mut local.vcpu else { return false };
        if loaded.simd.is_some() {
            return false;
        }
        loaded.simd = Some(registers.simd);
        loaded.sve = Sve::load(&self.machine.dram, registers);
        true
    }

    fn lend_debug(&self, registers: &mut VcpuRegisters) {
        if let Some(loaded) = &mut self.local.borrow_mut().vcpu {
            extensions::lend_debug(loaded, registers);
        }
    }

    fn live(&self, register: LiveRegister) -> u64 {
        let local = self.local.borrow();
        let Some(loaded) = &local.vcpu else { panic!("live register without load") };
        match register {
            LiveRegister::Sctlr => loaded.el1.sctlr_el1,
            LiveRegister::Vbar => loaded.el1.vbar_el1,
            LiveRegister::Esr => loaded.el1.esr_el1,
            LiveRegister::Far => loaded.el1.far_el1,
            LiveRegister::Elr => loaded.el1.elr_el1,
            LiveRegister::Spsr => loaded.el1.spsr_el1,
            LiveRegister::OsLock => loaded.debug.map_or(0, |debug| debug.os_lock),
        }
    }

    fn set_live(&self, register: LiveRegister, value: u64) {
        let mut local = self.local.borrow_mut();
        let Some(loaded) = &mut local.vcpu else { panic!("live register without load") };
        *match register {
            LiveRegister::Sctlr => &mut loaded.el1.sctlr_el1,
            LiveRegister::Vbar => &mut loaded.el1.vbar_el1,
            LiveRegister::Esr => &mut loaded.el1.esr_el1,
            LiveRegister::Far => &mut loaded.el1.far_el1,
            LiveRegister::Elr => &mut loaded.el1.elr_el1,
            LiveRegister::Spsr => &mut loaded.el1.spsr_el1,
            LiveRegister::OsLock => match &mut loaded.debug {
                Some(debug) => &mut debug.os_lock,
                None => panic!("OS Lock without debug registers"),
            },
        } = value;
    }

    fn translate_stage1(&self, va: u64) -> Option<u64> {
        // Stage 1 is off.
        Some(va & !0xfff)
    }

    fn pend_serror(&self, syndrome: u64) {
        if let Some(loaded) = &mut self.local.borrow_mut().vcpu {
            loaded.vserror = Some(syndrome);
        }
    }

    fn interrupt_pending(&self) -> bool {
        self.machine.poll_interrupt()
    }
}

/// ICH_MISR_EL2 as far as ICH_HCR_EL2 and the list registers decide it: U and NP.
pub(super) fn misr(gic: &GicRegisters) -> u64 {
    let valid = gic.lrs.iter().filter(|lr| **lr >> 62 != 0).count();
    let pending = gic.lrs.iter().any(|lr| *lr >> 62 & 1 == 1);
    let underflow = gic.hcr >> 1 & 1 == 1 && valid <= 1;
    let none_pending = gic.hcr >> 3 & 1 == 1 && !pending;
    u64::from(underflow) << 1 | u64::from(none_pending) << 3
}
