//! What the Host has in its registers, and whether it is still there.

use super::judge::Judge;
use super::{Access, Probe, pattern};
use alloc::vec::Vec;
use cairn_reach::{Encoding, Plant, Row, row};

/// A register that the Host can read, and what it read last.
struct Seen {
    register: Encoding,
    row: Option<&'static Row>,
    value: u64,
    /// What was there before anything was planted.
    first: u64,
}

/// The Host's registers.
pub(super) struct Owner<'h> {
    probe: &'h dyn Probe,
    seen: Vec<Seen>,
}

/// Whether the Host's register may change by itself, or a read changes something.
fn is_restless(register: Encoding, row: Option<&Row>) -> bool {
    let Encoding { op0, op1, crn, crm, op2 } = register;
    row.is_some_and(|row| row.varies)
        || match (op0, op1, crn, crm, op2) {
            // ICC_IAR0_EL1, ICC_HPPIR0_EL1, ICC_NMIAR1_EL1, ICC_IAR1_EL1, ICC_HPPIR1_EL1: a read
            // takes an interrupt, or says which is pending.
            (3, 0, 12, 8 | 12, 0 | 2) | (3, 0, 12, 9, 5) => true,
            // SPSR_EL2, ELR_EL2, ESR_EL2, FAR_EL2, HPFAR_EL2: the Host's own exceptions set them.
            (3, 4, 4, 0, 0 | 1) | (3, 4, 5, 2, 0) | (3, 4, 6, 0, 0 | 4) => true,
            // ICH_*_EL2: what the Host gets back of the virtual interface is in the run page.
            (3, 4, 12, 8..=15, _) => true,
            // CNTH*_TVAL_EL2.
            (3, 4, 14, 2..=5, 0) => true,
            _ => false,
        }
}

impl<'h> Owner<'h> {
    /// Looks at all registers that the Host can read at EL2.
    pub(super) fn new(probe: &'h dyn Probe) -> Self {
        let mut seen = Vec::new();
        for register in Encoding::registers() {
            let row = row(register);
            if is_restless(register, row) {
                continue;
            }
            if let Some(value) = probe.access(Access::read(register)) {
                seen.push(Seen { register, row, value, first: value });
            }
        }
        Self { probe, seen }
    }

    /// Writes a pattern to each register that a Realm may name and the Host may write.
    pub(super) fn plant(&mut self, seed: u64) {
        for seen in &self.seen {
            if let Some(row) = seen.row
                && let Some(access) =
                    Access::plant(seen.register, row, pattern(seed, seen.register.number()))
            {
                // Those that can only be read are UNDEFINED.
                let _ = self.probe.access(access);
            }
        }
        for seen in &mut self.seen {
            seen.value = self.probe.access(Access::read(seen.register)).unwrap_or_default();
        }
    }

    /// What was planted and is wide enough to be told from anything else.
    pub(super) fn planted(&self) -> impl Iterator<Item = u64> {
        self.seen
            .iter()
            .filter(|seen| seen.row.is_some_and(|row| is_wide(row.host)))
            .filter(|seen| seen.value != seen.first && is_large(seen.value))
            .map(|seen| seen.value)
    }

    /// Looks for registers that have changed since they were planted, or since the last look.
    pub(super) fn check(&mut self, judge: &mut Judge<'_>, realm: usize) {
        for seen in &mut self.seen {
            let now = self.probe.access(Access::read(seen.register)).unwrap_or_default();
            if now != seen.value {
                let name = seen.row.map_or("a register of EL2", |row| row.name);
                judge.found(format_args!(
                    "{} ({name}) of the Host was {:#x}, and after Realm {realm} it is {now:#x}",
                    seen.register, seen.value
                ));
                seen.value = now;
            }
        }
    }
}

/// Whether a planted pattern has so many bits that nothing else looks like it.
pub(super) fn is_wide(plant: Plant) -> bool {
    matches!(plant, Plant::Bits { mask, .. } if mask.count_ones() >= 32)
}

/// Whether a value is not one that happens.
pub(super) const fn is_large(value: u64) -> bool {
    value >> 32 != 0 && !value >> 32 != 0
}
