//! Commands on a Realm's translation tables and on what they map.
//!
//! Source: chapter 10 of our notes on RMI 2.0. The tables themselves are in [`crate::state::rtt`].

mod init;
mod map;
mod ripas;
mod source;
mod table;
mod unmap;

use super::platform::GRANULE;
use super::verdict::{Conditions, Order, RD, ensure};
use super::words::INPUT;
use super::{Model, Realm, State};

/// Which half of a Realm's addresses a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// DATA_MAP, DATA_UNMAP.
    Protected,
    /// UNPROT_MAP, UNPROT_UNMAP.
    Unprotected,
}

/// Section 10.3: what comes before the conditions on entries.
pub(crate) const ORDER: Order = &[(
    &["rd_align", "rd_bound", "rd_state", "ipa_bound"],
    &["entry_align", "entry_size", "entry_state", "entry_pa", "data_state"],
)];

/// What becomes of a command on a range at one entry.
pub(crate) enum Step {
    /// It goes on at this address.
    To(u64),
    /// It stops: the condition, and the codes if nothing has been done yet.
    Stops(&'static str, Vec<u64>),
    /// It stops with this code, or goes on at this address: the text is open.
    Either(&'static str, u64, u64),
}

/// Takes one step from an address, on a copy of the model.
pub(crate) type Stepper<'s> = &'s mut dyn FnMut(&mut Model, u64) -> Step;

impl Model {
    /// The Realm of a mapping command, if its descriptor and the range are good enough for a walk
    /// from `base` (10.3).
    fn check_mapping(
        &self,
        c: &mut Conditions,
        half: Half,
        rd: u64,
        base: u64,
        top: u64,
    ) -> Option<&Realm> {
        super::check_range(c, base, top);
        if !self.check_granule(c, RD, rd, State::Rd) {
            return None;
        }
        let realm = &self.realms[&rd];
        let last = top.wrapping_sub(GRANULE);
        // Both ends (B-8).
        let bound = [base, last].into_iter().all(|ipa| match half {
            Half::Protected => realm.is_protected(ipa),
            Half::Unprotected => realm.contains(ipa) && !realm.is_protected(ipa),
        });
        c.fails("ipa_bound", !bound, INPUT);
        let walks = bound && top > base && base.is_multiple_of(GRANULE);
        walks.then_some(realm)
    }

    /// Conditions of the first step of a command on a range.
    fn check_first(&self, c: &mut Conditions, base: u64, step: Stepper<'_>) {
        match step(&mut self.clone(), base) {
            Step::To(_) => {}
            Step::Stops(condition, codes) => c.fails_by(condition, true, &codes),
            Step::Either(condition, code, _) => c.may_fail(condition, true, code),
        }
    }

    /// Follows a command on a range that says that it came to `out_top`: `base < out_top <= top`,
    /// at the end of an entry.
    fn step_to(&mut self, [base, top, out_top]: [u64; 3], step: Stepper<'_>) -> Result<(), String> {
        ensure(out_top > base, "out_top is above base")?;
        ensure(out_top <= top, "out_top is not above top")?;
        let mut next = self.clone();
        let mut at = base;
        while at < out_top {
            at = match step(&mut next, at) {
                Step::To(to) | Step::Either(_, _, to) => to,
                Step::Stops(condition, _) => return Err(format!("{at:#x} stops it: {condition}")),
            };
        }
        ensure(at == out_top, "out_top is at the end of an entry")?;
        *self = next;
        Ok(())
    }
}
