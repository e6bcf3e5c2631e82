//! RTT entries, as the Host reads them in every version of the interface.

use realm::rtt::{Entry, Format, Level, Ripas};

/// The number of a RIPAS.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRipas`.
pub(crate) const fn ripas_number(ripas: Ripas) -> u64 {
    match ripas {
        Ripas::Empty => 0,
        Ripas::Ram => 1,
        Ripas::Destroyed => 2,
    }
}

/// X1 to X4 of RTT_READ_ENTRY: level reached, state, descriptor, RIPAS.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_READ_ENTRY`, `RmiRttEntryState`.
#[inline(always)]
pub(crate) fn show(level: Level, entry: Entry, format: Format) -> [u64; 4] {
    const UNASSIGNED: u64 = 0;
    const ASSIGNED: u64 = 1;
    const TABLE: u64 = 2;
    let (state, ripas) = match entry {
        Entry::Unassigned(ripas) => (UNASSIGNED, ripas_number(ripas)),
        Entry::Assigned(ripas, _) => (ASSIGNED, ripas_number(ripas)),
        Entry::UnassignedNs => (UNASSIGNED, 0),
        Entry::AssignedNs(..) => (ASSIGNED, 0),
        Entry::Table(_) => (TABLE, 0),
    };
    let desc = entry.host_descriptor(format);
    [level.as_i64().cast_unsigned(), state, desc, ripas]
}
