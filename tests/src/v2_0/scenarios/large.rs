//! Memory in blocks of 1 GiB: made by folding a table of 2 MiB blocks, and taken apart by unfolding
//! it.

use super::super::abi::{Command, Desc, entry, oaddr, ripas, rtt};
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, Realm, World};
use super::good::request;
use crate::outcome::{Outcome, same};
use crate::program::{Access, Action, Observed};
use crate::scenarios::Cpu;

/// Bytes of a block at level 1.
const GIB: u64 = 1 << 30;
/// Where the block is.
const IPA: u64 = GIB;

pub(super) fn add(registry: &mut Registry) {
    registry
        .add_before_on(Cpu::Large, "data_map/level/block_1g", |w| {
            // First: there is one such block in the machine.
            let base = w.port.allocate(GIB / PAGE, GIB);
            w.boot()?;
            w.port.hurry(true);
            w.through(Command::RangeDelegate, &[base, base + GIB])?;
            let realm = w.realm()?;
            block(w, &realm, base)?;
            conversions(w, &realm)?;
            take_apart(w, &realm, base)
        })
        .reading("a monitor may ask for a table where a block of memory is larger than 2 MiB");
}

/// Makes the block: a table, all of its entries in as many calls as it takes, and the fold.
fn block(w: &mut World<'_>, realm: &Realm, base: u64) -> Outcome {
    w.tables(realm, IPA, 1)?;
    w.try_map(realm, IPA, Desc::block(base, 1))?.is(rtt(1))?;
    w.expect(realm, IPA, (1, entry::VOID, ripas::EMPTY))?;
    w.table(realm, IPA, 2)?;
    let mut at = IPA;
    while at < IPA + GIB {
        let count = (IPA + GIB - at) / BLOCK;
        let rest = Desc { count, ..Desc::block(base + at - IPA, 2) };
        // The descriptor of the whole is as good as that of its parts.
        let desc = if at == IPA { Desc::block(base, 1) } else { rest };
        at = w.try_map(realm, at, desc)?.ok()?.x[1];
    }
    w.ok(Command::RttFold, &[realm.rd, IPA, 2])?;
    w.expect_pa(realm, (IPA, 1), base)?;
    // The same again is there already; in one step all of it becomes RAM.
    w.try_map(realm, IPA, Desc::block(base, 1))?.ok()?.out(1, IPA + GIB)?;
    w.ok(Command::InitRipas, &[realm.rd, IPA, IPA + GIB])?.out(1, IPA + GIB)?;
    w.expect(realm, IPA, (1, entry::MAPPED, ripas::RAM))
}

/// The Realm uses it, gives it away, and takes it again.
fn conversions(w: &mut World<'_>, realm: &Realm) -> Outcome {
    let rec = w.running_in(realm)?;
    let last = IPA + GIB - 8;
    let actions = [Action::Store(last, Access::WORD, 7), Action::Load(last, Access::WORD)];
    same(
        "what was stored",
        w.observe(&rec, &actions)?,
        [Observed::Done, Observed::Value(7)].into(),
    )?;
    for (wanted, after) in [(ripas::EMPTY, ripas::EMPTY), (ripas::RAM, ripas::RAM)] {
        request(w, &rec, (IPA, IPA + GIB), wanted, 0)?;
        let arguments = [realm.rd, rec.pa, IPA, IPA + GIB];
        w.ok(Command::SetRipas, &arguments)?.out(1, IPA + GIB)?;
        w.expect(realm, IPA, (1, entry::MAPPED, after))?;
    }
    Ok(())
}

/// The block is whole, and so is refused; a table below it makes parts of it.
fn take_apart(w: &mut World<'_>, realm: &Realm, base: u64) -> Outcome {
    let unmap = |base, top| [realm.rd, base, top, oaddr::SINGLE, 0];
    for (from, to) in [(IPA, IPA + GIB), (IPA, IPA + BLOCK), (IPA + BLOCK, IPA + GIB)] {
        w.fails(Command::DataUnmap, &unmap(from, to), rtt(1))?;
    }
    w.fails(Command::RttDestroy, &[realm.rd, IPA, 2], rtt(1))?;
    w.expect(realm, IPA, (1, entry::MAPPED, ripas::RAM))?;
    w.table(realm, IPA, 2)?;
    w.expect_pa(realm, (IPA + 300 * BLOCK, 2), base + 300 * BLOCK)?;
    let mut at = IPA;
    while at < IPA + GIB {
        let reply = w.ok(Command::DataUnmap, &unmap(at, IPA + GIB))?;
        let desc = Desc::decode(reply.x[2]);
        same("what comes back", (desc.base, desc.size), (base + at - IPA, 1))?;
        same("and how much", desc.bytes(), reply.x[1] - at)?;
        at = reply.x[1];
    }
    w.expect(realm, IPA, (2, entry::VOID, ripas::DESTROYED))?;
    w.destroy_table(realm, IPA, 2)?;
    w.expect(realm, IPA, (1, entry::VOID, ripas::DESTROYED))
}
