//! The firmware of Arm FVP: TF-A's package with our monitor and payload in it, and the checks of
//! where they will be.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::fault::IoContext;
use crate::process;

/// The two files that the model boots from.
#[derive(Debug)]
pub(crate) struct Package {
    /// BL1, for the trusted ROM.
    pub bl1: PathBuf,
    /// Everything else, for the flash.
    pub fip: PathBuf,
}

/// Packs the monitor `rmm` and the payload `bl33` (flat images) with TF-A in `tf_a` into `output`,
/// and checks the result.
pub(crate) fn pack(tf_a: &Path, rmm: &Path, bl33: &Path, output: &Path) -> anyhow::Result<Package> {
    let package = Package { bl1: output.join("bl1.bin"), fip: output.join("fip.bin") };
    let from = tf_a.join("bl1.bin");
    std::fs::copy(&from, &package.bl1).at("copy", &from)?;
    let mut command = Command::new(tf_a.join("fiptool"));
    command.arg("update").arg("--rmm-fw").arg(rmm).arg("--nt-fw").arg(bl33);
    command.arg("--out").arg(&package.fip).arg(tf_a.join("fip.bin"));
    process::output(&mut command).context("cannot pack the firmware")?;

    let read = |path: &Path| std::fs::read(path).at("read", path);
    let fip = read(&package.fip)?;
    check_sizes(read(&package.bl1)?.len(), fip.len())?;
    check_content(&fip, &read(rmm)?, &read(bl33)?)?;
    check_placement(&read(&tf_a.join("bl2.bin"))?)?;
    Ok(package)
}

/// What lies at an address has to fit there.
fn check_sizes(bl1: usize, fip: usize) -> anyhow::Result<()> {
    for (what, size, room) in
        [("BL1", bl1, platform_fvp::ROM), ("the firmware package", fip, platform_fvp::FLASH)]
    {
        let room = room.end - room.start;
        if u64::try_from(size).unwrap_or(u64::MAX) > room {
            bail!("{what} has {size} bytes, but its place has room for {room}");
        }
    }
    Ok(())
}

/// UUID of the monitor in a package.
///
/// Source: TF-A 2.12.1, `include/tools_share/firmware_image_package.h`,
/// `UUID_REALM_MONITOR_MGMT_FIRMWARE`.
pub(crate) const MONITOR: [u8; 16] = [
    0x6c, 0x07, 0x62, 0xa6, 0x12, 0xf2, 0x4b, 0x56, 0x92, 0xcb, 0xba, 0x8f, 0x63, 0x36, 0x06, 0xd9,
];

/// UUID of the Normal world's first program, `UUID_NON_TRUSTED_FIRMWARE_BL33`.
const PAYLOAD: [u8; 16] = [
    0xd6, 0xd0, 0xee, 0xa7, 0xfc, 0xea, 0xd5, 0x4b, 0x97, 0x82, 0x99, 0x34, 0xf2, 0x34, 0xb6, 0xe4,
];

/// The package holds what was put into it, byte for byte, and the monitor fits its window.
fn check_content(fip: &[u8], rmm: &[u8], bl33: &[u8]) -> anyhow::Result<()> {
    for (what, uuid, wanted, room) in [
        ("the monitor", MONITOR, rmm, platform_fvp::MONITOR),
        ("the host", PAYLOAD, bl33, platform_fvp::HOST),
    ] {
        let found =
            entry(fip, &uuid).with_context(|| format!("the firmware package lacks {what}"))?;
        ensure!(found == wanted, "the firmware package holds another image as {what}");
        let room = room.end - room.start;
        ensure!(
            u64::try_from(wanted.len()).is_ok_and(|size| size <= room),
            "{what} has {} bytes, but its window has room for {room}",
            wanted.len()
        );
    }
    Ok(())
}

/// The content of one entry.
///
/// Source: TF-A 2.12.1, `docs/design/firmware-design.rst`, "Firmware Image Package (FIP)": a header
/// of 16 bytes, then entries of UUID, offset, size and flags, the last of which has a UUID of
/// zeroes.
pub(crate) fn entry<'f>(fip: &'f [u8], uuid: &[u8; 16]) -> Option<&'f [u8]> {
    let (entries, _) = fip.get(16..)?.as_chunks::<40>();
    let entry = entries
        .iter()
        .take_while(|entry| entry.iter().take(16).any(|byte| *byte != 0))
        .find(|entry| entry.starts_with(uuid))?;
    let word = |at: usize| {
        let bytes = entry.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (offset, size) = (word(16)?, word(24)?);
    fip.get(offset..offset.checked_add(size)?)
}

/// BL2 will load both where the constants of `platform_fvp` say, and will not load a monitor that
/// is too large.
fn check_placement(bl2: &[u8]) -> anyhow::Result<()> {
    let limit = u32::try_from(platform_fvp::MONITOR.end - platform_fvp::MONITOR.start)?;
    let window = has_image(bl2, platform_fvp::MONITOR.start, Some(limit));
    ensure!(
        window,
        "TF-A for Arm FVP does not load the monitor at {} with room for {limit} bytes; the constants of platform/fvp \
         are wrong for this release",
        address(&platform_fvp::MONITOR)
    );
    ensure!(
        has_image(bl2, platform_fvp::HOST.start, None),
        "TF-A for Arm FVP does not load the Normal world's program at {}",
        address(&platform_fvp::HOST)
    );
    Ok(())
}

fn address(range: &Range<u64>) -> String {
    format!("{:#x}", range.start)
}

/// Whether BL2's table of images has one at `base` with this `limit`.
///
/// Source: TF-A 2.12.1, `include/export/common/bl_common_exp.h`, `image_info_t`: base (64 bits),
/// size (32 bits, 0 before loading), largest size (32 bits).
fn has_image(bl2: &[u8], base: u64, limit: Option<u32>) -> bool {
    let mut wanted = base.to_le_bytes().to_vec();
    wanted.extend([0; 4]);
    if let Some(limit) = limit {
        wanted.extend(limit.to_le_bytes());
    }
    bl2.windows(wanted.len()).step_by(8).any(|bytes| bytes == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with two entries.
    fn package(rmm: &[u8], bl33: &[u8]) -> Vec<u8> {
        let mut fip = vec![0; 16];
        let mut offset = 16 + 3 * 40;
        for (uuid, content) in [(MONITOR, rmm), (PAYLOAD, bl33)] {
            fip.extend(uuid);
            for value in [offset, content.len(), 0] {
                fip.extend(u64::try_from(value).unwrap().to_le_bytes());
            }
            offset += content.len();
        }
        fip.extend([0; 40]);
        fip.extend(rmm);
        fip.extend(bl33);
        fip
    }

    #[test]
    fn entries_are_found_and_compared() {
        let fip = package(b"monitor", b"host");
        assert_eq!(entry(&fip, &PAYLOAD), Some(b"host".as_slice()));
        assert_eq!(entry(&fip, &[1; 16]), None);
        assert!(check_content(&fip, b"monitor", b"host").is_ok());
        assert!(check_content(&fip, b"monitot", b"host").is_err());
        assert!(check_content(&fip[..fip.len() - 1], b"monitor", b"host").is_err());
        assert!(check_content(b"", b"", b"").is_err());
    }

    #[test]
    fn a_monitor_that_does_not_fit_its_window_is_refused() {
        let large = vec![1; 0x1ff_f001];
        let error = check_content(&package(&large, b""), &large, b"").unwrap_err().to_string();
        assert!(error.contains("33550336"), "{error}");
    }

    #[test]
    fn the_load_address_is_read_from_bl2() {
        let image = |base: u64, size: u32| {
            [&[7; 16], base.to_le_bytes().as_slice(), &[0; 4], &size.to_le_bytes()].concat()
        };
        let good = [image(0xfdc0_0000, 0x1ff_f000), image(0x8800_0000, 5)].concat();
        assert!(check_placement(&good).is_ok());
        let moved = [image(0xfdd0_0000, 0x1ff_f000), image(0x8800_0000, 5)].concat();
        assert!(check_placement(&moved).unwrap_err().to_string().contains("0xfdc00000"));
        let small = [image(0xfdc0_0000, 0x17f_f000), image(0x8800_0000, 5)].concat();
        assert!(check_placement(&small).is_err());
        assert!(check_placement(&image(0xfdc0_0000, 0x1ff_f000)).is_err());
    }

    #[test]
    fn the_rom_and_the_flash_have_limits() {
        assert!(check_sizes(1, 64 << 20).is_ok());
        assert!(check_sizes(1, (64 << 20) + 1).is_err());
        assert!(check_sizes((64 << 20) + 1, 1).is_err());
    }
}
