//! Realms: creation, activation, termination, destruction.
//!
//! Source: chapter 8 of our notes on RMI 2.0.

use super::platform::GRANULE;
use super::verdict::{Conditions, PARAMS, RD};
use super::words::{BLOCKED, GLOBAL, INPUT, REALM};
use super::{
    Entry, HostView, Model, Page, Platform, State, Table, Verdict, Work, choices, entry_size,
};
use crate::state::measurement::{self, Value};

/// State of a Realm (8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the state of that name")]
pub enum RealmState {
    New,
    Active,
    SystemOff,
    Zombie,
}

/// A Realm.
#[derive(Clone, Debug)]
pub struct Realm {
    /// Its state.
    pub state: RealmState,
    /// IPA width in bits.
    pub width: u64,
    /// 52-bit descriptors.
    pub lpa2: bool,
    /// Start-level tables, as one.
    pub tables: Table,
    /// How many start-level tables there are.
    pub roots: u64,
    /// Measurement algorithm.
    pub algorithm: u64,
    pub(crate) rim: Value,
}

impl Realm {
    /// Its initial measurement, zero-extended.
    pub fn rim(&self) -> &[u8; 64] {
        &self.rim
    }

    /// Start level.
    pub fn start(&self) -> i64 {
        self.tables.level
    }

    /// Whether an address is in the lower half.
    pub fn is_protected(&self, ipa: u64) -> bool {
        ipa < 1 << (self.width - 1)
    }

    /// Whether an address is in the IPA space.
    pub fn contains(&self, ipa: u64) -> bool {
        ipa < 1 << self.width
    }

    /// The level and the entry where a walk towards `level` ends.
    pub fn entry(&self, ipa: u64, level: i64) -> (i64, &Entry) {
        let walk = self.tables.walk(ipa, level);
        (walk.level, walk.into_entry())
    }
}

/// `RmiRealmParams` (8.1). All other bytes are ignored.
struct Params {
    flags0: u64,
    s2sz: u64,
    sve_vl: u64,
    num_bps: u64,
    num_wps: u64,
    pmu_num_ctrs: u64,
    algorithm: u64,
    num_aux_planes: u64,
    ats_plane: u64,
    rtt_base: u64,
    start: i64,
    roots: u64,
    flags1: u64,
    max_num_vdevs: u64,
}

impl Params {
    fn read(page: &Page) -> Self {
        let word = |offset: usize| page[offset / 8];
        let byte = |offset: usize| word(offset) & 0xff;
        Self {
            flags0: word(0),
            s2sz: byte(0x8),
            sve_vl: byte(0x10),
            num_bps: byte(0x18),
            num_wps: byte(0x20),
            pmu_num_ctrs: byte(0x28),
            algorithm: byte(0x30),
            num_aux_planes: word(0x38),
            ats_plane: word(0x440),
            rtt_base: word(0x808),
            start: word(0x810).cast_signed(),
            roots: word(0x818) & 0xffff_ffff,
            flags1: word(0x820),
            max_num_vdevs: word(0x828),
        }
    }

    fn flag(&self, bit: u64) -> bool {
        self.flags0 >> bit & 1 == 1
    }

    /// OQ-4.
    fn lpa2(&self) -> bool {
        let implied = choices::GEOMETRY_IMPLIES_LPA2 && (self.s2sz > 48 || self.start == -1);
        self.flag(0) || implied
    }

    /// The number of start-level tables that width and level ask for, if they fit together (section
    /// 7.2 of our notes on RMI 1.0, which is the same for granules of 4 KiB).
    fn geometry(&self, platform: &Platform) -> Option<u64> {
        let lowest = if self.lpa2() { -1 } else { 0 };
        let unsupported = match self.start {
            3 => !platform.small_tables,
            0 => platform.s2sz() < 44,
            _ => false,
        };
        if unsupported || !(lowest..=3).contains(&self.start) || self.s2sz > 52 {
            return None;
        }
        // Bits that one table at the start level resolves, and the least that make sense there.
        let one_table =
            if self.start == -1 { 52 } else { 12 + 9 * (4 - self.start) }.cast_unsigned();
        let least = if self.start == -1 { 49 } else { one_table - 8 };
        if self.s2sz < least {
            return None;
        }
        let roots = 1 << self.s2sz.saturating_sub(one_table).min(5);
        let most = match self.start {
            -1 => 1,
            0 if !self.lpa2() => 1,
            _ => 16,
        };
        (roots <= most).then_some(roots)
    }

    /// `params_supp`, a line for each field.
    fn check_supported(&self, c: &mut Conditions, platform: &Platform) {
        let mut fails = |holds| c.fails("params_supp", holds, INPUT);
        fails(self.lpa2() && !platform.lpa2);
        fails(self.s2sz < platform.s2sz_min || self.s2sz > platform.s2sz());
        fails(self.s2sz > 48 && !self.lpa2());
        fails(self.flag(1) && platform.sve_vl.is_none_or(|most| self.sve_vl > most));
        let few = |count: u64| count == 0 && !choices::ACCEPTS_ZERO_BPS;
        fails(few(self.num_bps) || self.num_bps > platform.num_bps);
        fails(few(self.num_wps) || self.num_wps > platform.num_wps);
        fails(self.flag(2) && platform.pmu_num_ctrs.is_none_or(|most| self.pmu_num_ctrs > most));
        let no_counters = self.pmu_num_ctrs == 0 && platform.pmu_num_ctrs != Some(0);
        fails(self.flag(2) && no_counters && !platform.hpmn0);
        fails(self.algorithm <= 2 && !platform.has_hash(self.algorithm));
        // No planes, no devices.
        fails(self.num_aux_planes > 0);
        fails(self.flag(3));
        fails(self.flags1 & 0b110 != 0);
        // One tree per plane, without planes: TF-RMM ignores it. Devices without their flag:
        // nothing is said.
        c.may_fail("params_supp", self.flags1 & 1 != 0 || self.max_num_vdevs != 0, INPUT);
        // Width and level ask for descriptors that the flag does not: bet3 Hosts have no flag
        // (OQ-4).
        c.may_fail("params_supp", self.lpa2() && !self.flag(0), INPUT);
    }
}

impl Model {
    /// Section 8.3; no order is stated.
    pub(crate) fn realm_create(&self, rd: u64, params_ptr: u64, host: &dyn HostView) -> Verdict {
        let mut c = Conditions::new();
        self.check_granule(&mut c, RD, rd, State::Delegated);
        let Some(page) = self.read_host(&mut c, PARAMS, params_ptr, host) else {
            return c.failure(&[]);
        };
        let params = Params::read(&page);
        let (lfa_policy, mec_policy) = (params.flags0 >> 5 & 3, params.flags0 >> 7 & 3);
        c.fails("params_valid", params.algorithm > 2, INPUT);
        c.fails("params_valid", lfa_policy > 1, INPUT);
        c.fails("params_valid", mec_policy > 1, INPUT);
        params.check_supported(&mut c, &self.platform);
        c.fails("ats_plane", params.ats_plane > params.num_aux_planes, INPUT);
        self.check_tables(&mut c, rd, &params);
        // VMIDs are the RMM's (8.3).
        c.fails("vmid", self.realms.len() >= self.platform.realms_max(), GLOBAL);
        c.or_succeeds(&[], [0; 4], move |model| model.make_realm(rd, &params, &page))
    }

    fn check_tables(&self, c: &mut Conditions, rd: u64, params: &Params) {
        let fitting = params.geometry(&self.platform).filter(|&roots| roots == params.roots);
        let Some(roots) = fitting else {
            c.fails("rtt_num_level", true, INPUT);
            return;
        };
        let bytes = roots * GRANULE;
        c.fails("rtt_align", !params.rtt_base.is_multiple_of(bytes), INPUT);
        // VTTBR_EL2 cannot hold such an address.
        c.fails("rtt_bound", !params.lpa2() && params.rtt_base >= 1 << 48, INPUT);
        c.fails("alias", rd.wrapping_sub(params.rtt_base) < bytes, INPUT);
        for number in 0..roots {
            let pa = params.rtt_base.wrapping_add(number * GRANULE);
            self.check_granule(c, ["rtt_align", "rtt_bound", "rtt_state"], pa, State::Delegated);
        }
    }

    fn make_realm(&mut self, rd: u64, params: &Params, page: &Page) {
        for number in 0..params.roots {
            self.set_state(params.rtt_base + number * GRANULE, State::Rtt);
        }
        self.set_state(rd, State::Rd);
        let entries = if params.start == -1 { 16 } else { 512 * params.roots };
        let half = 1 << (params.s2sz - 1);
        let first = |index: u64| {
            let protected = index * entry_size(params.start) < half;
            if protected { Entry::EMPTY } else { Entry::UnassignedNs }
        };
        let tables = Table {
            pa: params.rtt_base,
            base: 0,
            level: params.start,
            entries: (0..entries).map(first).collect(),
        };
        let realm = Realm {
            state: RealmState::New,
            width: params.s2sz,
            lpa2: params.lpa2(),
            tables,
            roots: params.roots,
            algorithm: params.algorithm,
            // Section 8.7: the parameters are not measured.
            rim: if choices::OLD_RIM {
                measurement::initial(params.algorithm, page)
            } else {
                [0; 64]
            },
        };
        self.realms.insert(rd, realm);
    }

    /// Section 8.4.
    pub(crate) fn realm_activate(&self, rd: u64) -> Verdict {
        let mut c = Conditions::new();
        if self.check_granule(&mut c, RD, rd, State::Rd) {
            c.fails("realm_state", self.realms[&rd].state != RealmState::New, REALM);
        }
        c.or_succeeds(&[], [0; 4], move |model| model.set_realm_state(rd, RealmState::Active))
    }

    pub(crate) fn set_realm_state(&mut self, rd: u64, state: RealmState) {
        if let Some(realm) = self.realms.get_mut(&rd) {
            realm.state = state;
        }
    }

    /// Section 8.5.
    pub(crate) fn realm_terminate(&self, rd: u64) -> Verdict {
        let mut c = Conditions::new();
        if self.check_granule(&mut c, RD, rd, State::Rd) {
            let zombie = self.realms[&rd].state == RealmState::Zombie;
            c.fails("realm_state", zombie && !choices::TERMINATES_ZOMBIE, REALM);
            let mut recs = self.recs.values().filter(|rec| rec.owner == rd);
            c.fails("rec_running", recs.any(|rec| rec.is_running), REALM);
        }
        c.or_succeeds(&[], [0; 4], move |model| model.set_realm_state(rd, RealmState::Zombie))
    }

    /// Section 8.6.
    pub(crate) fn realm_destroy(&self, rd: u64) -> Verdict {
        let mut c = Conditions::new();
        if self.check_granule(&mut c, RD, rd, State::Rd) {
            let realm = &self.realms[&rd];
            c.fails("realm_state", realm.state != RealmState::Zombie, REALM);
            c.fails("realm_live", self.recs_of(rd) != 0, REALM);
            c.fails("realm_live", realm.tables.is_live(), REALM);
            // A REC that is being made (6.9).
            let making = self.operations.values().any(
                |operation| matches!(&operation.work, Work::RecCreate(owner, _) if *owner == rd),
            );
            c.fails_by("realm_live", making, &[REALM, BLOCKED]);
        }
        c.or_succeeds(&[], [0; 4], move |model| {
            if let Some(realm) = model.realms.remove(&rd) {
                for number in 0..realm.roots {
                    model.set_state(realm.tables.pa + number * GRANULE, State::Delegated);
                }
            }
            model.set_state(rd, State::Delegated);
        })
    }

    /// RECs of a Realm, with those that are being destroyed.
    pub(crate) fn recs_of(&self, rd: u64) -> u64 {
        self.recs.values().filter(|rec| rec.owner == rd).count() as u64
    }
}
