//! Versions, feature registers, and the life cycle of RMM.

use alloc::format;

use super::super::abi::{BUSY, Command, GLOBAL, INPUT, SUCCESS, V1_0, V2_0};
use super::super::pages::RealmParams;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::good::good;
use crate::abi::HostPage;
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::port::Place;

pub(super) fn add(registry: &mut Registry) {
    add_versions(registry);
    add_features(registry);
    add_honesty(registry);
    add_config(registry);
    add_states(registry);
    add_deactivate(registry);
}

/// RMI_VERSION: X0 to X2.
#[track_caller]
fn version(w: &mut World<'_>, request: u64) -> Outcome<[u64; 3]> {
    let [x0, x1, x2, ..] = w.call(Command::Version, &[request])?.x;
    Ok([x0, x1, x2])
}

/// What an RMM with these versions answers.
fn negotiated(versions: &[u64], request: u64) -> [u64; 3] {
    let highest = versions.last().copied().unwrap_or(0);
    if versions.contains(&request) {
        return [SUCCESS, request, highest];
    }
    let lower = versions.iter().rev().find(|&&version| version < request && request >> 31 == 0);
    [INPUT, lower.copied().unwrap_or(highest), highest]
}

/// Requests, and the name of each.
static REQUESTS: &[(&str, u64)] = &[
    ("1_0", V1_0),
    ("2_0", V2_0),
    ("2_1", 0x2_0001),
    ("1_1", 0x1_0001),
    ("0_0", 0),
    ("0_9", 9),
    ("3_0", 0x3_0000),
    ("32767_65535", 0x7fff_ffff),
    ("bit_31", 1 << 31 | V2_0),
    ("bit_63", 1 << 63 | V2_0),
];

fn add_versions(registry: &mut Registry) {
    for &(name, request) in REQUESTS {
        registry.add_before(format!("version/table/{name}"), move |w| {
            // Whether RMM also has 1.0 shows in what it says to 1.0.
            let both = version(w, V1_0)?[0] == SUCCESS;
            w.negotiate()?;
            let versions: &[u64] = if both { &[V1_0, V2_0] } else { &[V2_0] };
            same("X0 to X2", version(w, request)?, negotiated(versions, request))?;
            w.negotiate()
        });
        registry
            .add(format!("version/latched/{name}"), move |w| {
                // Memory has changed hands by commands of 2.0: the interface is fixed.
                w.delegated()?;
                same("X0 to X2", version(w, request)?, negotiated(&[V2_0], request))
            })
            .reading("a Host that has changed something keeps its interface (choice of 3.2)");
    }
    registry.add_before("version/soft/last_one_counts", |w| {
        let both = version(w, V1_0)?[0] == SUCCESS;
        w.negotiate()?;
        if both {
            version(w, V1_0)?;
            w.negotiate()?;
        }
        w.boot()?;
        w.realm()?;
        Ok(())
    });
    registry
        .add_before("version/soft/features_follow_the_version", |w| {
            if version(w, V1_0)?[0] != SUCCESS {
                return Ok(());
            }
            let first = w.call(Command::Features, &[0])?.ok()?.x[1];
            w.negotiate()?;
            let second = w.call(Command::Features, &[0])?.ok()?.x[1];
            // The hashes are in register 0 of 1.0 (bits 33:32) and in register 1 of 2.0.
            holds("hashes of 1.0", first >> 32 & 3 != 0)?;
            holds("no devices", w.features(2)? == 0)?;
            same("what both have", first & 0xffff_ffff, second & 0xffff_ffff)
        })
        .reading("FEATURES has the layout of the version last agreed on (choice of 3.2)");
    registry
        .add("version/latched/dropped_by_deactivate", |w| {
            w.delegated()?;
            w.give_back_memory()?;
            w.ok(Command::Deactivate, &[])?;
            let reply = version(w, V1_0)?;
            w.negotiate()?;
            holds("1.0 is there or not known", matches!(reply[0], SUCCESS | INPUT))?;
            same("highest", reply[2], V2_0)
        })
        .reading("after RMM_DEACTIVATE a Host may choose anew (choice of 3.2)");
    registry.add("version/read_only_commands_do_not_latch", |w| {
        w.ok(Command::Deactivate, &[])?;
        w.negotiate()?;
        let page = w.granule();
        w.call(Command::StateGet, &[])?.ok()?;
        w.call(Command::ConfigGet, &[page])?.ok()?;
        w.call(Command::TrackingGet, &[page, page + PAGE])?.ok()?;
        w.features(1)?;
        let (one, two) = (version(w, V1_0)?, version(w, V2_0)?);
        same("2.0", two[0], SUCCESS)?;
        holds("1.0 is as before", matches!(one[0], SUCCESS | INPUT))
    });
}

fn add_features(registry: &mut Registry) {
    for index in 0..5 {
        registry.add_before(format!("features/success/{index}"), move |w| {
            w.negotiate()?;
            let before = w.features(index)?;
            w.boot()?;
            w.realm()?;
            same("constant", w.features(index)?, before)
        });
    }
    for index in [5, 6, 255, 1 << 32, u64::MAX] {
        registry.add(format!("features/other/{index:#x}"), move |w| {
            same("register", w.features(index)?, 0)
        });
    }
    registry.add("features/fr0/fields", |w| {
        let fr0 = w.features(0)?;
        let width = fr0 & 0xff;
        holds("S2SZ is 32 to 52", (32..=52).contains(&width))?;
        holds("S2SZ above 48 only with LPA2", width <= 48 || fr0 >> 8 & 1 == 1)?;
        holds("SVE_VL only with SVE", fr0 >> 9 & 1 == 1 || fr0 >> 10 & 15 == 0)?;
        holds("at least two breakpoints", fr0 >> 14 & 63 != 0 && fr0 >> 20 & 63 != 0)?;
        holds("counters only with PMU", fr0 >> 26 & 1 == 1 || fr0 >> 27 & 31 == 0)?;
        holds("bits 63:41 are zero", fr0 >> 41 == 0)
    });
    registry.add("features/fr0/s2oasz", |w| {
        let bits = w.features(0)? >> 33 & 0xff;
        holds("an address width", (32..=56).contains(&bits))
    });
    registry.add("features/fr1/fields", |w| {
        let fr1 = w.features(1)?;
        holds("granules of 4K", fr1 & 1 == 1)?;
        holds("SHA-256", fr1 >> 3 & 1 == 1)?;
        holds("MAX_RECS_ORDER", fr1 >> 6 & 15 != 0)?;
        holds("L0GPTSZ", matches!(fr1 >> 10 & 15, 0 | 4 | 6 | 9))?;
        holds("PPS", fr1 >> 14 & 7 <= 6)?;
        holds("bits 63:17 are zero", fr1 >> 17 == 0)
    });
    for index in 2..5 {
        registry
            .add(format!("features/no_devices_and_planes/{index}"), move |w| {
                same("register", w.features(index)?, 0)
            })
            .reading("the monitor has no devices, planes and memory encryption contexts");
    }
}

/// REALM_CREATE with these parameters succeeds or not.
#[track_caller]
fn creates(w: &mut World<'_>, change: impl Fn(&mut RealmParams), works: bool) -> Outcome {
    let mut params = w.realm_params(40, 0, 1)?;
    change(&mut params);
    let rd = w.delegated()?;
    let page = w.params(&params.to_page());
    let code = if works { SUCCESS } else { INPUT };
    w.complete(Command::RealmCreate, &[rd, page])?.is(code)?;
    Ok(())
}

/// What a feature register says is what REALM_CREATE does.
fn add_honesty(registry: &mut Registry) {
    for (name, hash, bit) in [("sha256", 0, 3), ("sha512", 1, 5), ("sha384", 2, 4)] {
        registry.add(format!("features/honest/{name}"), move |w| {
            let works = w.features(1)? >> bit & 1 == 1;
            creates(w, |params| params.hash_algo = hash, works)
        });
    }
    for (name, shift) in [("breakpoints", 14), ("watchpoints", 20)] {
        registry.add(format!("features/honest/{name}"), move |w| {
            let most = w.features(0)? >> shift & 63;
            let set = |params: &mut RealmParams, value| match shift {
                14 => params.num_bps = value,
                _ => params.num_wps = value,
            };
            creates(w, |params| set(params, most), true)?;
            creates(w, |params| set(params, most + 1), false)
        });
    }
    registry.add("features/honest/s2sz", |w| {
        let most = w.features(0)? & 0xff;
        holds("at least 40", most >= 40)?;
        if most < 48 {
            return creates(w, |params| params.s2sz = most + 1, false);
        }
        creates(w, |params| params.s2sz = 48, true)
    });
    for (name, flag, bit) in [("sve", 2, 9), ("pmu", 4, 26), ("da", 8, 63)] {
        registry.add(format!("features/honest/{name}"), move |w| {
            let fr0 = w.features(0)?;
            let works = fr0 >> bit & 1 == 1;
            let counters = fr0 >> 27 & 31;
            creates(w, |params| (params.flags0, params.pmu_num_ctrs) = (flag, counters), works)
        });
    }
    registry.add("features/honest/planes", |w| {
        let most = w.features(3)? & 15;
        creates(w, |params| params.num_aux_planes = most + 1, false)
    });
}

/// A configuration page.
fn config(region: u64, granule: u64) -> HostPage {
    let mut page = [0; 512];
    (page[0], page[1]) = (region, granule);
    page
}

fn add_config(registry: &mut Registry) {
    for (name, region, granule) in [
        ("granule_16k", 0, 1),
        ("granule_64k", 0, 2),
        ("granule_3", 0, 3),
        ("granule_255", 0, 255),
        ("region_2", 2, 0),
        ("region_255", 255, 0),
    ] {
        registry.add_before(format!("config_set/cfg_supp/{name}"), move |w| {
            w.negotiate()?;
            let offered = granule < 3 && w.features(1)? >> granule & 1 == 1 && granule != 0;
            let page = w.page(&config(region, granule));
            let reply = w.call(Command::ConfigSet, &[page])?;
            if offered {
                return Ok(());
            }
            reply.is(INPUT)?;
            w.boot()
        });
    }
    registry.add_before("config_set/success", |w| {
        w.negotiate()?;
        let page = w.page(&config(0, 0));
        w.call(Command::ConfigSet, &[page])?.ok()?;
        w.call(Command::ConfigSet, &[page])?.ok()?;
        w.ok(Command::Activate, &[])?;
        Ok(())
    });
    registry.add_before("config_set/success/fields_are_bytes", |w| {
        w.negotiate()?;
        let mut page = [u64::MAX; 512];
        (page[0], page[1]) = (u64::MAX << 8, u64::MAX << 8);
        let page = w.page(&page);
        w.call(Command::ConfigSet, &[page])?.ok()?;
        Ok(())
    });
    for (name, offset) in [("one", 1), ("word", 8), ("half", 0x800)] {
        registry.add_before(format!("config_set/cfg_align/{name}"), move |w| {
            w.negotiate()?;
            let page = w.page(&config(0, 0));
            w.call(Command::ConfigSet, &[page + offset])?.is(INPUT)?;
            w.call(Command::ConfigSet, &[page])?.ok()?;
            Ok(())
        });
    }
    for (name, place) in [
        ("null", None),
        ("device", Some(Place::Device)),
        ("beyond_pa", Some(Place::BeyondPa)),
        ("secure", Some(Place::Secure)),
        ("root", Some(Place::Root)),
    ] {
        let scenario = registry.add_before(format!("config_set/cfg_pas/{name}"), move |w| {
            w.negotiate()?;
            let pa = place.map_or(Ok(0), |place| w.place(place))?;
            w.call(Command::ConfigSet, &[pa])?.is(INPUT)?;
            Ok(())
        });
        if matches!(place, Some(Place::Secure | Place::Root)) {
            scenario.needs(Need::ForeignGranule);
        }
    }
    registry.add("config_set/act", |w| {
        let page = w.page(&config(0, 0));
        w.call(Command::ConfigSet, &[page])?.is(GLOBAL)?;
        w.call(Command::ConfigSet, &[1])?.is(GLOBAL)?;
        Ok(())
    });
    registry.add("config_get/success/whole_page", |w| {
        let page = w.page(&[0x5a5a_5a5a_5a5a_5a5a; 512]);
        w.call(Command::ConfigGet, &[page])?.ok()?;
        same("page", w.port.read_page(page), config(0, 0))
    });
    registry.add_before("config_get/success/before_any_set", |w| {
        w.negotiate()?;
        let page = w.page(&[u64::MAX; 512]);
        w.call(Command::ConfigGet, &[page])?.ok()?;
        same("page", w.port.read_page(page), config(0, 0))
    });
    registry.add_before("config_set/success/a_refused_one_changes_nothing", |w| {
        w.negotiate()?;
        let page = w.page(&config(0, 3));
        w.call(Command::ConfigSet, &[page])?.is(INPUT)?;
        w.call(Command::ConfigGet, &[page])?.ok()?;
        same("page", w.port.read_page(page), config(0, 0))
    });
    registry.add("config_set/tracked/after_deactivation", |w| {
        w.delegated()?;
        w.give_back_memory()?;
        w.ok(Command::Deactivate, &[])?;
        // Regions are as they were: the same configuration has to be taken.
        w.boot()
    });
}

/// RMM_STATE_GET.
#[track_caller]
fn state(w: &mut World<'_>, expected: u64) -> Outcome {
    same("state", w.call(Command::StateGet, &[])?.ok()?.x[1], expected)
}

fn add_states(registry: &mut Registry) {
    registry.add_before("state_get/success", |w| {
        w.negotiate()?;
        state(w, 0)?;
        w.boot()?;
        state(w, 1)?;
        w.ok(Command::Deactivate, &[])?;
        state(w, 0)
    });
    registry.add("activate/state", |w| {
        w.call(Command::Activate, &[])?.is(GLOBAL)?;
        state(w, 1)
    });
    registry.add_before("activate/success/without_configuration", |w| {
        w.negotiate()?;
        w.ok(Command::Activate, &[])?;
        w.realm()?;
        Ok(())
    });
    registry
        .add_before("activate/success/at_once", |w| {
            w.boot()?;
            w.ok(Command::Deactivate, &[])?;
            w.call(Command::Activate, &[])?.ok()?;
            Ok(())
        })
        .reading("tf-a-tests take only an immediate success of RMM_ACTIVATE");
}

fn add_deactivate(registry: &mut Registry) {
    registry.add_before("deactivate/state", |w| {
        w.negotiate()?;
        w.call(Command::Deactivate, &[])?.is(GLOBAL)?;
        Ok(())
    });
    registry.add("deactivate/success", |w| {
        let reply = w.ok(Command::Deactivate, &[])?;
        same("X1 to X3", &reply.x[1..4], &[0; 3])?;
        state(w, 0)?;
        w.boot()
    });
    registry.add("deactivate/success/ten_times", |w| {
        for _ in 0..10 {
            w.realm()?;
            let realm = w.realms()[0];
            w.take_apart(&realm)?;
            w.give_back_memory()?;
            w.ok(Command::Deactivate, &[])?;
            w.boot()?;
        }
        Ok(())
    });
    registry.add("deactivate/granules/delegated", |w| {
        w.delegated()?;
        w.call(Command::Deactivate, &[])?.is(GLOBAL)?;
        state(w, 1)
    });
    registry.add("deactivate/granules/realm", |w| {
        w.realm()?;
        w.call(Command::Deactivate, &[])?.is(GLOBAL)?;
        Ok(())
    });
    registry.add("deactivate/granules/internal", |w| {
        let realm = w.realm()?;
        w.rec(&realm, 0)?;
        w.call(Command::Deactivate, &[])?.is(GLOBAL)?;
        Ok(())
    });
    registry.add("deactivate/busy/live_operation", |w| {
        let call = good(w, Command::RecCreate)?;
        w.begin(call.command, &call.arguments)?;
        w.call(Command::Deactivate, &[])?.is(BUSY)?;
        Ok(())
    });
    registry.add("deactivate/busy/command_on_another_cpu", |w| {
        let rec = w.running()?;
        // Granules are in use too: which of the two is seen first is open.
        w.while_running(&rec, Command::Deactivate, &[])?.one_of(&[BUSY, GLOBAL])?;
        state(w, 1)
    });
    registry.add("deactivate/success/commands_are_refused_after_it", |w| {
        w.ok(Command::Deactivate, &[])?;
        let pa = w.granule();
        w.call(Command::RangeDelegate, &[pa, pa + PAGE])?.is(GLOBAL)?;
        Ok(())
    });
}
