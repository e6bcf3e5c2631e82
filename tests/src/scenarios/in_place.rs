//! RMI_DATA_CREATE that populates in place: an extension of Cairn's
//! (`docs/in-place-population.md`).

use alloc::format;

use super::good::{IPA, realm_with_tables};
use super::measurement::rim;
use super::registry::Registry;
use crate::abi::{
    Command, EXTENSIONS, HostPage, IN_PLACE, INPUT, REALM, entry_state, ripas, rtt_error,
};
use crate::need::Need;
use crate::outcome::{Outcome, missing, same};
use crate::port::Mishap;
use crate::program::{Access, Action, Observed};
use crate::world::{Realm, World, secret_page};

const CREATE: Command = Command::DataCreate;

pub(super) fn add(registry: &mut Registry) {
    add_success(registry);
    add_failures(registry);
    add_mishaps(registry);
}

/// Goes on if the monitor has the extension.
fn offered(w: &mut World<'_>) -> Outcome {
    let [extensions, ..] = w.call(Command::Features, [EXTENSIONS])?.ok()?.outputs;
    if extensions & 1 == 1 { Ok(()) } else { missing(Need::InPlacePopulation) }
}

/// A Realm with tables, and a page of the Host's with these contents.
fn stage(w: &mut World<'_>, contents: &HostPage) -> Outcome<(Realm, u64)> {
    offered(w)?;
    let realm = realm_with_tables(w)?;
    Ok((realm, w.page(contents)))
}

fn add_success(registry: &mut Registry) {
    for flags in [0, 1] {
        registry.add(format!("data_create/in_place/success/flags_{flags}"), move |w| {
            let contents = secret_page(3);
            let (realm, page) = stage(w, &contents)?;
            w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE | flags])?.ok()?;
            w.expect_entry(&realm, (IPA, 3), (3, entry_state::ASSIGNED, page, ripas::RAM))?;
            let rec = w.rec(&realm, 0)?;
            w.activate(&realm)?;
            let load = |word: u64| Action::Load(IPA + 8 * word, Access::WORD);
            let seen = w.observe(&rec, &[load(0), load(511)])?;
            same(
                "contents",
                seen,
                [Observed::Value(contents[0]), Observed::Value(contents[511])].into(),
            )
        });
    }
    registry.add("data_create/in_place/success/comes_back_as_any_page", |w| {
        let (realm, page) = stage(w, &secret_page(4))?;
        w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE | 1])?.ok()?;
        w.call(Command::GranuleUndelegate, [page])?.is(INPUT)?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?.out(1, page)?;
        w.call(Command::GranuleUndelegate, [page])?.ok()?;
        let back = w.port.read_page(page);
        same("wiped", back, [back[0]; 512])?;
        // And again.
        w.port.write_page(page, &secret_page(5));
        w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE])?.ok()?;
        Ok(())
    });
    registry
        .add("data_create/in_place/success/same_measurement", |w| {
            offered(w)?;
            let ordinary = rim(w, |w, realm| {
                w.tables(realm, IPA, 3)?;
                for (ipa, flags) in [(IPA, 1), (IPA + 0x1000, 0)] {
                    let (data, src) = (w.delegated()?, w.page(&secret_page(6)));
                    w.call(CREATE, [realm.rd, data, ipa, src, flags])?.ok()?;
                }
                Ok(())
            })?;
            let in_place = rim(w, |w, realm| {
                w.tables(realm, IPA, 3)?;
                for (ipa, flags) in [(IPA, 1), (IPA + 0x1000, 0)] {
                    let page = w.page(&secret_page(6));
                    w.call(CREATE, [realm.rd, page, ipa, page, IN_PLACE | flags])?.ok()?;
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
    w.call(CREATE, arguments)?.is(code)?;
    same("the page is the Host's, as it was", w.port.read_page(page), before)?;
    w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE | 1])?.ok()?;
    Ok(())
}

fn add_failures(registry: &mut Registry) {
    for (condition, ipa, code) in [
        ("ipa_align", IPA + 0x800, INPUT),
        ("ipa_bound", 1 << 39, INPUT),
        ("rtt_walk", IPA + 0x20_0000, rtt_error(2)),
    ] {
        registry.add(format!("data_create/in_place/{condition}"), move |w| {
            let (realm, page) = stage(w, &secret_page(7))?;
            fails(w, (&realm, page), [realm.rd, page, ipa, page, IN_PLACE | 1], code)
        });
    }
    registry.add("data_create/in_place/rtte_state", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        let ipa = IPA + 0x1000;
        w.data_unknown(&realm, ipa)?;
        let arguments = [realm.rd, page, ipa, page, IN_PLACE];
        fails(w, (&realm, page), arguments, rtt_error(3))
    });
    registry.add("data_create/in_place/rd_state", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        let other = w.delegated()?;
        fails(w, (&realm, page), [other, page, IPA, page, IN_PLACE | 1], INPUT)
    });
    registry.add("data_create/in_place/realm_state", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        w.activate(&realm)?;
        w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE | 1])?.is(REALM)?;
        same("the page is as it was", w.port.read_page(page), secret_page(7))?;
        w.call(Command::GranuleDelegate, [page])?.ok()?;
        Ok(())
    });
    registry.add("data_create/in_place/not_asked_for", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        fails(w, (&realm, page), [realm.rd, page, IPA, page, 1], INPUT)
    });
    registry.add("data_create/in_place/src_is_another_page", |w| {
        let (realm, page) = stage(w, &secret_page(7))?;
        let (other, data) = (w.page(&secret_page(8)), w.delegated()?);
        fails(w, (&realm, page), [realm.rd, page, IPA, other, IN_PLACE | 1], INPUT)?;
        // One of the bits that should be zero, then.
        w.call(CREATE, [realm.rd, data, IPA + 0x1000, other, IN_PLACE | 1])?.ok()?;
        w.call(Command::DataDestroy, [realm.rd, IPA + 0x1000])?.ok()?;
        Ok(())
    });
    registry.add("data_create/in_place/data_state", |w| {
        let (realm, _) = stage(w, &secret_page(7))?;
        let data = w.delegated()?;
        w.call(CREATE, [realm.rd, data, IPA, data, IN_PLACE | 1])?.is(INPUT)?;
        let taken = w.data_unknown(&realm, IPA + 0x1000)?;
        for pa in [realm.rd, taken] {
            w.call(CREATE, [realm.rd, pa, IPA, pa, IN_PLACE | 1])?.is(INPUT)?;
        }
        Ok(())
    });
    registry
        .add("data_create/in_place/data_bound2", |w| {
            let (realm, _) = stage(w, &secret_page(7))?;
            let high = w.high()?;
            w.port.write_page(high, &secret_page(9));
            w.call(CREATE, [realm.rd, high, IPA, high, IN_PLACE | 1])?.is(INPUT)?;
            same("the page is as it was", w.port.read_page(high), secret_page(9))
        })
        .needs(Need::HighMemory);
}

fn add_mishaps(registry: &mut Registry) {
    for code in [-1, -2, -3, -4, -5, -6, 1] {
        registry
            .add(format!("data_create/in_place/el3_refuses/{code}"), move |w| {
                let (realm, page) = stage(w, &secret_page(10))?;
                w.arm(Mishap::El3Refuses(0, code))?;
                fails(w, (&realm, page), [realm.rd, page, IPA, page, IN_PLACE | 1], INPUT)
            })
            .needs(Need::El3Refusal);
    }
    for nth in [0, 300, 511] {
        registry
            .add(format!("data_create/in_place/src_pas/fault_{nth}"), move |w| {
                let (realm, page) = stage(w, &secret_page(11))?;
                w.arm(Mishap::HostFault(nth))?;
                fails(w, (&realm, page), [realm.rd, page, IPA, page, IN_PLACE | 1], INPUT)
            })
            .needs(Need::HostFault);
    }
    registry
        .add("data_create/in_place/page_changes_meanwhile", |w| {
            offered(w)?;
            let ordinary = rim(w, |w, realm| {
                w.tables(realm, IPA, 3)?;
                let (data, src) = (w.delegated()?, w.page(&[1; 512]));
                w.call(CREATE, [realm.rd, data, IPA, src, 1])?.ok()?;
                Ok(())
            })?;
            // A word that has been copied already: neither the Realm nor its RIM knows of it.
            let in_place = rim(w, |w, realm| {
                w.tables(realm, IPA, 3)?;
                let page = w.page(&[1; 512]);
                w.arm(Mishap::HostChange(100, page + 8 * 50, 2))?;
                w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE | 1])?.ok()?;
                Ok(())
            })?;
            same("RIM", in_place, ordinary)
        })
        .needs(Need::HostChange)
        .needs(Need::NoProgramInMemory);
    registry
        .add("data_create/in_place/page_changes_after_the_copy", |w| {
            let (realm, page) = stage(w, &[1; 512])?;
            w.arm(Mishap::HostChange(511, page + 8 * 50, 2))?;
            w.call(CREATE, [realm.rd, page, IPA, page, IN_PLACE | 1])?.ok()?;
            let rec = w.rec(&realm, 0)?;
            w.activate(&realm)?;
            let seen = w.observe(&rec, &[Action::Load(IPA + 8 * 50, Access::WORD)])?;
            same("contents as copied", seen, [Observed::Value(1)].into())
        })
        .needs(Need::HostChange);
}
