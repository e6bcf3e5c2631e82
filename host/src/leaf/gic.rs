//! The machine's interrupt controller.
//!
//! Interrupts stay masked at the CPU; the host acknowledges what is pending between two entries
//! of a REC. What must be enabled is everything that has to end a REC's turn: the host's timer,
//! its kicks, the console, and the guest's timers and list-register maintenance, whose interrupts
//! are physical too.

use super::{console, cpu};
use crate::platform;
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicV3, SgiTarget, SgiTargetGroup};
use arm_gic::{IntId, InterruptGroup, Trigger};
use cairn_host::Failure;
use cairn_host::job::MAX_CPUS;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use safe_mmio::UniqueMmioPointer;
use spin::Mutex;

/// Another CPU asks this one to look at its state.
const KICK: IntId = IntId::sgi(0);
/// List-register maintenance.
const MAINTENANCE: IntId = IntId::ppi(9);
/// EL2 physical timer.
const HOST_TIMER: IntId = IntId::ppi(10);
/// EL1 virtual timer.
const VIRTUAL_TIMER: IntId = IntId::ppi(11);
/// EL1 physical timer.
const PHYSICAL_TIMER: IntId = IntId::ppi(14);
const CONSOLE: IntId = IntId::spi(platform::PL011_SPI);

/// Most interrupts that are acknowledged in one go: an interrupt that cannot be silenced must not
/// stop the host.
const BURST: usize = 16;

static GIC: Mutex<Option<GicV3<'static>>> = Mutex::new(None);

/// Affinity of each CPU.
static AFFINITY: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

fn pointer<T>(address: u64) -> Option<NonNull<T>> {
    let address = usize::try_from(address).ok().and_then(NonZeroUsize::new)?;
    Some(NonNull::with_exposed_provenance(address))
}

/// Sets up the distributor, with or without console input. Called once, by CPU 0.
///
/// # Errors
///
/// The interrupt controller is not what the platform promises.
pub(crate) fn init_interrupts(cpus: usize, console_input: bool) -> Result<(), Failure> {
    let distributor = pointer::<Gicd>(platform::GICD_BASE).ok_or("no distributor")?;
    let redistributors = pointer::<GicrSgi>(platform::GICR_BASE).ok_or("no redistributor")?;
    // SAFETY: the address is that of the machine's distributor, mapped as device memory for good;
    // this function runs once and makes the only pointer to it.
    let distributor = unsafe { UniqueMmioPointer::new(distributor) };
    // SAFETY: the address is that of the machine's redistributors, mapped as device memory for
    // good; this function runs once and makes the only pointer to them.
    let gic = unsafe { GicV3::new(distributor, redistributors, cpus) };
    let mut gic = gic.map_err(|error| describe(&error))?;
    gic.distributor().configure_default_settings();
    if console_input {
        let mpidr = Some(affinity(0));
        gic.distributor().set_routing(CONSOLE, mpidr).map_err(|error| describe(&error))?;
        gic.enable_interrupt(CONSOLE, None, true).map_err(|error| describe(&error))?;
        console::enable_input();
    }
    *GIC.lock() = Some(gic);
    Ok(())
}

/// Lets Realms of the conformance suite interrupt the first and the second CPU.
///
/// # Errors
///
/// The interrupt controller has no such interrupts.
pub(crate) fn init_program_interrupts() -> Result<(), Failure> {
    let mut gic = GIC.lock();
    let gic = gic.as_mut().ok_or("no interrupt controller")?;
    for (cpu, intid) in platform::PROGRAM_SPIS.into_iter().map(IntId::spi).enumerate() {
        let mpidr = Some(affinity(cpu));
        gic.set_trigger(intid, None, Trigger::Edge).map_err(|error| describe(&error))?;
        gic.distributor().set_routing(intid, mpidr).map_err(|error| describe(&error))?;
        gic.enable_interrupt(intid, None, true).map_err(|error| describe(&error))?;
    }
    Ok(())
}

fn describe(error: &arm_gic::gicv3::GicError) -> Failure {
    Failure::new(alloc::format!("the interrupt controller: {error}"))
}

/// Sets up what this CPU has of its own.
pub(crate) fn init_cpu_interrupts(index: usize) {
    cpu::stop_el1_timers();
    if let Some(gic) = GIC.lock().as_mut() {
        gic.init_cpu(index);
        if let Ok(mut redistributor) = gic.redistributor(index) {
            redistributor.configure_default_settings();
            for intid in [KICK, MAINTENANCE, HOST_TIMER, VIRTUAL_TIMER, PHYSICAL_TIMER] {
                // All five are private interrupts, which every redistributor has.
                let _ = redistributor.enable_interrupt(intid, true);
            }
        }
    }
    GicCpuInterface::set_priority_mask(0xff);
    GicCpuInterface::enable_group1(true);
}

/// Remembers the affinity of a CPU.
pub(crate) fn set_affinity(index: usize, mpidr: u64) {
    if let Some(slot) = AFFINITY.get(index) {
        slot.store(mpidr, Ordering::Relaxed);
    }
}

fn affinity(index: usize) -> u64 {
    AFFINITY.get(index).map_or(0, |slot| slot.load(Ordering::Relaxed))
}

/// Interrupts another CPU.
pub(super) fn kick(index: usize) {
    let [aff0, affinity1, affinity2, _, affinity3, ..] = affinity(index).to_le_bytes();
    let target = SgiTarget::List {
        affinity3,
        affinity2,
        affinity1,
        target_list: 1_u16.wrapping_shl(u32::from(aff0)),
    };
    cpu::barrier_before_interrupting();
    // It is a software interrupt, so it cannot be refused.
    let _ = GicCpuInterface::send_sgi(KICK, target, SgiTargetGroup::CurrentGroup1);
}

/// Acknowledges what is pending. Only the host's own timer needs more than that; the console's
/// interrupt falls when its bytes are taken.
pub(super) fn serve() {
    for _ in 0..BURST {
        let group = InterruptGroup::Group1;
        let Some(intid) = GicCpuInterface::get_and_acknowledge_interrupt(group) else { return };
        if intid == HOST_TIMER {
            cpu::arm_timer(None);
        } else if intid == CONSOLE {
            super::machine::collect_input();
        }
        GicCpuInterface::end_interrupt(intid, group);
    }
}
