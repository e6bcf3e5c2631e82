//! Commands of version 1.0.

use super::{Arena, Numbered, Script};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::abi::{realm_params, rec_params};
use crate::stress::Dice;
use crate::stress::program::{REGION, STRIDE};
use crate::stress::small::{BLOCK, UNPROTECTED};
use crate::stress::tally::Counted;
use alloc::vec::Vec;
use cairn_tests::abi::Command;
use core::sync::atomic::Ordering;

/// Most auxiliary granules of a REC.
const AUX_MAX: u64 = 16;

/// Version 1.0.
#[derive(Debug)]
pub(super) struct V1_0 {
    /// Auxiliary granules of a REC.
    aux_count: u64,
}

impl V1_0 {
    /// For RECs of Realms like this one.
    pub(super) fn new(host: &Host, rd: u64) -> Result<Self, Failure> {
        Ok(Self { aux_count: host.v1_0().rec_aux_count(rd)?.min(AUX_MAX) })
    }

    fn command(
        &self,
        arena: &Arena,
        dice: &mut Dice,
        part: u64,
        cpu: usize,
    ) -> Result<(Command, [u64; 5]), Failure> {
        let missing = "the arena is empty";
        let few = arena.granules.get(..4).ok_or(missing)?;
        let list = if part == 0 { few } else { &arena.granules[..] };
        let granule = *dice.pick(list).ok_or(missing)?;
        let other = arena.granule(dice).ok_or(missing)?;
        let runner = dice.pick(&arena.runners).ok_or(missing)?;
        let new_rd = arena.new_realms.or(dice, granule);
        let new_rec = arena.new_recs.or(dice, granule);
        // Now and then a Realm that another CPU may just have made.
        let rd = match dice.roll(8) {
            0 | 1 if part >= 3 => new_rd,
            2 | 3 => arena.idle,
            _ => runner.rd,
        };
        let page = REGION.start + dice.roll(16) * STRIDE;
        let shared = UNPROTECTED + dice.roll(4) * PAGE_SIZE;
        let block = REGION.start + dice.roll(3) * BLOCK;
        let run = *arena.runs.get(cpu).ok_or(missing)?;
        let kind = match part {
            0 => dice.roll(2),
            // With a table now and then.
            1 => 2 + dice.roll(8) + 9 * u64::from(dice.roll(16) == 0),
            2 => 6 + dice.roll(10),
            // What the parts before have left in tables is needed.
            3 if dice.roll(4) == 0 => *dice.pick(&[5, 12, 13]).ok_or(missing)?,
            3 => 16 + dice.roll(12),
            _ => dice.roll(28),
        };
        Ok(match if part == 1 && kind > 9 { 11 } else { kind } {
            0 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
            1 => (Command::GranuleUndelegate, [granule, 0, 0, 0, 0]),
            2 | 16 | 17 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
            3 | 4 if rd == arena.idle && dice.roll(2) == 0 => {
                (Command::DataCreate, [rd, granule, page, run, 1])
            }
            3 | 4 => (Command::DataCreateUnknown, [rd, granule, page, 0, 0]),
            5 => (Command::DataDestroy, [rd, page, 0, 0, 0]),
            6..=8 => (Command::RecEnter, [runner.rec, run, 0, 0, 0]),
            9 if rd == arena.idle => (Command::RttInitRipas, [rd, page, REGION.end, 0, 0]),
            9 => {
                let wanted = runner.wanted.load(Ordering::Relaxed);
                (Command::RttSetRipas, [runner.rd, runner.rec, wanted, REGION.end, 0])
            }
            10 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
            11 => (Command::RttCreate, [rd, granule, block, 3, 0]),
            12 => (Command::RttFold, [rd, block, 3, 0, 0]),
            13 => match dice.roll(2) {
                0 => (Command::RttDestroy, [rd, block, 3, 0, 0]),
                _ => (Command::DataDestroy, [rd, page, 0, 0, 0]),
            },
            14 => match dice.roll(4) {
                0 => (Command::RttDestroy, [rd, UNPROTECTED, 1 + dice.roll(3), 0, 0]),
                _ => (Command::RttCreate, [rd, granule, UNPROTECTED, 1 + dice.roll(3), 0]),
            },
            15 => match dice.roll(2) {
                // Readable and writable, write-back.
                0 => (Command::RttMapUnprotected, [rd, shared, 3, other | 0xd8, 0]),
                _ => (Command::RttUnmapUnprotected, [rd, shared, 3, 0, 0]),
            },
            18 | 19 => self.realm_create(arena, dice, other).ok_or(missing)?,
            20 => (Command::RealmDestroy, [granule, 0, 0, 0, 0]),
            21 => match dice.roll(8) {
                0 => (Command::RealmActivate, [new_rd, 0, 0, 0, 0]),
                1..=3 => (Command::RealmDestroy, [new_rd, 0, 0, 0, 0]),
                _ => self.rec_create(arena, dice, new_rd, other).ok_or(missing)?,
            },
            22 | 23 => self.rec_create(arena, dice, new_rd, other).ok_or(missing)?,
            24 => (Command::RecDestroy, [new_rec, 0, 0, 0, 0]),
            25 => match dice.roll(3) {
                0 => (Command::RttCreate, [rd, other, 0, 1, 0]),
                1 => (Command::RttDestroy, [rd, 0, 1, 0, 0]),
                _ => (Command::RecEnter, [new_rec, run, 0, 0, 0]),
            },
            26 => (Command::GranuleUndelegate, [granule, 0, 0, 0, 0]),
            _ => match dice.roll(4) {
                0 => (Command::RttReadEntry, [rd, page, 3, 0, 0]),
                1 => (Command::RecAuxCount, [rd, 0, 0, 0, 0]),
                2 => {
                    let target = dice.pick(&arena.runners).ok_or(missing)?.rec;
                    (Command::PsciComplete, [runner.rec, target, 0, 0, 0])
                }
                _ => (Command::DataCreate, [rd, granule, page, run, 1]),
            },
        })
    }

    /// RMI_REALM_CREATE with a random table and one of a few VMIDs, in a page of parameters that
    /// other CPUs may be writing.
    fn realm_create(&self, arena: &Arena, dice: &mut Dice, rd: u64) -> Option<(Command, [u64; 5])> {
        let params = *dice.pick(&arena.realm_params)?;
        let write = |offset: u64, value| arena.host.machine().write_u64(params + offset, value);
        write(realm_params::VMID, 0x100 + dice.roll(4));
        write(realm_params::RTT_BASE, arena.granule(dice)?);
        Some((Command::RealmCreate, [rd, params, 0, 0, 0]))
    }

    /// RMI_REC_CREATE with random auxiliary granules, in a page of parameters that other CPUs may
    /// be writing.
    fn rec_create(
        &self,
        arena: &Arena,
        dice: &mut Dice,
        rd: u64,
        rec: u64,
    ) -> Option<(Command, [u64; 5])> {
        let params = *dice.pick(&arena.rec_params)?;
        arena.host.machine().write_u64(params + rec_params::NUM_AUX, self.aux_count);
        for n in 0..self.aux_count {
            let aux = arena.granule(dice)?;
            arena.host.machine().write_u64(params + rec_params::AUX + 8 * n, aux);
        }
        Some((Command::RecCreate, [rd, rec, params, 0, 0]))
    }
}

impl Script for V1_0 {
    fn commands(&self) -> Vec<Counted> {
        let count = |command: &Command| Counted { fid: command.fid(), name: command.label() };
        Command::ALL.iter().map(count).collect()
    }

    fn may_return(&self, fid: u64, code: u64) -> bool {
        Command::ALL.iter().any(|command| command.fid() == fid && may_return(*command, code))
    }

    fn has_to_succeed(&self) -> Vec<u64> {
        [
            Command::GranuleDelegate,
            Command::GranuleUndelegate,
            Command::DataCreate,
            Command::DataCreateUnknown,
            Command::DataDestroy,
            Command::RttCreate,
            Command::RttFold,
            Command::RttDestroy,
            Command::RttInitRipas,
            Command::RttMapUnprotected,
            Command::RttUnmapUnprotected,
            Command::RealmCreate,
            Command::RealmDestroy,
            Command::RecCreate,
            Command::RecDestroy,
            Command::RecEnter,
        ]
        .map(Command::fid)
        .to_vec()
    }

    fn choose(
        &self,
        arena: &Arena,
        dice: &mut Dice,
        part: u64,
        cpu: usize,
    ) -> Result<Numbered, Failure> {
        let (command, arguments) = self.command(arena, dice, part, cpu)?;
        Ok((command.fid(), arguments))
    }

    fn note(&self, arena: &Arena, (fid, arguments): Numbered, _code: u64) {
        match arguments {
            [granule, ..] if fid == Command::GranuleDelegate.fid() => {
                arena.delegated.note(granule);
            }
            [rd, ..] if fid == Command::RealmCreate.fid() => arena.new_realms.note(rd),
            [_, rec, ..] if fid == Command::RecCreate.fid() => arena.new_recs.note(rec),
            _ => {}
        }
    }

    /// Everything that the CPUs may have left is destroyed: by trying.
    fn sweep(&self, arena: &Arena) {
        let machine = arena.host.machine();
        let call = |command: Command, a: u64, b: u64, c: u64| {
            machine.smc([command.fid(), a, b, c, 0, 0, 0]);
        };
        for granule in &arena.granules {
            call(Command::RecDestroy, *granule, 0, 0);
        }
        let own = arena.realms.iter().map(|realm| realm.rd);
        for rd in own.chain(arena.granules.iter().copied()) {
            for page in 0..16 {
                call(Command::DataDestroy, rd, REGION.start + page * STRIDE, 0);
            }
            for page in 0..4 {
                call(Command::RttUnmapUnprotected, rd, UNPROTECTED + page * PAGE_SIZE, 3);
            }
            for block in 0..3 {
                call(Command::RttDestroy, rd, REGION.start + block * BLOCK, 3);
            }
            for level in [3, 2, 1] {
                call(Command::RttDestroy, rd, UNPROTECTED, level);
            }
        }
        for granule in &arena.granules {
            call(Command::RttDestroy, *granule, 0, 1);
            call(Command::RealmDestroy, *granule, 0, 0);
        }
    }
}

/// Codes with which each command may end besides success.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B4.3, failure conditions of each command.
fn may_return(command: Command, code: u64) -> bool {
    let [input, realm, off, rec] = [code == 1, code == 2, code == 0x102, code == 3];
    let rtt = matches!(code, 4 | 0x104 | 0x204 | 0x304);
    code == 0
        || match command {
            Command::Version
            | Command::Features
            | Command::GranuleDelegate
            | Command::GranuleUndelegate
            | Command::RealmCreate
            | Command::RecAuxCount
            | Command::PsciComplete => input,
            Command::RealmActivate | Command::RealmDestroy | Command::RecCreate => input || realm,
            Command::RecDestroy => input || rec,
            Command::RecEnter => input || realm || off || rec,
            Command::DataCreate | Command::RttInitRipas => input || realm || rtt,
            Command::RttSetRipas => input || rec || rtt,
            Command::DataCreateUnknown
            | Command::DataDestroy
            | Command::RttCreate
            | Command::RttDestroy
            | Command::RttFold
            | Command::RttMapUnprotected
            | Command::RttReadEntry
            | Command::RttUnmapUnprotected => input || rtt,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_command() {
        assert!(may_return(Command::GranuleDelegate, 1));
        assert!(!may_return(Command::GranuleDelegate, 4));
        assert!(may_return(Command::RecEnter, 0x102));
        assert!(!may_return(Command::RecDestroy, 0x102));
        assert!(may_return(Command::RttFold, 0x304));
        assert!(!may_return(Command::RttFold, 0x404));
        assert!(!may_return(Command::DataDestroy, u64::MAX));
    }
}
