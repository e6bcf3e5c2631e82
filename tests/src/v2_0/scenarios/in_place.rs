//! RTT_DATA_MAP_INIT that populates in place: an extension of Cairn's
//! (`docs/in-place-population.md`).

use alloc::format;

use super::super::abi::{Command, INPUT, REALM, entry, ripas, rtt};
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, Realm, World};
use super::good::{IPA, realm_with_tables};
use super::granules::REFUSALS;
use super::measurement::rim;
use crate::abi::{EXTENSIONS, HostPage, IN_PLACE};
use crate::need::Need;
use crate::outcome::{Outcome, missing, same};
use crate::port::Mishap;
use crate::program::{Access, Action, Observed};
use crate::world::secret_page;

const INIT: Command = Command::DataMapInit;

pub(super) fn add(registry: &mut Registry) {
    add_success(registry);
    add_failures(registry);
    add_mishaps(registry);
}

/// A Realm with tables, and a page of the Host's with these contents, if the monitor has the
/// extension.
fn stage(w: &mut World<'_>, contents: &HostPage) -> Outcome<(Realm, u64)> {
    if w.features(EXTENSIONS)? & 1 == 0 {
        return missing(Need::InPlacePopulation);
    }
    let realm = realm_with_tables(w)?;
    Ok((realm, w.page(contents)))
}

fn add_success(registry: &mut Registry) {
    registry.add("data_map_init/in_place/success", |w| {
        let contents = secret_page(3);
        let (realm, page) = stage(w, &contents)?;
        w.ok(INIT, &[realm.rd, page, IPA, page, IN_PLACE | 1])?;
        w.expect(&realm, IPA, (3, entry::MAPPED, ripas::RAM))?;
        w.expect_pa(&realm, (IPA, 3), page)?;
        let rec = w.running_in(&realm)?;
        let seen = w.observe(&rec, &[Action::Load(IPA + 0xff8, Access::WORD)])?;
        same("contents", seen, [Observed::Value(contents[511])].into())
    });
    registry.add("data_map_init/in_place/success/comes_back_as_any_page", |w| {
        let (realm, page) = stage(w, &secret_page(4))?;
        w.ok(INIT, &[realm.rd, page, IPA, page, IN_PLACE])?;
        w.complete(Command::RangeUndelegate, &[page, page + PAGE])?.is_error()?;
        w.unmap(Command::DataUnmap, &realm, (IPA, IPA + PAGE))?;
        w.is_delegated(page)
    });
    registry
        .add("data_map_init/in_place/success/same_measurement", |w| {
            let pages = [(IPA, 1), (IPA + PAGE, 0)];
            stage(w, &[0; 512])?;
            let ordinary = rim(w, |w, realm| {
                for (ipa, flags) in pages {
                    w.data(realm, ipa, &secret_page(6), flags)?;
                }
                Ok(())
            })?;
            let in_place = rim(w, |w, realm| {
                for (ipa, flags) in pages {
                    let page = w.page(&secret_page(6));
                    w.ok(INIT, &[realm.rd, page, ipa, page, IN_PLACE | flags])?;
                }
                Ok(())
            })?;
            same("RIM", in_place, ordinary)
        })
        .needs(Need::NoProgramInMemory);
}

/// Populating `page` fails so, leaves the page and its contents alone, and then works.
fn fails(
    w: &mut World<'_>,
    (realm, page): (&Realm, u64),
    arguments: [u64; 5],
    code: u64,
) -> Outcome {
    let before = w.port.read_page(page);
    w.fails(INIT, &arguments, code)?;
    same("the page is the Host's, as it was", w.port.read_page(page), before)?;
    w.ok(INIT, &[realm.rd, page, IPA, page, IN_PLACE | 1])?;
    Ok(())
}

fn add_failures(registry: &mut Registry) {
    for (condition, ipa, code) in [
        ("ipa_align", IPA + 0x800, INPUT),
        ("ipa_bound", 1 << 39, INPUT),
        ("rtt_walk", IPA + BLOCK, rtt(2)),
    ] {
        registry.add(format!("data_map_init/in_place/{condition}"), move |w| {
            let (realm, page) = stage(w, &secret_page(7))?;
            fails(w, (&realm, page), [realm.rd, page, ipa, page, IN_PLACE | 1], code)
        });
    }
    registry.add("data_map_init/in_place/rtte_state", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        w.data_unknown(&realm, IPA + PAGE)?;
        fails(w, (&realm, page), [realm.rd, page, IPA + PAGE, page, IN_PLACE], rtt(3))
    });
    registry.add("data_map_init/in_place/not_asked_for", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        fails(w, (&realm, page), [realm.rd, page, IPA, page, 1], INPUT)
    });
    registry.add("data_map_init/in_place/src_is_another_page", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        let other = w.page(&secret_page(8));
        fails(w, (&realm, page), [realm.rd, page, IPA, other, IN_PLACE | 1], INPUT)
    });
    registry.add("data_map_init/in_place/data_state", |w| {
        let (realm, _) = stage(w, &secret_page(7))?;
        let data = w.delegated()?;
        w.fails(INIT, &[realm.rd, data, IPA, data, IN_PLACE | 1], INPUT)
    });
    registry.add("data_map_init/in_place/realm_state", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        w.activate(&realm)?;
        w.fails(INIT, &[realm.rd, page, IPA, page, IN_PLACE | 1], REALM)?;
        same("the page is as it was", w.port.read_page(page), secret_page(7))
    });
}

fn add_mishaps(registry: &mut Registry) {
    for &(code, what, answers) in REFUSALS {
        registry
            .add(format!("data_map_init/in_place/el3/{what}"), move |w| {
                let (realm, page) = stage(w, &secret_page(10))?;
                let arguments = [realm.rd, page, IPA, page, IN_PLACE | 1];
                w.arm(Mishap::El3Refuses(0, code))?;
                let reply = w.complete(INIT, &arguments)?.one_of(answers)?;
                if reply.status() != 0 {
                    same("the page is as it was", w.port.read_page(page), secret_page(10))?;
                    w.ok(INIT, &arguments)?;
                }
                Ok(())
            })
            .needs(Need::El3Refusal);
    }
    registry
        .add("data_map_init/in_place/src_pas/fault_in_the_copy", |w| {
            let (realm, page) = stage(w, &secret_page(11))?;
            w.arm(Mishap::HostFault(300))?;
            fails(w, (&realm, page), [realm.rd, page, IPA, page, IN_PLACE | 1], INPUT)
        })
        .needs(Need::HostFault);
    registry
        .add("data_map_init/in_place/page_changes_meanwhile", |w| {
            stage(w, &[0; 512])?;
            let ordinary = rim(w, |w, realm| w.data(realm, IPA, &[1; 512], 1).map(|_| ()))?;
            let in_place = rim(w, |w, realm| {
                let page = w.page(&[1; 512]);
                w.arm(Mishap::HostChange(100, page + 8 * 50, 2))?;
                w.ok(INIT, &[realm.rd, page, IPA, page, IN_PLACE | 1])?;
                Ok(())
            })?;
            same("RIM", in_place, ordinary)
        })
        .needs(Need::HostChange)
        .needs(Need::NoProgramInMemory);
}
