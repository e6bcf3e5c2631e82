//! A virtio entropy device with the memory-mapped transport, version 2.
//!
//! The guest puts empty buffers in a queue and the device fills them. The queue and the buffers
//! are in memory that the Realm shares, which is all that a host can reach. The bytes come from a
//! simple generator seeded with the time: they are for testing, a Realm has better sources.
//!
//! Source: Virtual I/O Device (VIRTIO) 1.2, "Virtio Over MMIO", "Split Virtqueues", "Entropy
//! Device".

/// Memory of the guest that the device can reach.
pub trait SharedMemory {
    /// Copies bytes out; `false` if the guest does not share them.
    fn read(&self, ipa: u64, bytes: &mut [u8]) -> bool;
    /// Copies bytes in; `false` if the guest does not share them.
    fn write(&self, ipa: u64, bytes: &[u8]) -> bool;
}

const QUEUE_SIZE_MAX: u32 = 64;
const STATUS_DRIVER_OK: u32 = 4;
const STATUS_NEEDS_RESET: u32 = 64;
const DESCRIPTOR_NEXT: u16 = 1;
const DESCRIPTOR_WRITE: u16 = 2;
/// Feature bits 32..63: `VIRTIO_F_VERSION_1` and `VIRTIO_F_ACCESS_PLATFORM`.
const FEATURES_HIGH: u32 = 0b11;

/// The device's state.
pub struct VirtioRng {
    status: u32,
    feature_select: u32,
    interrupt: u32,
    queue: Queue,
    seed: u64,
}

#[derive(Default)]
struct Queue {
    ready: bool,
    size: u32,
    descriptors: u64,
    driver: u64,
    device: u64,
    /// Available entries seen, modulo 2^16.
    seen: u16,
    /// Used entries written, modulo 2^16.
    used: u16,
}

impl VirtioRng {
    /// A device after reset.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { status: 0, feature_select: 0, interrupt: 0, queue: Queue::default(), seed: seed | 1 }
    }

    /// Level of the interrupt line.
    #[must_use]
    pub const fn interrupt(&self) -> bool {
        self.interrupt != 0
    }

    /// The guest reads the register at `offset`.
    #[must_use]
    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            0x000 => 0x7472_6976,
            0x004 => 2,
            0x008 => 4,
            0x00c => 0x6361_6972,
            0x010 if self.feature_select == 1 => FEATURES_HIGH,
            0x034 => QUEUE_SIZE_MAX,
            0x044 => u32::from(self.queue.ready),
            0x060 => self.interrupt,
            0x070 => self.status,
            _ => 0,
        }
    }

    /// The guest writes the register at `offset`.
    pub fn write(&mut self, offset: u64, value: u32, memory: &dyn SharedMemory) {
        let queue = &mut self.queue;
        match offset {
            0x014 => self.feature_select = value,
            0x038 if value.is_power_of_two() && value <= QUEUE_SIZE_MAX => queue.size = value,
            0x044 => queue.ready = value == 1,
            0x050 => self.serve(memory),
            0x064 => self.interrupt &= !value,
            0x070 if value == 0 => *self = Self::new(self.seed),
            0x070 => self.status = value,
            0x080 => set_low(&mut queue.descriptors, value),
            0x084 => set_high(&mut queue.descriptors, value),
            0x090 => set_low(&mut queue.driver, value),
            0x094 => set_high(&mut queue.driver, value),
            0x0a0 => set_low(&mut queue.device, value),
            0x0a4 => set_high(&mut queue.device, value),
            _ => {}
        }
    }

    /// Fills every buffer that is available.
    fn serve(&mut self, memory: &dyn SharedMemory) {
        if !self.queue.ready || self.queue.size == 0 || self.status & STATUS_DRIVER_OK == 0 {
            return;
        }
        let before = self.queue.used;
        let result = self.fill_buffers(memory);
        if result.is_none() {
            // The guest gave addresses that it does not share.
            self.status |= STATUS_NEEDS_RESET;
            self.interrupt |= 2;
        }
        if self.queue.used != before {
            self.interrupt |= 1;
        }
    }

    fn fill_buffers(&mut self, memory: &dyn SharedMemory) -> Option<()> {
        let available = read_u16(memory, self.queue.driver + 2)?;
        // The index must be seen before the entries that it announces.
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        for _ in 0..self.queue.size {
            if self.queue.seen == available {
                break;
            }
            let size = u64::from(self.queue.size);
            let entry = u64::from(self.queue.seen) % size;
            let head = read_u16(memory, self.queue.driver + 4 + 2 * entry)?;
            let written = self.fill_chain(memory, head)?;
            let used = self.queue.device + 4 + 8 * (u64::from(self.queue.used) % size);
            let mut element = [0; 8];
            element[..4].copy_from_slice(&u32::from(head).to_le_bytes());
            element[4..].copy_from_slice(&written.to_le_bytes());
            memory.write(used, &element).then_some(())?;
            core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
            self.queue.seen = self.queue.seen.wrapping_add(1);
            self.queue.used = self.queue.used.wrapping_add(1);
            memory.write(self.queue.device + 2, &self.queue.used.to_le_bytes()).then_some(())?;
        }
        Some(())
    }

    /// Fills the buffers of one chain of descriptors; gives back how many bytes were written.
    fn fill_chain(&mut self, memory: &dyn SharedMemory, head: u16) -> Option<u32> {
        let mut index = u32::from(head);
        let mut total = 0_u32;
        for _ in 0..self.queue.size {
            if index >= self.queue.size {
                return None;
            }
            let at = self.queue.descriptors + 16 * u64::from(index);
            let address =
                u64::from(read_u32(memory, at)?) | u64::from(read_u32(memory, at + 4)?) << 32;
            let size = read_u32(memory, at + 8)?;
            let flags = read_u16(memory, at + 12)?;
            if flags & DESCRIPTOR_WRITE != 0 {
                // More than a page at once is never needed, and a short answer is legal.
                let count = size.min(4096);
                for offset in (0..count).step_by(8) {
                    let bytes = self.next().to_le_bytes();
                    let part = bytes.get(..(count - offset).min(8) as usize)?;
                    memory.write(address.checked_add(u64::from(offset))?, part).then_some(())?;
                }
                total = total.checked_add(count)?;
                if count < size {
                    break;
                }
            }
            if flags & DESCRIPTOR_NEXT == 0 {
                break;
            }
            index = u32::from(read_u16(memory, at + 14)?);
        }
        Some(total)
    }

    /// Xorshift64*.
    fn next(&mut self) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn set_low(value: &mut u64, half: u32) {
    *value = *value & !0xffff_ffff | u64::from(half);
}

fn set_high(value: &mut u64, half: u32) {
    *value = *value & 0xffff_ffff | u64::from(half) << 32;
}

fn read_u16(memory: &dyn SharedMemory, ipa: u64) -> Option<u16> {
    let mut bytes = [0; 2];
    memory.read(ipa, &mut bytes).then(|| u16::from_le_bytes(bytes))
}

fn read_u32(memory: &dyn SharedMemory, ipa: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    memory.read(ipa, &mut bytes).then(|| u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::cell::RefCell;

    struct Memory(RefCell<Vec<u8>>);

    impl SharedMemory for Memory {
        fn read(&self, ipa: u64, bytes: &mut [u8]) -> bool {
            let at = usize::try_from(ipa).unwrap();
            let memory = self.0.borrow();
            memory.get(at..at + bytes.len()).map(|from| bytes.copy_from_slice(from)).is_some()
        }

        fn write(&self, ipa: u64, bytes: &[u8]) -> bool {
            let at = usize::try_from(ipa).unwrap();
            let mut memory = self.0.borrow_mut();
            memory.get_mut(at..at + bytes.len()).map(|to| to.copy_from_slice(bytes)).is_some()
        }
    }

    /// A device whose queue is at 0 (descriptors), 0x400 (driver), 0x800 (device), with one buffer
    /// of `size` bytes at `address` available.
    fn device(address: u64, size: u32) -> (VirtioRng, Memory) {
        let memory = Memory(RefCell::new(vec![0; 0x3000]));
        memory.write(0, &address.to_le_bytes());
        memory.write(8, &size.to_le_bytes());
        memory.write(12, &DESCRIPTOR_WRITE.to_le_bytes());
        memory.write(0x402, &1_u16.to_le_bytes());
        let mut rng = VirtioRng::new(42);
        for (offset, value) in [(0x38, 8), (0x80, 0), (0x90, 0x400), (0xa0, 0x800), (0x44, 1)] {
            rng.write(offset, value, &memory);
        }
        rng.write(0x70, 0xf, &memory);
        (rng, memory)
    }

    #[test]
    fn a_buffer_is_filled_used_and_announced() {
        let (mut rng, memory) = device(0x1000, 13);
        rng.write(0x50, 0, &memory);
        assert!(rng.interrupt());
        let bytes = memory.0.borrow();
        assert_eq!(bytes[0x802..0x804], [1, 0], "used index");
        assert_eq!(bytes[0x804..0x80c], [0, 0, 0, 0, 13, 0, 0, 0]);
        assert!(bytes[0x1000..0x100d].iter().any(|byte| *byte != 0));
        assert_eq!(bytes[0x100d], 0);
    }

    #[test]
    fn memory_that_is_not_shared_breaks_the_device_and_nothing_else() {
        let (mut rng, memory) = device(0x10_0000, 13);
        rng.write(0x50, 0, &memory);
        assert_eq!(rng.read(0x70) & STATUS_NEEDS_RESET, STATUS_NEEDS_RESET);
        rng.write(0x70, 0, &memory);
        assert_eq!((rng.read(0x70), rng.interrupt()), (0, false));
    }

    #[test]
    fn the_device_asks_for_shared_addresses() {
        let (mut rng, memory) = device(0, 0);
        rng.write(0x14, 1, &memory);
        assert_eq!(rng.read(0x10), 3);
        rng.write(0x14, 0, &memory);
        assert_eq!((rng.read(0x10), rng.read(0), rng.read(8)), (0, 0x7472_6976, 4));
    }

    #[test]
    fn the_interrupt_falls_when_it_is_acknowledged() {
        let (mut rng, memory) = device(0x1000, 8);
        rng.write(0x50, 0, &memory);
        rng.write(0x64, 1, &memory);
        assert!(!rng.interrupt());
        rng.write(0x50, 0, &memory);
        assert!(!rng.interrupt(), "nothing new was available");
    }
}
