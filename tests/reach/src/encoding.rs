//! Encodings of system registers and instructions.

use core::fmt;

/// Op0, Op1, CRn, CRm and Op2 of an `MRS`, `MSR`, `SYS` or `SYSL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// 1 for instructions, 2 for debug and trace, 3 for all other registers.
    pub op0: u8,
    /// 0 to 7: which exception level the register is for, roughly.
    pub op1: u8,
    /// 0 to 15.
    pub crn: u8,
    /// 0 to 15.
    pub crm: u8,
    /// 0 to 7.
    pub op2: u8,
}

/// Encodings with one Op0.
const PER_OP0: u16 = 1 << 14;

impl Encoding {
    /// How many encodings of registers there are.
    pub const REGISTERS: usize = 2 * PER_OP0 as usize;
    /// How many encodings of instructions there are.
    pub const INSTRUCTIONS: usize = PER_OP0 as usize;

    /// The encoding with this number: Op0 in bits 15:14, then Op1, CRn, CRm, Op2, as in the
    /// instruction.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "masked to at most four bits")]
        const fn field(number: u16, shift: u32, mask: u16) -> u8 {
            ((number >> shift) & mask) as u8
        }
        Self {
            op0: field(number, 14, 3),
            op1: field(number, 11, 7),
            crn: field(number, 7, 15),
            crm: field(number, 3, 15),
            op2: field(number, 0, 7),
        }
    }

    /// Inverse of [`Self::from_number`].
    #[must_use]
    pub const fn number(self) -> u16 {
        (self.op0 as u16) << 14
            | (self.op1 as u16) << 11
            | (self.crn as u16) << 7
            | (self.crm as u16) << 3
            | self.op2 as u16
    }

    /// All encodings of registers: Op0 is 2 or 3.
    pub fn registers() -> impl Iterator<Item = Self> {
        (2 * PER_OP0..=u16::MAX).map(Self::from_number)
    }

    /// All encodings of instructions: Op0 is 1.
    pub fn instructions() -> impl Iterator<Item = Self> {
        (PER_OP0..2 * PER_OP0).map(Self::from_number)
    }

    /// `MRS X0, register`, or `SYSL X0, instruction`.
    ///
    /// Source: Arm ARM (DDI0487), C4.1, "System register move" and "System instructions with
    /// register argument".
    #[must_use]
    pub const fn read(self) -> u32 {
        0xd520_0000 | self.fields()
    }

    /// `MSR register, X0`, or `SYS instruction, X0`.
    #[must_use]
    pub const fn write(self) -> u32 {
        0xd500_0000 | self.fields()
    }

    const fn fields(self) -> u32 {
        (self.number() as u32) << 5
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op0, op1, crn, crm, op2 } = self;
        write!(f, "S{op0}_{op1}_C{crn}_C{crm}_{op2}")
    }
}

/// A field of encodings: the lowest and the highest value.
type Span = (u8, u8);

/// A block of encodings: each field has a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    op0: u8,
    op1: Span,
    crn: Span,
    crm: Span,
    op2: Span,
}

/// One encoding.
pub(crate) const fn one(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Pattern {
    block(op0, (op1, op1), (crn, crn), (crm, crm), (op2, op2))
}

/// Encodings that differ in Op2 alone.
pub(crate) const fn row_of(op0: u8, op1: u8, crn: u8, crm: u8, op2: Span) -> Pattern {
    block(op0, (op1, op1), (crn, crn), (crm, crm), op2)
}

/// Encodings that differ in CRm and Op2.
pub(crate) const fn rows_of(op0: u8, op1: u8, crn: u8, crm: Span, op2: Span) -> Pattern {
    block(op0, (op1, op1), (crn, crn), crm, op2)
}

/// Any block.
pub(crate) const fn block(op0: u8, op1: Span, crn: Span, crm: Span, op2: Span) -> Pattern {
    Pattern { op0, op1, crn, crm, op2 }
}

impl Pattern {
    /// Whether the encoding is one of these.
    #[must_use]
    pub fn contains(&self, encoding: Encoding) -> bool {
        let within = |(low, high): Span, value: u8| low <= value && value <= high;
        let Encoding { op0, op1, crn, crm, op2 } = encoding;
        self.op0 == op0
            && within(self.op1, op1)
            && within(self.crn, crn)
            && within(self.crm, crm)
            && within(self.op2, op2)
    }

    /// How many encodings these are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> usize {
        let spans = [self.op1, self.crn, self.crm, self.op2];
        spans.iter().map(|(low, high)| usize::from(high - low) + 1).product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_instructions_are_those_of_the_assembler() {
        // MRS X0, SCTLR_EL1; MSR TPIDR2_EL0, X0; SYS (DC CIVAC), X0.
        let sctlr = Encoding { op0: 3, op1: 0, crn: 1, crm: 0, op2: 0 };
        let tpidr2 = Encoding { op0: 3, op1: 3, crn: 13, crm: 0, op2: 5 };
        let dc_civac = Encoding { op0: 1, op1: 3, crn: 7, crm: 14, op2: 1 };
        assert_eq!(sctlr.read(), 0xd538_1000);
        assert_eq!(tpidr2.write(), 0xd51b_d0a0);
        assert_eq!(dc_civac.write(), 0xd50b_7e20);
        for number in [0x4000, 0xc080, 0xffff] {
            assert_eq!(Encoding::from_number(number).number(), number);
        }
        assert_eq!(Encoding::registers().count(), Encoding::REGISTERS);
        assert_eq!(Encoding::instructions().count(), Encoding::INSTRUCTIONS);
    }
}
