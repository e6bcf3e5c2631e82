//! Where decisions come from.

/// A source of decisions.
pub trait Choices {
    /// Any number.
    fn word(&mut self) -> u64;

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit
    }

    /// Whether something happens that happens once in `number` times.
    fn once_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    /// One of a list; `None` if it is empty.
    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T>
    where
        Self: Sized,
    {
        if list.is_empty() {
            return None;
        }
        let number = self.below(list.len() as u64);
        usize::try_from(number).ok().and_then(|number| list.get(number)).cloned()
    }
}

/// Numbers that look random and repeat with the seed (SplitMix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Choices for Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// The bytes of a fuzzer, from the first to the last; then zeros.
#[derive(Debug)]
pub struct Bytes<'b>(pub &'b [u8]);

impl Bytes<'_> {
    /// Whether all have been used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u64 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                u64::from(byte)
            }
            None => 0,
        }
    }
}

impl Choices for Bytes<'_> {
    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | self.byte())
    }

    fn below(&mut self, limit: u64) -> u64 {
        // A byte for a small choice, so that a change of one byte changes one decision.
        if limit <= 256 { self.byte() % limit } else { (self.byte() << 8 | self.byte()) % limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_used_one_by_one_and_end_in_zeros() {
        let mut bytes = Bytes(&[7, 1, 2, 3]);
        assert_eq!(bytes.below(5), 2);
        assert_eq!(bytes.below(1000), 258);
        assert!(!bytes.once_in(2));
        assert!(bytes.is_empty());
        assert_eq!((bytes.word(), bytes.pick(&[4, 5])), (0, Some(4)));
    }
}
