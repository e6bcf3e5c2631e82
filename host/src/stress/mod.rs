//! What a monitor must survive: many CPUs that fight over the same objects, and Realms that come
//! and go by the thousand.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `races` | CPUs that send random commands about the same few granules |
//! | `lately` | what they have got lately |
//! | `tally` | what the commands came to, and how long a CPU had to wait for others |
//! | `lives` | Realms that are made, run and destroyed; in the right order, and in the wrong one |
//! | `refusals` | an EL3 that refuses granule changes, and a host that does what Linux does |
//! | `registers` | each register and instruction that a Realm can name, tried from two Realms in turn |
//! | `small` | a small Realm, and how it is undone |
//!
//! Each job ends with everything destroyed and every granule back in the Normal world.

mod lately;
pub mod lives;
pub mod races;
pub mod refusals;
pub mod registers;
pub mod small;
mod tally;
#[cfg(test)]
mod tests;

/// Most CPUs that take part.
pub const MAX_CPUS: usize = crate::job::MAX_CPUS;

/// A generator of numbers that look random and repeat.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator for CPU `cpu` of a run.
    #[must_use]
    pub const fn new(seed: u64, cpu: usize) -> Self {
        Self((seed ^ (cpu as u64 + 1) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `below`, which is not 0.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// One of a list that is not empty.
    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        let index = usize::try_from(self.roll(list.len().max(1) as u64)).ok()?;
        list.get(index)
    }
}

/// The program in the Realms of these jobs, and what it is told in X0 to X2.
///
/// A *worker* checks again and again that its registers and its pages hold nothing but zero and its
/// own secret, writes the secret to all of them, and waits for an interrupt. A *mender* asks that
/// all of the region be RAM. Whoever sees anything else switches the Realm off.
pub mod program {
    use super::small::BLOCK;
    use core::ops::Range;

    /// Where it is, and its only page of code.
    pub const CODE: u64 = 0;
    /// Memory that it works on: half of it in one level 3 table, half in the next.
    pub const REGION: Range<u64> = BLOCK..3 * BLOCK;
    /// Distance of the pages that a worker touches.
    pub const STRIDE: u64 = 0x4_0000;
    /// X2 of a worker.
    pub const WORKER: u64 = 0;
    /// X2 of a mender.
    pub const MENDER: u64 = 1;

    /// Added to X2 of a Realm with SVE.
    pub const SVE: u64 = 2;
    /// Added to X2 of a Realm with an event counter.
    pub const COUNTER: u64 = 4;

    /// X0 to X2 of a REC.
    #[must_use]
    pub const fn arguments(secret: u64, role: u64) -> [u64; 3] {
        [REGION.start, secret, role]
    }
}
