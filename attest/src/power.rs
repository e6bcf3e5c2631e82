//! Inverses in the field and among the scalars, by Fermat's little theorem, as many multiplications
//! at a time as wanted.
//!
//! The exponents are public constants, and so are the branches; the base is secret and none depends
//! on it.

use p384::elliptic_curve::zeroize::Zeroize;

use crate::field::Field;

/// Bits of a window.
const WINDOW: u32 = 4;

/// Odd powers below 2^`WINDOW`.
pub(crate) const POWERS: usize = 8;

/// The inverse of a number, window by window: secret.
pub(crate) struct Inverse<F: Field> {
    /// The number to the power of 1, 3, 5 and so on to 15.
    powers: [F; POWERS],
    /// The number to the power of the exponent's bits done.
    value: F,
    /// Bits of the exponent left.
    left: u32,
}

impl<F: Field> Inverse<F> {
    /// Starts to invert `base`. The inverse of 0 is 0.
    #[inline(never)]
    pub(crate) fn new(base: &F) -> Self {
        let mut powers = [*base; POWERS];
        let mut square = base.times(base);
        let mut power = *base;
        for next in powers.iter_mut().skip(1) {
            power = power.times(&square);
            *next = power;
        }
        power.zeroize();
        square.zeroize();
        Self { powers, value: F::ONE, left: u64::BITS * 6 }
    }

    /// Takes up an inversion where [`Inverse::parts`] left it.
    pub(crate) fn resume(powers: [F; POWERS], value: F, left: u32) -> Self {
        Self { powers, value, left }
    }

    /// What there is to remember of the inversion: secret.
    pub(crate) fn parts(&self) -> (&[F; POWERS], &F, u32) {
        (&self.powers, &self.value, self.left)
    }

    /// Goes on with at least one and at most `multiplications` + `WINDOW` multiplications. Returns
    /// the result after the last one.
    #[inline(never)]
    pub(crate) fn step(&mut self, multiplications: u32) -> Option<F> {
        let mut done = 0;
        while self.left != 0 {
            let (window, bits) = window(&F::INVERSION, self.left);
            for _ in 0..bits {
                self.value = self.value.times(&self.value);
            }
            if let Some(power) = self.powers.get(window / 2).filter(|_| window != 0) {
                self.value = self.value.times(power);
            }
            self.left -= bits;
            done += bits + 1;
            if done >= multiplications {
                break;
            }
        }
        (self.left == 0).then_some(self.value)
    }
}

/// The next window of an exponent of which `left` bits are left: its value, odd or 0, and its
/// length in bits.
fn window(exponent: &[u64; 6], left: u32) -> (usize, u32) {
    let bit = |index: u32| {
        let word = exponent.get((index / u64::BITS) as usize).copied().unwrap_or(0);
        (word >> (index % u64::BITS)) & 1 != 0
    };
    let (mut value, mut odd) = (0, (0, 0));
    for length in 1..=WINDOW.min(left) {
        let set = bit(left - length);
        value = value << 1 | usize::from(set);
        if set {
            odd = (value, length);
        }
        if value == 0 {
            return (0, 1);
        }
    }
    odd
}

impl<F: Field> Drop for Inverse<F> {
    fn drop(&mut self) {
        self.powers.zeroize();
        self.value.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Coordinate;
    use p384::{FieldElement, Scalar};

    fn invert<F: Field>(base: F) -> F {
        let mut inverse = Inverse::new(&base);
        loop {
            if let Some(value) = inverse.step(9) {
                return value;
            }
            let (powers, value, left) = inverse.parts();
            inverse = Inverse::resume(*powers, *value, left);
        }
    }

    #[test]
    fn inverses_are_those_of_the_curve_library() {
        let mut walk = (FieldElement::from_u64(7), Scalar::from_u64(7));
        for _ in 0..20 {
            walk = (walk.0.square().double(), walk.1.square().double());
            assert_eq!(invert(Coordinate(walk.0)), Coordinate(walk.0.invert().unwrap()));
            assert_eq!(invert(walk.1), walk.1.invert().unwrap());
        }
        assert_eq!(invert(Scalar::ONE), Scalar::ONE);
        assert_eq!(invert(Coordinate::ZERO), Coordinate::ZERO);
    }
}
