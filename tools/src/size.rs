//! `cargo xtask size`: what the monitor occupies, and the budget that it must keep.

use anyhow::bail;

use crate::cli::LogLevel;
use crate::fault::IoContext;
use crate::image::{Kind, MONITOR, Sizes, build};

/// Code and constants of a release image, attestation included, in bytes. Both versions of the
/// interface have copies of their own of what is called most: at `opt-level = "s"` this could be
/// 210 KiB, and an entry of a REC would take 12 % more.
const READ_ONLY_BUDGET: u64 = 240 << 10;

/// The whole loadable image, in bytes.
const IMAGE_BUDGET: u64 = 288 << 10;

/// The `size` subcommand: builds the monitor, prints the table, fails if it is over budget.
pub(crate) fn command() -> anyhow::Result<()> {
    let elf = build(MONITOR, LogLevel::Info)?;
    let sizes = Sizes::read(&std::fs::read(&elf).at("read", &elf)?)?;
    println!("{:<24} {:>10}  kind", "section", "bytes");
    for (name, size, kind) in &sizes.sections {
        println!("{name:<24} {size:>10}  {}", format!("{kind:?}").to_lowercase());
    }
    println!();
    let rows = budget(&sizes);
    for (what, size, limit) in &rows {
        println!("{what:<24} {size:>10}  of {limit} ({} %)", size * 100 / limit);
    }
    println!(
        "{:<24} {:>10}  zeroed at boot, not in the image",
        "bss and stacks",
        sizes.of(Kind::Bss)
    );
    match rows.iter().find(|(_, size, limit)| size > limit) {
        Some((what, size, limit)) => bail!("{what}: {size} bytes are over the budget of {limit}"),
        None => Ok(()),
    }
}

/// What is budgeted: name, size, limit.
fn budget(sizes: &Sizes) -> [(&'static str, u64, u64); 2] {
    [
        ("text and rodata", sizes.of(Kind::Text) + sizes.of(Kind::Rodata), READ_ONLY_BUDGET),
        ("whole flat image", sizes.flat, IMAGE_BUDGET),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_rodata_count_together() {
        let sizes = Sizes {
            sections: vec![
                (".text".into(), 100, Kind::Text),
                (".rodata".into(), 20, Kind::Rodata),
                (".bss".into(), 4000, Kind::Bss),
            ],
            flat: 130,
        };
        assert_eq!(budget(&sizes).map(|(_, size, _)| size), [120, 130]);
    }
}
