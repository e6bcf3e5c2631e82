//! A machine whose monitor only measures: it believes all that the host says, and keeps no Realm.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_host::machine::Machine;
use cairn_host::rmi::abi::{VERSION_2_0, realm_params, rec_params};
use cairn_host::rmi::{Command, command, v1_0, v2_0};

use super::measure::{Measurement, Page, Rules};
use super::tables::Tables;

/// Physical addresses that the host may use as it likes.
pub(super) const FREE: Range<u64> = 0x1_0000_0000..0x2_0000_0000;

/// `RmiFeatureRegister0` as both versions have it: 48 bits of IPA, two breakpoints and watchpoints.
const FEATURES: u64 = 48 | 1 << 14 | 1 << 20;
/// `RmiFeatureRegister1`: granules of 4 KiB, SHA-256, SHA-384 and SHA-512.
const FEATURES_1: u64 = 1 | 0b111 << 3;

/// Memory is tracked by granules.
const FINE: u64 = 2;
/// Granule protection tables are there.
const MADE_BY_EL3: u64 = 1;

const PAGE_SIZE: u64 = 0x1000;

/// RMI_ERROR_INPUT.
const ERROR_INPUT: u64 = 1;
/// RMI_ERROR_RTT, with the level in the second byte.
const ERROR_RTT: u64 = 4;

/// The Normal world's memory.
#[derive(Debug, Default)]
struct Memory {
    /// What a loader has put there, by address.
    files: Vec<(u64, Vec<u8>)>,
    /// What the host has written.
    pages: BTreeMap<u64, Box<Page>>,
}

impl Memory {
    /// The page that holds `pa`.
    fn page(&self, pa: u64) -> Page {
        let base = pa & !(PAGE_SIZE - 1);
        if let Some(written) = self.pages.get(&base) {
            return **written;
        }
        let mut page = [0; 4096];
        let content = self.files.iter().find_map(|(first, content)| {
            content.get(usize::try_from(base.checked_sub(*first)?).ok()?..)
        });
        for (to, from) in page.iter_mut().zip(content.unwrap_or_default()) {
            *to = *from;
        }
        page
    }

    /// Reads bytes that are all in one page.
    fn read(&self, pa: u64, bytes: &mut [u8]) {
        for (to, from) in bytes.iter_mut().zip(self.page(pa).iter().skip(offset(pa))) {
            *to = *from;
        }
    }

    /// Reads a word.
    fn word(&self, pa: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(pa, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Writes bytes that are all in one page.
    fn write(&mut self, pa: u64, bytes: &[u8]) {
        let mut page = self.page(pa);
        for (to, from) in page.iter_mut().skip(offset(pa)).zip(bytes) {
            *to = *from;
        }
        self.pages.insert(pa & !(PAGE_SIZE - 1), Box::new(page));
    }
}

/// The place of an address in its page.
fn offset(pa: u64) -> usize {
    usize::try_from(pa % PAGE_SIZE).unwrap_or(0)
}

#[derive(Debug, Default)]
struct State {
    memory: Memory,
    /// Of the interface, as the host speaks it.
    version: u64,
    realm: Option<(Tables, Measurement)>,
}

/// The machine; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct MeasuringMachine(Arc<Mutex<State>>);

impl MeasuringMachine {
    /// A machine with these files in its memory.
    pub(super) fn new(files: Vec<(u64, Vec<u8>)>) -> Self {
        let memory = Memory { files, ..Memory::default() };
        Self(Arc::new(Mutex::new(State { memory, ..State::default() })))
    }

    /// The measurement of the Realm, if there is one.
    pub(super) fn measurement(&self) -> Option<Vec<u8>> {
        self.state().realm.as_ref().map(|(_, measurement)| measurement.value().to_vec())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// X1 to X4 of a command that succeeds, or X0 of one that fails.
    fn command(&mut self, function: u64, args: [u64; 5]) -> Result<[u64; 4], u64> {
        let is = |command: Command| function == command.number();
        let [a1, a2, ..] = args;
        if is(command::VERSION) {
            self.version = a1;
            Ok([a1, a1, 0, 0])
        } else if is(command::FEATURES) {
            Ok([self.features(a1), 0, 0, 0])
        } else if is(v1_0::command::GRANULE_DELEGATE)
            || is(v1_0::command::GRANULE_UNDELEGATE)
            || is(v2_0::command::RMM_CONFIG_SET)
            || is(v2_0::command::RMM_ACTIVATE)
        {
            Ok([0; 4])
        } else if is(v2_0::command::GRANULE_TRACKING_GET) {
            Ok([0, FINE, a2, 0])
        } else if is(v2_0::command::GPT_INFO) {
            Ok([a2, MADE_BY_EL3, 0, 0])
        } else if is(v2_0::command::GRANULE_RANGE_DELEGATE)
            || is(v2_0::command::GRANULE_RANGE_UNDELEGATE)
        {
            Ok([a2, 0, 0, 0])
        } else if is(command::REALM_CREATE) {
            let measurement =
                Measurement::of_realm(&self.memory.page(a2), self.rules()).ok_or(ERROR_INPUT)?;
            let start = self.memory.word(a2 + realm_params::RTT_LEVEL_START);
            self.realm = Some((Tables::new(start), measurement));
            Ok([0; 4])
        } else {
            self.build(is, args)
        }
    }

    /// What is measured in the version of the interface that the host speaks.
    fn rules(&self) -> Rules {
        if self.version == VERSION_2_0 { Rules::V2_0 } else { Rules::V1_0 }
    }

    /// A feature register.
    fn features(&self, index: u64) -> u64 {
        match (self.rules(), index) {
            (Rules::V1_0, _) => FEATURES | 0b11 << 32,
            (Rules::V2_0, 0) => FEATURES,
            (Rules::V2_0, 1) => FEATURES_1,
            (Rules::V2_0, _) => 0,
        }
    }

    /// A command about the Realm.
    fn build(&mut self, is: impl Fn(Command) -> bool, args: [u64; 5]) -> Result<[u64; 4], u64> {
        let (tables, measurement) = self.realm.as_mut().ok_or(ERROR_INPUT)?;
        let missing = |level: u64| ERROR_RTT | level << 8;
        if is(command::RTT_INIT_RIPAS) {
            let [_, base, top, ..] = args;
            let entries = tables.entries(base, top).map_err(missing)?;
            entries.iter().for_each(|(base, top)| measurement.add_ripas(*base, *top));
            Ok([entries.last().map_or(base, |(_, top)| *top), 0, 0, 0])
        } else if is(command::RTT_CREATE) {
            let [_, _, ipa, level, _] = args;
            tables.create(ipa, level).map_err(missing).map(|()| [0; 4])
        // The same number, and the same registers.
        } else if is(v1_0::command::DATA_CREATE) || is(v2_0::command::RTT_DATA_MAP_INIT) {
            let [_, _, ipa, source, flags] = args;
            let level = tables.level(ipa);
            if level != 3 {
                return Err(missing(level));
            }
            tables.populate(ipa);
            measurement.add_data(ipa, flags, &self.memory.page(source));
            Ok([0; 4])
        } else if is(v1_0::command::REC_AUX_COUNT) {
            Ok([1, 0, 0, 0])
        } else if is(command::REC_CREATE) {
            let [_, _, params, ..] = args;
            if self.memory.word(params + rec_params::FLAGS) & 1 == 1 {
                measurement.add_rec(&self.memory.page(params));
            }
            Ok([0; 4])
        } else if is(command::REALM_ACTIVATE) {
            Ok([0; 4])
        } else {
            Err(u64::MAX)
        }
    }
}

impl Machine for MeasuringMachine {
    fn smc(&self, args: [u64; 7]) -> [u64; 5] {
        let [function, a1, a2, a3, a4, a5, _] = args;
        match self.state().command(function, [a1, a2, a3, a4, a5]) {
            Ok([x1, x2, x3, x4]) => [0, x1, x2, x3, x4],
            Err(x0) => [x0, 0, 0, 0, 0],
        }
    }

    fn read_u64(&self, pa: u64) -> u64 {
        self.state().memory.word(pa)
    }

    fn write_u64(&self, pa: u64, value: u64) {
        self.state().memory.write(pa, &value.to_le_bytes());
    }

    fn read_bytes(&self, pa: u64, bytes: &mut [u8]) {
        self.state().memory.read(pa, bytes);
    }

    fn write_bytes(&self, pa: u64, bytes: &[u8]) {
        self.state().memory.write(pa, bytes);
    }

    fn zero_page(&self, pa: u64) {
        self.state().memory.pages.insert(pa, Box::new([0; 4096]));
    }

    fn console_write(&self, _bytes: &[u8]) {}

    fn console_line(&self, _line: fmt::Arguments<'_>) {}

    fn console_read(&self) -> Option<u8> {
        None
    }

    fn kick(&self, _cpu: usize) {}

    fn counter(&self) -> u64 {
        0
    }

    fn counter_hz(&self) -> u64 {
        1000
    }

    fn take_interrupts(&self) {}

    fn arm_timer(&self, _deadline: Option<u64>) {}

    fn wait_for_interrupt(&self) {}
}
