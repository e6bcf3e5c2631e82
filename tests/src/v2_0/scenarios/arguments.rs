//! Arguments that name a granule: each command refuses one that is not aligned, not memory, or not
//! what it should be.

use alloc::format;

use super::super::abi::{BLOCKED, Command, INPUT, REC};
use super::super::registry::Registry;
use super::super::world::World;
use super::good::{Good, IPA, good, realm_with_tables};
use crate::need::Need;
use crate::outcome::Outcome;
use crate::port::Place;

/// What a granule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Undelegated,
    Delegated,
    Rd,
    Rec,
    Rtt,
    Data,
    /// Given to an operation that is under way.
    Donated,
}

impl Kind {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Undelegated, "undelegated"),
        (Self::Delegated, "delegated"),
        (Self::Rd, "rd"),
        (Self::Rec, "rec"),
        (Self::Rtt, "rtt"),
        (Self::Data, "data"),
        (Self::Donated, "donated"),
    ];

    /// A granule of this kind, of a Realm that nobody else uses.
    #[track_caller]
    fn granule(self, w: &mut World<'_>) -> Outcome<u64> {
        match self {
            Self::Undelegated => Ok(w.granule()),
            Self::Delegated => w.delegated(),
            Self::Rd => Ok(w.realm()?.rd),
            Self::Rec => {
                let realm = w.realm()?;
                Ok(w.rec(&realm, 0)?.pa)
            }
            Self::Rtt => {
                let realm = w.realm()?;
                w.table(&realm, 0, 1)
            }
            Self::Data => {
                let realm = realm_with_tables(w)?;
                w.data_unknown(&realm, IPA)
            }
            Self::Donated => {
                let call = good(w, Command::RecCreate)?;
                let handle = w.begin(call.command, &call.arguments)?;
                w.donate_all(handle)?;
                match w.operation(handle)?.given.keys().next() {
                    Some(pa) => Ok(*pa),
                    None => crate::outcome::fail("nothing was taken"),
                }
            }
        }
    }
}

/// Command, number of the argument, its name, what it should be.
static GRANULES: &[(Command, usize, &str, Kind)] = &[
    (Command::RealmActivate, 0, "rd", Kind::Rd),
    (Command::RealmTerminate, 0, "rd", Kind::Rd),
    (Command::RealmDestroy, 0, "rd", Kind::Rd),
    (Command::RecCreate, 0, "rd", Kind::Rd),
    (Command::RttCreate, 0, "rd", Kind::Rd),
    (Command::RttDestroy, 0, "rd", Kind::Rd),
    (Command::RttFold, 0, "rd", Kind::Rd),
    (Command::RttReadEntry, 0, "rd", Kind::Rd),
    (Command::DataMapInit, 0, "rd", Kind::Rd),
    (Command::DataMap, 0, "rd", Kind::Rd),
    (Command::DataUnmap, 0, "rd", Kind::Rd),
    (Command::UnprotMap, 0, "rd", Kind::Rd),
    (Command::UnprotUnmap, 0, "rd", Kind::Rd),
    (Command::InitRipas, 0, "rd", Kind::Rd),
    (Command::SetRipas, 0, "rd", Kind::Rd),
    (Command::SetRipas, 1, "rec", Kind::Rec),
    (Command::RecDestroy, 0, "rec", Kind::Rec),
    (Command::RecEnter, 0, "rec", Kind::Rec),
    (Command::PsciComplete, 0, "calling", Kind::Rec),
    (Command::RealmCreate, 0, "rd", Kind::Delegated),
    (Command::RecCreate, 1, "rec", Kind::Delegated),
    (Command::RttCreate, 1, "rtt", Kind::Delegated),
    (Command::DataMapInit, 1, "data", Kind::Delegated),
];

/// Command, number of the argument, its name: pages of the Host's.
static PAGES: &[(Command, usize, &str)] = &[
    (Command::RealmCreate, 1, "params"),
    (Command::RecCreate, 2, "params"),
    (Command::RecEnter, 1, "run"),
    (Command::DataMapInit, 3, "src"),
    (Command::ConfigGet, 0, "cfg"),
];

pub(super) fn add(registry: &mut Registry) {
    for &(command, index, name, right) in GRANULES {
        let prefix = format!("{}/{name}", command.label());
        for (what, offset) in [("one", 1), ("word", 8), ("half", 0x800)] {
            registry.add(format!("{prefix}_align/{what}"), move |w| {
                let call = good(w, command)?;
                call.with(w, index, call.arguments[index] + offset, &[INPUT])
            });
        }
        add_bounds(registry, &prefix, command, index);
        // The state of the granule is not the state of the REC in it.
        let state = prefix.clone() + if name == "rec" { "_gran_state" } else { "_state" };
        for (kind, label) in Kind::ALL {
            if kind == right {
                continue;
            }
            registry.add(format!("{state}/{label}"), move |w| {
                let call = good(w, command)?;
                let pa = kind.granule(w)?;
                // A granule that an operation owns may be answered either way; REC_ENTER, which
                // Hosts call plainly, says REC for BLOCKED.
                let codes: &[u64] =
                    if kind == Kind::Donated { &[INPUT, BLOCKED, REC] } else { &[INPUT] };
                call.with(w, index, pa, codes)
            });
        }
    }
    for &(command, index, name) in PAGES {
        let prefix = format!("{}/{name}", command.label());
        registry.add(format!("{prefix}_align"), move |w| {
            let call = good(w, command)?;
            for offset in [1, 8, 0x800] {
                refused(w, &call, index, call.arguments[index] + offset)?;
            }
            Ok(())
        });
        registry.add(format!("{prefix}_pas/delegated"), move |w| {
            let call = good(w, command)?;
            let pa = w.delegated()?;
            call.with(w, index, pa, &[INPUT])
        });
        registry.add(format!("{prefix}_pas/donated"), move |w| {
            let call = good(w, command)?;
            let pa = Kind::Donated.granule(w)?;
            call.with(w, index, pa, &[INPUT])
        });
        registry.add(format!("{prefix}_pas/rtt"), move |w| {
            let call = good(w, command)?;
            let pa = Kind::Rtt.granule(w)?;
            call.with(w, index, pa, &[INPUT])
        });
        add_bounds(registry, &prefix, command, index);
    }
}

/// Addresses that are no memory of the Host's.
fn add_bounds(registry: &mut Registry, prefix: &str, command: Command, index: usize) {
    for (what, place, need) in [
        ("device", Place::Device, None),
        ("beyond_pa", Place::BeyondPa, None),
        ("monitor", Place::Monitor, Some(Need::ForeignGranule)),
        ("secure", Place::Secure, Some(Need::ForeignGranule)),
        ("root", Place::Root, Some(Need::ForeignGranule)),
    ] {
        // The monitor is no part of the fake machine's memory, and a real machine has no tracked
        // memory of the other worlds: one of the two shows it.
        if what == "monitor" || command == Command::RecEnter && what == "root" {
            continue;
        }
        let scenario = registry.add(format!("{prefix}_bound/{what}"), move |w| {
            let call = good(w, command)?;
            let pa = w.place(place)?;
            call.with(w, index, pa, &[INPUT])
        });
        if let Some(need) = need {
            scenario.needs(need);
        }
    }
}

#[track_caller]
fn refused(w: &mut World<'_>, call: &Good, index: usize, value: u64) -> Outcome {
    let mut arguments = call.arguments.clone();
    arguments[index] = value;
    w.complete(call.command, &arguments)?.is(INPUT)?;
    Ok(())
}
