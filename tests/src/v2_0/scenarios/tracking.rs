//! Tracking, and the granule protection table.

use alloc::format;

use super::super::abi::{Command, GLOBAL, GPT, INPUT, NOTSUP, TRACKING, tracking};
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use crate::need::Need;
use crate::outcome::{Outcome, holds};
use crate::port::Place;

pub(super) fn add(registry: &mut Registry) {
    add_tracking_get(registry);
    add_tracking_set(registry);
    add_gpt(registry);
}

/// 1 GiB: a tracking region, and what an entry of level 0 of the protection table describes.
const REGION: u64 = 1 << 30;

fn add_tracking_get(registry: &mut Registry) {
    const GET: Command = Command::TrackingGet;
    for (condition, low, high) in [
        ("base_align", 8, PAGE),
        ("top_align", 0, PAGE + 8),
        ("size_valid/empty", PAGE, PAGE),
        ("size_valid/backwards", 2 * PAGE, PAGE),
    ] {
        registry.add(format!("tracking_get/{condition}"), move |w| {
            let base = w.granule();
            w.fails(GET, &[base + low, base + high], INPUT)
        });
    }
    registry.add("tracking_get/bound", |w| {
        let pa = w.place(Place::BeyondPa)?;
        w.fails(GET, &[pa, pa + PAGE], INPUT)?;
        let base = w.granule();
        w.fails(GET, &[base, !0xfff], INPUT)
    });
    registry.add("tracking_get/success/ram", |w| {
        let base = w.granule();
        let reply = w.call(GET, &[base, base + PAGE])?.ok()?;
        reply.out(1, tracking::CONVENTIONAL)?.out(2, tracking::FINE)?.out(3, base + PAGE)?;
        Ok(())
    });
    registry.add_before("tracking_get/success/any_state", |w| {
        w.negotiate()?;
        let base = w.granule();
        w.call(GET, &[base, base + PAGE])?.ok()?;
        Ok(())
    });
    registry
        .add("tracking_get/success/hole", |w| {
            let pa = w.place(Place::Device)? & !0xfff;
            let reply = w.call(GET, &[pa, pa + PAGE])?.ok()?;
            holds("no memory", (reply.x[1], reply.x[2]) != (0, tracking::FINE))
        })
        .reading("a hole is category NONE, state NONE (5.3; one other monitor has CONVENTIONAL)");
    registry.add("tracking_get/success/covers_everything", |w| {
        // The whole address space in pieces, each of which advances.
        let width = [32, 36, 40, 42, 44, 48, 52];
        let pps = usize::try_from(w.features(1)? >> 14 & 7).unwrap_or(0);
        let end = 1 << width[pps.min(6)].min(40);
        let (mut at, mut pieces) = (0, 0);
        while at < end {
            let reply = w.call(GET, &[at, end])?.ok()?;
            holds("progress", at < reply.x[3] && reply.x[3] <= end)?;
            (at, pieces) = (reply.x[3], pieces + 1);
            holds("not too many pieces", pieces < 100_000)?;
        }
        Ok(())
    });
    registry
        .add("tracking_get/success/monitor", |w| {
            let pa = w.place(Place::Monitor)?;
            let reply = w.call(GET, &[pa, pa + PAGE])?.ok()?;
            holds("not the Host's", reply.x[2] != tracking::FINE)
        })
        .needs(Need::ForeignGranule);
}

fn add_tracking_set(registry: &mut Registry) {
    const SET: Command = Command::TrackingSet;
    let region = |w: &mut World<'_>| w.granule() & !(REGION - 1);
    registry
        .add("tracking_set/success/fine", move |w| {
            let pa = region(w);
            w.ok(SET, &[pa, tracking::CONVENTIONAL, tracking::FINE])?;
            Ok(())
        })
        .reading("memory that is tracked for ever takes FINE and changes nothing (OQ-7)");
    for (name, category, state) in [
        ("state_valid/reserved", 0, 0),
        ("state_valid/intermediate", 0, 4),
        ("state_valid/5", 0, 5),
        ("state_valid/huge", 0, u64::MAX),
        ("category_valid/none", 3, 2),
        ("category_valid/4", 4, 2),
        ("category_valid/device", 1, 2),
    ] {
        registry.add(format!("tracking_set/{name}"), move |w| {
            let pa = region(w);
            w.complete(SET, &[pa, category, state])?.one_of(&[INPUT, NOTSUP])?;
            Ok(())
        });
    }
    for (name, state) in [("none", tracking::NONE), ("coarse", tracking::COARSE)] {
        registry
            .add(format!("tracking_set/granularity/{name}"), move |w| {
                w.delegated()?;
                let pa = region(w);
                w.complete(SET, &[pa, 0, state])?.one_of(&[NOTSUP, TRACKING, INPUT])?;
                Ok(())
            })
            .reading("memory that is tracked for ever refuses anything but FINE (OQ-7)");
    }
    registry.add("tracking_set/addr_align", move |w| {
        let pa = region(w);
        w.fails(SET, &[pa + 0x800, 0, tracking::FINE], INPUT)
    });
    registry.add("tracking_set/addr_bound", |w| {
        let pa = w.place(Place::BeyondPa)? & !(REGION - 1);
        w.complete(SET, &[pa, 0, tracking::FINE])?.one_of(&[INPUT, NOTSUP])?;
        Ok(())
    });
    registry.add("tracking_set/reserved", |w| {
        // The first region has no memory of the Host's on any machine of the suite.
        w.complete(SET, &[0, 0, tracking::FINE])?.one_of(&[INPUT, NOTSUP])?;
        Ok(())
    });
}

/// Bytes that an entry at level 0 of the granule protection table describes.
#[track_caller]
fn l0_bytes(w: &mut World<'_>) -> Outcome<u64> {
    Ok(match w.features(1)? >> 10 & 15 {
        0 => 1 << 30,
        4 => 1 << 34,
        6 => 1 << 36,
        _ => 1 << 39,
    })
}

fn add_gpt(registry: &mut Registry) {
    for (name, command) in
        [("gpt_l1_create", Command::GptL1Create), ("gpt_l1_destroy", Command::GptL1Destroy)]
    {
        registry.add(format!("{name}/addr_align"), move |w| {
            let pa = w.granule() & !(REGION - 1);
            w.complete(command, &[pa + PAGE])?.one_of(&[INPUT, GLOBAL])?;
            Ok(())
        });
        registry.add(format!("{name}/addr_bound"), move |w| {
            w.complete(command, &[1 << 52])?.one_of(&[INPUT, GLOBAL])?;
            Ok(())
        });
        registry
            .add(format!("{name}/static_table"), move |w| {
                let size = l0_bytes(w)?;
                let pa = w.granule() & !(size - 1);
                w.complete(command, &[pa])?.one_of(&[GPT, GLOBAL])?;
                Ok(())
            })
            .reading("a table of EL3's is no table of the Host's: GPT, or GLOBAL (0.4)");
    }
    const INFO: Command = Command::GptInfo;
    registry.add("gpt_info/success/whole_range_at_once", |w| {
        let size = l0_bytes(w)?;
        let base = w.granule() & !(size - 1);
        let reply = w.call(INFO, &[base, base + size])?.ok()?;
        reply.out(1, base + size)?.out(2, 1)?;
        Ok(())
    });
    registry.add_before("gpt_info/success/any_state", |w| {
        w.negotiate()?;
        let size = l0_bytes(w)?;
        let base = w.granule() & !(size - 1);
        w.call(INFO, &[base, base + size])?.ok()?;
        Ok(())
    });
    for (condition, low, high) in
        [("base_align", PAGE, REGION), ("top_align", 0, PAGE), ("size_valid/empty", 0, 0)]
    {
        registry.add(format!("gpt_info/{condition}"), move |w| {
            let base = w.granule() & !((1 << 39) - 1);
            w.fails(INFO, &[base + low, base + high], INPUT)
        });
    }
    registry.add("gpt_info/bound", |w| {
        w.fails(INFO, &[1 << 52, (1 << 52) + (1 << 39)], INPUT)?;
        w.fails(INFO, &[0, 1 << 63], INPUT)
    });
}
