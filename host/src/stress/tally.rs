//! What the commands came to, and how long a CPU had to wait for others.

use super::MAX_CPUS;
use crate::failure::Failure;
use crate::host::Host;
use cairn_tests::abi::Command;
use core::sync::atomic::{AtomicU64, Ordering};

const COMMANDS: usize = Command::ALL.len();

/// Counters of one CPU.
#[derive(Debug, Default)]
struct Cpu {
    commands: AtomicU64,
    /// Most commands of other CPUs that were finished during one of this CPU's.
    overtaken: AtomicU64,
    /// Longest command in ticks.
    ticks: AtomicU64,
}

/// Counters of a run.
#[derive(Debug)]
pub struct Tally {
    cpus: [Cpu; MAX_CPUS],
    /// Commands that were finished, of all CPUs.
    finished: AtomicU64,
    done: [AtomicU64; COMMANDS],
    refused: [AtomicU64; COMMANDS],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            cpus: core::array::from_fn(|_| Cpu::default()),
            finished: AtomicU64::new(0),
            done: [const { AtomicU64::new(0) }; COMMANDS],
            refused: [const { AtomicU64::new(0) }; COMMANDS],
        }
    }
}

/// Codes with which each command may end besides success.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B4.3, failure conditions of each command.
pub fn may_return(command: Command, code: u64) -> bool {
    let [input, realm, off, rec] = [code == 1, code == 2, code == 0x102, code == 3];
    let rtt = matches!(code, 4 | 0x104 | 0x204 | 0x304);
    code == 0
        || match command {
            Command::Version
            | Command::Features
            | Command::GranuleDelegate
            | Command::GranuleUndelegate
            | Command::RealmCreate
            | Command::RecAuxCount
            | Command::PsciComplete => input,
            Command::RealmActivate | Command::RealmDestroy | Command::RecCreate => input || realm,
            Command::RecDestroy => input || rec,
            Command::RecEnter => input || realm || off || rec,
            Command::DataCreate | Command::RttInitRipas => input || realm || rtt,
            Command::RttSetRipas => input || rec || rtt,
            Command::DataCreateUnknown
            | Command::DataDestroy
            | Command::RttCreate
            | Command::RttDestroy
            | Command::RttFold
            | Command::RttMapUnprotected
            | Command::RttReadEntry
            | Command::RttUnmapUnprotected => input || rtt,
        }
}

impl Tally {
    /// Issues a command on CPU `cpu`, and counts it.
    ///
    /// # Errors
    ///
    /// It ends with a code that it does not have.
    pub fn call(
        &self,
        host: &Host,
        cpu: usize,
        command: Command,
        [a, b, c, d, e]: [u64; 5],
    ) -> Result<[u64; 5], Failure> {
        let machine = host.machine();
        let before = self.finished.load(Ordering::Relaxed);
        let start = machine.counter();
        let reply = machine.smc([command.fid(), a, b, c, d, e, 0]);
        let ticks = machine.counter().wrapping_sub(start);
        let overtaken = self.finished.fetch_add(1, Ordering::Relaxed) - before;
        let [code, ..] = reply;
        if !may_return(command, code) {
            let name = command.label();
            return Err(failure!(
                "{name}({a:#x}, {b:#x}, {c:#x}, {d:#x}, {e:#x}) returned {code:#x}"
            ));
        }
        if let Some(own) = self.cpus.get(cpu) {
            own.commands.fetch_add(1, Ordering::Relaxed);
            // A Realm may run as long as it likes: only the monitor's own work is a wait.
            if command != Command::RecEnter {
                own.overtaken.fetch_max(overtaken, Ordering::Relaxed);
                own.ticks.fetch_max(ticks, Ordering::Relaxed);
            }
        }
        let counters = if code == 0 { &self.done } else { &self.refused };
        if let Some(counter) = counters.get(command as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(reply)
    }

    /// How often a command has succeeded.
    pub fn done(&self, command: Command) -> u64 {
        self.done.get(command as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn refused(&self, command: Command) -> u64 {
        self.refused.get(command as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Prints a line for each command and each CPU.
    pub fn report(&self, host: &Host, cpus: usize) {
        let line = |text: core::fmt::Arguments<'_>| host.machine().console_line(text);
        for command in Command::ALL {
            let (done, refused) = (self.done(command), self.refused(command));
            if done + refused > 0 {
                let name = command.label();
                line(format_args!(
                    "@cairn {{\"event\":\"stress_command\",\"name\":\"{name}\",\"done\":{done},\"refused\":{refused}}}"
                ));
            }
        }
        for (number, cpu) in self.cpus.iter().enumerate().take(cpus) {
            let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (commands, overtaken) = (get(&cpu.commands), get(&cpu.overtaken));
            let micros = get(&cpu.ticks) * 1_000_000 / host.machine().counter_hz().max(1);
            line(format_args!(
                "@cairn {{\"event\":\"stress_cpu\",\"cpu\":{number},\"commands\":{commands},\"overtaken\":{overtaken},\"micros\":{micros}}}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_command() {
        assert!(may_return(Command::GranuleDelegate, 1));
        assert!(!may_return(Command::GranuleDelegate, 4));
        assert!(may_return(Command::RecEnter, 0x102));
        assert!(!may_return(Command::RecDestroy, 0x102));
        assert!(may_return(Command::RttFold, 0x304));
        assert!(!may_return(Command::RttFold, 0x404));
        assert!(!may_return(Command::DataDestroy, u64::MAX));
    }
}
