//! RSI calls of a Realm.

use alloc::format;

use super::good::{IPA, request};
use super::registry::Registry;
use crate::abi::{Command, RealmParams, RecEnter, RecExit, enter_flags, exit_reason, ripas, rsi};
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Access, Action, Observed};
use crate::rec::{Rec, smc};
use crate::world::{World, secret_page};

const WORD: Access = Access::WORD;

pub(super) fn add(registry: &mut Registry) {
    add_version(registry);
    add_config(registry);
    add_measurement(registry);
    add_state_set(registry);
    add_state_get(registry);
    add_host_call(registry);
    add_attestation(registry);
}

/// X0 to X3 of a call that returns at once.
fn call(w: &mut World<'_>, rec: &Rec, arguments: &[u64]) -> Outcome<[u64; 4]> {
    let results = w.smc(rec, arguments)?;
    Ok([results[0], results[1], results[2], results[3]])
}

/// A call with outputs fails with this code; what its outputs are then is open.
fn refused(w: &mut World<'_>, rec: &Rec, arguments: &[u64], code: u64) -> Outcome {
    same("X0", call(w, rec, arguments)?[0], code)
}

fn add_version(registry: &mut Registry) {
    registry.add("rsi_version/supported", |w| {
        let rec = w.running()?;
        let results = call(w, &rec, &[rsi::VERSION, 0x1_0000, 9, 9])?;
        same("results", results, [rsi::SUCCESS, 0x1_0000, 0x1_0000, 0])
    });
    registry.add("rsi_version/unsupported", |w| {
        let rec = w.running()?;
        for version in [0, 1, 0x1_0001, 0x2_0000, u64::MAX] {
            let results = call(w, &rec, &[rsi::VERSION, version])?;
            same("results", results, [rsi::ERROR_INPUT, 0x1_0000, 0x1_0000, 0])?;
        }
        Ok(())
    });
    registry.add("rsi_features/all_indices", |w| {
        let rec = w.running()?;
        for index in [0, 1, u64::MAX] {
            let results = call(w, &rec, &[rsi::FEATURES, index, 9, 9])?;
            same("results", results, [rsi::SUCCESS, 0, 0, 0])?;
        }
        Ok(())
    });
    registry.add("rsi/other_registers_kept", |w| {
        let rec = w.running()?;
        let results = w.smc(&rec, &[rsi::VERSION, 0x1_0000, 2, 3, 4, 5, 6, 7, 8, 9, 10])?;
        same("X4 to X10", &results[4..11], [4, 5, 6, 7, 8, 9, 10].as_slice())
    });
    registry.add("rsi/outputs_of_failed_calls", |w| {
        let rec = w.running()?;
        for (arguments, code) in [
            ([rsi::MEASUREMENT_READ, 5, 7, 7], rsi::ERROR_INPUT),
            ([rsi::IPA_STATE_SET, 0x1000, 0x1000, 0], rsi::ERROR_INPUT),
            ([rsi::IPA_STATE_GET, 0x1000, 0x1000, 7], rsi::ERROR_INPUT),
            ([rsi::ATTESTATION_TOKEN_CONTINUE, 0, 0, 0x1000], rsi::ERROR_STATE),
        ] {
            same("results", call(w, &rec, &arguments)?, [code, 0, 0, 0])?;
        }
        Ok(())
    });
    registry.add("rsi/hints/sve", |w| {
        let rec = w.running()?;
        let results = call(w, &rec, &[rsi::VERSION | 1 << 16, 0x1_0000])?;
        same("results", results, [rsi::SUCCESS, 0x1_0000, 0x1_0000, 0])
    });
    registry.add("rsi/fid_in_w0", |w| {
        let rec = w.running()?;
        let results = call(w, &rec, &[rsi::VERSION | 0xffff_ffff << 32, 0x1_0000])?;
        same("results", results, [rsi::SUCCESS, 0x1_0000, 0x1_0000, 0])
    });
}

/// The three ways in which a page of the Realm may not be there for a call: an exit, and the call
/// works afterwards.
fn add_absent_page(registry: &mut Registry, name: &'static str, make: fn(u64) -> Action) {
    registry.add(format!("{name}/page_ram_unassigned"), move |w| {
        let rec = w.running()?;
        w.tables(&rec.realm, IPA, 3)?;
        request(w, &rec, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        w.call(Command::RttSetRipas, [rec.realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        let exit = w.run(&rec, &[make(IPA)])?;
        same("exit", exit, absent(IPA, 3))?;
        w.data_unknown(&rec.realm, IPA)?;
        // The call is repeated.
        w.enter(&rec)?;
        Ok(())
    });
    registry.add(format!("{name}/page_destroyed"), move |w| {
        let rec = w.running()?;
        w.call(Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        same("exit", w.run(&rec, &[make(0)])?, absent(0, 3))
    });
    registry.add(format!("{name}/page_empty"), move |w| {
        let rec = w.running()?;
        let observed = w.observe(&rec, &[make(IPA)])?;
        match observed.as_slice() {
            [Observed::Smc(results)] => same("X0", results[0], rsi::ERROR_INPUT),
            other => fail(format!("observed {other:x?}")),
        }
    });
}

/// The exit for a page that the Host has to provide.
fn absent(ipa: u64, level: u64) -> RecExit {
    RecExit {
        exit_reason: exit_reason::SYNC,
        esr: 0x24 << 26 | (4 + level),
        hpfar: ipa >> 8,
        ..RecExit::default()
    }
}

fn add_config(registry: &mut Registry) {
    for (name, algorithm, width) in [("sha256_40", 0, 40), ("sha512_48", 1, 48)] {
        registry.add(format!("rsi_realm_config/success/{name}"), move |w| {
            let params = RealmParams {
                hash_algo: algorithm,
                rpv: [11, 22, 33, 44, 55, 66, 77, 88],
                ..w.realm_params(width, 0, 1)?
            };
            let realm = w.realm_with(&params)?;
            w.tables(&realm, 0, 3)?;
            w.data(&realm, 0, &secret_page(1))?;
            let rec = w.rec(&realm, 0)?;
            w.activate(&realm)?;
            let mut actions = alloc::vec![smc(&[rsi::REALM_CONFIG, 0])];
            actions.extend((0..512).map(|word| Action::Load(word * 8, WORD)));
            let observed = w.observe(&rec, &actions)?;
            for (word, observed) in observed.iter().skip(1).enumerate() {
                let expected = match word {
                    0 => width,
                    1 => algorithm,
                    64..=71 => params.rpv[word - 64],
                    _ => 0,
                };
                same("word", observed, &Observed::Value(expected))?;
            }
            Ok(())
        });
    }
    registry.add("rsi_realm_config/addr_align", |w| {
        let rec = w.running()?;
        for ipa in [1, 8, 0x800] {
            same("X0", call(w, &rec, &[rsi::REALM_CONFIG, ipa])?, [rsi::ERROR_INPUT, 0, 0, 0])?;
        }
        Ok(())
    });
    registry.add("rsi_realm_config/addr_bound", |w| {
        let rec = w.running()?;
        for ipa in [rec.realm.unprotected(), rec.realm.end(), 1 << 63, u64::MAX - 0xfff] {
            same("X0", call(w, &rec, &[rsi::REALM_CONFIG, ipa])?, [rsi::ERROR_INPUT, 0, 0, 0])?;
        }
        Ok(())
    });
    add_absent_page(registry, "rsi_realm_config", |ipa| smc(&[rsi::REALM_CONFIG, ipa]));
    registry.add("rsi_realm_config/success/inside_a_block", |w| {
        let (realm, _) = super::data::folded_block(w)?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let actions = [smc(&[rsi::REALM_CONFIG, IPA + 0x9000]), Action::Load(IPA + 0x9000, WORD)];
        let observed = w.observe(&rec, &actions)?;
        same("width", observed.last(), Some(&Observed::Value(40)))
    });
}

fn add_measurement(registry: &mut Registry) {
    registry.add("rsi_measurement_read/index", |w| {
        let rec = w.running()?;
        for index in [5, 6, 255, u64::MAX] {
            refused(w, &rec, &[rsi::MEASUREMENT_READ, index, 7, 7], rsi::ERROR_INPUT)?;
        }
        Ok(())
    });
    registry.add("rsi_measurement_read/success", |w| {
        let rec = w.running()?;
        let rim = w.smc(&rec, &[rsi::MEASUREMENT_READ, 0])?;
        holds("a RIM of 32 bytes", rim[0] == 0 && rim[1] != 0 && rim[5..9] == [0; 4])?;
        for index in 1..=4 {
            let rem = w.smc(&rec, &[rsi::MEASUREMENT_READ, index])?;
            same("REM", rem[..9].iter().copied().max(), Some(0))?;
        }
        Ok(())
    });
    registry.add("rsi_measurement_extend/index", |w| {
        let rec = w.running()?;
        for index in [0, 5, u64::MAX] {
            let results = call(w, &rec, &[rsi::MEASUREMENT_EXTEND, index, 32])?;
            same("results", results, [rsi::ERROR_INPUT, 0, 0, 0])?;
        }
        Ok(())
    });
    registry.add("rsi_measurement_extend/size", |w| {
        let rec = w.running()?;
        for size in [65, 256, 1 << 32, u64::MAX] {
            let results = call(w, &rec, &[rsi::MEASUREMENT_EXTEND, 1, size])?;
            same("results", results, [rsi::ERROR_INPUT, 0, 0, 0])?;
        }
        same("size 0", call(w, &rec, &[rsi::MEASUREMENT_EXTEND, 1, 0])?, [0, 0, 0, 0])?;
        same("size 64", call(w, &rec, &[rsi::MEASUREMENT_EXTEND, 1, 64])?, [0, 0, 0, 0])
    });
    registry.add("rsi_measurement_extend/success/only_its_index", |w| {
        let rec = w.running()?;
        let before = w.smc(&rec, &[rsi::MEASUREMENT_READ, 0])?;
        call(w, &rec, &[rsi::MEASUREMENT_EXTEND, 3, 8, 0x1234])?;
        same("RIM", w.smc(&rec, &[rsi::MEASUREMENT_READ, 0])?, before)?;
        for index in 1..=4 {
            let rem = w.smc(&rec, &[rsi::MEASUREMENT_READ, index])?;
            same("extended", rem[1..9].iter().any(|&word| word != 0), index == 3)?;
        }
        Ok(())
    });
}

fn add_state_set(registry: &mut Registry) {
    let bad: &[(&str, [u64; 3])] = &[
        ("base_align", [0x800, 0x2000, 0]),
        ("top_align", [0, 0x1800, 0]),
        ("size_valid", [0x1000, 0x1000, 0]),
        ("size_valid/wraps", [u64::MAX - 0xfff, 0, 0]),
        ("rgn_bound", [0, (1 << 39) + 0x1000, 0]),
        ("rgn_bound/unprotected", [1 << 39, (1 << 39) + 0x1000, 0]),
        ("rgn_bound/beyond", [1 << 52, (1 << 52) + 0x1000, 0]),
        ("ripas_valid", [0, 0x1000, 2]),
        ("ripas_valid/3", [0, 0x1000, 3]),
        ("ripas_valid/255", [0, 0x1000, 255]),
    ];
    for (name, [base, top, value]) in bad {
        let arguments = [rsi::IPA_STATE_SET, *base, *top, *value, 0];
        registry.add(format!("rsi_ipa_state_set/{name}"), move |w| {
            let rec = w.running()?;
            refused(w, &rec, &arguments, rsi::ERROR_INPUT)
        });
    }
    for (name, wanted) in [("ram", ripas::RAM), ("empty", ripas::EMPTY)] {
        registry.add(format!("rsi_ipa_state_set/exit_{name}"), move |w| {
            let rec = w.running()?;
            let exit = w.run(&rec, &[smc(&[rsi::IPA_STATE_SET, IPA, IPA + 0x3000, wanted, 0])])?;
            let expected = RecExit {
                exit_reason: exit_reason::RIPAS_CHANGE,
                ripas_base: IPA,
                ripas_top: IPA + 0x3000,
                ripas_value: wanted,
                ..RecExit::default()
            };
            same("exit", exit, expected)
        });
    }
    // What the Host did (pages), what it answers, what the Realm reads.
    for (name, wanted, done, flags, response) in [
        ("all_accepted", ripas::RAM, 3, 0, 0),
        ("all_then_reject_is_accept", ripas::RAM, 3, enter_flags::RIPAS_REJECT, 0),
        ("one_of_three", ripas::RAM, 1, 0, 0),
        ("nothing_done", ripas::RAM, 0, 0, 0),
        ("rejected", ripas::RAM, 0, enter_flags::RIPAS_REJECT, 1),
        ("rejected_after_one", ripas::RAM, 1, enter_flags::RIPAS_REJECT, 1),
        ("empty_cannot_be_rejected", ripas::EMPTY, 1, enter_flags::RIPAS_REJECT, 0),
        ("empty_nothing_done", ripas::EMPTY, 0, 0, 0),
    ] {
        registry.add(format!("rsi_ipa_state_set/answer/{name}"), move |w| {
            let rec = w.running()?;
            w.tables(&rec.realm, IPA, 3)?;
            request(w, &rec, (IPA, IPA + 0x3000), wanted, 0)?;
            if done != 0 {
                let args = [rec.realm.rd, rec.pa, IPA, IPA + done * 0x1000];
                w.call(Command::RttSetRipas, args)?.ok()?;
            }
            let mut enter = RecEnter::flags(flags);
            enter.gprs = [0xbad; 31];
            let observed = w.finish(&rec, &enter)?;
            let [Observed::Smc(results)] = observed.as_slice() else {
                return fail(format!("observed {observed:x?}"));
            };
            let expected = [rsi::SUCCESS, IPA + done * 0x1000, response, 0];
            same("results", results[..4].to_vec(), expected.to_vec())
        });
    }
}

fn add_state_get(registry: &mut Registry) {
    let bad: &[(&str, [u64; 2])] = &[
        ("base_align", [0x800, 0x2000]),
        ("end_align", [0, 0x1800]),
        ("size_valid", [0x1000, 0x1000]),
        ("size_valid/negative", [0x2000, 0x1000]),
        ("rgn_bound", [0, (1 << 39) + 0x1000]),
        ("rgn_bound/unprotected", [1 << 39, (1 << 39) + 0x1000]),
    ];
    for (name, [base, end]) in bad {
        let arguments = [rsi::IPA_STATE_GET, *base, *end];
        registry.add(format!("rsi_ipa_state_get/{name}"), move |w| {
            let rec = w.running()?;
            refused(w, &rec, &arguments, rsi::ERROR_INPUT)
        });
    }
    registry.add("rsi_ipa_state_get/success", |w| states(w, false));
    registry.add("rsi_ipa_state_get/success/as_far_as_it_goes", |w| states(w, true));
    registry.add("rsi_ipa_state_get/success/inside_a_block_entry", |w| {
        let rec = w.running()?;
        // The walk ends at level 1, in the middle of its entry.
        let base = (5 << 30) + 0x7000;
        let [code, top, value, x3] = call(w, &rec, &[rsi::IPA_STATE_GET, base, base + 0x2000])?;
        same("code, RIPAS, X3", (code, value, x3), (rsi::SUCCESS, ripas::EMPTY, 0))?;
        holds("base < top <= end", top > base && top <= base + 0x2000)
    });
}

/// The RIPAS of a range that has several: never beyond the first change; or just as far, which the
/// text does not demand.
fn states(w: &mut World<'_>, all: bool) -> Outcome {
    let realm = w.realm()?;
    w.tables(&realm, 0, 3)?;
    w.call(Command::RttInitRipas, [realm.rd, 0, 0x3000])?.ok()?;
    for page in 0..3 {
        w.data_unknown(&realm, page * 0x1000)?;
    }
    let rec = w.rec(&realm, 0)?;
    w.activate(&realm)?;
    w.call(Command::DataDestroy, [realm.rd, 0x2000])?.ok()?;
    for (base, end, expected, value) in [
        (0, 0x1000, 0x1000, ripas::RAM),
        (0, 0x10_0000, 0x2000, ripas::RAM),
        (0x1000, 0x10_0000, 0x2000, ripas::RAM),
        (0x2000, 0x10_0000, 0x3000, ripas::DESTROYED),
        (0x3000, 0x10_0000, 0x10_0000, ripas::EMPTY),
    ] {
        let [code, top, seen, x3] = call(w, &rec, &[rsi::IPA_STATE_GET, base, end])?;
        same("code, RIPAS, X3", (code, seen, x3), (rsi::SUCCESS, value, 0))?;
        holds("base < top, and one RIPAS up to there", top > base && top <= expected)?;
        holds("as far as it goes", !all || top == expected)?;
    }
    let [code, top, value, _] = call(w, &rec, &[rsi::IPA_STATE_GET, 0x3000, 1 << 39])?;
    same("code, RIPAS", (code, value), (rsi::SUCCESS, ripas::EMPTY))?;
    holds("base < top <= end", top > 0x3000 && top <= 1 << 39)
}

/// A Realm with a host call structure at 0x100: imm 0xabcd, gprs 1000 and up.
fn host_call_realm(w: &mut World<'_>) -> Outcome<Rec> {
    let realm = w.realm()?;
    w.tables(&realm, 0, 3)?;
    let mut page = [0x5ec3_e75e_c3e7_5ec3; 512];
    page[0x100 / 8] = 0xffff_ffff_ffff_abcd;
    for number in 0..31 {
        page[0x108 / 8 + number] = 1000 + number as u64;
    }
    w.data(&realm, 0, &page)?;
    let rec = w.rec(&realm, 0)?;
    w.activate(&realm)?;
    Ok(rec)
}

fn add_host_call(registry: &mut Registry) {
    registry.add("rsi_host_call/success", |w| {
        let rec = host_call_realm(w)?;
        let mut actions = alloc::vec![smc(&[rsi::HOST_CALL, 0x100, 5, 6])];
        actions.extend((0..34).map(|word| Action::Load(0xf8 + word * 8, WORD)));
        let exit = w.run(&rec, &actions)?;
        let expected = RecExit {
            exit_reason: exit_reason::HOST_CALL,
            imm: 0xabcd,
            gprs: core::array::from_fn(|number| 1000 + number as u64),
            ..RecExit::default()
        };
        same("exit", exit, expected)?;
        let enter = RecEnter {
            gprs: core::array::from_fn(|number| 2000 + number as u64),
            ..RecEnter::default()
        };
        let observed = w.finish(&rec, &enter)?;
        let Some((Observed::Smc(results), loads)) = observed.split_first() else {
            return fail(format!("observed {observed:x?}"));
        };
        same("X0 to X3", results[..4].to_vec(), [rsi::SUCCESS, 0, 0, 0].to_vec())?;
        // The words around the registers are left alone.
        for (word, load) in loads.iter().enumerate() {
            let value = match word {
                1 => 0xffff_ffff_ffff_abcd,
                2..=32 => 2000 + word as u64 - 2,
                _ => 0x5ec3_e75e_c3e7_5ec3,
            };
            same("word", load, &Observed::Value(value))?;
        }
        Ok(())
    });
    registry.add("rsi_host_call/success/end_of_page", |w| {
        let rec = host_call_realm(w)?;
        let exit = w.run(&rec, &[smc(&[rsi::HOST_CALL, 0xf00])])?;
        same("last register", exit.gprs[30], 0x5ec3_e75e_c3e7_5ec3)?;
        w.finish(&rec, &RecEnter::default())?;
        Ok(())
    });
    registry.add("rsi_host_call/addr_align", |w| {
        let rec = host_call_realm(w)?;
        for ipa in [1, 8, 0x80, 0x180, 0x1ff] {
            same("X0", call(w, &rec, &[rsi::HOST_CALL, ipa])?, [rsi::ERROR_INPUT, 0, 0, 0])?;
        }
        Ok(())
    });
    registry.add("rsi_host_call/addr_bound", |w| {
        let rec = host_call_realm(w)?;
        for ipa in [rec.realm.unprotected(), rec.realm.end(), u64::MAX - 0xff] {
            same("X0", call(w, &rec, &[rsi::HOST_CALL, ipa])?, [rsi::ERROR_INPUT, 0, 0, 0])?;
        }
        Ok(())
    });
    add_absent_page(registry, "rsi_host_call", |ipa| smc(&[rsi::HOST_CALL, ipa]));
    registry.add("rsi_host_call/hpfar_is_a_page", |w| {
        let rec = host_call_realm(w)?;
        w.call(Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        same("exit", w.run(&rec, &[smc(&[rsi::HOST_CALL, 0xf00])])?, absent(0, 3))
    });
    registry.add("rsi_host_call/page_taken_before_the_answer", |w| {
        let rec = host_call_realm(w)?;
        w.run(&rec, &[smc(&[rsi::HOST_CALL, 0x100]), Action::Load(0x108, WORD)])?;
        w.call(Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        let mut enter = RecEnter { gprs: [3000; 31], ..RecEnter::default() };
        enter.gicv3_lrs[0] = 1 << 62 | 1 << 60 | 27;
        // The REC cannot go on; what the Host queued is not lost.
        let mut expected = absent(0, 3);
        expected.gicv3_lrs[0] = enter.gicv3_lrs[0];
        same("exit", w.enter_with(&rec, &enter)?, expected.clone())?;
        same("again", w.enter_with(&rec, &enter)?, expected)?;
        // Nor can the Host pretend that it was an access of the Realm's.
        let mmio = RecEnter::flags(enter_flags::EMUL_MMIO);
        w.enter_raw(&rec, &mmio)?.is(crate::abi::REC)?;
        Ok(())
    });
    registry.add("rsi_host_call/page_made_empty_before_the_answer", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 3)?;
        w.data(&realm, 0, &[7; 512])?;
        let first = w.rec(&realm, 0)?;
        let second = w.rec(&realm, 1)?;
        w.activate(&realm)?;
        w.run(&first, &[smc(&[rsi::HOST_CALL, 0x100])])?;
        request(w, &second, (0, 0x1000), ripas::EMPTY, 0)?;
        w.call(Command::RttSetRipas, [realm.rd, second.pa, 0, 0x1000])?.ok()?;
        let observed = w.finish(&first, &RecEnter::default())?;
        match observed.as_slice() {
            [Observed::Smc(results)] => same("X0", results[0], rsi::SUCCESS),
            other => fail(format!("observed {other:x?}")),
        }
    });
}

fn add_attestation(registry: &mut Registry) {
    const INIT: u64 = rsi::ATTESTATION_TOKEN_INIT;
    const CONTINUE: u64 = rsi::ATTESTATION_TOKEN_CONTINUE;
    registry.add("rsi_attestation_token_init/success", |w| {
        let rec = w.running()?;
        let [code, bound, x2, x3] = call(w, &rec, &[INIT, 1, 2, 3, 4, 5, 6, 7, 8])?;
        same("X0, X2, X3", [code, x2, x3], [rsi::SUCCESS, 0, 0])?;
        holds("an upper bound", bound != 0)
    });
    registry.add("rsi_attestation_token_continue/state", |w| {
        let rec = w.running()?;
        refused(w, &rec, &[CONTINUE, 0, 0, 0x1000], rsi::ERROR_STATE)
    });
    for (name, arguments) in [
        ("addr_align", [CONTINUE, 0x800, 0, 0x100]),
        ("addr_bound", [CONTINUE, 1 << 39, 0, 0x100]),
        ("offset_bound", [CONTINUE, 0, 0x1000, 0]),
        ("size_overflow", [CONTINUE, 0, 0x800, u64::MAX]),
        ("size_bound", [CONTINUE, 0, 0x800, 0x801]),
    ] {
        registry.add(format!("rsi_attestation_token_continue/{name}"), move |w| {
            let rec = w.running()?;
            call(w, &rec, &[INIT, 1])?;
            refused(w, &rec, &arguments, rsi::ERROR_INPUT)
        });
    }
}
