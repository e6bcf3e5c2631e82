//! The real machine as a [`Port`].

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use super::mailbox::{Compiled, Interrupt, Parsed, SIZE, at};
use super::{Bare, Board, PAGE_WORDS};
use cairn_tests::abi::{Command, HostPage};
use cairn_tests::port::{Mishap, Place, Port, Quarters, Vgic};
use cairn_tests::program::{Action, Observed};
use cairn_tests::v2_0;

/// Bytes of the block of mailboxes.
pub(super) const BLOCK: u64 = 0x20_0000;
/// Mailboxes of all Realms of a scenario.
const MAILBOXES: u64 = BLOCK / SIZE;
/// The word of the program's page that holds the address of the Realm's first mailbox.
const MAILBOX_WORD: usize = 0x7f8 / 8;
/// GICD_ISPENDR7, for interrupts 224 to 255.
const ISPENDR: u64 = 0x21c;
/// Interrupts 232 and 233.
const OWN_CPU: u64 = 1 << 8;
const OTHER_CPU: u64 = 1 << 9;
/// Device-nGnRE, and normal write-back memory, both readable and writable.
const DEVICE: u64 = 0b001 << 2 | 0b11 << 6;
const MEMORY: u64 = 0b110 << 2 | 0b11 << 6;
/// Milliseconds after which a REC that does not exit is interrupted: none of the programs takes
/// more than a few, and a machine may be slow or busy.
const PATIENCE_MS: u64 = 20_000;

/// A Realm's RECs and where their mailboxes are.
struct Home {
    rd: u64,
    first: u64,
    programs: Vec<Program>,
    interrupt: Interrupt,
}

/// What one REC has been told to do.
#[derive(Default)]
struct Program {
    /// Actions whose results have not been read, and whether anybody wants them.
    actions: VecDeque<(Compiled, bool)>,
    /// Results read so far, in words.
    read: u64,
}

/// The machine, the Host's free memory, and the programs of its Realms.
pub(super) struct RealPort<'m> {
    bare: &'m dyn Bare,
    board: Board,
    /// The page of code for Realms.
    program: &'m [u64; PAGE_WORDS],
    memory: Range<u64>,
    next: u64,
    homes: Vec<Home>,
    mailboxes: u64,
    used: u64,
    /// The Host calls in streaming mode.
    streaming: bool,
    /// The Host enters RECs with the SVE hint, and with SVE closed to itself.
    without_sve: bool,
}

impl<'m> RealPort<'m> {
    /// A Host with this free memory.
    pub(super) fn new(
        bare: &'m dyn Bare,
        program: &'m [u64; PAGE_WORDS],
        memory: Range<u64>,
    ) -> Self {
        let mailboxes = memory.start.next_multiple_of(BLOCK);
        let memory = mailboxes + BLOCK..memory.end;
        let next = memory.start;
        Self {
            bare,
            board: bare.board(),
            program,
            memory,
            next,
            homes: Vec::new(),
            mailboxes,
            used: 0,
            streaming: false,
            without_sve: false,
        }
    }

    /// Makes a call; nothing if it has changed registers that are the Host's.
    fn send(&self, registers: [u64; 8]) -> Option<[u64; 8]> {
        if self.streaming {
            let (reply, kept) = self.bare.call_streaming(registers);
            return kept.then_some(reply);
        }
        let command = Command::called(registers[0]);
        let later = v2_0::abi::Command::ALL.iter().any(|command| command.fid() == registers[0]);
        if command.is_none() && !later {
            return Some(self.bare.call(registers));
        }
        let without_sve = self.without_sve && command == Some(Command::RecEnter);
        let (reply, changed) = self.bare.call_watched(registers, without_sve);
        if let Some(changed) = changed {
            let fid = registers[0];
            self.bare.console_line(format_args!(
                "[host] {changed} changed across call {fid:#x}, from {:#x} to {:#x}",
                changed.before, changed.after
            ));
            return None;
        }
        Some(reply)
    }

    /// Address of the block of mailboxes.
    pub(super) fn mailboxes(&self) -> u64 {
        self.mailboxes
    }

    /// Forgets everything: all memory is free again.
    pub(super) fn reset(&mut self) {
        self.streaming = false;
        self.without_sve = false;
        self.next = self.memory.start;
        self.homes.clear();
        self.used = 0;
        for number in 0..MAILBOXES {
            self.bare.write_u64(self.mailboxes + number * SIZE + at::ASSISTANCE, 0);
        }
    }

    fn home(&mut self, rd: u64) -> Option<&mut Home> {
        // The newest: a granule can be an RD again.
        self.homes.iter_mut().rev().find(|home| home.rd == rd)
    }

    /// Clears a mailbox.
    fn prepare(&self, mailbox: u64, interrupt: Interrupt) {
        for offset in (0..at::OPERATIONS).step_by(8) {
            self.bare.write_u64(mailbox + offset, 0);
        }
        for (offset, value) in [
            (at::POSITION, at::OPERATIONS),
            (at::TAIL, at::OPERATIONS),
            (at::RESULTS_END, at::RESULTS),
            (at::INTERRUPT, interrupt.address),
            (at::OWN_CPU, OWN_CPU),
            (at::OTHER_CPU, OTHER_CPU),
        ] {
            self.bare.write_u64(mailbox + offset, value);
        }
    }
}

impl Program {
    /// Reads the results that have come.
    fn collect(&mut self, bare: &dyn Bare, mailbox: u64) -> Vec<Observed> {
        let word = |offset: u64| bare.read_u64(mailbox + offset);
        let end = word(at::RESULTS_END).clamp(at::RESULTS, SIZE);
        let restart = (word(at::ABANDONED) != 0).then(|| word(at::RESTART));
        let mut observed = Vec::new();
        while let Some((action, wanted)) = self.actions.front() {
            let from = at::RESULTS + self.read * 8;
            // An action that was under way when the REC started anew has no more results.
            let until = restart.filter(|&restart| restart >= from).unwrap_or(end);
            let words: Vec<u64> = (from..until).step_by(8).map(word).collect();
            match action.parse(&words) {
                Parsed::Whole(seen, count) => {
                    // Without results, whether it has run is known from how far the program is.
                    if count == 0 && word(at::POSITION) < action.end {
                        break;
                    }
                    if *wanted {
                        observed.extend(seen);
                    }
                    self.read += count as u64;
                }
                Parsed::Incomplete if until < end || restart == Some(until) => {
                    self.read = (until - at::RESULTS) / 8;
                    bare.write_u64(mailbox + at::ABANDONED, 0);
                    self.actions.pop_front();
                    observed.extend(self.collect(bare, mailbox));
                    return observed;
                }
                Parsed::Incomplete => break,
            }
            self.actions.pop_front();
        }
        observed
    }

    /// Replaces what has not been begun.
    fn replace(&mut self, bare: &dyn Bare, mailbox: u64, actions: Vec<Compiled>) -> bool {
        let _ = self.collect(bare, mailbox);
        let position = bare.read_u64(mailbox + at::POSITION);
        let mut tail = position;
        if bare.read_u64(mailbox + at::MIDDLE) != 0 {
            // The action under way has to end, but nobody asks for it any more.
            self.actions.truncate(1);
            if let Some((action, wanted)) = self.actions.front_mut() {
                (*wanted, tail) = (false, action.end);
            }
        } else {
            // Everything is at rest: use the mailbox from its start.
            *self = Self::default();
            tail = at::OPERATIONS;
            bare.write_u64(mailbox + at::POSITION, tail);
            bare.write_u64(mailbox + at::RESULTS_END, at::RESULTS);
            bare.write_u64(mailbox + at::ABANDONED, 0);
        }
        for mut action in actions {
            for word in action.encode() {
                if tail + 8 > at::RESULTS {
                    return false;
                }
                bare.write_u64(mailbox + tail, word);
                tail += 8;
            }
            action.end = tail;
            self.actions.push_back((action, true));
        }
        bare.write_u64(mailbox + at::TAIL, tail);
        true
    }
}

impl Port for RealPort<'_> {
    fn call(&mut self, registers: [u64; 8]) -> Option<[u64; 8]> {
        if Command::called(registers[0]) != Some(Command::RecEnter) {
            return self.send(registers);
        }
        self.bare.acknowledge_interrupts();
        let patience = self.bare.counter_hz() * PATIENCE_MS / 1000;
        self.bare.arm_timer(Some(self.bare.counter() + patience));
        let reply = self.send(registers);
        self.bare.arm_timer(None);
        self.bare.acknowledge_interrupts();
        reply
    }

    fn vgic(&mut self) -> Vgic {
        self.bare.vgic()
    }

    fn set_vgic(&mut self, vgic: &Vgic) {
        self.bare.set_vgic(vgic);
    }

    fn read_page(&mut self, pa: u64) -> HostPage {
        let mut page = [0; PAGE_WORDS];
        if self.memory.contains(&pa) && self.bare.read_page(pa, &mut page) {
            return page;
        }
        [0xdead_dead_dead_dead; PAGE_WORDS]
    }

    fn write_page(&mut self, pa: u64, page: &HostPage) {
        if self.memory.contains(&pa) {
            self.bare.write_page(pa, page);
        }
    }

    fn allocate(&mut self, count: u64, align: u64) -> u64 {
        let pa = self.next.next_multiple_of(align.max(4096));
        let end = pa + count * 4096;
        assert!(end <= self.memory.end, "the scenario needs more memory than the machine has");
        self.next = end;
        pa
    }

    fn place(&self, place: Place) -> Option<u64> {
        match place {
            Place::Device => Some(self.board.device),
            Place::BeyondPa => Some((1 << 52) + 4096),
            Place::Monitor => Some(self.board.monitor),
            // Firmware tells the monitor of DRAM of the Normal world only.
            Place::Secure | Place::Root | Place::High => None,
        }
    }

    fn entry(&self, width: u64) -> u64 {
        (1 << (width - 1)) - BLOCK / 2
    }

    fn quarters(&mut self, rd: u64, width: u64, recs: u64) -> Option<Quarters> {
        assert!(
            self.used + recs <= MAILBOXES,
            "the scenario has more RECs than there are mailboxes"
        );
        let end = 1 << width;
        let (mailboxes, gic) = (end - 3 * BLOCK, end - 2 * BLOCK);
        let interrupt = Interrupt { address: gic + ISPENDR, bit: OWN_CPU };
        let first = self.used;
        for number in first..first + recs {
            self.prepare(self.mailboxes + number * SIZE, interrupt);
        }
        self.used += recs;
        let programs = (0..recs).map(|_| Program::default()).collect();
        self.homes.push(Home { rd, first, programs, interrupt });
        let mut contents = Box::new(*self.program);
        if let Some(word) = contents.get_mut(MAILBOX_WORD) {
            *word = mailboxes + first * SIZE;
        }
        let shared = [(mailboxes, self.mailboxes | MEMORY), (gic, self.board.distributor | DEVICE)];
        Some(Quarters { code: self.entry(width), contents, shared })
    }

    fn vmcr(&self) -> u64 {
        self.bare.resting_vmcr()
    }

    fn program(&mut self, rd: u64, index: u64, actions: &[Action]) {
        let (bare, block) = (self.bare, self.mailboxes);
        let Some(home) = self.home(rd) else { return };
        let interrupt = home.interrupt;
        let compiled: Option<Vec<_>> =
            actions.iter().map(|action| Compiled::new(action, interrupt)).collect();
        let Some(compiled) = compiled else { panic!("no instruction does {actions:x?}") };
        let mailbox = block + (home.first + index) * SIZE;
        let number = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(program) = home.programs.get_mut(number) else { return };
        let fits = program.replace(bare, mailbox, compiled);
        assert!(fits, "the program does not fit into its mailbox");
    }

    fn observed(&mut self, rd: u64, index: u64) -> Vec<Observed> {
        let (bare, block) = (self.bare, self.mailboxes);
        let Some(home) = self.home(rd) else { return Vec::new() };
        let mailbox = block + (home.first + index) * SIZE;
        let number = usize::try_from(index).unwrap_or(usize::MAX);
        home.programs
            .get_mut(number)
            .map_or_else(Vec::new, |program| program.collect(bare, mailbox))
    }

    fn arm(&mut self, mishap: Mishap) -> bool {
        match mishap {
            Mishap::Streaming => self.streaming = self.bare.has_streaming(),
            Mishap::SveHint => self.without_sve = self.bare.has_sve(),
            Mishap::HostFault(_)
            | Mishap::HostChange(..)
            | Mishap::Pending(_)
            | Mishap::El3Short(_)
            | Mishap::El3Refuses(..)
            | Mishap::El3Keeps(..) => return false,
        }
        self.streaming || self.without_sve
    }

    fn leaked(&self) -> Option<usize> {
        None
    }

    fn invalidations(&self) -> Option<u64> {
        None
    }
}

/// Sends the commands that Realms have asked another CPU for.
pub fn assist(bare: &dyn Bare, mailboxes: u64) {
    for number in 0..MAILBOXES {
        let mailbox = mailboxes + number * SIZE;
        if bare.read_u64(mailbox + at::ASSISTANCE) != 1 {
            continue;
        }
        let word = |number: u64| bare.read_u64(mailbox + at::COMMAND + 8 * number);
        let reply = bare.call(core::array::from_fn(|number| word(number as u64)));
        for (number, value) in (0..).zip(reply) {
            bare.write_u64(mailbox + at::REPLY + 8 * number, value);
        }
        bare.barrier();
        bare.write_u64(mailbox + at::ASSISTANCE, 2);
    }
}
