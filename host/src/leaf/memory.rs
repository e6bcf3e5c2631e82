//! Normal-world memory outside the host's image.
//!
//! No Rust object is ever placed there, and it is all mapped as normal memory, so volatile
//! accesses to it break no rule of the language whatever its contents. A granule that is delegated
//! faults; only the conformance suite asks for those, by a copy that survives it.

use crate::platform::{HOST_IMAGE, MAPPED_RAM};
use alloc::vec::Vec;
use core::ops::Range;

const PAGE_SIZE: u64 = 0x1000;

/// Checks that `size` bytes at `pa` are outside memory, and gives the address.
///
/// # Panics
///
/// The range is not RAM, or it touches the host's image: a mistake of the host.
fn check(pa: u64, size: u64, align: u64) -> usize {
    let end = pa.checked_add(size);
    let in_bank = |bank: &Range<u64>| pa >= bank.start && end.is_some_and(|end| end <= bank.end);
    let mapped = MAPPED_RAM.iter().any(in_bank);
    let outside = pa >= HOST_IMAGE.end || end.is_some_and(|end| end <= HOST_IMAGE.start);
    assert!(mapped && outside && pa.is_multiple_of(align), "bad access to {pa:#x}, {size} bytes");
    usize::try_from(pa).expect("addresses have 64 bits")
}

/// A page outside the host's image that may be delegated: for copies that survive a fault.
pub(super) fn outside_page(pa: u64) -> usize {
    check(pa, PAGE_SIZE, PAGE_SIZE)
}

pub(super) fn read_u64(pa: u64) -> u64 {
    let pointer = core::ptr::with_exposed_provenance::<u64>(check(pa, 8, 8));
    // SAFETY: `check` proved that the aligned word is mapped RAM outside all Rust objects.
    unsafe { pointer.read_volatile() }
}

pub(super) fn write_u64(pa: u64, value: u64) {
    let pointer = core::ptr::with_exposed_provenance_mut::<u64>(check(pa, 8, 8));
    // SAFETY: `check` proved that the aligned word is mapped RAM outside all Rust objects.
    unsafe { pointer.write_volatile(value) }
}

fn read_u8(pa: u64) -> u8 {
    let pointer = core::ptr::with_exposed_provenance::<u8>(check(pa, 1, 1));
    // SAFETY: `check` proved that the byte is mapped RAM outside all Rust objects.
    unsafe { pointer.read_volatile() }
}

fn write_u8(pa: u64, value: u8) {
    let pointer = core::ptr::with_exposed_provenance_mut::<u8>(check(pa, 1, 1));
    // SAFETY: `check` proved that the byte is mapped RAM outside all Rust objects.
    unsafe { pointer.write_volatile(value) }
}

pub(super) fn read_bytes(pa: u64, bytes: &mut [u8]) {
    for (at, byte) in (pa..).zip(bytes) {
        *byte = read_u8(at);
    }
}

pub(super) fn write_bytes(pa: u64, bytes: &[u8]) {
    for (at, byte) in (pa..).zip(bytes) {
        write_u8(at, *byte);
    }
}

pub(super) fn zero_page(pa: u64) {
    for at in (pa..pa + PAGE_SIZE).step_by(8) {
        write_u64(at, 0);
    }
}

/// Copies a NUL-terminated text of at most `limit` bytes.
pub(crate) fn read_text(pa: u64, limit: usize) -> Vec<u8> {
    (pa..).take(limit).map(read_u8).take_while(|byte| *byte != 0).collect()
}

/// The device tree at `pa`, if one is there.
pub(crate) fn device_tree(pa: u64) -> Option<&'static [u8]> {
    const MAGIC: u32 = 0xd00d_feed;
    const LIMIT: u32 = 0x10_0000;
    let start = MAPPED_RAM.first().map_or(u64::MAX, |bank| bank.start);
    if pa < start || pa >= HOST_IMAGE.start - u64::from(LIMIT) {
        return None;
    }
    let mut header = [0; 8];
    read_bytes(pa, &mut header);
    let [m0, m1, m2, m3, s0, s1, s2, s3] = header;
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if u32::from_be_bytes([m0, m1, m2, m3]) != MAGIC || size > LIMIT {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<u8>(check(pa, u64::from(size), 1));
    // SAFETY: the range is mapped RAM below the host's image, which the firmware filled and the
    // host never writes: it is not among the pages that the pool hands out.
    Some(unsafe { core::slice::from_raw_parts(pointer, size as usize) })
}
