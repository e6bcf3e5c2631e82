//! Stage 1 descriptors of the monitor's own tables (EL2&0 regime, 4 KiB granule, 48-bit addresses).

use tock_registers::fields::FieldValue;
use tock_registers::register_bitfields;

register_bitfields![u64,
    // Arm ARM (DDI0487), VMSAv8-64 stage 1 level 3 descriptor. NS is that of the Realm regime.
    PAGE [
        TYPE OFFSET(0) NUMBITS(2) [ Invalid = 0b00, Page = 0b11 ],
        ATTR OFFSET(2) NUMBITS(3) [ Normal = 0, Device = 1 ],
        NS OFFSET(5) NUMBITS(1) [ Realm = 0, NonSecure = 1 ],
        AP OFFSET(6) NUMBITS(2) [ ReadWrite = 0b00, ReadOnly = 0b10 ],
        SH OFFSET(8) NUMBITS(2) [ Inner = 0b11 ],
        AF OFFSET(10) NUMBITS(1) [ Accessed = 1 ],
        OA OFFSET(12) NUMBITS(36) [],
        PXN OFFSET(53) NUMBITS(1) [ Never = 1 ],
        UXN OFFSET(54) NUMBITS(1) [ Never = 1 ]
    ]
];

/// `MAIR_EL2`: index 0 is Normal write-back, index 1 Device-nGnRE.
pub const MAIR: u64 = 0x04_ff;

/// A table descriptor without its address.
const TABLE: u64 = 0b11;
/// Address bits of a table or page descriptor.
const ADDRESS: u64 = 0xffff_ffff_f000;

/// What a page may be used for. Nothing is both writable and executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The monitor's code.
    Code,
    /// The monitor's constants.
    ReadOnly,
    /// The monitor's data, or a granule in the Realm physical address space.
    ReadWrite,
    /// A granule in the Non-secure physical address space.
    Host,
    /// A device in the Non-secure physical address space.
    Device,
}

impl Access {
    const fn fields(self) -> FieldValue<u64, PAGE::Register> {
        let (attr, ns, ap) = match self {
            Self::Code | Self::ReadOnly => {
                (PAGE::ATTR::Normal, PAGE::NS::Realm, PAGE::AP::ReadOnly)
            }
            Self::ReadWrite => (PAGE::ATTR::Normal, PAGE::NS::Realm, PAGE::AP::ReadWrite),
            Self::Host => (PAGE::ATTR::Normal, PAGE::NS::NonSecure, PAGE::AP::ReadWrite),
            Self::Device => (PAGE::ATTR::Device, PAGE::NS::NonSecure, PAGE::AP::ReadWrite),
        };
        let pxn = match self {
            Self::Code => 0,
            Self::ReadOnly | Self::ReadWrite | Self::Host | Self::Device => 1,
        };
        let value = PAGE::TYPE::Page.value
            | attr.value
            | ns.value
            | ap.value
            | PAGE::SH::Inner.value
            | PAGE::AF::Accessed.value
            | pxn << 53
            | PAGE::UXN::Never.value;
        FieldValue::<u64, PAGE::Register>::new(u64::MAX, 0, value)
    }

    /// The bits that a page with this access has besides its address.
    pub const fn bits(self) -> u64 {
        self.fields().value
    }
}

/// Descriptor of one page.
pub const fn page(pa: u64, access: Access) -> u64 {
    (pa & ADDRESS) | access.bits()
}

/// Descriptor of a next-level table.
pub const fn table(pa: u64) -> u64 {
    (pa & ADDRESS) | TABLE
}

/// Output address of a table or page descriptor; `None` if it is invalid.
pub const fn output(descriptor: u64) -> Option<u64> {
    if descriptor & 1 == 0 { None } else { Some(descriptor & ADDRESS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tock_registers::LocalRegisterCopy;

    type Copy = LocalRegisterCopy<u64, PAGE::Register>;

    const ALL: [Access; 5] =
        [Access::Code, Access::ReadOnly, Access::ReadWrite, Access::Host, Access::Device];

    #[test]
    fn nothing_is_both_writable_and_executable() {
        for access in ALL {
            let reg = Copy::new(access.bits());
            let writable = !reg.matches_all(PAGE::AP::ReadOnly);
            let executable = !reg.is_set(PAGE::PXN);
            assert!(!(writable && executable), "{access:?}");
            assert!(reg.is_set(PAGE::UXN) && reg.is_set(PAGE::AF), "{access:?}");
        }
        assert_eq!(ALL.map(|access| access.bits() >> 53 & 1), [0, 1, 1, 1, 1]);
    }

    #[test]
    fn only_host_and_device_pages_are_non_secure() {
        assert_eq!(ALL.map(|access| access.bits() >> 5 & 1), [0, 0, 0, 1, 1]);
    }

    #[test]
    fn the_address_survives() {
        assert_eq!(page(0x4010_0000, Access::ReadWrite), 0x0060_0000_4010_0703);
        assert_eq!(output(page(0xffff_ffff_f000, Access::Code)), Some(0xffff_ffff_f000));
        assert_eq!(output(table(0x1000)), Some(0x1000));
        assert_eq!(output(0), None);
    }
}
