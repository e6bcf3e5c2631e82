//! Programs that run inside a Realm: a list of actions, and what each of them led to.
//!
//! Every backend carries them out one by one on a REC. The REC runs at EL1 with stage 1 off, so
//! that virtual addresses are intermediate physical ones. A program that has come to its end waits
//! for the Host: the REC exits with an IRQ.

use alloc::boxed::Box;

/// How a load or store accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Bytes, as a power of two: 0 to 3.
    pub size: u64,
    /// The load sign extends.
    pub sign: bool,
    /// The register is an X register.
    pub wide: bool,
    /// The register; 31 is XZR.
    pub register: usize,
    /// The instruction has a syndrome (a plain load or store, not a pair or an exclusive).
    pub syndrome: bool,
}

impl Access {
    /// A plain 64-bit access with X3.
    pub const WORD: Self = Self { size: 3, sign: false, wide: true, register: 3, syndrome: true };

    /// A plain access of `1 << size` bytes with W3 or X3, without sign extension.
    pub const fn sized(size: u64) -> Self {
        Self { size, wide: size == 3, ..Self::WORD }
    }

    /// The same access by an instruction that reports no syndrome.
    pub const fn without_syndrome(self) -> Self {
        Self { syndrome: false, ..self }
    }
}

/// A WFI or one of its kin, by the number of ESR.TI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[expect(missing_docs, reason = "each variant is the instruction of that name")]
pub enum Wait {
    Wfi = 0,
    Wfe = 1,
    Wfit = 2,
    Wfet = 3,
}

/// A system register or instruction: Op0, Op1, CRn, CRm, Op2.
pub type SystemRegister = (u64, u64, u64, u64, u64);

/// EL1 registers that a program reads and writes without a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the register of that name")]
pub enum El1 {
    Sctlr,
    Vbar,
    Tpidr,
    Mair,
    VmPidr,
    CntpCval,
    CntvCval,
}

/// One step of a program.
#[derive(Clone, Debug)]
pub enum Action {
    /// SMC with X0 to X10.
    Smc([u64; 11]),
    /// Reads memory.
    Load(u64, Access),
    /// Writes memory.
    Store(u64, Access, u64),
    /// Branches to an address, where there is an instruction that comes back.
    Fetch(u64),
    /// MRS of a register that traps.
    Read(SystemRegister),
    /// MSR of a register that traps.
    Write(SystemRegister, u64),
    /// WFI, WFE, WFIT, WFET, the latter with an operand.
    Wait(Wait, u64),
    /// HVC.
    Hvc,
    /// An instruction of the Scalable Vector Extension: the length of a vector in bytes.
    Sve,
    /// Reads the last lane of Z31, and writes this into all of them.
    Vector(u64),
    /// Counts the active bytes of P15, and makes all of them active or none.
    Predicate(bool),
    /// An instruction of the Scalable Matrix Extension.
    Sme,
    /// Writes V0 and reads what was in it.
    Simd(u64),
    /// A physical IRQ or FIQ becomes pending for the CPU.
    Irq,
    /// A physical FIQ becomes pending for the CPU.
    Fiq,
    /// Sets CNTP (`false`) or CNTV (`true`) CTL; the timer's condition is met if the second number
    /// is not 0.
    Timer(bool, u64, bool),
    /// Sets X0 to X30.
    SetGprs(Box<[u64; 31]>),
    /// Reads X0 to X30.
    Gprs,
    /// Writes an EL1 register.
    SetEl1(El1, u64),
    /// Reads an EL1 register.
    El1(El1),
    /// Acknowledges the pending virtual interrupt.
    Acknowledge,
    /// Ends the active virtual interrupt.
    EndOfInterrupt,
    /// Reads PC and PSTATE.
    State,
    /// While the REC runs, another CPU of the Host sends this command (X0 to X7).
    Meanwhile([u64; 8]),
    /// An exception as hardware might report it, whatever its cause. The instruction is repeated or
    /// skipped as the monitor says. Only a simulated machine can do this.
    Raw(RawException),
}

/// An exception with arbitrary syndrome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawException {
    /// 0 synchronous, 1 IRQ, 2 FIQ, 3 SError.
    pub cause: u64,
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
}

/// What an action led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The call returned with X0 to X17.
    Smc([u64; 18]),
    /// The register after the load, or the register that was read.
    Value(u64),
    /// The instruction completed.
    Done,
    /// X0 to X30.
    Gprs(Box<[u64; 31]>),
    /// PC and PSTATE.
    State(u64, u64),
    /// An exception was taken at EL1 instead.
    Exception {
        /// ESR_EL1.
        esr: u64,
        /// FAR_EL1.
        far: u64,
        /// Offset of the vector from VBAR_EL1.
        vector: u64,
        /// Whether ELR_EL1 was the instruction's own address.
        at_instruction: bool,
        /// PSTATE in the handler.
        pstate: u64,
    },
    /// What the other CPU's command returned in X0 to X7.
    Reply([u64; 8]),
    /// A granule protection fault at EL1.
    ProtectionFault,
    /// A virtual SError with this syndrome was taken.
    SError(u64),
    /// The program went on at an address that nothing leads to.
    Lost(u64),
}
