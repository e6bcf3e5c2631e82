//! A Host that is half informed and half hostile: it knows what it has done, and mostly sends what could succeed.

use cairn_tests::abi::{
    Command, HostPage, RealmParams, RecEnter, RecParams, enter_flags, exit_reason, rec_mpidr, rsi,
};
use cairn_tests::port::Mishap;
use cairn_tests::program::{Access, Action};
use cairn_tests::rec::smc;
use cairn_tests::world::{World, entry_size, secret_page};

/// One step: which command, and four choices.
pub type Step = (u8, u8, u8, u8, u8);

/// What the Host knows.
pub struct Host {
    granules: Vec<u64>,
    /// Delegated and not used by anything.
    free: Vec<u64>,
    page: u64,
    run: u64,
    /// Pages of memory, tables, unprotected mappings: RD, address, level.
    memory: Vec<(u64, u64)>,
    tables: Vec<(u64, u64, u64)>,
    shared: Vec<(u64, u64, u64)>,
    /// RIPAS changes that RECs wait for: REC, base, top.
    wishes: Vec<(u64, u64, u64)>,
    /// RECs that wait for PSCI_COMPLETE.
    callers: Vec<u64>,
    /// Owners of RECs.
    recs: Vec<(u64, u64)>,
}

/// Mostly protected pages of the first two blocks, sometimes elsewhere.
fn any_ipa(choice: u8) -> u64 {
    let page = u64::from(choice & 3) * 0x1000;
    match choice >> 2 & 7 {
        0..=3 => page,
        4 => 0x20_0000 + page,
        5 => (1 << 39) + page,
        6 => (1 << 39) + 0x20_0000,
        _ => u64::from(choice) << 36 | page,
    }
}

fn any_level(choice: u8) -> u64 {
    [3, 3, 3, 2, 2, 1, 0, u64::MAX][usize::from(choice & 7)]
}

/// Aligned for a table of this level.
fn aligned(ipa: u64, level: u64) -> u64 {
    match level {
        1..=3 => ipa & !(entry_size(level.cast_signed() - 1) - 1),
        _ => ipa,
    }
}

fn choose<T: Copy>(list: &[T], choice: u8) -> Option<T> {
    (!list.is_empty()).then(|| list[usize::from(choice) % list.len()])
}

/// Where a sequence starts, so that short ones reach deep too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is delegated.
    Empty,
    /// A Realm with tables and two RECs, one of them off.
    New,
    /// The same, activated.
    Active,
}

impl Host {
    /// A Host with a few granules.
    pub fn new(w: &mut World<'_>, start: Start) -> Self {
        let base = w.port.allocate(32, 4096);
        let (page, run) = (w.granule(), w.granule());
        let mut host = Self {
            granules: (0..32).map(|number| base + number * 4096).collect(),
            free: Vec::new(),
            page,
            run,
            memory: Vec::new(),
            tables: Vec::new(),
            shared: Vec::new(),
            wishes: Vec::new(),
            callers: Vec::new(),
            recs: Vec::new(),
        };
        if start != Start::Empty {
            for number in 0..24 {
                host.send(w, Command::GranuleDelegate, &[host.granules[number]]);
            }
            host.realm_create(w, 1, 0);
            for half in [0, 1 << 39] {
                for level in 1..=3 {
                    host.table(w, 0, half, level);
                }
            }
            for page in 0..2 {
                let (rd, granule) = (host.rd(w, 1), host.granule(1));
                host.send(w, Command::RttInitRipas, &[rd, 0, 0x1000]);
                host.send(w, Command::DataCreateUnknown, &[rd, granule, page * 0x1000]);
            }
            host.rec_create(w, 0, 0);
            host.rec_create(w, 0, 4);
            if start == Start::Active {
                let rd = host.rd(w, 1);
                host.send(w, Command::RealmActivate, &[rd]);
            }
        }
        host
    }

    /// Sends a command, and learns from its success.
    fn send(&mut self, w: &mut World<'_>, command: Command, arguments: &[u64]) -> u64 {
        let reply = w.try_call(command, arguments).unwrap();
        let [a, b, c, d, _] = reply.arguments;
        if reply.code != 0 {
            return reply.code;
        }
        let [freed, ..] = reply.outputs;
        let used = match command {
            Command::GranuleUndelegate | Command::RealmCreate => Some(a),
            Command::RttCreate
            | Command::DataCreate
            | Command::DataCreateUnknown
            | Command::RecCreate => Some(b),
            _ => None,
        };
        self.free.retain(|&granule| Some(granule) != used);
        match command {
            Command::GranuleDelegate => self.free.push(a),
            Command::DataCreate | Command::DataCreateUnknown => self.memory.push((a, c)),
            Command::DataDestroy => {
                self.free.push(freed);
                self.memory.retain(|&entry| entry != (a, b));
            }
            Command::RttCreate => self.tables.push((a, c, d)),
            Command::RttDestroy | Command::RttFold => {
                self.free.push(freed);
                self.tables.retain(|&entry| entry != (a, b, c));
            }
            Command::RttMapUnprotected => self.shared.push((a, b, c)),
            Command::RttUnmapUnprotected => self.shared.retain(|&entry| entry != (a, b, c)),
            Command::RecCreate => self.recs.push((b, a)),
            Command::RecDestroy => self.recs.retain(|(rec, _)| *rec != a),
            Command::RealmDestroy => self.shared.retain(|(rd, ..)| *rd != a),
            Command::RttSetRipas => self.wishes.retain(|(rec, ..)| *rec != b),
            Command::PsciComplete => self.callers.retain(|rec| *rec != a),
            _ => {}
        }
        0
    }

    /// A free granule; now and then any.
    fn granule(&self, choice: u8) -> u64 {
        let any = self.granules[usize::from(choice) % self.granules.len()];
        if choice & 7 == 0 { any } else { choose(&self.free, choice >> 3).unwrap_or(any) }
    }

    fn realm_create(&mut self, w: &mut World<'_>, b: u8, c: u8) {
        let rd = self.granule(b | 1);
        let rtt_base = self.granule((b | 1).wrapping_add(16));
        let page = RealmParams {
            flags: u64::from(c & 1),
            s2sz: 40,
            sve_vl: 0,
            num_bps: 1,
            num_wps: 1,
            pmu_num_ctrs: 0,
            hash_algo: u64::from(c >> 1 & 1),
            rpv: [0; 8],
            vmid: u64::from(c >> 2 & 3),
            rtt_base,
            rtt_level_start: 0,
            rtt_num_start: 1,
        };
        w.port.write_page(self.page, &page.to_page());
        if self.send(w, Command::RealmCreate, &[rd, self.page]) == 0 {
            self.free.retain(|&granule| granule != rtt_base);
        }
    }

    /// An RD, mostly of a Realm that exists.
    fn rd(&self, w: &World<'_>, choice: u8) -> u64 {
        let realms: Vec<u64> = w.realms().iter().map(|realm| realm.rd).collect();
        match choose(&realms, choice) {
            Some(rd) if choice & 15 != 0 => rd,
            _ => self.granules[usize::from(choice) % self.granules.len()],
        }
    }

    fn rec_create(&mut self, w: &mut World<'_>, b: u8, c: u8) {
        let rd = self.rd(w, b | 1);
        let rec = self.granule(b | 1);
        let mut aux = [0; 16];
        aux[0] = self.granule((b | 1).wrapping_add(16));
        let created = self.recs.iter().filter(|(_, owner)| *owner == rd).count() as u64;
        let mpidr = rec_mpidr(if c & 31 == 31 { 9 } else { created });
        let flags = u64::from(c & 4 == 0);
        let params = RecParams { flags, mpidr, pc: 0x1000, gprs: [0; 8], num_aux: 1, aux };
        w.port.write_page(self.page, &params.to_page());
        if self.send(w, Command::RecCreate, &[rd, rec, self.page]) == 0 {
            self.free.retain(|&granule| granule != aux[0]);
        }
    }

    fn table(&mut self, w: &mut World<'_>, e: u8, ipa: u64, level: u64) {
        let (rd, rtt) = (self.rd(w, e | 1), self.granule(e | 1));
        self.send(w, Command::RttCreate, &[rd, rtt, ipa, level]);
    }

    /// Enters a REC with a program of one action, and remembers what it waits for.
    fn enter(&mut self, w: &mut World<'_>, rec: u64, (b, c, d): (u8, u8, u8)) {
        for vmid in 0..4 {
            for index in 0..3 {
                w.port.program(vmid, index, &[action(c, b), Action::Irq]);
            }
        }
        let flags = match d >> 4 {
            0 => enter_flags::EMUL_MMIO,
            1 => enter_flags::INJECT_SEA,
            2 => enter_flags::RIPAS_REJECT,
            _ => 0,
        };
        let mut page: HostPage = [0; 512];
        page[..256].copy_from_slice(&RecEnter::flags(flags).to_words());
        w.port.write_page(self.run, &page);
        if self.send(w, Command::RecEnter, &[rec, self.run]) != 0 {
            return;
        }
        self.wishes.retain(|(other, ..)| *other != rec);
        let exit = w.port.read_page(self.run);
        match exit[256] {
            exit_reason::RIPAS_CHANGE => {
                self.wishes.push((rec, exit[256 + 0xa0], exit[256 + 0xa1]))
            }
            exit_reason::PSCI => self.callers.push(rec),
            _ => {}
        }
    }

    fn set_ripas(&mut self, w: &mut World<'_>, (b, c, e): (u8, u8, u8)) {
        let (rec, base, mut top) = match choose(&self.wishes, b) {
            Some(wish) if c & 7 != 0 => wish,
            _ => (self.granule(c), any_ipa(b) & !0xfff, (any_ipa(b) & !0xfff) + 0x1000),
        };
        if e & 3 == 0 {
            top = base + 0x1000;
        }
        let owner = self.recs.iter().find(|(other, _)| *other == rec).map(|(_, rd)| *rd);
        let rd = owner.unwrap_or_else(|| self.rd(w, e));
        self.send(w, Command::RttSetRipas, &[rd, rec, base, top]);
    }

    /// Carries out a step.
    pub fn step(&mut self, w: &mut World<'_>, (a, b, c, d, e): Step) {
        let rd = self.rd(w, e);
        let recs = w.recs();
        let rec = choose(&recs, d).filter(|_| d & 31 != 0).unwrap_or_else(|| self.granule(d));
        let (ipa, level) = (any_ipa(b), any_level(c));
        let at = if e & 0x70 == 0 { ipa } else { aligned(ipa, level) };
        // What exists, three times in four.
        let known = d & 3 != 0;
        match a % 26 {
            0..=2 => {
                let granule = self.granules[usize::from(d) % self.granules.len()];
                self.send(w, Command::GranuleDelegate, &[granule]);
            }
            3 => {
                self.send(w, Command::GranuleUndelegate, &[self.granule(d)]);
            }
            4 => self.realm_create(w, b, c),
            5 => self.rec_create(w, e, c),
            6 if b < 64 => {
                self.send(w, Command::RealmActivate, &[rd]);
            }
            6 | 7 => {
                let top = (ipa & !0xfff) + if c & 1 == 0 { 0x1000 } else { 0x20_0000 };
                self.send(w, Command::RttInitRipas, &[rd, ipa & !0xfff, top]);
            }
            8..=10 => self.table(w, e, at, level),
            11 | 12 => {
                let command = if a % 26 == 11 { Command::RttDestroy } else { Command::RttFold };
                let chosen = choose(&self.tables, b).filter(|_| known);
                let (rd, at, level) = chosen.unwrap_or((rd, at, level));
                self.send(w, command, &[rd, at, level]);
            }
            13 => {
                w.port.write_page(self.page, &secret_page(u64::from(b)));
                let args = [rd, self.granule(d), ipa, self.page, u64::from(c & 1)];
                self.send(w, Command::DataCreate, &args);
            }
            14..=16 => {
                self.send(w, Command::DataCreateUnknown, &[rd, self.granule(d), ipa]);
            }
            17 => {
                let (rd, ipa) = choose(&self.memory, b).filter(|_| known).unwrap_or((rd, ipa));
                self.send(w, Command::DataDestroy, &[rd, ipa]);
            }
            18 => {
                let desc = 0x4000_0000 | 0xd8;
                let shared = (1 << 39) | ipa & 0x1f_f000;
                self.send(w, Command::RttMapUnprotected, &[rd, shared, level, desc]);
            }
            19 => {
                let chosen = choose(&self.shared, b).filter(|_| known);
                let (rd, at, level) = chosen.unwrap_or((rd, ipa | 1 << 39, level));
                self.send(w, Command::RttUnmapUnprotected, &[rd, at, level]);
            }
            20..=22 => self.enter(w, rec, (b, c, d)),
            23 => self.set_ripas(w, (b, c, e)),
            24 => {
                let caller = choose(&self.callers, b).filter(|_| known).unwrap_or(rec);
                // Another REC of the same Realm.
                let owner = |rec: u64| self.recs.iter().find(|(other, _)| *other == rec);
                let mut siblings = self.recs.clone();
                siblings.retain(|sibling| {
                    owner(caller).is_some_and(|(rec, rd)| sibling.1 == *rd && sibling.0 != *rec)
                });
                let target = choose(&siblings, c).map_or(caller, |(rec, _)| rec);
                let status = if e & 7 == 0 { (-3_i64).cast_unsigned() } else { 0 };
                self.send(w, Command::PsciComplete, &[caller, target, status]);
            }
            _ => self.rarely(w, (rd, rec), (b, c)),
        }
    }

    fn rarely(&mut self, w: &mut World<'_>, (rd, rec): (u64, u64), (b, c): (u8, u8)) {
        match b % 7 {
            0 => {
                self.send(w, Command::RecDestroy, &[rec]);
            }
            1 => {
                self.send(w, Command::RealmDestroy, &[rd]);
            }
            2 => assert!(w.port.arm(Mishap::HostFault(u64::from(c)))),
            3 => assert!(w.port.arm(Mishap::El3Refuses(0, -3))),
            4 => {
                self.send(w, Command::RecAuxCount, &[rd]);
            }
            _ => {
                self.send(w, Command::RttReadEntry, &[rd, any_ipa(c), any_level(b)]);
            }
        }
    }
}

/// What the Realm does when it runs.
fn action(choice: u8, b: u8) -> Action {
    let ipa = any_ipa(b);
    let page = ipa & !0xfff;
    let flags = [u64::from(choice >> 7), u64::from(choice >> 6 & 1)];
    match choice % 12 {
        0 => Action::Load(ipa, Access::WORD),
        1 => Action::Store(ipa, Access::WORD, 0x5ec3_e75e_c3e7_5ec3),
        2 => Action::Fetch(ipa),
        3..=5 => smc(&[rsi::IPA_STATE_SET, page, page + 0x2000, flags[0], flags[1]]),
        6 => smc(&[rsi::HOST_CALL, ipa]),
        7 => smc(&[rsi::PSCI_CPU_ON, u64::from(b & 1), 0x2000, 7]),
        8 => smc(&[rsi::PSCI_CPU_OFF]),
        9 => smc(&[rsi::REALM_CONFIG, ipa]),
        10 if choice > 240 => smc(&[rsi::PSCI_SYSTEM_OFF]),
        10 => smc(&[rsi::IPA_STATE_GET, page, page + 0x4000]),
        _ => smc(&[rsi::MEASUREMENT_EXTEND, 1, 32, 1, 2, 3, 4]),
    }
}
