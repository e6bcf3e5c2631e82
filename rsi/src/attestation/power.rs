//! Inverses in the field and among the scalars, by Fermat's little theorem, in steps of bounded length.
//!
//! The exponents are public constants, and so are the branches; the base is secret and none depends on it.

use p384::elliptic_curve::zeroize::Zeroize;
use p384::{FieldElement, Scalar};

use super::SCALAR_BYTES;

/// A prime field of 384 bits.
pub trait Field: Copy + Zeroize {
    /// 1.
    const ONE: Self;
    /// The modulus minus 2, words least significant first.
    const EXPONENT: [u64; 6];

    /// `self * other`.
    #[must_use]
    fn times(&self, other: &Self) -> Self;

    /// Big endian.
    fn to_array(&self) -> [u8; SCALAR_BYTES];

    /// The inverse of [`Field::to_array`]; `None` if the bytes are not below the modulus.
    fn from_array(bytes: &[u8; SCALAR_BYTES]) -> Option<Self>;
}

impl Field for FieldElement {
    const ONE: Self = Self::ONE;
    const EXPONENT: [u64; 6] = [
        0x0000_0000_ffff_fffd,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_fffe,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ];

    fn times(&self, other: &Self) -> Self {
        self.multiply(other)
    }

    fn to_array(&self) -> [u8; SCALAR_BYTES] {
        self.to_bytes().into()
    }

    fn from_array(bytes: &[u8; SCALAR_BYTES]) -> Option<Self> {
        Self::from_bytes(bytes.into()).into()
    }
}

impl Field for Scalar {
    const ONE: Self = Self::ONE;
    const EXPONENT: [u64; 6] = [
        0xecec_196a_ccc5_2971,
        0x581a_0db2_48b0_a77a,
        0xc763_4d81_f437_2ddf,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ];

    fn times(&self, other: &Self) -> Self {
        self.multiply(other)
    }

    fn to_array(&self) -> [u8; SCALAR_BYTES] {
        self.to_bytes().into()
    }

    fn from_array(bytes: &[u8; SCALAR_BYTES]) -> Option<Self> {
        Self::from_bytes(bytes.into()).into()
    }
}

/// Bits of a window.
const WINDOW: u32 = 4;

/// Odd powers below 2^[`WINDOW`].
pub const POWERS: usize = 8;

/// The inverse of a number, window by window.
#[derive(Debug)]
pub struct Inverse<F: Field> {
    /// The number to the power of 1, 3, 5 and so on to 15.
    powers: [F; POWERS],
    /// The number to the power of the exponent's bits done.
    value: F,
    /// Bits of the exponent left.
    left: u32,
}

impl<F: Field> Inverse<F> {
    /// Starts to invert `base`. The inverse of 0 is 0.
    pub fn new(base: &F) -> Self {
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
    pub fn resume(powers: [F; POWERS], value: F, left: u32) -> Self {
        Self { powers, value, left }
    }

    /// What there is to remember of the inversion: secret.
    pub fn parts(&self) -> (&[F; POWERS], &F, u32) {
        (&self.powers, &self.value, self.left)
    }

    /// The number to invert.
    pub fn base(&self) -> &F {
        let [base, ..] = &self.powers;
        base
    }

    /// Does a window of the exponent: at most [`WINDOW`] + 1 multiplications. Returns the result after the last one.
    pub fn step(&mut self) -> Option<F> {
        let (window, bits) = window(&F::EXPONENT, self.left);
        self.left -= bits;
        for _ in 0..bits {
            self.value = self.value.times(&self.value);
        }
        if let Some(power) = self.powers.get(window / 2).filter(|_| window != 0) {
            self.value = self.value.times(power);
        }
        (self.left == 0).then_some(self.value)
    }
}

/// The next window of an exponent of which `left` bits are left: its value, odd or 0, and its length in bits.
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
    use p384::elliptic_curve::ff::PrimeField;

    fn invert<F: Field>(base: F) -> F {
        let mut inverse = Inverse::new(&base);
        loop {
            if let Some(value) = inverse.step() {
                return value;
            }
            let (powers, value, left) = inverse.parts();
            inverse = Inverse::resume(*powers, *value, left);
        }
    }

    #[test]
    fn the_exponents_are_the_moduli_minus_two() {
        fn hex<F: Field>() -> String {
            let mut words = F::EXPONENT;
            words[0] += 2;
            words.iter().rev().map(|word| format!("{word:016x}")).collect()
        }
        assert_eq!(hex::<FieldElement>(), FieldElement::MODULUS);
        assert_eq!(hex::<Scalar>(), Scalar::MODULUS);
    }

    #[test]
    fn inverses_are_those_of_the_curve_library() {
        let mut walk = (FieldElement::from_u64(7), Scalar::from_u64(7));
        for _ in 0..20 {
            walk = (walk.0.square().double(), walk.1.square().double());
            assert_eq!(invert(walk.0), walk.0.invert().unwrap());
            assert_eq!(invert(walk.1), walk.1.invert().unwrap());
        }
        assert_eq!(invert(Scalar::ONE), Scalar::ONE);
        assert_eq!(invert(FieldElement::ZERO), FieldElement::ZERO);
    }
}
