//! The device tree that the guest boots with.

use crate::failure::Failure;
use crate::ipa;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use vm_fdt::{Error, FdtWriter};

/// Phandle of the interrupt controller.
const GIC: u32 = 1;
const SPI: u32 = 0;
const PPI: u32 = 1;
const LEVEL_HIGH: u32 = 4;
const LEVEL_LOW: u32 = 8;

/// What differs from guest to guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Number of CPUs.
    pub cpus: usize,
    /// Size of RAM in bytes.
    pub memory: u64,
    /// Kernel command line.
    pub bootargs: String,
    /// Where the initial RAM disk is.
    pub initrd: Option<Range<u64>>,
}

/// Writes the tree. All device addresses are in the protected half: the guest finds out itself
/// that they have no memory, and uses their unprotected alias.
///
/// # Errors
///
/// The command line has a NUL byte, or the tree is too large.
pub fn write(guest: &Guest) -> Result<Vec<u8>, Failure> {
    tree(guest).map_err(|error| failure!("the guest's device tree: {error}"))
}

fn tree(guest: &Guest) -> Result<Vec<u8>, Error> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_string("compatible", "linux,dummy-virt")?;
    fdt.property_string("model", "Cairn Realm")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_u32("interrupt-parent", GIC)?;
    chosen(&mut fdt, guest)?;
    cpus(&mut fdt, guest.cpus)?;
    let memory = fdt.begin_node(&format!("memory@{:x}", ipa::RAM_BASE))?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[ipa::RAM_BASE, guest.memory])?;
    fdt.end_node(memory)?;
    firmware_and_timer(&mut fdt)?;
    interrupt_controller(&mut fdt, guest.cpus)?;
    devices(&mut fdt)?;
    fdt.end_node(root)?;
    fdt.finish()
}

fn chosen(fdt: &mut FdtWriter, guest: &Guest) -> Result<(), Error> {
    let node = fdt.begin_node("chosen")?;
    fdt.property_string("bootargs", &guest.bootargs)?;
    fdt.property_string("stdout-path", &format!("/uart@{:x}", ipa::UART_BASE))?;
    // No seed for the kernel's randomisation: the tree is measured, so that two runs of the same
    // guest have to be alike; and the host is nobody to ask for secrets. The kernel asks the CPU.
    if let Some(initrd) = &guest.initrd {
        fdt.property_u64("linux,initrd-start", initrd.start)?;
        fdt.property_u64("linux,initrd-end", initrd.end)?;
    }
    fdt.end_node(node)
}

fn cpus(fdt: &mut FdtWriter, count: usize) -> Result<(), Error> {
    let node = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 0)?;
    for index in 0..count as u64 {
        let mpidr = ipa::rec_mpidr(index);
        let cpu = fdt.begin_node(&format!("cpu@{mpidr:x}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_string("compatible", "arm,armv8")?;
        fdt.property_string("enable-method", "psci")?;
        fdt.property_u64("reg", mpidr)?;
        fdt.end_node(cpu)?;
    }
    fdt.end_node(node)
}

fn firmware_and_timer(fdt: &mut FdtWriter) -> Result<(), Error> {
    let psci = fdt.begin_node("psci")?;
    fdt.property_string_list(
        "compatible",
        ["arm,psci-1.0", "arm,psci-0.2"].map(String::from).into(),
    )?;
    // The monitor is reached by SMC; HVC is undefined in a Realm.
    fdt.property_string("method", "smc")?;
    fdt.end_node(psci)?;
    let timer = fdt.begin_node("timer")?;
    fdt.property_string("compatible", "arm,armv8-timer")?;
    // Secure, physical, virtual, hypervisor.
    let interrupts: Vec<u32> =
        [13, 14, 11, 10].into_iter().flat_map(|ppi| [PPI, ppi, LEVEL_LOW]).collect();
    fdt.property_array_u32("interrupts", &interrupts)?;
    fdt.property_null("always-on")?;
    fdt.end_node(timer)
}

fn interrupt_controller(fdt: &mut FdtWriter, cpus: usize) -> Result<(), Error> {
    let node = fdt.begin_node(&format!("intc@{:x}", ipa::GICD_BASE))?;
    fdt.property_string("compatible", "arm,gic-v3")?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 3)?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    let redistributors = ipa::GICR_STRIDE * cpus as u64;
    let reg = [ipa::GICD_BASE, ipa::GICD_SIZE, ipa::GICR_BASE, redistributors];
    fdt.property_array_u64("reg", &reg)?;
    fdt.property_phandle(GIC)?;
    fdt.end_node(node)
}

fn devices(fdt: &mut FdtWriter) -> Result<(), Error> {
    let uart = fdt.begin_node(&format!("uart@{:x}", ipa::UART_BASE))?;
    fdt.property_string("compatible", "ns16550a")?;
    fdt.property_array_u64("reg", &[ipa::UART_BASE, ipa::UART_SIZE])?;
    fdt.property_array_u32("interrupts", &[SPI, ipa::UART_INTID - 32, LEVEL_HIGH])?;
    fdt.property_u32("clock-frequency", 0x1c_2000)?;
    fdt.end_node(uart)?;
    let virtio = fdt.begin_node(&format!("virtio_mmio@{:x}", ipa::VIRTIO_BASE))?;
    fdt.property_string("compatible", "virtio,mmio")?;
    fdt.property_array_u64("reg", &[ipa::VIRTIO_BASE, ipa::VIRTIO_SIZE])?;
    fdt.property_array_u32("interrupts", &[SPI, ipa::VIRTIO_INTID - 32, LEVEL_HIGH])?;
    fdt.property_null("dma-coherent")?;
    fdt.end_node(virtio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::fdt::Fdt;
    use dtoolkit::standard::NodeStandard;
    use dtoolkit::{Node, Property};

    #[test]
    fn a_reader_finds_what_was_written() {
        let guest = Guest {
            cpus: 2,
            memory: 1 << 28,
            bootargs: "console=ttyS0".into(),
            initrd: Some(0x8f00_0000..0x8f10_0000),
        };
        let blob = write(&guest).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        let root = tree.root();
        let psci = root.child("psci").unwrap();
        assert_eq!(psci.property("method").unwrap().value(), b"smc\0");
        assert!(root.child("timer").unwrap().is_compatible("arm,armv8-timer"));
        assert_eq!(root.child("cpus").unwrap().children().count(), 2);
        let chosen = root.child("chosen").unwrap();
        let start = chosen.property("linux,initrd-start").unwrap();
        assert_eq!(start.value(), 0x8f00_0000_u64.to_be_bytes());
    }

    #[test]
    fn device_windows_do_not_overlap() {
        let mut windows = [
            ipa::UART_BASE..ipa::UART_BASE + ipa::UART_SIZE,
            ipa::VIRTIO_BASE..ipa::VIRTIO_BASE + ipa::VIRTIO_SIZE,
            ipa::GICR_BASE..ipa::GICR_BASE + 8 * ipa::GICR_STRIDE,
            ipa::GICD_BASE..ipa::GICD_BASE + ipa::GICD_SIZE,
            ipa::RAM_BASE..ipa::SHARED_BIT,
        ];
        windows.sort_by_key(|window| window.start);
        assert!(windows.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
