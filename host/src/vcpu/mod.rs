//! A virtual CPU: one REC, and the loop that runs it.

mod exits;
mod mmio;
mod psci;
mod run;
mod schedule;

pub use schedule::Group;

use crate::failure::Failure;
use crate::granules::Purpose;
use crate::host::Host;
use crate::rmi::run::RunPage;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use run::Between;
use spin::Mutex;

/// Stands for "no CPU of the machine".
const NOWHERE: usize = usize::MAX;

/// One virtual CPU of a Realm.
pub struct Vcpu {
    /// Index of its REC in the Realm.
    pub index: usize,
    /// CPU of the machine that runs it, or [`NOWHERE`].
    cpu: AtomicUsize,
    /// Whether a CPU of the machine has taken it, to run it or to see whether it can run.
    taken: AtomicBool,
    /// What it does between two turns; only for the CPU that has taken it.
    between: Mutex<Between>,
    /// The REC granule.
    pub rec: Option<u64>,
    /// Granules that the monitor has for the REC besides that.
    pub(crate) held: Vec<u64>,
    pub(crate) run: Option<RunPage>,
    /// Whether the monitor made a REC of the granules.
    pub(crate) created: bool,
    /// When it was last entered, on the physical counter.
    entered: AtomicU64,
    /// How often the guest has started it.
    starts: AtomicU32,
}

impl Vcpu {
    /// A virtual CPU without granules.
    pub(crate) fn new(index: usize, runnable: bool) -> Self {
        Self {
            index,
            cpu: AtomicUsize::new(NOWHERE),
            taken: AtomicBool::new(false),
            between: Mutex::new(Between::default()),
            rec: None,
            held: Vec::new(),
            run: None,
            created: false,
            entered: AtomicU64::new(0),
            starts: AtomicU32::new(u32::from(runnable)),
        }
    }

    /// Makes the CPU that runs it, or one that could, look at its state again.
    pub(crate) fn kick(&self, host: &Host) {
        match self.cpu.load(Ordering::SeqCst) {
            NOWHERE => host.wake_idle(),
            cpu => host.machine().kick(cpu),
        }
    }

    /// The guest starts it. Done after the monitor agreed.
    fn start(&self) {
        self.starts.fetch_add(1, Ordering::Release);
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Acquire)
    }

    /// Destroys the REC and takes its granules back.
    pub(crate) fn destroy(&mut self, host: &Host) -> Result<(), Failure> {
        if let Some(rec) = self.rec.filter(|_| self.created)
            && let Err(failure) = host.dialect().destroy_rec(host, rec, &mut self.held)
        {
            host.leak(rec, Purpose::Rec);
            self.held.iter().for_each(|granule| host.leak(*granule, Purpose::RecAux));
            return Err(failure);
        }
        self.release(host);
        Ok(())
    }

    /// Takes back the granules of a REC that does not exist (any more).
    pub(crate) fn release(&mut self, host: &Host) {
        for granule in self.held.drain(..) {
            host.reclaim(granule, Purpose::RecAux);
        }
        if let Some(rec) = self.rec.take() {
            host.reclaim(rec, Purpose::Rec);
        }
        if let Some(run) = self.run.take() {
            host.put_page(run.pa());
        }
    }
}
