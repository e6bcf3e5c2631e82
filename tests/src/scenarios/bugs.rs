//! Bugs that other monitors had, each as a scenario of its own.
//!
//! Numbers are those of `docs/bug-catalogue.md`: L information leaks, V input checks, C concurrency
//! and lifetime, T translation. What other scenarios show in passing is not repeated here without
//! need; the names are for whoever looks for them.

use alloc::boxed::Box;

use super::data::{fill_block, folded_block};
use super::good::{DESC, IPA, good, realm_with_tables};
use super::registry::Registry;
use crate::abi::{Command, INPUT, REC, RecEnter, RecExit, enter_flags, ripas, rsi, rtt_error};
use crate::need::Need;
use crate::outcome::{fail, holds, same};
use crate::port::Mishap;
use crate::program::{Access, Action, El1, Observed, RawException};
use crate::rec::{idle_exit, smc};
use crate::world::secret_page;

const WORD: Access = Access::WORD;

pub(super) fn add(registry: &mut Registry) {
    add_leaks(registry);
    add_inputs(registry);
    add_lifetime(registry);
    add_translation(registry);
}

fn add_leaks(registry: &mut Registry) {
    registry.add("bugs/l1_each_timer_in_its_own_field", |w| {
        let rec = w.running()?;
        let actions = [
            Action::Timer(false, 3, true),
            Action::Timer(true, 2, false),
            Action::SetEl1(El1::CntpCval, 0x1111),
            Action::SetEl1(El1::CntvCval, 0x2222),
        ];
        let exit = w.run(&rec, &actions)?;
        let expected = RecExit {
            cntp_ctl: 7,
            cntp_cval: 0x1111,
            cntv_ctl: 2,
            cntv_cval: 0x2222,
            ..idle_exit()
        };
        same("exit", exit, expected)
    });
    registry
        .add("bugs/l2_serror_and_abort_syndromes_are_masked", |w| {
            let rec = w.running()?;
            let esr = 0x2f << 26 | 1 << 25 | 2 << 10 | 1 << 9 | 0x11 | 1 << 13 | 1 << 6;
            let raw = RawException { cause: 3, esr, far: 0, hpfar: 0 };
            let exit = w.run(&rec, &[Action::Raw(raw)])?;
            same("esr", exit.esr, 0x2f << 26 | 2 << 10 | 1 << 9 | 0x11)?;
            let ipa = rec.realm.unprotected();
            let esr = 0x24 << 26 | 0x1ff_ffff & !(1 << 24) & !0x3f | 4;
            let raw = RawException { cause: 0, esr, far: ipa | 0xabc, hpfar: ipa >> 8 };
            let exit = w.run(&rec, &[Action::Raw(raw)])?;
            same("esr, far", (exit.esr, exit.far), (0x24 << 26 | 0x1e00 | 4, 0))
        })
        .needs(Need::RawException);
    registry.add("bugs/l3_register_number_of_an_access_is_hidden", |w| {
        let rec = w.running()?;
        // ICC_SGI1R_EL1, written from X5.
        let exit = w.run(&rec, &[Action::Write((3, 0, 12, 11, 5), 0x5005_0001)])?;
        same("value", exit.gprs[0], 0x5005_0001)?;
        same("RT", exit.esr >> 5 & 0x1f, 0)?;
        let ipa = rec.realm.unprotected();
        let access = Access { register: 21, sign: true, ..Access::sized(1) };
        let exit = w.run(&rec, &[Action::Load(ipa, access)])?;
        same("SRT, SSE, AR", exit.esr & (0x1f << 16 | 1 << 21 | 1 << 14), 0)
    });
    registry.add("bugs/l4_isv_of_a_protected_abort_is_forgotten", |w| {
        let rec = w.running()?;
        w.call(Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        let exit = w.run(&rec, &[Action::Load(0, WORD)])?;
        same("ISV", exit.esr >> 24 & 1, 0)?;
        let mut enter = RecEnter::flags(enter_flags::EMUL_MMIO);
        enter.gprs[0] = 0xbad;
        w.enter_raw(&rec, &enter)?.is(REC)?;
        Ok(())
    });
    registry.add("bugs/l5_reply_page_holds_nothing_else", |w| {
        // The exit page is compared whole by every scenario that enters a REC; here after a
        // secret-laden one.
        let rec = w.running()?;
        let secret = Box::new([0x5ec3_e75e_c3e7_5ec3; 31]);
        w.run(&rec, &[Action::SetGprs(secret), smc(&[rsi::PSCI_CPU_SUSPEND])])?;
        let exit = w.exit_of(&rec)?;
        same("gprs[1..]", exit.gprs[1..].iter().copied().max(), Some(0))
    });
    registry.add("bugs/l6_contents_do_not_follow_the_granule", |w| {
        let realm = realm_with_tables(w)?;
        let data = w.data(&realm, IPA, &secret_page(42))?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?;
        // Another Realm gets the granule.
        let rec = w.running()?;
        w.tables(&rec.realm, IPA, 3)?;
        w.call(Command::DataCreateUnknown, [rec.realm.rd, data, IPA])?.ok()?;
        super::good::request(w, &rec, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        w.call(Command::RttSetRipas, [rec.realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        let observed = w.observe(&rec, &[Action::Load(IPA + 0x100, WORD)])?;
        let secret = Observed::Value(secret_page(42)[0x20]);
        holds("nothing of the first Realm's", observed.first().is_some_and(|seen| *seen != secret))
    });
    registry.add("bugs/l8_neither_mpam_nor_branch_records_exist", |w| {
        // MPAM1_EL1, MPAM0_EL1, BRBCR_EL1, BRBFCR_EL1: as on a CPU that has neither, whatever the
        // CPU has.
        let rec = w.running()?;
        let registers = [(3, 0, 10, 5, 0), (3, 0, 10, 5, 1), (2, 1, 9, 0, 0), (2, 1, 9, 0, 1)];
        w.are_undefined(&rec, &registers)
    });
    registry.add("bugs/l11_vectors_survive_each_way_out", |w| {
        let rec = w.running()?;
        w.observe(&rec, &[Action::Simd(0x5ec3)])?;
        // Out and in again by an exit of the Host's, a call that waits, and an abort.
        w.enter(&rec)?;
        w.run(&rec, &[smc(&[rsi::PSCI_CPU_SUSPEND]), Action::Load(rec.realm.unprotected(), WORD)])?;
        w.enter(&rec)?;
        let mut enter = RecEnter::flags(enter_flags::EMUL_MMIO);
        enter.gprs[0] = 1;
        w.enter_with(&rec, &enter)?;
        let observed = w.observe(&rec, &[Action::Simd(0)])?;
        same("V0", observed, [Observed::Value(0x5ec3)].into())
    });
}

fn add_inputs(registry: &mut Registry) {
    registry.add("bugs/v1_the_index_after_the_last", |w| {
        let rec = w.running()?;
        for call in [[rsi::MEASUREMENT_READ, 5, 0], [rsi::MEASUREMENT_EXTEND, 5, 32]] {
            same("X0", w.smc(&rec, &call)?[0], rsi::ERROR_INPUT)?;
        }
        same("REM 4", w.smc(&rec, &[rsi::MEASUREMENT_READ, 4])?[0], 0)
    });
    registry.add("bugs/v2_alignment_of_shared_structures", |w| {
        let rec = w.running()?;
        for ipa in [8, 0x80, 0xff] {
            same("host call", w.smc(&rec, &[rsi::HOST_CALL, ipa])?[0], rsi::ERROR_INPUT)?;
        }
        w.call(Command::RecEnter, [rec.pa, rec.run + 8])?.is(INPUT)?;
        let call = good(w, Command::RealmCreate)?;
        call.with(w, 1, call.arguments[1] + 0x800, INPUT)?;
        call.succeeds(w)
    });
    registry.add("bugs/v3_set_ripas_top_alignment", |w| {
        let call = good(w, Command::RttSetRipas)?;
        for offset in [1, 8, 0x800, 0xfff] {
            call.with(w, 3, IPA + 0x1000 + offset, INPUT)?;
        }
        call.succeeds(w)
    });
    registry.add("bugs/v4_count_and_offset_overflow", |w| {
        let rec = w.running()?;
        w.smc(&rec, &[rsi::ATTESTATION_TOKEN_INIT, 1])?;
        let call = [rsi::ATTESTATION_TOKEN_CONTINUE, 0, 0xfff, u64::MAX - 0xffe];
        same("X0", w.smc(&rec, &call)?[0], rsi::ERROR_INPUT)
    });
    registry.add("bugs/v5_range_across_the_halves", |w| {
        let rec = w.running()?;
        let half = rec.realm.unprotected();
        let call = [rsi::IPA_STATE_SET, half - 0x1000, half + 0x1000, ripas::RAM];
        same("X0", w.smc(&rec, &call)?[0], rsi::ERROR_INPUT)?;
        let realm = w.realm()?;
        w.tables(&realm, half - 0x1000, 3)?;
        let init = Command::RttInitRipas;
        w.call(init, [realm.rd, half - 0x1000, half + 0x1000])?.is(INPUT)?;
        Ok(())
    });
    registry.add("bugs/v6_level_used_before_its_check", |w| {
        let realm = w.realm()?;
        for level in [u64::MAX, 1 << 63, 4, 0x1_0000_0003, 0xffff_ffff] {
            w.call(Command::RttReadEntry, [realm.rd, 0, level])?.is(INPUT)?;
            w.call(Command::RttFold, [realm.rd, 0, level])?.is(INPUT)?;
            w.call(Command::RttUnmapUnprotected, [realm.rd, realm.unprotected(), level])?
                .is(INPUT)?;
        }
        Ok(())
    });
    registry
        .add("bugs/v7_address_above_48_bits", |w| {
            let high = w.high()?;
            w.call(Command::GranuleDelegate, [high])?.ok()?;
            let realm = realm_with_tables(w)?;
            w.call(Command::DataCreateUnknown, [realm.rd, high, IPA])?.is(INPUT)?;
            w.call(Command::RttCreate, [realm.rd, high, IPA + 0x20_0000, 3])?.is(INPUT)?;
            Ok(())
        })
        .needs(Need::HighMemory);
    registry.add("bugs/v8_same_granule_twice", |w| {
        for command in [Command::DataCreate, Command::DataCreateUnknown, Command::RttCreate] {
            let call = good(w, command)?;
            call.with(w, 1, call.arguments[0], INPUT)?;
            if let Some(realm) = call.realm {
                call.with(w, 1, realm.rtt_base, INPUT)?;
            }
        }
        Ok(())
    });
    registry.add("bugs/v9_fold_compares_host_attributes", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        for page in 0..512 {
            let s2ap = if page == 300 { 0b10 } else { 0b11 };
            let desc = (0x8040_0000 + page * 0x1000) | 0b110 << 2 | s2ap << 6;
            w.call(Command::RttMapUnprotected, [realm.rd, ipa + page * 0x1000, 3, desc])?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, ipa, 3])?.is(rtt_error(3))?;
        Ok(())
    });
    registry.add("bugs/v13_inject_sea_and_emul_mmio_at_once", |w| {
        let rec = w.running()?;
        let ipa = rec.realm.unprotected();
        w.run(&rec, &[Action::Load(ipa, WORD), Action::Gprs])?;
        let mut enter = RecEnter::flags(enter_flags::INJECT_SEA | enter_flags::EMUL_MMIO);
        enter.gprs[0] = 0xbad;
        let observed = w.finish(&rec, &enter)?;
        let [Observed::Exception { .. }, Observed::Gprs(gprs)] = observed.as_slice() else {
            return fail(alloc::format!("observed {observed:x?}"));
        };
        holds("no value was taken", !gprs.contains(&0xbad))
    });
    registry.add("bugs/v15_read_entry_sets_the_descriptor_in_every_state", |w| {
        let realm = realm_with_tables(w)?;
        w.call(Command::RttInitRipas, [realm.rd, IPA, IPA + 0x1000])?.ok()?;
        w.data_unknown(&realm, IPA)?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?;
        let data = w.data_unknown(&realm, IPA)?;
        // ASSIGNED, DESTROYED.
        w.expect_entry(&realm, (IPA, 3), (3, 1, data, ripas::DESTROYED))
    });
}

fn add_lifetime(registry: &mut Registry) {
    registry.add("bugs/c11_the_end_of_one_request_does_not_end_another", |w| {
        // A REC that waits for a RIPAS change is no REC that waits for a PSCI call, and the other
        // way round.
        let waiting = super::good::ripas_request(w, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        let other = w.realm()?;
        let stranger = w.rec(&other, 0)?;
        w.call(Command::PsciComplete, [waiting.pa, stranger.pa, 0])?.is(INPUT)?;
        let (calling, _) = super::good::cpu_on_request(w)?;
        w.tables(&calling.realm, IPA, 3)?;
        let range = (IPA, IPA + 0x1000);
        let call = Command::RttSetRipas;
        w.call(call, [calling.realm.rd, calling.pa, range.0, range.1])?.is(INPUT)?;
        w.enter_raw(&calling, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry
        .add("bugs/c2_c4_error_paths_leave_nothing_held", |w| {
            // The fake machine looks for locks and mappings after each of these; so does the
            // success at the end.
            let call = good(w, Command::RecCreate)?;
            w.arm(Mishap::HostFault(5))?;
            call.with(w, 0, call.arguments[0], INPUT)?;
            call.with(w, 1, call.arguments[0], INPUT)?;
            call.succeeds(w)
        })
        .needs(Need::HostFault);
    registry.add("bugs/c5_vmid_is_free_after_a_late_failure", |w| {
        let params = w.realm_params(40, 0, 1)?;
        let rd = w.granule();
        let page = w.params(&params.to_page());
        w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
        w.realm_with(&params)?;
        Ok(())
    });
    registry
        .add("bugs/c6_failed_commands_leave_states_alone", |w| {
            let call = good(w, Command::DataCreate)?;
            w.arm(Mishap::HostFault(300))?;
            call.with(w, 4, 1, INPUT)?;
            call.succeeds(w)
        })
        .needs(Need::HostFault);
    registry.add("bugs/c8_destroy_gives_every_granule_back", |w| {
        let (realm, _) = folded_block(w)?;
        let before = w.delegated_count();
        w.rec(&realm, 0)?;
        holds("auxiliary granules were taken", w.delegated_count() > before)
    });
    registry
        .add("bugs/c10_parameters_change_while_read", |w| {
            let good_params = w.realm_params(40, 0, 1)?;
            let rd = w.delegated()?;
            let page = w.page(&good_params.to_page());
            // After the whole page is read, s2sz becomes nonsense: too late for the Host.
            w.arm(Mishap::HostChange(511, page + 8, 99))?;
            w.call(Command::RealmCreate, [rd, page])?.ok()?;
            let reply = w.call(Command::RttReadEntry, [rd, 1 << 39, 3])?.ok()?;
            same("a 40-bit Realm", reply.outputs[0], 0)?;
            // Keep the Host's own books right.
            w.call(Command::RealmDestroy, [rd])?.ok()?;
            Ok(())
        })
        .needs(Need::HostChange);
    registry
        .add("bugs/c10_run_page_changes_while_read", |w| {
            let rec = w.running()?;
            w.arm(Mishap::HostChange(0, rec.run, enter_flags::EMUL_MMIO))?;
            w.enter_raw(&rec, &RecEnter::default())?.ok()?;
            Ok(())
        })
        .needs(Need::HostChange);
}

fn add_translation(registry: &mut Registry) {
    registry.add("bugs/t9_break_before_make_on_unfold_and_fold", |w| {
        let realm = realm_with_tables(w)?;
        fill_block(w, &realm, IPA, true)?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let touch = [Action::Store(IPA, WORD, 1), Action::Store(IPA + 0x1f_f000, WORD, 2)];
        // In the caches as pages, as a block, and as pages again.
        w.observe(&rec, &touch)?;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
        w.observe(&rec, &touch)?;
        w.table(&realm, IPA, 3)?;
        let loads = [Action::Load(IPA, WORD), Action::Load(IPA + 0x1f_f000, WORD)];
        let observed = w.observe(&rec, &loads)?;
        same("contents", observed, [Observed::Value(1), Observed::Value(2)].into())
    });
    registry.add("bugs/t2_destroyed_tables_are_walked_no_more", |w| {
        let rec = w.running()?;
        let realm = rec.realm;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        for page in 0..512 {
            let desc = DESC + page * 0x1000;
            w.call(Command::RttMapUnprotected, [realm.rd, ipa + page * 0x1000, 3, desc])?.ok()?;
        }
        let touch = [Action::Load(ipa, WORD), Action::Load(ipa + 0x1f_f000, WORD)];
        w.observe(&rec, &touch)?;
        // 512 pages go at once.
        w.call(Command::RttDestroy, [realm.rd, ipa, 3])?.ok()?;
        let exit = w.run(&rec, &[Action::Load(ipa + 0x1f_f000, WORD)])?;
        same("abort", exit.hpfar, (ipa + 0x1f_f000) >> 8)
    });
    registry.add("bugs/t1_large_tables_are_invalidated_whole", |w| {
        // A level 2 table of blocks spans 1 GiB.
        let rec = w.running()?;
        let realm = rec.realm;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 2)?;
        for block in 0..512 {
            let desc = (0x40_0000_0000 + block * 0x20_0000) | DESC & 0xfff;
            let at = ipa + block * 0x20_0000;
            w.call(Command::RttMapUnprotected, [realm.rd, at, 2, desc])?.ok()?;
        }
        w.enter(&rec)?;
        w.call(Command::RttFold, [realm.rd, ipa, 2])?.ok()?;
        w.enter(&rec)?;
        w.table(&realm, ipa, 2)?;
        w.enter(&rec)?;
        w.call(Command::RttDestroy, [realm.rd, ipa, 2])?.ok()?;
        w.enter(&rec)?;
        Ok(())
    });
    registry.add("bugs/t2_vmid_is_clean_for_the_next_realm", |w| {
        let rec = w.running()?;
        let realm = rec.realm;
        w.observe(&rec, &[Action::Store(0, WORD, 7)])?;
        w.move_out(&realm)?;
        w.call(Command::RecDestroy, [rec.pa])?.ok()?;
        w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?;
        for level in [3, 2, 1] {
            w.call(Command::RttDestroy, [realm.rd, 0, level])?.ok()?;
        }
        w.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        let mut params = w.realm_params(40, 0, 1)?;
        params.vmid = realm.vmid;
        let next = w.realm_with(&params)?;
        let other = w.running_in(&next)?;
        let observed = w.observe(&other, &[Action::Load(0, WORD)])?;
        holds("its own page", observed.len() == 1 && observed[0] != Observed::Value(7))
    });
}
