//! How long an interrupt for the Host may have to wait while the monitor works.
//!
//! A command of the Host runs to its end, unless it may return early: an interrupt waits for all of
//! it, in the worst case that its arguments can make. Where a command or an entry may come back
//! early, interrupts are sent at one moment after the other, and the longest wait counts.

use super::Bench;
use super::attestation;
use super::fixture::{Fixture, L1_SIZE, L2_SIZE, PAGE, Shape, UNPROTECTED};
use super::guest::{
    CALL, CODE, EXIT_PSCI, EXIT_RIPAS_CHANGE, Guest, OP_LOAD, PSCI_CPU_ON, RSI_IPA_STATE_GET,
    RSI_IPA_STATE_SET, RSI_MEASUREMENT_EXTEND, RSI_VERSION, TOKEN,
};
use super::v2_0;
use crate::failure::Failure;
use crate::rmi::abi::{VERSION_1_0, VERSION_2_0};
use crate::rmi::{Command, command, v1_0};

/// Most start-level tables of a Realm.
const ROOTS_MAX: usize = 16;
/// An IPA width that takes that many tables at level 1.
const ROOTS_WIDTH_BITS: u64 = 43;
pub(super) const SHA_512: u64 = 1;
/// Entries of a table.
const ENTRIES: u64 = 512;
/// A descriptor for a shared page: Normal, write-back, readable and writable.
const SHARED: u64 = 0b110 << 2 | 0b11 << 6;

const RSI_MEASUREMENT_READ: u64 = 0xc400_0192;
const RSI_ATTESTATION_TOKEN_INIT: u64 = 0xc400_0194;
const RSI_REALM_CONFIG: u64 = 0xc400_0196;
const PSCI_AFFINITY_INFO: u64 = 0xc400_0004;
const PSCI_FEATURES: u64 = 0x8400_000a;
const EMPTY: u64 = 0;
const RAM: u64 = 1;

/// First moment at which an interrupt is sent: before the monitor has the CPU.
const FIRST: u64 = 300;
/// Instructions between two moments. No loop of the monitor takes a multiple of it.
pub(super) const STEP: usize = 83;
/// Last moment: entry, exit, and the longest call that is not computed in slices.
pub(super) const LAST: u64 = 14_000;

/// Moments at which a command on a range is interrupted.
pub(super) const MOMENTS: u64 = 97;

/// Measures everything. `program` is the code that runs in the Realm.
pub(super) fn run(bench: &Bench<'_>, program: &[u8]) -> Result<(), Failure> {
    if bench.host.dialect().version() == VERSION_2_0 {
        v2_0::latency::run(bench)?;
        return realm(bench, program, |guest, _| v2_0::latency::psci(guest));
    }
    whole_commands(bench)?;
    tables(bench)?;
    objects(bench)?;
    realm(bench, program, psci)
}

/// Reports a command that succeeds and is not interrupted.
pub(super) fn whole(bench: &Bench<'_>, command: Command, args: [u64; 5]) -> Result<u64, Failure> {
    let answer = bench.call(command, args)?;
    bench.instructions(command.name(), answer.cost.instructions);
    Ok(answer.x1)
}

/// Commands without a Realm.
fn whole_commands(bench: &Bench<'_>) -> Result<(), Failure> {
    let host = bench.host;
    whole(bench, command::VERSION, [VERSION_1_0, 0, 0, 0, 0])?;
    whole(bench, command::FEATURES, [0; 5])?;
    let page = host.take_page()?;
    whole(bench, v1_0::command::GRANULE_DELEGATE, [page, 0, 0, 0, 0])?;
    whole(bench, v1_0::command::GRANULE_UNDELEGATE, [page, 0, 0, 0, 0])?;
    host.put_page(page);
    Ok(())
}

/// Pages and tables: what is left of a table is looked through for `top`.
fn tables(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::shaped(bench, &Shape { hash_algorithm: SHA_512, ..Shape::default() })?;
    realm.tables_to(0, 3)?;
    bench.instructions("RMI_DATA_CREATE", realm.create_page(0, b"measured", 1)?.instructions);
    realm.destroy_page(Some("RMI_DATA_DESTROY"), 0)?;
    let granule = bench.host.take_granule()?;
    bench.instructions("RMI_DATA_CREATE_UNKNOWN", realm.map_page(0, granule)?.instructions);
    realm.destroy_page(None, 0)?;
    realm.destroy_table(Some("RMI_RTT_DESTROY"), 0, 3)?;

    let block = L2_SIZE;
    realm.create_table(block, 3)?;
    let init = bench.call(command::RTT_INIT_RIPAS, [realm.rd, block, block + L2_SIZE, 0, 0])?;
    bench.instructions("RMI_RTT_INIT_RIPAS (a table)", init.cost.instructions);
    let memory = bench.host.take_granules(512, L2_SIZE)?;
    for page in 0..ENTRIES {
        realm.map_page(block + page * PAGE, memory + page * PAGE)?;
    }
    realm.fold_table(Some("RMI_RTT_FOLD"), block, 3)?;
    bench.instructions("RMI_RTT_CREATE (unfold)", realm.create_table(block, 3)?.instructions);
    whole(bench, command::RTT_READ_ENTRY, [realm.rd, block, 3, 0, 0])?;

    realm.tables_to(UNPROTECTED, 3)?;
    let desc = bench.host.take_page()?;
    whole(bench, v1_0::command::RTT_MAP_UNPROTECTED, [realm.rd, UNPROTECTED, 3, desc | SHARED, 0])?;
    whole(bench, v1_0::command::RTT_UNMAP_UNPROTECTED, [realm.rd, UNPROTECTED, 3, 0, 0])?;
    bench.host.put_page(desc);
    realm.destroy(None)
}

/// A Realm with as many start-level tables as there can be.
pub(super) const fn largest() -> Shape {
    Shape {
        width_bits: ROOTS_WIDTH_BITS,
        start: 1,
        roots: ROOTS_MAX,
        hash_algorithm: SHA_512,
        lpa2: false,
    }
}

/// Realms and RECs: as many start-level tables as there can be.
fn objects(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::shaped(bench, &largest())?;
    bench.instructions("RMI_REALM_CREATE (16 tables)", realm.create_cost.instructions);
    let (_, create) = realm.create_rec(0, 0)?;
    bench.instructions("RMI_REC_CREATE", create.instructions);
    whole(bench, v1_0::command::REC_AUX_COUNT, [realm.rd, 0, 0, 0, 0])?;
    whole(bench, command::REALM_ACTIVATE, [realm.rd, 0, 0, 0, 0])?;
    realm.destroy_rec(Some("RMI_REC_DESTROY"))?;
    realm.destroy(Some("RMI_REALM_DESTROY (16 tables)"))
}

/// Sends an interrupt `delay` instructions from now and lets `act` use the CPU; how long the
/// interrupt waited.
pub(super) fn wait(
    bench: &Bench<'_>,
    delay: u64,
    act: impl FnOnce() -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let machine = bench.host.machine();
    let due = machine.counter() + delay;
    machine.arm_timer(Some(due));
    act()?;
    let after = machine.counter();
    machine.arm_timer(None);
    machine.take_interrupts();
    Ok(after.saturating_sub(due))
}

/// The longest wait while the Realm makes a call, or what the Host makes of its exit.
fn call(guest: &Guest<'_>, name: &str, args: &[u64]) -> Result<(), Failure> {
    let mut longest = 0;
    for delay in (FIRST..LAST).step_by(STEP) {
        guest.ask(args);
        let waited = wait(guest.bench, delay, || guest.enter_for(0).map(drop))?;
        longest = longest.max(waited);
        // What the interrupt has cut short.
        guest.enter_for(0)?;
    }
    guest.bench.instructions(name, longest);
    Ok(())
}

/// A Realm that runs.
fn realm(
    bench: &Bench<'_>,
    program: &[u8],
    psci: impl FnOnce(&Guest<'_>, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let host = bench.host;
    let mut realm = Fixture::shaped(bench, &Shape { hash_algorithm: SHA_512, ..Shape::default() })?;
    realm.tables_to(0, 3)?;
    realm.create_page(CODE, program, 0)?;
    realm.create_page(CALL, &[], 0)?;
    realm.create_page(TOKEN, &[], 0)?;
    // A table full of pages, and a GiB of blocks.
    let (pages, blocks) = (L2_SIZE, L1_SIZE);
    realm.create_table(pages, 3)?;
    realm.tables_to(blocks, 2)?;
    bench.call(command::RTT_INIT_RIPAS, [realm.rd, pages, pages + L2_SIZE, 0, 0])?;
    bench.call(command::RTT_INIT_RIPAS, [realm.rd, blocks, blocks + L1_SIZE, 0, 0])?;
    let (rec, _) = realm.create_rec(CODE, CALL)?;
    let (other, _) = realm.create_rec(CODE, CALL)?;
    bench.call(command::REALM_ACTIVATE, [realm.rd, 0, 0, 0, 0])?;
    let guest = Guest { bench, rec, run: host.take_page()? };
    guest.enter_for(0)?;

    call(&guest, "RSI_VERSION", &[RSI_VERSION, 0x1_0000])?;
    call(&guest, "RSI_REALM_CONFIG", &[RSI_REALM_CONFIG, TOKEN])?;
    call(&guest, "RSI_MEASUREMENT_READ", &[RSI_MEASUREMENT_READ, 0])?;
    call(
        &guest,
        "RSI_MEASUREMENT_EXTEND",
        &[RSI_MEASUREMENT_EXTEND, 1, 64, 1, 2, 3, 4, 5, 6, 7, 8],
    )?;
    call(&guest, "RSI_IPA_STATE_GET (1 GiB)", &[RSI_IPA_STATE_GET, blocks, blocks + L1_SIZE])?;
    call(&guest, "RSI_IPA_STATE_GET (a table)", &[RSI_IPA_STATE_GET, pages, pages + L2_SIZE])?;
    call(
        &guest,
        "RSI_ATTESTATION_TOKEN_INIT",
        &[RSI_ATTESTATION_TOKEN_INIT, 1, 2, 3, 4, 5, 6, 7, 8],
    )?;
    bench.instructions("RSI_ATTESTATION_TOKEN_CONTINUE", attestation::longest_slice(&guest)?);
    call(&guest, "PSCI_FEATURES", &[PSCI_FEATURES, PSCI_CPU_ON])?;
    psci(&guest, other)?;
    for (name, base, size) in [
        ("RMI_RTT_SET_RIPAS (512 pages)", pages, L2_SIZE),
        ("RMI_RTT_SET_RIPAS (512 blocks)", blocks, L1_SIZE),
    ] {
        set_ripas(&guest, name, realm.rd, base, size)?;
    }
    running(&guest, "RMI_REC_ENTER (abort)", UNPROTECTED)?;
    let second = Guest { bench, rec: other, run: host.take_page()? };
    second.enter_for(0)?;
    running(&second, "RMI_REC_ENTER (computes)", TOKEN)?;
    host.put_page(second.run);
    host.put_page(guest.run);
    realm.destroy(None)
}

/// PSCI_AFFINITY_INFO, which the Host completes.
fn psci(guest: &Guest<'_>, other: u64) -> Result<(), Failure> {
    let mut longest = 0;
    for delay in (FIRST..LAST / 4).step_by(STEP) {
        guest.ask(&[PSCI_AFFINITY_INFO, 1, 0]);
        let mut reason = 0;
        let waited = wait(guest.bench, delay, || {
            reason = guest.enter_for(0)?.1;
            Ok(())
        })?;
        longest = longest.max(waited);
        if reason != EXIT_PSCI {
            guest.enter(0, EXIT_PSCI)?;
        }
        let args = [guest.rec, other, 0, 0, 0];
        let complete = guest.bench.call(v1_0::command::PSCI_COMPLETE, args)?;
        longest = longest.max(complete.cost.instructions);
        guest.enter_for(0)?;
    }
    guest.bench.instructions("PSCI_AFFINITY_INFO, RMI_PSCI_COMPLETE", longest);
    Ok(())
}

/// Lets the Realm ask for another RIPAS of a range, to and fro, and sends interrupts while the Host
/// carries it out.
fn set_ripas(guest: &Guest<'_>, name: &str, rd: u64, base: u64, size: u64) -> Result<(), Failure> {
    let bench = guest.bench;
    let top = base + size;
    let mut longest = 0;
    for (number, delay) in (FIRST..LAST).step_by(STEP).enumerate() {
        let ripas = if number % 2 == 0 { EMPTY } else { RAM };
        guest.ask(&[RSI_IPA_STATE_SET, base, top, ripas, 1]);
        guest.enter(0, EXIT_RIPAS_CHANGE)?;
        let mut at = base;
        while at < top {
            let args = [rd, guest.rec, at, top, 0];
            let waited = wait(bench, delay, || {
                at = bench.call(command::RTT_SET_RIPAS, args)?.x1;
                Ok(())
            })?;
            longest = longest.max(waited);
        }
        guest.enter_for(0)?;
    }
    bench.instructions(name, longest);
    Ok(())
}

/// The Realm does the same for ever: it reads `address`.
fn running(guest: &Guest<'_>, name: &str, address: u64) -> Result<(), Failure> {
    let mut longest = 0;
    guest.answer(&[OP_LOAD, address]);
    for delay in (FIRST..LAST / 4).step_by(STEP) {
        longest = longest.max(wait(guest.bench, delay, || guest.enter_for(0).map(drop))?);
    }
    guest.bench.instructions(name, longest);
    Ok(())
}
