//! The two prime fields of P-384: coordinates and scalars.
//!
//! The curve library does the arithmetic, in constant time, and unrolled: a multiplication is 2 KiB
//! of code. Here each operation gets one place in the image, from which everything calls it.

use core::ops::{Add, Mul, Neg, Sub};

use p384::elliptic_curve::ff::PrimeField;
use p384::elliptic_curve::subtle::{Choice, ConditionallySelectable};
use p384::elliptic_curve::zeroize::Zeroize;
use p384::{FieldElement, Scalar};

use crate::realm_key::SCALAR_BYTES;

/// A prime field of 384 bits.
pub(crate) trait Field: Copy + Zeroize {
    /// 1.
    const ONE: Self;
    /// The modulus minus 2, the exponent of an inversion: words, least significant first.
    const INVERSION: [u64; 6];

    /// The inverse of 2^384: multiplying by it leaves the Montgomery domain.
    const LEAVE: Self;

    /// `self * other`.
    #[must_use]
    fn times(&self, other: &Self) -> Self;

    /// The words of the Montgomery form, `2^384 self` modulo the modulus, least significant first.
    fn montgomery_words(&self) -> &[u64; 6];

    /// The number, words least significant first. The curve library could do it too, with another 2
    /// KiB of code.
    fn words(&self) -> [u64; 6] {
        *self.times(&Self::LEAVE).montgomery_words()
    }

    /// The number, big endian.
    fn to_array(&self) -> [u8; SCALAR_BYTES] {
        let mut words = self.words();
        words.reverse();
        zerocopy::transmute!(words.map(u64::to_be_bytes))
    }

    /// The inverse of [`Field::to_array`]; `None` if the bytes are not below the modulus.
    fn from_array(bytes: &[u8; SCALAR_BYTES]) -> Option<Self>;
}

/// A coordinate of a point: an element of the curve's field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coordinate(pub FieldElement);

impl Coordinate {
    /// 0.
    pub(crate) const ZERO: Self = Self(FieldElement::ZERO);

    /// The element with these words, most significant first; they must be below the modulus.
    pub(crate) const fn from_words(words: [u64; 6]) -> Self {
        let two_32 = FieldElement::from_u64(1 << 32);
        let two_64 = two_32.multiply(&two_32);
        let mut value = FieldElement::ZERO;
        let mut rest: &[u64] = &words;
        while let [word, tail @ ..] = rest {
            value = FieldElement::add(&value.multiply(&two_64), &FieldElement::from_u64(*word));
            rest = tail;
        }
        Self(value)
    }

    /// `self` becomes `other` if `choice` says so.
    pub(crate) fn assign_if(&mut self, other: &Self, choice: Choice) {
        self.0.conditional_assign(&other.0, choice);
    }
}

impl Add for Coordinate {
    type Output = Self;

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        Self(FieldElement::add(&self.0, &other.0))
    }
}

impl Sub for Coordinate {
    type Output = Self;

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        Self(FieldElement::sub(&self.0, &other.0))
    }
}

impl Mul for Coordinate {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.times(&other)
    }
}

impl Neg for Coordinate {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Zeroize for Coordinate {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Field for Coordinate {
    const ONE: Self = Self(FieldElement::ONE);
    const INVERSION: [u64; 6] = [
        0x0000_0000_ffff_fffd,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_fffe,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ];

    const LEAVE: Self = Self(FieldElement::TWO_INV.pow_vartime(&[384]));

    #[inline(never)]
    fn times(&self, other: &Self) -> Self {
        Self(self.0.multiply(&other.0))
    }

    fn montgomery_words(&self) -> &[u64; 6] {
        self.0.as_ref()
    }

    #[inline(never)]
    fn from_array(bytes: &[u8; SCALAR_BYTES]) -> Option<Self> {
        Option::from(FieldElement::from_bytes(bytes.into())).map(Self)
    }
}

impl Field for Scalar {
    const ONE: Self = Self::ONE;
    const INVERSION: [u64; 6] = [
        0xecec_196a_ccc5_2971,
        0x581a_0db2_48b0_a77a,
        0xc763_4d81_f437_2ddf,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
        0xffff_ffff_ffff_ffff,
    ];

    const LEAVE: Self = Self::TWO_INV.pow_vartime(&[384]);

    #[inline(never)]
    fn times(&self, other: &Self) -> Self {
        self.multiply(other)
    }

    fn montgomery_words(&self) -> &[u64; 6] {
        self.as_ref()
    }

    #[inline(never)]
    fn from_array(bytes: &[u8; SCALAR_BYTES]) -> Option<Self> {
        Self::from_bytes(bytes.into()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_have_the_modulus_minus_two_as_exponent() {
        fn hex<F: Field>() -> String {
            let mut words = F::INVERSION;
            words[0] += 2;
            words.iter().rev().map(|word| format!("{word:016x}")).collect()
        }
        assert_eq!(hex::<Coordinate>(), FieldElement::MODULUS);
        assert_eq!(hex::<Scalar>(), Scalar::MODULUS);
    }

    #[test]
    fn numbers_survive_their_bytes_and_none_is_above_the_modulus() {
        let minus_one = -Coordinate::ONE;
        assert_eq!(Coordinate::from_array(&minus_one.to_array()), Some(minus_one));
        assert_eq!(Coordinate::from_array(&[0xff; 48]), None);
        assert_eq!(minus_one.to_array()[..], minus_one.0.to_bytes()[..]);
        assert_eq!(Scalar::from_array(&(-Scalar::ONE).to_array()), Some(-Scalar::ONE));
        assert_eq!((-Scalar::ONE).to_array()[..], (-Scalar::ONE).to_bytes()[..]);
        assert_eq!(Scalar::from_array(&[0xff; 48]), None);
        assert_eq!(Coordinate::from_words([0, 0, 0, 0, 0, 7]).0, FieldElement::from_u64(7));
    }
}
