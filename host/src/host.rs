//! The host itself: its memory, its monitor, its counters; everything that is not of one Realm.

use crate::failure::Failure;
use crate::granules::{Leak, PAGE_SIZE, Pool, Purpose};
use crate::machine::Machine;
use crate::report::Counters;
use crate::rmi::{Features, Rmi};
use crate::watch::Watch;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

/// A host on one machine.
pub struct Host {
    machine: Box<dyn Machine>,
    pool: Mutex<Pool>,
    /// What the monitor can do.
    pub features: Features,
    /// Version of the interface that the monitor and this host agreed on.
    pub rmi_version: u64,
    /// Counters for the report.
    pub counters: Counters,
    /// What is watched for secrets, if anything is.
    pub watch: Option<Watch>,
    /// CPUs of the machine that have nothing to run, a bit for each.
    pub(crate) idle: AtomicU32,
    input: Mutex<Input>,
}

/// Typed bytes on their way to one of several Realms.
#[derive(Debug)]
struct Input {
    /// The Realm to which they go.
    focus: usize,
    /// Whether the next byte chooses the Realm.
    is_choosing: bool,
    /// A byte that the Realm in focus has not taken yet.
    waiting: Option<u8>,
}

/// Typed before the digit of the Realm to which the following bytes go, if there are several.
const CHOOSE: u8 = 0x01;

impl Host {
    /// Talks to the monitor for the first time.
    ///
    /// # Errors
    ///
    /// There is no monitor, or not one for version 1.0 of the interface.
    pub fn new(machine: Box<dyn Machine>, pool: Pool) -> Result<Self, Failure> {
        let rmi = Rmi(&*machine);
        let wanted = crate::rmi::abi::VERSION_1_0;
        let (rmi_version, _) = rmi.version(wanted).map_err(|error| match error.versions() {
            Some([lower, higher]) => failure!(
                "the monitor does not support version 1.0 of the interface, but {lower:#x} to \
                 {higher:#x}"
            ),
            None => error.into(),
        })?;
        let features = rmi.features()?;
        if features.max_ipa_width_bits() < crate::ipa::IPA_WIDTH_BITS {
            return Err(failure!(
                "the monitor offers IPA widths up to {} bits, but this host needs {}",
                features.max_ipa_width_bits(),
                crate::ipa::IPA_WIDTH_BITS
            ));
        }
        Ok(Self {
            machine,
            pool: Mutex::new(pool),
            features,
            rmi_version,
            counters: Counters::default(),
            watch: None,
            idle: AtomicU32::new(0),
            input: Mutex::new(Input { focus: 1, is_choosing: false, waiting: None }),
        })
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// The monitor.
    #[must_use]
    pub fn rmi(&self) -> Rmi<'_> {
        Rmi(&*self.machine)
    }

    /// Takes a typed byte for the only Realm, or for the one with this number.
    pub(crate) fn console_read(&self, label: Option<usize>) -> Option<u8> {
        let Some(label) = label else { return self.machine.console_read() };
        let mut input = self.input.lock();
        while input.waiting.is_none() {
            let byte = self.machine.console_read()?;
            if core::mem::take(&mut input.is_choosing) {
                input.focus = usize::from(byte.wrapping_sub(b'0'));
            } else if byte == CHOOSE {
                input.is_choosing = true;
            } else {
                input.waiting = Some(byte);
            }
        }
        if input.focus == label { input.waiting.take() } else { None }
    }

    /// Makes every CPU of the machine that has nothing to run look for something again.
    pub(crate) fn wake_idle(&self) {
        let idle = self.idle.load(Ordering::SeqCst);
        (0..32).filter(|cpu| idle & (1 << cpu) != 0).for_each(|cpu| self.machine.kick(cpu));
    }

    /// Writes one line of the host's own to the console.
    pub fn log(&self, line: fmt::Arguments<'_>) {
        self.machine.console_line(format_args!("[host] {line}"));
    }

    /// Milliseconds since the machine was started.
    #[must_use]
    pub fn uptime_ms(&self) -> u64 {
        self.machine.counter() / (self.machine.counter_hz() / 1000).max(1)
    }

    /// Takes a zeroed page of the Normal world.
    ///
    /// # Errors
    ///
    /// There is no free page.
    pub fn take_page(&self) -> Result<u64, Failure> {
        let pa = self.pool.lock().take(1, PAGE_SIZE).ok_or("the host has no free page left")?;
        self.machine.zero_page(pa);
        Ok(pa)
    }

    /// Puts a page of the Normal world back.
    pub fn put_page(&self, pa: u64) {
        if !self.pool.lock().put(pa) {
            self.log(format_args!("page {pa:#x} was put back, but it was not in use"));
        }
    }

    /// Puts a page of the Normal world back that was delegated without the pool: it must be the host's, and empty.
    ///
    /// # Errors
    ///
    /// It has content. (If it is still the monitor's, the access is a fault.)
    pub fn take_back(&self, pa: u64) -> Result<(), Failure> {
        self.machine.write_u64(pa, 0);
        if let Some(at) = (pa..pa + PAGE_SIZE).step_by(8).find(|at| self.machine.read_u64(*at) != 0)
        {
            return Err(failure!("a granule came back with content at {at:#x}"));
        }
        self.put_page(pa);
        Ok(())
    }

    /// Takes a page and delegates it.
    ///
    /// # Errors
    ///
    /// There is no free page, or the monitor refuses it.
    pub fn take_granule(&self) -> Result<u64, Failure> {
        self.take_granules(1, PAGE_SIZE)
    }

    /// Takes `count` contiguous pages that begin at a multiple of `align` bytes, delegates them.
    ///
    /// # Errors
    ///
    /// There is no such run, or the monitor refuses one of them; those that were delegated before
    /// are then taken back.
    pub fn take_granules(&self, count: usize, align: u64) -> Result<u64, Failure> {
        let base = self
            .pool
            .lock()
            .take(count, align)
            .ok_or_else(|| failure!("the host has no {count} contiguous free pages left"))?;
        for n in 0..count as u64 {
            let pa = base + n * PAGE_SIZE;
            if let Err(error) = self.rmi().granule_delegate(pa) {
                self.counters.refusal();
                for done in 0..n {
                    self.reclaim(base + done * PAGE_SIZE, Purpose::Data);
                }
                for rest in n..count as u64 {
                    self.put_page(base + rest * PAGE_SIZE);
                }
                return Err(error.into());
            }
            self.pool.lock().delegated(pa);
        }
        Ok(base)
    }

    /// Takes a granule back from the monitor. If the monitor refuses, the page is leaked: it is
    /// not the host's any more, and touching it would be a fault.
    pub fn reclaim(&self, pa: u64, purpose: Purpose) {
        match self.rmi().granule_undelegate(pa) {
            Ok(()) => {
                if let Some(watch) = &self.watch {
                    watch.returned(self, pa, purpose);
                }
                let mut pool = self.pool.lock();
                pool.returned(pa);
                pool.put(pa);
            }
            Err(error) => {
                self.counters.refusal();
                self.pool.lock().leaked(pa, purpose);
                self.log(format_args!("leaked {pa:#x}, a {purpose}: {error}"));
            }
        }
    }

    /// Leaks a granule that the monitor still uses.
    pub fn leak(&self, pa: u64, purpose: Purpose) {
        self.pool.lock().leaked(pa, purpose);
        self.log(format_args!("leaked {pa:#x}, a {purpose} that the monitor still uses"));
    }

    /// Takes all free pages below `limit`, so that what follows comes from above.
    pub fn only_from(&self, limit: u64) -> Vec<u64> {
        let mut pool = self.pool.lock();
        let mut below = Vec::new();
        while let Some(pa) = pool.take(1, PAGE_SIZE) {
            if pa >= limit {
                pool.put(pa);
                break;
            }
            below.push(pa);
        }
        below
    }

    /// Puts pages back that [`Self::only_from`] has taken.
    pub fn put_away(&self, pages: Vec<u64>) {
        let mut pool = self.pool.lock();
        for pa in pages.into_iter().rev() {
            pool.put(pa);
        }
    }

    /// The ledger: pages that were not given back.
    #[must_use]
    pub fn leaks(&self) -> Vec<Leak> {
        self.pool.lock().leaks().to_vec()
    }

    /// Prints the accounting line; afterwards everything must be back that was not leaked.
    ///
    /// # Errors
    ///
    /// Granules are missing.
    pub fn account_for_leaks(&self) -> Result<(), Failure> {
        let (counts, leaked) = {
            let pool = self.pool.lock();
            (pool.counts(), pool.leaks().len())
        };
        self.machine.console_line(format_args!("{}", self.counters.accounting(counts, leaked)));
        if counts.delegated == counts.returned + leaked as u64 {
            return Ok(());
        }
        Err(failure!(
            "{} granules were delegated, but {} came back and {leaked} leaked",
            counts.delegated,
            counts.returned
        ))
    }

    /// Tries once more to take back a page that was leaked.
    ///
    /// # Errors
    ///
    /// It is refused again.
    pub fn retry(&self, leak: Leak) -> Result<(), Failure> {
        self.rmi().granule_undelegate(leak.pa)?;
        let mut pool = self.pool.lock();
        pool.recovered(leak);
        Ok(())
    }

    /// Prints the accounting line; afterwards everything must be back.
    ///
    /// # Errors
    ///
    /// Granules are missing.
    pub fn account(&self) -> Result<(), Failure> {
        let (counts, leaked) = {
            let pool = self.pool.lock();
            (pool.counts(), pool.leaks().len())
        };
        let line = self.counters.accounting(counts, leaked);
        self.machine.console_line(format_args!("{line}"));
        if let Some(watch) = &self.watch {
            watch.report(self)?;
        }
        if counts.delegated == counts.returned && leaked == 0 {
            return Ok(());
        }
        Err(failure!(
            "{} granules were delegated, but {} came back and {leaked} leaked",
            counts.delegated,
            counts.returned
        ))
    }
}
