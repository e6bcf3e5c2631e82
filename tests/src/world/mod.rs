//! A Host that sends commands, remembers what it owns, and can give everything back.
//!
//! It checks with every command what is true of all of them: only known return codes, and zero in
//! every output that the specification does not define.

mod closure;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use crate::abi::{Command, HostPage, IN_PLACE, INPUT, RealmParams, entry_state};
use crate::need::Need;
use crate::outcome::{Outcome, Reply, fail, missing};
use crate::port::{Mishap, Place, Port, Quarters};

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
    /// VMID.
    pub vmid: u64,
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

/// What was added to a Realm so that it can run programs.
struct Built {
    code: u64,
    shared: [u64; 2],
    /// Address and level, in the order in which they were made.
    tables: Vec<(u64, i64)>,
}

/// Bytes that an entry at `level` describes.
pub const fn entry_size(level: i64) -> u64 {
    1 << (12 + 9 * (3 - level))
}

/// The Host's side of a scenario.
pub struct World<'p> {
    /// The machine under test.
    pub port: &'p mut dyn Port,
    delegated: Vec<u64>,
    realms: Vec<Realm>,
    /// REC, RD, index.
    recs: Vec<(u64, u64, u64)>,
    /// RDs of Realms that have got quarters, and what was built for them.
    quarters: BTreeMap<u64, Built>,
    next_vmid: u64,
    params_page: Option<u64>,
    tally: BTreeMap<(Command, u64), u64>,
}

impl<'p> World<'p> {
    /// A Host that owns nothing.
    pub fn new(port: &'p mut dyn Port) -> Self {
        Self {
            port,
            delegated: Vec::new(),
            realms: Vec::new(),
            recs: Vec::new(),
            quarters: BTreeMap::new(),
            next_vmid: 1,
            params_page: None,
            tally: BTreeMap::new(),
        }
    }

    /// One call as it is: X0 to X4, which are what RMI 1.0 returns.
    pub fn raw(&mut self, registers: [u64; 8]) -> Option<[u64; 5]> {
        self.port.call(registers).map(|[x0, x1, x2, x3, x4, ..]| [x0, x1, x2, x3, x4])
    }

    /// Sends a command whose arguments are X1 to X5.
    #[track_caller]
    pub fn try_call(&mut self, command: Command, arguments: &[u64]) -> Outcome<Reply> {
        let mut registers = [0; 8];
        registers[0] = command.fid();
        registers[1..=arguments.len()].copy_from_slice(arguments);
        let Some([code, x1, x2, x3, x4]) = self.raw(registers) else {
            return fail(format!("no answer to {} {arguments:x?}", command.label()));
        };
        let mut all = [0; 5];
        all[..arguments.len()].copy_from_slice(arguments);
        let (on_success, on_failure) = command.outputs();
        // What a command defines on success alone is open when it fails; the scenario
        // `unknown/outputs_of_failed_commands` looks at it.
        let defined = if code == 0 { on_success } else { on_success | on_failure };
        // X4 keeps what the Host passed unless it is an output.
        let x4 = if defined & 8 == 0 && x4 == registers[4] { 0 } else { x4 };
        let outputs = [x1, x2, x3, x4];
        let known = matches!(code, 0..=3 | 0x102 | 0x104 | 0x204 | 0x304 | 4 | 0xff04);
        if !known {
            return fail(format!("{} returned the unknown {code:#x}", command.label()));
        }
        for (number, output) in outputs.into_iter().enumerate() {
            if defined >> number & 1 == 0 && output != 0 {
                let name = command.label();
                return fail(format!("{name}: X{} is {output:#x}, should be 0", number + 1));
            }
        }
        let reply = Reply { command, arguments: all, code, outputs };
        *self.tally.entry((command, code)).or_default() += 1;
        if code == 0 {
            self.remember(&reply);
        }
        Ok(reply)
    }

    /// Sends a command, and expects an answer.
    #[track_caller]
    pub fn call<const N: usize>(
        &mut self,
        command: Command,
        arguments: [u64; N],
    ) -> Outcome<Reply> {
        self.try_call(command, &arguments)
    }

    /// Keeps the books of what the Host owns.
    fn remember(&mut self, reply: &Reply) {
        let [first, second, _, fourth, fifth, ..] = reply.arguments;
        match reply.command {
            Command::GranuleDelegate => self.delegated.push(first),
            Command::DataCreate if fifth & IN_PLACE != 0 && second == fourth => {
                self.delegated.push(second);
            }
            Command::GranuleUndelegate => self.delegated.retain(|&pa| pa != first),
            Command::RealmCreate => {
                self.port.bind(first);
                let page = self.port.read_page(second);
                let width = page[1] & 0xff;
                self.realms.push(Realm {
                    rd: first,
                    width,
                    entries: self.port.entry(width),
                    start: page[0x810 / 8].cast_signed(),
                    rtt_base: page[0x808 / 8],
                    roots: page[0x818 / 8] & 0xffff_ffff,
                    vmid: page[0x800 / 8] & 0xffff,
                });
            }
            Command::RealmDestroy => {
                self.realms.retain(|realm| realm.rd != first);
                self.quarters.remove(&first);
            }
            Command::RecCreate => {
                let mpidr = self.port.read_page(reply.arguments[2])[0x100 / 8];
                self.recs.push((second, first, mpidr & 0xf | (mpidr >> 8) << 4));
            }
            Command::RecDestroy => self.recs.retain(|(pa, ..)| *pa != first),
            _ => {}
        }
    }

    /// A granule of Host memory.
    pub fn granule(&mut self) -> u64 {
        self.port.allocate(1, 4096)
    }

    /// A delegated granule, in which the Host has left a secret of its own.
    #[track_caller]
    pub fn delegated(&mut self) -> Outcome<u64> {
        self.delegated_run(1, 4096)
    }

    /// Contiguous delegated granules, aligned.
    #[track_caller]
    pub fn delegated_run(&mut self, count: u64, align: u64) -> Outcome<u64> {
        let base = self.port.allocate(count, align);
        for number in 0..count {
            let pa = base + number * 4096;
            self.port.write_page(pa, &secret_page(pa));
            self.call(Command::GranuleDelegate, [pa])?.ok()?;
        }
        Ok(base)
    }

    /// A Host page with these contents.
    pub fn page(&mut self, contents: &HostPage) -> u64 {
        let pa = self.granule();
        self.port.write_page(pa, contents);
        pa
    }

    /// A page that the Host uses for parameters again and again.
    pub fn params(&mut self, contents: &HostPage) -> u64 {
        let pa = match self.params_page {
            Some(pa) => pa,
            None => self.granule(),
        };
        self.params_page = Some(pa);
        self.port.write_page(pa, contents);
        pa
    }

    /// A VMID that no Realm of this Host has.
    pub fn vmid(&mut self) -> u64 {
        self.next_vmid += 1;
        self.next_vmid
    }

    /// An address with a property, if the machine has one.
    pub fn place(&self, place: Place) -> Option<u64> {
        self.port.place(place)
    }

    /// An address above 2^48, or the end of the scenario.
    pub fn high(&self) -> Outcome<u64> {
        self.place(Place::High).map_or_else(|| missing(Need::HighMemory), Ok)
    }

    /// Arms a mishap, or ends the scenario if the machine cannot.
    pub fn arm(&mut self, mishap: Mishap) -> Outcome {
        if self.port.arm(mishap) { Ok(()) } else { missing(mishap.need()) }
    }

    /// Parameters of an ordinary Realm, with start tables delegated.
    pub fn realm_params(&mut self, width: u64, start: i64, roots: u64) -> Outcome<RealmParams> {
        let rtt_base = self.delegated_run(roots, roots * 4096)?;
        Ok(RealmParams {
            flags: 0,
            s2sz: width,
            sve_vl: 0,
            num_bps: 1,
            num_wps: 1,
            pmu_num_ctrs: 0,
            hash_algo: 0,
            rpv: [0; 8],
            vmid: self.vmid(),
            rtt_base,
            rtt_level_start: start,
            rtt_num_start: roots,
        })
    }

    /// Creates a Realm with these parameters.
    #[track_caller]
    pub fn realm_with(&mut self, params: &RealmParams) -> Outcome<Realm> {
        let rd = self.delegated()?;
        let page = self.params(&params.to_page());
        let reply = self.call(Command::RealmCreate, [rd, page])?;
        if reply.code == INPUT {
            self.offered(params)?;
        }
        reply.ok()?;
        match self.realms.last() {
            Some(realm) => Ok(*realm),
            None => fail("no Realm"),
        }
    }

    /// Ends a scenario whose Realm asks for more than feature register 0 offers.
    fn offered(&mut self, params: &RealmParams) -> Outcome {
        let [features, ..] = self.call(Command::Features, [0])?.ok()?.outputs;
        if params.flags & RealmParams::LPA2 != 0 && features >> 8 & 1 == 0 {
            return missing(Need::Lpa2);
        }
        if params.s2sz > features & 0xff {
            return missing(Need::WideIpa);
        }
        if params.hash_algo == 1 && features >> 33 & 1 == 0 {
            return missing(Need::Sha512);
        }
        Ok(())
    }

    /// An ordinary Realm: 40 bits, one table at level 0.
    #[track_caller]
    pub fn realm(&mut self) -> Outcome<Realm> {
        self.realm_of(40, 0, 1)
    }

    /// A Realm of a geometry.
    #[track_caller]
    pub fn realm_of(&mut self, width: u64, start: i64, roots: u64) -> Outcome<Realm> {
        let params = self.realm_params(width, start, roots)?;
        self.realm_with(&params)
    }

    /// Makes the tables down to `level` that lead to `ipa`, as far as they are missing.
    #[track_caller]
    pub fn tables(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome {
        self.missing_tables(realm, ipa, level)?;
        Ok(())
    }

    /// The same; the address and level of each table that was made.
    #[track_caller]
    fn missing_tables(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome<Vec<(u64, i64)>> {
        let mut made = Vec::new();
        for level in realm.start + 1..=level {
            let base = ipa & !(entry_size(level - 1) - 1);
            let parent = self.read_entry(realm, base, level - 1)?;
            let [walked, state, ..] = parent.outputs;
            if walked == (level - 1).cast_unsigned() && state == entry_state::TABLE {
                continue;
            }
            self.table(realm, base, level)?;
            made.push((base, level));
        }
        Ok(made)
    }

    /// Makes one table.
    #[track_caller]
    pub fn table(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome<u64> {
        let rtt = self.delegated()?;
        self.call(Command::RttCreate, [realm.rd, rtt, ipa, level.cast_unsigned()])?.ok()?;
        Ok(rtt)
    }

    /// Puts an unmeasured page of memory with contents the Host does not know at `ipa`.
    #[track_caller]
    pub fn data_unknown(&mut self, realm: &Realm, ipa: u64) -> Outcome<u64> {
        let data = self.delegated()?;
        self.call(Command::DataCreateUnknown, [realm.rd, data, ipa])?.ok()?;
        Ok(data)
    }

    /// Puts a page with these contents at `ipa` of a new Realm.
    #[track_caller]
    pub fn data(&mut self, realm: &Realm, ipa: u64, contents: &HostPage) -> Outcome<u64> {
        let data = self.delegated()?;
        let src = self.params(contents);
        self.call(Command::DataCreate, [realm.rd, data, ipa, src, 0])?.ok()?;
        Ok(data)
    }

    /// RTT_READ_ENTRY.
    #[track_caller]
    pub fn read_entry(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome<Reply> {
        self.call(Command::RttReadEntry, [realm.rd, ipa, level.cast_unsigned()])?.ok()
    }

    /// The entry of `ipa` that a walk to `level` finds: level reached, state, descriptor, RIPAS.
    #[track_caller]
    pub fn expect_entry(
        &mut self,
        realm: &Realm,
        (ipa, level): (u64, i64),
        expected: (i64, u64, u64, u64),
    ) -> Outcome {
        let reply = self.read_entry(realm, ipa, level)?;
        let (walked, state, desc, ripas) = expected;
        // The text leaves open how wide level -1 is written; the scenario
        // `rtt_read_entry/success/level_minus_1` looks at it.
        if walked >= 0 || reply.outputs[0] & 0xff != 0xff {
            reply.out(1, walked.cast_unsigned())?;
        }
        reply.out(2, state)?.out(3, desc)?;
        // Nor does it give a table a RIPAS; `rtt_read_entry/success/each_kind` looks at it.
        if state != entry_state::TABLE {
            reply.out(4, ripas)?;
        }
        Ok(())
    }

    /// REALM_ACTIVATE. A Realm with RECs gets what they need to run programs first.
    #[track_caller]
    pub fn activate(&mut self, realm: &Realm) -> Outcome {
        let indices = self.recs.iter().filter(|(_, rd, _)| *rd == realm.rd).map(|rec| rec.2);
        if let Some(last) = indices.max()
            && let Some(quarters) = self.port.quarters(realm.rd, realm.width, last + 1)
        {
            self.move_in(realm, &quarters)?;
        }
        self.call(Command::RealmActivate, [realm.rd])?.ok()?;
        Ok(())
    }

    fn move_in(&mut self, realm: &Realm, quarters: &Quarters) -> Outcome {
        let mut tables = self.missing_tables(realm, quarters.code, 3)?;
        self.data(realm, quarters.code, &quarters.contents)?;
        for (ipa, desc) in quarters.shared {
            tables.extend(self.missing_tables(realm, ipa, 2)?);
            self.call(Command::RttMapUnprotected, [realm.rd, ipa, 2, desc])?.ok()?;
        }
        let shared = quarters.shared.map(|(ipa, _)| ipa);
        self.quarters.insert(realm.rd, Built { code: quarters.code, shared, tables });
        Ok(())
    }

    /// Takes away what [`World::activate`] added to a Realm that the scenario takes apart by hand.
    #[track_caller]
    pub fn move_out(&mut self, realm: &Realm) -> Outcome {
        let Some(built) = self.quarters.remove(&realm.rd) else { return Ok(()) };
        self.call(Command::DataDestroy, [realm.rd, built.code])?.ok()?;
        for ipa in built.shared {
            self.call(Command::RttUnmapUnprotected, [realm.rd, ipa, 2])?.ok()?;
        }
        for (ipa, level) in built.tables.into_iter().rev() {
            self.call(Command::RttDestroy, [realm.rd, ipa, level.cast_unsigned()])?.ok()?;
        }
        Ok(())
    }

    /// Granules that are delegated now.
    pub fn delegated_count(&self) -> usize {
        self.delegated.len()
    }

    /// Realms that exist now.
    pub fn realms(&self) -> &[Realm] {
        &self.realms
    }

    /// How often each command returned each code.
    pub fn tally(&self) -> &BTreeMap<(Command, u64), u64> {
        &self.tally
    }

    /// RECs that exist now.
    pub fn recs(&self) -> Vec<u64> {
        self.recs.iter().map(|(pa, ..)| *pa).collect()
    }
}

/// A page whose every word is recognisable, and different from every other page's.
pub fn secret_page(seed: u64) -> HostPage {
    let mut page = [0; 512];
    for (index, word) in page.iter_mut().enumerate() {
        *word =
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (index as u64) << 48 ^ 0x5ec3_e75e_c3e7_0001;
    }
    page
}
