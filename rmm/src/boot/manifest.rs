//! EL3's boot manifest, versions 0.2 to 0.5.
//!
//! Reads a private copy of the page that EL3 passes. The arrays lie in the same page; pointers are
//! physical addresses and may point nowhere else. Fields that a version does not have are not
//! looked at, and neither is what the monitor has no use for: device regions, SMMUs, root
//! complexes. A list of nothing may have a pointer, to nothing, which is in its sum.
//!
//! Source: RMM-EL3 communication interface, "Boot manifest"; TF-A 2.12.1, 2.13 and main of 2026-08,
//! `rmm_core_manifest.h`.

use granule::{GRANULE_SIZE, PAGE_SIZE};
use machine::Page;
use machine::dram::{BANKS_MAX, Bank, Banks};
use rmm_arch::boot::BootCode;

/// Major version of the manifest that the monitor reads.
const MAJOR: u64 = 0;
/// Smallest minor version: the one that brought the list of DRAM banks.
const MINOR_MIN: u64 = 2;
/// The minor version that brought the list of consoles.
const MINOR_CONSOLES: u64 = 3;
/// Name of a console that the monitor can drive.
const NAME_PL011: u64 = u64::from_le_bytes(*b"pl011\0\0\0");

/// Byte offset of the DRAM list: count, pointer, checksum.
const DRAM: u64 = 16;
/// Byte offset of the console list: count, pointer, checksum.
const CONSOLES: u64 = 40;
/// Words of one bank: base, size.
const BANK_WORDS: u64 = 2;
/// Words of one console: base, pages, name, clock, baud rate, flags.
const CONSOLE_WORDS: u64 = 6;
/// Which word of a console TF-A 2.12.1 leaves out of the checksum on QEMU.
const CONSOLE_NAME: u64 = 2;

/// What the monitor uses of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// DRAM, ascending.
    pub dram: Banks,
    /// Physical address of the first PL011.
    pub console: Option<u64>,
    /// The console list's checksum leaves the names out, as that of TF-A 2.12.1 on QEMU.
    pub console_checksum_deviates: bool,
}

/// One list of the manifest, inside the page.
struct List<'p> {
    page: &'p Page,
    count: u64,
    pointer: u64,
    checksum: u64,
    /// Byte offset of the array in the page.
    array: u64,
    words_each: u64,
}

impl<'p> List<'p> {
    /// Reads the list whose head is at byte `offset`; its array must lie inside the page at
    /// `page_pa`.
    fn read(page: &'p Page, page_pa: u64, offset: u64, words_each: u64) -> Result<Self, BootCode> {
        let [count, pointer, checksum] = [0, 8, 16].map(|field| word(page, offset + field));
        let array = if count == 0 {
            0
        } else {
            let start = pointer.checked_sub(page_pa).ok_or(BootCode::ManifestData)?;
            let bytes = count.checked_mul(words_each * 8).ok_or(BootCode::ManifestData)?;
            let end = start.checked_add(bytes).ok_or(BootCode::ManifestData)?;
            if !start.is_multiple_of(8) || end > PAGE_SIZE {
                return Err(BootCode::ManifestData);
            }
            start
        };
        Ok(Self { page, count, pointer, checksum, array, words_each })
    }

    /// Word `field` of item `index`.
    fn word(&self, index: u64, field: u64) -> u64 {
        word(self.page, self.array + (index * self.words_each + field) * 8)
    }

    /// The list's sum, without the fields that `skip` names: 0 if the checksum is right.
    fn sum(&self, skip: Option<u64>) -> u64 {
        let mut sum = self.count.wrapping_add(self.pointer).wrapping_add(self.checksum);
        for index in 0..self.count {
            for field in (0..self.words_each).filter(|&field| Some(field) != skip) {
                sum = sum.wrapping_add(self.word(index, field));
            }
        }
        sum
    }
}

/// The 64-bit word at byte `offset`, which is aligned and inside the page.
fn word(page: &Page, offset: u64) -> u64 {
    let index = usize::try_from(offset / 8).unwrap_or(usize::MAX);
    page.0.get(index).copied().unwrap_or(0)
}

impl Manifest {
    /// Reads and checks the manifest that lies at `page_pa`.
    ///
    /// # Errors
    ///
    /// [`BootCode::ManifestVersion`] for a version that the monitor cannot read, else
    /// [`BootCode::ManifestData`] for a list that leaves the page, has a wrong sum, or describes
    /// impossible memory.
    pub fn parse(page: &Page, page_pa: u64, pa_bits: u32) -> Result<Self, BootCode> {
        let version = word(page, 0) & 0xffff_ffff;
        let (major, minor) = (version >> 16, version & 0xffff);
        if major != MAJOR || minor < MINOR_MIN {
            return Err(BootCode::ManifestVersion);
        }
        let dram = dram(page, page_pa, pa_bits)?;
        let (console, console_checksum_deviates) =
            if minor >= MINOR_CONSOLES { console(page, page_pa, pa_bits)? } else { (None, false) };
        Ok(Self { dram, console, console_checksum_deviates })
    }
}

fn dram(page: &Page, page_pa: u64, pa_bits: u32) -> Result<Banks, BootCode> {
    let list = List::read(page, page_pa, DRAM, BANK_WORDS)?;
    if list.count == 0 || list.count > BANKS_MAX as u64 || list.sum(None) != 0 {
        return Err(BootCode::ManifestData);
    }
    let mut banks = Banks::new();
    let mut lowest = 0;
    for index in 0..list.count {
        let (base, size_bytes) = (list.word(index, 0), list.word(index, 1));
        let aligned = base.is_multiple_of(GRANULE_SIZE) && size_bytes.is_multiple_of(GRANULE_SIZE);
        let top = base.checked_add(size_bytes).ok_or(BootCode::ManifestData)?;
        // A bank at address 0 is what an unset field looks like.
        if !aligned || base == 0 || size_bytes == 0 || base < lowest || (top - 1) >> pa_bits != 0 {
            return Err(BootCode::ManifestData);
        }
        lowest = top;
        banks.push(Bank { base, size_bytes }).map_err(|_| BootCode::ManifestData)?;
    }
    Ok(banks)
}

/// The first PL011, and whether the sum of the list deviates in the one way that is survived.
fn console(page: &Page, page_pa: u64, pa_bits: u32) -> Result<(Option<u64>, bool), BootCode> {
    let list = List::read(page, page_pa, CONSOLES, CONSOLE_WORDS)?;
    let deviates = list.sum(None) != 0;
    if deviates && list.sum(Some(CONSOLE_NAME)) != 0 {
        return Err(BootCode::ManifestData);
    }
    for index in 0..list.count {
        let (base, pages, name) = (list.word(index, 0), list.word(index, 1), list.word(index, 2));
        if base == 0 || !base.is_multiple_of(PAGE_SIZE) || base >> pa_bits != 0 || pages == 0 {
            return Err(BootCode::ManifestData);
        }
        if name == NAME_PL011 && pages == 1 {
            return Ok((Some(base), deviates));
        }
    }
    Ok((None, deviates))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Where QEMU's EL3 puts the page.
    pub(crate) const SHARED: u64 = 0x418f_f000;

    /// A manifest of `words`, placed at byte 0.
    fn page(words: &[u64]) -> Page {
        let mut page = Page::zeroed();
        page.0[..words.len()].copy_from_slice(words);
        page
    }

    fn checksum(count: u64, pointer: u64, items: &[u64]) -> u64 {
        let sum =
            items.iter().fold(count.wrapping_add(pointer), |sum, &word| sum.wrapping_add(word));
        sum.wrapping_neg()
    }

    const BANK: [u64; 2] = [0x4000_0000, 0xc000_0000];
    const CONSOLE: [u64; 6] = [0x0900_0000, 1, NAME_PL011, 1, 115_200, 0];

    /// What TF-A 2.12.1 passes on QEMU, as measured: the console's name is not in the sum.
    pub(crate) fn qemu() -> Page {
        let mut nameless = CONSOLE;
        nameless[2] = 0;
        manifest(3, &BANK, &CONSOLE, checksum(1, SHARED + 80, &nameless))
    }

    fn manifest(version: u64, banks: &[u64], consoles: &[u64], console_sum: u64) -> Page {
        let dram_at = SHARED + 64;
        let count = banks.len() as u64 / 2;
        let consoles_at = dram_at + banks.len() as u64 * 8;
        let console_count = consoles.len() as u64 / 6;
        let mut words = vec![version, 0, count, dram_at, checksum(count, dram_at, banks)];
        words.extend([
            console_count,
            if console_count == 0 { 0 } else { consoles_at },
            console_sum,
        ]);
        words.extend(banks);
        words.extend(consoles);
        page(&words)
    }

    fn good(version: u64) -> Page {
        manifest(version, &BANK, &CONSOLE, checksum(1, SHARED + 80, &CONSOLE))
    }

    fn parse(page: &Page) -> Result<Manifest, BootCode> {
        Manifest::parse(page, SHARED, 48)
    }

    #[test]
    fn versions_0_2_to_0_5_are_read_and_others_are_not() {
        for minor in 3..=5 {
            assert_eq!(parse(&good(minor)).unwrap().console, Some(0x0900_0000), "0.{minor}");
        }
        assert_eq!(parse(&good(2)).unwrap().console, None);
        assert_eq!(parse(&good(1)), Err(BootCode::ManifestVersion));
        assert_eq!(parse(&good(0x1_0000)), Err(BootCode::ManifestVersion));
        assert_eq!(parse(&good(0x8000_0003)), Err(BootCode::ManifestVersion));
    }

    #[test]
    fn the_known_deviation_of_the_console_sum_is_survived_and_no_other() {
        assert!(parse(&qemu()).unwrap().console_checksum_deviates);
        assert!(!parse(&good(3)).unwrap().console_checksum_deviates);
        let wrong = manifest(3, &BANK, &CONSOLE, 1);
        assert_eq!(parse(&wrong), Err(BootCode::ManifestData));
        // Version 0.2 has no consoles: what stands there does not matter.
        assert!(parse(&manifest(2, &BANK, &CONSOLE, 1)).is_ok());
    }

    /// What TF-A main passes on QEMU, as measured: version 0.5, 168 bytes, its console sum right,
    /// and a root complex list of nothing that has a pointer.
    fn qemu_0_5() -> Page {
        const BANKS_AT: u64 = SHARED + 0xa8;
        const CONSOLES_AT: u64 = SHARED + 0xb8;
        const ROOT_COMPLEXES_AT: u64 = SHARED + 0xe8;
        let mut words = vec![5, 0, 1, BANKS_AT, checksum(1, BANKS_AT, &BANK)];
        words.extend([1, CONSOLES_AT, checksum(1, CONSOLES_AT, &CONSOLE)]);
        words.extend([0; 9]);
        words.extend([0, 1, ROOT_COMPLEXES_AT, ROOT_COMPLEXES_AT.wrapping_neg()]);
        words.extend(BANK);
        words.extend(CONSOLE);
        page(&words)
    }

    #[test]
    fn version_0_5_is_read_as_tf_a_writes_it() {
        let dram: Banks = [Bank { base: BANK[0], size_bytes: BANK[1] }].into_iter().collect();
        let expected =
            Manifest { dram, console: Some(CONSOLE[0]), console_checksum_deviates: false };
        assert_eq!(parse(&qemu_0_5()), Ok(expected));
    }

    #[test]
    fn a_list_of_nothing_may_point_anywhere_if_its_sum_is_right() {
        let consoles = |pointer: u64, sum: u64| {
            let mut page = qemu_0_5();
            page.0[5..8].copy_from_slice(&[0, pointer, sum]);
            parse(&page).map(|manifest| manifest.console)
        };
        for pointer in [0, SHARED + 0xe8, SHARED - 8, 3, u64::MAX] {
            assert_eq!(consoles(pointer, pointer.wrapping_neg()), Ok(None), "{pointer:#x}");
            let wrong = pointer.wrapping_neg().wrapping_add(1);
            assert_eq!(consoles(pointer, wrong), Err(BootCode::ManifestData), "{pointer:#x}");
        }
    }

    #[test]
    fn no_console_is_legal_and_another_kind_is_passed_over() {
        assert_eq!(parse(&manifest(3, &BANK, &[], 0)).unwrap().console, None);
        let other = [0x0900_0000, 1, 7, 1, 1, 0];
        let sum = checksum(1, SHARED + 80, &other);
        assert_eq!(parse(&manifest(3, &BANK, &other, sum)).unwrap().console, None);
    }

    #[test]
    fn impossible_consoles_are_refused() {
        for (base, pages) in [(0, 1), (0x0900_0800, 1), (1 << 48, 1), (0x0900_0000, 0)] {
            let console = [base, pages, NAME_PL011, 1, 1, 0];
            let sum = checksum(1, SHARED + 80, &console);
            let parsed = parse(&manifest(3, &BANK, &console, sum));
            assert_eq!(parsed, Err(BootCode::ManifestData), "{base:#x}, {pages} pages");
        }
        // A PL011 is one page of registers: another size is another device.
        let console = [0x0900_0000, 2, NAME_PL011, 1, 1, 0];
        let sum = checksum(1, SHARED + 80, &console);
        assert_eq!(parse(&manifest(3, &BANK, &console, sum)).unwrap().console, None);
    }

    #[test]
    fn a_wrong_dram_sum_is_refused() {
        let mut page = good(3);
        page.0[4] ^= 1;
        assert_eq!(parse(&page), Err(BootCode::ManifestData));
    }

    #[test]
    fn lists_outside_the_page_are_refused() {
        for (word, value) in [
            (3, SHARED - 8),
            (3, SHARED + 4092),
            (3, SHARED + 4096),
            (3, 0),
            (2, 9),
            (2, u64::MAX),
            (2, 0),
        ] {
            let mut page = good(3);
            page.0[word] = value;
            page.0[4] = 0;
            assert_eq!(parse(&page), Err(BootCode::ManifestData), "word {word} = {value:#x}");
        }
    }

    #[test]
    fn impossible_banks_are_refused() {
        let refused: [&[u64]; 8] = [
            &[0, 0x1000],
            &[0x1000, 0],
            &[0x1001, 0x1000],
            &[0x1000, 0x1001],
            &[0x1000, !0xfff],
            &[1 << 48, 0x1000],
            &[0x3000, 0x2000, 0x4000, 0x1000],
            &[0x3000, 0x1000, 0x1000, 0x1000],
        ];
        for banks in refused {
            assert_eq!(
                parse(&manifest(3, banks, &[], 0)),
                Err(BootCode::ManifestData),
                "{banks:x?}"
            );
        }
    }

    #[test]
    fn up_to_eight_banks_are_read() {
        let banks: Vec<u64> = (1..=9).flat_map(|index| [index * 0x1_0000, 0x1000]).collect();
        assert_eq!(parse(&manifest(3, &banks[..16], &[], 0)).unwrap().dram.len(), 8);
        assert_eq!(parse(&manifest(3, &banks, &[], 0)), Err(BootCode::ManifestData));
    }
}
