//! The program that starts a kernel where firmware starts BL33.
//!
//! TF-A enters BL33 with 0 in X0 on QEMU, and Linux expects its device tree there. A few
//! instructions make up for that: they are all that is loaded as BL33, and the kernel is put into
//! memory beside them.

use crate::kernel_image::Image;

/// Address bits in one `MOVZ` or `MOVK`.
const CHUNK: u32 = 16;

/// Where things are in memory when the kernel starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    /// First byte of the kernel, where it is entered.
    pub kernel: u64,
    /// First byte of the initial RAM disk.
    pub initrd: u64,
}

impl Placement {
    /// Behind this program, the kernel; behind it and the memory that it clears, the initial RAM
    /// disk.
    ///
    /// Source: Linux, `Documentation/arch/arm64/booting.rst`: an Image lies `text_offset` bytes
    /// from a multiple of 2 MiB, and the memory up to `image_size` is its own.
    pub(super) fn of(image: &Image) -> Self {
        let kernel = platform_qemu::BL33 + ALIGNMENT + image.text_offset;
        let initrd = (kernel + image.size).next_multiple_of(ALIGNMENT);
        Self { kernel, initrd }
    }
}

/// What an Image's base address is a multiple of.
const ALIGNMENT: u64 = 2 << 20;

/// The program: X0 is the device tree, X1 to X3 are zero, and it goes on at `kernel`.
///
/// Source: the same; Arm ARM (DDI0487), C6.2, `MOVZ`, `MOVK`, `BR`.
pub(super) fn program(kernel: u64, device_tree: u64) -> Vec<u8> {
    let mut words = load(0, device_tree);
    words.extend((1..4).flat_map(|register| load(register, 0)));
    words.extend(load(4, kernel));
    words.push(0xd61f_0000 | 4 << 5); // BR X4
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The four instructions that put `value` into a register.
fn load(register: u32, value: u64) -> Vec<u32> {
    let chunk = |index: u32| {
        let bits = u32::try_from(value >> (index * CHUNK) & 0xffff).unwrap_or(0);
        let operation = if index == 0 { 0xd280_0000 } else { 0xf280_0000 }; // MOVZ, MOVK
        operation | index << 21 | bits << 5 | register
    };
    (0..4).map(chunk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_are_those_of_an_assembler() {
        // movz x4, #0x5678; movk x4, #0x1234, lsl #16; movk x4, #1, lsl #32; movk x4, #0, lsl #48
        let words = [0xd28a_cf04, 0xf2a2_4684, 0xf2c0_0024, 0xf2e0_0004];
        assert_eq!(load(4, 0x1_1234_5678), words);
        let program = program(0x6020_0000, 0x4000_0000);
        assert_eq!(program.len(), 4 * 21);
        assert_eq!(program[80..], [0x80, 0x00, 0x1f, 0xd6]);
    }

    #[test]
    fn the_initial_ram_disk_is_behind_what_the_kernel_clears() {
        let image = Image { text_offset: 0, size: 0x324_0000 };
        let placement = Placement::of(&image);
        assert_eq!(placement, Placement { kernel: 0x6020_0000, initrd: 0x6360_0000 });
        let old = Image { text_offset: 0x8_0000, size: 0x10_0000 };
        assert_eq!(Placement::of(&old).kernel, 0x6028_0000);
    }
}
