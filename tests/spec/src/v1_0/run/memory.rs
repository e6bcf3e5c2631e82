//! A Realm's accesses to memory, and aborts.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A4.3.4, A5.2.

use super::exit::{Exit, Want};
use super::{Access, Flight, LastExit, Pattern, Step};
use crate::v1_0::granule::State;
use crate::v1_0::rtt::{Entry, Ripas};
use crate::v1_0::{Model, entry_size};

const DATA_ABORT: u64 = 0x24 << 26;
const INSTRUCTION_ABORT: u64 = 0x20 << 26;
const DATA_ABORT_SAME_EL: u64 = 0x25;
const INSTRUCTION_ABORT_SAME_EL: u64 = 0x21;

/// DFSC of a translation fault.
fn translation_fault(level: i64) -> u64 {
    if level < 0 { 0x2b } else { 4 + level.cast_unsigned() }
}

/// What is at an address of a Realm.
pub(super) enum Place {
    /// Realm memory at this physical address.
    Realm(u64),
    /// Host memory at this physical address, with S2AP and the level of the entry.
    Host(u64, u64, i64),
    /// Protected, EMPTY.
    Empty,
    /// Protected, and the Host has to provide memory: level where the walk ended.
    Absent(i64),
    /// Unprotected, nothing: level where the walk ended.
    Nothing(i64),
    /// Beyond the IPA space.
    Beyond,
}

impl Model {
    pub(super) fn place(&self, rec: u64, ipa: u64) -> Place {
        let realm = &self.realms[&self.recs[&rec].owner];
        if !realm.contains(ipa) {
            return Place::Beyond;
        }
        let walk = realm.tables.walk(ipa, 3);
        let offset = ipa % entry_size(walk.level);
        match walk.entry() {
            Entry::Assigned(Ripas::Ram, pa) => Place::Realm(pa + offset),
            Entry::Assigned(Ripas::Empty, _) | Entry::Unassigned(Ripas::Empty) => Place::Empty,
            Entry::Assigned(Ripas::Destroyed, _)
            | Entry::Unassigned(Ripas::Ram | Ripas::Destroyed) => Place::Absent(walk.level),
            Entry::UnassignedNs => Place::Nothing(walk.level),
            Entry::AssignedNs(pa, attributes) => {
                Place::Host(pa + offset, attributes >> 6 & 3, walk.level)
            }
            Entry::Table(_) => panic!("walk to level 3 ended at a table"),
        }
    }

    pub(super) fn data_access(
        &mut self,
        rec: u64,
        ipa: u64,
        access: Access,
        store: Option<u64>,
    ) -> Step {
        if let Some(value) = store
            && access.register != 31
        {
            self.rec(rec).gprs[access.register] = Some(value);
        }
        match self.place(rec, ipa) {
            Place::Realm(pa) => self.complete_access(rec, pa, access, store),
            Place::Host(pa, s2ap, level) => {
                let allowed = if store.is_some() { s2ap & 2 } else { s2ap & 1 } != 0;
                if !allowed {
                    let fault = 0xc + level.cast_unsigned();
                    return self.unprotected_abort(rec, ipa, access, store, fault);
                }
                let page = pa & !0xfff;
                if self.platform.is_delegable(page)
                    && (self.state(page) != State::Undelegated || !self.platform.is_host(page))
                {
                    return Step::Sees(Pattern::ProtectionFault);
                }
                self.complete_access(rec, pa, access, store)
            }
            Place::Empty | Place::Beyond => {
                Step::Sees(Pattern::Exception(DATA_ABORT_SAME_EL, Some(ipa)))
            }
            Place::Absent(level) => {
                let exit = Exit::sync(DATA_ABORT | translation_fault(level), 0, ipa >> 12 << 4);
                Step::Exits(Box::new(exit), Flight::Again)
            }
            Place::Nothing(level) => {
                self.unprotected_abort(rec, ipa, access, store, translation_fault(level))
            }
        }
    }

    /// An abort at an unprotected address: the Host's, who can emulate the access if the CPU
    /// reported it.
    fn unprotected_abort(
        &mut self,
        rec: u64,
        ipa: u64,
        access: Access,
        store: Option<u64>,
        fault: u64,
    ) -> Step {
        let hpfar = ipa >> 12 << 4;
        let this = self.rec(rec);
        if !access.syndrome {
            this.last_exit = LastExit::Unprotected;
            let exit = Exit::sync(DATA_ABORT | fault, 0, hpfar);
            return Step::Exits(Box::new(exit), Flight::Again);
        }
        this.last_exit = LastExit::Emulatable(access, store.is_some());
        let esr = DATA_ABORT
            | 1 << 24
            | access.size << 22
            | u64::from(access.wide) << 15
            | u64::from(store.is_some()) << 6
            | fault;
        let written = if access.register == 31 { 0 } else { store.unwrap_or(0) };
        let masked = written & (u64::MAX >> (64 - (8 << access.size)));
        let exit = Exit::sync(esr, ipa & 0xfff, hpfar).with_gpr(0, Want::Either(masked, written));
        Step::Exits(Box::new(exit), Flight::Again)
    }

    /// An access that nothing stops.
    fn complete_access(&mut self, rec: u64, pa: u64, access: Access, store: Option<u64>) -> Step {
        let mask = u64::MAX >> (64 - (8 << access.size));
        let shift = pa % 8 * 8;
        let old = self.memory.read(pa);
        let Some(value) = store else {
            if access.register != 31 {
                self.rec(rec).gprs[access.register] = None;
            }
            return Step::Sees(Pattern::Value(old.map(|word| word >> shift & mask)));
        };
        let merged = |old: u64| old & !(mask << shift) | (value & mask) << shift;
        let new = if mask == u64::MAX { Some(value) } else { old.map(merged) };
        self.memory.write(pa, new);
        Step::Sees(Pattern::Done)
    }

    pub(super) fn fetch(&self, rec: u64, ipa: u64) -> Step {
        match self.place(rec, ipa) {
            Place::Realm(_) => Step::Sees(Pattern::Done),
            Place::Absent(level) => {
                let esr = INSTRUCTION_ABORT | translation_fault(level);
                Step::Exits(Box::new(Exit::sync(esr, 0, ipa >> 12 << 4)), Flight::Again)
            }
            // Code runs from protected memory only.
            Place::Empty | Place::Beyond | Place::Nothing(_) | Place::Host(..) => {
                Step::Sees(Pattern::Exception(INSTRUCTION_ABORT_SAME_EL, Some(ipa)))
            }
        }
    }

    /// The exit that asks the Host for a page that a call of the Realm needs.
    pub(super) fn absent(ipa: u64, level: i64) -> Exit {
        Exit::sync(DATA_ABORT | translation_fault(level), 0, ipa >> 12 << 4)
    }
}
