//! A machine for tests: memory in a map, a monitor that keeps books, a guest that is a script.
//!
//! The monitor speaks version 1.0 here; what is different in 2.0 is in `v2_0`.
//!
//! The monitor knows no Realm but one, has a start level of 2 and is written for the tests' eyes:
//! it refuses what a real one refuses, so a host that forgets a step fails here too.

use crate::dialect::{Dialect, V1_0};
use crate::granules::{PAGE_SIZE, Pool};
use crate::host::Host;
use crate::ipa::{self, SHARED_BIT, entry_base, entry_size};
use crate::job::{Job, Payload};
use crate::machine::{Machine, VirtualInterrupts};
use crate::rmi::abi::VERSION_2_0;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use spin::Mutex;

mod v2_0;

const INPUT: u64 = 1;
const REC_ERROR: u64 = 3;

const fn rtt(level: u64) -> u64 {
    4 | level << 8
}

/// One exit of the scripted guest: words to write into the run page.
pub(crate) type Exit = Vec<(u64, u64)>;

/// State of the fake machine and its monitor.
#[derive(Default)]
pub(crate) struct State {
    memory: BTreeMap<u64, u64>,
    /// Delegated granules that are not in use.
    delegated: BTreeSet<u64>,
    /// Granules in use, by name.
    used: BTreeMap<u64, &'static str>,
    tables: BTreeMap<u64, u64>,
    data: BTreeMap<u64, u64>,
    mapped: BTreeMap<u64, u64>,
    ripas_empty: BTreeSet<u64>,
    realm: Option<(u64, u64)>,
    active: bool,
    recs: Vec<u64>,
    /// The version of the interface that the host has chosen.
    version: u64,
    /// What only version 2.0 has.
    pub own: v2_0::Own,
    /// The virtual interrupts of the only CPU.
    pub interrupts: VirtualInterrupts,
    /// What the guest does next.
    pub script: VecDeque<Exit>,
    /// What the host wrote at each entry: flags and `gprs[0]`.
    pub entries: Vec<(u64, u64)>,
    /// What the host wrote into the first list register at each entry.
    pub first_list_registers: Vec<u64>,
    /// The host's lines and the guest's bytes.
    pub console: String,
    /// A granule that EL3 will not give back.
    pub stuck: Option<u64>,
    /// A granule that comes back with a bit in its last word.
    pub residue: Option<u64>,
    /// Command that is refused with `RMI_ERROR_INPUT` whatever its arguments.
    pub refuse: Option<u64>,
    /// How often the host tried to fold a table, and how often it could.
    pub folds: (u64, u64),
    /// How often it declared a page that was there already.
    pub refused_ripas: u64,
    now: u64,
}

/// The machine; clones are the same machine.
#[derive(Clone, Default)]
pub(crate) struct FakeMachine(pub Arc<Mutex<State>>);

/// A job for a guest with 64 MiB whose kernel is at 0x1000_0000 of the fake machine.
pub(crate) fn job(cpus: usize) -> Job {
    Job {
        mode: crate::job::Mode::Linux,
        interface: crate::job::Interface::V1_0,
        style: crate::style::HostStyle::Plain,
        cpus,
        realms: 1,
        watch: false,
        memory: 64 << 20,
        kernel: Payload { base: 0x1000_0000, size: 0x3001 },
        initrd: Some(Payload { base: 0x1100_0000, size: 0x1000 }),
        hash_algorithm: crate::job::HashAlgorithm::Sha256,
        append: "quiet".into(),
        interactive: true,
        until: String::new(),
        scenarios: String::new(),
        commands: 1,
        seed: 0,
    }
}

/// A machine with a kernel in its memory, and a host on it that speaks 1.0.
pub(crate) fn host() -> (FakeMachine, Host) {
    host_of(&V1_0)
}

/// The same with a host that speaks this version.
pub(crate) fn host_of(dialect: &'static dyn Dialect) -> (FakeMachine, Host) {
    let machine = FakeMachine::default();
    machine.write_bytes(0x1000_0000 + 56, b"ARMd");
    let pool = Pool::new(&[0x4000_0000..0x4080_0000, 0x5000_0000..0x5080_0000]);
    let host = Host::new(Box::new(machine.clone()), pool, dialect).unwrap();
    (machine, host)
}

impl State {
    fn take(&mut self, pa: u64, name: &'static str) -> Result<(), u64> {
        if !self.delegated.remove(&pa) {
            return Err(INPUT);
        }
        self.used.insert(pa, name);
        Ok(())
    }

    fn free(&mut self, pa: u64, name: &str) {
        assert_eq!(self.used.remove(&pa), Some(name), "{pa:#x}");
        self.delegated.insert(pa);
    }

    /// Gives a granule back to the Normal world; `false` if it is in use, or EL3 refuses.
    fn undelegate(&mut self, pa: u64) -> bool {
        if self.stuck == Some(pa) || !self.delegated.remove(&pa) {
            return false;
        }
        if self.residue == Some(pa) {
            self.memory.insert(pa + PAGE_SIZE - 8, 1 << 63);
        }
        true
    }

    /// Level 2 without a table, level 3 with one.
    fn level(&self, ipa: u64) -> u64 {
        if self.tables.contains_key(&entry_base(ipa, 2)) { 3 } else { 2 }
    }

    /// Like the monitor's `walk_top`: the next live entry in the same table, or the table's end.
    fn top(&self, ipa: u64) -> u64 {
        let level = self.level(ipa);
        let end = entry_base(ipa, level - 1) + entry_size(level - 1);
        let live = if level == 3 {
            let pages = self.data.range(ipa..end).chain(self.mapped.range(ipa..end));
            pages.map(|(at, _)| *at).min()
        } else {
            self.tables.range(ipa..end).map(|(at, _)| *at).next()
        };
        live.unwrap_or(end)
    }

    fn command(&mut self, function: u64, args: [u64; 5]) -> Result<[u64; 4], [u64; 3]> {
        let fail = |code: u64| [code, 0, 0];
        let [a, b, c, ..] = args;
        if self.refuse == Some(function) {
            return Err(fail(INPUT));
        }
        if function == 0xc400_0150 {
            self.version = a;
        }
        if self.version == VERSION_2_0
            && let Some(reply) = self.command_2_0(function, args)
        {
            return reply;
        }
        let out = match function & 0xff {
            0x50 => [0x1_0000, 0x1_0000, 0, 0],
            0x65 => [40 | 5 << 14 | 3 << 20 | 1 << 32 | 3 << 34, 0, 0, 0],
            0x51 => {
                let new = !self.used.contains_key(&a) && self.delegated.insert(a);
                return if new { Ok([0; 4]) } else { Err(fail(INPUT)) };
            }
            0x52 => {
                return if self.undelegate(a) { Ok([0; 4]) } else { Err(fail(INPUT)) };
            }
            0x58 => {
                let word = |at: u64| self.memory.get(&(b + at)).copied().unwrap_or(0);
                assert_eq!((word(8), word(0x810), word(0x818)), (33, 2, 8));
                let base = word(0x808);
                assert!(base.is_multiple_of(8 * PAGE_SIZE));
                self.take(a, "rd").map_err(fail)?;
                for n in 0..8 {
                    self.take(base + n * PAGE_SIZE, "root").map_err(fail)?;
                }
                self.realm = Some((a, base));
                [0; 4]
            }
            0x59 => {
                if !self.recs.is_empty() || !self.tables.is_empty() {
                    return Err(fail(2));
                }
                self.active = false;
                let (rd, base) = self.realm.take().ok_or(fail(INPUT))?;
                self.free(rd, "rd");
                (0..8).for_each(|n| self.free(base + n * PAGE_SIZE, "root"));
                [0; 4]
            }
            0x57 => {
                self.active = true;
                [0; 4]
            }
            0x67 => [1, 0, 0, 0],
            0x5a => {
                let word = |at: u64| self.memory.get(&(c + at)).copied().unwrap_or(0);
                let (aux, mpidr) = (word(0x808), word(0x100));
                assert_eq!((word(0x800), mpidr), (1, self.recs.len() as u64));
                self.take(b, "rec").map_err(fail)?;
                self.take(aux, "aux").map_err(fail)?;
                self.recs.push(b);
                self.memory.insert(b, aux);
                [0; 4]
            }
            0x5b => {
                self.recs.retain(|rec| *rec != a);
                let aux = self.memory.get(&a).copied().unwrap_or(0);
                self.free(a, "rec");
                self.free(aux, "aux");
                [0; 4]
            }
            0x5c => return self.enter(a, b).map_err(fail).map(|()| [0; 4]),
            0x64 => {
                assert_ne!(a, b, "caller and target");
                [0; 4]
            }
            0x5d => {
                assert_eq!((args[3], c % entry_size(2)), (3, 0));
                if self.tables.contains_key(&c) {
                    return Err(fail(rtt(2)));
                }
                self.take(b, "rtt").map_err(fail)?;
                self.tables.insert(c, b);
                [0; 4]
            }
            // A table of level 2 is in use as long as there are tables below it.
            0x5e if c == 2 && self.tables.range(b..b + entry_size(1)).next().is_some() => {
                return Err([rtt(1), 0, b]);
            }
            0x5e => {
                let Some(table) = self.tables.get(&b).copied() else {
                    let end = entry_base(b, 1) + entry_size(1);
                    let top = self.tables.range(b..end).map(|(at, _)| *at).next().unwrap_or(end);
                    return Err([rtt(2), 0, top]);
                };
                if self.data.range(b..b + entry_size(2)).next().is_some() {
                    return Err([rtt(3), 0, b]);
                }
                self.tables.remove(&b);
                self.free(table, "rtt");
                [table, b + entry_size(2), 0, 0]
            }
            0x53 | 0x54 => {
                assert!(!ipa::is_unprotected(c));
                assert_eq!(function & 0xff == 0x53, !self.active);
                if self.level(c) == 2 {
                    return Err(fail(rtt(2)));
                }
                if self.data.contains_key(&c) {
                    return Err(fail(rtt(3)));
                }
                self.take(b, "data").map_err(fail)?;
                self.data.insert(c, b);
                [0; 4]
            }
            0x55 => match self.data.remove(&b) {
                Some(data) => {
                    self.free(data, "data");
                    [data, self.top(b), 0, 0]
                }
                None => return Err([rtt(self.level(b)), 0, self.top(b)]),
            },
            0x5f => {
                assert!(ipa::is_unprotected(b));
                if self.level(b) == 2 {
                    return Err(fail(rtt(2)));
                }
                self.mapped.insert(b, args[3]);
                [0; 4]
            }
            0x62 => match self.mapped.remove(&b) {
                Some(_) => [self.top(b), 0, 0, 0],
                None => return Err([rtt(self.level(b)), self.top(b), 0]),
            },
            0x61 => [3, u64::from(self.data.contains_key(&b)), 0, 1],
            0x66 => {
                self.folds.0 += 1;
                let Some(table) = self.tables.get(&b).copied() else {
                    return Err(fail(rtt(2)));
                };
                if self.data.range(b..b + entry_size(2)).next().is_some() {
                    return Err(fail(rtt(3)));
                }
                self.folds.1 += 1;
                self.tables.remove(&b);
                self.free(table, "rtt");
                [table, 0, 0, 0]
            }
            0x68 => {
                if self.data.contains_key(&b) {
                    self.refused_ripas += 1;
                    return Err(fail(rtt(3)));
                }
                let end = entry_base(b, 1) + entry_size(1);
                let page = self.data.range(b..end).next().map_or(end, |(at, _)| *at);
                [c.min(page), 0, 0, 0]
            }
            0x69 => {
                let (base, top) = (c, args[3]);
                let size = entry_size(self.level(base));
                if base % size != 0 || top - base < size {
                    return Err(fail(rtt(self.level(base))));
                }
                self.ripas_empty.insert(base);
                [base + size, 0, 0, 0]
            }
            other => panic!("the host used command {other:#x}"),
        };
        Ok(out)
    }

    fn enter(&mut self, rec: u64, run: u64) -> Result<(), u64> {
        if !self.active || !self.recs.contains(&rec) {
            return Err(REC_ERROR);
        }
        let word = |at: u64| self.memory.get(&(run + at)).copied().unwrap_or(0);
        self.entries.push((word(0), word(0x200)));
        let first = if self.version == VERSION_2_0 {
            assert_eq!(self.interrupts.hcr & 1, 1, "the virtual interface is off");
            self.interrupts.hcr &= !1;
            self.interrupts.lrs[0]
        } else {
            word(0x308)
        };
        self.first_list_registers.push(first);
        let exit = self.script.pop_front().expect("the guest's script is at its end");
        (0x800..0x1000).step_by(8).for_each(|at| {
            self.memory.remove(&(run + at));
        });
        if self.version == VERSION_2_0 {
            self.interrupts.interface.vmcr = 0xff << 24 | 2;
        } else {
            self.memory.insert(run + 0xb90, 0xff << 24 | 2);
        }
        for (at, value) in exit {
            self.memory.insert(run + 0x800 + at, value);
        }
        Ok(())
    }
}

impl Machine for FakeMachine {
    fn smc(&self, args: [u64; 7]) -> [u64; 5] {
        let [function, a, b, c, d, e, _] = args;
        match self.0.lock().command(function, [a, b, c, d, e]) {
            Ok([x1, x2, x3, x4]) => [0, x1, x2, x3, x4],
            Err([x0, x1, x2]) => [x0, x1, x2, 0, 0],
        }
    }

    fn virtual_interrupts(&self) -> VirtualInterrupts {
        self.0.lock().interrupts
    }

    fn set_virtual_interrupts(&self, interrupts: &VirtualInterrupts) {
        self.0.lock().interrupts = *interrupts;
    }

    fn read_u64(&self, pa: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read_bytes(pa, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn write_u64(&self, pa: u64, value: u64) {
        let mut state = self.0.lock();
        let page = pa & !(PAGE_SIZE - 1);
        assert!(!state.delegated.contains(&page) && !state.used.contains_key(&page), "{pa:#x}");
        state.memory.insert(pa, value);
    }

    fn read_bytes(&self, pa: u64, bytes: &mut [u8]) {
        let state = self.0.lock();
        for (at, byte) in (pa..).zip(bytes) {
            let word = state.memory.get(&(at & !7)).copied().unwrap_or(0);
            *byte = word.to_le_bytes()[usize::try_from(at % 8).unwrap()];
        }
    }

    fn write_bytes(&self, pa: u64, bytes: &[u8]) {
        for (at, byte) in (pa..).zip(bytes) {
            let mut word = self.read_u64(at & !7).to_le_bytes();
            word[usize::try_from(at % 8).unwrap()] = *byte;
            self.write_u64(at & !7, u64::from_le_bytes(word));
        }
    }

    fn zero_page(&self, pa: u64) {
        (pa..pa + PAGE_SIZE).step_by(8).for_each(|at| self.write_u64(at, 0));
    }

    fn console_write(&self, bytes: &[u8]) {
        self.0.lock().console.push_str(core::str::from_utf8(bytes).unwrap());
    }

    fn console_line(&self, line: fmt::Arguments<'_>) {
        let mut state = self.0.lock();
        state.console.push_str(&line.to_string());
        state.console.push('\n');
    }

    fn console_read(&self) -> Option<u8> {
        None
    }

    fn kick(&self, _cpu: usize) {}

    fn counter(&self) -> u64 {
        let mut state = self.0.lock();
        state.now += 1;
        state.now
    }

    fn counter_hz(&self) -> u64 {
        2_000_000
    }

    fn take_interrupts(&self) {}

    fn arm_timer(&self, _deadline: Option<u64>) {}

    fn wait_for_interrupt(&self) {
        self.0.lock().now += 100;
    }
}

/// Exits that scripts are made of; offsets are those of `RmiRecExit`.
pub(crate) mod exits {
    use super::{Exit, SHARED_BIT};
    use alloc::vec;

    /// PSCI call `function` about CPU `target`.
    pub(crate) fn psci(function: u64, target: u64) -> Exit {
        vec![(0, 3), (0x200, function), (0x208, target)]
    }

    /// Data abort at `ipa` that shows no access.
    pub(crate) fn fault(ipa: u64) -> Exit {
        vec![(0, 0), (0x100, 0x24 << 26 | 7), (0x110, ipa >> 8 & !0xf)]
    }

    /// Write of one byte to a device.
    pub(crate) fn store(address: u64, value: u64) -> Exit {
        let mut exit = access(address);
        exit.extend([(0x100, 0x24 << 26 | 1 << 24 | 1 << 6 | 7), (0x200, value)]);
        exit
    }

    /// Read of one byte from a device.
    pub(crate) fn load(address: u64) -> Exit {
        let mut exit = access(address);
        exit.push((0x100, 0x24 << 26 | 1 << 24 | 7));
        exit
    }

    fn access(address: u64) -> Exit {
        vec![(0x108, address & 0xfff), (0x110, (address | SHARED_BIT) >> 8 & !0xf)]
    }

    /// Request to change the RIPAS of `[base, top)`.
    pub(crate) fn ripas(base: u64, top: u64, value: u64) -> Exit {
        vec![(0, 4), (0x500, base), (0x508, top), (0x510, value)]
    }

    /// `WFI` with the virtual timer set to `cval`.
    pub(crate) fn wfi(cval: u64) -> Exit {
        vec![(0, 0), (0x100, 1 << 26), (0x410, 1), (0x418, cval)]
    }
}
