//! Delegation, tracking, and the granule protection table.

use alloc::format;

use super::super::abi::{BLOCKED, BUSY, Command, INPUT, SUCCESS, TRACKING, tracking};
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::good::{IPA, realm_with_tables};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::port::{Mishap, Place};
use crate::world::secret_page;

const DELEGATE: Command = Command::RangeDelegate;
const UNDELEGATE: Command = Command::RangeUndelegate;
pub(super) fn add(registry: &mut Registry) {
    for command in [DELEGATE, UNDELEGATE] {
        add_checks(registry, command);
        add_zero_progress(registry, command);
    }
    add_ranges(registry);
    add_el3(registry);
}

/// Sixteen granules from which the command starts.
#[track_caller]
fn sixteen(w: &mut World<'_>, command: Command) -> Outcome<u64> {
    if command == UNDELEGATE {
        return w.delegated_run(16, PAGE);
    }
    Ok(w.port.allocate(16, PAGE))
}

fn add_checks(registry: &mut Registry, command: Command) {
    let name = command.label();
    for (condition, low, high) in [
        ("base_align/one", 1, 16 * PAGE),
        ("base_align/half", 0x800, 16 * PAGE),
        ("top_align/one", 0, 16 * PAGE + 1),
        ("top_align/half", 0, PAGE + 0x800),
        ("size_valid/empty", PAGE, PAGE),
        ("size_valid/backwards", 2 * PAGE, PAGE),
    ] {
        registry.add(format!("{name}/{condition}"), move |w| {
            let base = sixteen(w, command)?;
            w.fails(command, &[base + low, base + high], INPUT)?;
            w.through(command, &[base, base + 16 * PAGE])
        });
    }
    registry.add(format!("{name}/size_valid/wraps"), move |w| {
        let base = sixteen(w, command)?;
        w.fails(command, &[base, 0], INPUT)?;
        w.fails(command, &[!0xfff, 0], INPUT)
    });
    registry.add(format!("{name}/success"), move |w| {
        let base = sixteen(w, command)?;
        w.through(command, &[base, base + 16 * PAGE])
    });
    registry.add(format!("{name}/success/top_past_all_addresses"), move |w| {
        let base = sixteen(w, command)?;
        for top in [1 << 52 | PAGE, !0xfff] {
            let reply = w.ok(command, &[base, top])?;
            holds("progress", reply.x[1] > base)?;
        }
        Ok(())
    });
    registry.add(format!("{name}/success/one_page_per_call"), move |w| {
        let base = sixteen(w, command)?;
        for number in 0..16 {
            let pa = base + number * PAGE;
            w.ok(command, &[pa, pa + PAGE])?.out(1, pa + PAGE)?;
        }
        Ok(())
    });
    registry
        .add(format!("{name}/success/already_there"), move |w| {
            let base = sixteen(w, command)?;
            w.through(command, &[base, base + 16 * PAGE])?;
            w.through(command, &[base, base + 16 * PAGE])
        })
        .reading("a granule that is in the target state counts as progress (third beta)");
    registry
        .add(format!("{name}/success/mixed"), move |w| {
            let base = sixteen(w, command)?;
            for number in [1, 2, 5, 15] {
                let pa = base + number * PAGE;
                w.ok(command, &[pa, pa + PAGE])?;
            }
            w.through(command, &[base, base + 16 * PAGE])
        })
        .reading("a granule that is in the target state counts as progress (third beta)");
}

/// What the first granule is, and the answer.
fn add_zero_progress(registry: &mut Registry, command: Command) {
    let name = command.label();
    for (what, place) in [("device", Place::Device), ("beyond_pa", Place::BeyondPa)] {
        registry.add(format!("{name}/untracked/{what}"), move |w| {
            let pa = w.place(place)?;
            let reply = w.complete(command, &[pa, pa + PAGE])?.one_of(&[TRACKING, INPUT])?;
            holds("no progress", reply.x[1] <= pa)
        });
    }
    for (what, place) in [("secure", Place::Secure), ("root", Place::Root)] {
        registry
            .add(format!("{name}/gran_pas/{what}"), move |w| {
                let pa = w.place(place)?;
                let codes: &[u64] = if command == DELEGATE {
                    &[INPUT, TRACKING]
                } else {
                    // It is UNDELEGATED already, or not the Host's to know.
                    &[INPUT, TRACKING, 0]
                };
                w.complete(command, &[pa, pa + PAGE])?.one_of(codes)?;
                Ok(())
            })
            .needs(Need::ForeignGranule);
    }
    for (what, number) in [("rd", 0), ("rtt", 1), ("data", 2), ("rec", 3), ("start_table", 4)] {
        registry.add(format!("{name}/gran_state/{what}"), move |w| {
            let realm = realm_with_tables(w)?;
            let table = w.tables.last().map_or(0, |table| table.pa);
            let data = w.data_unknown(&realm, IPA)?;
            let rec = w.rec(&realm, 0)?.pa;
            let pa = [realm.rd, table, data, rec, realm.rtt_base][number];
            let reply = w.complete(command, &[pa, pa + PAGE])?.is(INPUT)?;
            holds("no progress", reply.x[1] <= pa)
        });
    }
    registry.add(format!("{name}/blocked/donated"), move |w| {
        let realm = w.realm()?;
        let (rec, page) = (w.delegated()?, w.page(&w.rec_params(&realm, 0).to_page()));
        let handle = w.begin(Command::RecCreate, &[realm.rd, rec, page])?;
        w.donate_all(handle)?;
        let given = w.operation(handle)?.given.keys().next().copied().unwrap_or(rec);
        for pa in [given, rec] {
            w.complete(command, &[pa, pa + PAGE])?.one_of(&[BLOCKED, INPUT])?;
        }
        Ok(())
    });
    registry.add(format!("{name}/gran_state/third_is_data"), move |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(16, PAGE)?;
        w.map(&realm, IPA, base + 3 * PAGE, 1)?;
        if command == DELEGATE {
            for pa in (base..base + 3 * PAGE).step_by(4096) {
                w.ok(UNDELEGATE, &[pa, pa + PAGE])?;
            }
        }
        let mut at = base;
        while at < base + 3 * PAGE {
            at = w.ok(command, &[at, base + 16 * PAGE])?.x[1];
        }
        same("stops before it", at, base + 3 * PAGE)?;
        w.fails(command, &[at, base + 16 * PAGE], INPUT)
    });
}

fn add_ranges(registry: &mut Registry) {
    // Only where the end of the memory is nobody's program.
    let at_the_end = registry.add("range_delegate/tracked/over_the_end_of_memory", |w| {
        let (base, top) = bank(w)?;
        let last = top - 8 * PAGE;
        let end = top + 16 * PAGE;
        // The last granules of the machine may belong to others.
        let reply = w.complete(DELEGATE, &[last, end])?;
        let mut at = last;
        if reply.status() == 0 {
            at = reply.x[1];
        }
        holds("never past the memory", at <= top && base < last)?;
        w.complete(DELEGATE, &[top, end])?.one_of(&[TRACKING, INPUT])?;
        Ok(())
    });
    at_the_end.needs(Need::ForeignGranule);
    registry.add("range_delegate/success/many", |w| {
        let base = w.port.allocate(1024, PAGE);
        w.through(DELEGATE, &[base, base + 1024 * PAGE])?;
        w.through(UNDELEGATE, &[base, base + 1024 * PAGE])
    });
    registry.add("range_undelegate/success/wiped", |w| {
        let base = w.port.allocate(8, PAGE);
        for number in 0..8 {
            w.port.write_page(base + number * PAGE, &secret_page(number));
        }
        w.through(DELEGATE, &[base, base + 8 * PAGE])?;
        w.through(UNDELEGATE, &[base, base + 8 * PAGE])?;
        let first = w.port.read_page(base);
        for number in 0..8 {
            let page = w.port.read_page(base + number * PAGE);
            holds("nothing of it is left", page == [first[0]; 512])?;
        }
        Ok(())
    });
    registry.add("range_undelegate/success/data_is_wiped", |w| {
        let realm = realm_with_tables(w)?;
        let pa = w.data(&realm, IPA, &secret_page(7), 0)?;
        w.unmap(Command::DataUnmap, &realm, (IPA, IPA + PAGE))?;
        w.ok(UNDELEGATE, &[pa, pa + PAGE])?;
        let page = w.port.read_page(pa);
        holds("nothing of it is left", page == [page[0]; 512])
    });
    registry.add("range_delegate/success/exact_undo_of_a_partial_one", |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(8, PAGE)?;
        w.map(&realm, IPA, base + 4 * PAGE, 1)?;
        w.through(UNDELEGATE, &[base, base + 4 * PAGE])?;
        let mut at = base;
        while at < base + 4 * PAGE {
            at = w.ok(DELEGATE, &[at, base + 8 * PAGE])?.x[1];
        }
        w.fails(DELEGATE, &[at, base + 8 * PAGE], INPUT)?;
        // What a Host does then: it undelegates what it has delegated, and nothing else.
        w.through(UNDELEGATE, &[base, at])
    });
}

/// The first bank of memory: from the first granule of the Host's to where tracking ends.
#[track_caller]
fn bank(w: &mut World<'_>) -> Outcome<(u64, u64)> {
    let base = w.granule();
    let mut top = base;
    loop {
        let reply = w.call(Command::TrackingGet, &[top, 1 << 40])?.ok()?;
        if (reply.x[1], reply.x[2]) != (tracking::CONVENTIONAL, tracking::FINE) {
            return Ok((base, top));
        }
        top = reply.x[3];
    }
}

/// Codes of EL3, and what RMM makes of them if nothing was done.
pub(super) static REFUSALS: &[(i64, &str, &[u64])] = &[
    (-1, "not_supported", &[INPUT]),
    (-2, "invalid", &[INPUT]),
    (-3, "aborted", &[INPUT, BLOCKED]),
    (-5, "denied", &[INPUT]),
    (-6, "busy", &[BUSY, SUCCESS]),
    (-7, "conflict", &[BLOCKED, BUSY]),
    (-9, "not_found", &[INPUT]),
];

fn add_el3(registry: &mut Registry) {
    for &(code, what, answers) in REFUSALS {
        registry
            .add(format!("range_delegate/el3/{what}"), move |w| {
                let pa = w.granule();
                w.arm(Mishap::El3Refuses(0, code))?;
                w.complete(DELEGATE, &[pa, pa + PAGE])?.one_of(answers)?;
                w.ok(DELEGATE, &[pa, pa + PAGE])?;
                Ok(())
            })
            .needs(Need::El3Refusal);
        registry
            .add(format!("range_undelegate/el3/{what}"), move |w| {
                let pa = w.delegated()?;
                w.arm(Mishap::El3Keeps(pa, code))?;
                w.complete(UNDELEGATE, &[pa, pa + PAGE])?.is_error()?;
                // It stays delegated, and serves as such.
                let realm = realm_with_tables(w)?;
                w.map(&realm, IPA, pa, 1)?;
                w.unmap(Command::DataUnmap, &realm, (IPA, IPA + PAGE))?;
                w.arm(Mishap::El3Keeps(pa, 0))?;
                w.ok(UNDELEGATE, &[pa, pa + PAGE])?;
                Ok(())
            })
            .needs(Need::El3Refusal);
        registry
            .add(format!("range_undelegate/el3/{what}_in_the_middle"), move |w| {
                let base = w.delegated_run(8, PAGE)?;
                w.arm(Mishap::El3Keeps(base + 5 * PAGE, code))?;
                let mut at = base;
                while at < base + 5 * PAGE {
                    at = w.ok(UNDELEGATE, &[at, base + 8 * PAGE])?.x[1];
                }
                same("stops there", at, base + 5 * PAGE)?;
                w.complete(UNDELEGATE, &[at, base + 8 * PAGE])?.is_error()?;
                w.arm(Mishap::El3Keeps(base + 5 * PAGE, 0))
            })
            .needs(Need::El3Refusal);
    }
    for count in [1, 3] {
        for command in [DELEGATE, UNDELEGATE] {
            registry
                .add(format!("{}/el3/short_{count}", command.label()), move |w| {
                    let base = sixteen(w, command)?;
                    w.arm(Mishap::El3Short(count))?;
                    w.through(command, &[base, base + 16 * PAGE])?;
                    w.arm(Mishap::El3Short(0))
                })
                .needs(Need::ShortEl3);
        }
    }
}
