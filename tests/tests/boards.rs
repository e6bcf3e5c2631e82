//! One image for every board: what EL3 passes on each of them, and what the monitor makes of it.
//!
//! The constants are those of the boards' own crates, so a board that is added there needs an entry
//! in [`boards`] and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

use std::ops::Range;
use std::sync::Arc;

use cairn_tests::machine::config::Profile;
use cairn_tests::{harness, scenarios};
use machine::Page;
use rmm_arch::boot::carve::carve;
use rmm_arch::boot::{BootArgs, BootCode, ImageSpan};

/// What is different on a board, as far as the monitor sees it.
struct Board {
    name: &'static str,
    monitor: Range<u64>,
    shared: Range<u64>,
    dram: Vec<Range<u64>>,
    console: u64,
    console_clock: u64,
    cpus: u64,
}

fn boards() -> [Board; 3] {
    [
        Board {
            name: "QEMU virt",
            monitor: platform_qemu::MONITOR,
            shared: platform_qemu::SHARED_BUFFER,
            dram: vec![platform_qemu::DRAM],
            console: platform_qemu::CONSOLE,
            console_clock: 1,
            cpus: platform_qemu::CPUS_MAX,
        },
        Board {
            name: "Arm FVP Base RevC",
            monitor: platform_fvp::MONITOR,
            shared: platform_fvp::SHARED_BUFFER,
            dram: platform_fvp::DRAM.to_vec(),
            console: platform_fvp::CONSOLE,
            console_clock: platform_fvp::CONSOLE_CLOCK_HZ,
            cpus: platform_fvp::CPUS_MAX,
        },
        Board {
            name: "QEMU sbsa-ref",
            monitor: platform_sbsa::MONITOR,
            shared: platform_sbsa::SHARED_BUFFER,
            dram: platform_sbsa::DRAM.to_vec(),
            console: platform_sbsa::CONSOLE,
            console_clock: 1,
            cpus: platform_sbsa::CPUS_MAX,
        },
    ]
}

/// Bytes of the image with its zeroed data; the size budget of `cargo xtask size` is half of it.
const IMAGE_BYTES: u64 = 512 << 10;

impl Board {
    /// The boot manifest, version 0.3: header, banks, one console.
    ///
    /// Source: RMM-EL3 communication interface, "RMM-EL3 Boot Manifest".
    fn manifest(&self) -> Page {
        let sum = |words: &[u64]| words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
        let banks: Vec<u64> =
            self.dram.iter().flat_map(|bank| [bank.start, bank.end - bank.start]).collect();
        let console =
            [self.console, 1, u64::from_le_bytes(*b"pl011\0\0\0"), self.console_clock, 115_200, 0];
        let banks_at = self.shared.start + 64;
        let console_at = banks_at + 8 * banks.len() as u64;
        let count = self.dram.len() as u64;
        let banks_sum = sum(&banks).wrapping_add(count).wrapping_add(banks_at).wrapping_neg();
        let console_sum = sum(&console).wrapping_add(1).wrapping_add(console_at).wrapping_neg();
        let mut page = Page([0; 512]);
        let words = [3, 0, count, banks_at, banks_sum, 1, console_at, console_sum];
        for (to, from) in page.0.iter_mut().zip(words.iter().chain(&banks).chain(&console)) {
            *to = *from;
        }
        page
    }

    fn image(&self) -> ImageSpan {
        ImageSpan { base: self.monitor.start, end: self.monitor.start + IMAGE_BYTES }
    }

    fn arguments(&self) -> BootArgs {
        BootArgs {
            cpu: 0,
            interface: 4,
            cpus: self.cpus,
            shared_buffer: self.shared.start,
            pa_bits: 48,
        }
    }
}

#[test]
fn the_monitor_takes_all_memory_of_the_normal_world_and_none_of_its_own() {
    for board in boards() {
        let layout = rmm::boot::plan(&board.arguments(), &board.image(), &board.manifest());
        let layout = layout.unwrap_or_else(|code| panic!("{}: {code:?}", board.name));
        assert_eq!(layout.console, Some(board.console), "{}", board.name);
        assert_eq!(layout.cpus as u64, board.cpus);
        assert!(!layout.console_checksum_deviates);
        let own = board.monitor.start..board.shared.end;
        let has =
            |pa: u64| layout.banks.iter().any(|b| (b.base..b.base + b.size_bytes).contains(&pa));
        for bank in &board.dram {
            for pa in [bank.start, bank.end - 0x1000] {
                assert!(has(pa), "{}: {pa:#x}", board.name);
            }
        }
        assert!(!has(own.start) && !has(own.end - 0x1000), "{}", board.name);
        let tracked: u64 = layout.banks.iter().map(|bank| bank.size_bytes).sum();
        let dram: u64 = board.dram.iter().map(|bank| bank.end - bank.start).sum();
        let is_inside = board.dram.iter().any(|bank| bank.contains(&own.start));
        let inside = if is_inside { own.end - own.start } else { 0 };
        assert_eq!(tracked, dram - inside, "{}", board.name);
    }
}

#[test]
fn tables_stacks_and_granule_words_fit_the_window() {
    for board in boards() {
        let layout =
            rmm::boot::plan(&board.arguments(), &board.image(), &board.manifest()).unwrap();
        let words: u64 = layout.banks.iter().map(|bank| bank.size_bytes / 4096).sum();
        let carve = carve(board.image().end, board.monitor.end, board.cpus, words).unwrap();
        assert!(carve.end <= board.monitor.end, "{}", board.name);
        // Two bytes for each granule are the largest part.
        assert!(carve.end - carve.words >= 2 * words);
    }
}

#[test]
fn every_changed_word_of_the_bank_list_is_refused_on_every_board() {
    for board in boards() {
        for word in 2..=4 {
            let mut page = board.manifest();
            page.0[word] ^= 0x1000;
            let refused = rmm::boot::plan(&board.arguments(), &board.image(), &page);
            assert_eq!(refused.err(), Some(BootCode::ManifestData), "{}, {word}", board.name);
        }
        for word in 8..8 + 2 * board.dram.len() {
            let mut page = board.manifest();
            page.0[word] ^= 0x1000;
            let refused = rmm::boot::plan(&board.arguments(), &board.image(), &page);
            assert_eq!(refused.err(), Some(BootCode::ManifestData), "{}, {word}", board.name);
        }
    }
}

#[test]
fn realms_live_and_granules_move_on_both_banks_of_fvp() {
    // A machine with 4 GiB takes seconds to make and to look through, so these two stand for all.
    let wanted = ["life/several_realms", "granule_delegate/success/anywhere"];
    let found: Vec<_> = scenarios::all()
        .scenarios
        .into_iter()
        .filter(|scenario| wanted.contains(&scenario.name.as_str()))
        .collect();
    assert_eq!(found.len(), wanted.len());
    for scenario in found {
        let scenario = Arc::new(scenario);
        harness::run_on(Profile::Fvp, &scenario)
            .unwrap_or_else(|why| panic!("{}: {why}", scenario.name));
    }
}
