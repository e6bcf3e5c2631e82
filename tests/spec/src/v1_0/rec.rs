//! RECs: creation and destruction.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A2.3, RMI_REC_CREATE, RMI_REC_DESTROY,
//! RMI_REC_AUX_COUNT.

use std::collections::VecDeque;

use crate::state::measurement;
use crate::v1_0::granule::{Names, PARAMS, RD, REC, State};
use crate::v1_0::realm::RealmState;
use crate::v1_0::rtt::Ripas;
use crate::v1_0::run::{Act, InFlight, LastExit};
use crate::v1_0::verdict::{Conditions, INPUT, Order, REALM, REC as ERROR_REC, Verdict};
use crate::v1_0::{Model, conditions};

/// A RIPAS change that a Realm has asked for.
#[derive(Clone, Copy, Debug)]
pub struct RipasChange {
    /// How far it is.
    pub addr: u64,
    /// Where it ends.
    pub top: u64,
    /// What is wanted.
    pub value: Ripas,
    /// Whether DESTROYED may change too.
    pub change_destroyed: bool,
}

impl RipasChange {
    pub(crate) const NONE: Self =
        Self { addr: 0, top: 0, value: Ripas::Empty, change_destroyed: false };
}

/// What a REC waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    Nothing,
    /// The Host to change RIPAS values.
    RipasChange,
    /// The Host's answer to the structure at this address.
    HostCall(u64),
    /// PSCI_COMPLETE.
    Psci(PsciCall),
}

/// A PSCI call that names another REC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciCall {
    /// CPU_ON of the REC with an index: entry point, context.
    CpuOn(u64, u64, u64),
    /// AFFINITY_INFO of the REC with an index.
    AffinityInfo(u64),
}

impl PsciCall {
    /// Index of the other REC.
    pub fn target(self) -> u64 {
        match self {
            Self::CpuOn(target, ..) | Self::AffinityInfo(target) => target,
        }
    }
}

/// A REC.
#[derive(Clone, Debug)]
pub struct Rec {
    /// Its Realm.
    pub owner: u64,
    /// Its index.
    pub index: u64,
    /// On a CPU now.
    pub is_running: bool,
    /// May be entered.
    pub is_runnable: bool,
    /// What it waits for.
    pub pending: Pending,
    /// The RIPAS change it asked for.
    pub ripas: RipasChange,
    /// Its auxiliary granules.
    pub aux: Vec<u64>,
    pub(crate) gprs: [Option<u64>; 31],
    pub(crate) list_registers: [u64; 16],
    pub(crate) last_exit: LastExit,
    /// What its Realm still has to do on it.
    pub program: VecDeque<Act>,
    pub(crate) in_flight: Option<InFlight>,
    /// Where it goes on. Each act is one instruction.
    pub(crate) pc: u64,
}

impl Rec {
    /// Whether the Host can emulate the access of the last exit.
    pub fn can_emulate(&self) -> bool {
        matches!(self.last_exit, LastExit::Emulatable(..))
    }
}

const ORDER: Order = &[
    (&["rd_bound", "rd_state"], &["realm_state", "num_recs"]),
    // Not stated; the conformance suite of the architecture depends on it.
    (&["realm_state", "num_recs"], &["mpidr_index", "num_aux"]),
];

/// The index in an `RmiRecMpidr`.
fn index_of(mpidr: u64) -> u64 {
    mpidr & 0xf | (mpidr >> 8 & 0xff_ffff) << 4
}

impl Model {
    pub(crate) fn rec_aux_count(&self, rd: u64) -> Verdict {
        let mut c = conditions();
        let has_rd = self.check_granule(&mut c, RD, rd, State::Rd);
        let count = if has_rd { self.realms[&rd].aux_count } else { 0 };
        c.or_succeeds(&[], [count, 0, 0, 0], |_| {})
    }

    pub(crate) fn rec_create(&self, rd: u64, rec: u64, params_ptr: u64) -> Verdict {
        let mut c = conditions();
        self.check_granule(&mut c, REC, rec, State::Delegated);
        let page = self.read_host(&mut c, PARAMS, params_ptr, 1);
        let has_rd = self.check_granule(&mut c, RD, rd, State::Rd);
        if has_rd {
            let realm = &self.realms[&rd];
            c.fails("realm_state", realm.state != RealmState::New, REALM);
            c.fails("num_recs", realm.num_recs == self.platform.recs_max(), REALM);
        }
        let Some(page) = page else { return c.failure(ORDER) };
        if has_rd {
            self.check_aux(&mut c, rec, self.realms[&rd].aux_count, &page);
        }
        let mpidr = page[0x100 / 8];
        // Reserved bits should be zero; a monitor may refuse them.
        c.may_fail("mpidr_index", mpidr & !0xffff_ff0f != 0, INPUT);
        if has_rd {
            let next = self.realms[&rd].rec_index;
            c.fails("mpidr_index", index_of(mpidr) != next, INPUT);
        }
        c.or_succeeds(ORDER, [0; 4], move |model| model.make_rec(rd, rec, &page))
    }

    fn check_aux(&self, c: &mut Conditions, rec: u64, wanted: u64, page: &[u64; 512]) {
        const AUX: Names = ["aux_align", "aux_state", "aux_state"];
        let count = page[0x800 / 8];
        if count != wanted {
            c.fails("num_aux", true, INPUT);
            return;
        }
        let aux = &page[0x808 / 8..][..count as usize];
        for (number, &pa) in aux.iter().enumerate() {
            self.check_granule(c, AUX, pa, State::Delegated);
            c.fails("aux_alias", pa == rec || aux[..number].contains(&pa), INPUT);
        }
    }

    fn make_rec(&mut self, rd: u64, rec: u64, page: &[u64; 512]) {
        let aux = page[0x808 / 8..][..page[0x800 / 8] as usize].to_vec();
        for &pa in &aux {
            self.set_state(pa, State::RecAux);
        }
        self.set_state(rec, State::Rec);
        let is_runnable = page[0] & 1 == 1;
        let Some(realm) = self.realms.get_mut(&rd) else { return };
        let index = realm.rec_index;
        realm.rec_index += 1;
        realm.num_recs += 1;
        if is_runnable {
            realm.rim = measurement::rec(realm.algorithm, &realm.rim, page);
        }
        let gprs = core::array::from_fn(|number| {
            Some(if number < 8 { page[0x300 / 8 + number] } else { 0 })
        });
        self.recs.insert(
            rec,
            Rec {
                owner: rd,
                index,
                is_running: false,
                is_runnable,
                pending: Pending::Nothing,
                ripas: RipasChange::NONE,
                aux,
                gprs,
                list_registers: [0; 16],
                last_exit: LastExit::Other,
                program: VecDeque::new(),
                in_flight: None,
                pc: page[0x200 / 8],
            },
        );
    }

    pub(crate) fn rec_destroy(&self, rec: u64) -> Verdict {
        let mut c = conditions();
        if self.check_granule(&mut c, REC, rec, State::Rec) {
            c.fails("rec_state", self.recs[&rec].is_running, ERROR_REC);
        }
        c.or_succeeds(&[], [0; 4], move |model| {
            let Some(gone) = model.recs.remove(&rec) else { return };
            for pa in gone.aux {
                model.free(pa);
            }
            model.free(rec);
            if let Some(realm) = model.realms.get_mut(&gone.owner) {
                realm.num_recs -= 1;
            }
        })
    }
}
