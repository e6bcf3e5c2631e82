//! The host itself: its memory, its monitor, its counters; everything that is not of one Realm.

use crate::dialect::{Dialect, Reached, ReadyRec};
use crate::failure::Failure;
use crate::granules::{Leak, PAGE_SIZE, Pool, Purpose};
use crate::machine::Machine;
use crate::report::Counters;
use crate::rmi::{Features, Rmi, RmiError, v1_0, v2_0};
use crate::style::HostStyle;
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
    dialect: &'static dyn Dialect,
    /// Counters for the report.
    pub counters: Counters,
    /// What is watched for secrets, if anything is.
    pub watch: Option<Watch>,
    /// In which order things are done.
    pub style: HostStyle,
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
    /// Talks to the monitor for the first time, in the version of the interface that is wanted.
    ///
    /// # Errors
    ///
    /// There is no monitor, or not one for this version of the interface.
    pub fn new(
        machine: Box<dyn Machine>,
        pool: Pool,
        dialect: &'static dyn Dialect,
    ) -> Result<Self, Failure> {
        let rmi = Rmi(&*machine);
        let wanted = dialect.version();
        rmi.version(wanted).map_err(|error| match error.versions() {
            Some([lower, higher]) => failure!(
                "the monitor does not support version {}.0 of the interface, but {lower:#x} to \
                 {higher:#x}",
                wanted >> 16
            ),
            None => error.into(),
        })?;
        let features = dialect.features(rmi)?;
        if features.max_ipa_width_bits() < crate::ipa::IPA_WIDTH_BITS {
            return Err(failure!(
                "the monitor offers IPA widths up to {} bits, but this host needs {}",
                features.max_ipa_width_bits(),
                crate::ipa::IPA_WIDTH_BITS
            ));
        }
        let memory = pool.ranges();
        let host = Self {
            machine,
            pool: Mutex::new(pool),
            features,
            dialect,
            counters: Counters::default(),
            watch: None,
            style: HostStyle::default(),
            idle: AtomicU32::new(0),
            input: Mutex::new(Input { focus: 1, is_choosing: false, waiting: None }),
        };
        dialect.begin(&host, &memory)?;
        Ok(host)
    }

    /// Leaves the monitor as it was before; everything must be back. What comes after may begin
    /// with another version of the interface.
    ///
    /// # Errors
    ///
    /// The monitor refuses, because something is not back.
    pub fn end(&self) -> Result<(), Failure> {
        self.dialect.end(self)
    }

    /// Goes on with another version of the interface.
    ///
    /// # Errors
    ///
    /// Those of [`Self::end`] and [`Self::new`].
    pub fn switch(self, dialect: &'static dyn Dialect) -> Result<Self, Failure> {
        self.end()?;
        let Self { machine, pool, counters, watch, style, .. } = self;
        let next = Self::new(machine, pool.into_inner(), dialect)?;
        Ok(Self { counters, watch, style, ..next })
    }

    /// The version of the interface, where versions differ.
    #[must_use]
    pub fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// The monitor: the commands that are the same in both versions of the interface.
    #[must_use]
    pub fn rmi(&self) -> Rmi<'_> {
        Rmi(&*self.machine)
    }

    /// The monitor: the commands that only version 1.0 has.
    #[must_use]
    pub fn v1_0(&self) -> v1_0::Rmi<'_> {
        v1_0::Rmi(&*self.machine)
    }

    /// The monitor: the commands that only version 2.0 has.
    #[must_use]
    pub fn v2_0(&self) -> v2_0::Rmi<'_> {
        v2_0::Rmi(&*self.machine)
    }

    /// `RMI_REC_ENTER`, watched if anything is.
    pub(crate) fn enter(&self, rec: &ReadyRec) -> Result<(), RmiError> {
        match &self.watch {
            None => self.rmi().rec_enter(rec.rec, rec.run.pa()),
            Some(watch) => watch.rec_enter(self, rec.entered, rec.rec, rec.run),
        }
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

    /// Takes `count` contiguous pages that begin at a multiple of `align` bytes, as they are.
    ///
    /// # Errors
    ///
    /// There is no such run.
    pub fn take_pages(&self, count: usize, align: u64) -> Result<u64, Failure> {
        let base = self.pool.lock().take(count, align);
        base.ok_or_else(|| failure!("the host has no {count} contiguous free pages left"))
    }

    /// Takes so many zeroed pages of the Normal world, one behind the other.
    ///
    /// # Errors
    ///
    /// There is no such run.
    pub fn take_zeroed_pages(&self, count: usize) -> Result<u64, Failure> {
        let base = self.take_pages(count, PAGE_SIZE)?;
        pages(base, base + count as u64 * PAGE_SIZE).for_each(|pa| self.machine.zero_page(pa));
        Ok(base)
    }

    /// Puts a page of the Normal world back.
    pub fn put_page(&self, pa: u64) {
        if !self.pool.lock().put(pa) {
            self.log(format_args!("page {pa:#x} was put back, but it was not in use"));
        }
    }

    /// Puts a page of the Normal world back that was delegated without the pool: it must be the
    /// host's, and empty.
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
        let base = self.take_pages(count, align)?;
        let end = base + count as u64 * PAGE_SIZE;
        let Reached { top, refusal } = self.dialect.delegate(self, base, end);
        for pa in pages(base, top) {
            self.pool.lock().delegated(pa);
        }
        let Some(error) = refusal else { return Ok(base) };
        self.counters.refusal();
        // Exactly what was delegated goes back: the granule that was refused may be somebody's.
        self.reclaim_range(base, top, Purpose::Data);
        pages(top, end).for_each(|pa| self.put_page(pa));
        Err(error.into())
    }

    /// Takes a granule back from the monitor. If the monitor refuses, the page is leaked: it is
    /// not the host's any more, and touching it would be a fault.
    pub fn reclaim(&self, pa: u64, purpose: Purpose) {
        self.reclaim_range(pa, pa + PAGE_SIZE, purpose);
    }

    /// Does the same with all granules of `[base, end)`.
    pub fn reclaim_range(&self, base: u64, end: u64, purpose: Purpose) {
        let mut at = base;
        while at < end {
            let Reached { top, refusal } = self.dialect.undelegate(self, at, end);
            for pa in pages(at, top) {
                if let Some(watch) = &self.watch {
                    watch.returned(self, pa, purpose);
                }
                let mut pool = self.pool.lock();
                pool.returned(pa);
                pool.put(pa);
            }
            at = top;
            let Some(error) = refusal else { continue };
            self.counters.refusal();
            self.pool.lock().leaked(at, purpose);
            self.log(format_args!("leaked {at:#x}, a {purpose}: {error}"));
            at += PAGE_SIZE;
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
        let end = leak.pa + PAGE_SIZE;
        if let Some(error) = self.dialect.undelegate(self, leak.pa, end).refusal {
            return Err(error.into());
        }
        let mut pool = self.pool.lock();
        pool.recovered(leak);
        Ok(())
    }

    /// Whether all that was delegated so far is back.
    ///
    /// # Errors
    ///
    /// Granules are missing.
    pub fn is_whole(&self) -> Result<(), Failure> {
        let (counts, leaked) = {
            let pool = self.pool.lock();
            (pool.counts(), pool.leaks().len())
        };
        if counts.delegated == counts.returned && leaked == 0 {
            return Ok(());
        }
        Err(failure!(
            "{} granules were delegated, but {} came back and {leaked} leaked",
            counts.delegated,
            counts.returned
        ))
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
        self.is_whole()
    }
}

/// The addresses of the pages of `[base, top)`.
fn pages(base: u64, top: u64) -> impl Iterator<Item = u64> {
    (0..(top - base) / PAGE_SIZE).map(move |n| base + n * PAGE_SIZE)
}
