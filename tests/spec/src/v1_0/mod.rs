//! RMM 1.0 as a program: given the state of the machine and a call, which answers the specification
//! allows, and what the state is afterwards.
//!
//! Owns: granules, Realms, RECs and translation tables as the Host and the Realms can observe them
//! ([`Model`]); for each RMI command its failure conditions under the specification's names, their
//! stated order, its outputs and effects; what a REC does between an entry and an exit, for a Realm
//! that follows a list of [`Act`]s.
//!
//! Does not own, and does not know: the monitor. No number, type or line is shared with it;
//! everything here is written from the specification, and as simply as possible: no locks, no
//! caches, no reference counts. Where the text leaves a choice, every permitted answer is accepted.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`platform`] | what the machine is: DRAM, feature register 0 |
//! | [`verdict`] | failure conditions, their order, comparison with an answer |
//! | `granule`, `data`, `realm`, `rec`, `psci`, `rtt` | the commands |
//! | [`run`] | REC_ENTER: entry, a Realm's actions, exit |
//!
//! Source: RMM specification (Arm DEN0137) 1.0-rel0, chapters A2 to A8 and B2 to B6.

mod data;
mod granule;
pub mod platform;
mod psci;
mod realm;
mod rec;
mod rtt;
pub mod run;
pub mod verdict;

use std::collections::BTreeMap;

pub use crate::state::rtt::{Entry, Ripas, Table, entry_size};
pub use granule::State;
pub use platform::Platform;
pub use realm::{Realm, RealmState};
pub use rec::{Pending, PsciCall, Rec, RipasChange};
pub use run::{Access, Act, Seen, Witness};
pub use verdict::Divergence;

use crate::extension;
use crate::state::memory::Memory;
use verdict::{Conditions, Verdict};

/// X0 to X7 of a call.
pub type Call = [u64; 8];
/// X0 to X4 of an answer.
pub type Answer = [u64; 5];

/// RMI function identifiers.
pub mod fid {
    #![expect(missing_docs, reason = "each constant is the command of that name")]
    pub const VERSION: u64 = 0xc400_0150;
    pub const GRANULE_DELEGATE: u64 = 0xc400_0151;
    pub const GRANULE_UNDELEGATE: u64 = 0xc400_0152;
    pub const DATA_CREATE: u64 = 0xc400_0153;
    pub const DATA_CREATE_UNKNOWN: u64 = 0xc400_0154;
    pub const DATA_DESTROY: u64 = 0xc400_0155;
    pub const REALM_ACTIVATE: u64 = 0xc400_0157;
    pub const REALM_CREATE: u64 = 0xc400_0158;
    pub const REALM_DESTROY: u64 = 0xc400_0159;
    pub const REC_CREATE: u64 = 0xc400_015a;
    pub const REC_DESTROY: u64 = 0xc400_015b;
    pub const REC_ENTER: u64 = 0xc400_015c;
    pub const RTT_CREATE: u64 = 0xc400_015d;
    pub const RTT_DESTROY: u64 = 0xc400_015e;
    pub const RTT_MAP_UNPROTECTED: u64 = 0xc400_015f;
    pub const RTT_READ_ENTRY: u64 = 0xc400_0161;
    pub const RTT_UNMAP_UNPROTECTED: u64 = 0xc400_0162;
    pub const PSCI_COMPLETE: u64 = 0xc400_0164;
    pub const FEATURES: u64 = 0xc400_0165;
    pub const RTT_FOLD: u64 = 0xc400_0166;
    pub const REC_AUX_COUNT: u64 = 0xc400_0167;
    pub const RTT_INIT_RIPAS: u64 = 0xc400_0168;
    pub const RTT_SET_RIPAS: u64 = 0xc400_0169;
}

/// The machine as the specification sees it.
#[derive(Clone, Debug)]
pub struct Model {
    /// What does not change.
    pub platform: Platform,
    /// Granules that are not UNDELEGATED.
    granules: BTreeMap<u64, State>,
    /// Realms by the address of their descriptor.
    realms: BTreeMap<u64, Realm>,
    /// RECs by their address.
    recs: BTreeMap<u64, Rec>,
    /// Contents of the Host's and the Realms' pages, as far as they are known.
    memory: Memory,
    /// EL3 refuses its next call.
    el3_refuses: bool,
    /// The access of a Host word in this command from which on all fault.
    host_fault: Option<u64>,
    /// A word of Host memory that changes at some time in this command: address, and the later
    /// value.
    host_change: Option<(u64, u64)>,
}

impl Model {
    /// A machine after boot: all memory is the Host's.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            granules: BTreeMap::new(),
            realms: BTreeMap::new(),
            recs: BTreeMap::new(),
            memory: Memory::default(),
            el3_refuses: false,
            host_fault: None,
            host_change: None,
        }
    }

    /// The Host writes a page of its memory.
    pub fn host_writes(&mut self, pa: u64, page: &[u64; 512]) {
        self.memory.set_page(pa, page);
    }

    /// Whether `pa` is a page of the Host's whose contents are known.
    pub fn knows_page(&self, pa: u64) -> bool {
        self.memory.page(pa).is_some()
    }

    /// Whether `pa` is the address of a granule of Host memory.
    pub fn is_host_page(&self, pa: u64) -> bool {
        pa.is_multiple_of(4096)
            && self.platform.is_delegable(pa)
            && self.state(pa) == State::Undelegated
            && self.platform.is_host(pa)
    }

    /// EL3 will refuse its next call.
    pub fn refuse_el3(&mut self) {
        self.el3_refuses = true;
    }

    /// The `nth` access of a word of Host memory in the next command, and all after it, will fault.
    pub fn fault_host(&mut self, nth: u64) {
        self.host_fault = Some(nth);
    }

    /// The word at `pa` of Host memory becomes `value` at some time in the next command.
    pub fn change_host(&mut self, pa: u64, value: u64) {
        self.host_change = Some((pa, value));
    }

    /// Realms by the address of their descriptor.
    pub fn realms(&self) -> &BTreeMap<u64, Realm> {
        &self.realms
    }

    /// RECs by their address.
    pub fn recs(&self) -> &BTreeMap<u64, Rec> {
        &self.recs
    }

    /// Granules that are not UNDELEGATED.
    pub fn granules(&self) -> &BTreeMap<u64, State> {
        &self.granules
    }

    /// The monitor says how many auxiliary granules the RECs of a new Realm need.
    ///
    /// # Panics
    ///
    /// If it wants more than there can be.
    pub fn learn_aux_count(&mut self, rd: u64, count: u64) {
        assert!(count <= 16, "{count} auxiliary granules");
        if let Some(realm) = self.realms.get_mut(&rd) {
            realm.aux_count = count;
        }
    }

    /// Gives a REC more to do.
    pub fn program(&mut self, rec: u64, act: Act) {
        if let Some(rec) = self.recs.get_mut(&rec) {
            rec.program.push_back(act);
        }
    }

    /// Compares the answer to a call with the specification, and follows it. Returns the condition
    /// that explains a failure, or an empty name.
    ///
    /// # Errors
    ///
    /// The answer is not one that the specification allows.
    pub fn follow(
        &mut self,
        call: &Call,
        answer: &Answer,
        witness: &mut dyn Witness,
    ) -> Result<&'static str, Divergence> {
        let result = if decode(call[0]) == fid::REC_ENTER {
            self.rec_enter(call, answer, witness)
        } else {
            let verdict = self.judge_all(call);
            self.settle(verdict, call, answer)
        };
        // Whether the Host came to its change is unknown.
        if let Some((pa, _)) = self.host_change.take() {
            self.memory.forget(pa & !0xfff);
        }
        self.host_fault = None;
        result
    }

    fn settle(
        &mut self,
        verdict: Verdict,
        call: &Call,
        answer: &Answer,
    ) -> Result<&'static str, Divergence> {
        let (effect, condition) = verdict.compare(call, answer)?;
        if let Some(effect) = effect {
            effect(self);
        }
        Ok(condition)
    }

    /// What the specification says of a call that is not REC_ENTER, during which the Host may
    /// change a word of its memory.
    fn judge_all(&mut self, call: &Call) -> Verdict {
        let reads_host =
            matches!(decode(call[0]), fid::REALM_CREATE | fid::REC_CREATE | fid::DATA_CREATE);
        let Some((pa, value)) = self.host_change.filter(|_| reads_host) else {
            return self.judge(call);
        };
        let now = self.judge(call);
        let before = self.memory.read(pa);
        self.memory.write(pa, Some(value));
        let later = self.judge(call);
        self.memory.write(pa, before);
        // Of a copied page it is unknown then what it holds.
        let copy = (decode(call[0]) == fid::DATA_CREATE).then(|| call[2] + (pa & 0xff8));
        now.or(later, move |model| {
            if let Some(word) = copy {
                model.memory.write(word, None);
            }
        })
    }

    /// What the specification says of a call that is not REC_ENTER.
    fn judge(&mut self, call: &Call) -> Verdict {
        let &[x0, x1, x2, x3, x4, x5, ..] = call;
        match decode(x0) {
            fid::VERSION => version(x1),
            fid::FEATURES => features(&self.platform, x1),
            fid::GRANULE_DELEGATE => self.granule_delegate(x1),
            fid::GRANULE_UNDELEGATE => self.granule_undelegate(x1),
            fid::DATA_CREATE => self.data_create(x1, x2, x3, x4, x5),
            fid::DATA_CREATE_UNKNOWN => self.data_create_unknown(x1, x2, x3),
            fid::DATA_DESTROY => self.data_destroy(x1, x2),
            fid::REALM_ACTIVATE => self.realm_activate(x1),
            fid::REALM_CREATE => self.realm_create(x1, x2),
            fid::REALM_DESTROY => self.realm_destroy(x1),
            fid::REC_CREATE => self.rec_create(x1, x2, x3),
            fid::REC_DESTROY => self.rec_destroy(x1),
            fid::REC_AUX_COUNT => self.rec_aux_count(x1),
            fid::RTT_CREATE => self.rtt_create(x1, x2, x3, x4),
            fid::RTT_DESTROY => self.rtt_destroy(x1, x2, x3),
            fid::RTT_FOLD => self.rtt_fold(x1, x2, x3),
            fid::RTT_MAP_UNPROTECTED => self.rtt_map_unprotected(x1, x2, x3, x4),
            fid::RTT_UNMAP_UNPROTECTED => self.rtt_unmap_unprotected(x1, x2, x3),
            fid::RTT_READ_ENTRY => self.rtt_read_entry(x1, x2, x3),
            fid::RTT_INIT_RIPAS => self.rtt_init_ripas(x1, x2, x3),
            fid::RTT_SET_RIPAS => self.rtt_set_ripas(x1, x2, x3, x4),
            fid::PSCI_COMPLETE => self.psci_complete(x1, x2, x3),
            _ => Verdict::fails(verdict::NOT_SUPPORTED, [0; 4]),
        }
    }
}

/// The function identifier in W0, without the SVE hint of SMCCC 1.3.
fn decode(x0: u64) -> u64 {
    x0 & 0xffff_ffff & !(1 << 16)
}

/// RMI_VERSION, of a monitor that supports 1.0 alone.
fn version(requested: u64) -> Verdict {
    const VERSION_1_0: u64 = 0x1_0000;
    let outputs = [VERSION_1_0, VERSION_1_0, 0, 0];
    if requested == VERSION_1_0 {
        Verdict::succeeds(outputs, |_| {})
    } else {
        Verdict::fails(verdict::INPUT, outputs)
    }
}

/// RMI_FEATURES.
fn features(platform: &Platform, index: u64) -> Verdict {
    let value = match index {
        0 => platform.feature_register_0,
        extension::FEATURES_INDEX => extension::FEATURES,
        _ => 0,
    };
    Verdict::succeeds([value, 0, 0, 0], |_| {})
}

/// Signed level of a register.
fn level_of(register: u64) -> i64 {
    register.cast_signed()
}

/// The failure conditions of a command that have been found to hold.
fn conditions() -> Conditions {
    Conditions::default()
}
