//! RECs: creation with donated memory, destruction that gives it back.
//!
//! Source: sections 6.8, 9.1 and 9.2 of our notes on RMI 2.0. Our own choices: REC_CREATE asks for
//! granules that are DELEGATED, not contiguous, always as many; it is judged at the first call and
//! again at the end.

use super::operation::{Operation, Phase, Work, donate_word};
use super::verdict::{Conditions, Names, Order, Outcome, Outputs, PARAMS, RD, RECS, ensure};
use super::words::{DonateRequest, INPUT, REALM, REC, RECLAIM};
use super::{HostView, Model, Page, RealmState, Ripas, State, Verdict, choices};
use crate::state::measurement;

/// A RIPAS change that a Realm has asked for.
#[derive(Clone, Copy, Debug)]
pub struct RipasRequest {
    /// How far it is.
    pub addr: u64,
    /// Where it ends.
    pub top: u64,
    /// What is wanted.
    pub value: Ripas,
    /// Whether DESTROYED may change too, if that is known: the exit does not say it.
    pub changes_destroyed: Option<bool>,
}

/// A REC.
#[derive(Clone, Debug)]
pub struct Rec {
    /// Its Realm.
    pub owner: u64,
    /// Its affinity, as `RmiRecMpidr`.
    pub mpidr: u64,
    /// On a CPU now.
    pub is_running: bool,
    /// May be entered.
    pub is_runnable: bool,
    /// The affinity that CPU_ON named and PSCI_COMPLETE has to answer.
    pub cpu_on: Option<u64>,
    /// The RIPAS change it asked for.
    pub ripas: Option<RipasRequest>,
    /// The Host can emulate the access of the last exit.
    pub can_emulate: bool,
    /// The last exit was a data abort at an unprotected address.
    pub can_inject: bool,
    /// The granules it was given.
    pub granules: Vec<u64>,
}

/// Bits of `RmiRecMpidr` (9.1).
pub(crate) const MPIDR: u64 = 0xffff_ff0f;

const ORDER: Order = &[(&["rd_bound", "rd_state"], &["realm_state", "num_recs"])];

const REC_NEW: Names = ["rec_align", "rec_bound", "rec_gran_state"];

impl Model {
    /// The conditions on the Realm, at the first call and at the end.
    fn check_realm(&self, c: &mut Conditions, rd: u64, mpidr: u64) {
        let realm = &self.realms[&rd];
        c.fails("realm_state", realm.state != RealmState::New, REALM);
        c.fails("num_recs", self.recs_of(rd) >= self.platform.recs_max(), REALM);
        let mut used = self.recs.values().filter(|rec| rec.owner == rd);
        c.fails("mpidr", used.any(|rec| rec.mpidr == mpidr & MPIDR), INPUT);
    }

    /// RECs that are being made for a Realm, by their affinity.
    fn making(&self, rd: u64) -> Vec<u64> {
        let operations = self.operations.values();
        let mpidr = |operation: &Operation| match &operation.work {
            Work::RecCreate(owner, params) if *owner == rd => Some(params[0x100 / 8] & MPIDR),
            Work::RecCreate(..) | Work::RecDestroy => None,
        };
        operations.filter_map(mpidr).collect()
    }

    /// Section 9.2: full check at the first call, without a handle if it fails (6.8).
    pub(crate) fn rec_create(
        &self,
        rd: u64,
        rec: u64,
        params_ptr: u64,
        host: &dyn HostView,
    ) -> Verdict {
        let mut c = Conditions::new();
        self.check_granule(&mut c, REC_NEW, rec, State::Delegated);
        let has_rd = self.check_granule(&mut c, RD, rd, State::Rd);
        let page = self.read_host(&mut c, PARAMS, params_ptr, host);
        let mpidr = page.as_ref().map_or(0, |page| page[0x100 / 8]);
        if has_rd && page.is_some() {
            self.check_realm(&mut c, rd, mpidr);
            let making = self.making(rd);
            // Reserved bits should be zero; TF-RMM refuses them.
            c.may_fail("mpidr", mpidr & !MPIDR != 0, INPUT);
            // Whether a REC that is being made counts already is open.
            c.may_fail("mpidr", making.contains(&(mpidr & MPIDR)), INPUT);
            let all = self.recs_of(rd) + making.len() as u64;
            c.may_fail("num_recs", all >= self.platform.recs_max(), REALM);
        } else if has_rd {
            let new = self.realms[&rd].state == RealmState::New;
            c.fails("realm_state", !new, REALM);
            c.fails("num_recs", self.recs_of(rd) >= self.platform.recs_max(), REALM);
        }
        let Some(page) = page else { return c.failure(ORDER) };
        self.check_slot(&mut c);
        c.or_else(ORDER, move || {
            let outcome = Outcome::of("", donate_word()).outputs(Outputs::Checked);
            Verdict(vec![outcome.effect(move |model, answer, _| {
                ensure(answer[3] == 0, "X3 is 0")?;
                let request = DonateRequest::decode(answer[2]).ok_or("X2 is no request")?;
                let count = request.count;
                ensure(request == DonateRequest::granules(count), "X2 asks for single granules")?;
                ensure(count > 0 || !choices::REC_CREATE_DONATES, "X2 asks for something")?;
                let known = *model.rec_granules.get_or_insert(count);
                ensure(count == known, &format!("X2 asks for {known} granules as always"))?;
                let operation = Operation {
                    work: Work::RecCreate(rd, page),
                    rec,
                    phase: Phase::Donate(count),
                    can_cancel: true,
                    granules: Vec::new(),
                    failure: Vec::new(),
                    donate_failed: false,
                };
                model.begin(answer[1], operation)
            })])
        })
    }

    /// The last OP_CONTINUE of REC_CREATE: judged again, as the state may have changed (6.8).
    pub(crate) fn finish_create(&self, handle: u64, rd: u64, params: &Page) -> Verdict {
        let mut c = Conditions::new();
        self.check_realm(&mut c, rd, params[0x100 / 8]);
        // Each of the codes may be the one that comes out after the memory.
        let codes = c.codes();
        if !codes.is_empty() {
            return self.give_up(handle, "failed", codes);
        }
        let params = *params;
        Verdict(vec![
            Outcome::of("", 0).effect(move |model, _, _| model.end_create(handle, rd, &params)),
        ])
    }

    fn end_create(&mut self, handle: u64, rd: u64, params: &Page) -> Result<(), String> {
        let Operation { rec, granules, .. } = self.release(handle)?;
        self.set_state(rec, State::Rec);
        let is_runnable = params[0] & 1 == 1;
        if let (true, Some(realm)) = (is_runnable, self.realms.get_mut(&rd)) {
            // Section 8.7: in the order of completion.
            realm.rim = measurement::rec(realm.algorithm, &realm.rim, params);
        }
        let made = Rec {
            owner: rd,
            mpidr: params[0x100 / 8] & MPIDR,
            is_running: false,
            is_runnable,
            cpu_on: None,
            ripas: None,
            can_emulate: false,
            can_inject: false,
            granules,
        };
        self.recs.insert(rec, made);
        Ok(())
    }

    /// Section 9.2: gives back what the REC was given, then ends.
    pub(crate) fn rec_destroy(&self, rec: u64) -> Verdict {
        const ORDER: Order = &[(&RECS, &["rec_state"])];
        let mut c = Conditions::new();
        if self.check_granule(&mut c, RECS, rec, State::Rec) {
            c.fails("rec_state", self.recs[&rec].is_running, REC);
        }
        self.check_slot(&mut c);
        c.or_else(ORDER, move || {
            let outcome = Outcome::of("", RECLAIM).outputs(Outputs::Checked);
            Verdict(vec![outcome.effect(move |model, answer, _| {
                ensure(answer[2..4] == [0; 2], "X2 and X3 are 0")?;
                let gone = model.recs.get(&rec).ok_or("there is no such REC")?;
                let operation = Operation {
                    work: Work::RecDestroy,
                    rec,
                    phase: Phase::Reclaim,
                    can_cancel: false,
                    granules: gone.granules.clone(),
                    failure: Vec::new(),
                    donate_failed: false,
                };
                model.begin(answer[1], operation)
            })])
        })
    }

    pub(crate) fn end_destroy(&mut self, handle: u64) -> Result<(), String> {
        let Operation { rec, .. } = self.release(handle)?;
        self.recs.remove(&rec);
        Ok(())
    }
}
