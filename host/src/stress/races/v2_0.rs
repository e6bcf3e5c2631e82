//! Commands of version 2.0.

use super::{Arena, Numbered, Script};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::rmi::abi::realm_params;
use crate::stress::Dice;
use crate::stress::program::{REGION, STRIDE};
use crate::stress::small::{BLOCK, UNPROTECTED};
use crate::stress::tally::Counted;
use alloc::vec::Vec;
use cairn_tests::v2_0::abi::{Command, Desc, oaddr, unprot_flags};
use core::sync::atomic::Ordering;

/// Version 2.0.
#[derive(Debug)]
pub(super) struct V2_0;

/// Handles that are tried: those of the first few operations, since the lowest free one is given.
const HANDLES: u64 = 4;
/// Handles that there can be at all.
const ALL_HANDLES: u64 = 64;
/// Most granules of a range.
const RANGE: u64 = 4;

/// Status in bits 7:0 of a result.
mod status {
    pub(super) const INPUT: u64 = 1;
    pub(super) const REALM: u64 = 2;
    pub(super) const REC: u64 = 3;
    pub(super) const BUSY: u64 = 10;
    pub(super) const GLOBAL: u64 = 11;
    pub(super) const TRACKING: u64 = 12;
    pub(super) const INCOMPLETE: u64 = 13;
    pub(super) const BLOCKED: u64 = 14;
}

/// What a command is about in one part of a run: all of it may be something else by the time the
/// monitor sees it.
struct Chosen {
    /// A granule of the arena, and the end of a range that begins there.
    granule: u64,
    top: u64,
    /// Another one, often one that was delegated lately.
    other: u64,
    rd: u64,
    new_rd: u64,
    new_rec: u64,
    /// Addresses in a Realm.
    page: u64,
    shared: u64,
    block: u64,
    /// The run page of this CPU, which also serves as its list.
    run: u64,
}

impl Chosen {
    fn new(arena: &Arena, dice: &mut Dice, part: u64, cpu: usize) -> Option<Self> {
        let list = if part == 0 { arena.granules.get(..4)? } else { &arena.granules[..] };
        let granule = *dice.pick(list)?;
        let end = list.last()? + PAGE_SIZE;
        let new_rd = arena.new_realms.or(dice, granule);
        let running = dice.pick(&arena.runners)?.rd;
        // Now and then a Realm that another CPU may just have made.
        let rd = match dice.roll(8) {
            0 | 1 if part >= 3 => new_rd,
            2 | 3 => arena.idle,
            _ => running,
        };
        Some(Self {
            granule,
            top: end.min(granule + (1 + dice.roll(RANGE)) * PAGE_SIZE),
            other: arena.granule(dice)?,
            rd,
            new_rd,
            new_rec: arena.new_recs.or(dice, granule),
            page: REGION.start + dice.roll(16) * STRIDE,
            shared: UNPROTECTED + dice.roll(4) * PAGE_SIZE,
            block: REGION.start + dice.roll(3) * BLOCK,
            run: *arena.runs.get(cpu)?,
        })
    }

    /// Memory and its RIPAS, or a REC that runs with it.
    fn memory(&self, arena: &Arena, dice: &mut Dice) -> Option<(Command, [u64; 5])> {
        let &Self { granule, other, rd, page, run, .. } = self;
        let runner = dice.pick(&arena.runners)?;
        Some(match dice.roll(8) {
            0 | 1 if rd == arena.idle && dice.roll(2) == 0 => {
                (Command::DataMapInit, [rd, granule, page, run, 1])
            }
            0 | 1 => {
                let memory = Desc::pages(other, 1).encode();
                (Command::DataMap, [rd, page, page + PAGE_SIZE, oaddr::SINGLE, memory])
            }
            2 | 3 => {
                let top = page + (1 + dice.roll(2)) * STRIDE;
                (Command::DataUnmap, [rd, page, top, dice.roll(2), 0])
            }
            4 if rd == arena.idle => (Command::InitRipas, [rd, page, REGION.end, 0, 0]),
            4 => {
                let wanted = runner.wanted.load(Ordering::Relaxed);
                (Command::SetRipas, [runner.rd, runner.rec, wanted, REGION.end, 0])
            }
            _ => (Command::RecEnter, [runner.rec, run, 0, 0, 0]),
        })
    }

    /// Tables, and what the Host shows of its own memory.
    fn tables(&self, dice: &mut Dice) -> (Command, [u64; 5]) {
        let &Self { granule, other, rd, shared, block, .. } = self;
        match dice.roll(8) {
            0 | 1 => (Command::RttCreate, [rd, granule, block, 3, 0]),
            2 => (Command::RttFold, [rd, block, 3, 0, 0]),
            3 => (Command::RttDestroy, [rd, block, 3, 0, 0]),
            4 => match dice.roll(4) {
                0 => (Command::RttDestroy, [rd, UNPROTECTED, 1 + dice.roll(3), 0, 0]),
                _ => (Command::RttCreate, [rd, granule, UNPROTECTED, 1 + dice.roll(3), 0]),
            },
            5 => {
                // Write-back, readable and writable.
                let flags = unprot_flags(oaddr::SINGLE, 0b110, 0b11);
                let memory = Desc::pages(other, 1).encode();
                (Command::UnprotMap, [rd, shared, shared + PAGE_SIZE, flags, memory])
            }
            6 => (Command::UnprotUnmap, [rd, shared, shared + RANGE * PAGE_SIZE, dice.roll(2), 0]),
            _ => (Command::RttCreate, [rd, other, 0, 1, 0]),
        }
    }

    /// Realms and RECs.
    fn objects(&self, arena: &Arena, dice: &mut Dice) -> Option<(Command, [u64; 5])> {
        let &Self { granule, other, new_rd, new_rec, run, .. } = self;
        Some(match dice.roll(24) {
            0..=3 => {
                let params = *dice.pick(&arena.realm_params)?;
                let root = arena.granule(dice)?;
                arena.host.machine().write_u64(params + realm_params::RTT_BASE, root);
                (Command::RealmCreate, [other, params, 0, 0, 0])
            }
            4 => (Command::RealmTerminate, [new_rd, 0, 0, 0, 0]),
            5 => (Command::RealmDestroy, [granule, 0, 0, 0, 0]),
            6 | 7 => (Command::RealmDestroy, [new_rd, 0, 0, 0, 0]),
            8 if dice.roll(4) == 0 => (Command::RealmActivate, [new_rd, 0, 0, 0, 0]),
            8..=16 => {
                let params = *dice.pick(&arena.rec_params)?;
                (Command::RecCreate, [new_rd, other, params, 0, 0])
            }
            17..=20 => (Command::RecDestroy, [new_rec, 0, 0, 0, 0]),
            21 => (Command::RttCreate, [new_rd, other, 0, 1, 0]),
            _ => (Command::RecEnter, [new_rec, run, 0, 0, 0]),
        })
    }

    /// A call to an operation, which may be any CPU's.
    fn operation(&self, arena: &Arena, dice: &mut Dice) -> Option<(Command, [u64; 5])> {
        // The lower it is, the more likely there is such an operation.
        let handle = dice.roll(HANDLES).min(dice.roll(HANDLES));
        Some(match dice.roll(32) {
            // Rare: both end an operation that has got the wrong granules, and few get the right
            // ones.
            0..=4 => (Command::OpContinue, [handle, 0, 0, 0, 0]),
            5 => (Command::OpCancel, [handle, 0, 0, 0, 0]),
            6..=13 => (Command::OpMemReclaim, [handle, self.run, 1 + dice.roll(4), 0, 0]),
            _ => {
                let count = 1 + dice.roll(3);
                for number in 0..count {
                    let word = Desc::pages(arena.granule(dice)?, 1).encode();
                    arena.host.machine().write_u64(self.run + 8 * number, word);
                }
                (Command::OpMemDonate, [handle, self.run, count, 0, 0])
            }
        })
    }

    /// What only looks, answers, or ought to be refused.
    fn rest(&self, arena: &Arena, dice: &mut Dice) -> Option<(Command, [u64; 5])> {
        Some(match dice.roll(8) {
            0..=2 => (Command::RttReadEntry, [self.rd, self.page, 3, 0, 0]),
            3 | 4 => (Command::TrackingGet, [self.granule, self.top, 0, 0, 0]),
            5 | 6 => (Command::PsciComplete, [dice.pick(&arena.runners)?.rec, 0, 0, 0, 0]),
            _ => (Command::Deactivate, [0; 5]),
        })
    }

    /// Granules that change hands.
    fn granules(&self, dice: &mut Dice, takes_back: u64) -> (Command, [u64; 5]) {
        let range = [self.granule, self.top, 0, 0, 0];
        let command = if dice.roll(takes_back) == 0 {
            Command::RangeUndelegate
        } else {
            Command::RangeDelegate
        };
        (command, range)
    }
}

impl V2_0 {
    fn command(
        arena: &Arena,
        dice: &mut Dice,
        part: u64,
        cpu: usize,
    ) -> Option<(Command, [u64; 5])> {
        let chosen = Chosen::new(arena, dice, part, cpu)?;
        Some(match (part, dice.roll(16)) {
            (0, _) => chosen.granules(dice, 2),
            (1..=3, 0..=2) => chosen.granules(dice, 12),
            // With a table now and then.
            (1, 3) => (Command::RttCreate, [chosen.rd, chosen.granule, chosen.block, 3, 0]),
            (1, _) => chosen.memory(arena, dice)?,
            (2, 3..=5) => chosen.memory(arena, dice)?,
            (2, _) => chosen.tables(dice),
            (3, 3..=8) => chosen.operation(arena, dice)?,
            (3, 9) => (Command::DataUnmap, [chosen.rd, chosen.page, REGION.end, oaddr::NONE, 0]),
            (3, _) => chosen.objects(arena, dice)?,
            (_, 0..=2) => chosen.granules(dice, 6),
            (_, 3..=6) => chosen.memory(arena, dice)?,
            (_, 7 | 8) => chosen.tables(dice),
            (_, 9 | 10) => chosen.operation(arena, dice)?,
            (_, 11..=13) => chosen.objects(arena, dice)?,
            _ => chosen.rest(arena, dice)?,
        })
    }
}

impl Script for V2_0 {
    fn commands(&self) -> Vec<Counted> {
        let count = |command: &Command| Counted { fid: command.fid(), name: command.label() };
        Command::ALL.iter().map(count).collect()
    }

    fn may_return(&self, fid: u64, code: u64) -> bool {
        Command::ALL.iter().any(|command| command.fid() == fid && may_return(*command, code))
    }

    fn is_done(&self, code: u64) -> bool {
        code == 0 || code & 0xff == status::INCOMPLETE
    }

    fn has_to_succeed(&self) -> Vec<u64> {
        // Operations come to their end by chance, a few in a hundred thousand commands: a short run
        // may have none.
        [
            Command::RangeDelegate,
            Command::RangeUndelegate,
            Command::DataMapInit,
            Command::DataMap,
            Command::DataUnmap,
            Command::RttCreate,
            Command::RttFold,
            Command::RttDestroy,
            Command::InitRipas,
            Command::UnprotMap,
            Command::UnprotUnmap,
            Command::RealmCreate,
            Command::RealmTerminate,
            Command::RealmDestroy,
            Command::RecCreate,
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
        let chosen = Self::command(arena, dice, part, cpu);
        let (command, arguments) = chosen.ok_or("the arena is empty")?;
        Ok((command.fid(), arguments))
    }

    fn note(&self, arena: &Arena, (fid, arguments): Numbered, _code: u64) {
        match arguments {
            [base, ..] if fid == Command::RangeDelegate.fid() => arena.delegated.note(base),
            [rd, ..] if fid == Command::RealmCreate.fid() => arena.new_realms.note(rd),
            [_, rec, ..] if fid == Command::RecCreate.fid() => arena.new_recs.note(rec),
            _ => {}
        }
    }

    fn sweep(&self, arena: &Arena) {
        end_operations(arena);
        for granule in &arena.granules {
            call(arena, Command::RealmTerminate, [*granule, 0, 0, 0]);
            call(arena, Command::RecDestroy, [*granule, 0, 0, 0]);
        }
        end_operations(arena);
        let own = arena.realms.iter().map(|realm| realm.rd);
        for rd in own.chain(arena.granules.iter().copied()) {
            for page in 0..16 {
                let base = REGION.start + page * STRIDE;
                call(arena, Command::DataUnmap, [rd, base, base + PAGE_SIZE, oaddr::NONE]);
            }
            let end = UNPROTECTED + RANGE * PAGE_SIZE;
            call(arena, Command::UnprotUnmap, [rd, UNPROTECTED, end, oaddr::NONE]);
            for block in 0..3 {
                call(arena, Command::RttDestroy, [rd, REGION.start + block * BLOCK, 3, 0]);
            }
            for level in [3, 2, 1] {
                call(arena, Command::RttDestroy, [rd, UNPROTECTED, level, 0]);
            }
        }
        for granule in &arena.granules {
            call(arena, Command::RttDestroy, [*granule, 0, 1, 0]);
            call(arena, Command::RealmDestroy, [*granule, 0, 0, 0]);
        }
    }
}

/// Tries a command.
fn call(arena: &Arena, command: Command, [a, b, c, d]: [u64; 4]) {
    arena.host.machine().smc([command.fid(), a, b, c, d, 0, 0]);
}

/// Ends every operation: one that waits for memory is cancelled, what the Host gave comes back, the
/// rest goes on.
fn end_operations(arena: &Arena) {
    let Some(list) = arena.runs.first().copied() else { return };
    for handle in 0..ALL_HANDLES {
        for command in [
            Command::OpCancel,
            Command::OpMemReclaim,
            Command::OpContinue,
            Command::OpMemReclaim,
            Command::OpContinue,
        ] {
            call(arena, command, [handle, list, ALL_HANDLES, 0]);
        }
    }
}

/// Codes with which each command may end. Any may be BUSY, while another CPU tries to deactivate
/// the monitor, and BLOCKED, if an unfinished operation owns what it is about.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, failure conditions of each command.
fn may_return(command: Command, code: u64) -> bool {
    let status = code & 0xff;
    let input = status == status::INPUT;
    let [realm, rec, global] =
        [status::REALM, status::REC, status::GLOBAL].map(|wanted| code == wanted);
    let rtt = matches!(code, 4 | 0x104 | 0x204 | 0x304);
    let incomplete = status == status::INCOMPLETE;
    let waits = code == status::BUSY || code == status::BLOCKED;
    code == 0
        || waits
        || match command {
            Command::RangeDelegate | Command::RangeUndelegate => {
                input || status == status::TRACKING
            }
            Command::RealmCreate => input || global,
            Command::RealmActivate | Command::RealmTerminate | Command::RealmDestroy => {
                input || realm
            }
            Command::RecCreate => input || realm || incomplete,
            Command::RecDestroy => input || rec || incomplete,
            Command::RecEnter => input || realm || rec,
            Command::DataMapInit | Command::DataMap | Command::UnprotMap | Command::InitRipas => {
                input || realm || rtt
            }
            Command::SetRipas => input || rec || rtt,
            Command::DataUnmap
            | Command::UnprotUnmap
            | Command::RttCreate
            | Command::RttDestroy
            | Command::RttFold => input || rtt,
            // With the code of the command that has begun the operation.
            Command::OpContinue => input || realm || incomplete,
            Command::OpMemDonate | Command::OpMemReclaim | Command::OpCancel => input || incomplete,
            Command::Deactivate => global,
            Command::RttReadEntry | Command::PsciComplete | Command::TrackingGet => input,
            Command::Version
            | Command::Features
            | Command::ConfigSet
            | Command::PlatTokenRefresh
            | Command::TrackingSet
            | Command::ConfigGet
            | Command::StateGet
            | Command::GptL1Create
            | Command::GptL1Destroy
            | Command::Activate
            | Command::GptInfo => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_command() {
        assert!(may_return(Command::RangeDelegate, 0x8_0000_0301));
        assert!(!may_return(Command::RangeDelegate, 4));
        assert!(may_return(Command::RecCreate, 0x50d));
        assert!(!may_return(Command::RealmDestroy, 0x50d));
        assert!(may_return(Command::RttFold, 0x304) && !may_return(Command::RttFold, 0x404));
        assert!(!may_return(Command::DataUnmap, u64::MAX) && !may_return(Command::DataMap, 0xb));
        assert!(may_return(Command::Deactivate, 0xb) && !may_return(Command::Deactivate, 1));
    }
}
