//! The memory that a REC's program and the Host share: registers, operations, results. The program
//! itself is in the leaf.
//!
//! An action becomes a list of operations. They put values into registers, run one instruction with
//! all of them, and append registers to the results. The instruction that a REC exits in the middle
//! of is where it goes on.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::a64;
use cairn_tests::program::{Action, El1, Observed};

/// Bytes of a mailbox.
pub(super) const SIZE: u64 = 0x1_0000;

/// Offsets of words that the Host uses. X0 to X30 are at 0.
pub(super) mod at {
    /// Next operation that the program runs.
    pub(crate) const POSITION: u64 = 0x120;
    /// End of the operations.
    pub(crate) const TAIL: u64 = 0x128;
    /// End of the results.
    pub(crate) const RESULTS_END: u64 = 0x130;
    /// An action has been begun and not ended.
    pub(crate) const MIDDLE: u64 = 0x148;
    /// End of the results when the REC started anew.
    pub(crate) const RESTART: u64 = 0x150;
    /// Whether an action was under way then.
    pub(crate) const ABANDONED: u64 = 0x158;
    /// 1: the command for another CPU waits; 2: the reply is there.
    pub(crate) const ASSISTANCE: u64 = 0x160;
    /// X0 to X7 of a command for another CPU.
    pub(crate) const COMMAND: u64 = 0x180;
    /// X0 to X7 that it returned.
    pub(crate) const REPLY: u64 = 0x1c0;
    /// Address of the interrupt controller's register that makes interrupts pending.
    pub(crate) const INTERRUPT: u64 = 0x300;
    /// What to write for an interrupt of the REC's own CPU.
    pub(crate) const OWN_CPU: u64 = 0x308;
    /// What to write for an interrupt of another CPU.
    pub(crate) const OTHER_CPU: u64 = 0x310;
    /// First operation.
    pub(crate) const OPERATIONS: u64 = 0x1000;
    /// First result, and end of the operations.
    pub(crate) const RESULTS: u64 = 0x8000;
}

/// Words that operations can name besides the general-purpose registers.
mod word {
    pub(super) const STEPS: usize = 31;
    pub(super) const ENTRY: usize = 32;
    pub(super) const PSTATE: usize = 33;
    pub(super) const SCTLR: usize = 34;
    pub(super) const VBAR: usize = 35;
    pub(super) const COMMAND: usize = 48;
    pub(super) const REPLY: usize = 56;
}

/// One operation of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// Gives a word a value.
    Set(usize, u64),
    /// The same, and keeps the old value.
    Lend(usize, u64),
    /// Gives the kept value back.
    Return(usize),
    /// Runs an instruction.
    Run(u32),
    /// Appends a word to the results.
    Out(usize),
    /// The action is over.
    End,
    /// Asks another CPU for a command.
    Assist,
}

impl Op {
    fn encode(self, words: &mut Vec<u64>) {
        let (code, register, instruction, value) = match self {
            Self::Set(register, value) => (0, register, 0, Some(value)),
            Self::Lend(register, value) => (1, register, 0, Some(value)),
            Self::Return(register) => (2, register, 0, None),
            Self::Run(instruction) => (3, 0, instruction, None),
            Self::Out(register) => (4, register, 0, None),
            Self::End => (5, 0, 0, None),
            Self::Assist => (6, 0, 0, None),
        };
        words.push(code | (register as u64) << 8 | u64::from(instruction) << 32);
        words.extend(value);
    }
}

/// An action as operations.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    action: Action,
    ops: Vec<Op>,
    /// Offset of the end of its operations in the mailbox.
    pub end: u64,
}

/// Addresses that programs need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interrupt {
    /// Of the register that makes interrupts pending, as the Realm sees it.
    pub address: u64,
    /// The bit for the REC's own CPU.
    pub bit: u64,
}

impl Compiled {
    /// Translates an action; `None` if no instruction does that.
    pub(super) fn new(action: &Action, interrupt: Interrupt) -> Option<Self> {
        let mut ops = operations(action, interrupt)?;
        ops.push(Op::End);
        Some(Self { action: action.clone(), ops, end: 0 })
    }

    /// The words of its operations.
    pub(super) fn encode(&self) -> Vec<u64> {
        let mut words = Vec::new();
        for op in &self.ops {
            op.encode(&mut words);
        }
        words
    }
}

/// Runs instructions with lent registers.
fn lent(registers: &[(usize, u64)], run: &[Op]) -> Vec<Op> {
    let lend = registers.iter().map(|&(register, value)| Op::Lend(register, value));
    let give_back = registers.iter().map(|&(register, _)| Op::Return(register));
    lend.chain(run.iter().copied()).chain(give_back).collect()
}

fn operations(action: &Action, interrupt: Interrupt) -> Option<Vec<Op>> {
    let result = Op::Out(a64::RESULT);
    Some(match action {
        Action::Smc(arguments) => {
            let set = arguments.iter().enumerate().map(|(number, &value)| Op::Set(number, value));
            set.chain([Op::Run(a64::SMC)]).chain((0..18).map(Op::Out)).collect()
        }
        Action::Load(ipa, access) => {
            let mut ops = lent(&[(a64::BASE, *ipa)], &[Op::Run(a64::access(*access, false))]);
            ops.extend((access.register < 31).then_some(Op::Out(access.register)));
            ops
        }
        Action::Store(ipa, access, value) => {
            let mut ops = Vec::new();
            ops.extend((access.register < 31).then_some(Op::Set(access.register, *value)));
            ops.extend(lent(&[(a64::BASE, *ipa)], &[Op::Run(a64::access(*access, true))]));
            ops
        }
        Action::Fetch(ipa) => lent(&[(a64::BASE, *ipa)], &[Op::Run(a64::BRANCH)]),
        Action::Read(register) => alloc::vec![Op::Run(a64::mrs(*register, 5)), Op::Out(5)],
        Action::Write(register, value) => {
            alloc::vec![Op::Set(5, *value), Op::Run(a64::msr(*register, 5))]
        }
        Action::Wait(kind, operand) => {
            alloc::vec![Op::Set(7, *operand), Op::Run(a64::wait(*kind))]
        }
        Action::Hvc => alloc::vec![Op::Run(a64::HVC)],
        Action::Sve => lent(&[(a64::RESULT, 0)], &[Op::Run(a64::RDVL), result]),
        Action::Vector(value) => {
            let run = [Op::Run(a64::READ_Z31_LAST), result, Op::Run(a64::WRITE_Z31)];
            lent(&[(a64::RESULT, 0), (4, *value)], &run)
        }
        Action::Predicate(all) => {
            let write = if *all { a64::SET_P15 } else { a64::CLEAR_P15 };
            lent(&[(a64::RESULT, 0)], &[Op::Run(a64::COUNT_P15), result, Op::Run(write)])
        }
        Action::Sme => alloc::vec![Op::Run(a64::RDSVL)],
        Action::Simd(value) => {
            lent(&[(3, 0), (4, *value)], &[Op::Run(a64::READ_D0), result, Op::Run(a64::WRITE_D0)])
        }
        Action::Irq => {
            lent(&[(28, interrupt.bit), (29, interrupt.address)], &[Op::Run(a64::STORE_W28_AT_X29)])
        }
        Action::Timer(virtual_, control, met) => timer(*virtual_, *control, *met),
        Action::SetGprs(values) => {
            values.iter().enumerate().map(|(number, &value)| Op::Set(number, value)).collect()
        }
        Action::Gprs => (0..31).map(Op::Out).collect(),
        Action::SetEl1(El1::Sctlr, value) => alloc::vec![Op::Set(word::SCTLR, *value)],
        Action::SetEl1(El1::Vbar, value) => alloc::vec![Op::Set(word::VBAR, *value)],
        Action::SetEl1(register, value) => {
            lent(&[(a64::RESULT, *value)], &[Op::Run(a64::msr(a64::el1(*register)?, a64::RESULT))])
        }
        Action::El1(El1::Sctlr) => alloc::vec![Op::Out(word::SCTLR)],
        Action::El1(El1::Vbar) => alloc::vec![Op::Out(word::VBAR)],
        Action::El1(register) => {
            let read = a64::mrs(a64::el1(*register)?, a64::RESULT);
            lent(&[(a64::RESULT, 0)], &[Op::Run(read), result])
        }
        Action::Acknowledge => acknowledge(),
        Action::EndOfInterrupt => alloc::vec![Op::Run(a64::msr(a64::ICC_EOIR1, 26))],
        Action::State => {
            alloc::vec![Op::Out(word::ENTRY), Op::Out(word::STEPS), Op::Out(word::PSTATE)]
        }
        Action::Meanwhile(command) => {
            let set =
                command.iter().enumerate().map(|(n, &value)| Op::Set(word::COMMAND + n, value));
            set.chain([Op::Assist]).chain((0..8).map(|n| Op::Out(word::REPLY + n))).collect()
        }
        Action::Fiq | Action::Raw(_) => return None,
    })
}

/// Programs a timer. Its condition is met as long as its value is in the past, where it is at
/// first.
fn timer(virtual_: bool, control: u64, met: bool) -> Vec<Op> {
    let (control_register, value_register) =
        if virtual_ { a64::VIRTUAL_TIMER } else { a64::PHYSICAL_TIMER };
    let mut run = Vec::new();
    if !met && control & 1 == 1 {
        run.extend(lent(
            &[(a64::RESULT, u64::MAX >> 1)],
            &[Op::Run(a64::msr(value_register, a64::RESULT))],
        ));
    }
    let write = a64::msr(control_register, a64::RESULT);
    run.extend(lent(&[(a64::RESULT, control)], &[Op::Run(write), Op::Run(a64::ISB)]));
    run
}

/// Acknowledges an interrupt, and leaves the interface as it was. The number stays in X26.
fn acknowledge() -> Vec<Op> {
    let open = [
        Op::Run(a64::msr(a64::ICC_PMR, 25)),
        Op::Run(a64::msr(a64::ICC_IGRPEN1, 24)),
        Op::Run(a64::ISB),
        Op::Run(a64::mrs(a64::ICC_IAR1, 26)),
        Op::Out(26),
        Op::Set(24, 0),
        Op::Set(25, 0),
        Op::Run(a64::msr(a64::ICC_PMR, 25)),
        Op::Run(a64::msr(a64::ICC_IGRPEN1, 24)),
        Op::Run(a64::ISB),
    ];
    lent(&[(24, 1), (25, 0xff)], &open)
}

/// An exception as the program notes it: class and the rest.
struct Exception {
    esr: u64,
    far: u64,
    vector: u64,
    elr: u64,
    instruction: u64,
    pstate: u64,
}

/// Whether an instruction completed.
enum Ran {
    Yes,
    /// The instruction after it did not run.
    Skipped,
    Exception(Exception),
}

/// The results of one action.
pub(super) enum Parsed {
    /// Not all are there yet.
    Incomplete,
    /// What was observed, and how many words of results it took.
    Whole(Option<Observed>, usize),
}

impl Compiled {
    /// Reads the results of this action from the words that the program has appended.
    pub(super) fn parse(&self, words: &[u64]) -> Parsed {
        let mut rest = words.iter().copied();
        let mut outs = Vec::new();
        let mut exception = None;
        let mut skipped = false;
        for op in &self.ops {
            match op {
                Op::Run(_) => match ran(&mut rest) {
                    Some(Ran::Yes) => {}
                    Some(Ran::Skipped) => skipped = true,
                    Some(Ran::Exception(taken)) => exception = exception.or(Some(taken)),
                    None => return Parsed::Incomplete,
                },
                Op::Out(_) => match rest.next() {
                    Some(word) => outs.push(word),
                    None => return Parsed::Incomplete,
                },
                Op::Set(..) | Op::Lend(..) | Op::Return(_) | Op::End | Op::Assist => {}
            }
        }
        let taken = words.len() - rest.len();
        let observed = match exception {
            _ if skipped => Some(Observed::Lost(0)),
            Some(exception) => Some(self.excepted(&exception)),
            None => self.completed(&outs),
        };
        Parsed::Whole(observed, taken)
    }

    fn excepted(&self, taken: &Exception) -> Observed {
        let status = taken.esr & 0x3f;
        match (&self.action, taken.esr >> 26) {
            // What is there is no instruction, but it was fetched.
            (Action::Fetch(ipa), 0) if taken.elr == *ipa => Observed::Done,
            (_, 0x24 | 0x25) if status == 0x28 => Observed::ProtectionFault,
            _ => Observed::Exception {
                esr: taken.esr,
                far: taken.far,
                vector: taken.vector,
                at_instruction: taken.elr == taken.instruction,
                pstate: taken.pstate,
            },
        }
    }

    fn completed(&self, outs: &[u64]) -> Option<Observed> {
        let first = outs.first().copied().unwrap_or(0);
        let second = outs.get(1).copied().unwrap_or(0);
        let word = |number: usize| outs.get(number).copied().unwrap_or(0);
        match &self.action {
            Action::Smc(_) => Some(Observed::Smc(core::array::from_fn(word))),
            Action::Load(..)
            | Action::Read(_)
            | Action::Simd(_)
            | Action::Sve
            | Action::Vector(_)
            | Action::Predicate(_)
            | Action::El1(_)
            | Action::Acknowledge => Some(Observed::Value(first)),
            Action::Gprs => Some(Observed::Gprs(Box::new(core::array::from_fn(word)))),
            Action::State => Some(Observed::State(first + 4 * second, word(2))),
            Action::Meanwhile(_) => Some(Observed::Reply(core::array::from_fn(word))),
            Action::SetGprs(_) | Action::SetEl1(..) | Action::Irq | Action::Fiq => None,
            Action::Store(..)
            | Action::Fetch(_)
            | Action::Write(..)
            | Action::Wait(..)
            | Action::Hvc
            | Action::Sme
            | Action::Timer(..)
            | Action::EndOfInterrupt
            | Action::Raw(_) => Some(Observed::Done),
        }
    }
}

fn ran(words: &mut impl Iterator<Item = u64>) -> Option<Ran> {
    match words.next()? {
        0 => Some(Ran::Yes),
        1 => Some(Ran::Exception(Exception {
            esr: words.next()?,
            far: words.next()?,
            vector: words.next()?,
            elr: words.next()?,
            instruction: words.next()?,
            pstate: words.next()?,
        })),
        _ => Some(Ran::Skipped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_tests::program::Access;

    const INTERRUPT: Interrupt = Interrupt { address: 0x1000, bit: 4 };

    fn compiled(action: &Action) -> Compiled {
        Compiled::new(action, INTERRUPT).unwrap()
    }

    #[test]
    fn a_load_lends_its_base_register() {
        let load = compiled(&Action::Load(0x1234, Access::WORD));
        let words = [0x1b01, 0x1234, 0xf940_0363 << 32 | 3, 0x1b02, 0x304, 5];
        assert_eq!(load.encode(), words);
    }

    #[test]
    fn results_come_when_all_are_there() {
        let load = compiled(&Action::Load(0x1234, Access::WORD));
        assert!(matches!(load.parse(&[]), Parsed::Incomplete));
        assert!(matches!(load.parse(&[0]), Parsed::Incomplete));
        let Parsed::Whole(observed, taken) = load.parse(&[0, 7, 9]) else { panic!() };
        assert_eq!((observed, taken), (Some(Observed::Value(7)), 2));
        let words = [1, 0x9200_0010, 5, 0x200, 0x40, 0x40, 0x3c5, 77];
        let Parsed::Whole(Some(Observed::Exception { at_instruction, .. }), 8) = load.parse(&words)
        else {
            panic!()
        };
        assert!(at_instruction);
    }

    #[test]
    fn what_no_instruction_does_is_refused() {
        assert!(Compiled::new(&Action::Fiq, INTERRUPT).is_none());
    }
}
