//! What the CPUs of a race have got lately: what is worth the next command.

use super::Dice;
use crate::granules::PAGE_SIZE;
use core::sync::atomic::{AtomicU64, Ordering};

const PLACES: usize = 4;

/// A few granules that all CPUs know. They may be something else again by now: that is the race.
#[derive(Debug, Default)]
pub(super) struct Lately([AtomicU64; PLACES]);

impl Lately {
    /// Remembers a granule, and forgets another one.
    pub(super) fn note(&self, granule: u64) {
        let place = usize::try_from(granule / PAGE_SIZE).unwrap_or(0) % PLACES;
        if let Some(place) = self.0.get(place) {
            place.store(granule, Ordering::Relaxed);
        }
    }

    /// One of those, or as often `any`.
    pub(super) fn or(&self, dice: &mut Dice, any: u64) -> u64 {
        match dice.pick(&self.0).map_or(0, |place| place.load(Ordering::Relaxed)) {
            0 => any,
            granule if dice.roll(2) == 0 => granule,
            _ => any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_as_likely_as_the_rest() {
        let (lately, mut dice) = (Lately::default(), Dice::new(1, 0));
        assert!((0..100).all(|_| lately.or(&mut dice, 7) == 7));
        (0..PLACES as u64).for_each(|n| lately.note(n * PAGE_SIZE + 0x10_0000));
        let noted = (0..1000).filter(|_| lately.or(&mut dice, 7) != 7).count();
        assert!((400..600).contains(&noted), "{noted}");
    }
}
