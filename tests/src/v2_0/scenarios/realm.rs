//! REALM_CREATE field by field, and the life of a Realm.

use alloc::format;

use super::super::abi::{BUSY, Command, Desc, GLOBAL, INPUT, REALM, SUCCESS};
use super::super::memory::UNPROT;
use super::super::pages::{RealmParams, flags0};
use super::super::registry::Registry;
use super::super::world::{PAGE, World, entry_size};
use super::good::{IPA, NS, realm_with_tables};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::port::Mishap;
use crate::scenarios::Cpu;

/// REALM_CREATE with changed parameters is refused, and with the original ones succeeds.
#[track_caller]
fn refused(w: &mut World<'_>, change: impl Fn(&mut RealmParams)) -> Outcome {
    let good = w.realm_params(40, 0, 1)?;
    let rd = w.delegated()?;
    let mut bad = good;
    change(&mut bad);
    let page = w.params(&bad.to_page());
    w.fails(Command::RealmCreate, &[rd, page], INPUT)?;
    let page = w.params(&good.to_page());
    w.ok(Command::RealmCreate, &[rd, page])?;
    Ok(())
}

/// One changed field.
type Change = fn(&mut RealmParams);

/// Condition, and how it is made.
static REFUSED: &[(&str, Change)] = &[
    ("params_valid/hash_3", |p| p.hash_algo = 3),
    ("params_valid/hash_255", |p| p.hash_algo = 255),
    ("params_valid/mec_policy_2", |p| p.flags0 = 2 << flags0::MEC_SHIFT),
    ("params_valid/mec_policy_3", |p| p.flags0 = 3 << flags0::MEC_SHIFT),
    ("params_valid/lfa_policy_2", |p| p.flags0 = 2 << flags0::LFA_SHIFT),
    ("params_valid/lfa_policy_3", |p| p.flags0 = 3 << flags0::LFA_SHIFT),
    ("params_supp/s2sz_31", |p| p.s2sz = 31),
    ("params_supp/s2sz_0", |p| p.s2sz = 0),
    ("params_supp/s2sz_255", |p| p.s2sz = 255),
    ("params_supp/s2sz_53", |p| {
        (p.flags0, p.s2sz, p.rtt_level_start) = (flags0::LPA2, 53, -1);
    }),
    ("params_supp/num_bps_64", |p| p.num_bps = 64),
    ("params_supp/num_bps_255", |p| p.num_bps = 255),
    ("params_supp/num_wps_64", |p| p.num_wps = 64),
    ("params_supp/num_wps_255", |p| p.num_wps = 255),
    ("params_supp/sve_vl_255", |p| (p.flags0, p.sve_vl) = (flags0::SVE, 255)),
    ("params_supp/pmu_num_ctrs_255", |p| (p.flags0, p.pmu_num_ctrs) = (flags0::PMU, 255)),
    ("params_supp/da", |p| p.flags0 = flags0::DA),
    ("params_supp/num_aux_planes_1", |p| p.num_aux_planes = 1),
    ("params_supp/num_aux_planes_15", |p| p.num_aux_planes = 15),
    ("params_supp/ats", |p| p.flags1 = 4),
    ("params_supp/s2ap_encoding", |p| p.flags1 = 2),
    ("ats_plane/1", |p| p.ats_plane = 1),
    ("ats_plane/huge", |p| p.ats_plane = u64::MAX),
    ("rtt_align/page", |p| p.rtt_base += 0x800),
    ("rtt_align/one", |p| p.rtt_base += 1),
    ("rtt_state/beyond_pa", |p| p.rtt_base = 1 << 53),
    ("rtt_state/device", |p| p.rtt_base = 0x0900_0000),
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

/// Geometries that do.
static CONSISTENT: &[(u64, i64, u64)] =
    &[(40, 0, 1), (48, 0, 1), (39, 1, 1), (40, 1, 2), (43, 1, 16), (32, 2, 4), (34, 2, 16)];

pub(super) fn add(registry: &mut Registry) {
    for &(name, change) in REFUSED {
        let cpu = if name == "params_supp/ats" { Cpu::Plain } else { Cpu::Max };
        registry.add_on(cpu, format!("realm_create/{name}"), move |w| refused(w, change));
    }
    registry.add_on(Cpu::Plain, "realm_create/params_supp/lpa2_without_lpa2", |w| {
        refused(w, |params| params.flags0 = flags0::LPA2)
    });
    registry.add_on(Cpu::Plain, "realm_create/params_supp/sve_without_sve", |w| {
        // More than there is: none, or the longest vector.
        let most = if w.features(0)? >> 9 & 1 == 0 { 0 } else { 0xff };
        refused(w, |params| (params.flags0, params.sve_vl) = (flags0::SVE, most))
    });
    registry.add_on(Cpu::Plain, "realm_create/params_supp/pmu_without_pmu", |w| {
        // More than there are: none, or all.
        let most = if w.features(0)? >> 26 & 1 == 0 { 0 } else { 0xff };
        refused(w, |params| (params.flags0, params.pmu_num_ctrs) = (flags0::PMU, most))
    });
    for &(width, start, roots) in INCONSISTENT {
        let name = format!("realm_create/rtt_num_level/{width}_{start}_{roots}");
        registry.add(name, move |w| {
            refused(w, |params| {
                (params.s2sz, params.rtt_level_start, params.rtt_num_start) = (width, start, roots);
            })
        });
    }
    for &(width, start, roots) in CONSISTENT {
        registry.add(format!("realm_create/success/{width}_{start}_{roots}"), move |w| {
            let params = w.realm_params(width, start, roots)?;
            let realm = w.realm_with(&params)?;
            w.tables(&realm, 0, 3)?;
            w.data_unknown(&realm, 0)?;
            Ok(())
        });
    }
    add_tables(registry);
    add_accepted(registry);
    add_vmids(registry);
    add_destroy(registry);
    add_terminate(registry);
}

fn add_tables(registry: &mut Registry) {
    for (name, which) in [("first", 0), ("middle", 7), ("last", 15)] {
        registry.add(format!("realm_create/alias/rd_is_{name}_table"), move |w| {
            let params = w.realm_params(34, 2, 16)?;
            let page = w.params(&params.to_page());
            w.fails(Command::RealmCreate, &[params.rtt_base + which * PAGE, page], INPUT)?;
            w.realm_with(&params)?;
            Ok(())
        });
        registry.add(format!("realm_create/rtt_state/{name}_undelegated"), move |w| {
            let params = w.realm_params(34, 2, 16)?;
            let pa = params.rtt_base + which * PAGE;
            w.ok(Command::RangeUndelegate, &[pa, pa + PAGE])?;
            let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
            w.fails(Command::RealmCreate, &[rd, page], INPUT)?;
            w.ok(Command::RangeDelegate, &[pa, pa + PAGE])?;
            w.ok(Command::RealmCreate, &[rd, page])?;
            Ok(())
        });
    }
    registry.add("realm_create/rtt_align/two_tables", |w| {
        let base = w.delegated_run(3, 4 * PAGE)?;
        let mut params = w.realm_params(40, 1, 2)?;
        let good = params.rtt_base;
        params.rtt_base = base + PAGE;
        let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
        w.fails(Command::RealmCreate, &[rd, page], INPUT)?;
        params.rtt_base = good;
        w.realm_with(&params)?;
        Ok(())
    });
    registry.add("realm_create/rtt_state/tables_of_another_realm", |w| {
        let realm = w.realm()?;
        let mut params = w.realm_params(40, 0, 1)?;
        params.rtt_base = realm.rtt_base;
        let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
        w.fails(Command::RealmCreate, &[rd, page], INPUT)
    });
}

fn add_accepted(registry: &mut Registry) {
    registry
        .add("realm_create/success/no_breakpoints_asked_for", |w| {
            let mut params = w.realm_params(40, 0, 1)?;
            (params.num_bps, params.num_wps) = (0, 0);
            w.realm_with(&params)?;
            Ok(())
        })
        .reading("KVM asks for 0 breakpoints and gets the minimum (OQ-3)");
    for (name, policy) in [("shared", 0), ("private", 1)] {
        registry
            .add(format!("realm_create/success/mec_{name}"), move |w| {
                let mut params = w.realm_params(40, 0, 1)?;
                params.flags0 = policy << flags0::MEC_SHIFT;
                w.realm_with(&params)?;
                Ok(())
            })
            .reading("without memory encryption contexts both policies are taken");
    }
    for (name, policy) in [("disallow", 0), ("allow", 1)] {
        registry
            .add(format!("realm_create/success/lfa_{name}"), move |w| {
                let mut params = w.realm_params(40, 0, 1)?;
                params.flags0 = policy << flags0::LFA_SHIFT;
                w.realm_with(&params)?;
                Ok(())
            })
            .reading("without live activation any valid policy is taken");
    }
    registry.add("realm_create/success/sbz_is_ignored", |w| {
        let params = w.realm_params(40, 0, 1)?;
        let rd = w.delegated()?;
        let mut page = params.to_page();
        for (offset, bits) in [
            (0x8, 0xffff_ff00),
            (0x18, 0xffff_ff00),
            (0x30, 0xffff_ff00),
            (0x48, u64::MAX),
            (0x800, u64::MAX),
            (0x830, u64::MAX),
            (0xff8, u64::MAX),
        ] {
            page[offset / 8] |= bits;
        }
        let page = w.params(&page);
        w.ok(Command::RealmCreate, &[rd, page])?;
        Ok(())
    });
    registry
        .add("realm_create/success/tree_per_plane_without_planes", |w| {
            let mut params = w.realm_params(40, 0, 1)?;
            params.flags1 = 1;
            w.realm_with(&params)?;
            Ok(())
        })
        .reading("trees of planes that are not there are nobody's concern");
    registry
        .add("realm_create/success/params_are_read_once", |w| {
            let params = w.realm_params(40, 0, 1)?;
            let rd = w.delegated()?;
            let page = w.params(&params.to_page());
            // After the last word of the page the hash becomes one that does not exist: too late.
            w.arm(Mishap::HostChange(511, page + 0x30, 9))?;
            w.ok(Command::RealmCreate, &[rd, page])?;
            Ok(())
        })
        .needs(Need::HostChange);
    registry
        .add("realm_create/params_pas/late_fault", |w| {
            let params = w.realm_params(40, 0, 1)?;
            let rd = w.delegated()?;
            let page = w.params(&params.to_page());
            w.arm(Mishap::HostFault(17))?;
            w.fails(Command::RealmCreate, &[rd, page], INPUT)?;
            w.ok(Command::RealmCreate, &[rd, page])?;
            Ok(())
        })
        .needs(Need::HostFault);
    registry.add("realm_create/success/entries", |w| {
        let realm = w.realm()?;
        let [level, state, desc, ripas] = w.read_entry(&realm, 0, 0)?;
        same("protected", [level, state, desc, ripas], [0; 4])?;
        let [level, state, ..] = w.read_entry(&realm, 1 << 39, 0)?;
        same("unprotected", [level, state], [0; 2])
    });
}

fn add_vmids(registry: &mut Registry) {
    registry
        .add_on(Cpu::Plain, "realm_create/vmid", |w| {
            let mut realms = alloc::vec::Vec::new();
            w.port.hurry(true);
            loop {
                let params = w.realm_params(40, 0, 1)?;
                let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
                let reply = w.complete(Command::RealmCreate, &[rd, page])?;
                if reply.status() != SUCCESS {
                    reply.is(GLOBAL)?;
                    break;
                }
                realms.push(rd);
                holds("8-bit VMIDs come to an end", realms.len() < 256)?;
            }
            w.port.hurry(false);
            holds("nearly all are of use", realms.len() >= 254)?;
            let last = w.realms()[0];
            w.take_apart(&last)?;
            w.realm()?;
            Ok(())
        })
        .needs(Need::FewVmids);
    registry.add("realm_create/vmid/given_back_by_failures", |w| {
        let params = w.realm_params(40, 0, 1)?;
        let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
        w.port.hurry(true);
        for _ in 0..300 {
            w.fails(Command::RealmCreate, &[params.rtt_base, page], INPUT)?;
            w.ok(Command::RealmCreate, &[rd, page])?;
            w.ok(Command::RealmTerminate, &[rd])?;
            w.ok(Command::RealmDestroy, &[rd])?;
        }
        w.port.hurry(false);
        w.ok(Command::RealmCreate, &[rd, page])?;
        Ok(())
    });
}

fn add_destroy(registry: &mut Registry) {
    registry.add("realm_destroy/success", |w| {
        let realm = w.realm()?;
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        w.ok(Command::RealmDestroy, &[realm.rd])?;
        w.is_delegated(realm.rd)?;
        w.is_delegated(realm.rtt_base)
    });
    registry.add("realm_destroy/live/rec", |w| {
        let realm = w.realm()?;
        w.rec(&realm, 0)?;
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        w.fails(Command::RealmDestroy, &[realm.rd], REALM)
    });
    registry.add("realm_destroy/live/table", |w| {
        let realm = realm_with_tables(w)?;
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        w.fails(Command::RealmDestroy, &[realm.rd], REALM)
    });
    registry.add("realm_destroy/live/unprotected_table", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 1)?;
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        w.fails(Command::RealmDestroy, &[realm.rd], REALM)
    });
    registry.add("realm_destroy/success/unprotected_block_at_the_start_level", |w| {
        let params = w.realm_params(39, 1, 1)?;
        let realm = w.realm_with(&params)?;
        let (base, size) = (realm.unprotected(), entry_size(1));
        let block = Desc::block(0x8000_0000, 1);
        let arguments = [realm.rd, base, base + size, UNPROT, block.encode()];
        w.ok(Command::UnprotMap, &arguments)?;
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        w.ok(Command::RealmDestroy, &[realm.rd])?;
        Ok(())
    });
    registry.add("realm_destroy/realm_state", |w| {
        let realm = w.realm()?;
        w.fails(Command::RealmDestroy, &[realm.rd], REALM)?;
        w.activate(&realm)?;
        w.fails(Command::RealmDestroy, &[realm.rd], REALM)
    });
    registry.add("realm_activate/success", |w| {
        let realm = w.realm()?;
        w.call(Command::RealmActivate, &[realm.rd])?.ok()?;
        w.call(Command::RealmActivate, &[realm.rd])?.is(REALM)?;
        Ok(())
    });
    registry.add("realm_activate/realm_state", |w| {
        let realm = w.realm()?;
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        w.call(Command::RealmActivate, &[realm.rd])?.is(REALM)?;
        Ok(())
    });
}

fn add_terminate(registry: &mut Registry) {
    registry.add("realm_terminate/success", |w| {
        let rec = w.running()?;
        w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
        w.call(Command::RecEnter, &[rec.pa, rec.run])?.is(REALM)?;
        Ok(())
    });
    registry
        .add("realm_terminate/success/again", |w| {
            let realm = w.realm()?;
            w.ok(Command::RealmTerminate, &[realm.rd])?;
            w.ok(Command::RealmTerminate, &[realm.rd])?;
            Ok(())
        })
        .reading("a ZOMBIE can be terminated again (OQ-15)");
    registry.add("realm_terminate/running", |w| {
        let rec = w.running()?;
        let reply = w.while_running(&rec, Command::RealmTerminate, &[rec.realm.rd])?;
        reply.one_of(&[REALM, BUSY])?;
        // It goes on.
        w.enter(&rec)?;
        Ok(())
    });
    registry.add("realm_terminate/success/memory_comes_back", |w| {
        let realm = realm_with_tables(w)?;
        w.data_unknown(&realm, IPA)?;
        w.take_apart(&realm)?;
        w.give_back_memory()?;
        same("granules of the Realm", w.delegated_count(), 0)
    });
}
