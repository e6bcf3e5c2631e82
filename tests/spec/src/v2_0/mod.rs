//! RMI 2.0-bet3 as a program: given the state of the machine and a call, which answers are allowed,
//! and what the state is afterwards.
//!
//! Owns: the RMM's life ([`Model`]), granules, Realms, RECs, tables and unfinished operations as
//! the Host can observe them; for each command its failure conditions, their stated order, its
//! outputs and effects.
//!
//! Does not own, and does not know: the monitor; RMI 1.0; devices, planes, MEC; what a Realm does
//! between entry and exit (it is taken from the exit).
//!
//! The text leaves much freedom: how far a command on a range goes, which of two conditions without
//! an order decides. So the model is a judge: it is shown what was answered ([`Model::judge`]),
//! says whether that is one of the answers that are allowed, and follows it. What the text leaves
//! open stands in [`choices`], in one place.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`choices`] | decisions about open questions |
//! | [`fid`], [`words`] | numbers of the interface |
//! | [`platform`] | what the machine is, feature registers, tracking |
//! | [`version`] | negotiation and latch |
//! | [`verdict`] | failure conditions, their order, comparison with an answer |
//! | [`parrot`] | a machine that answers whatever the model allows |
//! | `life`, `granule`, `operation`, `realm`, `rec`, `psci`, `enter`, `rtt` | the commands |
//!
//! Source: our notes on RMI 2.0 (bet3); "section" means theirs. Where they name no source, a rule
//! is inferred.

pub mod choices;
mod enter;
pub mod fid;
mod granule;
mod life;
mod operation;
pub mod parrot;
pub mod platform;
mod psci;
mod realm;
mod rec;
mod rtt;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod version;
pub mod words;

use std::collections::BTreeMap;

pub use crate::state::granule::State;
pub use crate::state::rtt::{Entry, Ripas, Table, entry_size};
pub use operation::{Operation, Phase, Work};
pub use platform::Platform;
pub use realm::{Realm, RealmState};
pub use rec::{Rec, RipasRequest};
pub use verdict::Divergence;
pub use version::Latch;

use fid::{Known, When};
use granule::Refusal;
use platform::GRANULE;
use verdict::{Conditions, Names, ONLY_INPUT, Outcome, Outputs, Verdict};
use version::Route;
use words::{GLOBAL, INPUT, NOTSUP, UNKNOWN};

/// X0 to X7 of a call.
pub type Call = [u64; 8];
/// X0 to X7 of an answer.
pub type Answer = [u64; 8];
/// A page.
pub type Page = [u64; 512];

/// What the Host sees of its memory and of the registers that it shares with its Realms.
pub trait HostView {
    /// The page at `pa` when the command was called. Asked only for pages that are the Host's,
    /// and then there must be one.
    fn before(&self, pa: u64) -> Option<Box<Page>>;

    /// The page at `pa` when the command had answered.
    fn after(&self, pa: u64) -> Option<Box<Page>>;

    /// The list registers of the GIC when REC_ENTER was called.
    fn list_registers(&self) -> Vec<u64> {
        Vec::new()
    }
}

/// The machine as the specification sees it.
#[derive(Clone, Debug)]
pub struct Model {
    /// What does not change.
    pub platform: Platform,
    /// Version of the interface that the Host speaks.
    latch: Latch,
    /// RMM state ACTIVE; else INIT.
    is_active: bool,
    /// Codes of the tracking region size and of the granule size.
    config: [u64; 2],
    /// Granules that are not UNDELEGATED.
    granules: BTreeMap<u64, State>,
    /// Realms by the address of their descriptor.
    realms: BTreeMap<u64, Realm>,
    /// RECs by their address, with those that are being destroyed.
    recs: BTreeMap<u64, Rec>,
    /// Operations that are not finished, by their handle.
    operations: BTreeMap<u64, Operation>,
    /// Granules that REC_CREATE asks for, once it is known.
    rec_granules: Option<u64>,
    /// What EL3 does with its next call.
    refusal: Refusal,
    /// A page of the Host's that cannot be accessed.
    lost_page: Option<u64>,
}

impl Model {
    /// A machine after boot: all memory is the Host's, and the RMM is in state INIT.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            latch: Latch::None,
            is_active: false,
            config: [0; 2],
            granules: BTreeMap::new(),
            realms: BTreeMap::new(),
            recs: BTreeMap::new(),
            operations: BTreeMap::new(),
            rec_granules: None,
            refusal: Refusal::Never,
            lost_page: None,
        }
    }

    /// Version of the interface that the Host speaks.
    pub fn latch(&self) -> Latch {
        self.latch
    }

    /// Whether the RMM is in state ACTIVE.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// Granules that are not UNDELEGATED.
    pub fn granules(&self) -> &BTreeMap<u64, State> {
        &self.granules
    }

    /// Realms by the address of their descriptor.
    pub fn realms(&self) -> &BTreeMap<u64, Realm> {
        &self.realms
    }

    /// RECs by their address.
    pub fn recs(&self) -> &BTreeMap<u64, Rec> {
        &self.recs
    }

    /// Operations that are not finished, by their handle.
    pub fn operations(&self) -> &BTreeMap<u64, Operation> {
        &self.operations
    }

    /// EL3 refuses its next call about a granule; the command then fails with `code` unless it got
    /// something done.
    pub fn refuse_el3(&mut self, code: u64) {
        self.refusal = Refusal::Next(code);
    }

    /// EL3 refuses one of its next calls about a granule, nobody knows which.
    pub fn refuse_el3_once(&mut self, code: u64) {
        self.refusal = Refusal::Once(code);
    }

    /// EL3 refuses nothing any more.
    pub fn calm_el3(&mut self) {
        self.refusal = Refusal::Never;
    }

    /// The page of the Host's at `pa` has turned out to be another world's while a command accessed
    /// it, until it is found again.
    pub fn lose_page(&mut self, pa: u64) {
        self.lost_page = Some(pa);
    }

    /// The Host has all its pages.
    pub fn find_page(&mut self) {
        self.lost_page = None;
    }

    /// A REC is on a CPU, or not any more: for calls while its Realm runs.
    pub fn set_running(&mut self, rec: u64, is_running: bool) {
        if let Some(rec) = self.recs.get_mut(&rec) {
            rec.is_running = is_running;
        }
    }

    /// State of the granule at `pa`.
    pub fn state(&self, pa: u64) -> State {
        self.granules.get(&pa).copied().unwrap_or(State::Undelegated)
    }

    fn set_state(&mut self, pa: u64, state: State) {
        if state == State::Undelegated {
            self.granules.remove(&pa);
        } else {
            self.granules.insert(pa, state);
        }
    }

    /// Whether `pa` is in a granule of memory that the Host can access.
    pub fn is_host_memory(&self, pa: u64) -> bool {
        let granule = pa & !(GRANULE - 1);
        self.platform.is_delegable(granule)
            && self.state(granule) == State::Undelegated
            && self.platform.is_host(granule)
            && self.lost_page != Some(granule)
    }

    /// Compares the answer to a call with the specification, and follows it. Returns the condition
    /// that explains a failure, or an empty name.
    ///
    /// # Errors
    ///
    /// The answer is not one that the specification allows; nothing is followed.
    ///
    /// # Panics
    ///
    /// If the view does not have a page of the Host's.
    pub fn judge(
        &mut self,
        call: &Call,
        host: &dyn HostView,
        answer: &Answer,
    ) -> Result<&'static str, Divergence> {
        let (verdict, latch) = self.verdict(call, host);
        let before = core::mem::replace(&mut self.latch, latch);
        // What a command of 1.0 answers is not this model's matter.
        let Some(verdict) = verdict else { return Ok("another version") };
        // An unfinished operation is no failure.
        let failed = !matches!(answer[0] & 0xff, words::SUCCESS | words::INCOMPLETE);
        let four_outputs = fid::decode(call[0]) == fid::RTT_READ_ENTRY;
        let result = frame(call, answer, four_outputs)
            .and_then(|()| verdict.settle(self, call, answer, host, four_outputs));
        if result.is_err() || failed && !choices::FAILURE_HARDENS {
            self.latch = before;
        }
        result
    }

    /// What may come of a call, unless it is one of another version; and the latch after it.
    fn verdict(&self, call: &Call, host: &dyn HostView) -> (Option<Verdict>, Latch) {
        let command = fid::decode(call[0]);
        if command == fid::VERSION {
            return (Some(self.version(call[1])), self.latch);
        }
        let (route, latch) = self.latch.route(&self.platform.versions, command);
        let verdict = match route {
            Route::Elsewhere => None,
            Route::Nowhere => Some(Verdict::fails("unknown", &[UNKNOWN])),
            Route::Here => Some(self.dispatch(command, call, host)),
        };
        (verdict, latch)
    }

    /// Section 2.1, order of dispatch: RMM state, feature, command.
    fn dispatch(&self, command: u64, call: &Call, host: &dyn HostView) -> Verdict {
        let when = match fid::known(command) {
            Known::Only2(when) | Known::Both(when) => when,
            // A.1; a small RMM may not know the whole family.
            Known::Optional if self.is_active => {
                return Verdict::fails("feature", &[NOTSUP, UNKNOWN]);
            }
            Known::Optional => return Verdict::fails("feature", &[GLOBAL, NOTSUP, UNKNOWN]),
            Known::Only1 | Known::Unknown => return Verdict::fails("unknown", &[UNKNOWN]),
        };
        let exists = match when {
            When::Active => self.is_active,
            When::Init => !self.is_active,
            When::Always => true,
        };
        if !exists {
            return Verdict::fails("rmm_state", &[GLOBAL]);
        }
        self.command(command, call, host)
    }

    fn command(&self, command: u64, call: &Call, host: &dyn HostView) -> Verdict {
        let &[_, x1, x2, x3, x4, x5, ..] = call;
        match command {
            fid::FEATURES => {
                Verdict::succeeds([self.platform.feature_register(x1), 0, 0, 0], |_| {})
            }
            fid::CONFIG_SET => self.config_set(x1, host),
            fid::CONFIG_GET => self.config_get(x1),
            fid::ACTIVATE => Verdict::succeeds([0; 4], |model| model.is_active = true),
            fid::DEACTIVATE => self.deactivate(),
            fid::STATE_GET => self.state_get(),
            fid::TRACKING_GET => self.tracking_get(x1, x2),
            fid::TRACKING_SET => self.tracking_set(x1, x2, x3),
            fid::GPT_INFO => self.gpt_info(x1, x2),
            fid::GPT_L1_CREATE | fid::GPT_L1_DESTROY => self.gpt_l1(x1),
            fid::RANGE_DELEGATE => self.range(x1, x2, State::Delegated),
            fid::RANGE_UNDELEGATE => self.range(x1, x2, State::Undelegated),
            fid::OP_CONTINUE => self.op_continue(x1),
            fid::OP_MEM_DONATE => self.op_donate(x1, x2, x3, host),
            fid::OP_MEM_RECLAIM => self.op_reclaim(x1, x2, x3),
            fid::OP_CANCEL => self.op_cancel(x1),
            fid::REALM_CREATE => self.realm_create(x1, x2, host),
            fid::REALM_ACTIVATE => self.realm_activate(x1),
            fid::REALM_TERMINATE => self.realm_terminate(x1),
            fid::REALM_DESTROY => self.realm_destroy(x1),
            fid::REC_CREATE => self.rec_create(x1, x2, x3, host),
            fid::REC_DESTROY => self.rec_destroy(x1),
            fid::REC_ENTER => self.rec_enter(x1, x2, host),
            fid::PSCI_COMPLETE => self.psci_complete(x1, x2),
            fid::RTT_CREATE => self.rtt_create(x1, x2, x3, x4),
            fid::RTT_DESTROY => self.rtt_destroy(x1, x2, x3),
            fid::RTT_FOLD => self.rtt_fold(x1, x2, x3),
            fid::RTT_READ_ENTRY => self.rtt_read_entry(x1, x2, x3),
            fid::RTT_INIT_RIPAS => self.rtt_init_ripas(x1, x2, x3),
            fid::RTT_SET_RIPAS => self.rtt_set_ripas(x1, x2, x3, x4),
            fid::DATA_MAP_INIT => self.data_map_init([x1, x2, x3, x4, x5], host),
            fid::DATA_MAP => self.map(rtt::Half::Protected, [x1, x2, x3, x4, x5], host),
            fid::DATA_UNMAP => self.unmap(rtt::Half::Protected, [x1, x2, x3, x4, x5]),
            fid::UNPROT_MAP => self.map(rtt::Half::Unprotected, [x1, x2, x3, x4, x5], host),
            fid::UNPROT_UNMAP => self.unmap(rtt::Half::Unprotected, [x1, x2, x3, x4, x5]),
            _ => Verdict::fails("unknown", &[UNKNOWN]),
        }
    }

    /// RMI_VERSION (3.1). In HARD(1.0) without a granule that is delegated the latch may open again
    /// (3.2).
    fn version(&self, requested: u64) -> Verdict {
        let answers = |latch: Latch| {
            let offered = latch.offered(&self.platform.versions);
            let [status, lower, higher] = version::negotiate(&offered, requested);
            Outcome::of("", status).outputs(Outputs::Are([lower, higher, 0, 0])).effect(
                move |model, answer, _| {
                    if answer[0] == 0 {
                        model.latch = latch.agreed(requested);
                    }
                    Ok(())
                },
            )
        };
        let verdict = Verdict(vec![answers(self.latch)]);
        match self.latch {
            Latch::Hard(version::V1_0) => verdict.or(answers(Latch::None)),
            Latch::Hard(_) | Latch::None | Latch::Soft(_) => verdict,
        }
    }

    /// The checks on a granule argument (0.2, `G`); whether it passes. An unfinished operation may
    /// own the granule (0.3, 1).
    fn check_granule(&self, c: &mut Conditions, names: Names, pa: u64, wanted: State) -> bool {
        self.check_granule_or(c, names, pa, wanted, choices::OWNED)
    }

    /// As [`Model::check_granule`], with codes of its own for an object in intermediate state.
    fn check_granule_or(
        &self,
        c: &mut Conditions,
        [align, bound, state]: Names,
        pa: u64,
        wanted: State,
        owned: &[u64],
    ) -> bool {
        let aligned = pa.is_multiple_of(GRANULE);
        let tracked = self.platform.is_delegable(pa);
        let now = self.state(pa);
        c.fails(align, !aligned, INPUT);
        c.fails(bound, !tracked, INPUT);
        let codes = match now {
            State::Intermediate => owned,
            State::Internal if self.is_donated(pa) => choices::OWNED_DONATION,
            _ => ONLY_INPUT,
        };
        c.fails_by(state, now != wanted, codes);
        aligned && tracked && now == wanted
    }

    /// The checks on a page of the Host's (0.2, `N`); the page as it was.
    fn read_host(
        &self,
        c: &mut Conditions,
        [align, bound, pas]: Names,
        pa: u64,
        host: &dyn HostView,
    ) -> Option<Box<Page>> {
        let aligned = pa.is_multiple_of(GRANULE);
        let tracked = self.platform.is_delegable(pa);
        let accessible = self.is_host_memory(pa);
        c.fails(align, !aligned, INPUT);
        c.fails(bound, !tracked, INPUT);
        c.fails(pas, !accessible, INPUT);
        if !aligned || !accessible {
            return None;
        }
        let page = host.before(pa);
        assert!(page.is_some(), "the view of the Host has no page at {pa:#x}, which is the Host's");
        page
    }
}

/// Sections 0.3 (4) and 2.1: X4 to X7 come back as they were, unless a command defines them; the
/// other outputs are zero, which each outcome says.
fn frame(call: &Call, answer: &Answer, four_outputs: bool) -> Result<(), Divergence> {
    let first = if four_outputs { 5 } else { 4 };
    let changed = (first..8).find(|&register| answer[register] != call[register]);
    match changed {
        Some(register) => Err(Divergence(format!("{call:x?} changed X{register}: {answer:x?}"))),
        None => Ok(()),
    }
}

/// The words of a list from `list` on to the end of its granule, at most `count` (6.4): their
/// addresses.
fn list_words(list: u64, count: u64) -> impl Iterator<Item = u64> {
    let room = (GRANULE - list % GRANULE) / 8;
    (0..count.min(room)).map(move |number| list + number * 8)
}

/// The word at `pa` of the page that holds it.
fn word_of(page: &Page, pa: u64) -> u64 {
    page[(pa % GRANULE / 8) as usize]
}

/// A granule-aligned range that is not empty (5.2, 5.3, 10.3).
fn check_range(c: &mut Conditions, base: u64, top: u64) {
    c.fails("base_align", !base.is_multiple_of(GRANULE), INPUT);
    c.fails("top_align", !top.is_multiple_of(GRANULE), INPUT);
    c.fails("size_valid", top <= base, INPUT);
}

/// The addresses of the granules of a range.
fn granules_of(base: u64, top: u64) -> impl Iterator<Item = u64> {
    (base..top).step_by(GRANULE as usize)
}
