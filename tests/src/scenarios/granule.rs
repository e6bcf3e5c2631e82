//! RMI_VERSION, RMI_FEATURES, RMI_GRANULE_DELEGATE, RMI_GRANULE_UNDELEGATE.

use super::registry::{Cpu, Registry};
use crate::abi::{Command, HostPage, INPUT, SUCCESS, ripas};
use crate::need::Need;
use crate::outcome::{Outcome, holds, missing, same};
use crate::port::Place;
use crate::world::{World, secret_page};

pub(super) fn add(registry: &mut Registry) {
    registry.add("version/supported", |w| {
        w.call(Command::Version, [0x1_0000])?.ok()?.out(1, 0x1_0000)?.out(2, 0x1_0000)?;
        Ok(())
    });
    registry.add("version/supported/identifier_of_32_bits", |w| {
        // SMCCC: the identifier is in W0.
        version_by(w, &[0, 1 << 32, 1 << 63, 0xffff_ffff << 32])
    });
    registry.add("version/supported/sve_hint", |w| {
        version_by(w, &[1 << 16, 0xffff_ffff << 32 | 1 << 16])
    });
    registry.add("version/unsupported", |w| {
        for request in [0, 1, 0xffff, 0x1_0001, 0x2_0000, 0x7fff_ffff, u64::MAX] {
            let reply = w.call(Command::Version, [request])?.is(INPUT)?;
            reply.out(1, 0x1_0000)?.out(2, 0x1_0000)?;
        }
        Ok(())
    });
    registry.add("version/unsupported/reserved_bits", |w| {
        for bits in [1 << 31, 1 << 32, 1 << 63] {
            let reply = w.call(Command::Version, [bits | 0x1_0000])?.is(INPUT)?;
            reply.out(1, 0x1_0000)?.out(2, 0x1_0000)?;
        }
        Ok(())
    });
    registry.add("features/register_0", |w| {
        let [value, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
        holds("reserved bits 63:42 are zero", value >> 42 == 0)?;
        holds("SHA-256 or SHA-512", value >> 32 & 3 != 0)?;
        holds(
            "breakpoints and watchpoints are not 0",
            value >> 14 & 63 != 0 && value >> 20 & 63 != 0,
        )?;
        holds("an order of RECs", value >> 38 & 15 != 0)?;
        holds("no wider than the CPU", value & 0xff <= 52)
    });
    registry.add("features/register_0/all_that_the_cpu_has", |w| {
        let [value, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
        same("SHA-256 and SHA-512", value >> 32 & 3, 3)?;
        same("S2SZ", value & 0xff, 52)?;
        same("LPA2", value >> 8 & 1, 1)
    });
    registry.add_on(Cpu::Plain, "features/register_0/plain", |w| {
        let [value, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
        holds("no wider than the CPU", value & 0xff <= 48)?;
        same("LPA2", value >> 8 & 1, 0)
    });
    registry.add_on(Cpu::Plain, "features/register_0/plain/all_that_the_cpu_has", |w| {
        let [value, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
        same("S2SZ", value & 0xff, 48)
    });
    registry.add("features/other_registers", |w| {
        for index in [1, 2, 63, u64::MAX] {
            w.call(Command::Features, [index])?.ok()?.out(1, 0)?;
        }
        Ok(())
    });
    registry
        .add("granule_delegate/gran_gpt", |w| {
            let places = [Place::Secure, Place::Root].map(|place| w.place(place));
            if places == [None; 2] {
                return missing(Need::ForeignGranule);
            }
            for pa in places.into_iter().flatten() {
                w.call(Command::GranuleDelegate, [pa])?.is(INPUT)?;
                // Nothing has changed: it can be tried again, and cannot be given back.
                w.call(Command::GranuleDelegate, [pa])?.is(INPUT)?;
                w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
            }
            Ok(())
        })
        .needs(Need::ForeignGranule);
    registry.add("granule_delegate/success", |w| {
        let pa = w.granule();
        w.port.write_page(pa, &secret_page(pa));
        w.call(Command::GranuleDelegate, [pa])?.ok()?;
        w.call(Command::GranuleDelegate, [pa])?.is(INPUT)?;
        Ok(())
    });
    registry
        .add("granule_delegate/success/anywhere", |w| {
            let high = w.high()?;
            w.call(Command::GranuleDelegate, [high])?.ok()?;
            Ok(())
        })
        .needs(Need::HighMemory);
    registry.add("granule_undelegate/success", |w| {
        let pa = w.delegated()?;
        w.call(Command::GranuleUndelegate, [pa])?.ok()?;
        holds("nothing of the former contents", differs(w, pa, &secret_page(pa)))?;
        w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
        // And once more.
        w.call(Command::GranuleDelegate, [pa])?.ok()?;
        Ok(())
    });
    registry.add("granule_undelegate/success/former_realm_memory", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 3)?;
        let data = w.data(&realm, 0, &secret_page(99))?;
        w.call(Command::GranuleUndelegate, [data])?.is(INPUT)?;
        w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?.out(1, data)?;
        w.call(Command::GranuleUndelegate, [data])?.is(SUCCESS)?;
        holds("no word of the Realm's is left", differs(w, data, &secret_page(99)))?;
        w.expect_entry(&realm, (0, 3), (3, 0, 0, ripas::DESTROYED))
    });
    registry.add("granule_undelegate/success/zeros", |w| {
        // Of the Host itself, and of a Realm.
        let pa = w.delegated()?;
        w.call(Command::GranuleUndelegate, [pa])?.ok()?;
        same("contents", w.port.read_page(pa), [0; 512])?;
        let realm = w.realm()?;
        w.tables(&realm, 0, 3)?;
        let data = w.data(&realm, 0, &secret_page(99))?;
        w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?;
        w.call(Command::GranuleUndelegate, [data])?.ok()?;
        same("contents", w.port.read_page(data), [0; 512])
    });
}

/// RMI_VERSION by an X0 that has these bits too; each names the same command.
fn version_by(w: &mut World<'_>, others: &[u64]) -> Outcome {
    for other in others {
        let reply = w.raw([Command::Version.fid() | other, 0x1_0000, 0, 0, 0, 0, 0, 0]);
        same("reply", reply, Some([0, 0x1_0000, 0x1_0000, 0, 0]))?;
    }
    Ok(())
}

/// Whether no word of a page is what it was.
fn differs(w: &mut World<'_>, pa: u64, former: &HostPage) -> bool {
    w.port.read_page(pa).iter().zip(former).all(|(now, then)| now != then)
}
