//! Boot decisions: EL3's registers and manifest.

mod alike;
mod announce;
pub mod manifest;

pub use alike::{Difference, difference};
pub use announce::{announce, announce_no_key, announce_stranger};

use machine::Page;
use machine::dram::{Bank, Banks};
use rmm_arch::boot::{BootArgs, BootCode, ImageSpan, Layout};
use rmm_arch::el3;

use manifest::Manifest;

/// Judges what EL3 passes at cold boot.
///
/// # Errors
///
/// The code for EL3, in the order of the interface: version, CPUs, shared buffer, manifest.
///
/// Source: RMM-EL3 communication interface 0.x and 2.0, "Cold boot", "RMM_BOOT_COMPLETE".
pub fn plan(args: &BootArgs, image: &ImageSpan, page: &Page) -> Result<Layout, BootCode> {
    if el3::interface(args.interface).is_none() {
        return Err(BootCode::InterfaceVersion);
    }
    let cpus = usize::try_from(args.cpus).map_err(|_| BootCode::CpuCount)?;
    if cpus == 0 {
        return Err(BootCode::CpuCount);
    }
    if args.cpu >= args.cpus {
        return Err(BootCode::CpuId);
    }
    let shared = args.shared_buffer;
    if shared == 0 || !shared.is_multiple_of(granule::PAGE_SIZE) || shared >> args.pa_bits != 0 {
        return Err(BootCode::SharedBuffer);
    }
    if (image.base..image.end).contains(&shared) {
        return Err(BootCode::SharedBuffer);
    }
    let manifest = Manifest::parse(page, shared, args.pa_bits)?;
    let own =
        [(image.base, image.limit(shared)), (shared, shared.saturating_add(granule::PAGE_SIZE))];
    let mut banks = manifest.dram;
    let mut reserved = Banks::new();
    for (base, top) in own {
        for bank in &banks {
            let (from, to) = (bank.base.max(base), bank.end().min(top));
            if from < to {
                let piece = Bank { base: from, size_bytes: to - from };
                reserved.push(piece).map_err(|_| BootCode::ManifestData)?;
            }
        }
        banks = without(&banks, base, top).ok_or(BootCode::ManifestData)?;
    }
    Ok(Layout {
        banks,
        reserved,
        console: manifest.console,
        cpus,
        console_checksum_deviates: manifest.console_checksum_deviates,
    })
}

/// `banks` without `[base, top)`; `None` if the holes leave too many pieces.
fn without(banks: &Banks, base: u64, top: u64) -> Option<Banks> {
    let mut rest = Banks::new();
    for bank in banks {
        let end = bank.base + bank.size_bytes;
        for (from, to) in [(bank.base, end.min(base)), (bank.base.max(top), end)] {
            if from < to {
                rest.push(Bank { base: from, size_bytes: to - from }).ok()?;
            }
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::manifest::tests::{SHARED, qemu};
    use super::*;

    const IMAGE: ImageSpan = ImageSpan { base: 0x4010_0000, end: 0x4014_0000 };

    fn args() -> BootArgs {
        BootArgs { cpu: 0, interface: 4, cpus: 32, shared_buffer: SHARED, pa_bits: 48 }
    }

    fn code(args: BootArgs) -> Option<BootCode> {
        plan(&args, &IMAGE, &qemu()).err()
    }

    #[test]
    fn on_qemu_the_own_window_is_cut_out_of_the_bank() {
        let layout = plan(&args(), &IMAGE, &qemu()).unwrap();
        let banks: Vec<_> = layout.banks.iter().map(|bank| (bank.base, bank.size_bytes)).collect();
        assert_eq!(banks, [(0x4000_0000, 0x10_0000), (0x4190_0000, 0xbe70_0000)]);
        let reserved: Vec<_> = layout.reserved.iter().map(|bank| (bank.base, bank.end())).collect();
        assert_eq!(reserved, [(0x4010_0000, 0x418f_f000), (0x418f_f000, 0x4190_0000)]);
        assert_eq!((layout.console, layout.cpus), (Some(0x0900_0000), 32));
        assert!(layout.console_checksum_deviates);
    }

    #[test]
    fn every_refusal_of_the_registers_has_its_code() {
        assert_eq!(code(args()), None);
        assert_eq!(code(BootArgs { interface: 1, ..args() }), None);
        assert_eq!(code(BootArgs { interface: 0, ..args() }), Some(BootCode::InterfaceVersion));
        assert_eq!(code(BootArgs { interface: 0x2_0000, ..args() }), None);
        assert_eq!(code(BootArgs { interface: 0x2_0007, ..args() }), None);
        assert_eq!(
            code(BootArgs { interface: 0x1_0000, ..args() }),
            Some(BootCode::InterfaceVersion)
        );
        assert_eq!(
            code(BootArgs { interface: 0x3_0000, ..args() }),
            Some(BootCode::InterfaceVersion)
        );
        assert_eq!(
            code(BootArgs { interface: 1 << 31, ..args() }),
            Some(BootCode::InterfaceVersion)
        );
        assert_eq!(code(BootArgs { cpus: 0, ..args() }), Some(BootCode::CpuCount));
        assert_eq!(code(BootArgs { cpu: 32, ..args() }), Some(BootCode::CpuId));
        assert_eq!(code(BootArgs { shared_buffer: 0, ..args() }), Some(BootCode::SharedBuffer));
        assert_eq!(
            code(BootArgs { shared_buffer: 0x418f_f008, ..args() }),
            Some(BootCode::SharedBuffer)
        );
        assert_eq!(
            code(BootArgs { shared_buffer: 1 << 48, ..args() }),
            Some(BootCode::SharedBuffer)
        );
        assert_eq!(
            code(BootArgs { shared_buffer: 0x4013_f000, ..args() }),
            Some(BootCode::SharedBuffer)
        );
    }

    #[test]
    fn a_bank_that_ends_in_the_window_loses_its_end_and_others_stay() {
        let mut banks = Banks::new();
        banks.push(Bank { base: 0x1000, size_bytes: 0x3000 }).unwrap();
        banks.push(Bank { base: 0x8000, size_bytes: 0x1000 }).unwrap();
        let rest = without(&banks, 0x3000, 0x6000).unwrap();
        assert_eq!(
            rest.as_slice(),
            [Bank { base: 0x1000, size_bytes: 0x2000 }, Bank { base: 0x8000, size_bytes: 0x1000 }]
        );
        assert!(without(&banks, 0, 0x9000).unwrap().is_empty());
    }
}
