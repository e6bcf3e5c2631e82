//! What an EL3 changes that closes fine-grained traps.

use crate::{Encoding, Fate, Row};

/// The fine-grained traps that EL2 can use: the CPU has them, and EL3 lets EL2 reach their
/// registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FineGrained {
    /// Those of FEAT_FGT.
    pub first: bool,
    /// Those of FEAT_FGT2.
    pub second: bool,
}

impl FineGrained {
    /// Finds out by reading one register of each.
    #[must_use]
    pub fn found(can_read: impl Fn(Encoding) -> bool) -> Self {
        const HFGRTR_EL2: Encoding = Encoding { op0: 3, op1: 4, crn: 1, crm: 1, op2: 4 };
        const HFGRTR2_EL2: Encoding = Encoding { op0: 3, op1: 4, crn: 3, crm: 1, op2: 2 };
        Self { first: can_read(HFGRTR_EL2), second: can_read(HFGRTR2_EL2) }
    }

    /// Whether the register with this name is a fine-grained trap register that EL2 cannot use.
    fn closes(self, register: &str) -> bool {
        let is_fine = register.starts_with("HFG") || register.starts_with("HDFG");
        is_fine && !(if register.ends_with("2_EL2") { self.second } else { self.first })
    }
}

impl Row {
    /// Whether the row's traps are all among those that EL2 cannot use. Then a Realm may reach the
    /// register, if EL3 lets it, and **the register must be zero whenever a REC is loaded**, and
    /// the Host's value must come back.
    #[must_use]
    pub fn is_without_trap(&self, usable: FineGrained) -> bool {
        let Fate::Trapped { by, .. } = self.fate else { return false };
        // `REGISTER.FIELD`: what is in EL2 has no other name with this end.
        let words = by.split([' ', ',', ';', '.']);
        let mut registers = words.filter(|word| word.ends_with("_EL2")).peekable();
        registers.peek().is_some() && registers.all(|register| usable.closes(register))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row;

    const ALL: FineGrained = FineGrained { first: true, second: true };
    const NONE: FineGrained = FineGrained { first: false, second: false };
    const TPIDR2_EL0: Encoding = Encoding { op0: 3, op1: 3, crn: 13, crm: 0, op2: 5 };
    const PFAR_EL1: Encoding = Encoding { op0: 3, op1: 0, crn: 6, crm: 0, op2: 5 };
    const ACTLR_EL1: Encoding = Encoding { op0: 3, op1: 0, crn: 1, crm: 0, op2: 1 };
    const TPIDR_EL1: Encoding = Encoding { op0: 3, op1: 0, crn: 13, crm: 0, op2: 4 };

    #[test]
    fn only_what_nothing_else_traps_depends_on_fine_grained_traps() {
        let without = |register, usable| row(register).unwrap().is_without_trap(usable);
        let first = FineGrained { second: false, ..ALL };
        for (register, expected) in [
            (TPIDR2_EL0, [false, false, true]),
            (PFAR_EL1, [false, true, true]),
            (ACTLR_EL1, [false; 3]),
            (TPIDR_EL1, [false; 3]),
        ] {
            assert_eq!([ALL, first, NONE].map(|usable| without(register, usable)), expected);
        }
    }

    #[test]
    fn each_kind_is_known_by_a_register_of_its_own() {
        assert_eq!(FineGrained::found(|_| true), ALL);
        assert_eq!(FineGrained::found(|_| false), NONE);
        assert!(FineGrained::found(|register| register.crn == 1).first);
        assert!(!FineGrained::found(|register| register.crn == 1).second);
    }
}
