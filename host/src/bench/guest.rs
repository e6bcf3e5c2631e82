//! Entries, exits, and the Realm's own calls.
//!
//! The program in the Realm asks the Host what to do by a host call, whose structure stands at
//! [`CALL`]: `gprs[0]` is the operation, `gprs[1..]` its arguments. It leaves the results in the
//! same places, and the ticks that the operation took in `gprs[30]`.

use super::Bench;
use super::attestation;
use super::cost::Cost;
use super::fixture::{Fixture, L1_SIZE, PAGE, UNPROTECTED};
use crate::failure::Failure;
use crate::rmi::abi::{rec_enter, rec_exit};
use crate::rmi::command;

/// Where the program is.
pub(super) const CODE: u64 = 0;
/// The structure of the host call.
pub(super) const CALL: u64 = PAGE;

/// Where attestation tokens go.
pub(super) const TOKEN: u64 = 2 * PAGE;

/// Operation: nothing; the next host call follows at once.
pub(super) const OP_NOTHING: u64 = 0;
/// Operation: SMC with X0 to X10 from `gprs[1..12]`.
const OP_SMC: u64 = 1;
/// Operation: a 32-bit load from `gprs[1]`, for ever.
pub(super) const OP_LOAD: u64 = 2;
/// Operation: the same once.
pub(super) const OP_TOUCH: u64 = 3;

pub(super) const PSCI_CPU_ON: u64 = 0xc400_0003;
pub(super) const RSI_VERSION: u64 = 0xc400_0190;
pub(super) const RSI_MEASUREMENT_EXTEND: u64 = 0xc400_0193;
pub(super) const RSI_IPA_STATE_SET: u64 = 0xc400_0197;
pub(super) const RSI_IPA_STATE_GET: u64 = 0xc400_0198;

pub(super) const EXIT_SYNC: u64 = 0;
pub(super) const EXIT_PSCI: u64 = 3;
pub(super) const EXIT_RIPAS_CHANGE: u64 = 4;
pub(super) const EXIT_HOST_CALL: u64 = 5;

/// The running Realm.
pub(super) struct Guest<'b> {
    /// What it is measured with.
    pub bench: &'b Bench<'b>,
    pub rec: u64,
    pub run: u64,
}

impl Guest<'_> {
    /// Enters the REC and expects it to come back for `reason`; the cost.
    pub(super) fn enter(&self, flags: u64, reason: u64) -> Result<Cost, Failure> {
        let (cost, got) = self.enter_for(flags)?;
        if got == reason {
            Ok(cost)
        } else {
            let esr = self.bench.host.machine().read_u64(self.run + rec_exit::ESR);
            Err(failure!("the REC exited for reason {got}, ESR {esr:#x}, not for {reason}"))
        }
    }

    /// Enters the REC; the cost, and why it came back.
    pub(super) fn enter_for(&self, flags: u64) -> Result<(Cost, u64), Failure> {
        let machine = self.bench.host.machine();
        machine.write_u64(self.run + rec_enter::FLAGS, flags);
        self.bench.dialect.before_entry(self.bench);
        let entry = self.bench.call(command::REC_ENTER, [self.rec, self.run, 0, 0, 0])?;
        Ok((entry.cost, machine.read_u64(self.run + rec_exit::EXIT_REASON)))
    }

    /// Writes what the pending host call is to return.
    pub(super) fn answer(&self, gprs: &[u64]) {
        for (n, value) in (0..).zip(gprs) {
            let at = self.run + rec_enter::GPRS + 8 * n;
            self.bench.host.machine().write_u64(at, *value);
        }
    }

    /// Tells the Realm to make a call when it is entered next.
    pub(super) fn ask(&self, args: &[u64]) {
        let mut gprs = [0; 12];
        for (to, from) in gprs.iter_mut().zip([OP_SMC].iter().chain(args)) {
            *to = *from;
        }
        self.answer(&gprs);
    }

    /// X0 of the last call of the Realm, and the instructions between the counter reads around it.
    pub(super) fn result(&self) -> (u64, u64) {
        let machine = self.bench.host.machine();
        let x0 = machine.read_u64(self.run + rec_exit::GPRS);
        (x0, machine.read_u64(self.run + rec_exit::GPRS + 8 * 30))
    }

    /// Lets the Realm make a call; its cost.
    pub(super) fn call(&self, args: &[u64]) -> Result<u64, Failure> {
        self.ask(args);
        self.enter(0, EXIT_HOST_CALL)?;
        let (x0, cost) = self.result();
        if x0 == 0 { Ok(cost) } else { Err(failure!("a call of the Realm returned {x0:#x}")) }
    }

    /// Lets the Realm ask for [`L1_SIZE`] from `base` to be EMPTY, carries it out, and reports the
    /// cost of all SET_RIPAS commands.
    fn set_ripas(&self, name: &str, rd: u64, base: u64) -> Result<(), Failure> {
        const EMPTY: u64 = 0;
        let top = base + L1_SIZE;
        self.answer(&[OP_SMC, RSI_IPA_STATE_SET, base, top, EMPTY, 1]);
        self.enter(0, EXIT_RIPAS_CHANGE)?;
        let mut cost = Cost::default();
        let mut at = base;
        while at < top {
            let args = [rd, self.rec, at, top, 0];
            let step = self.bench.call(command::RTT_SET_RIPAS, args)?;
            cost += step.cost;
            at = step.x1;
        }
        self.bench.row(name, cost);
        self.enter(0, EXIT_HOST_CALL)?;
        Ok(())
    }
}

/// Measures on a Realm that runs `program`.
pub(super) fn run(bench: &Bench<'_>, program: &[u8]) -> Result<(), Failure> {
    let host = bench.host;
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 3)?;
    realm.create_page(CODE, program, 0)?;
    realm.create_page(CALL, &[], 0)?;
    realm.create_page(TOKEN, &[], 0)?;
    // One range of 1 GiB as 2 MiB entries, another as one entry.
    let (blocks, block) = (L1_SIZE, 2 * L1_SIZE);
    realm.tables_to(blocks, 2)?;
    bench.call(command::RTT_INIT_RIPAS, [realm.rd, blocks, blocks + L1_SIZE, 0, 0])?;
    bench.call(command::RTT_INIT_RIPAS, [realm.rd, block, block + L1_SIZE, 0, 0])?;
    let (rec, _) = realm.create_rec(CODE, CALL)?;
    let activate = bench.call(command::REALM_ACTIVATE, [realm.rd, 0, 0, 0, 0])?;
    bench.row("realm_activate", activate.cost);

    let guest = Guest { bench, rec, run: host.take_page()? };
    guest.enter(0, EXIT_HOST_CALL)?;
    guest.answer(&[OP_NOTHING]);
    guest.enter(0, EXIT_HOST_CALL)?;
    bench.row("rec_enter_host_call", guest.enter(0, EXIT_HOST_CALL)?);

    bench.instructions("rsi_version", guest.call(&[RSI_VERSION, 0x1_0000])?);
    let get = guest.call(&[RSI_IPA_STATE_GET, CODE, CODE + PAGE])?;
    bench.instructions("rsi_ipa_state_get", get);
    let extend = guest.call(&[RSI_MEASUREMENT_EXTEND, 1, 32, 1, 2, 3, 4])?;
    bench.instructions("rsi_measurement_extend", extend);

    attestation::run(&guest)?;

    guest.set_ripas("set_ripas_1g_2m_blocks", realm.rd, blocks)?;
    guest.set_ripas("set_ripas_1g_1g_block", realm.rd, block)?;

    // The load at an unprotected address exits again and again, since nobody emulates it.
    guest.answer(&[OP_LOAD, UNPROTECTED]);
    guest.enter(0, EXIT_SYNC)?;
    bench.row("rec_enter_abort", guest.enter(0, EXIT_SYNC)?);
    host.put_page(guest.run);
    realm.destroy(None)
}
