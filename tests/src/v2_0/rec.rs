//! RECs as a Host of RMI 2.0 creates and enters them.

use alloc::format;
use alloc::vec::Vec;

use super::abi::{Command, Desc, SUCCESS};
use super::memory::UNPROT;
use super::outcome::Reply;
use super::pages::{RecEnter, RecExit, RecParams, idle_exit, mpidr};
use super::world::{PAGE, Realm, World};
use crate::outcome::{Outcome, fail, same};
use crate::port::Quarters;
use crate::program::{Action, Observed};
use crate::rec::smc;

/// A REC as the Host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rec {
    /// The REC granule.
    pub pa: u64,
    /// Its Realm.
    pub realm: Realm,
    /// The number under which the machine knows its program.
    pub index: u64,
    /// The page that the Host passes at each entry.
    pub run: u64,
}

impl World<'_> {
    /// Parameters of an ordinary runnable REC.
    pub fn rec_params(&self, realm: &Realm, index: u64) -> RecParams {
        RecParams { flags: 1, mpidr: mpidr(index), pc: realm.entry(0), gprs: [0; 8] }
    }

    /// Creates a REC with these parameters, whatever RMM asks for.
    #[track_caller]
    pub fn rec_with(&mut self, realm: &Realm, params: &RecParams) -> Outcome<Rec> {
        let pa = self.delegated()?;
        let page = self.page(&params.to_page());
        self.ok(Command::RecCreate, &[realm.rd, pa, page])?;
        let run = self.granule();
        let index = params.mpidr & 0xf | (params.mpidr >> 8 & 0xfff) << 4;
        Ok(Rec { pa, realm: *realm, index, run })
    }

    /// An ordinary runnable REC.
    #[track_caller]
    pub fn rec(&mut self, realm: &Realm, index: u64) -> Outcome<Rec> {
        let params = self.rec_params(realm, index);
        self.rec_with(realm, &params)
    }

    /// A REC that is off.
    #[track_caller]
    pub fn rec_off(&mut self, realm: &Realm, index: u64) -> Outcome<Rec> {
        let params = RecParams { flags: 0, ..self.rec_params(realm, index) };
        self.rec_with(realm, &params)
    }

    /// Destroys a REC, whatever RMM asks for.
    #[track_caller]
    pub fn destroy_rec(&mut self, rec: u64) -> Outcome {
        self.ok(Command::RecDestroy, &[rec])?;
        self.set_aside(rec);
        Ok(())
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
        self.init_ripas(realm, 0, PAGE)?;
        self.data_unknown(realm, 0)?;
        let rec = self.rec(realm, 0)?;
        self.activate(realm)?;
        Ok(rec)
    }

    /// An active Realm with two RECs, of which the second is off.
    #[track_caller]
    pub fn two(&mut self) -> Outcome<(Rec, Rec)> {
        let realm = self.realm()?;
        let (first, second) = (self.rec(&realm, 0)?, self.rec_off(&realm, 1)?);
        self.activate(&realm)?;
        Ok((first, second))
    }

    /// REALM_ACTIVATE. A Realm with RECs gets what they need to run programs first.
    #[track_caller]
    pub fn activate(&mut self, realm: &Realm) -> Outcome {
        let indices = self.recs.iter().filter(|(_, rd, _)| *rd == realm.rd).map(|rec| rec.2);
        if let Some(last) = indices.max()
            && let Some(quarters) = self.port.quarters(realm.rd, realm.width, last + 1)
        {
            self.move_in(realm, &quarters)?;
        }
        self.call(Command::RealmActivate, &[realm.rd])?.ok()?;
        Ok(())
    }

    /// Builds what a Realm needs to run programs. The descriptors are those of RMI 1.0: attributes
    /// from bit 2 on, permissions from bit 6 on.
    #[track_caller]
    fn move_in(&mut self, realm: &Realm, quarters: &Quarters) -> Outcome {
        self.tables(realm, quarters.code, 3)?;
        self.data(realm, quarters.code, &quarters.contents, 0)?;
        for (ipa, desc) in quarters.shared {
            self.tables(realm, ipa, 2)?;
            let block = Desc::block(desc & 0x000f_ffff_ffe0_0000, 2);
            let flags = UNPROT & !(0x7f << 16) | (desc >> 2 & 7) << 16 | (desc >> 6 & 3) << 19;
            let arguments = [realm.rd, ipa, ipa + block.bytes(), flags, block.encode()];
            self.ok(Command::UnprotMap, &arguments)?;
        }
        Ok(())
    }

    /// REC_ENTER with this content of the run page's first half; the second half is filled with a
    /// pattern before.
    #[track_caller]
    pub fn enter_raw(&mut self, rec: &Rec, enter: &RecEnter) -> Outcome<Reply> {
        let mut page = [0xa5a5_a5a5_a5a5_a5a5; 512];
        page[..256].copy_from_slice(&enter.to_words());
        self.port.write_page(rec.run, &page);
        self.call(Command::RecEnter, &[rec.pa, rec.run])
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
        match RecExit::from_words(&words) {
            (exit, Some(offset)) => fail(format!("exit page not zero at {offset:#x}: {exit:x?}")),
            (exit, None) => Ok(exit),
        }
    }

    /// REC_ENTER without flags.
    #[track_caller]
    pub fn enter(&mut self, rec: &Rec) -> Outcome<RecExit> {
        self.enter_with(rec, &RecEnter::default())
    }

    /// Gives a REC a program.
    pub fn program(&mut self, rec: &Rec, actions: &[Action]) {
        self.port.program(rec.realm.rd, rec.index, actions);
    }

    /// Gives a REC a program and enters it without flags.
    #[track_caller]
    pub fn run(&mut self, rec: &Rec, actions: &[Action]) -> Outcome<RecExit> {
        self.program(rec, actions);
        self.enter(rec)
    }

    /// Gives a REC a program that ends without another exit, and returns what it observed.
    #[track_caller]
    pub fn observe(&mut self, rec: &Rec, actions: &[Action]) -> Outcome<Vec<Observed>> {
        let exit = self.run(rec, actions)?;
        same("exit", exit, idle_exit())?;
        Ok(self.observed(rec))
    }

    /// What the REC's program has observed since the last call.
    pub fn observed(&mut self, rec: &Rec) -> Vec<Observed> {
        self.port.observed(rec.realm.rd, rec.index)
    }

    /// The REC's program goes on to its end without another exit; what it has observed.
    #[track_caller]
    pub fn resume(&mut self, rec: &Rec, enter: &RecEnter) -> Outcome<Vec<Observed>> {
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

    /// The SMC that a REC has waited in returns: X0 to X17.
    #[track_caller]
    pub fn answered(&mut self, rec: &Rec, enter: &RecEnter) -> Outcome<[u64; 18]> {
        match self.resume(rec, enter)?.as_slice() {
            [Observed::Smc(results)] => Ok(*results),
            other => fail(format!("the call led to {other:x?}")),
        }
    }

    /// While the REC runs, another CPU sends a command; what it returned.
    #[track_caller]
    pub fn while_running(
        &mut self,
        rec: &Rec,
        command: Command,
        arguments: &[u64],
    ) -> Outcome<Reply> {
        let mut call = [0; 8];
        call[0] = command.fid();
        call[1..=arguments.len()].copy_from_slice(arguments);
        let observed = self.observe(rec, &[Action::Meanwhile(call)])?;
        let [Observed::Reply(x)] = observed.as_slice() else {
            return fail(format!("no reply but {observed:x?}"));
        };
        let reply = Reply { command, call, x: *x };
        if reply.status() == SUCCESS {
            self.note_success(&reply);
        }
        Ok(reply)
    }
}
