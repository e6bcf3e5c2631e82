//! What the commands came to, and how long a CPU had to wait for others.

use super::MAX_CPUS;
use crate::failure::Failure;
use crate::host::Host;
use crate::rmi::command;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// A command that is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Its function identifier.
    pub fid: u64,
    /// Its name.
    pub name: &'static str,
}

/// How often a command was sent.
#[derive(Debug)]
struct Count {
    command: Counted,
    done: AtomicU64,
    refused: AtomicU64,
}

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
pub(super) struct Tally {
    cpus: [Cpu; MAX_CPUS],
    /// Commands that were finished, of all CPUs.
    finished: AtomicU64,
    commands: Vec<Count>,
}

impl Tally {
    /// For runs of these commands.
    pub(super) fn new(commands: Vec<Counted>) -> Self {
        let zero = |command| Count { command, done: AtomicU64::new(0), refused: AtomicU64::new(0) };
        Self {
            cpus: core::array::from_fn(|_| Cpu::default()),
            finished: AtomicU64::new(0),
            commands: commands.into_iter().map(zero).collect(),
        }
    }

    fn count(&self, fid: u64) -> Option<&Count> {
        self.commands.iter().find(|count| count.command.fid == fid)
    }

    /// Issues a command on CPU `cpu`, and counts it. `is_done` says of the code in X0 whether the
    /// command has had an effect; `None` if it has no such code.
    ///
    /// # Errors
    ///
    /// It ends with a code that it does not have.
    pub(super) fn call(
        &self,
        host: &Host,
        cpu: usize,
        (fid, [a, b, c, d, e]): (u64, [u64; 5]),
        is_done: impl Fn(u64) -> Option<bool>,
    ) -> Result<[u64; 5], Failure> {
        let machine = host.machine();
        let before = self.finished.load(Ordering::Relaxed);
        let start = machine.counter();
        let reply = machine.smc([fid, a, b, c, d, e, 0]);
        let ticks = machine.counter().wrapping_sub(start);
        let overtaken = self.finished.fetch_add(1, Ordering::Relaxed) - before;
        let [code, ..] = reply;
        let Some(is_done) = is_done(code) else {
            let name = self.count(fid).map_or("a command", |count| count.command.name);
            return Err(failure!(
                "{name}({a:#x}, {b:#x}, {c:#x}, {d:#x}, {e:#x}) returned {code:#x}"
            ));
        };
        if let Some(own) = self.cpus.get(cpu) {
            own.commands.fetch_add(1, Ordering::Relaxed);
            // A Realm may run as long as it likes: only the monitor's own work is a wait.
            if fid != command::REC_ENTER.number() {
                own.overtaken.fetch_max(overtaken, Ordering::Relaxed);
                own.ticks.fetch_max(ticks, Ordering::Relaxed);
            }
        }
        if let Some(count) = self.count(fid) {
            let counter = if is_done { &count.done } else { &count.refused };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(reply)
    }

    /// The name of a command if it has never succeeded.
    pub(super) fn never_done(&self, fid: u64) -> Option<&'static str> {
        let count = self.count(fid)?;
        (count.done.load(Ordering::Relaxed) == 0).then_some(count.command.name)
    }

    /// Prints a line for each command and each CPU.
    pub(super) fn report(&self, host: &Host, cpus: usize) {
        let line = |text: core::fmt::Arguments<'_>| host.machine().console_line(text);
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for count in &self.commands {
            let (name, done, refused) = (count.command.name, get(&count.done), get(&count.refused));
            if done + refused > 0 {
                line(format_args!(
                    "@cairn {{\"event\":\"stress_command\",\"name\":\"{name}\",\"done\":{done},\"refused\":{refused}}}"
                ));
            }
        }
        for (number, cpu) in self.cpus.iter().enumerate().take(cpus) {
            let (commands, overtaken) = (get(&cpu.commands), get(&cpu.overtaken));
            let micros = get(&cpu.ticks) * 1_000_000 / host.machine().counter_hz().max(1);
            line(format_args!(
                "@cairn {{\"event\":\"stress_cpu\",\"cpu\":{number},\"commands\":{commands},\"overtaken\":{overtaken},\"micros\":{micros}}}"
            ));
        }
    }
}
