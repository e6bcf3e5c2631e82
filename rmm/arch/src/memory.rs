//! The Realm physical address space, one granule at a time.

use core::arch::asm;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;

use aarch64_cpu::asm::barrier::{self, ISH};
use machine::GranuleAddr;
use machine::memory::{Exclusive, ExclusiveRun, Shared, first_marked, first_off_step};
use machine::{Memory, Page, Slot, Words};

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::features::Features;
use crate::layout::{PAGE_BYTES, WINDOW_PAGES};
use crate::mmu::descriptor::Access;
use crate::sequence;
use crate::slot::{Mapping, Window};

/// A mapped granule with one user.
#[derive(Debug)]
pub struct MappedPage<'a> {
    mapping: Mapping,
    hold: PhantomData<Exclusive<'a>>,
}

impl Deref for MappedPage<'_> {
    type Target = Page;

    #[inline(always)]
    fn deref(&self) -> &Page {
        let page: *const Page = ptr::with_exposed_provenance(self.mapping.address());
        // SAFETY:
        // - Valid and aligned: the slot maps one whole granule as Normal memory while `self` lives,
        //   and any bits are a value of `Page`.
        // - Unaliased: `Exclusive` proves that nobody else touches the granule, and `&self` that
        //   nobody writes.
        unsafe { &*page }
    }
}

impl DerefMut for MappedPage<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Page {
        let page: *mut Page = ptr::with_exposed_provenance_mut(self.mapping.address());
        // SAFETY: as in `deref`; and `&mut self` is the only handle of the slot.
        unsafe { &mut *page }
    }
}

/// A mapped granule that others may access at the same time.
#[derive(Debug)]
pub struct MappedWords<'a> {
    mapping: Mapping,
    hold: PhantomData<Shared<'a>>,
}

impl Deref for MappedWords<'_> {
    type Target = Words;

    #[inline(always)]
    fn deref(&self) -> &Words {
        let words: *const Words = ptr::with_exposed_provenance(self.mapping.address());
        // SAFETY: the slot maps one whole granule as Normal memory while `self` lives; `Shared`
        // proves that it stays in the Realm physical address space; others may write it, hence
        // atomics.
        unsafe { &*words }
    }
}

impl<F: Firmware> Memory for Cpu<F> {
    type Page<'a> = MappedPage<'a>;
    type Words<'a> = MappedWords<'a>;

    #[inline(always)]
    fn page<'a>(&'a self, slot: Slot, granule: Exclusive<'a>) -> MappedPage<'a> {
        let mapping = Mapping::new(slot as usize, granule.addr(), Access::ReadWrite);
        MappedPage { mapping, hold: PhantomData }
    }

    #[inline(always)]
    fn words<'a>(&'a self, slot: Slot, granule: Shared<'a>) -> MappedWords<'a> {
        let mapping = Mapping::new(slot as usize, granule.addr(), Access::ReadWrite);
        MappedWords { mapping, hold: PhantomData }
    }

    #[inline] // perf: `data_destroy`.
    fn wipe(&self, slot: Slot, granule: Exclusive<'_>) {
        let mapping = Mapping::new(slot as usize, granule.addr(), Access::ReadWrite);
        let features = self.area().features.get();
        // SAFETY: `Exclusive` proves that nobody else touches the granule, and it is mapped for all
        // of the call.
        unsafe { zero(mapping.address(), PAGE_BYTES, &features) };
        // DC ZVA is not ordered by a release store: the wipe must be complete before the granule
        // changes hands. Source: bug catalogue T3.
        barrier::dsb(ISH);
    }

    fn wipe_run(&self, slot: Slot, run: ExclusiveRun<'_>) {
        let (first, count) = (run.first(), run.count());
        if count == 1 {
            return run.granules().for_each(|granule| self.wipe(slot, granule));
        }
        let features = self.area().features.get();
        let mut done = 0;
        while let Some(next) = first.add(done).filter(|_| done < count) {
            let pages = usize::try_from(count - done).unwrap_or(WINDOW_PAGES).min(WINDOW_PAGES);
            let window = Window::new(next, pages, features.tlbi_range);
            // SAFETY: `ExclusiveRun` proves that nobody else touches the granules, and they are
            // mapped for all of the call.
            unsafe { zero(window.address(), pages * PAGE_BYTES, &features) };
            drop(window);
            done += pages as u64;
        }
        // As above.
        barrier::dsb(ISH);
    }

    #[inline(always)]
    fn renew_code(&self, slot: Slot, granule: Exclusive<'_>) {
        let features = self.area().features.get();
        if features.clean_bytes != 0 {
            clean_code(slot, granule.addr(), features.clean_bytes);
        }
        if features.invalidate_code {
            forget_code();
        }
    }

    fn renew_code_run(&self, slot: Slot, run: ExclusiveRun<'_>) {
        let features = self.area().features.get();
        if features.clean_bytes != 0 {
            for granule in run.granules() {
                clean_code(slot, granule.addr(), features.clean_bytes);
            }
        }
        if features.invalidate_code {
            forget_code();
        }
    }

    fn first_off_step(&self, words: &Words, first: u64, step: u64) -> Option<usize> {
        if !self.has_vectors() {
            return first_off_step(words, first, step);
        }
        self.take_vectors();
        // SAFETY: the vectors are ours since `take_vectors`.
        if unsafe { sequence::goes_up(words, first, step) } {
            return None;
        }
        first_off_step(words, first, step)
    }

    fn first_marked(&self, words: &Words, from: usize, mark: u8) -> Option<usize> {
        /// To look at so many words costs as much as to take the vectors and give them back.
        const WORTH: usize = 128;
        let rest = words.0.get(from..)?;
        // Hosts take neighbours away one after the other, so that the next live entry is mostly
        // near.
        let near = if rest.len() <= WORTH || !self.has_vectors() {
            rest.len()
        } else {
            sequence::BLOCK - from % sequence::BLOCK
        };
        let (near, far) = rest.split_at_checked(near)?;
        if let Some(found) = first_marked(near, mark) {
            return Some(from + found);
        }
        if far.is_empty() {
            return None;
        }
        self.take_vectors();
        // SAFETY: the vectors are ours since `take_vectors`.
        unsafe { sequence::first_marked(words, from + near.len(), mark) }
    }

    #[inline(always)]
    fn publish(&self) {
        barrier::dsb(ISH);
    }
}

/// Makes every CPU fetch instructions again.
fn forget_code() {
    // SAFETY: instructions are fetched again, from memory.
    unsafe { asm!("ic ialluis", options(nostack)) };
    // Realms and other CPUs get there by an exception return, which synchronises their fetches.
    barrier::dsb(ISH);
}

/// Cleans a granule to the point of unification, in lines of `line_bytes`.
#[cold]
#[inline(never)]
fn clean_code(slot: Slot, granule: GranuleAddr, line_bytes: u16) {
    let mapping = Mapping::new(slot as usize, granule, Access::ReadWrite);
    let lines = mapping.address()..mapping.address() + PAGE_BYTES;
    for line in lines.step_by(line_bytes.into()) {
        // SAFETY: the granule is mapped; cleaning changes no contents.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack)) };
    }
    barrier::dsb(ISH);
}

/// Zeroes `bytes` bytes from `address`, both multiples of 512: by the memory set instructions if
/// the CPU has them, else by DC ZVA if it is allowed, else by stores.
///
/// # Safety
///
/// The memory is mapped as Normal and writable, and no reference to it is used during the call.
#[inline(always)]
pub(crate) unsafe fn zero(address: usize, bytes: usize, features: &Features) {
    if features.mops {
        // SAFETY: writes `[address, address + bytes)` only, which is the caller's.
        unsafe {
            asm!(
                ".arch_extension mops",
                "setp [{at}]!, {left}!, xzr",
                "setm [{at}]!, {left}!, xzr",
                "sete [{at}]!, {left}!, xzr",
                ".arch_extension nomops",
                at = inout(reg) address => _,
                left = inout(reg) bytes => _,
                options(nostack),
            );
        }
    } else {
        // SAFETY: the same contract.
        unsafe { zero_by_blocks(address, address + bytes, features.zva_bytes) };
    }
}

/// Zeroes `[address, end)`, both multiples of 512, by DC ZVA of `zva_bytes`, or by stores if that
/// is 0.
///
/// # Safety
///
/// As of [`zero`].
#[inline(never)]
unsafe fn zero_by_blocks(address: usize, end: usize, zva_bytes: u16) {
    match usize::from(zva_bytes) {
        64 => {
            // SAFETY: writes `[address, end)` only, which is the caller's.
            unsafe {
                asm!(
                    "2:",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "dc zva, {at}",
                    "add {at}, {at}, #64",
                    "cmp {at}, {end}",
                    "b.lo 2b",
                    at = inout(reg) address => _,
                    end = in(reg) end,
                    options(nostack),
                );
            }
        }
        block @ (16 | 32 | 128 | 256 | 512) => {
            // SAFETY: writes `[address, end)` only, which is the caller's; `block` divides both.
            unsafe {
                asm!(
                    "2:",
                    "dc zva, {at}",
                    "add {at}, {at}, {block}",
                    "cmp {at}, {end}",
                    "b.lo 2b",
                    at = inout(reg) address => _,
                    end = in(reg) end,
                    block = in(reg) block,
                    options(nostack),
                );
            }
        }
        _ => {
            // SAFETY: writes `[address, end)` only, which is the caller's.
            unsafe {
                asm!(
                    "2:",
                    "stp xzr, xzr, [{at}], #16",
                    "stp xzr, xzr, [{at}], #16",
                    "cmp {at}, {end}",
                    "b.lo 2b",
                    at = inout(reg) address => _,
                    end = in(reg) end,
                    options(nostack),
                );
            }
        }
    }
}
