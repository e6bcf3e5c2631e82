//! A Host of RMI 2.0 that sends commands, remembers what it owns, and can give everything back.
//!
//! It checks with every answer what is true of all of them: a well-formed result word, X4 to X7 as
//! they were unless the command defines them, and progress of a range command that succeeds.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::abi::{Command, INCOMPLETE, INPUT, SUCCESS, Stateful, V2_0};
use super::outcome::Reply;
use super::pages::RealmParams;
use super::sro::Operation;
use crate::abi::{HostPage, IN_PLACE};
use crate::need::Need;
use crate::outcome::{Outcome, fail, missing, same};
use crate::port::{Mishap, Place, Port};

/// A granule.
pub const PAGE: u64 = 0x1000;
/// A block at level 2.
pub const BLOCK: u64 = 0x20_0000;

/// Bytes that an entry at `level` describes.
pub const fn entry_size(level: i64) -> u64 {
    1 << (12 + 9 * (3 - level))
}

/// A Realm as the Host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Realm Descriptor.
    pub rd: u64,
    /// IPA width in bits.
    pub width: u64,
    /// Start level.
    pub start: i64,
    /// First start-level table.
    pub rtt_base: u64,
    /// Number of start-level tables.
    pub roots: u64,
    /// First address where a REC can start.
    pub entries: u64,
}

impl Realm {
    /// First unprotected address.
    pub const fn unprotected(&self) -> u64 {
        1 << (self.width - 1)
    }

    /// Where a REC can start: 8 addresses that differ.
    pub const fn entry(&self, number: u64) -> u64 {
        self.entries + 16 * number
    }

    /// First address past the IPA space.
    pub const fn end(&self) -> u64 {
        1 << self.width
    }
}

/// A table below the start level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// RD of its Realm.
    pub rd: u64,
    /// First address that it describes.
    pub ipa: u64,
    /// Its level.
    pub level: i64,
    /// Its granule.
    pub pa: u64,
}

/// The Host's side of a scenario.
pub struct World<'p> {
    /// The machine under test.
    pub port: &'p mut dyn Port,
    pub(super) delegated: BTreeSet<u64>,
    pub(super) spare: Vec<u64>,
    pub(super) realms: Vec<Realm>,
    /// REC, RD, number of the program.
    pub(super) recs: Vec<(u64, u64, u64)>,
    pub(super) tables: Vec<Table>,
    /// Operations under way, by handle.
    pub(super) operations: BTreeMap<u64, Operation>,
    pub(super) active: bool,
    list: Option<u64>,
    params: Option<u64>,
    dice: u64,
}

impl<'p> World<'p> {
    /// A Host that owns nothing, of an RMM that is not active.
    pub fn new(port: &'p mut dyn Port) -> Self {
        Self {
            port,
            delegated: BTreeSet::new(),
            spare: Vec::new(),
            realms: Vec::new(),
            recs: Vec::new(),
            tables: Vec::new(),
            operations: BTreeMap::new(),
            active: false,
            list: None,
            params: None,
            dice: 0x2545_f491_4f6c_dd1d,
        }
    }

    /// A number that means nothing.
    pub fn random(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    /// Sends a command. Registers that are no arguments hold numbers that mean nothing.
    #[track_caller]
    pub fn call(&mut self, command: Command, arguments: &[u64]) -> Outcome<Reply> {
        let mut call = [0; 8];
        call[0] = command.fid();
        for (number, register) in call.iter_mut().enumerate().skip(1) {
            *register = match arguments.get(number - 1) {
                Some(argument) => *argument,
                None => self.random(),
            };
        }
        self.send(command, call)
    }

    /// Sends a command with these registers.
    #[track_caller]
    pub fn send(&mut self, command: Command, call: [u64; 8]) -> Outcome<Reply> {
        let name = command.label();
        let Some(x) = self.port.call(call) else {
            return fail(format!("no answer to {name} {:x?}", &call[1..]));
        };
        let reply = Reply { command, call, x };
        if !reply.is_well_formed() {
            return fail(format!("{name} returned {:#x}, which is no result word", x[0]));
        }
        if reply.status() == INCOMPLETE && command.stateful() == Stateful::Never {
            return fail(format!("{name} is incomplete, which no Host expects of it"));
        }
        let defined = command.outputs().max(if reply.status() == INCOMPLETE { 2 } else { 0 });
        for number in 4..8 {
            if number > defined && x[number] != call[number] {
                let (was, is) = (call[number], x[number]);
                return fail(format!("{name}: X{number} was {was:#x}, is {is:#x}"));
            }
        }
        if let Some(first) = command.range() {
            let (base, top) = (call[1 + first], call[2 + first]);
            let goes = base < x[1] && x[1] <= top;
            if reply.status() == SUCCESS && !goes {
                return fail(format!("{name}: {:#x} is no progress in {base:#x}..{top:#x}", x[1]));
            }
        }
        self.remember(&reply);
        Ok(reply)
    }

    /// Sends a command, carries out what it asks for, and returns its last answer.
    #[track_caller]
    pub fn complete(&mut self, command: Command, arguments: &[u64]) -> Outcome<Reply> {
        let reply = self.call(command, arguments)?;
        self.drive(reply)
    }

    /// A command that succeeds, whatever it asks for on the way.
    #[track_caller]
    pub fn ok(&mut self, command: Command, arguments: &[u64]) -> Outcome<Reply> {
        self.complete(command, arguments)?.ok()
    }

    /// A command that fails with this code.
    #[track_caller]
    pub fn fails(&mut self, command: Command, arguments: &[u64], code: u64) -> Outcome {
        self.complete(command, arguments)?.is(code)?;
        Ok(())
    }

    /// A range command, called again from where it came to until it is through.
    #[track_caller]
    pub fn through(&mut self, command: Command, arguments: &[u64]) -> Outcome {
        let Some(first) = command.range() else { return fail("no range command") };
        let mut arguments = arguments.to_vec();
        while arguments[first] < arguments[first + 1] {
            arguments[first] = self.ok(command, &arguments)?.x[1];
        }
        Ok(())
    }

    /// Keeps the books of what the Host owns.
    pub(super) fn remember(&mut self, reply: &Reply) {
        self.note_operation(reply);
        if reply.status() == SUCCESS {
            self.note_success(reply);
        }
    }

    /// A command has come to its end.
    pub(super) fn note_success(&mut self, reply: &Reply) {
        let [_, first, second, third, fourth, fifth, ..] = reply.call;
        match reply.command {
            Command::DataMapInit if fifth & IN_PLACE != 0 && second == fourth => {
                self.delegated.insert(second);
            }
            Command::Activate => self.active = true,
            Command::Deactivate => self.active = false,
            Command::RangeDelegate => {
                self.delegated.extend((first..reply.x[1]).step_by(4096));
            }
            Command::RangeUndelegate => {
                let range = first..reply.x[1];
                self.delegated.retain(|pa| !range.contains(pa));
                self.spare.retain(|pa| !range.contains(pa));
            }
            Command::RealmCreate => self.note_realm(first, second),
            Command::RealmDestroy => self.realms.retain(|realm| realm.rd != first),
            Command::RecCreate => {
                let mpidr = self.port.read_page(third)[0x100 / 8];
                self.recs.push((second, first, mpidr & 0xf | (mpidr >> 8 & 0xfff) << 4));
            }
            Command::RecDestroy => self.recs.retain(|(pa, ..)| *pa != first),
            Command::RttCreate => {
                let level = fourth.cast_signed();
                self.tables.push(Table { rd: first, ipa: third, level, pa: second });
            }
            Command::RttDestroy | Command::RttFold => {
                let found = |table: &Table| {
                    (table.rd, table.ipa, table.level) == (first, second, third.cast_signed())
                };
                self.tables.retain(|table| !found(table));
            }
            _ => {}
        }
    }

    fn note_realm(&mut self, rd: u64, params: u64) {
        self.port.bind(rd);
        let page = self.port.read_page(params);
        let width = page[1] & 0xff;
        self.realms.push(Realm {
            rd,
            width,
            entries: self.port.entry(width),
            start: page[0x810 / 8].cast_signed(),
            rtt_base: page[0x808 / 8],
            roots: page[0x818 / 8] & 0xffff_ffff,
        });
    }

    /// What every scenario starts with whose RMM is active: version, configuration, activation.
    #[track_caller]
    pub fn boot(&mut self) -> Outcome {
        self.negotiate()?;
        let config = self.page(&[0; 512]);
        self.call(Command::ConfigSet, &[config])?.ok()?;
        self.ok(Command::Activate, &[])?;
        Ok(())
    }

    /// Asks for this interface, or ends the scenario.
    #[track_caller]
    pub fn negotiate(&mut self) -> Outcome {
        match self.call(Command::Version, &[V2_0])?.status() {
            SUCCESS => Ok(()),
            _ => missing(Need::Rmi20),
        }
    }

    /// A feature register.
    #[track_caller]
    pub fn features(&mut self, index: u64) -> Outcome<u64> {
        Ok(self.call(Command::Features, &[index])?.ok()?.x[1])
    }

    /// A granule of Host memory.
    pub fn granule(&mut self) -> u64 {
        self.port.allocate(1, PAGE)
    }

    /// A Host page with these contents.
    pub fn page(&mut self, contents: &HostPage) -> u64 {
        let pa = self.granule();
        self.port.write_page(pa, contents);
        pa
    }

    /// A page that the Host uses for parameters again and again.
    pub fn params(&mut self, contents: &HostPage) -> u64 {
        let pa = match self.params {
            Some(pa) => pa,
            None => self.granule(),
        };
        self.params = Some(pa);
        self.port.write_page(pa, contents);
        pa
    }

    /// A page that the Host uses for lists again and again, with these words at the byte offset
    /// `at`.
    pub fn list(&mut self, at: u64, words: &[u64]) -> u64 {
        let pa = match self.list {
            Some(pa) => pa,
            None => self.granule(),
        };
        self.list = Some(pa);
        let mut page = [0; 512];
        for (word, value) in page.iter_mut().skip(usize::try_from(at / 8).unwrap_or(0)).zip(words) {
            *word = *value;
        }
        self.port.write_page(pa, &page);
        pa + at
    }

    /// A delegated granule, in which the Host has left a secret of its own, if it is new.
    #[track_caller]
    pub fn delegated(&mut self) -> Outcome<u64> {
        match self.spare.pop() {
            Some(pa) => Ok(pa),
            None => self.delegated_run(1, PAGE),
        }
    }

    /// This delegated granule, which has no use.
    #[track_caller]
    pub fn take(&mut self, pa: u64) -> Outcome<u64> {
        let spare = self.spare.len();
        self.spare.retain(|&other| other != pa);
        same("a granule without a use", (spare - self.spare.len()) as u64, 1)?;
        Ok(pa)
    }

    /// Contiguous delegated granules, aligned.
    #[track_caller]
    pub fn delegated_run(&mut self, count: u64, align: u64) -> Outcome<u64> {
        let base = self.port.allocate(count, align);
        for number in 0..count.min(32) {
            let pa = base + number * PAGE;
            self.port.write_page(pa, &crate::world::secret_page(pa));
        }
        self.through(Command::RangeDelegate, &[base, base + count * PAGE])?;
        Ok(base)
    }

    /// The Host uses this delegated granule no more, and may take it when it needs one.
    pub fn set_aside(&mut self, pa: u64) {
        if self.delegated.contains(&pa) && !self.spare.contains(&pa) {
            self.spare.push(pa);
        }
    }

    /// An address with a property, or the end of the scenario.
    #[track_caller]
    pub fn place(&self, place: Place) -> Outcome<u64> {
        let need = match place {
            Place::High => Need::HighMemory,
            _ => Need::ForeignGranule,
        };
        self.port.place(place).map_or_else(|| missing(need), Ok)
    }

    /// Arms a mishap, or ends the scenario if the machine cannot.
    pub fn arm(&mut self, mishap: Mishap) -> Outcome {
        if self.port.arm(mishap) { Ok(()) } else { missing(mishap.need()) }
    }

    /// Parameters of an ordinary Realm, with start tables delegated.
    #[track_caller]
    pub fn realm_params(&mut self, width: u64, start: i64, roots: u64) -> Outcome<RealmParams> {
        let rtt_base = self.delegated_run(roots, roots.next_power_of_two() * PAGE)?;
        Ok(RealmParams {
            s2sz: width,
            num_bps: 1,
            num_wps: 1,
            rtt_base,
            rtt_level_start: start,
            rtt_num_start: roots,
            ..RealmParams::default()
        })
    }

    /// Creates a Realm with these parameters.
    #[track_caller]
    pub fn realm_with(&mut self, params: &RealmParams) -> Outcome<Realm> {
        let rd = self.delegated()?;
        let page = self.params(&params.to_page());
        let reply = self.complete(Command::RealmCreate, &[rd, page])?;
        if reply.status() == INPUT {
            self.offered(params)?;
        }
        reply.ok()?;
        match self.realms.last() {
            Some(realm) => Ok(*realm),
            None => fail("no Realm"),
        }
    }

    /// Ends a scenario whose Realm asks for more than the feature registers offer.
    fn offered(&mut self, params: &RealmParams) -> Outcome {
        let (fr0, fr1) = (self.features(0)?, self.features(1)?);
        let hash = [3, 5, 4].get(usize::try_from(params.hash_algo).unwrap_or(3));
        if params.s2sz > fr0 & 0xff {
            return missing(Need::WideIpa);
        }
        if params.s2sz > 48 && fr0 >> 8 & 1 == 0 {
            return missing(Need::Lpa2);
        }
        if hash.is_some_and(|bit| fr1 >> bit & 1 == 0) {
            return missing(Need::Sha512);
        }
        Ok(())
    }

    /// An ordinary Realm: 40 bits, one table at level 0.
    #[track_caller]
    pub fn realm(&mut self) -> Outcome<Realm> {
        let params = self.realm_params(40, 0, 1)?;
        self.realm_with(&params)
    }

    /// Realms that exist now.
    pub fn realms(&self) -> &[Realm] {
        &self.realms
    }

    /// Number of granules that are not the Host's now.
    pub fn delegated_count(&self) -> usize {
        self.delegated.len()
    }
}
