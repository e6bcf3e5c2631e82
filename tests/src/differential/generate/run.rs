//! REC_ENTER, and what a Realm does.

use cairn_spec::v1_0::{Access, Act, Pending, Realm, RealmState, Rec, fid};

use super::super::choices::Choices;
use super::super::operation::Operation;
use super::{DEPTHS, Group, Scene};
use crate::abi::{RecEnter, enter_flags, realm_mpidr, rsi};

/// Where CPU_ON sends RECs: nothing that a program reaches by itself.
const ENTRY: u64 = 0x40_0000;

/// Commands that another CPU may send while a Realm runs.
const INSIDE: [Group; 19] = [
    Group::Delegate,
    Group::Undelegate,
    Group::RealmActivate,
    Group::RecDestroy,
    Group::RttCreate,
    Group::RttDestroy,
    Group::RttFold,
    Group::SetRipas,
    Group::DataCreateUnknown,
    Group::DataDestroy,
    Group::DataDestroy,
    Group::Map,
    Group::Unmap,
    Group::ReadEntry,
    Group::PsciComplete,
    Group::RealmDestroy,
    Group::Enter,
    Group::Enter,
    Group::DataCreate,
];

/// Acts that a REC may have left to do before it gets no more.
const PLENTY: usize = 6;

impl<C: Choices> Scene<'_, C> {
    pub(super) fn enter(&mut self) -> Option<Vec<Operation>> {
        let recs: Vec<u64> = self.model.recs().keys().copied().collect();
        let ready = |rec: &Rec| {
            let active = self.model.realms()[&rec.owner].state == RealmState::Active;
            active && rec.is_runnable && !matches!(rec.pending, Pending::Psci(_))
        };
        let ready: Vec<u64> =
            recs.iter().copied().filter(|pa| ready(&self.model.recs()[pa])).collect();
        let chosen = if self.choices.once_in(12) {
            self.choices.pick(&recs)
        } else {
            self.choices.pick(&ready)
        };
        let pa = chosen?;
        let rec = &self.model.recs()[&pa];
        let mut operations = Vec::new();
        if rec.program.len() < PLENTY {
            for _ in 0..1 + self.choices.below(3) {
                self.add_act(pa, rec, &mut operations);
            }
        }
        let run = self.run_page();
        operations.push(Operation::Page(run, self.entry_page(rec)));
        operations.push(self.send(fid::REC_ENTER, &[pa, run]));
        let nth = self.choices.below(90) + if self.choices.once_in(2) { 256 } else { 0 };
        let mishap = if self.choices.once_in(3) {
            Operation::Change(nth, run + 0x300, 1 << 8)
        } else {
            Operation::Fault(nth)
        };
        self.mishap(&mut operations, mishap);
        Some(operations)
    }

    /// The words of `RmiRecEnter` that are not zero.
    fn entry_page(&mut self, rec: &Rec) -> Vec<(usize, u64)> {
        let mut flags = 0;
        let (emulates, injects) = if rec.can_emulate() { (2, 5) } else { (40, 12) };
        for (flag, number) in [
            (enter_flags::EMUL_MMIO, emulates),
            (enter_flags::INJECT_SEA, injects),
            (enter_flags::TRAP_WFI, 3),
            (enter_flags::TRAP_WFE, 3),
            (enter_flags::RIPAS_REJECT, 4),
        ] {
            flags |= if self.choices.once_in(number) { flag } else { 0 };
        }
        let mut enter = RecEnter::flags(flags);
        enter.gprs[0] = self.choices.word();
        enter.gprs[1] = self.choices.below(0x1_0000);
        enter.gprs[30] = self.choices.below(2);
        if self.choices.once_in(6) {
            enter.gicv3_hcr = self.choices.below(128) << 1 | self.choices.below(2) << 14;
        }
        if self.choices.once_in(12) {
            for (at, numbers) in
                [[3, 27, 1019, 8192, 27], [30, 29, 1020, 5000, 27]].into_iter().enumerate()
            {
                let number = self.choices.pick(&numbers).unwrap_or(0);
                enter.gicv3_lrs[at] = 1 << 62 | 1 << 60 | 0xa0 << 48 | number;
            }
        }
        if self.choices.once_in(40) {
            enter.gicv3_lrs[0] = self.choices.word();
        }
        if self.choices.once_in(60) {
            enter.gicv3_hcr |= 1 << self.choices.below(32);
        }
        let words = enter.to_words();
        words.iter().copied().enumerate().filter(|(_, word)| *word != 0).collect()
    }

    fn add_act(&mut self, pa: u64, rec: &Rec, operations: &mut Vec<Operation>) {
        if self.generator.cpus > self.depth + 1
            && self.depth + 1 < DEPTHS
            && self.choices.once_in(4)
        {
            self.meanwhile(pa, operations);
            return;
        }
        let realm = &self.model.realms()[&rec.owner];
        let act = self.act(rec, realm);
        operations.push(Operation::Act(pa, act));
    }

    /// A command of another CPU while the REC runs.
    fn meanwhile(&mut self, pa: u64, operations: &mut Vec<Operation>) {
        let Some(group) = self.choices.pick(&INSIDE) else { return };
        self.depth += 1;
        let mut inside = self.informed(group).unwrap_or_default();
        self.depth -= 1;
        let Some(Operation::Call(_, call)) = inside.pop() else { return };
        // Only what is prepared by the Host alone, before the outer command.
        if inside.iter().any(|operation| matches!(operation, Operation::Call(..))) {
            return;
        }
        // The contents of a page of parameters must be known.
        let layout = &self.generator.layout;
        if call[0] == fid::GRANULE_UNDELEGATE && !layout.pool.contains(&call[1]) {
            return;
        }
        operations.extend(inside);
        operations.push(Operation::Act(pa, Act::Meanwhile(call)));
    }

    fn access(&mut self) -> Access {
        let size = self.choices.below(4);
        Access {
            size,
            sign: self.choices.once_in(3),
            wide: size == 3 || self.choices.once_in(2),
            register: if self.choices.once_in(8) { 31 } else { 3 },
            syndrome: !self.choices.once_in(4),
        }
    }

    fn act(&mut self, rec: &Rec, realm: &Realm) -> Act {
        let protected = !self.choices.once_in(3);
        let mut ipa = self.ipa(realm, protected);
        if self.choices.once_in(40) {
            ipa |= 1 << realm.width;
        }
        let offset = self.choices.below(32) * 8;
        match self.choices.below(26) {
            0..=3 => Act::Load(ipa + offset, self.access()),
            4..=7 => Act::Store(ipa + offset, self.access(), self.choices.word()),
            8 => Act::Fetch(ipa + offset),
            9 => Act::Wait(self.choices.below(4), self.choices.word()),
            10 => match self.choices.below(4) {
                0 => Act::Hvc,
                1 => Act::Gprs,
                fast => Act::Interrupt(fast == 2),
            },
            11..=13 => Act::Smc(self.state_set(realm)),
            14..=16 => smc(&[rsi::HOST_CALL, ipa + self.choices.below(3) * 0x80]),
            17 => smc(&[rsi::REALM_CONFIG, ipa]),
            18 => smc(&[rsi::IPA_STATE_GET, ipa, ipa + self.choices.below(1025) * 4096]),
            19 => smc(&[rsi::MEASUREMENT_READ, self.choices.below(6)]),
            20 => {
                let (index, size) = (self.choices.below(6), self.choices.below(66));
                smc(&[rsi::MEASUREMENT_EXTEND, index, size, 1, 2, 3, 4, 5, 6, 7, 8])
            }
            21..=24 => self.psci(rec),
            _ => {
                let calls = [
                    rsi::VERSION,
                    rsi::FEATURES,
                    rsi::SMCCC_VERSION,
                    rsi::PSCI_VERSION,
                    rsi::PSCI_FEATURES,
                    fid::VERSION,
                    0x8400_0013,
                ];
                let call = self.choices.pick(&calls).unwrap_or(0);
                let arguments = [0x1_0000, rsi::PSCI_CPU_ON, rsi::SMCCC_VERSION, 0x8400_0013, 0];
                smc(&[call, self.choices.pick(&arguments).unwrap_or(0)])
            }
        }
    }

    /// RSI_IPA_STATE_SET, mostly of a range with tables.
    fn state_set(&mut self, realm: &Realm) -> [u64; 11] {
        let deep = self.ipa_where(realm, true, |ipa| realm.entry(ipa, 3).0 == 3);
        let base = match deep {
            Some(base) if !self.choices.once_in(4) => base,
            _ => self.ipa(realm, true),
        };
        let lengths = [0x1000, 0x2000, 0x4000, 0x20_0000, 0x40_0000, 0, 0x800];
        let top = base + self.choices.pick(&lengths).unwrap_or(0);
        let ripas = if self.choices.once_in(20) { 2 } else { self.choices.below(2) };
        let mut arguments = [0; 11];
        arguments[..5].copy_from_slice(&[
            rsi::IPA_STATE_SET,
            base,
            top,
            ripas,
            self.choices.below(2),
        ]);
        arguments
    }

    fn psci(&mut self, rec: &Rec) -> Act {
        let indexes: Vec<u64> = self
            .model
            .recs()
            .values()
            .filter(|other| other.owner == rec.owner)
            .map(|other| other.index)
            .collect();
        let index = match self.choices.pick(&indexes) {
            Some(index) if !self.choices.once_in(10) => index,
            _ => self.choices.below(20),
        };
        let mpidr = realm_mpidr(index);
        let narrow = if self.choices.once_in(4) { !(1 << 30) } else { u64::MAX };
        match self.choices.below(16) {
            0..=6 => {
                let entry = if self.choices.once_in(8) { ENTRY | 1 << 51 } else { ENTRY };
                smc(&[rsi::PSCI_CPU_ON & narrow, mpidr, entry, 7])
            }
            7..=10 => {
                let level = u64::from(self.choices.once_in(8));
                smc(&[rsi::PSCI_AFFINITY_INFO & narrow, mpidr, level])
            }
            11..=13 => smc(&[rsi::PSCI_CPU_OFF]),
            14 => smc(&[rsi::PSCI_CPU_SUSPEND & narrow, 1, 2, 3]),
            _ if self.choices.once_in(6) => {
                let calls = [rsi::PSCI_SYSTEM_OFF, rsi::PSCI_SYSTEM_RESET];
                smc(&[self.choices.pick(&calls).unwrap_or(0)])
            }
            _ => smc(&[rsi::PSCI_CPU_SUSPEND]),
        }
    }
}

fn smc(arguments: &[u64]) -> Act {
    let mut registers = [0; 11];
    registers[..arguments.len()].copy_from_slice(arguments);
    Act::Smc(registers)
}
