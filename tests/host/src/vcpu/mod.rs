//! A virtual CPU: one REC, and the loop that runs it.

mod exits;
mod mmio;
mod psci;
mod run;

pub use run::run;

use crate::failure::Failure;
use crate::granules::Purpose;
use crate::host::Host;
use crate::rmi::run::RunPage;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

/// One virtual CPU of a Realm.
pub struct Vcpu {
    /// Index of its REC in the Realm.
    pub index: usize,
    /// CPU of the machine that runs it.
    pub cpu: usize,
    /// The REC granule.
    pub rec: Option<u64>,
    pub(crate) aux: Vec<u64>,
    pub(crate) run: Option<RunPage>,
    /// Whether the monitor made a REC of the granules.
    pub(crate) created: bool,
    /// How often the guest has started it.
    starts: AtomicU32,
}

impl Vcpu {
    /// A virtual CPU without granules.
    pub(crate) fn new(index: usize, cpu: usize, runnable: bool) -> Self {
        Self {
            index,
            cpu,
            rec: None,
            aux: Vec::new(),
            run: None,
            created: false,
            starts: AtomicU32::new(u32::from(runnable)),
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
            && let Err(error) = host.rmi().rec_destroy(rec)
        {
            host.leak(rec, Purpose::Rec);
            self.aux.iter().for_each(|aux| host.leak(*aux, Purpose::RecAux));
            return Err(error.into());
        }
        self.release(host);
        Ok(())
    }

    /// Takes back the granules of a REC that does not exist (any more).
    pub(crate) fn release(&mut self, host: &Host) {
        for aux in self.aux.drain(..) {
            host.reclaim(aux, Purpose::RecAux);
        }
        if let Some(rec) = self.rec.take() {
            host.reclaim(rec, Purpose::Rec);
        }
        if let Some(run) = self.run.take() {
            host.put_page(run.pa());
        }
    }
}
