//! Executing a program on a Realm's CPU, action by action, as hardware would: with the traps and
//! syndromes that it has.

use machine::vcpu::{Cause, VcpuExit, VcpuRegisters};

use super::dram::Pas;
use super::extensions::SIMD_ESR;
use super::vcpu::{InFlight, Loaded, Program};
use super::walk::{Fault, Mapping, Regime, walk};
use super::{FakeCpu, lock};
use crate::program::{Access, Action, Observed, RawException, SystemRegister, Wait};

/// ESR_EL2 of a trapped system register access through X5.
fn sysreg_esr((op0, op1, crn, crm, op2): SystemRegister, read: bool) -> u64 {
    0x18 << 26
        | 1 << 25
        | op0 << 20
        | op2 << 17
        | op1 << 14
        | crn << 10
        | 5 << 5
        | crm << 1
        | u64::from(read)
}

/// ESR_EL2 of a data abort, with everything set that hardware would set for this access.
fn data_abort_esr(access: Access, write: bool, fault: u64) -> u64 {
    let mut esr = 0x24 << 26 | 1 << 25 | u64::from(write) << 6 | fault;
    if access.syndrome {
        esr |= 1 << 24
            | access.size << 22
            | u64::from(access.sign) << 21
            | (access.register as u64) << 16
            | u64::from(access.wide) << 15
            | 1 << 14; // AR
    }
    esr
}

/// Fault status of a translation fault at `level`.
fn translation_fault(level: i32) -> u64 {
    if level < 0 { 0x2b } else { 4 + u64::try_from(level).unwrap_or(0) }
}

/// How executing one action ended.
enum Step {
    /// It completed; go on.
    Complete(Observed),
    /// It completed without a result.
    Silent,
    /// It trapped.
    Trap(VcpuExit),
    /// An asynchronous exception, after the action.
    Async(VcpuExit),
}

impl Step {
    /// The step, with a result that no instruction of the Realm has.
    fn after(self, program: &mut Program, observed: Observed) -> Self {
        program.observed.push(observed);
        self
    }
}

const NO_EXCEPTION: VcpuExit = VcpuExit { cause: Cause::Irq, esr: 0, far: 0, hpfar: 0 };

impl FakeCpu<'_> {
    /// Translates for an access, as hardware: a mapping, or the exit that the access causes.
    fn translate(&self, regime: Regime, ipa: u64) -> Result<Mapping, Fault> {
        let dram = &self.machine.dram;
        lock(&self.machine.tlb).fill(dram, regime, ipa);
        let result = walk(dram, regime, ipa).result;
        if let Err(Fault::Broken(why)) = result {
            self.machine.violation(format!("translation tables of {ipa:#x}: {why}"));
        }
        result
    }

    /// A data access: completes, or traps.
    fn data(
        &self,
        loaded: &Loaded,
        registers: &mut VcpuRegisters,
        ipa: u64,
        access: Access,
        store: Option<u64>,
    ) -> Step {
        let write = store.is_some();
        if let Some(value) = store
            && let Some(register) = registers.gprs.get_mut(access.register)
        {
            *register = value;
        }
        let hpfar = (ipa >> 12) << 4;
        let abort = |status, hpfar| {
            let esr = data_abort_esr(access, write, status);
            Step::Trap(VcpuExit { cause: Cause::Sync, esr, far: ipa, hpfar })
        };
        let mapping = match self.translate(loaded.regime, ipa) {
            Ok(mapping) => mapping,
            Err(Fault::Translation(level)) => return abort(translation_fault(level), hpfar),
            Err(Fault::AddressSize | Fault::Broken(_)) => return abort(0, hpfar),
        };
        if (write && !mapping.writable) || (!write && !mapping.readable) {
            // HPFAR_EL2 is UNKNOWN after a permission fault.
            let level = u64::try_from(mapping.level).unwrap_or(0);
            return abort(0xc + level, 0xdead_beef_0000);
        }
        let pa = mapping.pa + (ipa - mapping.ipa);
        let pas = self.machine.dram.at(pa).map(super::dram::Granule::pas);
        match (mapping.ns, pas) {
            (true, Some(Pas::NonSecure) | None) | (false, Some(Pas::Realm)) => {}
            (true, Some(_)) => return Step::Complete(Observed::ProtectionFault),
            (false, _) => {
                self.machine.violation(format!("Realm memory {pa:#x} is {pas:?}"));
                return Step::Complete(Observed::ProtectionFault);
            }
        }
        if loaded.watched(ipa) {
            return Step::Complete(Observed::Exception {
                esr: 0x35 << 26 | 1 << 25 | 0x22 | u64::from(write) << 6,
                far: ipa,
                vector: 0x200,
                at_instruction: true,
                pstate: 0x3c5,
            });
        }
        let bits = 8 << access.size;
        let mask = u64::MAX >> (64 - bits);
        let shift = (pa % 8) * 8;
        let old = self.machine.dram.load(pa & !7);
        if let Some(value) = store {
            self.machine.note(pa);
            let word = old & !(mask << shift) | (value & mask) << shift;
            self.machine.dram.store(pa & !7, word);
            return Step::Complete(Observed::Done);
        }
        Step::Complete(Observed::Value(old >> shift & mask))
    }

    fn fetch(&self, loaded: &Loaded, ipa: u64) -> Step {
        let abort = |status| {
            let esr = 0x20 << 26 | 1 << 25 | status;
            let hpfar = (ipa >> 12) << 4;
            Step::Trap(VcpuExit { cause: Cause::Sync, esr, far: ipa, hpfar })
        };
        match self.translate(loaded.regime, ipa) {
            Ok(mapping) if mapping.executable => Step::Complete(Observed::Done),
            Ok(mapping) => abort(0xc + u64::try_from(mapping.level).unwrap_or(0)),
            Err(Fault::Translation(level)) => abort(translation_fault(level)),
            Err(Fault::AddressSize | Fault::Broken(_)) => abort(0),
        }
    }

    /// Executes one action.
    fn step(
        &self,
        loaded: &mut Loaded,
        registers: &mut VcpuRegisters,
        program: &mut Program,
        action: &Action,
    ) -> Step {
        self.machine.pause();
        let sync = |esr| Step::Trap(VcpuExit { cause: Cause::Sync, esr, far: 0, hpfar: 0 });
        match action {
            Action::Smc(arguments) => {
                registers.gprs[..11].copy_from_slice(arguments);
                sync(0x17 << 26 | 1 << 25)
            }
            Action::Load(ipa, access) => self.data(loaded, registers, *ipa, *access, None),
            Action::Store(ipa, access, value) => {
                self.data(loaded, registers, *ipa, *access, Some(*value))
            }
            Action::Fetch(ipa) => self.fetch(loaded, *ipa),
            Action::Read(register) | Action::Write(register, _)
                if let Some(esr) = loaded.simd_trap(*register) =>
            {
                if let Action::Write(_, value) = action {
                    registers.gprs[5] = *value;
                }
                sync(esr)
            }
            Action::Read(register) => match loaded.native(*register, true) {
                Some(native) => Step::Complete(Observed::Value(native.read())),
                None => sync(sysreg_esr(*register, true)),
            },
            Action::Write(register, value) => {
                registers.gprs[5] = *value;
                match loaded.native(*register, false) {
                    Some(mut native) => {
                        native.write(*value);
                        Step::Complete(Observed::Done)
                    }
                    None => sync(sysreg_esr(*register, false)),
                }
            }
            Action::Wait(wait, operand) => self.wait(loaded, registers, *wait, *operand),
            Action::Hvc => sync(0x16 << 26 | 1 << 25),
            Action::Sve | Action::Vector(_) | Action::Predicate(_) => match &mut loaded.sve {
                None => sync(0x19 << 26 | 1 << 25),
                Some(sve) => Step::Complete(Observed::Value(match *action {
                    Action::Vector(value) => core::mem::replace(&mut sve.lane, value),
                    Action::Predicate(all) => {
                        let active = if all { sve.vector_bytes() } else { 0 };
                        core::mem::replace(&mut sve.active, active)
                    }
                    _ => sve.vector_bytes(),
                })),
            },
            Action::Sme => sync(0x1d << 26 | 1 << 25),
            Action::Simd(value) => match &mut loaded.simd {
                None => sync(SIMD_ESR),
                Some(simd) => {
                    let old = simd.v[0][0];
                    simd.v[0][0] = *value;
                    Step::Complete(Observed::Value(old))
                }
            },
            Action::Irq => Step::Async(NO_EXCEPTION),
            Action::Fiq => Step::Async(VcpuExit { cause: Cause::Fiq, ..NO_EXCEPTION }),
            Action::Timer(virtual_, control, met) => {
                if *virtual_ {
                    loaded.el1.cntv_ctl_el0 = *control;
                } else {
                    loaded.el1.cntp_ctl_el0 = *control;
                }
                program.timer_conditions[usize::from(*virtual_)] = *met;
                Step::Complete(Observed::Done)
            }
            Action::SetGprs(values) => {
                registers.gprs = **values;
                Step::Silent
            }
            Action::Gprs => Step::Complete(Observed::Gprs(Box::new(registers.gprs))),
            Action::SetEl1(register, value) => {
                *loaded.el1_register(*register) = *value;
                Step::Silent
            }
            Action::El1(register) => {
                Step::Complete(Observed::Value(*loaded.el1_register(*register)))
            }
            Action::Acknowledge => {
                let lr = loaded.gic.lrs.iter_mut().find(|lr| **lr >> 62 == 1);
                Step::Complete(Observed::Value(lr.map_or(1023, |lr| {
                    *lr = *lr & !(3 << 62) | 2 << 62;
                    *lr & 0xffff_ffff
                })))
            }
            Action::EndOfInterrupt => {
                if let Some(lr) = loaded.gic.lrs.iter_mut().find(|lr| **lr >> 62 == 2) {
                    *lr &= !(3 << 62);
                }
                Step::Complete(Observed::Done)
            }
            Action::State => Step::Complete(Observed::State(registers.pc, registers.pstate)),
            Action::Meanwhile(call) => {
                let reply = self.machine.cpu(self.number() + 1).handle_nested(call);
                Step::Silent.after(program, Observed::Reply(reply.unwrap_or([u64::MAX; 8])))
            }
            Action::Raw(raw) => raw_exit(*raw),
        }
    }

    fn wait(
        &self,
        loaded: &Loaded,
        registers: &mut VcpuRegisters,
        wait: Wait,
        operand: u64,
    ) -> Step {
        let event = matches!(wait, Wait::Wfe | Wait::Wfet);
        let trapped = loaded.hcr >> (if event { 14 } else { 13 }) & 1 == 1;
        if !trapped {
            return Step::Complete(Observed::Done);
        }
        let timed = matches!(wait, Wait::Wfit | Wait::Wfet);
        registers.gprs[7] = operand;
        // CV, COND, RN, RV.
        let register = if timed { 7 << 5 | 1 << 2 } else { 0 };
        let esr = 0x01 << 26 | 1 << 25 | 1 << 24 | 0xe << 20 | register | wait as u64;
        Step::Trap(VcpuExit { cause: Cause::Sync, esr, far: 0, hpfar: 0 })
    }

    /// Looks at what the monitor made of the last trap.
    fn resolve(
        &self,
        loaded: &Loaded,
        registers: &mut VcpuRegisters,
        flight: InFlight,
    ) -> Result<Option<Observed>, Action> {
        let vector = registers.pc.wrapping_sub(loaded.el1.vbar_el1);
        if registers.pc == flight.pc.wrapping_add(4) {
            return Ok(Some(completed(&flight.action, registers)));
        }
        if registers.pc == flight.pc {
            // An exception out of nothing does not come again.
            return if matches!(flight.action, Action::Raw(_)) {
                registers.pc = flight.pc.wrapping_add(4);
                Ok(None)
            } else {
                Err(flight.action)
            };
        }
        if matches!(vector, 0 | 0x200 | 0x400 | 0x600) {
            let el1 = &loaded.el1;
            let observed = Observed::Exception {
                esr: el1.esr_el1,
                far: el1.far_el1,
                vector,
                at_instruction: el1.elr_el1 == flight.pc,
                pstate: registers.pstate,
            };
            // The handler skips the instruction.
            registers.pc = flight.pc.wrapping_add(4);
            registers.pstate = el1.spsr_el1;
            return Ok(Some(observed));
        }
        let lost = registers.pc;
        registers.pc = flight.pc.wrapping_add(4);
        Ok(Some(Observed::Lost(lost)))
    }
}

/// Repetitions of one instruction after which the Host's timer fires.
const REPEATS_MAX: u32 = 1000;

fn raw_exit(raw: RawException) -> Step {
    let cause = match raw.cause {
        0 => Cause::Sync,
        1 => Cause::Irq,
        2 => Cause::Fiq,
        _ => Cause::SError,
    };
    let exit = VcpuExit { cause, esr: raw.esr, far: raw.far, hpfar: raw.hpfar };
    if raw.cause == 0 { Step::Trap(exit) } else { Step::Async(exit) }
}

/// The result of an action that the monitor or the Host has completed.
fn completed(action: &Action, registers: &VcpuRegisters) -> Observed {
    match action {
        Action::Smc(_) => Observed::Smc(core::array::from_fn(|number| registers.gprs[number])),
        Action::Load(_, access) => {
            Observed::Value(registers.gprs.get(access.register).copied().unwrap_or(0))
        }
        Action::Read(_) => Observed::Value(registers.gprs[5]),
        _ => Observed::Done,
    }
}

impl FakeCpu<'_> {
    pub(super) fn run_program(
        &self,
        loaded: &mut Loaded,
        registers: &mut VcpuRegisters,
        program: &mut Program,
    ) -> VcpuExit {
        let mut again = None;
        if let Some(flight) = program.in_flight.take() {
            match self.resolve(loaded, registers, flight) {
                Ok(observed) => program.observed.extend(observed),
                Err(action) => again = Some(action),
            }
        }
        program.repeats = if again.is_some() { program.repeats + 1 } else { 0 };
        if program.repeats > REPEATS_MAX {
            self.check_repeated(loaded, registers, again.as_ref());
            // The Host's timer ends it.
            program.actions.extend(again);
            program.actions.rotate_right(1);
            program.repeats = 0;
            return NO_EXCEPTION;
        }
        loop {
            if loaded.timer_fires(program.timer_conditions) {
                if let Some(action) = again {
                    program.actions.push_front(action);
                }
                return NO_EXCEPTION;
            }
            if let Some(syndrome) = loaded.vserror.take() {
                program.observed.push(Observed::SError(syndrome));
            }
            let Some(action) = again.take().or_else(|| program.actions.pop_front()) else {
                return NO_EXCEPTION;
            };
            match self.step(loaded, registers, program, &action) {
                Step::Complete(observed) => {
                    program.observed.push(observed);
                    registers.pc = registers.pc.wrapping_add(4);
                }
                Step::Silent => {
                    // Not an instruction that a monitor ever sees.
                    if !matches!(action, Action::Meanwhile(_)) {
                        registers.pc = registers.pc.wrapping_add(4);
                    }
                }
                Step::Trap(exit) => {
                    let pc = registers.pc;
                    if matches!(action, Action::Hvc) {
                        registers.pc = pc.wrapping_add(4);
                    }
                    program.in_flight = Some(InFlight { action, pc });
                    return exit;
                }
                Step::Async(exit) => return exit,
            }
        }
    }

    /// A Realm that repeats an instruction for ever does so by its own will: its vectors stand
    /// where the instruction does.
    fn check_repeated(&self, loaded: &Loaded, registers: &VcpuRegisters, action: Option<&Action>) {
        let vector = registers.pc.wrapping_sub(loaded.el1.vbar_el1);
        if !matches!(vector, 0 | 0x200 | 0x400 | 0x600) {
            self.machine.violation(format!("the monitor repeats {action:x?} for ever"));
        }
    }

    /// No lock may be held while a Realm runs.
    pub(super) fn check_unlocked(&self) {
        use core::sync::atomic::Ordering;
        let locked = |word: &granule::sync::AtomicU16| word.load(Ordering::Relaxed) >> 15 != 0;
        if self.machine.words.iter().any(locked) {
            self.machine.violation("a granule is locked while a Realm runs");
        }
    }
}
