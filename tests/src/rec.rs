//! RECs as a Host creates and enters them.

use alloc::format;
use alloc::vec::Vec;

use crate::abi::{Command, RecEnter, RecExit, RecParams, exit_reason, rec_mpidr};
use crate::outcome::{Outcome, Reply, fail, same};
use crate::program::{Action, El1, Observed, SystemRegister};
use crate::world::{Realm, World};

/// A REC as the Host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rec {
    /// The REC granule.
    pub pa: u64,
    /// Its Realm.
    pub realm: Realm,
    /// Its index.
    pub index: u64,
    /// The page that the Host passes at each entry.
    pub run: u64,
}

/// Where a REC starts on a machine whose programs need no memory.
pub const ENTRY: u64 = 0x1000;

/// Base of the vectors of the programs: nothing is fetched from there.
pub const VECTORS: u64 = 0x10_0000;

impl World<'_> {
    /// Parameters of an ordinary runnable REC, its auxiliary granules delegated.
    #[track_caller]
    pub fn rec_params(&mut self, realm: &Realm, index: u64) -> Outcome<RecParams> {
        let [count, ..] = self.call(Command::RecAuxCount, [realm.rd])?.ok()?.outputs;
        let mut aux = [0; 16];
        for slot in aux.iter_mut().take(usize::try_from(count).unwrap_or(16)) {
            *slot = self.delegated()?;
        }
        let mpidr = rec_mpidr(index);
        Ok(RecParams { flags: 1, mpidr, pc: realm.entry(0), gprs: [0; 8], num_aux: count, aux })
    }

    /// Creates a REC with these parameters.
    #[track_caller]
    pub fn rec_with(&mut self, realm: &Realm, index: u64, params: &RecParams) -> Outcome<Rec> {
        let pa = self.delegated()?;
        let page = self.params(&params.to_page());
        self.call(Command::RecCreate, [realm.rd, pa, page])?.ok()?;
        let run = self.granule();
        Ok(Rec { pa, realm: *realm, index, run })
    }

    /// An ordinary runnable REC.
    #[track_caller]
    pub fn rec(&mut self, realm: &Realm, index: u64) -> Outcome<Rec> {
        let params = self.rec_params(realm, index)?;
        self.rec_with(realm, index, &params)
    }

    /// A REC that is off.
    #[track_caller]
    pub fn rec_off(&mut self, realm: &Realm, index: u64) -> Outcome<Rec> {
        let params = RecParams { flags: 0, ..self.rec_params(realm, index)? };
        self.rec_with(realm, index, &params)
    }

    /// An active Realm with one REC, and a page of memory at 0.
    #[track_caller]
    pub fn running(&mut self) -> Outcome<Rec> {
        let realm = self.realm()?;
        self.running_in(&realm)
    }

    /// The same, in a Realm that exists.
    #[track_caller]
    pub fn running_in(&mut self, realm: &Realm) -> Outcome<Rec> {
        self.tables(realm, 0, 3)?;
        self.call(Command::RttInitRipas, [realm.rd, 0, 0x1000])?.ok()?;
        self.data_unknown(realm, 0)?;
        let rec = self.rec(realm, 0)?;
        self.activate(realm)?;
        Ok(rec)
    }

    /// REC_ENTER with this content of the run page's first half; the second half is filled with a
    /// pattern before.
    #[track_caller]
    pub fn enter_raw(&mut self, rec: &Rec, enter: &RecEnter) -> Outcome<Reply> {
        let mut page = [0xa5a5_a5a5_a5a5_a5a5; 512];
        page[..256].copy_from_slice(&enter.to_words());
        self.port.write_page(rec.run, &page);
        self.call(Command::RecEnter, [rec.pa, rec.run])
    }

    /// REC_ENTER that must succeed; the exit, which must be zero outside its fields.
    #[track_caller]
    pub fn enter_with(&mut self, rec: &Rec, enter: &RecEnter) -> Outcome<RecExit> {
        self.enter_raw(rec, enter)?.ok()?;
        self.exit_of(rec)
    }

    /// The exit half of the run page.
    #[track_caller]
    pub fn exit_of(&mut self, rec: &Rec) -> Outcome<RecExit> {
        let page = self.port.read_page(rec.run);
        let mut words = [0; 256];
        words.copy_from_slice(&page[256..]);
        let (mut exit, stray) = RecExit::from_words(&words);
        if exit.gicv3_vmcr == self.port.vmcr() {
            exit.gicv3_vmcr = 0;
        }
        match stray {
            Some(offset) => fail(format!("exit page not zero at {offset:#x}: {exit:x?}")),
            None => Ok(exit),
        }
    }

    /// REC_ENTER without flags.
    #[track_caller]
    pub fn enter(&mut self, rec: &Rec) -> Outcome<RecExit> {
        self.enter_with(rec, &RecEnter::default())
    }

    /// Gives a REC a program and enters it without flags.
    #[track_caller]
    pub fn run(&mut self, rec: &Rec, actions: &[Action]) -> Outcome<RecExit> {
        self.port.program(rec.realm.rd, rec.index, actions);
        self.enter(rec)
    }

    /// Gives a REC a program that ends without another exit, and returns what it observed.
    #[track_caller]
    pub fn observe(&mut self, rec: &Rec, actions: &[Action]) -> Outcome<Vec<Observed>> {
        let exit = self.run(rec, actions)?;
        same("exit", exit, idle_exit())?;
        Ok(self.observed(rec))
    }

    /// A program that ends with an exception for an UNDEFINED instruction.
    #[track_caller]
    pub fn is_undefined(&mut self, rec: &Rec, actions: &[Action]) -> Outcome<()> {
        match self.observe(rec, actions)?.as_slice() {
            [Observed::Exception { esr: 0x200_0000, at_instruction: true, .. }] => Ok(()),
            other => fail(format!("{actions:x?}: no UNDEFINED but {other:x?}")),
        }
    }

    /// Registers that are UNDEFINED for the Realm, to read and to write.
    #[track_caller]
    pub fn are_undefined(&mut self, rec: &Rec, registers: &[SystemRegister]) -> Outcome<()> {
        for &register in registers {
            for action in [Action::Write(register, u64::MAX), Action::Read(register)] {
                self.is_undefined(rec, &[Action::SetEl1(El1::Vbar, VECTORS), action])?;
            }
        }
        Ok(())
    }

    /// What the REC's program has observed since the last call.
    pub fn observed(&mut self, rec: &Rec) -> Vec<Observed> {
        self.port.observed(rec.realm.rd, rec.index)
    }

    /// The REC's program goes on to its end without another exit; what it has observed.
    #[track_caller]
    pub fn finish(&mut self, rec: &Rec, enter: &RecEnter) -> Outcome<Vec<Observed>> {
        let exit = self.enter_with(rec, enter)?;
        same("exit", exit, idle_exit())?;
        Ok(self.observed(rec))
    }

    /// An SMC inside the Realm that returns at once: X0 to X17.
    #[track_caller]
    pub fn smc(&mut self, rec: &Rec, arguments: &[u64]) -> Outcome<[u64; 18]> {
        let observed = self.observe(rec, &[smc(arguments)])?;
        match observed.as_slice() {
            [Observed::Smc(results)] => Ok(*results),
            other => fail(format!("{arguments:x?} led to {other:x?}")),
        }
    }
}

/// SMC with these registers from X0 on, and zeros.
pub fn smc(arguments: &[u64]) -> Action {
    let mut registers = [0; 11];
    registers[..arguments.len()].copy_from_slice(arguments);
    Action::Smc(registers)
}

/// The exit of a REC whose program has ended and whose timers and interrupts are quiet.
pub fn idle_exit() -> RecExit {
    RecExit { exit_reason: exit_reason::IRQ, ..RecExit::default() }
}
