//! `RmiRecExit` as it should be: every word that is not listed is zero.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A4.3.

/// What a word should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Exactly this.
    Is(u64),
    /// One of two.
    Either(u64, u64),
    /// Not defined.
    Any,
}

impl Want {
    pub(crate) fn known(value: Option<u64>) -> Self {
        value.map_or(Self::Any, Self::Is)
    }

    fn fits(self, word: u64) -> bool {
        match self {
            Self::Is(value) => word == value,
            Self::Either(one, other) => word == one || word == other,
            Self::Any => true,
        }
    }
}

/// An exit: what is not zero, by offset.
#[derive(Debug)]
pub(crate) struct Exit(Vec<(usize, Want)>);

const SYNC: u64 = 0;
const IRQ: u64 = 1;
const FIQ: u64 = 2;
pub(crate) const PSCI: u64 = 3;
pub(crate) const RIPAS_CHANGE: u64 = 4;
pub(crate) const HOST_CALL: u64 = 5;

impl Exit {
    pub(crate) fn of(reason: u64) -> Self {
        Self(vec![(0, Want::Is(reason))])
    }

    pub(crate) fn interrupt(fast: bool) -> Self {
        Self::of(if fast { FIQ } else { IRQ })
    }

    pub(crate) fn sync(esr: u64, far: u64, hpfar: u64) -> Self {
        Self::of(SYNC)
            .with(0x100, Want::Is(esr))
            .with(0x108, Want::Is(far))
            .with(0x110, Want::Is(hpfar))
    }

    pub(crate) fn with(mut self, offset: usize, want: Want) -> Self {
        self.set(offset, want);
        self
    }

    pub(crate) fn set(&mut self, offset: usize, want: Want) {
        self.0.push((offset / 8, want));
    }

    pub(crate) fn with_gpr(self, number: usize, want: Want) -> Self {
        self.with(0x200 + number * 8, want)
    }

    /// Compares with the second half of a run page.
    pub(crate) fn compare(&self, page: &[u64; 256]) -> Result<(), String> {
        for (number, &word) in page.iter().enumerate() {
            let listed = self.0.iter().rev().find(|(at, _)| *at == number);
            let want = listed.map_or(Want::Is(0), |(_, want)| *want);
            if !want.fits(word) {
                return Err(format!(
                    "{word:#x} at {:#x}; the specification: {want:x?}",
                    number * 8
                ));
            }
        }
        Ok(())
    }
}
