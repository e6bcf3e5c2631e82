//! What an entry of a translation table says, and its bits. Bits exist only in this file.

use granule::GranuleAddr;
use tock_registers::LocalRegisterCopy;
use tock_registers::register_bitfields;

use super::level::LevelOf;

register_bitfields![u64,
    // Arm ARM (DDI0487), VMSAv8-64 stage 2 descriptors. Those of 16 and 64 KiB granules differ in
    // that the lowest bits of an address are 0, and see GranuleShift about 64 KiB and FEAT_LPA.
    DESCRIPTOR [
        VALID OFFSET(0) NUMBITS(1) [],
        // Table at levels -1 to 2, page at level 3; a block has 0.
        TABLE_OR_PAGE OFFSET(1) NUMBITS(1) [],
        // With HCR_EL2.FWB.
        MEM_ATTR OFFSET(2) NUMBITS(4) [ NormalWriteBack = 0b0110 ],
        S2AP OFFSET(6) NUMBITS(2) [ ReadWrite = 0b11 ],
        // Without FEAT_LPA2 shareability, with it bits 51:50 of the address.
        SH_OR_ADDRESS OFFSET(8) NUMBITS(2) [ OuterShareable = 0b10, InnerShareable = 0b11 ],
        AF OFFSET(10) NUMBITS(1) [],
        XN OFFSET(53) NUMBITS(2) [ NoExecute = 0b10 ],
        NS OFFSET(55) NUMBITS(1) []
    ],
    // Ours: the hardware ignores the other bits of an entry whose VALID is 0.
    PARKED [
        RIPAS OFFSET(2) NUMBITS(2) [ Empty = 0, Ram = 1, Destroyed = 2 ],
        ASSIGNED OFFSET(4) NUMBITS(1) [],
        UNPROTECTED OFFSET(5) NUMBITS(1) []
    ]
];

/// Address bits of a descriptor that do not depend on its format: 49:12.
const ADDRESS_MASK: u64 = 0x3_ffff_ffff_f000;
/// Bits 51:50 of an address, which stand at bits 9:8 in the FEAT_LPA2 format.
const ADDRESS_TOP_SHIFT: u32 = 50;

/// Realm IPA state: what the Realm may expect at an address.
///
/// Interfaces have numbers for them of their own; those here are what an entry keeps.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.2.2 "Realm IPA state".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ripas {
    /// Nothing there: an access is an abort in the Realm.
    Empty = 0,
    /// Memory of the Realm.
    Ram = 1,
    /// Was memory, and its contents are lost.
    Destroyed = 2,
}

impl Ripas {
    /// Reads what an entry keeps.
    const fn from_parked(raw: u64) -> Option<Self> {
        match raw {
            0 => Some(Self::Empty),
            1 => Some(Self::Ram),
            2 => Some(Self::Destroyed),
            _ => None,
        }
    }
}

/// Format of a Realm's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Addresses of 48 bits, shareability in each descriptor.
    Address48,
    /// FEAT_LPA2: addresses of 52 bits, shareability in VTCR_EL2.
    Address52,
}

impl Format {
    /// Whether an output address can be written in this format.
    pub const fn can_hold(self, address: u64) -> bool {
        match self {
            Self::Address48 => address >> 48 == 0,
            Self::Address52 => address >> 52 == 0,
        }
    }

    /// Whether descriptors of memory from `first` to `last` differ by the distance alone: above bit
    /// 49 an address stands elsewhere than in the bits that follow.
    pub const fn goes_on(self, first: u64, last: u64) -> bool {
        match self {
            Self::Address48 => true,
            Self::Address52 => (first ^ last) >> 50 == 0,
        }
    }

    fn address_bits(self, address: GranuleAddr) -> u64 {
        let address = address.as_u64();
        match self {
            Self::Address48 => address,
            Self::Address52 => {
                (address & ADDRESS_MASK)
                    | DESCRIPTOR::SH_OR_ADDRESS.val(address >> ADDRESS_TOP_SHIFT).value
            }
        }
    }

    /// The address in a descriptor.
    #[inline]
    pub(super) fn address(self, raw: u64) -> GranuleAddr {
        // A mask instead of two ways: a walk takes it at each level.
        const TOP: usize = ADDRESS_TOP_SHIFT as usize;
        let top = match self {
            Self::Address48 => 0,
            Self::Address52 => DESCRIPTOR::SH_OR_ADDRESS.mask << TOP,
        };
        let moved = raw << (TOP - DESCRIPTOR::SH_OR_ADDRESS.shift);
        GranuleAddr::containing((raw & ADDRESS_MASK) | (moved & top))
    }

    fn shareability(self, inner: bool) -> u64 {
        match self {
            Self::Address48 if inner => DESCRIPTOR::SH_OR_ADDRESS::InnerShareable.value,
            Self::Address48 => DESCRIPTOR::SH_OR_ADDRESS::OuterShareable.value,
            Self::Address52 => 0,
        }
    }
}

/// The attributes of an unprotected mapping that the Host chooses: `MemAttr[2:0]` and S2AP.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.5.4 "Host-controlled attributes".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAttributes(u64);

impl HostAttributes {
    const MEM_ATTR_MASK: u64 = 0b111 << 2;
    const MASK: u64 = Self::MEM_ATTR_MASK | 0b11 << 6;
    /// The one encoding of `MemAttr[2:0]` that HCR_EL2.FWB reserves.
    const RESERVED: u64 = 0b100 << 2;

    /// The attributes in a descriptor; `None` if MemAttr is reserved.
    const fn of(desc: u64) -> Option<Self> {
        if desc & Self::MEM_ATTR_MASK == Self::RESERVED {
            None
        } else {
            Some(Self(desc & Self::MASK))
        }
    }

    /// Attributes that a Host names one by one: `MemAttr[2:0]`, and what the Realm may do. `None`
    /// if MemAttr is reserved or has more than three bits.
    pub fn new(mem_attr: u8, readable: bool, writable: bool) -> Option<Self> {
        const READ: u64 = 1 << 6;
        const WRITE: u64 = 1 << 7;
        if mem_attr > 0b111 {
            return None;
        }
        let access = if readable { READ } else { 0 } | if writable { WRITE } else { 0 };
        Self::of(u64::from(mem_attr) << 2 | access)
    }

    /// Normal memory, whose mappings are inner shareable; Device and Non-cacheable are outer.
    const fn is_cacheable(self) -> bool {
        (self.0 >> 3) & 0b11 == 0b11
    }
}

/// What an entry says.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.5.2 "RTT entry".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Protected, no granule.
    Unassigned(Ripas),
    /// Protected, with the granule or block at this address. Reachable for the Realm if RAM.
    Assigned(Ripas, GranuleAddr),
    /// Unprotected, not mapped.
    UnassignedNs,
    /// Unprotected, mapped to Host memory at this address.
    AssignedNs(GranuleAddr, HostAttributes),
    /// The next table.
    Table(GranuleAddr),
}

impl Entry {
    /// Descriptor bits as the stage 2 walker reads them.
    #[inline]
    pub fn encode<const SHIFT: u32>(self, level: LevelOf<SHIFT>, format: Format) -> u64 {
        let leaf = (DESCRIPTOR::VALID.val(1)
            + DESCRIPTOR::TABLE_OR_PAGE.val(u64::from(level.is_page()))
            + DESCRIPTOR::AF.val(1))
        .value;
        match self {
            Self::Unassigned(ripas) => PARKED::RIPAS.val(ripas as u64).value,
            Self::Assigned(Ripas::Ram, address) => {
                leaf | format.address_bits(address)
                    | format.shareability(true)
                    | (DESCRIPTOR::MEM_ATTR::NormalWriteBack + DESCRIPTOR::S2AP::ReadWrite).value
            }
            Self::Assigned(ripas, address) => {
                format.address_bits(address)
                    | (PARKED::ASSIGNED.val(1) + PARKED::RIPAS.val(ripas as u64)).value
            }
            Self::UnassignedNs => PARKED::UNPROTECTED.val(1).value,
            Self::AssignedNs(address, attributes) => {
                leaf | format.address_bits(address)
                    | format.shareability(attributes.is_cacheable())
                    | attributes.0
                    | (DESCRIPTOR::NS.val(1) + DESCRIPTOR::XN::NoExecute).value
            }
            Self::Table(address) => {
                format.address_bits(address)
                    | (DESCRIPTOR::VALID.val(1) + DESCRIPTOR::TABLE_OR_PAGE.val(1)).value
            }
        }
    }

    /// Reads a descriptor that [`Entry::encode`] wrote.
    ///
    /// # Panics
    ///
    /// If it cannot have: the tables belong to the monitor, so that is a broken invariant.
    #[inline]
    pub fn decode<const SHIFT: u32>(raw: u64, level: LevelOf<SHIFT>, format: Format) -> Self {
        let descriptor = LocalRegisterCopy::<u64, DESCRIPTOR::Register>::new(raw);
        let parked = LocalRegisterCopy::<u64, PARKED::Register>::new(raw);
        let address = format.address(raw);
        if !descriptor.is_set(DESCRIPTOR::VALID) {
            if parked.is_set(PARKED::UNPROTECTED) {
                return Self::UnassignedNs;
            }
            let Some(ripas) = Ripas::from_parked(parked.read(PARKED::RIPAS)) else {
                unreachable!("RTT entry {raw:#x}")
            };
            if parked.is_set(PARKED::ASSIGNED) {
                return Self::Assigned(ripas, address);
            }
            return Self::Unassigned(ripas);
        }
        if descriptor.is_set(DESCRIPTOR::TABLE_OR_PAGE) && !level.is_page() {
            return Self::Table(address);
        }
        if !descriptor.is_set(DESCRIPTOR::NS) {
            return Self::Assigned(Ripas::Ram, address);
        }
        Self::AssignedNs(address, HostAttributes(raw & HostAttributes::MASK))
    }

    /// Whether the entry holds an address: ASSIGNED, ASSIGNED_NS or TABLE. Such entries count in
    /// the table's granule.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.5.8 "RTT entry liveness".
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Assigned(..) | Self::AssignedNs(..) | Self::Table(_))
    }

    /// Whether hardware can translate through the entry, so that it may be in a TLB.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Assigned(Ripas::Ram, _) | Self::AssignedNs(..) | Self::Table(_))
    }

    /// The descriptor that RTT_READ_ENTRY shows for this entry.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.20 `RMI_RTT_READ_ENTRY`.
    pub fn host_descriptor(self, format: Format) -> u64 {
        match self {
            Self::Unassigned(_) | Self::UnassignedNs => 0,
            Self::Assigned(_, address) | Self::Table(address) => format.address_bits(address),
            Self::AssignedNs(address, attributes) => format.address_bits(address) | attributes.0,
        }
    }

    /// Checks the descriptor that the Host asks for in RTT_MAP_UNPROTECTED (`attr_valid`): only the
    /// address, `MemAttr[2:0]` and S2AP may be set, and MemAttr must not be reserved.
    ///
    /// The address is returned as it stands, not yet checked for alignment to a block.
    pub fn from_host_descriptor(
        desc: u64,
        format: Format,
    ) -> Option<(GranuleAddr, HostAttributes)> {
        let attributes = HostAttributes::of(desc)?;
        // Bits 51:50 are address neither here (at 9:8 with LPA2) nor without LPA2; bits 49:48 are
        // address in both: without LPA2 they make the address too large (addr_bound), not the
        // attributes wrong.
        let address = match format {
            Format::Address48 => GranuleAddr::containing(desc & ADDRESS_MASK),
            Format::Address52 => format.address(desc),
        };
        let known = format.address_bits(address) | attributes.0;
        (desc == known).then_some((address, attributes))
    }
}

/// Questions about raw descriptors that a pass over all entries of a table asks; the answers follow
/// [`Entry::encode`].
pub mod raw {
    use tock_registers::fields::FieldValue;

    use super::{DESCRIPTOR, LevelOf, PARKED, Ripas};

    const fn descriptor(field: FieldValue<u64, DESCRIPTOR::Register>) -> u64 {
        field.value
    }

    /// A live entry has one of these bits: VALID, or ASSIGNED of a parked one.
    pub const LIVE: u64 =
        descriptor(DESCRIPTOR::VALID.val(1)) | PARKED::ASSIGNED.mask << PARKED::ASSIGNED.shift;

    /// The same of the entry's lowest byte, which has both.
    pub const LIVE_BYTE: u8 = {
        let [lowest, ..] = LIVE.to_le_bytes();
        assert!(lowest as u64 == LIVE);
        lowest
    };

    const NS: u64 = descriptor(DESCRIPTOR::NS.val(1));
    const RIPAS: u64 = PARKED::RIPAS.mask << PARKED::RIPAS.shift;
    const UNPROTECTED: u64 = PARKED::UNPROTECTED.mask << PARKED::UNPROTECTED.shift;

    /// Whether [`super::Entry::is_live`] holds.
    #[inline]
    pub const fn is_live(raw: u64) -> bool {
        raw & LIVE != 0
    }

    /// Whether the entry keeps its table from being destroyed: ASSIGNED or TABLE. Host memory does
    /// not.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.5.8 "RTT liveness".
    #[inline]
    pub const fn is_holding(raw: u64) -> bool {
        is_live(raw) && raw & NS == 0
    }

    /// The RIPAS of an UNASSIGNED entry; `None` for all others.
    #[inline]
    pub const fn unassigned(raw: u64) -> Option<Ripas> {
        if raw & (LIVE | UNPROTECTED) != 0 {
            return None;
        }
        Ripas::from_parked((raw & RIPAS) >> PARKED::RIPAS.shift)
    }

    /// The descriptor of an UNASSIGNED entry.
    #[inline]
    pub const fn unassigned_with(ripas: Ripas) -> u64 {
        (ripas as u64) << PARKED::RIPAS.shift
    }

    /// What to add to an entry's descriptor to get that of the next block or page.
    #[inline]
    pub const fn step<const SHIFT: u32>(level: LevelOf<SHIFT>) -> u64 {
        level.entry_size()
    }

    /// What the next entry differs by that is alike: the memory follows, if there is some.
    #[inline]
    pub const fn step_of<const SHIFT: u32>(raw: u64, level: LevelOf<SHIFT>) -> u64 {
        if is_live(raw) { step(level) } else { 0 }
    }

    /// The next table's descriptor bits, if the entry of a level above pages is one.
    #[inline]
    pub const fn is_table(raw: u64) -> bool {
        const TABLE: u64 = 0b11;
        raw & TABLE == TABLE
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests ask about one variant")]
mod tests {
    use super::*;
    use crate::rtt::Level;

    fn levels() -> impl Iterator<Item = Level> {
        (-1..=3).map(|level| Level::new(level).unwrap())
    }

    fn address(pa: u64) -> GranuleAddr {
        GranuleAddr::new(pa).unwrap()
    }

    #[test]
    fn every_entry_survives_its_encoding() {
        for (format, pa) in
            [(Format::Address48, 0xffff_c000_0000), (Format::Address52, 0xf_ffff_c000_0000)]
        {
            for level in levels() {
                let mut entries = vec![Entry::UnassignedNs];
                for ripas in [Ripas::Empty, Ripas::Ram, Ripas::Destroyed] {
                    entries.push(Entry::Unassigned(ripas));
                    if level.may_be_leaf() {
                        entries.push(Entry::Assigned(ripas, address(pa)));
                    }
                }
                if !level.is_page() {
                    entries.push(Entry::Table(address(pa)));
                }
                if level.may_be_leaf() {
                    for bits in 0..32 {
                        let desc = (bits & 7) << 2 | (bits >> 3) << 6;
                        if let Some(attributes) = HostAttributes::of(desc) {
                            entries.push(Entry::AssignedNs(address(pa), attributes));
                        }
                    }
                }
                for entry in entries {
                    let raw = entry.encode(level, format);
                    assert_eq!(Entry::decode(raw, level, format), entry, "{level:?} {raw:#x}");
                    assert_eq!(raw & 1 == 1, entry.is_valid(), "{entry:?}");
                    assert_eq!(raw::is_live(raw), entry.is_live(), "{entry:?}");
                    let holding = matches!(entry, Entry::Assigned(..) | Entry::Table(_));
                    assert_eq!(raw::is_holding(raw), holding, "{entry:?}");
                    let table = matches!(entry, Entry::Table(_));
                    assert_eq!(!level.is_page() && raw::is_table(raw), table, "{entry:?}");
                    let unassigned = match entry {
                        Entry::Unassigned(ripas) => Some(ripas),
                        _ => None,
                    };
                    assert_eq!(raw::unassigned(raw), unassigned);
                    if let Some(ripas) = unassigned {
                        assert_eq!(raw::unassigned_with(ripas), raw);
                    }
                }
            }
        }
    }

    #[test]
    fn zeroed_memory_is_a_table_of_unassigned_empty() {
        let entry = Entry::decode(0, Level::PAGE, Format::Address48);
        assert_eq!(entry, Entry::Unassigned(Ripas::Empty));
    }

    #[test]
    fn descriptors_are_those_of_the_architecture() {
        let page = Entry::Assigned(Ripas::Ram, address(0x8000_1000));
        let block_level = Level::new(2).unwrap();
        assert_eq!(page.encode(Level::PAGE, Format::Address48), 0x8000_1000 + 0x7db);
        assert_eq!(page.encode(Level::PAGE, Format::Address52), 0x8000_1000 + 0x4db);
        let block = Entry::Assigned(Ripas::Ram, address(0x8020_0000));
        assert_eq!(block.encode(block_level, Format::Address48), 0x8020_0000 + 0x7d9);
        let (pa, attributes) =
            Entry::from_host_descriptor(0x9000_0000 | 0b110 << 2 | 3 << 6, Format::Address48)
                .unwrap();
        let shared = Entry::AssignedNs(pa, attributes).encode(Level::PAGE, Format::Address48);
        assert_eq!(shared, 0x9000_0000 | 0x7db | 1 << 55 | 1 << 54);
    }

    /// Bug catalogue V9: Host-controlled attributes were not checked on map.
    #[test]
    fn v9_only_the_host_controlled_bits_may_be_set() {
        for bit in (0..12).chain(50..64) {
            let allowed = matches!(bit, 2..=4 | 6 | 7);
            let mut desc = 0x9000_0000 | 1 << bit;
            if bit == 4 {
                desc |= 1 << 2; // 0b100 alone is reserved
            }
            let accepted = Entry::from_host_descriptor(desc, Format::Address48).is_some();
            assert_eq!(accepted, allowed, "bit {bit}");
        }
        assert!(Entry::from_host_descriptor(0b100 << 2, Format::Address48).is_none());
    }

    /// S2AP: bit 6 allows reads, bit 7 writes.
    #[test]
    fn attributes_named_one_by_one_are_those_of_a_descriptor() {
        for mem_attr in 0..=7 {
            for (access, readable, writable) in
                [(0, false, false), (1, true, false), (2, false, true), (3, true, true)]
            {
                let desc = u64::from(mem_attr) << 2 | access << 6;
                let named = HostAttributes::new(mem_attr, readable, writable);
                assert_eq!(named, HostAttributes::of(desc), "{desc:#x}");
            }
        }
        assert_eq!(HostAttributes::new(0b100, true, true), None);
        assert_eq!(HostAttributes::new(8, true, true), None);
    }

    #[test]
    fn with_lpa2_bits_9_and_8_are_address() {
        let (pa, _) =
            Entry::from_host_descriptor(0x3 << 8 | 0x9000_0000, Format::Address52).unwrap();
        assert_eq!(pa.as_u64(), 0xc_0000_9000_0000);
        assert!(!Format::Address48.can_hold(pa.as_u64()));
    }

    #[test]
    fn the_host_reads_back_what_it_wrote_and_no_more() {
        let desc = 0x9000_0000 | 0b101 << 2 | 1 << 6;
        let (pa, attributes) = Entry::from_host_descriptor(desc, Format::Address48).unwrap();
        assert_eq!(Entry::AssignedNs(pa, attributes).host_descriptor(Format::Address48), desc);
        let data = Entry::Assigned(Ripas::Destroyed, address(0x8000_0000));
        assert_eq!(data.host_descriptor(Format::Address48), 0x8000_0000);
    }
}
