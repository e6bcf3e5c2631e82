//! How long an interrupt for the Host may have to wait while the monitor serves version 2.0.
//!
//! A command on a range is interrupted at one moment after the other: it may end early. Every other
//! one runs to its end.

use super::monitor::{self, Asked, RUNS_REFUSED};
use super::objects::parts;
use super::range::{Mapping, granules};
use crate::bench::Bench;
use crate::bench::fixture::{Fixture, L1_SIZE, L2_SIZE, PAGE, Shape, UNPROTECTED};
use crate::bench::guest::{CODE, EXIT_PSCI, Guest, PSCI_CPU_ON};
use crate::bench::latency::{LAST, MOMENTS, SHA_512, STEP, largest, wait, whole};
use crate::failure::Failure;
use crate::granules::Purpose;
use crate::rmi::Command;
use crate::rmi::command::{REALM_ACTIVATE, RTT_INIT_RIPAS, RTT_READ_ENTRY};
use crate::rmi::v2_0::command::{
    GRANULE_RANGE_DELEGATE, GRANULE_RANGE_UNDELEGATE, OP_CANCEL, OP_CONTINUE, OP_MEM_DONATE,
    OP_MEM_RECLAIM, PSCI_COMPLETE, RTT_DATA_MAP, RTT_DATA_UNMAP, RTT_UNPROT_MAP, RTT_UNPROT_UNMAP,
};
use crate::rmi::v2_0::descriptor::AddrRange;
use crate::rmi::v2_0::{SHARED, SINGLE};

/// Measures all but what a Realm asks for.
pub(in crate::bench) fn run(bench: &Bench<'_>) -> Result<(), Failure> {
    for Asked { command, args, .. } in monitor::questions(bench)? {
        bench.row(command.name(), bench.ask(command, args).cost);
    }
    delegation(bench)?;
    objects(bench)?;
    tables(bench)?;
    pages(bench)?;
    shared(bench)?;
    blocks(bench)
}

/// A command on a range that is done and undone.
struct Ranged<'r> {
    bench: &'r Bench<'r>,
    name: &'r str,
    command: Command,
    base: u64,
    top: u64,
}

impl Ranged<'_> {
    /// Sends interrupts at one moment after the other. `undo` brings about what was, up to where
    /// the command got.
    fn interrupt(
        &self,
        args: [u64; 5],
        undo: impl Fn(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { bench, name, command, base, top } = *self;
        let undisturbed = bench.call(command, args)?;
        undo(undisturbed.x1)?;
        let instructions = undisturbed.cost.instructions;
        // An odd step, so that no loop takes a multiple of it.
        let step = usize::try_from((instructions / MOMENTS) | 1).unwrap_or(1);
        let mut longest = 0;
        for delay in (0..instructions).step_by(step) {
            let mut reached = base;
            let waited = wait(bench, delay, || {
                reached = bench.call(command, args)?.x1;
                Ok(())
            })?;
            if reached <= base || reached > top {
                return Err(failure!("{name} at {base:#x}, up to {top:#x}, went to {reached:#x}"));
            }
            undo(reached)?;
            longest = longest.max(waited);
        }
        bench.instructions(name, longest);
        Ok(())
    }
}

/// Delegation of 2 MiB: with an EL3 that takes counts, and with one that does not.
fn delegation(bench: &Bench<'_>) -> Result<(), Failure> {
    let base = bench.host.take_pages(512, L2_SIZE)?;
    let top = base + L2_SIZE;
    for (delegate, undelegate) in [
        ("RMI_GRANULE_RANGE_DELEGATE (EL3 counts)", "RMI_GRANULE_RANGE_UNDELEGATE (EL3 counts)"),
        ("RMI_GRANULE_RANGE_DELEGATE", "RMI_GRANULE_RANGE_UNDELEGATE"),
    ] {
        let ranged = |name, command| Ranged { bench, name, command, base, top };
        let args = [base, top, 0, 0, 0];
        ranged(delegate, GRANULE_RANGE_DELEGATE).interrupt(args, |reached| {
            granules(bench, GRANULE_RANGE_UNDELEGATE, base, reached).map(drop)
        })?;
        granules(bench, GRANULE_RANGE_DELEGATE, base, top)?;
        ranged(undelegate, GRANULE_RANGE_UNDELEGATE).interrupt(args, |reached| {
            granules(bench, GRANULE_RANGE_DELEGATE, base, reached).map(drop)
        })?;
        granules(bench, GRANULE_RANGE_UNDELEGATE, base, top)?;
        bench.host.machine().smc(RUNS_REFUSED);
    }
    super::memory::put_pages(bench, base, 512);
    Ok(())
}

/// Realms and RECs: as many start-level tables as there can be.
fn objects(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::shaped(bench, &largest())?;
    bench.row("RMI_REALM_CREATE (16 tables)", realm.create_cost);
    let (_, create) = realm.create_rec(0, 0)?;
    bench.row("RMI_REC_CREATE (all calls)", create);
    realm.destroy_rec(Some("RMI_REC_DESTROY (all calls)"))?;
    let calls = [OP_CANCEL, OP_MEM_DONATE, OP_CONTINUE, OP_MEM_RECLAIM];
    parts(bench, &mut realm, calls.map(Command::name))?;
    whole(bench, REALM_ACTIVATE, [realm.rd, 0, 0, 0, 0])?;
    realm.end(Some("RMI_REALM_TERMINATE"), Some("RMI_REALM_DESTROY (16 tables)"))
}

fn realm<'b>(bench: &'b Bench<'b>) -> Result<Fixture<'b>, Failure> {
    Fixture::shaped(bench, &Shape { hash_algorithm: SHA_512, ..Shape::default() })
}

/// Tables, and what is measured.
fn tables<'b>(bench: &'b Bench<'b>) -> Result<(), Failure> {
    let mut realm = realm(bench)?;
    realm.tables_to(0, 3)?;
    bench.row("RMI_RTT_DATA_MAP_INIT", realm.create_page(0, b"measured", 1)?);
    realm.destroy_page(None, 0)?;
    realm.destroy_table(Some("RMI_RTT_DESTROY"), 0, 3)?;
    let block = L2_SIZE;
    realm.create_table(block, 3)?;
    let init = bench.call(RTT_INIT_RIPAS, [realm.rd, block, block + L2_SIZE, 0, 0])?;
    bench.row("RMI_RTT_INIT_RIPAS (a table)", init.cost);
    let pa = bench.host.take_granules(512, L2_SIZE)?;
    let memory = Mapping { rd: realm.rd, ipa: block, pa, size: L2_SIZE };
    memory.map(bench)?;
    realm.fold_table(Some("RMI_RTT_FOLD"), block, 3)?;
    bench.row("RMI_RTT_CREATE (unfold)", realm.create_table(block, 3)?);
    whole(bench, RTT_READ_ENTRY, [realm.rd, block, 3, 0, 0])?;
    memory.unmap(bench)?;
    bench.host.reclaim_range(pa, pa + L2_SIZE, Purpose::Data);
    realm.destroy(None)
}

/// A table full of pages.
fn pages<'b>(bench: &'b Bench<'b>) -> Result<(), Failure> {
    let mut realm = realm(bench)?;
    realm.tables_to(L2_SIZE, 3)?;
    let pa = bench.host.take_granules(512, L2_SIZE)?;
    let memory = Mapping { rd: realm.rd, ipa: L2_SIZE, pa, size: L2_SIZE };
    mapped(bench, memory, ["RMI_RTT_DATA_MAP (pages)", "RMI_RTT_DATA_UNMAP (pages)"])?;
    bench.host.reclaim_range(pa, pa + L2_SIZE, Purpose::Data);
    realm.destroy(None)
}

/// A table full of blocks.
fn blocks<'b>(bench: &'b Bench<'b>) -> Result<(), Failure> {
    let mut realm = realm(bench)?;
    realm.tables_to(L1_SIZE, 2)?;
    let pa = bench.host.take_granules(512 * 512, L1_SIZE)?;
    let memory = Mapping { rd: realm.rd, ipa: L1_SIZE, pa, size: L1_SIZE };
    mapped(bench, memory, ["RMI_RTT_DATA_MAP (blocks)", "RMI_RTT_DATA_UNMAP (blocks)"])?;
    bench.host.reclaim_range(pa, pa + L1_SIZE, Purpose::Data);
    realm.destroy(None)
}

/// Memory that is mapped, and taken away.
fn mapped(bench: &Bench<'_>, memory: Mapping, names: [&str; 2]) -> Result<(), Failure> {
    let Mapping { rd, ipa, pa, size } = memory;
    let top = ipa + size;
    let up_to = |reached| Mapping { size: reached - ipa, ..memory };
    let [map, unmap] = names;
    let ranged = |name, command| Ranged { bench, name, command, base: ipa, top };
    let all = AddrRange::delegated(pa, size).encode();
    ranged(map, RTT_DATA_MAP)
        .interrupt([rd, ipa, top, SINGLE, all], |reached| up_to(reached).unmap(bench).map(drop))?;
    memory.map(bench)?;
    ranged(unmap, RTT_DATA_UNMAP)
        .interrupt([rd, ipa, top, SINGLE, 0], |reached| up_to(reached).map(bench).map(drop))?;
    memory.unmap(bench).map(drop)
}

/// A table full of pages of the host.
fn shared<'b>(bench: &'b Bench<'b>) -> Result<(), Failure> {
    let mut realm = realm(bench)?;
    let (base, top) = (UNPROTECTED, UNPROTECTED + L2_SIZE);
    realm.tables_to(base, 3)?;
    let pa = bench.host.take_pages(512, PAGE)?;
    let memory = Mapping { rd: realm.rd, ipa: base, pa, size: L2_SIZE };
    let up_to = |reached| Mapping { size: reached - base, ..memory };
    let pages = AddrRange { base: pa, level: 3, count: 512, undelegated: true };
    let ranged = |name, command| Ranged { bench, name, command, base, top };
    let args = [realm.rd, base, top, SINGLE | SHARED, pages.encode()];
    ranged("RMI_RTT_UNPROT_MAP", RTT_UNPROT_MAP)
        .interrupt(args, |reached| up_to(reached).unshare(bench).map(drop))?;
    memory.share(bench)?;
    ranged("RMI_RTT_UNPROT_UNMAP", RTT_UNPROT_UNMAP)
        .interrupt([realm.rd, base, top, SINGLE, 0], |reached| {
            up_to(reached).share(bench).map(drop)
        })?;
    memory.unshare(bench)?;
    super::memory::put_pages(bench, pa, 512);
    realm.destroy(None)
}

/// PSCI_CPU_ON, which the Host completes.
pub(in crate::bench) fn psci(guest: &Guest<'_>) -> Result<(), Failure> {
    const OTHER: u64 = 1;
    let mut longest = 0;
    for delay in (0..LAST / 4).step_by(STEP) {
        guest.ask(&[PSCI_CPU_ON, OTHER, CODE, 0]);
        let mut reason = 0;
        let waited = wait(guest.bench, delay, || {
            reason = guest.enter_for(0)?.1;
            Ok(())
        })?;
        longest = longest.max(waited);
        if reason != EXIT_PSCI {
            guest.enter(0, EXIT_PSCI)?;
        }
        let complete = guest.bench.call(PSCI_COMPLETE, [guest.rec, 0, 0, 0, 0])?;
        longest = longest.max(complete.cost.instructions);
        guest.enter_for(0)?;
    }
    guest.bench.instructions("PSCI_CPU_ON, RMI_PSCI_COMPLETE", longest);
    Ok(())
}
