//! Conversions between private and shared memory, as a Linux guest makes them: how many exits,
//! commands and invalidations they cost, and that blocks stay or come back.

use super::data::folded_block;
use super::good::{IPA as BLOCK, request};
use super::registry::Registry;
use crate::abi::{Command, RecEnter, entry_state, ripas, rtt_error};
use crate::outcome::{Outcome, same};
use crate::rec::Rec;
use crate::world::World;

use entry_state::{ASSIGNED, UNASSIGNED};

const BLOCK_BYTES: u64 = 0x20_0000;
const PAGE: u64 = 0x1000;

pub(super) fn add(registry: &mut Registry) {
    registry.add("conversion/swiotlb_64_mib", swiotlb);
    registry.add("conversion/10000_random_pages", random_pages);
}

/// Lets the Realm ask for a change, and accepts all of it; the number of RTT_SET_RIPAS commands.
/// One exit, or it fails.
fn convert(w: &mut World<'_>, rec: &Rec, base: u64, top: u64, wanted: u64) -> Outcome<u64> {
    request(w, rec, (base, top), wanted, 0)?;
    let (mut at, mut commands) = (base, 0);
    while at < top {
        let reply = w.call(Command::RttSetRipas, [rec.realm.rd, rec.pa, at, top])?.ok()?;
        at = reply.outputs[0];
        commands += 1;
    }
    w.finish(rec, &RecEnter::default())?;
    Ok(commands)
}

/// A Realm with a block of memory at [`BLOCK`], RAM up to `top`, and a REC.
fn with_block(w: &mut World<'_>, top: u64) -> Outcome<(Rec, u64)> {
    let (realm, data) = folded_block(w)?;
    if top > BLOCK + BLOCK_BYTES {
        w.call(Command::RttInitRipas, [realm.rd, BLOCK + BLOCK_BYTES, top])?.ok()?;
    }
    let rec = w.running_in(&realm)?;
    Ok((rec, data))
}

/// A buffer of 64 MiB goes and comes back: one exit and one command each way, no table, one
/// invalidation in all.
fn swiotlb(w: &mut World<'_>) -> Outcome {
    const TOP: u64 = BLOCK + (64 << 20);
    let (rec, data) = with_block(w, TOP)?;
    let before = w.port.invalidations();
    same("commands to EMPTY", convert(w, &rec, BLOCK, TOP, ripas::EMPTY)?, 1)?;
    same("invalidations", w.port.invalidations(), before.map(|count| count + 1))?;
    w.expect_entry(&rec.realm, (BLOCK, 3), (2, ASSIGNED, data, ripas::EMPTY))?;
    w.expect_entry(&rec.realm, (TOP - BLOCK_BYTES, 3), (2, UNASSIGNED, 0, ripas::EMPTY))?;
    let before = w.port.invalidations();
    same("commands to RAM", convert(w, &rec, BLOCK, TOP, ripas::RAM)?, 1)?;
    same("invalidations", w.port.invalidations(), before)?;
    w.expect_entry(&rec.realm, (BLOCK, 3), (2, ASSIGNED, data, ripas::RAM))?;
    w.expect_entry(&rec.realm, (TOP - BLOCK_BYTES, 3), (2, UNASSIGNED, 0, ripas::RAM))
}

/// Single pages of a block go and come back: one unfold for each, and the fold restores the block.
fn random_pages(w: &mut World<'_>) -> Outcome {
    let (rec, data) = with_block(w, BLOCK + BLOCK_BYTES)?;
    let rd = rec.realm.rd;
    let table = w.delegated()?;
    let mut random = 1_u64;
    for round in 0..5000 {
        w.port.hurry(round % 500 != 0);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let page = BLOCK + (random >> 55) * PAGE;
        request(w, &rec, (page, page + PAGE), ripas::EMPTY, 0)?;
        // The block is larger than the wish: the monitor makes no table, the Host does.
        w.call(Command::RttSetRipas, [rd, rec.pa, page, page + PAGE])?.is(rtt_error(2))?;
        w.call(Command::RttCreate, [rd, table, BLOCK, 3])?.ok()?;
        w.call(Command::RttSetRipas, [rd, rec.pa, page, page + PAGE])?.ok()?.out(1, page + PAGE)?;
        w.finish(&rec, &RecEnter::default())?;
        w.call(Command::RttFold, [rd, BLOCK, 3])?.is(rtt_error(3))?;
        same("commands", convert(w, &rec, page, page + PAGE, ripas::RAM)?, 1)?;
        w.call(Command::RttFold, [rd, BLOCK, 3])?.ok()?.out(1, table)?;
    }
    w.port.hurry(false);
    w.expect_entry(&rec.realm, (BLOCK, 3), (2, ASSIGNED, data, ripas::RAM))
}
