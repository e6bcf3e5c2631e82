//! Refusals of granule changes, as the Normal world orders them.

/// What is to be refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refuse {
    /// Requests from now until one is refused; `None` refuses none by its number.
    countdown: Option<u64>,
    /// Code of that refusal.
    code: i64,
    /// A granule that is not moved in either direction, and the code for it.
    kept: Option<(u64, i64)>,
    /// Granules that were moved.
    pub moved: u64,
    /// Requests that were refused because of an order.
    pub refused: u64,
}

impl Refuse {
    /// Nothing is refused.
    #[must_use]
    pub const fn new() -> Self {
        Self { countdown: None, code: 0, kept: None, moved: 0, refused: 0 }
    }

    /// The `nth` request from now (from 0) gets `code`; code 0 ends an earlier order.
    pub fn nth(&mut self, nth: u64, code: i64) {
        self.countdown = (code != 0).then_some(nth);
        self.code = code;
    }

    /// The next request gets `code` as well: the last one could not be told.
    pub fn again(&mut self, code: i64) {
        self.nth(0, code);
        self.refused = self.refused.saturating_sub(1);
    }

    /// Requests about the granule at `pa` get `code`; code 0 ends that.
    pub fn keep(&mut self, pa: u64, code: i64) {
        self.kept = (code != 0).then_some((pa, code));
    }

    /// Whether the request about the granule at `pa` is refused, and how.
    pub fn asked(&mut self, pa: u64) -> Option<i64> {
        let by_number = match self.countdown {
            Some(0) => {
                self.countdown = None;
                Some(self.code)
            }
            Some(left) => {
                self.countdown = Some(left - 1);
                None
            }
            None => None,
        };
        let by_address = self.kept.and_then(|(kept, code)| (kept == pa).then_some(code));
        let refusal = by_number.or(by_address);
        self.refused += u64::from(refusal.is_some());
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_request_is_refused_once() {
        let mut refuse = Refuse::new();
        refuse.nth(2, -3);
        assert_eq!([(); 4].map(|()| refuse.asked(0)), [None, None, Some(-3), None]);
        refuse.nth(0, -3);
        refuse.nth(0, 0);
        assert_eq!((refuse.asked(0), refuse.refused), (None, 1));
    }

    #[test]
    fn a_kept_granule_is_refused_until_that_ends() {
        let mut refuse = Refuse::new();
        refuse.keep(0x1000, -6);
        assert_eq!([0x1000, 0x2000, 0x1000].map(|pa| refuse.asked(pa)), [Some(-6), None, Some(-6)]);
        refuse.keep(0, 0);
        assert_eq!(refuse.asked(0x1000), None);
    }
}
