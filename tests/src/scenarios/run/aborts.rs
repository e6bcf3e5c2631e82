//! Stage 2 aborts: whose they are, and what the Host sees of them.

use alloc::format;

use super::super::good::{DESC, IPA, request};
use super::super::registry::Registry;
use super::sync_exit;
use crate::abi::{Command, RecEnter, RecExit, enter_flags, exit_reason, ripas};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Access, Action, El1, Observed, RawException};
use crate::rec::{Rec, VECTORS, idle_exit};
use crate::world::{World, secret_page};

/// Data abort from a lower level.
const DATA: u64 = 0x24 << 26;
/// Instruction abort from a lower level.
const INSTRUCTION: u64 = 0x20 << 26;

const WORD: Access = Access::WORD;

pub(super) fn add(registry: &mut Registry) {
    add_protected(registry);
    add_empty(registry);
    add_instruction(registry);
    add_unprotected(registry);
    add_raw(registry);
}

/// A running REC whose Realm has a RAM page without memory at [`IPA`].
fn ram_without_memory(w: &mut World<'_>) -> Outcome<Rec> {
    let realm = w.realm()?;
    w.tables(&realm, IPA, 3)?;
    w.call(Command::RttInitRipas, [realm.rd, IPA, IPA + 0x4000])?.ok()?;
    w.running_in(&realm)
}

fn add_protected(registry: &mut Registry) {
    for (name, action) in [
        ("load", Action::Load(IPA + 0x1ff8, WORD)),
        ("store", Action::Store(IPA + 0x1ff8, WORD, 0x5ec3)),
        ("without_syndrome", Action::Load(IPA + 0x1ff8, WORD.without_syndrome())),
    ] {
        registry.add(format!("rec_exit/data_abort/ram_unassigned_{name}"), move |w| {
            let rec = ram_without_memory(w)?;
            let exit = w.run(&rec, core::slice::from_ref(&action))?;
            same("exit", exit, sync_exit(DATA | 7, IPA + 0x1000))?;
            // With memory the instruction runs again.
            w.data_unknown(&rec.realm, IPA + 0x1000)?;
            let observed = w.finish(&rec, &RecEnter::default())?;
            same("one result", observed.len(), 1)
        });
    }
    registry.add("rec_exit/data_abort/destroyed", |w| {
        let rec = w.running()?;
        w.call(Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        let exit = w.run(&rec, &[Action::Load(0x10, WORD)])?;
        same("exit", exit, sync_exit(DATA | 7, 0))?;
        // Memory alone does not help: the Realm has to agree.
        w.data_unknown(&rec.realm, 0)?;
        same("exit", w.enter(&rec)?, sync_exit(DATA | 7, 0))
    });
    registry.add("rec_exit/data_abort/level_of_the_walk", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 2)?;
        w.call(Command::RttInitRipas, [realm.rd, 0, 0x20_0000])?.ok()?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let exit = w.run(&rec, &[Action::Load(0x3000, WORD)])?;
        same("exit", exit, sync_exit(DATA | 6, 0x3000))
    });
    registry.add("rec_exit/data_abort/not_emulatable", |w| {
        let rec = ram_without_memory(w)?;
        w.run(&rec, &[Action::Load(IPA, WORD)])?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(crate::abi::REC)?;
        Ok(())
    });
    registry
        .add("rec_exit/data_abort/mapped_meanwhile", |w| {
            // The fault is old news: another CPU has mapped the page since. The Realm just goes on.
            let rec = w.running()?;
            let raw = RawException { cause: 0, esr: DATA | 1 << 25 | 7, far: 0, hpfar: 0 };
            let exit = w.run(&rec, &[Action::Raw(raw), Action::Load(0, WORD)]);
            // A raw exception repeats for ever if the monitor retries it; the fake stops after the
            // first.
            same("exit", exit?, idle_exit())
        })
        .needs(Need::RawException);
}

fn add_empty(registry: &mut Registry) {
    registry.add("realm_abort/data/empty", |w| {
        let rec = w.running()?;
        let observed = w.observe(
            &rec,
            &[Action::SetEl1(El1::Vbar, VECTORS), Action::Store(0x40_0123, WORD, 1)],
        )?;
        let [Observed::Exception { esr, far, vector, at_instruction, pstate }] =
            observed.as_slice()
        else {
            return fail(format!("no exception but {observed:x?}"));
        };
        same("class and status", (esr >> 26, esr & 0x3f), (0x25, 0x10))?;
        same("EA, FnV, S1PTW, WnR", esr & (1 << 9 | 1 << 10 | 1 << 7 | 1 << 6), 1 << 9 | 1 << 6)?;
        same("IL", esr >> 25 & 1, 1)?;
        same("FAR", *far, 0x40_0123)?;
        same("vector", *vector, 0x200)?;
        holds("ELR is the instruction", *at_instruction)?;
        same("EL1h, DAIF masked", pstate & 0x3df, 0x3c5)
    });
    registry.add("realm_abort/data/assigned_empty", |w| {
        let rec = w.running()?;
        w.tables(&rec.realm, IPA, 3)?;
        w.data_unknown(&rec.realm, IPA)?;
        is_sea(&w.observe(&rec, &[Action::Load(IPA, WORD)])?, 0x25)
    });
    registry.add("realm_abort/data/ram_made_empty", |w| {
        let rec = w.running()?;
        w.observe(&rec, &[Action::Store(0, WORD, 5)])?;
        request(w, &rec, (0, 0x1000), ripas::EMPTY, 0)?;
        w.call(Command::RttSetRipas, [rec.realm.rd, rec.pa, 0, 0x1000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        is_sea(&w.observe(&rec, &[Action::Load(0, WORD)])?, 0x25)
    });
    registry.add("realm_abort/data/beyond_the_ipa_space", |w| {
        let rec = w.running()?;
        for ipa in [rec.realm.end(), 1 << 47] {
            is_sea(&w.observe(&rec, &[Action::Load(ipa, WORD)])?, 0x25)?;
        }
        Ok(())
    });
}

/// One synchronous external abort, of this class.
fn is_sea(observed: &[Observed], class: u64) -> Outcome {
    match observed {
        [Observed::Exception { esr, .. }] => {
            same("class, EA, status", (esr >> 26, esr >> 9 & 1, esr & 0x3f), (class, 1, 0x10))
        }
        other => fail(format!("no exception but {other:x?}")),
    }
}

fn add_instruction(registry: &mut Registry) {
    registry.add("rec_exit/instruction_abort/ram_unassigned", |w| {
        let rec = ram_without_memory(w)?;
        let exit = w.run(&rec, &[Action::Fetch(IPA + 0x2000)])?;
        same("exit", exit, sync_exit(INSTRUCTION | 7, IPA + 0x2000))?;
        w.data_unknown(&rec.realm, IPA + 0x2000)?;
        same("fetch", w.finish(&rec, &RecEnter::default())?, [Observed::Done].into())
    });
    registry.add("rec_exit/instruction_abort/destroyed", |w| {
        let rec = w.running()?;
        w.call(Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        let exit = w.run(&rec, &[Action::Fetch(0)])?;
        same("exit", exit, sync_exit(INSTRUCTION | 7, 0))
    });
    registry
        .add("rec_exit/instruction_abort/fnv_and_s1ptw_hidden", |w| {
            let rec = ram_without_memory(w)?;
            let esr = INSTRUCTION | 1 << 25 | 1 << 10 | 1 << 7 | 7;
            let raw =
                RawException { cause: 0, esr, far: 0x123, hpfar: IPA >> 8 | 0xf000_0000_0000_000f };
            let exit = w.run(&rec, &[Action::Raw(raw)])?;
            same("exit", exit, sync_exit(INSTRUCTION | 7, IPA))
        })
        .needs(Need::RawException);
    for (name, prepare) in [("empty", 0), ("unprotected_unmapped", 1), ("unprotected_mapped", 2)] {
        registry.add(format!("realm_abort/instruction/{name}"), move |w| {
            let rec = w.running()?;
            let shared = rec.realm.unprotected();
            if prepare == 2 {
                w.tables(&rec.realm, shared, 3)?;
                let args = [rec.realm.rd, shared, 3, DESC];
                w.call(Command::RttMapUnprotected, args)?.ok()?;
            }
            let ipa = if prepare == 0 { IPA } else { shared };
            is_sea(&w.observe(&rec, &[Action::Fetch(ipa)])?, 0x21)
        });
    }
}

fn add_unprotected(registry: &mut Registry) {
    registry.add("rec_exit/data_abort/unprotected_without_syndrome", |w| {
        let rec = w.running()?;
        let ipa = rec.realm.unprotected() + 0x3000;
        let exit = w.run(&rec, &[Action::Store(ipa + 8, WORD.without_syndrome(), 0x5ec3)])?;
        let [level, ..] = w.read_entry(&rec.realm, ipa, 3)?.outputs;
        same("exit", exit, sync_exit(DATA | (4 + level), ipa))?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(crate::abi::REC)?;
        Ok(())
    });
    registry.add("rec_exit/data_abort/unprotected_permission", |w| {
        let rec = w.running()?;
        let ipa = rec.realm.unprotected() + 0x3000;
        w.tables(&rec.realm, ipa, 3)?;
        // Writable only, readable only. HPFAR is not valid then.
        let host = w.granule();
        for (s2ap, action) in [
            (0b10, Action::Load(ipa, WORD.without_syndrome())),
            (0b01, Action::Store(ipa, WORD.without_syndrome(), 1)),
        ] {
            let desc = host | 0b110 << 2 | s2ap << 6;
            w.call(Command::RttMapUnprotected, [rec.realm.rd, ipa, 3, desc])?.ok()?;
            let exit = w.run(&rec, &[action])?;
            same("exit", exit, sync_exit(DATA | 0xf, ipa))?;
            w.call(Command::RttUnmapUnprotected, [rec.realm.rd, ipa, 3])?.ok()?;
        }
        Ok(())
    });
    registry.add("rec_exit/data_abort/unprotected_permission_emulatable", |w| {
        let rec = w.running()?;
        let ipa = rec.realm.unprotected();
        w.tables(&rec.realm, ipa, 3)?;
        let host = w.granule();
        let desc = host | 0b110 << 2 | 0b01 << 6;
        w.call(Command::RttMapUnprotected, [rec.realm.rd, ipa, 3, desc])?.ok()?;
        let exit = w.run(&rec, &[Action::Store(ipa + 0x10, WORD, 0x77)])?;
        let mut expected = sync_exit(DATA | 1 << 24 | 3 << 22 | 1 << 15 | 1 << 6 | 0xf, ipa);
        (expected.far, expected.gprs[0]) = (0x10, 0x77);
        same("exit", exit, expected)
    });
    registry.add("rec_exit/data_abort/unprotected_mapped_works", |w| {
        let rec = w.running()?;
        let ipa = rec.realm.unprotected();
        w.tables(&rec.realm, ipa, 3)?;
        let page = secret_page(4);
        let host = w.page(&page);
        let desc = host | 0b110 << 2 | 0b11 << 6;
        w.call(Command::RttMapUnprotected, [rec.realm.rd, ipa, 3, desc])?.ok()?;
        let actions = [Action::Load(ipa + 8, WORD), Action::Store(ipa + 16, WORD, 0x99)];
        let observed = w.observe(&rec, &actions)?;
        same("observed", observed, [Observed::Value(page[1]), Observed::Done].into())?;
        same("the Host sees it", w.port.read_page(host)[2], 0x99)
    });
    registry
        .add("rec_exit/data_abort/unprotected_break_before_make", |w| {
            // A spurious fault while another CPU folds or unfolds a mapping is not the Host's
            // business.
            let rec = w.running()?;
            let ipa = rec.realm.unprotected();
            w.tables(&rec.realm, ipa, 3)?;
            w.call(Command::RttMapUnprotected, [rec.realm.rd, ipa, 3, DESC])?.ok()?;
            let esr = DATA | 1 << 25 | 1 << 24 | 3 << 22 | 1 << 15 | 6;
            let raw = RawException { cause: 0, esr, far: ipa, hpfar: ipa >> 8 };
            same("exit", w.run(&rec, &[Action::Raw(raw)])?, idle_exit())
        })
        .needs(Need::RawException);
    registry.add("rec_exit/data_abort/granule_protection_fault", |w| {
        // The Host delegates a page that it has mapped: the Realm gets the fault, not the monitor.
        let rec = w.running()?;
        let ipa = rec.realm.unprotected();
        w.tables(&rec.realm, ipa, 3)?;
        let host = w.delegated()?;
        let desc = host | 0b110 << 2 | 0b11 << 6;
        w.call(Command::RttMapUnprotected, [rec.realm.rd, ipa, 3, desc])?.ok()?;
        let observed = w.observe(&rec, &[Action::Load(ipa, WORD)])?;
        same("observed", observed, [Observed::ProtectionFault].into())
    });
}

fn add_raw(registry: &mut Registry) {
    for (name, status) in [
        ("alignment", 0x21),
        ("tlb_conflict", 0x30),
        ("hardware_update", 0x31),
        ("exclusive", 0x35),
    ] {
        registry
            .add(format!("realm_abort/data/{name}"), move |w| {
                // HPFAR is what an earlier fault has left: here of a page that the Realm has.
                let rec = w.running()?;
                let esr = DATA | 1 << 25 | 1 << 24 | 3 << 22 | status;
                let raw = RawException { cause: 0, esr, far: rec.realm.unprotected(), hpfar: 0 };
                let actions = [Action::SetEl1(El1::Vbar, VECTORS), Action::Raw(raw)];
                is_sea(&w.observe(&rec, &actions)?, 0x25)
            })
            .needs(Need::RawException);
    }
    registry
        .add("rec_exit/data_abort/only_listed_fields", |w| {
            // Every bit of the ISS that is not part of the format for this abort.
            let rec = ram_without_memory(w)?;
            let noise = 0x1ff_ffff & !0x3f & !(1 << 24);
            let hpfar = IPA >> 8 | 0xffff_0000_0000_000f;
            let raw = RawException { cause: 0, esr: DATA | noise | 7, far: 0x5e_c3e7, hpfar };
            let exit = w.run(&rec, &[Action::Raw(raw)])?;
            same("exit", exit, sync_exit(DATA | 0x1e00 | 7, IPA))
        })
        .needs(Need::RawException);
    registry
        .add("rec_exit/data_abort/external_restartable", |w| {
            let rec = w.running()?;
            let esr = DATA | 1 << 25 | 0b11 << 11 | 1 << 9 | 0x10;
            let raw = RawException { cause: 0, esr, far: 0x123, hpfar: 0x4560 };
            let exit = w.run(&rec, &[Action::Raw(raw)])?;
            let shown = DATA | 0b11 << 11 | 1 << 9 | 0x10;
            same("exit", exit, sync_exit(shown, 0))
        })
        .needs(Need::RawException);
    registry
        .add("rec_exit/data_abort/external_recoverable", |w| {
            let rec = w.running()?;
            let esr = DATA | 1 << 25 | 1 << 9 | 0x10;
            let raw = RawException { cause: 0, esr, far: 0x123, hpfar: 0x4560 };
            let actions = [Action::SetEl1(El1::Vbar, VECTORS), Action::Raw(raw)];
            same("exit", w.run(&rec, &actions)?, sync_exit(DATA | 1 << 9 | 0x10, 0))?;
            is_sea(&w.finish(&rec, &RecEnter::default())?, 0x25)
        })
        .needs(Need::RawException);
    for (name, set, delivered) in [("restartable", 0b11, false), ("recoverable", 0b00, true)] {
        registry
            .add(format!("rec_exit/instruction_abort/external_{name}"), move |w| {
                let rec = w.running()?;
                let fields = INSTRUCTION | set << 11 | 1 << 9 | 0x10;
                let esr = fields | 1 << 25 | 1 << 10;
                let raw = RawException { cause: 0, esr, far: 0x123, hpfar: 0x4560 };
                let actions = [Action::SetEl1(El1::Vbar, VECTORS), Action::Raw(raw)];
                same("exit", w.run(&rec, &actions)?, sync_exit(fields, 0))?;
                let observed = w.finish(&rec, &RecEnter::default())?;
                if delivered {
                    is_sea(&observed, 0x21)
                } else {
                    same("observed", observed.len(), 0)
                }
            })
            .needs(Need::RawException);
    }
    registry
        .add("rec_exit/instruction_abort/mapped_meanwhile", |w| {
            let rec = w.running()?;
            let raw = RawException { cause: 0, esr: INSTRUCTION | 1 << 25 | 7, far: 0, hpfar: 0 };
            same("exit", w.run(&rec, &[Action::Raw(raw), Action::Fetch(0)])?, idle_exit())
        })
        .needs(Need::RawException);
    registry
        .add("rec_exit/data_abort/unprotected_permission_on_a_stage_1_walk", |w| {
            // The walk of stage 1 itself may not read its table: HPFAR tells where the table is,
            // FAR where the access went.
            let rec = w.running()?;
            let ipa = rec.realm.unprotected() + 0x7000;
            w.tables(&rec.realm, ipa, 3)?;
            let host = w.granule();
            let desc = host | 0b110 << 2 | 0b10 << 6;
            w.call(Command::RttMapUnprotected, [rec.realm.rd, ipa, 3, desc])?.ok()?;
            let esr = DATA | 1 << 25 | 1 << 7 | 0xf;
            let raw = RawException { cause: 0, esr, far: 0x5_6789, hpfar: ipa >> 8 };
            same("exit", w.run(&rec, &[Action::Raw(raw)])?, sync_exit(DATA | 0xf, ipa))
        })
        .needs(Need::RawException);
    for (name, aet, delivered) in
        [("ueu", 1, true), ("uer", 3, true), ("ueo", 2, false), ("ce", 6, false)]
    {
        registry
            .add(format!("rec_exit/serror/{name}"), move |w| {
                let rec = w.running()?;
                let esr = 0x2f << 26 | 1 << 25 | aet << 10 | 1 << 9 | 0x11;
                let raw = RawException { cause: 3, esr, far: 0x123, hpfar: 0x4560 };
                let exit = w.run(&rec, &[Action::Raw(raw)])?;
                let shown = 0x2f << 26 | aet << 10 | 1 << 9 | 0x11;
                let expected =
                    RecExit { exit_reason: exit_reason::SERROR, esr: shown, ..RecExit::default() };
                same("exit", exit, expected)?;
                let observed = w.finish(&rec, &RecEnter::default())?;
                same("virtual SErrors", observed.len(), usize::from(delivered))
            })
            .needs(Need::RawException);
    }
}
