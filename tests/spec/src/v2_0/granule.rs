//! Granules: delegation of ranges, tracking, granule protection table.
//!
//! Source: chapter 5 of our notes on RMI 2.0.

use super::platform::{FINE, GRANULE, HOLE, REGION, RESERVED};
use super::verdict::{Conditions, Outcome, Outputs, ensure};
use super::words::{INPUT, NOTSUP, TRACKING};
use super::{Model, State, Verdict, check_range, choices, granules_of};

/// What EL3 does with its next call about a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What it is asked for.
    Never,
    /// It refuses, which a command without progress answers with this code.
    Next(u64),
    /// It may have refused already, without anybody seeing it.
    Perhaps(u64),
    /// It refuses one of its next calls, nobody knows which.
    Once(u64),
}

/// What a granule does to a range command that comes to it.
enum Unit {
    /// It is in the wanted state.
    Done,
    /// EL3 has to be asked.
    Asks,
    /// It stops the command: the condition, and the codes if it is the first.
    Stops(&'static str, &'static [u64]),
}

impl Model {
    fn unit(&self, pa: u64, target: State) -> Unit {
        if pa >> self.platform.pa_bits != 0 {
            // Beyond all regions: nothing says which of the two.
            return Unit::Stops("region", &[TRACKING, INPUT]);
        }
        if self.platform.tracking(pa) != FINE {
            return Unit::Stops("region", &[TRACKING]);
        }
        match (self.state(pa), target) {
            (State::Delegated, State::Delegated) if choices::ALREADY_DELEGATED_IS_PROGRESS => {
                Unit::Done
            }
            (State::Undelegated, State::Undelegated) => Unit::Done,
            (State::Undelegated, State::Delegated) if !self.platform.is_host(pa) => {
                Unit::Stops("gpt", &[INPUT])
            }
            (State::Undelegated, State::Delegated) | (State::Delegated, State::Undelegated) => {
                Unit::Asks
            }
            (State::Intermediate, _) => Unit::Stops("granule_owned", choices::OWNED),
            (State::Internal, _) if self.is_donated(pa) => {
                Unit::Stops("granule_owned", choices::OWNED_DONATION)
            }
            _ => Unit::Stops("granule_state", &[INPUT]),
        }
    }

    /// GRANULE_RANGE_DELEGATE and GRANULE_RANGE_UNDELEGATE (5.2): an error only without progress.
    pub(crate) fn range(&self, base: u64, top: u64, target: State) -> Verdict {
        let mut c = Conditions::of_range(base);
        check_range(&mut c, base, top);
        if c.any() {
            return c.failure(&[]);
        }
        // What the first granule says, and whether EL3 refuses it.
        let mut refused = None;
        match self.unit(base, target) {
            Unit::Stops(condition, codes) => {
                for &code in codes {
                    c.fails_data(condition, true, code);
                }
            }
            Unit::Asks => match self.refusal {
                Refusal::Never => {}
                Refusal::Next(code) | Refusal::Perhaps(code) | Refusal::Once(code) => {
                    refused = Some(code);
                }
            },
            Unit::Done => {}
        }
        let sure = matches!(self.refusal, Refusal::Next(_));
        let refusal = refused.map(|code| {
            Outcome::of("el3_refused", code)
                .mask(choices::ERROR_DATA_MASK)
                .outputs(Outputs::NotBeyond(base))
                .effect(|model, _, _| {
                    model.refusal = Refusal::Never;
                    Ok(())
                })
        });
        if let (Some(_), true) = (&refused, sure) {
            return Verdict(refusal.into_iter().collect());
        }
        let verdict = c.or_checked(&[], move |model, answer, _| {
            ensure(answer[2..4] == [0; 2], "X2 and X3 are 0")?;
            model.progress(base, top, answer[1], target)
        });
        match refusal {
            Some(refusal) => verdict.or(refusal),
            None => verdict,
        }
    }

    /// The part `[base, out_top)` of a range changes its state.
    fn progress(&mut self, base: u64, top: u64, out_top: u64, target: State) -> Result<(), String> {
        ensure(out_top > base, "out_top is above base")?;
        ensure(out_top <= top, "out_top is not above top")?;
        ensure(out_top.is_multiple_of(GRANULE), "out_top is aligned")?;
        let mut asks = Vec::new();
        for pa in granules_of(base, out_top) {
            match self.unit(pa, target) {
                Unit::Done => {}
                Unit::Asks => asks.push(pa),
                Unit::Stops(condition, _) => return Err(format!("{pa:#x} stops it: {condition}")),
            }
        }
        match self.refusal {
            Refusal::Next(_) if !asks.is_empty() => return Err("EL3 refused".to_owned()),
            // It may have stopped because EL3 refused the next granule.
            Refusal::Next(code) if out_top < top => self.refusal = Refusal::Perhaps(code),
            Refusal::Perhaps(_) if !asks.is_empty() && out_top == top => {
                self.refusal = Refusal::Never;
            }
            Refusal::Never | Refusal::Next(_) | Refusal::Perhaps(_) | Refusal::Once(_) => {}
        }
        for pa in asks {
            self.set_state(pa, target);
        }
        Ok(())
    }

    /// GRANULE_TRACKING_GET (5.3): one pair for all of `[base, out_top)`.
    pub(crate) fn tracking_get(&self, base: u64, top: u64) -> Verdict {
        let mut c = Conditions::new();
        check_range(&mut c, base, top);
        // A top at the very end of the address space is good (B-47).
        c.fails("base_bound", base >> self.platform.pa_bits != 0, INPUT);
        c.fails("top_bound", top > 1 << self.platform.pa_bits, INPUT);
        let pair = self.platform.tracking(base);
        let end = self.platform.tracking_end(base).unwrap_or(u64::MAX).min(top);
        c.or_checked(&[], move |_, answer, _| {
            ensure((answer[1], answer[2]) == pair, &format!("X1 and X2 are {pair:?}"))?;
            ensure(
                answer[3] > base && answer[3] <= end,
                &format!("X3 is above base, up to {end:#x}"),
            )?;
            ensure(answer[3].is_multiple_of(GRANULE), "X3 is aligned")
        })
    }

    /// GRANULE_TRACKING_SET with a static table (5.3, OQ-7).
    pub(crate) fn tracking_set(&self, addr: u64, category: u64, state: u64) -> Verdict {
        const NONE: u64 = 1;
        const COARSE: u64 = 3;
        let mut c = Conditions::new();
        // NONE, FINE and COARSE can be asked for.
        c.fails("state_valid", !(NONE..=COARSE).contains(&state), INPUT);
        c.fails("category_valid", category > HOLE.0, INPUT);
        c.fails("addr_align", !addr.is_multiple_of(REGION), INPUT);
        c.fails("addr_bound", addr >> self.platform.pa_bits != 0, INPUT);
        if c.any() {
            return c.failure(&[]);
        }
        let top = addr + REGION;
        let kinds: Vec<_> = {
            // What the region holds, from edge to edge.
            let next = |&at: &u64| self.platform.tracking_end(at).filter(|&end| end < top);
            core::iter::successors(Some(addr), next).map(|at| self.platform.tracking(at)).collect()
        };
        let has_memory = kinds.contains(&FINE);
        let has_reserved = kinds.contains(&RESERVED);
        c.fails("region_hole", !has_memory && !has_reserved, INPUT);
        c.fails("region_reserved", !has_memory && has_reserved, INPUT);
        // A region with something of both kinds: nothing says which counts.
        c.may_fail("region_reserved", has_memory && has_reserved, INPUT);
        // The layout allows conventional memory alone; whether that is seen before the table is
        // static is open.
        c.may_fail("category_layout", category != FINE.0, INPUT);
        let no_change = (category, state) == FINE && choices::TRACKING_IS_STATIC;
        c.fails("static", has_memory && !no_change, NOTSUP);
        c.or_succeeds(&[], [0; 4], |_| {})
    }

    /// GPT_INFO with the static table of EL3 (5.4).
    pub(crate) fn gpt_info(&self, base: u64, top: u64) -> Verdict {
        const RESERVED_GPT: u64 = 0;
        const PLATFORM: u64 = 1;
        let size = self.platform.l0gpt_bytes();
        let mut c = Conditions::new();
        c.fails("base_align", !base.is_multiple_of(size), INPUT);
        c.fails("top_align", !top.is_multiple_of(size), INPUT);
        c.fails("size_valid", top <= base, INPUT);
        c.fails("base_bound", base >> self.platform.pa_bits != 0, INPUT);
        // The last entry ends where the address space does.
        c.fails("top_bound", top > 1 << self.platform.pa_bits, INPUT);
        c.or_checked(&[], move |model, answer, _| {
            let (out_top, state) = (answer[1], answer[2]);
            ensure(answer[3] == 0, "X3 is 0")?;
            ensure(out_top > base && out_top <= top, "X1 is above base, up to top")?;
            ensure(out_top.is_multiple_of(size), "X1 is aligned")?;
            let memory = |at: u64| model.platform.has_memory(at, at + size);
            if memory(base) {
                ensure(state == PLATFORM, "X2 is PLATFORM: there is memory")?;
                // Linux' next call would be wrong (B-41): all memory from base on in one answer.
                let mut entry = base;
                while entry < top && memory(entry) {
                    entry += size;
                }
                return ensure(out_top >= entry, "one answer covers all of the memory");
            }
            ensure(state == PLATFORM || state == RESERVED_GPT, "X2 is PLATFORM or RESERVED")?;
            let any = model.platform.has_memory(base, out_top);
            ensure(state == PLATFORM || !any, "X2 holds for all of the range")
        })
    }

    /// GPT_L1_CREATE and GPT_L1_DESTROY: all entries are EL3's (5.4).
    pub(crate) fn gpt_l1(&self, pa: u64) -> Verdict {
        let mut c = Conditions::new();
        let aligned = pa.is_multiple_of(self.platform.l0gpt_bytes());
        c.fails("pa_align", !aligned, INPUT);
        c.fails("pa_bound", pa >> self.platform.pa_bits != 0, INPUT);
        if !c.any() {
            c.fails_by("l0_state", true, choices::STATIC_GPT);
        }
        c.failure(&[])
    }
}
