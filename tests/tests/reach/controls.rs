//! The trap bits that the table names, in the values that the monitor writes.

use std::collections::BTreeSet;

use cairn_reach::rows;
use realm::rec::controls::hcr;
use rmm_arch::registers::{CNTHCTL, CPTR_CLOSED, MDCR};
use rmm_arch::traps;

/// A field of a control register.
struct Field {
    register: &'static str,
    name: &'static str,
    mask: u64,
    /// The field, in place, where an access traps.
    traps: u64,
}

/// Traps while the bit is 1.
const fn one(register: &'static str, name: &'static str, bit: u32) -> Field {
    Field { register, name, mask: 1 << bit, traps: 1 << bit }
}

/// Traps while the bits are 0.
const fn zero(register: &'static str, name: &'static str, mask: u64) -> Field {
    Field { register, name, mask, traps: 0 }
}

const HCR: &str = "HCR_EL2";
const CPTR: &str = "CPTR_EL2";
const MDCR_EL2: &str = "MDCR_EL2";
const HCRX: &str = "HCRX_EL2";
const MPAM2: &str = "MPAM2_EL2";

/// Each field by which the table says that something traps.
///
/// Source: Arm ARM (DDI0487), the register of that name; CPTR_EL2 with HCR_EL2.E2H set.
const FIELDS: &[Field] = &[
    one(HCR, "TID3", 18),
    one(HCR, "TIDCP", 20),
    one(HCR, "TACR", 21),
    one(HCR, "TLOR", 35),
    one(HCR, "TERR", 36),
    one(HCR, "TID5", 58),
    // Group 0 and group 1 SGIs trap with the interrupts.
    one(HCR, "FMO", 3),
    one(HCR, "IMO", 4),
    zero(HCR, "FIEN", 1 << 47),
    zero(HCR, "EnSCXT", 1 << 53),
    zero(HCR, "ATA", 1 << 56),
    zero(CPTR, "ZEN", 0b11 << 16),
    zero(CPTR, "FPEN", 0b11 << 20),
    zero(CPTR, "SMEN", 0b11 << 24),
    one(CPTR, "TTA", 28),
    one(CPTR, "TAM", 30),
    one(MDCR_EL2, "TPMCR", 5),
    one(MDCR_EL2, "TPM", 6),
    one(MDCR_EL2, "TDA", 9),
    one(MDCR_EL2, "TDOSA", 10),
    one(MDCR_EL2, "TDRA", 11),
    zero(MDCR_EL2, "E2PB", 0b11 << 12),
    one(MDCR_EL2, "TPMS", 14),
    zero(MDCR_EL2, "EnSPM", 1 << 15),
    one(MDCR_EL2, "TTRF", 19),
    zero(MDCR_EL2, "E2TB", 0b11 << 24),
    one(MDCR_EL2, "TDCC", 27),
    zero(MDCR_EL2, "EBWE", 1 << 43),
    zero(MDCR_EL2, "EnSTEPOP", 1 << 50),
    one(HCRX, "TALLINT", 6),
    zero(HCRX, "TCR2En", 1 << 14),
    zero(HCRX, "SCTLR2En", 1 << 15),
    zero(HCRX, "EnFPM", 1 << 23),
    zero(HCRX, "SRMASKEn", 1 << 26),
    one(MPAM2, "TRAPMPAM1EL1", 48),
    one(MPAM2, "TRAPMPAM0EL1", 49),
    zero(MPAM2, "EnMPAMSM", 1 << 50),
    one(MPAM2, "TIDR", 58),
    one("MPAMHCR_EL2", "TRAP_MPAMIDR_EL1", 31),
    one("HDFGRTR_EL2", "DBGAUTHSTATUS_EL1", 6),
    one("HDFGRTR_EL2", "OSECCR_EL1", 10),
    zero("HDFGRTR_EL2", "nBRBIDR", 1 << 59),
    zero("HFGITR_EL2", "nBRBINJ", 1 << 55),
    zero("HFGITR_EL2", "nBRBIALL", 1 << 56),
    zero("HFGITR_EL2", "nGCSPUSHM_EL1", 1 << 57),
    zero("HFGITR_EL2", "nGCSSTR_EL1", 1 << 58),
    zero("HFGITR_EL2", "nGCSEPP", 1 << 59),
];

/// Fields that stand at one place in the register for reads and in that for writes; all of them
/// trap while they are 0.
const PAIRS: &[(&str, &str, &str, u32)] = &[
    ("HFGRTR_EL2", "HFGWTR_EL2", "nACCDATA_EL1", 50),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nGCS_EL0", 52),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nGCS_EL1", 53),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nSMPRI_EL1", 54),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nTPIDR2_EL0", 55),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nRCWMASK_EL1", 56),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nPIRE0_EL1", 57),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nPIR_EL1", 58),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nPOR_EL0", 59),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nPOR_EL1", 60),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nS2POR_EL1", 61),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nMAIR2_EL1", 62),
    ("HFGRTR_EL2", "HFGWTR_EL2", "nAMAIR2_EL1", 63),
    ("HDFGRTR_EL2", "HDFGWTR_EL2", "nBRBCTL", 60),
    ("HDFGRTR_EL2", "HDFGWTR_EL2", "nBRBDATA", 61),
];

/// Whose control it is, if not the monitor's.
///
/// The Host's: ICH_HCR_EL2.TDIR, at each entry. EL3's: MPAMBW3_EL3.nTRAPLOWER, which is 0 unless
/// EL3 knows the bandwidth controls of FEAT_MPAM_PE_BW_CTRL; the monitor does not write
/// MPAMBW2_EL2, so an EL3 that opens them opens them to Realms.
const OF_OTHERS: [(&str, &str); 2] = [("ICH_HCR_EL2", "TDIR"), ("MPAMBW3_EL3", "nTRAPLOWER")];

/// A CPU that has all that the values depend on.
const HAS_NMI: u64 = 1 << 36;
const MPAMIDR_HAS_TIDR_AND_HCR: u64 = 1 << 58 | 1 << 17;

/// What the monitor writes to a control register, before it lends or gives anything.
fn written(register: &str) -> Option<u64> {
    let (mpam2, mpamhcr) = traps::mpam(MPAMIDR_HAS_TIDR_AND_HCR);
    Some(match register {
        "HCR_EL2" => hcr(false, false),
        "CPTR_EL2" => CPTR_CLOSED,
        "MDCR_EL2" => MDCR,
        "HCRX_EL2" => traps::hcrx(HAS_NMI),
        "MPAM2_EL2" => mpam2,
        "MPAMHCR_EL2" => mpamhcr?,
        "HFGRTR_EL2" => traps::HFGRTR,
        "HFGWTR_EL2" => traps::HFGWTR,
        "HFGITR_EL2" => traps::HFGITR,
        "HDFGRTR_EL2" => traps::HDFGRTR,
        "HDFGWTR_EL2" => traps::HDFGWTR,
        "HFGRTR2_EL2" | "HFGWTR2_EL2" | "HDFGRTR2_EL2" | "HDFGWTR2_EL2" => traps::FGT2,
        _ => return None,
    })
}

/// The mask of a field, and its value where it traps.
fn field(register: &str, name: &str) -> Option<(u64, u64)> {
    // FEAT_FGT2: the fields that the table names begin with n, and every bit of the register is 0.
    if register.starts_with("H") && register.ends_with("TR2_EL2") && name.starts_with('n') {
        return Some((u64::MAX, 0));
    }
    let single = FIELDS.iter().find(|field| (field.register, field.name) == (register, name));
    if let Some(field) = single {
        return Some((field.mask, field.traps));
    }
    let is = |&&(read, write, one, _): &&(&str, &str, &str, u32)| {
        (read == register || write == register) && one == name
    };
    PAIRS.iter().find(is).map(|(.., bit)| (1 << bit, 0))
}

#[test]
fn each_control_that_a_row_names_traps() {
    for row in rows() {
        for (register, name) in row.controls() {
            if OF_OTHERS.contains(&(register, name)) {
                continue;
            }
            let value = written(register)
                .unwrap_or_else(|| panic!("{}: nobody writes {register}", row.name));
            let (mask, traps) = field(register, name)
                .unwrap_or_else(|| panic!("{}: {register} has no {name}", row.name));
            assert_eq!(value & mask, traps, "{} is open: {register}.{name}", row.name);
        }
    }
}

#[test]
fn what_the_host_wants_trapped_opens_nothing() {
    let of_wait = realm::rec::controls::HCR_TWI | realm::rec::controls::HCR_TWE;
    assert_eq!(hcr(true, true) ^ hcr(false, false), of_wait);
}

/// A control without a row traps something of which the table does not know.
#[test]
fn each_control_has_a_row() {
    let named: BTreeSet<_> = rows().flat_map(cairn_reach::Row::controls).collect();
    let fields = FIELDS.iter().map(|field| (field.register, field.name));
    let reads = PAIRS.iter().map(|(read, _, name, _)| (*read, *name));
    let writes = PAIRS.iter().map(|(_, write, name, _)| (*write, *name));
    for field in fields.chain(reads).chain(writes).chain(OF_OTHERS) {
        assert!(named.contains(&field), "no row names {field:?}");
    }
}

#[test]
fn each_trap_bit_that_is_set_is_known() {
    // HCR_EL2: VM, SWIO, PTW, AMO, FB, BSU, TSC, RW, E2H, TEA, APK, API, FWB name no register.
    let no_register = 0b111 | 1 << 5 | 1 << 9 | 0b11 << 10 | 1 << 19 | 1 << 31 | 1 << 34 | 1 << 37;
    let others = [
        (HCR, no_register | 1 << 40 | 1 << 41 | 1 << 46),
        (CPTR, 0),
        // HPMD, HCCD: nothing counts at EL2.
        (MDCR_EL2, 1 << 17 | 1 << 23),
        (HCRX, 0),
        (MPAM2, 0),
        ("MPAMHCR_EL2", 0),
    ];
    for (register, other) in others {
        let of = FIELDS.iter().filter(|field| field.register == register);
        let known = of.fold(other, |known, field| known | field.mask);
        assert_eq!(written(register).unwrap() & !known, 0, "{register}");
    }
}

/// What the table says does not trap: the bits that would trap it are clear.
///
/// Fine-grained traps of these registers: the unit tests of `rmm_arch::traps`.
#[test]
fn what_is_a_realms_own_is_not_trapped() {
    // TID1, TID2, TPCP, TPU, TTLB, TVM, TDZ, TRVM, TID4, TICAB, TOCU, TTLBIS, TTLBOS; NV, NV1, AT.
    let hcr_traps = 0b11 << 16 | 0b111 << 23 | 1 << 26 | 1 << 28 | 1 << 30 | 0b11 << 49 | 1 << 52;
    let hcr_traps = hcr_traps | 0b11 << 54 | 0b111 << 42;
    assert_eq!(hcr(false, false) & hcr_traps, 0);
    // APK, API: keys and instructions of pointer authentication do not trap.
    assert_eq!(hcr(false, false) >> 40 & 0b11, 0b11);
    // Counters and timers: EL1PCTEN, EL1PTEN; not EL1TVT, EL1TVCT. CNTPCT_EL0 has no offset: ECV is
    // 0.
    assert_eq!(CNTHCTL & (0x1f << 10), 0b11 << 10);
}
