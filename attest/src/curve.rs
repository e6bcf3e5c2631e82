//! Multiples of the base point of P-384, in steps of bounded length.
//!
//! The curve library does the arithmetic of the field. Its own multiplication is the oracle of the
//! tests, but it can neither stop half way nor show its projective coordinates, so the group law is
//! here. All of it runs in constant time: no branch and no address depends on a scalar or a
//! coordinate.

use p384::Scalar;
use p384::elliptic_curve::ff::PrimeField;
use p384::elliptic_curve::subtle::{Choice, ConstantTimeEq};
use p384::elliptic_curve::zeroize::Zeroize;

use crate::field::{Coordinate, Field};
use crate::table::TABLE;

/// Number of entries of the table: one for each combination of signs of all teeth but the highest.
pub(crate) const COMBINATIONS: usize = 32;

/// Teeth of the comb: one per word of a scalar, so that a digit is one bit of each word.
const TEETH: usize = 6;

/// Digits of the comb.
const DIGITS: u32 = u64::BITS;

/// Coefficient b of the curve's equation.
///
/// Source: NIST SP 800-186, 3.2.1.4 "P-384".
const B: Coordinate = Coordinate::from_words([
    0xb331_2fa7_e23e_e7e4,
    0x988e_056b_e3f8_2d19,
    0x181d_9c6e_fe81_4112,
    0x0314_088f_5013_875a,
    0xc656_398d_8a2e_d19d,
    0x2a85_c8ed_d3ec_2aef,
]);

/// A point that is not the identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    x: Coordinate,
    y: Coordinate,
}

impl Affine {
    /// The point with these coordinates: six words of x, then of y, most significant first.
    pub(crate) const fn new(words: [u64; 2 * TEETH]) -> Self {
        let [x5, x4, x3, x2, x1, x0, y5, y4, y3, y2, y1, y0] = words;
        Self {
            x: Coordinate::from_words([x5, x4, x3, x2, x1, x0]),
            y: Coordinate::from_words([y5, y4, y3, y2, y1, y0]),
        }
    }
}

/// Two times `value`.
fn twice(value: Coordinate) -> Coordinate {
    value + value
}

/// Three times `value`.
fn triple(value: Coordinate) -> Coordinate {
    value + value + value
}

/// A point in homogeneous coordinates: (X/Z, Y/Z).
#[derive(Clone, Copy, Default)]
pub(crate) struct Point {
    /// X.
    pub x: Coordinate,
    /// Y.
    pub y: Coordinate,
    /// Z.
    pub z: Coordinate,
}

impl Point {
    /// `self + self`. Complete: right for every point.
    ///
    /// Source: Renes, Costello, Batina, "Complete addition formulas for prime order elliptic
    /// curves" (2015), algorithm 6.
    #[must_use]
    #[inline(never)]
    fn double(&self) -> Self {
        let Self { x, y, z } = *self;
        let xx = x * x;
        let yy = y * y;
        let zz3 = triple(z * z);
        let xy2 = twice(x * y);
        let xz2 = twice(x * z);
        let yz2 = twice(y * z);
        let left = B * zz3 - triple(xz2);
        let minus = yy - left;
        let plus = yy + left;
        let right = triple(B * xz2 - zz3 - xx);
        let slope = triple(xx) - zz3;
        Self {
            x: minus * xy2 - (yz2 * right),
            y: minus * plus + (slope * right),
            z: twice(twice(yz2 * yy)),
        }
    }

    /// `self + other`. Complete: right for every `self`, also the identity, `other` and `-other`.
    ///
    /// Source: Renes, Costello, Batina, "Complete addition formulas for prime order elliptic
    /// curves" (2015), algorithm 5.
    #[must_use]
    #[inline(never)]
    fn add(&self, other: &Affine) -> Self {
        let Self { x, y, z } = *self;
        let xx = x * other.x;
        let yy = y * other.y;
        let cross = (other.x + other.y) * (x + y) - xx - yy;
        let yz = other.y * z + y;
        let xz = other.x * z + x;
        let z3 = triple(z);
        let left = triple(xz - (B * z));
        let minus = yy - left;
        let plus = yy + left;
        let right = triple(B * xz - z3 - xx);
        let slope = triple(xx) - z3;
        Self {
            x: cross * plus - (yz * right),
            y: plus * minus + (slope * right),
            z: yz * minus + (cross * slope),
        }
    }
}

impl Zeroize for Point {
    fn zeroize(&mut self) {
        self.x.zeroize();
        self.y.zeroize();
        self.z.zeroize();
    }
}

/// The entry at `index`, or its negative. Reads the whole table.
fn select(index: usize, negative: Choice) -> Affine {
    let mut found = Affine { x: Coordinate::ZERO, y: Coordinate::ZERO };
    for (at, entry) in TABLE.iter().enumerate() {
        let hit = at.ct_eq(&index);
        found.x.assign_if(&entry.x, hit);
        found.y.assign_if(&entry.y, hit);
    }
    found.y.assign_if(&-found.y, negative);
    found
}

/// `k G`, digit by digit.
///
/// With `t = (k + 2^384 - 1) / 2` modulo the group's order, `k` is the sum of `(2 t_i - 1) 2^i`
/// over the 384 bits of `t`: every digit is plus or minus one, none is zero, and nothing depends on
/// `k` being odd. Digit `d` of the comb is bit `d` of each of the six words of `t`.
///
/// Source: Hamburg, "Fast and compact elliptic-curve cryptography" (2012), 3.3 "signed comb".
pub(crate) struct Comb {
    /// The words of `t`, least significant first.
    teeth: [u64; TEETH],
    /// Digits left.
    left: u32,
    /// The sum so far.
    sum: Point,
}

impl Comb {
    /// Starts to compute `k G`.
    #[inline(never)]
    pub(crate) fn new(k: &Scalar) -> Self {
        /// (2^384 - 1) / 2 modulo the order.
        const OFFSET: Scalar = {
            let two_48 = Scalar::from_u64(1 << 48);
            let two_384 = two_48.square().square().square();
            two_384.sub(&Scalar::ONE).multiply(&Scalar::TWO_INV)
        };
        let t = k.times(&Scalar::TWO_INV).add(&OFFSET);
        Self { teeth: t.words(), left: DIGITS, sum: Point::default() }
    }

    /// Takes up a multiplication where [`Comb::parts`] left it.
    pub(crate) fn resume(teeth: [u64; TEETH], left: u32, sum: Point) -> Self {
        Self { teeth, left, sum }
    }

    /// What there is to remember of the multiplication: secret.
    pub(crate) fn parts(&self) -> (&[u64; TEETH], u32, &Point) {
        (&self.teeth, self.left, &self.sum)
    }

    /// Adds one digit. Returns the result after the last one; it is not the identity, unless `k` is
    /// 0.
    #[inline(never)]
    pub(crate) fn step(&mut self) -> Option<Point> {
        let first = self.left == DIGITS;
        self.left = self.left.saturating_sub(1);
        let mut signs = self.teeth.map(|word| (word >> self.left) & 1);
        let [s0, s1, s2, s3, s4, s5] = signs;
        // The table has the combinations with a positive highest tooth. For the others: its
        // complement, negated.
        let negative = s5 ^ 1;
        let index = (s0 | s1 << 1 | s2 << 2 | s3 << 3 | s4 << 4) ^ (negative * 0x1f);
        #[expect(clippy::cast_possible_truncation, reason = "one bit; five bits")]
        let mut term = select(index as usize, Choice::from(negative as u8));
        if first {
            self.sum = Point { x: term.x, y: term.y, z: Coordinate::ONE };
        } else {
            self.sum = self.sum.double().add(&term);
        }
        signs.zeroize();
        term.x.zeroize();
        term.y.zeroize();
        (self.left == 0).then_some(self.sum)
    }
}

impl Drop for Comb {
    fn drop(&mut self) {
        self.teeth.zeroize();
        self.sum.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p384::elliptic_curve::group::Group;
    use p384::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
    use p384::{AffinePoint, EncodedPoint, FieldElement, ProjectivePoint};

    fn theirs(point: &ProjectivePoint) -> (Coordinate, Coordinate) {
        let encoded = point.to_affine().to_encoded_point(false);
        let coordinate = |bytes: &[u8]| Coordinate(FieldElement::from_slice(bytes).unwrap());
        (coordinate(encoded.x().unwrap()), coordinate(encoded.y().unwrap()))
    }

    fn ours(point: &Point) -> (Coordinate, Coordinate) {
        let inverse = Coordinate(point.z.0.invert().unwrap());
        (point.x * inverse, point.y * inverse)
    }

    /// `k` for tests: the same in each run, spread over the whole range.
    fn scalars() -> impl Iterator<Item = Scalar> {
        let edges = [1, 2, 3, 4].map(Scalar::from_u64);
        let mut walk = Scalar::from_u64(0x9e37_79b9_7f4a_7c15);
        let walk = core::iter::repeat_with(move || {
            walk = walk.square() + Scalar::ONE;
            walk
        });
        edges.into_iter().chain(edges.map(|small| -small)).chain(walk.take(40))
    }

    fn multiply(k: &Scalar) -> Point {
        let mut comb = Comb::new(k);
        loop {
            if let Some(product) = comb.step() {
                return product;
            }
        }
    }

    #[test]
    fn the_table_is_what_its_comment_says() {
        let mut tooth = ProjectivePoint::GENERATOR;
        let mut teeth = vec![tooth];
        for _ in 1..TEETH {
            for _ in 0..DIGITS {
                tooth = tooth.double();
            }
            teeth.push(tooth);
        }
        for (index, entry) in TABLE.iter().enumerate() {
            let mut sum = teeth[5];
            for (bit, tooth) in teeth[..5].iter().enumerate() {
                sum = if index >> bit & 1 == 1 { sum + tooth } else { sum - tooth };
            }
            assert_eq!((entry.x, entry.y), theirs(&sum), "{index}");
        }
    }

    #[test]
    fn multiples_are_those_of_the_curve_library() {
        for k in scalars() {
            assert_eq!(ours(&multiply(&k)), theirs(&(ProjectivePoint::GENERATOR * k)), "{k:?}");
        }
    }

    #[test]
    fn the_group_law_is_complete() {
        let entry = TABLE[7];
        let encoded = EncodedPoint::from_affine_coordinates(
            &entry.x.0.to_bytes(),
            &entry.y.0.to_bytes(),
            false,
        );
        let same = ProjectivePoint::from(AffinePoint::from_encoded_point(&encoded).unwrap());
        let point = Point { x: entry.x, y: entry.y, z: Coordinate::ONE };
        assert_eq!(ours(&point.add(&entry)), theirs(&same.double()));
        assert_eq!(ours(&point.double()), theirs(&same.double()));
        let negative = Affine { x: entry.x, y: -entry.y };
        let identity = point.add(&negative);
        assert_eq!(identity.z, Coordinate::ZERO);
        assert_eq!(identity.double().z, Coordinate::ZERO);
        assert_eq!(ours(&identity.add(&entry)), (entry.x, entry.y));
    }

    #[test]
    fn a_multiplication_goes_on_where_it_was_left() {
        for k in scalars().take(12) {
            let mut comb = Comb::new(&k);
            let product = loop {
                if let Some(product) = comb.step() {
                    break product;
                }
                let (teeth, left, sum) = comb.parts();
                comb = Comb::resume(*teeth, left, *sum);
            };
            assert_eq!(ours(&product), ours(&multiply(&k)));
        }
    }
}
