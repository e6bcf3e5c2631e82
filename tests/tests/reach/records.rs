//! The registers that the monitor exchanges with the Host's, or hides, in its own source: the code
//! that touches them exists only for the CPU, so the names in it are read here.

use std::collections::BTreeSet;

use cairn_reach::{Encoding, Fate, Feature, row, rows};
use machine::CpuFacts;
use rmm_arch::traps::{Facilities, Facility, HIDDEN, WIPE_BRANCHES, hidden};

use super::{all, encoding};

const EL1: &str = include_str!("../../../rmm/arch/src/vcpu/el1.rs");
const KEYS: &str = include_str!("../../../rmm/arch/src/vcpu/keys.rs");
const GIC: &str = include_str!("../../../rmm/arch/src/vcpu/gic.rs");
const SIMD: &str = include_str!("../../../rmm/arch/src/vcpu/simd/mod.rs");
const DEBUG: &str = include_str!("../../../rmm/arch/src/vcpu/debug.rs");
const PMU: &str = include_str!("../../../rmm/arch/src/vcpu/pmu.rs");
const HIDE: &str = include_str!("../../../rmm/arch/src/vcpu/hidden.rs");
const REST: &str = include_str!("../../../rmm/arch/src/vcpu/mod.rs");
/// Registers that have no name in `aarch64-cpu`, each with that of the assembler.
const TABLE: &str = include_str!("../../../rmm/arch/src/registers/table.rs");

/// Op0, Op1, CRn, CRm, Op2.
type Fields = (u8, u8, u8, u8, u8);

/// What the assembler means by the names that the source uses.
///
/// Source: Arm ARM (DDI0487), the register of that name.
const NAMES: &[(&str, Fields)] = &[
    ("sp_el0", (3, 0, 4, 1, 0)),
    ("tpidrro_el0", (3, 3, 13, 0, 3)),
    ("tpidr_el0", (3, 3, 13, 0, 2)),
    ("tpidr_el1", (3, 0, 13, 0, 4)),
    ("csselr_el1", (3, 2, 0, 0, 0)),
    ("par_el1", (3, 0, 7, 4, 0)),
    ("mdscr_el1", (2, 0, 0, 2, 2)),
    ("oseccr_el1", (2, 0, 0, 6, 2)),
    ("dbgclaimset_el1", (2, 0, 7, 8, 6)),
    ("dbgclaimclr_el1", (2, 0, 7, 9, 6)),
    ("pmcr_el0", (3, 3, 9, 12, 0)),
    ("pmcntenset_el0", (3, 3, 9, 12, 1)),
    ("pmcntenclr_el0", (3, 3, 9, 12, 2)),
    ("pmovsclr_el0", (3, 3, 9, 12, 3)),
    ("pmselr_el0", (3, 3, 9, 12, 5)),
    ("pmccntr_el0", (3, 3, 9, 13, 0)),
    ("pmuserenr_el0", (3, 3, 9, 14, 0)),
    ("pmovsset_el0", (3, 3, 9, 14, 3)),
    ("pmccfiltr_el0", (3, 3, 14, 15, 7)),
    ("pmintenset_el1", (3, 0, 9, 14, 1)),
    ("pmintenclr_el1", (3, 0, 9, 14, 2)),
];

/// Families of which the source has each member: the name before the number, and the first and last
/// number.
const FAMILIES: [(&str, u8); 6] = [
    ("dbgbvr", 15),
    ("dbgbcr", 15),
    ("dbgwvr", 15),
    ("dbgwcr", 15),
    ("pmevcntr", 30),
    ("pmevtyper", 30),
];

/// A member of a family.
fn member(family: &str, number: u8) -> Fields {
    let counter = |crm: u8| (3, 3, 14, crm + number / 8, number % 8);
    match family {
        "dbgbvr" => (2, 0, 0, number, 4),
        "dbgbcr" => (2, 0, 0, number, 5),
        "dbgwvr" => (2, 0, 0, number, 6),
        "dbgwcr" => (2, 0, 0, number, 7),
        "pmevcntr" => counter(8),
        _ => counter(12),
    }
}

/// `s3_5_c1_c0_0` as the name by which EL1 has the register: `SCTLR_EL12` is EL1's `SCTLR_EL1`,
/// `CNTP_CTL_EL02` EL0's.
fn generic(name: &str) -> Option<Encoding> {
    let fields: Vec<u8> = name
        .strip_prefix('s')?
        .split('_')
        .map(|field| field.trim_start_matches('c').parse().ok())
        .collect::<Option<_>>()?;
    let [op0, op1, crn, crm, op2] = fields.try_into().ok()?;
    // CNTKCTL_EL12 is EL1's, the timers' registers are EL0's.
    let op1 = match (op0, op1, crn) {
        (2, 5, _) => 1,
        (3, 5, 14) if crm > 1 => 3,
        (3, 5, _) => 0,
        _ => op1,
    };
    Some(encoding((op0, op1, crn, crm, op2)))
}

/// The registers that the assembler means by a name, as EL1 or EL0 has them.
fn meant(name: &str) -> impl Iterator<Item = u16> {
    let known = NAMES.iter().filter(move |(known, _)| *known == name);
    generic(name)
        .into_iter()
        .chain(known.map(|(_, fields)| encoding(*fields)))
        .map(Encoding::number)
}

/// The assembler's name of a register, by that in the monitor's code.
fn in_assembler(name: &str) -> String {
    let mut rows = TABLE.lines().filter_map(|line| line.trim().split_once(" = "));
    let row = rows.find(|(register, _)| *register == name);
    row.map_or(name.to_lowercase(), |(_, quoted)| quoted.trim_matches(['"', ',']).into())
}

/// The registers that a file of the monitor names, as EL1 or EL0 has them: by the names of the
/// table and of `aarch64-cpu`, and in string literals, which are assembly.
fn named(source: &str) -> BTreeSet<u16> {
    // Code alone: comments name registers too.
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_register = |word: &&str| word.contains('_') && word.to_uppercase() == **word;
    let mut found: BTreeSet<u16> = words
        .filter(|word| is_register(word) || ["FPCR", "FPSR", "DIT"].contains(word))
        .flat_map(|word| meant(&in_assembler(word)).collect::<Vec<_>>())
        .collect();
    for literal in code.split('"').skip(1).step_by(2) {
        let Some(name) = literal.split([' ', ',']).rfind(|word| !word.is_empty()) else { continue };
        found.extend(meant(name));
        for (family, last) in FAMILIES.into_iter().filter(|(family, _)| *family == name) {
            let numbers: Vec<_> = (0..=last).map(|number| number.to_string()).collect();
            assert!(code.contains(&numbers.join(" ")), "not all of {family}");
            found.extend((0..=last).map(|number| encoding(member(family, number)).number()));
        }
    }
    found
}

/// Why a register that is the REC's own is not among those that are read and written by name.
fn kept_elsewhere(of: Encoding) -> Option<&'static str> {
    let Encoding { op0, op1, crn, crm, op2 } = of;
    match (op0, op1, crn, crm, op2) {
        (3, 0, 4, 2, 0..=4) | (3, 0, 4, 3, 1) | (3, 3, 4, 2, 0 | 1 | 5..=7) => {
            Some("PSTATE: SPSR_EL2")
        }
        (3, 0, 0, 0, 5) => Some("VMPIDR_EL2"),
        (3, 0, 12, 1, 1) => Some("VDISR_EL2"),
        (3, 0, 4, 6, 0) | (3, 0, 12, 8 | 9 | 11 | 12, _) => {
            Some("ICH_VMCR_EL2, ICH_AP*R_EL2, ICH_LR*_EL2")
        }
        (3, 3, 14, 2 | 3, 0) => Some("the compare value"),
        _ => None,
    }
}

/// Why a register of performance monitors has nothing to exchange.
fn pmu_without_state(of: Encoding) -> Option<&'static str> {
    let Encoding { op0, op1, crn, crm, op2 } = of;
    match (op0, op1, crn, crm, op2) {
        (3, 3, 9, 12, 4) => Some("PMSWINC_EL0 counts"),
        (3, 3, 9, 12, 6 | 7) | (3, 0, 9, 14, 6) => Some("PMCEID*_EL0, PMMIR_EL1 are constants"),
        (3, 3, 9, 13, 1 | 2) => Some("PMXEVTYPER_EL0, PMXEVCNTR_EL0 are windows"),
        _ => None,
    }
}

#[test]
fn each_switched_register_is_exchanged() {
    let exchanged: BTreeSet<u16> = named(EL1).union(&named(KEYS)).copied().collect();
    for (of, row) in all() {
        let Some(row) = row else { continue };
        if row.fate == Fate::Switched {
            let known = exchanged.contains(&of.number()) || kept_elsewhere(of).is_some();
            assert!(known, "{of} ({}) is not exchanged", row.name);
        }
    }
    // Where they are kept otherwise: VMPIDR_EL2, VDISR_EL2, ICH_VMCR_EL2.
    assert!(REST.contains("VMPIDR_EL2.set(") && REST.contains("VDISR_EL2.set("));
    assert!(GIC.contains("ICH_VMCR_EL2.set("));
}

/// What the monitor exchanges is what the table says, or is not reached by that name.
#[test]
fn each_exchanged_register_has_its_row() {
    for number in named(EL1).union(&named(KEYS)) {
        let of = Encoding::from_number(*number);
        let fate = row(of).map(|row| row.fate);
        // MDSCR_EL1 is exchanged at once, and trapped until the others are.
        assert!(matches!(fate, Some(Fate::Switched | Fate::Lent { .. })), "{of} is {fate:?}");
    }
    for number in named(PMU) {
        let of = Encoding::from_number(number);
        let fate = row(of).map(|row| row.fate);
        // MDCR_EL2 is the monitor's own.
        let feature = matches!(fate, Some(Fate::Optional { feature: Feature::Pmu, .. }));
        assert!(feature || of.op1 == 4, "{of} is {fate:?}");
    }
    for number in named(DEBUG) {
        let of = Encoding::from_number(number);
        let fate = row(of).map(|row| row.fate);
        assert!(matches!(fate, Some(Fate::Lent { .. } | Fate::Divided { .. })), "{of} is {fate:?}");
    }
}

#[test]
fn each_lent_and_each_optional_register_is_exchanged() {
    let mut lent = named(DEBUG);
    lent.extend(named(SIMD));
    lent.extend(named(EL1));
    let pmu = named(PMU);
    for (of, row) in all() {
        let Some(row) = row else { continue };
        let known = match row.fate {
            Fate::Lent { .. } => lent.contains(&of.number()),
            Fate::Optional { feature: Feature::Sve, .. } => named(SIMD).contains(&of.number()),
            Fate::Optional { feature: Feature::Pmu, .. } => {
                pmu.contains(&of.number()) || pmu_without_state(of).is_some()
            }
            Fate::Switched
            | Fate::Divided { .. }
            | Fate::Trapped { .. }
            | Fate::Constant { .. }
            | Fate::Harmless { .. } => true,
        };
        assert!(known, "{of} ({}) is not exchanged", row.name);
    }
}

/// A CPU that has everything, whose EL3 opens all but fine-grained traps.
fn without_fine_grained_traps() -> Facilities {
    let ones = u64::MAX;
    let all = Facilities::of_cpu(&CpuFacts {
        id_aa64pfr0: ones,
        id_aa64pfr1: ones,
        id_aa64dfr0: ones,
        id_aa64isar1: ones,
        id_aa64mmfr0: ones,
        id_aa64mmfr1: ones,
        id_aa64mmfr3: ones,
        ..CpuFacts::default()
    });
    all.tried(|facility| !matches!(facility, Facility::Fgt | Facility::Fgt2))
}

/// A register that traps by nothing but a fine-grained trap is hidden where there are none.
#[test]
fn what_fine_grained_traps_alone_keep_away_is_hidden_without_them() {
    let set = hidden(without_fine_grained_traps());
    assert_eq!(set, (1 << HIDDEN) - 1, "a register of the list is not hidden");
    let hides = named(HIDE);
    for (of, row) in all() {
        let Some(row) = row else { continue };
        let fine =
            |(register, _): (&str, &str)| register.starts_with('H') && register.contains("FG");
        let only_fine = row.controls().count() > 0 && row.controls().all(fine);
        // Instructions keep nothing.
        if !only_fine || of.op0 == 1 {
            continue;
        }
        // BRBINF<n>, BRBSRC<n>, BRBTGT<n> are wiped, BRBIDR0_EL1 is a constant.
        let is_record = of.op0 == 2 && (of.crn, of.crm) != (9, 0) && (of.crn, of.crm) != (9, 1);
        let is_constant = of.op0 == 2 && (of.crn, of.crm, of.op2) == (9, 2, 0);
        let is_unallocated = of.op0 == 2 && of.crn == 9 && of.op2 > 2;
        let known = hides.contains(&of.number())
            || is_constant
            || is_unallocated
            || is_record && set & WIPE_BRANCHES != 0;
        assert!(known, "{of} ({}) keeps the Host's value", row.name);
    }
}

/// What is hidden is not shown to a Realm, and no row says that it is the Realm's own.
#[test]
fn what_is_hidden_has_a_row_that_traps() {
    let hides = named(HIDE);
    // BRBCR_EL2 is its own name at EL1 (FEAT_VHE): one register less than the list.
    assert!(hides.len() >= HIDDEN - 1, "{} of {HIDDEN}", hides.len());
    for number in hides {
        let of = Encoding::from_number(number);
        let fate = row(of).map(|row| row.fate);
        let is_el2 = of.op0 == 2 && of.op1 == 4;
        assert!(is_el2 || matches!(fate, Some(Fate::Trapped { .. })), "{of} is {fate:?}");
    }
}

#[test]
fn no_row_names_a_register_twice() {
    let names = |name: &'static str| name.split(", ");
    let mut seen = BTreeSet::new();
    for name in rows().filter(|row| row.pattern.len() == 1).flat_map(|row| names(row.name)) {
        assert!(seen.insert(name), "{name}");
    }
}
