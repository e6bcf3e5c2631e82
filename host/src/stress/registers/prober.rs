//! A Realm that tries the instructions that it is told to, and says what became of them.

use super::super::small::{Extras, Small, UNPROTECTED};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::abi::rec_enter;
use crate::rmi::run::ExitReason;
use alloc::vec::Vec;
use cairn_reach::Encoding;

/// Where the program is, and the page for the instruction that it tries.
const PROGRAM: u64 = 0;
const PLACE: u64 = PAGE_SIZE;
/// An address of the Realm's, for cache maintenance: in the same page, but not where the
/// instruction is.
pub(super) const SCRATCH: u64 = PLACE + PAGE_SIZE / 2;

/// Pages of the buffer that Host and Realm share.
const PAGES: usize = 32;
/// Byte offset of the first order, and bytes of each. Known to the program.
const FIRST: u64 = 32;
const STEP: usize = 32;
/// Orders that fit: 128 in a page, less what stands before the first.
const BATCH: usize = PAGES * 127;

/// Write-back, readable and writable.
const SHARED: u64 = 0xd8;

/// Most exits before all orders of a batch are done: calls for the GIC's distributor, timers.
const EXITS_MAX: u32 = 1000;

/// ESR_EL2.EC of a trapped WFI, and of a register that the Host emulates.
const WFX: u64 = 0x01;
const SYSREG: u64 = 0x18;

/// The exception level at which an instruction is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// EL0.
    El0,
    /// EL1.
    El1,
}

/// An instruction to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The instruction; its register is X0.
    pub instruction: u32,
    /// At which level.
    pub level: Level,
    /// X0 before it.
    pub operand: u64,
}

impl Order {
    /// What it names.
    pub(super) const fn encoding(&self) -> Encoding {
        #[expect(clippy::cast_possible_truncation, reason = "the encoding is these 16 bits")]
        Encoding::from_number((self.instruction >> 5) as u16)
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// X0 after it.
    pub value: u64,
    /// `ESR_EL1` of the exception with which it ended: that of the SVC behind it if it was
    /// executed.
    pub esr: u64,
    /// Instructions that it took, those of the monitor included.
    pub ticks: u64,
}

/// The Realm.
pub(super) struct Prober {
    realm: Small,
    /// Physical addresses of the buffer's pages.
    buffer: Vec<u64>,
}

impl Prober {
    /// Builds it, and lets it run until it asks for orders.
    ///
    /// # Errors
    ///
    /// Something is refused.
    pub(super) fn new(
        host: &Host,
        program: &[u8],
        extras: Extras,
        vmid: u64,
    ) -> Result<Self, Failure> {
        let mut realm = Small::create_with(host, vmid, extras)?;
        realm.tables_to(host, PROGRAM)?;
        realm.page(host, PROGRAM, program)?;
        realm.page(host, PLACE, &[])?;
        realm.tables_to(host, UNPROTECTED)?;
        let mut buffer = Vec::new();
        for ipa in (UNPROTECTED..).step_by(0x1000).take(PAGES) {
            let page = host.take_page()?;
            host.v1_0().rtt_map_unprotected(realm.rd, ipa, page | SHARED)?;
            buffer.push(page);
        }
        realm.rec(host, PROGRAM, &[UNPROTECTED, PLACE])?;
        host.rmi().realm_activate(realm.rd)?;
        let prober = Self { realm, buffer };
        prober.enter(host)?;
        Ok(prober)
    }

    /// Enters the REC until it asks for orders.
    fn enter(&self, host: &Host) -> Result<(), Failure> {
        let rec = self.realm.recs.first().ok_or("the Realm has no REC")?;
        let machine = host.machine();
        machine.write_u64(rec.run.pa() + rec_enter::FLAGS, rec_enter::FLAG_TRAP_WFI);
        for _ in 0..EXITS_MAX {
            host.rmi().rec_enter(rec.pa, rec.run.pa())?;
            let exit = rec.run.read_exit(machine);
            match (exit.reason, exit.esr >> 26) {
                (ExitReason::Sync, WFX) => return Ok(()),
                (ExitReason::Sync, SYSREG) => {}
                (ExitReason::Irq | ExitReason::Fiq, _) => machine.take_interrupts(),
                (reason, _) => {
                    return Err(failure!(
                        "the Realm left with {reason:?}, syndrome {:#x}",
                        exit.esr
                    ));
                }
            }
        }
        Err("the Realm leaves again and again".into())
    }

    /// What becomes of these.
    ///
    /// # Errors
    ///
    /// The Realm does not come back with an answer.
    pub(super) fn tries(&self, host: &Host, orders: &[Order]) -> Result<Vec<Outcome>, Failure> {
        let machine = host.machine();
        let mut outcomes = Vec::with_capacity(orders.len());
        for batch in orders.chunks(BATCH) {
            for (order, at) in batch.iter().zip((FIRST..).step_by(STEP)) {
                let level = u64::from(order.level == Level::El0);
                self.write(host, at, u64::from(order.instruction) | level << 32);
                self.write(host, at + 8, order.operand);
                self.write(host, at + 24, u64::MAX);
            }
            self.write(host, 0, batch.len() as u64);
            self.enter(host)?;
            for at in (FIRST..).step_by(STEP).take(batch.len()) {
                let read =
                    |offset: u64| self.place(at + offset).map_or(0, |pa| machine.read_u64(pa));
                outcomes.push(Outcome { value: read(8), esr: read(16), ticks: read(24) });
            }
        }
        if outcomes.iter().any(|outcome| outcome.ticks == u64::MAX) {
            return Err("the Realm has left out an order".into());
        }
        Ok(outcomes)
    }

    fn place(&self, offset: u64) -> Option<u64> {
        let page = self.buffer.get(usize::try_from(offset / PAGE_SIZE).ok()?)?;
        Some(page + offset % PAGE_SIZE)
    }

    fn write(&self, host: &Host, offset: u64, value: u64) {
        if let Some(pa) = self.place(offset) {
            host.machine().write_u64(pa, value);
        }
    }

    /// Takes the Realm apart.
    ///
    /// # Errors
    ///
    /// Something is refused.
    pub(super) fn destroy(self, host: &Host) -> Result<(), Failure> {
        for ipa in (UNPROTECTED..).step_by(0x1000).take(self.buffer.len()) {
            host.v1_0().rtt_unmap_unprotected(self.realm.rd, ipa)?;
        }
        self.realm.destroy(host)?;
        self.buffer.into_iter().for_each(|page| host.put_page(page));
        Ok(())
    }
}
