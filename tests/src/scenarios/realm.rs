//! RMI_REALM_CREATE, RMI_REALM_ACTIVATE, RMI_REALM_DESTROY, RMI_REC_AUX_COUNT.

use alloc::format;

use super::arguments::{Kind, Zoo};
use super::good::DESC;
use super::registry::{Cpu, Registry};
use crate::abi::{Command, INPUT, REALM, RealmParams, ripas, rsi};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::rec::smc;
use crate::world::World;

/// REALM_CREATE with changed parameters is refused, and with the original ones succeeds.
fn refused(w: &mut World<'_>, change: impl Fn(&mut RealmParams)) -> Outcome {
    let good = w.realm_params(40, 0, 1)?;
    refused_from(w, &good, change)
}

fn refused_from(
    w: &mut World<'_>,
    good: &RealmParams,
    change: impl Fn(&mut RealmParams),
) -> Outcome {
    let rd = w.delegated()?;
    let mut bad = *good;
    change(&mut bad);
    let page = w.params(&bad.to_page());
    w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
    let page = w.params(&good.to_page());
    w.call(Command::RealmCreate, [rd, page])?.ok()?;
    Ok(())
}

/// One changed field.
type Change = fn(&mut RealmParams);

/// Parameters that no CPU supports.
static UNSUPPORTED: &[(&str, Change)] = &[
    ("s2sz_small", |p| p.s2sz = 31),
    ("s2sz_zero", |p| p.s2sz = 0),
    ("s2sz_above_48_without_lpa2", |p| {
        p.s2sz = 49;
        p.rtt_level_start = 0;
        p.rtt_num_start = 2;
    }),
    ("s2sz_above_maximum", |p| {
        p.flags = RealmParams::LPA2;
        p.s2sz = 53;
        p.rtt_level_start = -1;
    }),
    ("s2sz_huge", |p| p.s2sz = 255),
    ("num_bps_zero", |p| p.num_bps = 0),
    ("num_wps_zero", |p| p.num_wps = 0),
    ("num_bps_above", |p| p.num_bps = 64),
    ("num_wps_above", |p| p.num_wps = 64),
    ("num_bps_255", |p| p.num_bps = 255),
    ("sve_vl_huge", |p| (p.flags, p.sve_vl) = (RealmParams::SVE, 255)),
    ("pmu_num_ctrs_huge", |p| (p.flags, p.pmu_num_ctrs) = (RealmParams::PMU, 255)),
];

/// Geometries that do not fit together: width, start level, number of tables.
static INCONSISTENT: &[(u64, i64, u64)] = &[
    (40, 0, 0),
    (40, 0, 2),
    (40, 0, 16),
    (40, 0, 17),
    (40, 0, 0xffff_ffff),
    (40, 1, 1),
    (40, 1, 4),
    (40, 2, 16),
    (40, 3, 1),
    (40, -1, 1),
    (40, -2, 1),
    (40, 4, 1),
    (40, i64::MIN, 1),
    (40, i64::MAX, 1),
    (39, 0, 1),
    (44, 1, 32),
    (32, 2, 1),
    (32, 2, 8),
    (32, 3, 16),
];

pub(super) fn add(registry: &mut Registry) {
    add_create(registry);
    add_rtts(registry);
    add_life(registry);
}

fn add_create(registry: &mut Registry) {
    registry.add("realm_create/params_valid", |w| refused(w, |p| p.hash_algo = 2));
    registry.add("realm_create/params_valid/hash_255", |w| refused(w, |p| p.hash_algo = 255));
    for (name, change) in UNSUPPORTED {
        let change = *change;
        registry.add(format!("realm_create/params_supp/{name}"), move |w| refused(w, change));
    }
    registry.add_on(Cpu::Plain, "realm_create/params_supp/lpa2_without_lpa2", |w| {
        refused(w, |p| p.flags = RealmParams::LPA2)
    });
    registry.add("realm_create/success/feature_limits", |w| {
        let [features, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
        let mut params = w.realm_params(40, 0, 1)?;
        params.num_bps = features >> 14 & 63;
        params.num_wps = features >> 20 & 63;
        w.realm_with(&params)?;
        Ok(())
    });
    registry.add("realm_create/success/fields_of_features_not_selected", |w| {
        let mut params = w.realm_params(40, 0, 1)?;
        params.sve_vl = 15;
        params.pmu_num_ctrs = 31;
        w.realm_with(&params)?;
        Ok(())
    });
    registry.add("realm_create/success/sbz_bits_ignored", |w| {
        let params = w.realm_params(40, 0, 1)?;
        let rd = w.delegated()?;
        let mut page = params.to_page();
        page[1] |= 0xffff_0000;
        page[0x38 / 8] = u64::MAX;
        page[511] = u64::MAX;
        let page = w.params(&page);
        w.call(Command::RealmCreate, [rd, page])?.ok()?;
        Ok(())
    });
    registry.add("realm_create/alias", |w| {
        for (number, roots) in [(0, 2), (1, 2)] {
            let params = w.realm_params(40, 1, roots)?;
            let page = w.params(&params.to_page());
            let rd = params.rtt_base + number * 4096;
            w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
        }
        Ok(())
    });
    registry.add("realm_create/vmid_valid", |w| {
        let realm = w.realm()?;
        let mut params = w.realm_params(40, 0, 1)?;
        let free = params.vmid;
        params.vmid = realm.vmid;
        let rd = w.delegated()?;
        let page = w.params(&params.to_page());
        w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
        params.vmid = free;
        let page = w.params(&params.to_page());
        w.call(Command::RealmCreate, [rd, page])?.ok()?;
        Ok(())
    });
    registry
        .add_on(Cpu::Plain, "realm_create/vmid_valid/8_bits", |w| {
            refused(w, |p| p.vmid = 256)?;
            refused(w, |p| p.vmid = 0xffff)
        })
        .needs(Need::SmallVmids);
    registry.add("realm_create/success/vmids", |w| {
        for vmid in [0, 255, 256, 0xffff] {
            let mut params = w.realm_params(40, 0, 1)?;
            params.vmid = vmid;
            w.realm_with(&params)?;
        }
        Ok(())
    });
    registry
        .add_on(Cpu::Plain, "realm_create/success/vmids_of_8_bits", |w| {
            for vmid in [0, 255] {
                let mut params = w.realm_params(40, 0, 1)?;
                params.vmid = vmid;
                w.realm_with(&params)?;
            }
            Ok(())
        })
        .needs(Need::SmallVmids);
}

fn add_rtts(registry: &mut Registry) {
    for &(width, start, roots) in INCONSISTENT {
        let name = format!("realm_create/rtt_num_level/{width}_{start}_{roots}");
        registry.add(name, move |w| {
            // Enough aligned tables for whatever the parameters may mean.
            let mut good = w.realm_params(40, 0, 1)?;
            good.rtt_base = w.delegated_run(16, 16 * 4096)?;
            refused_from(w, &good, |p| {
                p.s2sz = width;
                p.rtt_level_start = start;
                p.rtt_num_start = roots;
            })
        });
    }
    registry
        .add_on(Cpu::Narrow, "realm_create/rtt_num_level/level_0_below_44_bits", |w| {
            // Hardware walks no table at level 0 then.
            let good = w.realm_params(40, 1, 2)?;
            refused_from(w, &good, |p| (p.rtt_level_start, p.rtt_num_start) = (0, 1))
        })
        .needs(Need::NarrowAddresses);
    registry.add("realm_create/rtt_num_level/lpa2", |w| {
        let mut good = w.realm_params(52, 0, 16)?;
        good.flags = RealmParams::LPA2;
        for (width, start, roots) in
            [(52, 0, 1), (52, -1, 16), (48, -1, 1), (49, 0, 1), (51, 0, 16)]
        {
            let rd = w.delegated()?;
            let (s2sz, rtt_level_start, rtt_num_start) = (width, start, roots);
            let bad = RealmParams { s2sz, rtt_level_start, rtt_num_start, ..good };
            let page = w.params(&bad.to_page());
            w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
        }
        w.realm_with(&good)?;
        Ok(())
    });
    registry.add("realm_create/rtt_align", |w| {
        for offset in [1, 0x800, 0x1000] {
            let base = w.delegated_run(4, 4 * 4096)?;
            let mut good = w.realm_params(40, 1, 2)?;
            good.rtt_base = base;
            refused_from(w, &good, |p| p.rtt_base = base + offset)?;
        }
        Ok(())
    });
    registry.add("realm_create/rtt_state", |w| {
        let zoo = Zoo::new(w)?;
        let good = w.realm_params(40, 0, 1)?;
        let rd = w.delegated()?;
        let kinds = [Kind::Undelegated, Kind::Rd, Kind::Rec, Kind::RecAux, Kind::Data, Kind::Table];
        for kind in kinds.into_iter().chain([Kind::StartTable]) {
            let bad = RealmParams { rtt_base: zoo.granule(kind), ..good };
            let page = w.params(&bad.to_page());
            w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
        }
        let page = w.params(&good.to_page());
        w.call(Command::RealmCreate, [rd, page])?.ok()?;
        Ok(())
    });
    registry.add("realm_create/rtt_state/not_delegable", |w| {
        for place in super::arguments::not_delegable(w) {
            refused(w, |p| p.rtt_base = place)?;
        }
        Ok(())
    });
    registry.add("realm_create/rtt_state/last_of_several", |w| {
        let base = w.port.allocate(8, 8 * 4096);
        for number in 0..7 {
            w.call(Command::GranuleDelegate, [base + number * 4096])?.ok()?;
        }
        let mut params = w.realm_params(40, 0, 1)?;
        (params.s2sz, params.rtt_level_start, params.rtt_num_start) = (42, 1, 8);
        params.rtt_base = base;
        for rd in [w.delegated()?, w.delegated()?] {
            let page = w.params(&params.to_page());
            w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
        }
        w.call(Command::GranuleDelegate, [base + 7 * 4096])?.ok()?;
        w.realm_with(&params)?;
        Ok(())
    });
    registry
        .add("realm_create/rtt_base_above_48_bits", |w| {
            let high = w.high()?;
            w.call(Command::GranuleDelegate, [high])?.ok()?;
            // VTTBR_EL2 of a Realm without LPA2 cannot hold it.
            refused(w, |p| p.rtt_base = high)?;
            let mut params = w.realm_params(40, 0, 1)?;
            params.flags = RealmParams::LPA2;
            params.rtt_base = high;
            w.realm_with(&params)?;
            Ok(())
        })
        .needs(Need::HighMemory);
}

fn add_life(registry: &mut Registry) {
    registry.add("realm_create/success", |w| {
        let realm = w.realm()?;
        w.expect_entry(&realm, (0, 3), (0, 0, 0, ripas::EMPTY))?;
        w.expect_entry(&realm, (1 << 39, 3), (0, 0, 0, ripas::EMPTY))?;
        // The granules are taken.
        w.call(Command::GranuleUndelegate, [realm.rd])?.is(INPUT)?;
        w.call(Command::GranuleUndelegate, [realm.rtt_base])?.is(INPUT)?;
        Ok(())
    });
    registry.add("realm_activate/success", |w| {
        let realm = w.realm()?;
        w.activate(&realm)?;
        w.call(Command::RealmActivate, [realm.rd])?.is(REALM)?;
        Ok(())
    });
    registry.add("realm_activate/realm_state/system_off", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::PSCI_SYSTEM_OFF])])?;
        w.call(Command::RealmActivate, [rec.realm.rd])?.is(REALM)?;
        Ok(())
    });
    registry.add("realm_destroy/success", |w| {
        let realm = w.realm()?;
        w.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        w.call(Command::RealmDestroy, [realm.rd])?.is(INPUT)?;
        // Everything is free again, the VMID too.
        let mut params = w.realm_params(40, 0, 1)?;
        params.vmid = realm.vmid;
        params.rtt_base = realm.rtt_base;
        let page = w.params(&params.to_page());
        w.call(Command::RealmCreate, [realm.rd, page])?.ok()?;
        Ok(())
    });
    registry.add("realm_destroy/success/active", |w| {
        let realm = w.realm()?;
        w.activate(&realm)?;
        w.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        Ok(())
    });
    registry.add("realm_destroy/realm_live/rec", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 0)?;
        w.call(Command::RealmDestroy, [realm.rd])?.is(REALM)?;
        w.call(Command::RecDestroy, [rec.pa])?.ok()?;
        w.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        Ok(())
    });
    registry.add("realm_destroy/realm_live/last_start_table", |w| {
        let realm = w.realm_of(42, 1, 8)?;
        let last = realm.unprotected() - (1 << 30);
        w.table(&realm, last, 2)?;
        w.call(Command::RealmDestroy, [realm.rd])?.is(REALM)?;
        w.call(Command::RttDestroy, [realm.rd, last, 2])?.ok()?;
        w.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        Ok(())
    });
    registry.add("realm_destroy/success/unprotected_block_in_start_table", |w| {
        // ASSIGNED_NS does not make a Realm live; what is cached of it must go with the VMID.
        let realm = w.realm_of(40, 1, 2)?;
        let rec = w.running_in(&realm)?;
        let ipa = realm.unprotected();
        let desc = 0x8000_0000 | DESC & 0xfff;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 1, desc])?.ok()?;
        w.enter(&rec)?;
        w.move_out(&realm)?;
        w.call(Command::RecDestroy, [rec.pa])?.ok()?;
        w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?;
        w.call(Command::RttDestroy, [realm.rd, 0, 3])?.ok()?;
        w.call(Command::RttDestroy, [realm.rd, 0, 2])?.ok()?;
        let before = w.port.invalidations();
        w.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        let invalidated = w.port.invalidations() != before;
        holds("the VMID is invalidated", before.is_none() || invalidated)
    });
    registry.add("rec_aux_count/success", |w| {
        let realm = w.realm()?;
        let [new, ..] = w.call(Command::RecAuxCount, [realm.rd])?.ok()?.outputs;
        holds("at most 16", new <= 16)?;
        w.activate(&realm)?;
        let [active, ..] = w.call(Command::RecAuxCount, [realm.rd])?.ok()?.outputs;
        same("the same for the Realm's life", active, new)
    });
}
