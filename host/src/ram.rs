//! What the machine's device tree says: where RAM is, and which CPUs there are.

use crate::failure::Failure;
use alloc::vec::Vec;
use core::ops::Range;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

/// Facts about the machine under the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// RAM of the Normal world, without what the tree reserves.
    pub ram: Vec<Range<u64>>,
    /// Affinity of each CPU, in the tree's order.
    pub cpus: Vec<u64>,
}

/// Reads the device tree.
///
/// # Errors
///
/// The blob is not a device tree, or has no memory or CPU node.
pub fn read_device_tree(blob: &[u8]) -> Result<MachineFacts, Failure> {
    let tree = Fdt::new(blob).map_err(|error| failure!("the machine's device tree: {error}"))?;
    let root = tree.root();
    let mut ram: Vec<Range<u64>> =
        root.children().filter(|node| is_memory(node)).flat_map(|node| registers(&node)).collect();
    if ram.is_empty() {
        return Err("the machine's device tree has no memory node".into());
    }
    if let Some(reserved) = root.child("reserved-memory") {
        let ranges: Vec<_> = reserved.children().flat_map(|node| registers(&node)).collect();
        ram = without(ram, &ranges);
    }
    let cpus: Vec<u64> = root.child("cpus").map_or_else(Vec::new, |cpus| {
        cpus.children()
            .filter(|node| node.name_without_address() == "cpu")
            .filter_map(|node| cells(node.property("reg")?.value()))
            .collect()
    });
    if cpus.is_empty() {
        return Err("the machine's device tree has no CPU node".into());
    }
    Ok(MachineFacts { ram, cpus })
}

fn is_memory(node: &FdtNode<'_>) -> bool {
    node.property("device_type").is_some_and(|kind| kind.value() == b"memory\0")
        && node.property("status").is_none_or(|status| status.value() == b"okay\0")
}

/// The `reg` ranges of a node.
fn registers(node: &FdtNode<'_>) -> Vec<Range<u64>> {
    let Ok(Some(reg)) = node.reg() else { return Vec::new() };
    reg.filter_map(|entry| {
        let base = entry.address::<u64>().ok()?;
        Some(base..base.checked_add(entry.size::<u64>().ok()?)?)
    })
    .collect()
}

/// A big-endian number of one or two cells.
fn cells(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 8 {
        return None;
    }
    Some(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Takes `holes` out of `ranges`.
#[must_use]
pub fn without(ranges: Vec<Range<u64>>, holes: &[Range<u64>]) -> Vec<Range<u64>> {
    holes.iter().fold(ranges, |ranges, hole| {
        ranges
            .into_iter()
            .flat_map(|range| {
                let before = range.start..range.end.min(hole.start);
                let after = range.start.max(hole.end)..range.end;
                if hole.start >= range.end || hole.end <= range.start {
                    [range, 0..0]
                } else {
                    [before, after]
                }
            })
            .filter(|range| !range.is_empty())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use vm_fdt::FdtWriter;

    #[test]
    fn holes_are_taken_out() {
        let ranges = without(vec![0..100, 200..300], &[10..20, 90..210, 400..500, 0..5]);
        assert_eq!(ranges, [5..10, 20..90, 210..300]);
        assert_eq!(without(vec![10..20, 30..40], &[0..100, 5..6]), []);
    }

    #[test]
    fn memory_reservations_and_cpus_are_found() {
        let mut tree = FdtWriter::new().unwrap();
        let root = tree.begin_node("").unwrap();
        tree.property_u32("#address-cells", 2).unwrap();
        tree.property_u32("#size-cells", 2).unwrap();
        let cpus = tree.begin_node("cpus").unwrap();
        tree.property_u32("#address-cells", 1).unwrap();
        tree.property_u32("#size-cells", 0).unwrap();
        for cpu in 0..2 {
            let node = tree.begin_node(&alloc::format!("cpu@{cpu}")).unwrap();
            tree.property_u32("reg", cpu).unwrap();
            tree.end_node(node).unwrap();
        }
        tree.end_node(cpus).unwrap();
        let memory = tree.begin_node("memory@40000000").unwrap();
        tree.property_string("device_type", "memory").unwrap();
        tree.property_array_u64("reg", &[0x4000_0000, 0xC000_0000]).unwrap();
        tree.end_node(memory).unwrap();
        let secure = tree.begin_node("secram@e000000").unwrap();
        tree.property_string("device_type", "memory").unwrap();
        tree.property_string("status", "disabled").unwrap();
        tree.property_string("secure-status", "okay").unwrap();
        tree.property_array_u64("reg", &[0xe00_0000, 0x100_0000]).unwrap();
        tree.end_node(secure).unwrap();
        let reserved = tree.begin_node("reserved-memory").unwrap();
        tree.property_u32("#address-cells", 2).unwrap();
        tree.property_u32("#size-cells", 2).unwrap();
        tree.property_null("ranges").unwrap();
        let rmm = tree.begin_node("rmm@40100000").unwrap();
        tree.property_array_u64("reg", &[0x4010_0000, 0x180_0000]).unwrap();
        tree.end_node(rmm).unwrap();
        tree.end_node(reserved).unwrap();
        tree.end_node(root).unwrap();
        let facts = read_device_tree(&tree.finish().unwrap()).unwrap();
        assert_eq!(facts.ram, [0x4000_0000..0x4010_0000, 0x4190_0000..0x1_0000_0000]);
        assert_eq!(facts.cpus, [0, 1]);
    }
}
