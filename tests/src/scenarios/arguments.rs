//! Granule and Host-pointer arguments: each wrong alignment, bound and state, for each argument of
//! each command.

use alloc::format;
use alloc::vec::Vec;

use super::good::good;
use super::registry::Registry;
use crate::abi::{Command, INPUT};
use crate::need::Need;
use crate::outcome::{Outcome, fail};
use crate::port::{Mishap, Place};
use crate::rec::Rec;
use crate::world::World;

/// State of a granule that a Host can bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Host memory.
    Undelegated,
    /// Delegated, without a use.
    Delegated,
    /// Realm Descriptor.
    Rd,
    /// REC.
    Rec,
    /// Auxiliary granule of a REC.
    RecAux,
    /// Memory of a Realm.
    Data,
    /// Start-level table.
    StartTable,
    /// Any other table.
    Table,
}

/// What an argument must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    /// A granule in this state.
    State(Kind),
    /// Host memory that the command copies.
    Pointer,
}

/// An argument: command, number, labels of its three conditions.
struct Argument {
    command: Command,
    index: usize,
    labels: [&'static str; 3],
    wants: Wants,
}

const RD: [&str; 3] = ["rd_align", "rd_bound", "rd_state"];
const REC: [&str; 3] = ["rec_align", "rec_bound", "rec_gran_state"];
const DATA: [&str; 3] = ["data_align", "data_bound", "data_state"];

/// Every granule argument of RMI 1.0.
const ARGUMENTS: &[Argument] = &[
    arg(Command::GranuleDelegate, 0, ["gran_align", "gran_bound", "gran_state"], Kind::Undelegated),
    arg(Command::GranuleUndelegate, 0, ["gran_align", "gran_bound", "gran_state"], Kind::Delegated),
    arg(Command::DataCreate, 0, RD, Kind::Rd),
    arg(Command::DataCreate, 1, DATA, Kind::Delegated),
    pointer(Command::DataCreate, 3, ["src_align", "src_bound", "src_pas"]),
    arg(Command::DataCreateUnknown, 0, RD, Kind::Rd),
    arg(Command::DataCreateUnknown, 1, DATA, Kind::Delegated),
    arg(Command::DataDestroy, 0, RD, Kind::Rd),
    arg(Command::RealmActivate, 0, RD, Kind::Rd),
    arg(Command::RealmCreate, 0, RD, Kind::Delegated),
    pointer(Command::RealmCreate, 1, ["params_align", "params_bound", "params_pas"]),
    arg(Command::RealmDestroy, 0, RD, Kind::Rd),
    arg(Command::RecAuxCount, 0, RD, Kind::Rd),
    arg(Command::RecCreate, 0, RD, Kind::Rd),
    arg(Command::RecCreate, 1, REC, Kind::Delegated),
    pointer(Command::RecCreate, 2, ["params_align", "params_bound", "params_pas"]),
    arg(Command::RecDestroy, 0, REC, Kind::Rec),
    arg(Command::RecEnter, 0, REC, Kind::Rec),
    pointer(Command::RecEnter, 1, ["run_align", "run_bound", "run_pas"]),
    arg(Command::RttCreate, 0, RD, Kind::Rd),
    arg(Command::RttCreate, 1, ["rtt_align", "rtt_bound", "rtt_state"], Kind::Delegated),
    arg(Command::RttDestroy, 0, RD, Kind::Rd),
    arg(Command::RttFold, 0, RD, Kind::Rd),
    arg(Command::RttInitRipas, 0, RD, Kind::Rd),
    arg(Command::RttSetRipas, 0, RD, Kind::Rd),
    arg(Command::RttSetRipas, 1, REC, Kind::Rec),
    arg(Command::RttMapUnprotected, 0, RD, Kind::Rd),
    arg(Command::RttReadEntry, 0, RD, Kind::Rd),
    arg(Command::RttUnmapUnprotected, 0, RD, Kind::Rd),
    arg(Command::PsciComplete, 0, ["calling_align", "calling_bound", "calling_state"], Kind::Rec),
    arg(Command::PsciComplete, 1, ["target_align", "target_bound", "target_state"], Kind::Rec),
];

const fn arg(command: Command, index: usize, labels: [&'static str; 3], kind: Kind) -> Argument {
    Argument { command, index, labels, wants: Wants::State(kind) }
}

const fn pointer(command: Command, index: usize, labels: [&'static str; 3]) -> Argument {
    Argument { command, index, labels, wants: Wants::Pointer }
}

/// One granule in each state, in a Realm of its own.
pub(super) struct Zoo {
    granules: [(Kind, u64); 8],
    /// Its REC.
    pub rec: Rec,
}

impl Zoo {
    /// Makes the granules.
    pub(super) fn new(w: &mut World<'_>) -> Outcome<Self> {
        let realm = w.realm()?;
        w.tables(&realm, 0, 2)?;
        let table = w.table(&realm, 0, 3)?;
        let data = w.data_unknown(&realm, 0)?;
        let params = w.rec_params(&realm, 0)?;
        let rec = w.rec_with(&realm, 0, &params)?;
        let granules = [
            (Kind::Undelegated, w.granule()),
            (Kind::Delegated, w.delegated()?),
            (Kind::Rd, realm.rd),
            (Kind::Rec, rec.pa),
            (Kind::RecAux, params.aux[0]),
            (Kind::Data, data),
            (Kind::StartTable, realm.rtt_base),
            (Kind::Table, table),
        ];
        Ok(Self { granules, rec })
    }

    /// The granule in a state.
    pub(super) fn granule(&self, kind: Kind) -> u64 {
        self.granules.iter().find(|(other, _)| *other == kind).map_or(0, |(_, pa)| *pa)
    }

    fn others(&self, kind: Kind) -> Vec<u64> {
        let others = self.granules.iter().filter(|(other, _)| *other != kind);
        others.map(|(_, pa)| *pa).collect()
    }
}

/// Addresses that are not delegable.
pub(super) fn not_delegable(w: &World<'_>) -> Vec<u64> {
    let mut places = Vec::from([0xffff_ffff_ffff_f000, 1 << 52, 1 << 63]);
    places.extend(w.place(Place::Device));
    places.extend(w.place(Place::BeyondPa));
    places.extend(w.place(Place::Monitor));
    places
}

pub(super) fn add(registry: &mut Registry) {
    for argument in ARGUMENTS {
        let [align, bound, state] = argument.labels;
        let name = argument.command.label();
        registry.add(format!("{name}/{align}"), |w| unaligned(w, argument));
        registry.add(format!("{name}/{bound}"), |w| out_of_bounds(w, argument));
        registry.add(format!("{name}/{state}"), |w| wrong_state(w, argument));
        if argument.wants == Wants::Pointer {
            registry
                .add(format!("{name}/{state}/fault_at_any_word"), |w| faults(w, argument))
                .needs(Need::HostFault);
        }
    }
}

fn unaligned(w: &mut World<'_>, argument: &Argument) -> Outcome {
    let good = good(w, argument.command)?;
    let right = good.arguments[argument.index];
    for offset in [1, 8, 0x800, 0xfff] {
        good.with(w, argument.index, right + offset, INPUT)?;
    }
    good.succeeds(w)
}

fn out_of_bounds(w: &mut World<'_>, argument: &Argument) -> Outcome {
    let good = good(w, argument.command)?;
    for place in not_delegable(w) {
        good.with(w, argument.index, place, INPUT)?;
    }
    good.succeeds(w)
}

fn wrong_state(w: &mut World<'_>, argument: &Argument) -> Outcome {
    let good = good(w, argument.command)?;
    let zoo = Zoo::new(w)?;
    let wrong = match argument.wants {
        Wants::State(kind) => zoo.others(kind),
        Wants::Pointer => zoo.others(Kind::Undelegated),
    };
    for granule in wrong {
        good.with(w, argument.index, granule, INPUT)?;
    }
    for place in [Place::Secure, Place::Root] {
        if let Some(place) = w.place(place) {
            good.with(w, argument.index, place, INPUT)?;
        }
    }
    good.succeeds(w)
}

/// The pointer's page stops being Non-secure while it is read.
fn faults(w: &mut World<'_>, argument: &Argument) -> Outcome {
    let good = good(w, argument.command)?;
    let words = if argument.command == Command::RecEnter { 50 } else { 512 };
    for nth in [0, 1, 2, 31, words - 1] {
        w.arm(Mishap::HostFault(nth))?;
        let reply = w.try_call(good.command, &good.arguments)?;
        if reply.code != INPUT {
            return fail(format!("a fault at word {nth} was not noticed: {:#x}", reply.code));
        }
    }
    good.succeeds(w)
}
