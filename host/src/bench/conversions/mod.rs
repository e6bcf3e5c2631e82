//! Guests that share memory and take it back: what that costs a host, in each version of the
//! interface.
//!
//! The host has one backing for each page of guest RAM, private or shared. It gives and takes
//! memory in one piece where the interface has commands for that, maps what is shared when the
//! guest first touches it, and may make a block again of pages that have all come back:
//! *fold-back*.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `tally` | what is counted |
//! | `memory` | guest RAM, and how it is given, taken and shared |

mod memory;
mod tally;

use super::Bench;
use super::fixture::{Fixture, L2_SIZE, PAGE};
use super::guest::{
    CALL, CODE, EXIT_HOST_CALL, EXIT_RIPAS_CHANGE, EXIT_SYNC, Guest, OP_TOUCH, RSI_IPA_STATE_SET,
};
use crate::failure::Failure;
use crate::rmi::command::REALM_ACTIVATE;
use core::ops::Range;
use memory::{Backing, RAM_BASE, RAM_SIZE};
use tally::Tally;

const EMPTY: u64 = 0;
const RAM: u64 = 1;

/// 64 MiB of bounce buffers.
const SWIOTLB: Range<u64> = RAM_BASE..RAM_BASE + (64 << 20);
/// What is converted in pieces of 2 MiB.
const ALIGNED: Range<u64> = SWIOTLB.end..SWIOTLB.end + (64 << 20);
/// Where scattered pages come from.
const SCATTERED: Range<u64> = ALIGNED.end..RAM_BASE + RAM_SIZE;
/// How many of them are converted, ...
const PAGES: usize = 10_000;
/// ... and how many are shared at a time: an area of the guest's that is contiguous only in its
/// virtual addresses.
const AREA: usize = 16;

/// A guest that converts memory.
struct Converting<'c, 'b> {
    guest: Guest<'b>,
    memory: Backing<'c, 'b>,
}

/// Measures everything, with a host that folds back and with one that does not. `program` is the
/// code that runs in the Realm.
pub(super) fn run(bench: &Bench<'_>, program: &[u8]) -> Result<(), Failure> {
    for folds in [false, true] {
        let mut realm = Fixture::new(bench)?;
        realm.tables_to(0, 3)?;
        realm.create_page(CODE, program, 0)?;
        realm.create_page(CALL, &[], 0)?;
        let mut memory = Backing::new(bench, &mut realm, folds)?;
        memory.give(RAM_BASE..RAM_BASE + RAM_SIZE)?;
        let (rec, _) = realm.create_rec(CODE, CALL)?;
        bench.call(REALM_ACTIVATE, [realm.rd, 0, 0, 0, 0])?;
        let guest = Guest { bench, rec, run: bench.host.take_page()? };
        guest.enter(0, EXIT_HOST_CALL)?;
        // What it took to make the guest is no conversion.
        memory.tally = Tally::default();
        let mut converting = Converting { guest, memory };
        converting.measure()?;
        bench.host.put_page(converting.guest.run);
        converting.memory.end()?;
        realm.destroy(None)?;
    }
    Ok(())
}

impl Converting<'_, '_> {
    fn measure(&mut self) -> Result<(), Failure> {
        let blocks = ALIGNED.step_by(BLOCK_STEP).map(|at| at..at + L2_SIZE);
        self.convert(SWIOTLB, EMPTY)?;
        self.memory.report("swiotlb_64m");
        for block in blocks.clone() {
            self.convert(block, EMPTY)?;
        }
        self.memory.report("share_2m_x32");
        for block in blocks {
            self.convert(block, RAM)?;
        }
        self.memory.report("unshare_2m_x32");
        for pages in (0..PAGES / AREA).map(area) {
            for page in pages {
                self.convert(page..page + PAGE, EMPTY)?;
            }
            for page in pages {
                self.convert(page..page + PAGE, RAM)?;
            }
        }
        self.memory.report("scattered_4k_x10000");
        self.convert(SWIOTLB, RAM)?;
        self.memory.report("unshare_swiotlb_64m");
        Ok(())
    }

    /// The guest wants memory to be shared, or its own again, and uses it.
    fn convert(&mut self, range: Range<u64>, ripas: u64) -> Result<(), Failure> {
        let Range { start, end } = range.clone();
        self.guest.ask(&[RSI_IPA_STATE_SET, start, end, ripas, 1]);
        let cost = self.guest.enter(0, EXIT_RIPAS_CHANGE)?;
        self.memory.tally.exit(cost);
        if ripas == RAM {
            self.memory.unshare(range.clone())?;
        }
        self.memory.set_ripas(self.guest.rec, range.clone())?;
        if ripas == EMPTY {
            self.memory.take(range.clone())?;
        }
        self.go_on()?;
        for piece in memory::pieces(range) {
            self.touch(piece, ripas)?;
        }
        Ok(())
    }

    /// The guest goes on until it wants to know what to do next, which is no exit of a real one.
    fn go_on(&mut self) -> Result<(), Failure> {
        let cost = self.guest.enter(0, EXIT_HOST_CALL)?;
        self.memory.tally.cost += cost;
        Ok(())
    }

    /// The guest reads the first word of a piece, and faults.
    fn touch(&mut self, piece: Range<u64>, ripas: u64) -> Result<(), Failure> {
        let at = if ripas == RAM { piece.start } else { memory::alias(piece.start) };
        self.guest.answer(&[OP_TOUCH, at]);
        let cost = self.guest.enter(0, EXIT_SYNC)?;
        self.memory.tally.exit(cost);
        if ripas == RAM {
            self.memory.give(piece)?;
        } else {
            self.memory.share(piece)?;
        }
        self.go_on()
    }
}

const BLOCK_STEP: usize = 0x20_0000;

/// The pages of an area, in no order, none of which is in another one: the guest gets them from a
/// fragmented heap.
fn area(number: usize) -> [u64; AREA] {
    let count = (SCATTERED.end - SCATTERED.start) / PAGE;
    let first = (number * AREA) as u64;
    // Odd, so that each page comes once: there is a power of two of them.
    let place = |n: u64| n.wrapping_mul(0x9e37_79b1) % count;
    core::array::from_fn(|n| SCATTERED.start + place(first + n as u64) * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn scattered_pages_are_all_different_and_far_from_each_other() {
        let pages: BTreeSet<u64> = (0..PAGES / AREA).flat_map(area).collect();
        assert_eq!(pages.len(), PAGES);
        assert!(pages.iter().all(|page| SCATTERED.contains(page)));
        let blocks: BTreeSet<u64> = area(0).iter().map(|page| page / L2_SIZE).collect();
        assert!(blocks.len() > AREA / 2, "{blocks:?}");
    }
}
