//! Realms: creation, activation, destruction.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A2.1, RMI_REALM_CREATE, RMI_REALM_ACTIVATE,
//! RMI_REALM_DESTROY.

use crate::state::measurement::{self, Value};
use crate::v1_0::granule::{PARAMS, RD, State};
use crate::v1_0::platform::Platform;
use crate::v1_0::rtt::{Entry, Table};
use crate::v1_0::verdict::{Conditions, INPUT, REALM, Verdict};
use crate::v1_0::{Model, conditions, entry_size};

/// State of a Realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the state of that name")]
pub enum RealmState {
    New,
    Active,
    SystemOff,
}

/// A Realm.
#[derive(Clone, Debug)]
pub struct Realm {
    /// Its state.
    pub state: RealmState,
    /// IPA width in bits.
    pub width: u64,
    /// Descriptors of FEAT_LPA2.
    pub lpa2: bool,
    /// Its VMID.
    pub vmid: u64,
    /// Start-level tables, as one.
    pub tables: Table,
    /// How many start-level tables there are.
    pub roots: u64,
    /// RECs that exist.
    pub num_recs: u64,
    /// Auxiliary granules that each REC needs: what the monitor says, but always the same.
    pub aux_count: u64,
    /// Index of the next REC.
    pub rec_index: u64,
    pub(crate) algorithm: u64,
    pub(crate) rpv: [u64; 8],
    pub(crate) rim: Value,
    pub(crate) rem: [Value; 4],
}

impl Realm {
    /// Start level.
    pub fn start(&self) -> i64 {
        self.tables.level
    }

    /// Whether an address is in the lower half.
    pub fn is_protected(&self, ipa: u64) -> bool {
        ipa < 1 << (self.width - 1)
    }

    /// The entry where a walk from the start level towards `level` ends, and its level.
    pub fn entry(&self, ipa: u64, level: i64) -> (i64, &Entry) {
        let walk = self.tables.walk(ipa, level);
        (walk.level, walk.into_entry())
    }

    /// Whether an address is in the IPA space.
    pub fn contains(&self, ipa: u64) -> bool {
        ipa < 1 << self.width
    }
}

/// `RmiRealmParams`.
struct Params {
    flags: u64,
    s2sz: u64,
    vmid: u64,
    rtt_base: u64,
    start: i64,
    roots: u64,
    algorithm: u64,
}

impl Params {
    fn read(page: &[u64; 512]) -> Self {
        Self {
            flags: page[0],
            s2sz: page[1] & 0xff,
            algorithm: page[0x30 / 8] & 0xff,
            vmid: page[0x800 / 8] & 0xffff,
            rtt_base: page[0x808 / 8],
            start: page[0x810 / 8].cast_signed(),
            roots: page[0x818 / 8] & 0xffff_ffff,
        }
    }

    fn lpa2(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The number of start-level tables that width and level ask for, if they fit together.
    ///
    /// Source: Arm ARM (DDI0487), VMSAv8-64 stage 2, 4 KiB granule: up to 16 concatenated tables,
    /// none at level -1, and at level 0 only with FEAT_LPA2; `AArch64.S2InvalidSL`: no level 0 with
    /// fewer than 44 bits of physical address.
    fn geometry(&self, platform: &Platform) -> Option<u64> {
        let lowest = if self.lpa2() { -1 } else { 0 };
        let unsupported = match self.start {
            3 => !platform.small_tables,
            0 => platform.s2sz() < 44,
            _ => false,
        };
        if unsupported || !(lowest..=3).contains(&self.start) {
            return None;
        }
        // Bits that one table at the start level resolves, and the least that make sense there.
        let one_table = if self.start == -1 { 52 } else { 12 + 9 * (4 - self.start) };
        let one_table = u64::try_from(one_table).ok()?;
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
}

fn is_supported(platform: &Platform, page: &[u64; 512], params: &Params) -> bool {
    let byte = |offset: usize| page[offset / 8] & 0xff;
    let s2sz_max = if params.lpa2() { platform.s2sz() } else { platform.s2sz().min(48) };
    let sve = params.flags & 2 == 0 || platform.sve_vl().is_some_and(|most| byte(0x10) <= most);
    let pmu = params.flags & 4 == 0
        || platform.pmu_num_ctrs().is_some_and(|most| {
            byte(0x28) <= most && (byte(0x28) != 0 || most == 0 || platform.hpmn0)
        });
    (!params.lpa2() || platform.lpa2())
        && (platform.s2sz_min..=s2sz_max).contains(&params.s2sz)
        && sve
        && pmu
        && (1..=platform.num_bps()).contains(&byte(0x18))
        && (1..=platform.num_wps()).contains(&byte(0x20))
        && platform.has_hash(params.algorithm)
}

impl Model {
    pub(crate) fn realm_create(&self, rd: u64, params_ptr: u64) -> Verdict {
        let mut c = conditions();
        self.check_granule(&mut c, RD, rd, State::Delegated);
        let Some(page) = self.read_host(&mut c, PARAMS, params_ptr, 1) else {
            return c.failure(&[]);
        };
        self.check_params(&mut c, rd, &page);
        c.or_succeeds(&[], [0; 4], move |model| model.make_realm(rd, &page))
    }

    fn check_params(&self, c: &mut Conditions, rd: u64, page: &[u64; 512]) {
        let params = Params::read(page);
        c.fails("params_valid", params.algorithm > 1, INPUT);
        c.fails("params_supp", !is_supported(&self.platform, page, &params), INPUT);
        let Some(roots) = params
            .geometry(&self.platform)
            .filter(|&roots| params.roots == roots && params.s2sz <= 52)
        else {
            c.fails("rtt_num_level", true, INPUT);
            return;
        };
        let bytes = roots * 4096;
        c.fails("rtt_align", !params.rtt_base.is_multiple_of(bytes), INPUT);
        // The specification's list of 2^48 checks forgets this command; VTTBR_EL2 cannot hold such
        // an address.
        c.fails("rtt_align", !params.lpa2() && params.rtt_base >= 1 << 48, INPUT);
        c.fails("alias", rd.wrapping_sub(params.rtt_base) < bytes, INPUT);
        let usable = (0..roots).all(|number| {
            let pa = params.rtt_base.wrapping_add(number * 4096);
            self.platform.is_delegable(pa) && self.state(pa) == State::Delegated
        });
        c.fails("rtt_state", !usable, INPUT);
        let taken = self.realms.values().any(|realm| realm.vmid == params.vmid);
        let too_large = params.vmid > 255 && !self.platform.vmid16;
        c.fails("vmid_valid", taken || too_large, INPUT);
    }

    fn make_realm(&mut self, rd: u64, page: &[u64; 512]) {
        let params = Params::read(page);
        for number in 0..params.roots {
            self.set_state(params.rtt_base + number * 4096, State::Rtt);
            self.memory.forget(params.rtt_base + number * 4096);
        }
        self.set_state(rd, State::Rd);
        let entries = if params.start == -1 { 16 } else { 512 * params.roots };
        let half = 1 << (params.s2sz - 1);
        let first = |index: u64| {
            let protected = index * entry_size(params.start) < half;
            if protected { Entry::EMPTY } else { Entry::UnassignedNs }
        };
        let mut rpv = [0; 8];
        rpv.copy_from_slice(&page[0x400 / 8..0x440 / 8]);
        let realm = Realm {
            state: RealmState::New,
            width: params.s2sz,
            lpa2: params.lpa2(),
            vmid: params.vmid,
            tables: Table {
                pa: params.rtt_base,
                base: 0,
                level: params.start,
                entries: (0..entries).map(first).collect(),
            },
            roots: params.roots,
            num_recs: 0,
            aux_count: 0,
            rec_index: 0,
            algorithm: params.algorithm,
            rpv,
            rim: measurement::initial(params.algorithm, page),
            rem: [[0; 64]; 4],
        };
        self.realms.insert(rd, realm);
    }

    pub(crate) fn realm_activate(&self, rd: u64) -> Verdict {
        let mut c = conditions();
        if self.check_granule(&mut c, RD, rd, State::Rd) {
            c.fails("realm_state", self.realms[&rd].state != RealmState::New, REALM);
        }
        c.or_succeeds(&[], [0; 4], move |model| {
            if let Some(realm) = model.realms.get_mut(&rd) {
                realm.state = RealmState::Active;
            }
        })
    }

    pub(crate) fn realm_destroy(&self, rd: u64) -> Verdict {
        let mut c = conditions();
        if self.check_granule(&mut c, RD, rd, State::Rd) {
            let realm = &self.realms[&rd];
            c.fails("realm_live", realm.num_recs != 0 || realm.tables.is_live(), REALM);
        }
        c.or_succeeds(&[], [0; 4], move |model| {
            if let Some(realm) = model.realms.remove(&rd) {
                for number in 0..realm.roots {
                    model.free(realm.tables.pa + number * 4096);
                }
            }
            model.free(rd);
        })
    }
}
