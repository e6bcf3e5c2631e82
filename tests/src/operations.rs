//! What each command asks of the machine: invalidations, barriers, mappings, wipes, locks, calls to
//! EL3.
//!
//! Counted on the simulated machine, for one successful command in a Realm with tables down to
//! level 3. Instructions are counted elsewhere: these figures say why they are what they are.

use std::string::{String, ToString};
use std::sync::atomic::Ordering;

use crate::abi::{Command, ripas};
use crate::fake_port::FakePort;
use crate::machine::FakeMachine;
use crate::machine::config::Profile;
use crate::outcome::{Failure, Outcome};
use crate::scenarios::good::{self, IPA};
use crate::world::{Realm, World};

/// What is counted.
pub const COLUMNS: [&str; 6] = ["TLBI", "DSB", "maps", "wipes", "locks", "EL3 calls"];

/// Bytes that a level 3 table describes.
const TABLE: u64 = 0x20_0000;

/// A command, and its counts in the order of [`COLUMNS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The command.
    pub name: String,
    /// How often.
    pub counts: [u64; COLUMNS.len()],
}

/// Counts everything. Nothing else of the process may use a fake machine meanwhile: locks are
/// counted for all of them.
///
/// # Errors
///
/// A command that has to succeed does not.
pub fn count() -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for command in Command::ALL {
        rows.push(row(command.label(), |w| {
            let good = good::good(w, command)?;
            Ok((good.command, good.arguments))
        })?);
    }
    rows.push(row("rtt_fold (512 pages)", |w| {
        let realm = full_table(w)?;
        Ok((Command::RttFold, vec![realm.rd, TABLE, 3]))
    })?);
    rows.push(row("rtt_create (unfold)", |w| {
        let realm = full_table(w)?;
        w.call(Command::RttFold, [realm.rd, TABLE, 3])?.ok()?;
        Ok((Command::RttCreate, vec![realm.rd, w.delegated()?, TABLE, 3]))
    })?);
    rows.push(row("data_destroy (mapped)", |w| {
        let realm = full_table(w)?;
        Ok((Command::DataDestroy, vec![realm.rd, TABLE]))
    })?);
    rows.push(row("rtt_set_ripas (512 mapped)", |w| {
        let realm = full_table(w)?;
        let rec = w.running_in(&realm)?;
        good::request(w, &rec, (TABLE, 2 * TABLE), ripas::EMPTY, 0)?;
        Ok((Command::RttSetRipas, vec![realm.rd, rec.pa, TABLE, 2 * TABLE]))
    })?);
    rows.push(row("rtt_set_ripas (512 pages)", |w| {
        let waiting = good::ripas_request(w, (TABLE, 2 * TABLE), ripas::RAM, 0)?;
        w.tables(&waiting.realm, TABLE, 3)?;
        Ok((Command::RttSetRipas, vec![waiting.realm.rd, waiting.pa, TABLE, 2 * TABLE]))
    })?);
    rows.push(row("rtt_set_ripas (a block)", |w| {
        let waiting = good::ripas_request(w, (TABLE, 2 * TABLE), ripas::RAM, 0)?;
        w.tables(&waiting.realm, IPA, 2)?;
        Ok((Command::RttSetRipas, vec![waiting.realm.rd, waiting.pa, TABLE, 2 * TABLE]))
    })?);
    Ok(rows)
}

/// A Realm with a table of 512 pages of RAM that are one piece of memory.
fn full_table(w: &mut World<'_>) -> Outcome<Realm> {
    let realm = w.realm()?;
    w.tables(&realm, TABLE, 3)?;
    w.call(Command::RttInitRipas, [realm.rd, TABLE, 2 * TABLE])?.ok()?;
    let memory = w.delegated_run(512, TABLE)?;
    for page in (0..TABLE).step_by(4096) {
        w.call(Command::DataCreateUnknown, [realm.rd, memory + page, TABLE + page])?.ok()?;
    }
    Ok(realm)
}

/// Prepares a command and counts what it does.
fn row(
    name: &str,
    prepare: impl FnOnce(&mut World<'_>) -> Outcome<(Command, Vec<u64>)>,
) -> Result<Row, String> {
    let machine = FakeMachine::new(Profile::Max);
    let mut port = FakePort::new(&machine);
    let mut world = World::new(&mut port);
    let counted = (|| {
        let (command, arguments) = prepare(&mut world)?;
        let before = counts(&machine);
        world.try_call(command, &arguments)?.ok()?;
        let after = counts(&machine);
        Ok(core::array::from_fn(|column| after[column] - before[column]))
    })();
    counted
        .map(|counts| Row { name: name.to_string(), counts })
        .map_err(|failure: Failure| format!("{name}: {failure}"))
}

fn counts(machine: &FakeMachine) -> [u64; COLUMNS.len()] {
    let counters = &machine.counters;
    [
        &counters.invalidations,
        &counters.publishes,
        &counters.maps,
        &counters.wipes,
        &granule::guard::LOCKS_TAKEN,
        &counters.el3_calls,
    ]
    .map(|counter| counter.load(Ordering::Relaxed))
}
