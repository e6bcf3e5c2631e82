//! Everything that is no command of RMI 1.0 and no call of RSI 1.0 gets -1.

use super::registry::Registry;
use crate::abi::{Command, INPUT, NOT_SUPPORTED, rsi};
use crate::need::Need;
use crate::outcome::{fail, same};
use crate::program::{Action, El1, Observed};
use crate::rec::{VECTORS, smc};

pub(super) fn add(registry: &mut Registry) {
    registry.add("unknown/host/whole_range", |w| {
        for fid in 0xc400_0150..=0xc400_018e {
            if Command::from_fid(fid).is_some() {
                continue;
            }
            let reply = w.raw([fid, 1, 2, 3, 0, 5, 6, 7]);
            same("reply", reply, Some([NOT_SUPPORTED, 0, 0, 0, 0]))?;
        }
        Ok(())
    });
    registry
        .add("unknown/host/other_owners", |w| {
            for fid in [0, 1, 0x8000_0000, 0x8400_0150, 0xc300_0150, 0x4400_0151, u64::MAX] {
                let reply = w.raw([fid, 0, 0, 0, 0, 0, 0, 0]);
                same("X0", reply.map(|[code, ..]| code), Some(NOT_SUPPORTED))?;
            }
            Ok(())
        })
        .needs(Need::NoFirmware);
    registry.add("unknown/host/bits_of_the_identifier", |w| {
        // Bit 16 is the SVE hint of the SMCCC and makes no difference to what a command does; bits
        // 23:17 make another call.
        for command in Command::ALL {
            let mut with = |bits: u64| w.raw([command.fid() | bits, 1, 2, 3, 0, 5, 0, 0]);
            let without = with(0);
            same("with the SVE hint", with(1 << 16), without)?;
            for bit in 17..24 {
                let code = with(1 << bit).map(|[code, ..]| code);
                same("X0", code, Some(NOT_SUPPORTED))?;
            }
        }
        Ok(())
    });
    registry.add("unknown/realm/rmi", |w| {
        let rec = w.running()?;
        for command in Command::ALL {
            same("X0", w.smc(&rec, &[command.fid(), rec.realm.rd])?[0], NOT_SUPPORTED)?;
        }
        Ok(())
    });
    registry.add("unknown/realm/results_are_zero", |w| {
        let rec = w.running()?;
        for fid in [Command::RealmCreate.fid(), 0xc400_019a, 0xc400_018f, 0x8400_0005, 0xdead] {
            let results = w.smc(&rec, &[fid, 1, 2, 3])?;
            same("X0 to X3", results[..4].to_vec(), [NOT_SUPPORTED, 0, 0, 0].to_vec())?;
        }
        Ok(())
    });
    registry.add("unknown/outputs_of_failed_commands", |w| {
        // Every output but `top` is zero when its command fails.
        let realm = w.realm()?;
        for (command, arguments) in [
            (Command::DataDestroy, [realm.rd, 0x800, 0]),
            (Command::RttDestroy, [realm.rd, 0x800, 3]),
            (Command::RttReadEntry, [realm.rd, 0x800, 3]),
            (Command::RttFold, [realm.rd, 0x800, 3]),
            (Command::RttInitRipas, [realm.rd, 0, 0x800]),
            (Command::RttUnmapUnprotected, [realm.rd, 0x800, 3]),
            (Command::RecAuxCount, [0x800, 0, 0]),
        ] {
            let reply = w.try_call(command, &arguments)?.is(INPUT)?;
            same("X1 to X4", reply.outputs, [0; 4])?;
        }
        Ok(())
    });
    registry.add("unknown/realm/rsi_range", |w| {
        let rec = w.running()?;
        for fid in (0xc400_019a..=0xc400_01cf).chain([0xc400_018f]) {
            same("X0", w.smc(&rec, &[fid, 1, 2, 3])?[0], NOT_SUPPORTED)?;
        }
        Ok(())
    });
    registry.add("unknown/realm/other_services", |w| {
        let rec = w.running()?;
        // SMCCC_ARCH_FEATURES, TRNG, vendor identification.
        for fid in [0x8000_0001, 0x8400_0050, 0x8600_ff01] {
            same("X0", w.smc(&rec, &[fid, 1, 2, 3])?[0], NOT_SUPPORTED)?;
        }
        Ok(())
    });
    registry.add("unknown/realm/psci_and_smccc", |w| {
        let rec = w.running()?;
        for fid in [
            0x8400_0005,
            0x8400_0006,
            0x8400_0007,
            0x8400_000b,
            0x8400_000c,
            0x8400_000d,
            0xc400_000e,
            0x8400_000f,
            0xc400_0012,
            0x8400_0013,
            rsi::PSCI_CPU_OFF | 1 << 30,
            rsi::PSCI_SYSTEM_OFF | 1 << 30,
            rsi::PSCI_VERSION | 1 << 30,
        ] {
            same("X0", w.smc(&rec, &[fid, 1, 2, 3])?[0], NOT_SUPPORTED)?;
        }
        Ok(())
    });
    registry.add("unknown/realm/smc_advances_once", |w| {
        let rec = w.running()?;
        let actions = [Action::SetEl1(El1::Vbar, VECTORS), smc(&[0xdead]), Action::State];
        let observed = w.observe(&rec, &actions)?;
        match observed.as_slice() {
            [Observed::Smc(_), Observed::State(pc, _)] => same("PC", *pc, rec.realm.entry(0) + 8),
            other => fail(alloc::format!("observed {other:x?}")),
        }
    });
}
