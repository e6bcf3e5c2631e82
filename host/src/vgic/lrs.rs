//! List registers: filling them before an entry, folding them back after an exit.
//!
//! There are few of them, so the best candidates go in (interrupts being handled first, because
//! the guest must be able to finish them, then by priority) and, if some had to stay out, the
//! host asks for an interrupt as soon as there is room.
//!
//! An interrupt that follows a level is never both pending and active in a list register: it asks
//! for a maintenance interrupt at its end instead, and the host looks at the level again.

use super::irq::Irq;
use super::{PRIVATE_COUNT, Vgic};
use crate::machine::CpuInterface;
use crate::rmi::run::MAX_LRS;
use alloc::vec::Vec;

const STATE_SHIFT: u32 = 62;
const PENDING: u64 = 1;
const ACTIVE: u64 = 2;
const GROUP_1: u64 = 1 << 60;
const PRIORITY_SHIFT: u32 = 48;
const EOI_MAINTENANCE: u64 = 1 << 41;

/// `ICH_HCR_EL2.UIE`: an interrupt when at most one list register is in use.
const UNDERFLOW: u64 = 1 << 1;
/// `ICH_HCR_EL2.NPIE`: an interrupt when no list register is pending.
const NONE_PENDING: u64 = 1 << 3;

/// Which interrupt is in which list register of a CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slots([Option<u32>; MAX_LRS]);

/// What to give a REC for one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// List registers.
    pub lrs: [u64; MAX_LRS],
    /// The Host's bits of `ICH_HCR_EL2`.
    pub hcr: u64,
    /// The rest of the virtual interface, which is the host's to keep in version 2.0 only.
    pub interface: CpuInterface,
}

impl Vgic {
    /// Fills the list registers of `cpu`. Nothing of it may be in list registers now: each call
    /// is followed by [`Vgic::fold`].
    pub fn load(&mut self, cpu: usize) -> Loaded {
        let mut candidates = self.candidates(cpu);
        candidates.sort_unstable();
        let overflow = candidates.len() > self.list_registers;
        let mut loaded = Loaded::default();
        let mut slots = Slots::default();
        let mut any_pending = false;
        let room = loaded.lrs.iter_mut().zip(&mut slots.0).take(self.list_registers);
        for ((lr, slot), (_, _, intid)) in room.zip(candidates) {
            let Some(irq) = self.irq_mut(cpu, intid) else { continue };
            *lr = encode(intid, irq);
            any_pending |= *lr >> STATE_SHIFT & PENDING != 0;
            if *lr >> STATE_SHIFT & PENDING != 0 {
                irq.held_latch = irq.latch;
                irq.latch = false;
            } else {
                irq.held_latch = false;
            }
            irq.holder = Some(cpu);
            *slot = Some(intid);
        }
        if overflow {
            loaded.hcr = if any_pending { NONE_PENDING } else { UNDERFLOW };
        }
        if let Some(own) = self.cpus.get_mut(cpu) {
            own.slots = slots;
            loaded.interface = own.interface;
        }
        loaded
    }

    /// Takes back what [`Vgic::load`] gave, as an exit shows it.
    pub fn unload(&mut self, cpu: usize, left: &Loaded) {
        self.fold(cpu, &left.lrs, left.interface.vmcr);
        if let Some(own) = self.cpus.get_mut(cpu) {
            own.interface = left.interface;
        }
    }

    /// Takes back the list registers of `cpu` as an exit shows them, and the guest's
    /// `ICH_VMCR_EL2`.
    pub fn fold(&mut self, cpu: usize, lrs: &[u64; MAX_LRS], vmcr: u64) {
        let Some(own) = self.cpus.get_mut(cpu) else { return };
        let slots = core::mem::take(&mut own.slots);
        own.priority_mask = ((vmcr >> 24) & 0xff) as u8;
        own.group_1 = vmcr & (1 << 1) != 0;
        for (lr, slot) in lrs.iter().zip(slots.0) {
            let Some(irq) = slot.and_then(|intid| self.irq_mut(cpu, intid)) else { continue };
            let state = lr >> STATE_SHIFT;
            irq.holder = None;
            irq.active = state & ACTIVE != 0;
            irq.home = irq.active.then_some(cpu);
            if state & PENDING != 0 && (irq.edge || irq.held_latch) {
                irq.latch = true;
            }
        }
    }

    /// Interrupts that should be in a list register of `cpu`, as sortable triples: whether it is
    /// *not* active, priority, number.
    fn candidates(&self, cpu: usize) -> Vec<(bool, u8, u32)> {
        let Some(own) = self.cpus.get(cpu) else { return Vec::new() };
        let private = (0..).zip(own.private.iter());
        let shared = (PRIVATE_COUNT..).zip(self.spis.iter()).filter(|(_, irq)| {
            if irq.active { irq.home == Some(cpu) } else { self.targets(irq, cpu) }
        });
        private
            .chain(shared)
            .filter(|(_, irq)| irq.holder.is_none())
            .filter(|(_, irq)| irq.active || (self.enabled && irq.wants_delivery()))
            .map(|(intid, irq)| (!irq.active, irq.priority, intid))
            .collect()
    }
}

/// A list register for an interrupt that is active, or pending and enabled.
///
/// Source: Arm GIC architecture (IHI 0069), `ICH_LR<n>_EL2`.
fn encode(intid: u32, irq: &Irq) -> u64 {
    let pending = irq.pending() && irq.enabled;
    let state = match (irq.active, pending, irq.edge) {
        (true, true, true) => ACTIVE | PENDING,
        (true, _, _) => ACTIVE,
        (false, _, _) => PENDING,
    };
    let maintenance = if irq.edge { 0 } else { EOI_MAINTENANCE };
    state << STATE_SHIFT
        | GROUP_1
        | u64::from(irq.priority) << PRIORITY_SHIFT
        | maintenance
        | u64::from(intid)
}
