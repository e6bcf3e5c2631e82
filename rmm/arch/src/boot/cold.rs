//! The part of a cold boot that runs with the MMU off, in Rust: no atomics, no unaligned access, no
//! log.

use core::ptr;
use core::slice;

use machine::Page;
use machine::dram;

use super::carve::{BLOCK_BYTES, Carve, carve};
use super::entry::BOOT;
use super::racy::Racy;
use super::{BootArgs, BootCode, Firmware, ImageSpan, Layout};
use crate::area::CpuArea;
use crate::layout::{self, PAGE, block};
use crate::mmu::descriptor::{self, Access};
use crate::mmu::tables::{Builder, OutOfTables, POOL_PAGES, Table};
use crate::{facts, features, mmu};

unsafe extern "C" {
    static __image_start: u8;
    static __rodata_start: u8;
    static __data_start: u8;
    static __bss_end: u8;
}

/// What the cold boot found, for the part of it that runs with the MMU on.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) args: BootArgs,
    pub(crate) image: ImageSpan,
    pub(crate) layout: Layout,
    pub(crate) carve: Carve,
}

/// Written here, taken by [`mod@super::start`].
pub(crate) static FOUND: Racy<Option<Found>> = Racy::new(None);

/// The private copy of EL3's manifest.
static MANIFEST: Racy<Page> = Racy::new(Page::zeroed());

impl From<OutOfTables> for BootCode {
    fn from(_: OutOfTables) -> Self {
        Self::Unknown
    }
}

/// Address of the image's first byte.
pub(crate) fn image_base() -> u64 {
    (&raw const __image_start).addr() as u64
}

pub(crate) fn image_span() -> ImageSpan {
    let end = (&raw const __bss_end).addr() as u64;
    ImageSpan { base: image_base(), end: end.next_multiple_of(PAGE) }
}

/// The boot steps before the MMU is on; 0 or the code for EL3. Called by the assembly of
/// `cairn_entry`.
pub fn plan<F: Firmware>(cpu: u64, interface: u64, cpus: u64, shared_buffer: u64) -> i64 {
    match try_plan::<F>(cpu, interface, cpus, shared_buffer) {
        Ok(()) => 0,
        Err(code) => code as i64,
    }
}

fn try_plan<F: Firmware>(cpu: u64, interface: u64, cpus: u64, shared: u64) -> Result<(), BootCode> {
    let facts = facts::read_without_gic();
    if features::missing(&facts).is_some() {
        return Err(BootCode::Unknown);
    }
    let pa_range = facts.id_aa64mmfr0 & 0xf;
    let pa_bits = mmu::pa_bits(pa_range);
    let args = BootArgs { cpu, interface, cpus, shared_buffer: shared, pa_bits };
    let image = image_span();
    // SAFETY: cold boot, and the only reference.
    let manifest = unsafe { MANIFEST.write() };
    copy_manifest(shared, pa_bits, manifest);
    let layout = F::plan(&args, &image, manifest)?;

    let limit = image.limit(shared);
    let words = dram::granule_count(&layout.banks);
    let carve = carve(image.end, limit, layout.cpus as u64, words)?;
    write_low_half(&args, &image, &layout, &carve)?;
    for index in 0..layout.cpus as u64 {
        write_block(carve.blocks + index * BLOCK_BYTES, index);
    }
    // No block has an owner yet; from here on only the assembly uses these words.
    let owners = ((carve.words - carve.owners) / PAGE) as usize;
    // SAFETY: `carve` gives these pages to the owners alone.
    unsafe { tables_at(carve.owners, owners) };
    // SAFETY: cold boot, and the only reference.
    let boot = unsafe { BOOT.write() };
    boot.cpus = layout.cpus as u64;
    boot.tcr = mmu::tcr(pa_range);
    boot.ttbr0 = carve.tables;
    boot.blocks = carve.blocks;
    boot.owners = carve.owners;
    // The granule words are zeroed with the MMU on, so stale lines there do no harm.
    boot.written_end = carve.words;
    // SAFETY: cold boot, and the only reference.
    let found = unsafe { FOUND.write() };
    *found = Some(Found { args, image, layout, carve });
    Ok(())
}

/// Copies the page shared with EL3, once. A buffer that cannot be read leaves a manifest that
/// nobody accepts.
fn copy_manifest(shared: u64, pa_bits: u32, manifest: &mut Page) {
    if shared == 0 || !shared.is_multiple_of(PAGE) || shared >> pa_bits != 0 {
        return;
    }
    let Ok(address) = usize::try_from(shared) else { return };
    let page: *const u64 = ptr::with_exposed_provenance(address);
    for (index, word) in manifest.0.iter_mut().enumerate() {
        // SAFETY: EL3 passes one page of memory here, and `index` is below its 512 words.
        let from = unsafe { page.add(index) };
        // SAFETY: aligned by the check above. EL3 may write the page later, hence volatile.
        *word = unsafe { from.read_volatile() };
    }
}

/// Zeroed memory of the monitor as `count` tables, with the MMU off.
///
/// # Safety
///
/// `pa` is page aligned memory of the monitor to which no reference lives.
unsafe fn tables_at<'a>(pa: u64, count: usize) -> &'a mut [Table] {
    #[expect(clippy::cast_possible_truncation, reason = "64-bit target")]
    let tables: *mut Table = ptr::with_exposed_provenance_mut(pa as usize);
    // SAFETY: in bounds and unaliased by this function's contract.
    unsafe { ptr::write_bytes(tables, 0, count) };
    // SAFETY: just initialised; exclusive by this function's contract.
    unsafe { slice::from_raw_parts_mut(tables, count) }
}

fn write_low_half(
    args: &BootArgs,
    image: &ImageSpan,
    layout: &Layout,
    carve: &Carve,
) -> Result<(), BootCode> {
    let rodata = (&raw const __rodata_start).addr() as u64;
    let data = (&raw const __data_start).addr() as u64;
    // SAFETY: `carve` gives these pages to the tables alone.
    let pool = unsafe { tables_at(carve.tables, POOL_PAGES) };
    let mut builder = Builder::new(pool, carve.tables);
    builder.map(image.base, rodata, Access::Code)?;
    builder.map(rodata, data, Access::ReadOnly)?;
    builder.map(data, image.end, Access::ReadWrite)?;
    // The tables and blocks stay out: they are reached by their own CPU's high half, if at all.
    builder.map(carve.owners, carve.end, Access::ReadWrite)?;
    builder.map(args.shared_buffer, args.shared_buffer + PAGE, Access::ReadWrite)?;
    if let Some(console) = layout.console {
        builder.map(console, console + PAGE, Access::Device)?;
    }
    Ok(())
}

/// Writes the private tables and the area of one CPU at the start of its block.
fn write_block(pa: u64, index: u64) {
    let page_of = |page: usize| pa + page as u64 * PAGE;
    // SAFETY: `carve` gives this block to this CPU alone, which does not run yet or is this one.
    let pages = unsafe { tables_at(pa, block::PAGES) };
    let (heads, rest) = pages.split_at_mut(block::AREA);
    let [level2, level3] = heads else { unreachable!("two tables") };
    if let Some(entry) = level2.get_mut(LAST_LEVEL2_ENTRY) {
        *entry = descriptor::table(page_of(block::LEVEL3));
    }
    let mut map = |first: usize, from: usize, count: usize| {
        let entries = level3.iter_mut().skip(first).take(count);
        for (offset, entry) in entries.enumerate() {
            *entry = descriptor::page(page_of(from + offset), Access::ReadWrite);
        }
    };
    map(layout::TABLE_PAGE, block::LEVEL3, 1);
    map(layout::AREA_PAGE, block::AREA, 1);
    map(layout::STACK_PAGE, block::STACK, layout::STACK_PAGES);
    map(layout::FAULT_STACK_PAGE, block::FAULT_STACK, layout::FAULT_STACK_PAGES);
    map(layout::SIMD_PAGE, block::SIMD, layout::SIMD_PAGES);
    if let Some(word) = rest.first_mut().and_then(|area| area.get_mut(AREA_INDEX_WORD)) {
        *word = index;
    }
}

/// Level 2 entry of the last 2 MiB of the address space: 25-bit addresses have 16 of them.
const LAST_LEVEL2_ENTRY: usize = (1 << (layout::HIGH_BITS - 21)) - 1;

/// Where [`CpuArea::index`] is, in words.
const AREA_INDEX_WORD: usize = core::mem::offset_of!(CpuArea, index) / size_of::<u64>();
