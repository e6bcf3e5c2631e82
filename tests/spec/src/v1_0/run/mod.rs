//! RMI_REC_ENTER: the checks, what the Host completes, what the Realm does, and the exit.
//!
//! The Realm is a list of [`Act`]s. The test that drives the monitor lets a Realm do the same
//! things there, and tells here what the Realm has seen of each ([`Seen`]), in order; every one of
//! them is checked on the way.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A4.2 to A4.5, A5.2 to A5.4, A6.1, RMI_REC_ENTER.

mod exit;
mod gic;
mod memory;
mod rsi;

use crate::v1_0::granule::{Names, REC, State};
use crate::v1_0::realm::RealmState;
use crate::v1_0::rec::{Pending, RipasChange};
use crate::v1_0::rtt::Ripas;
use crate::v1_0::verdict::{Conditions, INPUT, Order, REALM, REALM_OFF, REC as ERROR_REC, Verdict};
use crate::v1_0::{Answer, Call, Divergence, Model, Rec, conditions};

use exit::{Exit, Want};

/// How a load or store accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Bytes, as a power of two: 0 to 3.
    pub size: u64,
    /// A load sign extends.
    pub sign: bool,
    /// The register is an X register.
    pub wide: bool,
    /// The register; 31 is XZR.
    pub register: usize,
    /// The instruction reports a syndrome.
    pub syndrome: bool,
}

/// What a Realm does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// SMC with X0 to X10.
    Smc([u64; 11]),
    /// Loads from an aligned address.
    Load(u64, Access),
    /// Stores a value at an aligned address.
    Store(u64, Access, u64),
    /// Fetches an instruction.
    Fetch(u64),
    /// WFI, WFE, WFIT, WFET by number, the latter two with an operand.
    Wait(u64, u64),
    /// HVC.
    Hvc,
    /// A physical IRQ (`false`) or FIQ (`true`) comes.
    Interrupt(bool),
    /// Reads X0 to X30.
    Gprs,
    /// Another CPU sends this command meanwhile.
    Meanwhile(Call),
}

/// What the Realm saw of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// X0 to X17 after an SMC.
    Smc([u64; 18]),
    /// The register after a load.
    Value(u64),
    /// The instruction completed.
    Done,
    /// X0 to X30.
    Gprs([u64; 31]),
    /// An exception at EL1: ESR_EL1, FAR_EL1, offset of the vector, and whether ELR_EL1 is the
    /// instruction.
    Exception(u64, u64, u64, bool),
    /// What the other CPU's command returned.
    Reply(Answer),
    /// A granule protection fault.
    ProtectionFault,
    /// The REC went on at this address.
    Lost(u64),
    /// Something that no act leads to.
    Other(String),
}

/// What really happened.
pub trait Witness {
    /// The next thing that the Realm on this REC saw.
    fn seen(&mut self, rec: u64) -> Option<Seen>;

    /// The second half of the run page at this address, after the call.
    fn exit(&mut self, run: u64) -> Box<[u64; 256]>;
}

/// The last exit, as far as the next entry's flags depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastExit {
    /// A data abort at an unprotected address that the Host can emulate: the access, and whether it
    /// was a store.
    Emulatable(Access, bool),
    /// One that it cannot emulate.
    Unprotected,
    /// Any other exit.
    Other,
}

/// How an act goes on that has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    /// It has completed.
    Done,
    /// It is repeated.
    Again,
    /// A synchronous external abort is taken instead.
    Aborted,
}

/// An act that was interrupted by an exit.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    act: Act,
    flight: Flight,
    /// Its address.
    at: u64,
}

impl InFlight {
    /// What the Realm sees of the act when it runs again, at `pc`; `None` if it repeats it.
    ///
    /// CPU_ON may have sent the REC elsewhere meanwhile. The Realm takes its instruction for
    /// repeated if it is there again, for completed if it is behind it, and for aborted if it is
    /// where its vectors are, to which no Realm here sends a REC.
    fn outcome(&self, rec: &Rec) -> Option<Pattern> {
        let expected = match self.flight {
            Flight::Again => self.at,
            Flight::Done => self.at.wrapping_add(INSTRUCTION),
            Flight::Aborted => VECTOR,
        };
        match rec.pc {
            pc if pc == self.at.wrapping_add(INSTRUCTION) => Some(completed(rec, &self.act)),
            pc if pc == self.at => None,
            VECTOR if expected == VECTOR => Some(Pattern::Exception(ABORTED, None)),
            pc => Some(Pattern::Lost(pc)),
        }
    }
}

/// Bytes of an instruction.
const INSTRUCTION: u64 = 4;
/// Vector of a synchronous exception taken from EL1 with SP_EL1. The Realms leave VBAR_EL1 at 0.
const VECTOR: u64 = 0x200;
/// Exception class of a data abort taken from EL1.
const ABORTED: u64 = 0x25;

/// What an act leads to.
enum Step {
    /// The Realm sees this, and goes on.
    Sees(Pattern),
    /// The Realm goes on.
    Silent,
    /// The REC exits; the act goes on like this.
    Exits(Box<Exit>, Flight),
    /// The REC exits; the act was no instruction.
    Interrupted(Box<Exit>),
}

/// What the Realm should see.
#[derive(Debug)]
enum Pattern {
    Smc([Option<u64>; 18]),
    Value(Option<u64>),
    Done,
    Gprs([Option<u64>; 31]),
    /// Exception class, and FAR_EL1 if it is defined.
    Exception(u64, Option<u64>),
    ProtectionFault,
    Lost(u64),
}

const ORDER: Order = &[(
    &["run_align", "run_bound", "run_pas", "rec_align", "rec_bound", "rec_gran_state"],
    &["realm_new", "system_off", "rec_state", "rec_runnable", "rec_mmio", "rec_gicv3", "rec_psci"],
)];

/// Flags of `RmiRecEnter`.
struct Flags(u64);

impl Flags {
    fn emul_mmio(&self) -> bool {
        self.0 & 1 != 0 && !self.inject_sea()
    }

    fn inject_sea(&self) -> bool {
        self.0 & 2 != 0
    }

    fn traps(&self, wait: u64) -> bool {
        // WFI and WFIT are even, WFE and WFET odd.
        self.0 >> (2 + wait % 2) & 1 != 0
    }

    fn rejects(&self) -> bool {
        self.0 & 16 != 0
    }
}

/// Words that certainly have been read when the exit is written.
const ENTER_WORDS: u64 = 256;

impl Model {
    pub(crate) fn rec_enter(
        &mut self,
        call: &Call,
        answer: &Answer,
        witness: &mut dyn Witness,
    ) -> Result<&'static str, Divergence> {
        const RUN: Names = ["run_align", "run_bound", "run_pas"];
        let (rec, run) = (call[1], call[2]);
        let mut c = conditions();
        // A fault that comes late hits the exit.
        let late = self.host_fault.take_if(|nth| *nth >= ENTER_WORDS).is_some();
        let enter = self.read_host(&mut c, RUN, run, ENTER_WORDS);
        let usable = self.check_granule(&mut c, REC, rec, State::Rec);
        if let (true, Some(enter)) = (usable, &enter) {
            self.check_entry(&mut c, rec, enter);
            // The Host changes the page so that the entry must fail, but nobody knows whether it
            // was read before.
            let changed = self.host_change.filter(|(at, _)| at & !0xfff == run);
            if let (Some((at, value)), false) = (changed, c.any()) {
                let mut enter = enter.clone();
                enter[(at & 0xfff) as usize / 8] = value;
                let mut later = conditions();
                self.check_entry(&mut later, rec, &enter);
                if answer[0] != 0 && later.any() {
                    return self.settle(later.failure(ORDER), call, answer);
                }
            }
        }
        let Some(enter) = enter.filter(|_| !c.any()) else {
            let verdict = c.failure(ORDER);
            return self.settle(verdict, call, answer);
        };
        let exit = self.run(rec, &enter, witness)?;
        // The Host may have delegated its page meanwhile.
        if late || !self.is_host_page(run) {
            let mut c = conditions();
            c.fails("run_pas", true, INPUT);
            self.memory.forget(run);
            return self.settle(c.failure(ORDER), call, answer);
        }
        self.settle(Verdict::succeeds([0; 4], |_| {}), call, answer)?;
        let page = witness.exit(run);
        for (number, word) in page.iter().enumerate() {
            self.memory.write(run + 0x800 + number as u64 * 8, Some(*word));
        }
        exit.compare(&page).map_err(|text| Divergence(format!("exit of {call:x?}: {text}")))?;
        Ok("")
    }

    /// The conditions on the REC, its Realm, and what the Host passes.
    fn check_entry(&self, c: &mut Conditions, rec: u64, enter: &[u64; 512]) {
        let rec = &self.recs[&rec];
        let state = self.realms[&rec.owner].state;
        let emulatable = matches!(rec.last_exit, LastExit::Emulatable(..));
        c.fails("realm_new", state == RealmState::New, REALM);
        c.fails("system_off", state == RealmState::SystemOff, REALM_OFF);
        c.fails("rec_state", rec.is_running, ERROR_REC);
        c.fails("rec_runnable", !rec.is_runnable, ERROR_REC);
        c.fails("rec_mmio", Flags(enter[0]).emul_mmio() && !emulatable, ERROR_REC);
        c.fails("rec_gicv3", !gic::is_valid(enter, &self.platform), ERROR_REC);
        c.fails("rec_psci", matches!(rec.pending, Pending::Psci(_)), ERROR_REC);
    }

    fn rec(&mut self, rec: u64) -> &mut Rec {
        match self.recs.get_mut(&rec) {
            Some(rec) => rec,
            // A running REC cannot be destroyed.
            None => panic!("no REC at {rec:#x}"),
        }
    }

    /// From the entry to the exit.
    fn run(
        &mut self,
        rec: u64,
        enter: &[u64; 512],
        witness: &mut dyn Witness,
    ) -> Result<Exit, Divergence> {
        let registers = self.platform.list_registers();
        let this = self.rec(rec);
        this.is_running = true;
        this.list_registers[..registers].copy_from_slice(&enter[0x308 / 8..][..registers]);
        let flags = Flags(enter[0]);
        complete_abort(this, &flags, enter[0x200 / 8]);
        this.last_exit = LastExit::Other;
        let early = self.complete_pending(rec, enter, flags.rejects());
        let ran = early.is_none();
        let mut exit = match early {
            Some(exit) => exit,
            None => self.live(rec, &flags, witness)?,
        };
        let this = self.rec(rec);
        this.is_running = false;
        gic::report(&mut exit, enter[0x300 / 8], &this.list_registers, registers, ran);
        Ok(exit)
    }

    /// What the Realm asked of the Host is over; or the REC exits again at once.
    fn complete_pending(&mut self, rec: u64, enter: &[u64; 512], rejects: bool) -> Option<Exit> {
        let this = self.rec(rec);
        match this.pending {
            Pending::Nothing | Pending::Psci(_) => None,
            Pending::RipasChange => {
                let RipasChange { addr, top, value, .. } = this.ripas;
                let rejected = rejects && value == Ripas::Ram && addr != top;
                let results = [Some(0), Some(addr), Some(u64::from(rejected)), Some(0)];
                this.gprs[..4].copy_from_slice(&results);
                this.ripas = RipasChange::NONE;
                this.pending = Pending::Nothing;
                None
            }
            Pending::HostCall(ipa) => self.complete_host_call(rec, ipa, enter),
        }
    }

    /// The Realm runs until something needs the Host.
    fn live(
        &mut self,
        rec: u64,
        flags: &Flags,
        witness: &mut dyn Witness,
    ) -> Result<Exit, Divergence> {
        let this = self.rec(rec);
        let mut again = None;
        if let Some(flight) = this.in_flight.take() {
            match flight.outcome(this) {
                Some(pattern) => {
                    this.pc = flight.at.wrapping_add(INSTRUCTION);
                    check_seen(rec, witness, &pattern)?;
                }
                None => again = Some(flight.act),
            }
        }
        loop {
            let Some(act) = again.take().or_else(|| self.rec(rec).program.pop_front()) else {
                return Ok(Exit::interrupt(false));
            };
            if let Act::Meanwhile(call) = &act {
                let Some(Seen::Reply(answer)) = witness.seen(rec) else {
                    return Err(Divergence(format!("no reply to {call:x?}")));
                };
                self.follow(call, &answer, witness)?;
                continue;
            }
            match self.act(rec, &act, flags) {
                Step::Sees(pattern) => {
                    let this = self.rec(rec);
                    this.pc = this.pc.wrapping_add(INSTRUCTION);
                    let seen = check_seen(rec, witness, &pattern)?;
                    self.learn(rec, &act, &seen)?;
                }
                Step::Silent => {}
                Step::Interrupted(exit) => return Ok(*exit),
                Step::Exits(exit, flight) => {
                    let this = self.rec(rec);
                    this.in_flight = Some(InFlight { act, flight, at: this.pc });
                    if flight == Flight::Done {
                        this.pc = this.pc.wrapping_add(INSTRUCTION);
                    }
                    return Ok(*exit);
                }
            }
        }
    }

    fn act(&mut self, rec: u64, act: &Act, flags: &Flags) -> Step {
        match *act {
            Act::Smc(arguments) => {
                let this = self.rec(rec);
                this.gprs[..11].copy_from_slice(&arguments.map(Some));
                self.smc(rec)
            }
            Act::Load(ipa, access) => self.data_access(rec, ipa, access, None),
            Act::Store(ipa, access, value) => self.data_access(rec, ipa, access, Some(value)),
            Act::Fetch(ipa) => self.fetch(rec, ipa),
            Act::Wait(wait, operand) => {
                self.rec(rec).gprs[7] = None;
                if !flags.traps(wait) {
                    return Step::Sees(Pattern::Done);
                }
                let operand = if wait >= 2 { operand } else { 0 };
                let exit = Exit::sync(0x01 << 26 | wait, 0, 0);
                Step::Exits(Box::new(exit.with_gpr(0, Want::Is(operand))), Flight::Done)
            }
            Act::Hvc => Step::Sees(Pattern::Exception(0, None)),
            Act::Interrupt(fast) => Step::Interrupted(Box::new(Exit::interrupt(fast))),
            Act::Gprs => Step::Sees(Pattern::Gprs(self.rec(rec).gprs)),
            Act::Meanwhile(_) => Step::Silent,
        }
    }

    /// What cannot be known before it was seen.
    fn learn(&mut self, rec: u64, act: &Act, seen: &Seen) -> Result<(), Divergence> {
        let (Act::Smc(arguments), Seen::Smc(results)) = (act, seen) else { return Ok(()) };
        self.check_state_get(rec, arguments, results)?;
        let this = self.rec(rec);
        for (known, &value) in this.gprs.iter_mut().zip(results) {
            *known = Some(value);
        }
        Ok(())
    }
}

/// What the Realm sees of an act that completed while it did not run.
fn completed(rec: &Rec, act: &Act) -> Pattern {
    match act {
        Act::Smc(_) => Pattern::Smc(core::array::from_fn(|number| rec.gprs[number])),
        Act::Load(_, access) => {
            Pattern::Value(rec.gprs.get(access.register).copied().unwrap_or(Some(0)))
        }
        _ => Pattern::Done,
    }
}

/// EMUL_MMIO and INJECT_SEA.
fn complete_abort(rec: &mut Rec, flags: &Flags, value: u64) {
    let Some(flight) = &mut rec.in_flight else { return };
    match rec.last_exit {
        LastExit::Emulatable(access, store) if flags.emul_mmio() => {
            flight.flight = Flight::Done;
            rec.pc = flight.at.wrapping_add(INSTRUCTION);
            if !store && access.register != 31 {
                rec.gprs[access.register] = Some(emulated(access, value));
            }
        }
        LastExit::Emulatable(..) | LastExit::Unprotected if flags.inject_sea() => {
            flight.flight = Flight::Aborted;
            rec.pc = VECTOR;
        }
        LastExit::Emulatable(..) | LastExit::Unprotected | LastExit::Other => {}
    }
}

/// What an emulated load leaves in its register.
fn emulated(access: Access, value: u64) -> u64 {
    let bits = 8 << access.size;
    let mut value = value & (u64::MAX >> (64 - bits));
    if access.sign && value >> (bits - 1) & 1 == 1 && bits < 64 {
        value |= u64::MAX << bits;
    }
    if access.wide { value } else { value & 0xffff_ffff }
}

/// Compares the next thing that the Realm saw.
fn check_seen(rec: u64, witness: &mut dyn Witness, pattern: &Pattern) -> Result<Seen, Divergence> {
    const IL: u64 = 1 << 25;
    let known = |wanted: &[Option<u64>], values: &[u64]| {
        wanted
            .iter()
            .zip(values)
            .all(|(wanted, value)| wanted.is_none_or(|wanted| wanted == *value))
    };
    let seen = witness.seen(rec);
    let fits = match (pattern, &seen) {
        (Pattern::Smc(wanted), Some(Seen::Smc(results))) => known(wanted, results),
        (Pattern::Value(wanted), Some(Seen::Value(value))) => known(&[*wanted], &[*value]),
        (Pattern::Gprs(wanted), Some(Seen::Gprs(values))) => known(wanted, values),
        (Pattern::Done, Some(Seen::Done))
        | (Pattern::ProtectionFault, Some(Seen::ProtectionFault)) => true,
        (Pattern::Lost(entry), Some(Seen::Lost(pc))) => entry == pc,
        (Pattern::Exception(class, far), Some(Seen::Exception(esr, seen_far, vector, at_it))) => {
            // An external abort: DFSC 0x10, EA, and neither FnV nor S1PTW.
            let rest = if *class == 0 { *esr == IL } else { esr & 0x6bf == 0x210 };
            let far = far.is_none_or(|far| far == *seen_far);
            esr >> 26 == *class && rest && far && *vector == VECTOR && *at_it
        }
        _ => false,
    };
    match seen {
        Some(seen) if fits => Ok(seen),
        other => Err(Divergence(format!(
            "the Realm on {rec:#x} saw {other:x?}; the specification: {pattern:x?}"
        ))),
    }
}
