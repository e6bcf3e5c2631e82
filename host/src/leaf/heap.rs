//! The heap: the memory between the stacks and the end of the host's image.

use buddy_system_allocator::LockedHeap;

#[global_allocator]
static HEAP: LockedHeap<32> = LockedHeap::empty();

// SAFETY: both symbols are defined by the linker script; Rust only takes their addresses.
unsafe extern "C" {
    static __heap_start: u8;
    static __heap_end: u8;
}

/// Gives the heap its memory. Called once, by CPU 0, before anything is allocated.
pub(super) fn init() {
    let start = (&raw const __heap_start).addr();
    let end = (&raw const __heap_end).addr();
    // SAFETY: the linker script reserves this range for the heap alone, it is mapped as normal
    // memory, and CPU 0 calls this once before any allocation and before other CPUs run.
    unsafe { HEAP.lock().init(start, end - start) }
}
