//! What the guest boots from: kernel, initial RAM disk and device tree, measured page by page.

use super::Realm;
use crate::dialect::NewPage;
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::guest_fdt::{self, Guest};
use crate::host::Host;
use crate::ipa::RAM_BASE;
use crate::job::{Job, Payload};
use core::ops::Range;

/// Room for the device tree at the end of RAM.
const TREE_ROOM: u64 = 0x20_0000;

/// Where the first REC begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First instruction of the kernel.
    pub pc: u64,
    /// Address of the device tree.
    pub device_tree: u64,
}

/// Header of an arm64 kernel `Image`.
///
/// Source: Linux, Documentation/arch/arm64/booting.rst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ImageHeader {
    text_offset: u64,
    image_size: u64,
}

impl ImageHeader {
    fn parse(bytes: &[u8; 64]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let magic = bytes.get(56..60)?;
        let header = Self { text_offset: word(8)?, image_size: word(16)? };
        (magic == b"ARM\x64").then_some(header)
    }
}

/// Where everything goes in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    kernel: u64,
    initrd: Option<Range<u64>>,
    device_tree: u64,
}

impl Plan {
    /// Kernel at the start of RAM, device tree at its end, initial RAM disk just below that.
    fn new(header: ImageHeader, job: &Job) -> Result<Self, Failure> {
        let size = header.image_size.max(job.kernel.size);
        let offset = header.text_offset;
        if !offset.is_multiple_of(PAGE_SIZE) || offset.max(size) > job.memory {
            return Err(failure!(
                "the kernel wants {size:#x} bytes at offset {offset:#x}, which is not possible"
            ));
        }
        let kernel = RAM_BASE + offset;
        let device_tree = RAM_BASE + job.memory - TREE_ROOM;
        let initrd = job.initrd.map(|file| place_below(device_tree, file.size));
        let room_end = initrd.as_ref().map_or(device_tree, |range| range.start);
        if kernel + size > room_end {
            return Err(failure!(
                "the kernel and the initial RAM disk do not fit {} MiB of guest memory",
                job.memory >> 20
            ));
        }
        Ok(Self { kernel, initrd, device_tree })
    }
}

/// Loads everything into a new Realm whose RAM is declared.
///
/// # Errors
///
/// The files do not fit the guest's memory, the kernel is not an arm64 `Image`, or the monitor
/// refuses a page.
pub fn load(host: &Host, realm: &Realm, job: &Job) -> Result<Entry, Failure> {
    let mut start = [0; 64];
    host.machine().read_bytes(job.kernel.base, &mut start);
    let header = ImageHeader::parse(&start)
        .ok_or("the kernel is not an arm64 Image; a compressed one must be unpacked first")?;
    let plan = Plan::new(header, job)?;
    let tree = guest_fdt::write(&Guest {
        cpus: job.cpus,
        memory: job.memory,
        bootargs: job.append.clone(),
        initrd: plan.initrd.clone(),
    })?;
    if tree.len() as u64 > TREE_ROOM {
        return Err("the guest's device tree is larger than 2 MiB".into());
    }
    let mut pages = copy_file(host, realm, job.kernel, plan.kernel)?;
    if let (Some(file), Some(range)) = (job.initrd, plan.initrd) {
        pages += copy_file(host, realm, file, range.start)?;
    }
    pages += copy_blob(host, realm, &tree, plan.device_tree)?;
    host.log(format_args!("loaded and measured {pages} pages"));
    Ok(Entry { pc: plan.kernel, device_tree: plan.device_tree })
}

/// Copies bytes of the host's own into the Realm; gives back the number of pages.
fn copy_blob(host: &Host, realm: &Realm, blob: &[u8], ipa: u64) -> Result<u64, Failure> {
    let mut pages = 0;
    for chunk in blob.chunks(usize::try_from(PAGE_SIZE).unwrap_or(1)) {
        let page = host.take_page()?;
        host.machine().write_bytes(page, chunk);
        let result = copy_page(host, realm, page, ipa + pages * PAGE_SIZE);
        host.put_page(page);
        result?;
        pages += 1;
    }
    Ok(pages)
}

/// The highest page-aligned range of `size` bytes below `end`.
fn place_below(end: u64, size: u64) -> Range<u64> {
    let start = end.saturating_sub(size) & !(PAGE_SIZE - 1);
    start..start + size
}

/// Copies a file into the Realm; gives back the number of pages. The file's last page is whole:
/// what follows the file in the loader's memory is zero.
fn copy_file(host: &Host, realm: &Realm, file: Payload, ipa: u64) -> Result<u64, Failure> {
    let pages = file.size.div_ceil(PAGE_SIZE);
    for n in 0..pages {
        copy_page(host, realm, file.base + n * PAGE_SIZE, ipa + n * PAGE_SIZE)?;
    }
    Ok(pages)
}

/// Copies one page of the host, which is measured.
fn copy_page(host: &Host, realm: &Realm, source: u64, ipa: u64) -> Result<(), Failure> {
    let data = host.take_granule()?;
    let page = NewPage { ipa, data, source };
    let result = realm.with_tables(host, ipa, || host.dialect().add_page(host, realm.rd(), page));
    if result.is_ok() {
        realm.pages.lock().claim(ipa);
    } else {
        host.reclaim(data, Purpose::Data);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_header_is_recognised_by_its_magic() {
        let mut bytes = [0; 64];
        assert_eq!(ImageHeader::parse(&bytes), None);
        bytes[56..60].copy_from_slice(b"ARMd");
        bytes[17] = 1;
        assert_eq!(
            ImageHeader::parse(&bytes),
            Some(ImageHeader { text_offset: 0, image_size: 256 })
        );
    }

    #[test]
    fn a_plan_has_no_overlaps_or_is_refused() {
        let job = crate::testing::job(1);
        let fits = ImageHeader { text_offset: 0, image_size: 32 << 20 };
        let plan = Plan::new(fits, &job).unwrap();
        assert_eq!((plan.kernel, plan.device_tree), (0x8000_0000, 0x83e0_0000));
        assert_eq!(plan.initrd, Some(0x83df_f000..0x83e0_0000));
        for (text_offset, image_size) in [(0, 62 << 20), (0x800, 0), (0, u64::MAX), (1 << 63, 0)] {
            assert!(Plan::new(ImageHeader { text_offset, image_size }, &job).is_err());
        }
    }

    #[test]
    fn files_are_placed_on_a_page_below_the_end() {
        assert_eq!(place_below(0x1_0000, 0x1001), 0xe000..0xf001);
        assert_eq!(place_below(0x1000, 0x2000).start, 0);
    }
}
