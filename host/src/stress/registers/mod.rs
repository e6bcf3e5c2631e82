//! Every register and every system instruction that a Realm can name, tried in Realms that run in
//! turn on one CPU.
//!
//! The Host and each Realm write patterns of their own to whatever they can write. Then nobody may
//! see what is another's:
//!
//! | What is compared | Who would see whose |
//! | --- | --- |
//! | each register, in two Realms that have just started: what the Host and the other had there differs | a Realm, the Host's or the other Realm's |
//! | each register of a Realm, before and after the other has run | it would see the other's |
//! | what a Realm reads with all that the Host has planted | the Host's, in a register of another name |
//! | each register of the Host, before and after each entry | the Host, a Realm's; or lose its own |
//!
//! And each access must end as the table of `cairn-reach` says: an encoding without a row is
//! UNDEFINED; what traps is told from what does not by how many instructions it takes, so the
//! machine's counter must count those. Where EL3 has closed the only trap of a register, a Realm
//! may reach that, but must find zero there in each run.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `prober` | a Realm that tries what it is told |
//! | `owner` | what the Host has planted, and whether it is still there |
//! | `judge` | whether an outcome is as it must be |

mod judge;
mod owner;
mod prober;
#[cfg(test)]
mod tests;

use super::small::Extras;
use crate::failure::Failure;
use crate::host::Host;
use cairn_reach::{Encoding, FineGrained, Row};
use judge::{Act, Judge};
use owner::Owner;
use prober::{Level, Outcome, Prober};

use alloc::vec::Vec;

/// One access that the Host may make to a register: a read, or a write to which the table lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    instruction: u32,
    operand: u64,
}

impl Access {
    /// `MRS`.
    #[must_use]
    pub const fn read(register: Encoding) -> Self {
        Self { instruction: register.read(), operand: 0 }
    }

    /// `MSR` of as much of `pattern` as the Host may write there; `None` if that is nothing.
    #[must_use]
    pub fn plant(register: Encoding, row: &Row, pattern: u64) -> Option<Self> {
        let operand = row.host.value(pattern).filter(|_| row.pattern.contains(register))?;
        Some(Self { instruction: register.write(), operand })
    }

    /// The instruction; its register is X0.
    #[must_use]
    pub const fn instruction(self) -> u32 {
        self.instruction
    }

    /// X0 before it.
    #[must_use]
    pub const fn operand(self) -> u64 {
        self.operand
    }
}

/// A CPU that tries one access at EL2.
pub trait Probe {
    /// X0 after it; `None` if it was UNDEFINED.
    fn access(&self, access: Access) -> Option<u64>;

    /// Makes usable at EL2 what EL2 can make usable.
    fn open(&self);

    /// The program of a Realm that tries what it is told; `prober` says what it shares with the
    /// Host.
    fn program(&self) -> &'static [u8];
}

/// A different pattern for each owner and encoding.
const fn pattern(owner: u64, number: u16) -> u64 {
    (owner << 16 | number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Who plants.
mod seed {
    /// The Host, before each of two Realms.
    pub(super) const HOST: [u64; 2] = [0xa5a1, 0x5a52];
    /// The Realms.
    pub(super) const REALMS: [u64; 2] = [0x3c31, 0xc3c2];

    /// One of them.
    pub(super) fn realm(index: usize) -> u64 {
        REALMS.get(index).copied().unwrap_or_default()
    }
}

/// Realms without and with performance monitors and SVE, one kind after the other.
///
/// # Errors
///
/// A Realm cannot be made, or something was found.
pub fn run(host: &Host, probe: &dyn Probe) -> Result<(), Failure> {
    probe.open();
    let mut findings = 0;
    for extras in [Extras::default(), Extras::half_of_the_counters(host)] {
        let mut scan = Scan::new(host, probe, extras)?;
        let scanned = scan.all();
        findings += scan.judge.findings();
        let destroyed = scan.realms.into_iter().try_for_each(|realm| realm.destroy(host));
        scanned.and(destroyed)?;
    }
    if findings == 0 {
        return Ok(());
    }
    Err(failure!("{findings} registers or instructions of Realms are not as they must be"))
}

/// Two Realms of one kind.
struct Scan<'h> {
    host: &'h Host,
    owner: Owner<'h>,
    judge: Judge<'h>,
    realms: Vec<Prober>,
}

impl<'h> Scan<'h> {
    fn new(host: &'h Host, probe: &'h dyn Probe, extras: Extras) -> Result<Self, Failure> {
        let mut realms = Vec::new();
        for number in 1..=seed::REALMS.len() as u64 {
            realms.push(Prober::new(host, probe.program(), extras, number)?);
        }
        let usable = FineGrained::found(|register| probe.access(Access::read(register)).is_some());
        let judge = Judge::new(host, extras, usable);
        Ok(Self { host, owner: Owner::new(probe), judge, realms })
    }

    /// The whole sequence; see the table above.
    fn all(&mut self) -> Result<(), Failure> {
        self.calibrate()?;
        let mut fresh = Vec::new();
        let mut kept = Vec::new();
        let mut others = Vec::new();
        for (realm, seed) in seed::HOST.into_iter().enumerate() {
            let [sve, pmu] = self.judge.extras().sve_and_pmu();
            self.owner.plant(seed << 2 | u64::from(sve) << 1 | u64::from(pmu));
            self.judge.set_foreign(self.owner.planted().chain(others));
            let started = self.registers(realm, Act::Read, Level::El1)?;
            self.registers(realm, Act::Read, Level::El0)?;
            self.registers(realm, Act::Write, Level::El1)?;
            let planted = self.registers(realm, Act::Read, Level::El1)?;
            others = self.judge.own(&started, &planted);
            fresh.push(started);
            kept.push(planted);
        }
        if let [first, second] = &fresh[..] {
            self.judge.same("of the Host's or the other Realm's", 2, first, second);
        }
        self.judge.set_foreign(self.owner.planted());
        for (realm, before) in kept.iter().enumerate() {
            let after = self.registers(realm, Act::Read, Level::El1)?;
            self.judge.same("of the Host's or the other Realm's", realm + 1, before, &after);
        }
        for realm in 0..self.realms.len() {
            for act in [Act::System, Act::SystemRead] {
                self.instructions(realm, act)?;
            }
        }
        self.report();
        Ok(())
    }

    /// Makes sure that what traps can be told from what does not.
    fn calibrate(&self) -> Result<(), Failure> {
        const TPIDR_EL0: Encoding = Encoding { op0: 3, op1: 3, crn: 13, crm: 0, op2: 2 };
        const ID_AA64PFR0_EL1: Encoding = Encoding { op0: 3, op1: 0, crn: 0, crm: 4, op2: 0 };
        let registers = [TPIDR_EL0, ID_AA64PFR0_EL1].into_iter();
        let orders = self.judge.orders(Act::Read, Level::El1, 0, registers);
        let prober = self.realms.first().ok_or("there is no Realm")?;
        match &prober.tries(self.host, &orders)?[..] {
            [native, trapped] => self.judge.calibrate(native, trapped),
            _ => Err("an order is left out".into()),
        }
    }

    /// Tries all registers in a Realm, and then looks at the Host's.
    fn registers(&mut self, realm: usize, act: Act, level: Level) -> Result<Vec<Outcome>, Failure> {
        let owner = seed::realm(realm);
        self.tried(realm, act, level, owner, Encoding::registers())
    }

    /// The same with system instructions.
    fn instructions(&mut self, realm: usize, act: Act) -> Result<(), Failure> {
        let owner = seed::realm(realm);
        self.tried(realm, act, Level::El1, owner, Encoding::instructions())?;
        Ok(())
    }

    fn tried(
        &mut self,
        realm: usize,
        act: Act,
        level: Level,
        owner: u64,
        encodings: impl Iterator<Item = Encoding>,
    ) -> Result<Vec<Outcome>, Failure> {
        let prober = self.realms.get(realm).ok_or("there is no such Realm")?;
        let orders = self.judge.orders(act, level, owner, encodings);
        let outcomes = prober.tries(self.host, &orders)?;
        let name = realm + 1;
        self.judge.outcomes(name, act, level, &orders, &outcomes);
        self.owner.check(&mut self.judge, name);
        Ok(outcomes)
    }

    fn report(&self) {
        let [sve, pmu] = self.judge.extras().sve_and_pmu();
        let (tried, native, trapped) = self.judge.counts();
        let (planted, findings) = (self.owner.planted().count(), self.judge.findings());
        self.host.machine().console_line(format_args!(
            "@cairn {{\"event\":\"registers\",\"sve\":{sve},\"pmu\":{pmu},\"tried\":{tried},\"native\":{native},\
             \"trapped\":{trapped},\"planted\":{planted},\"findings\":{findings}}}"
        ));
    }
}
