//! What the host reports: counters, and the machine-readable lines that begin with `@cairn`.

use crate::granules::Counts;
use crate::job::Interface;
use crate::rmi::run::ExitReason;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

/// A kind of exit that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the report")]
pub enum ExitKind {
    SyncAbort,
    SyncMmio,
    SyncWfx,
    SyncSysreg,
    Irq,
    Fiq,
    Psci,
    Ripas,
    HostCall,
    Serror,
}

impl ExitKind {
    /// Every kind, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::SyncAbort,
        Self::SyncMmio,
        Self::SyncWfx,
        Self::SyncSysreg,
        Self::Irq,
        Self::Fiq,
        Self::Psci,
        Self::Ripas,
        Self::HostCall,
        Self::Serror,
    ];

    /// The kind's key in the report.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::SyncAbort => "sync_abort",
            Self::SyncMmio => "sync_mmio",
            Self::SyncWfx => "sync_wfx",
            Self::SyncSysreg => "sync_sysreg",
            Self::Irq => "irq",
            Self::Fiq => "fiq",
            Self::Psci => "psci",
            Self::Ripas => "ripas",
            Self::HostCall => "host_call",
            Self::Serror => "serror",
        }
    }

    /// The kind of an exit with this reason; `None` if the syndrome decides.
    #[must_use]
    pub const fn of(reason: ExitReason) -> Option<Self> {
        match reason {
            ExitReason::Irq => Some(Self::Irq),
            ExitReason::Fiq => Some(Self::Fiq),
            ExitReason::Psci => Some(Self::Psci),
            ExitReason::RipasChange => Some(Self::Ripas),
            ExitReason::HostCall => Some(Self::HostCall),
            ExitReason::Serror => Some(Self::Serror),
            ExitReason::Sync | ExitReason::Unknown(_) => None,
        }
    }
}

/// Counters of one run, shared by all CPUs.
#[derive(Debug, Default)]
pub struct Counters {
    exits: [AtomicU64; ExitKind::ALL.len()],
    refusals: AtomicU64,
}

impl Counters {
    /// Counts an exit.
    pub fn exit(&self, kind: ExitKind) {
        if let Some(counter) = self.exits.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a granule that the monitor refused to take or to give back.
    pub fn refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// The `accounting` line.
    #[must_use]
    pub fn accounting(&self, counts: Counts, leaked: usize) -> String {
        let mut exits = String::new();
        for (kind, counter) in ExitKind::ALL.iter().zip(&self.exits) {
            let comma = if exits.is_empty() { "" } else { "," };
            let number = counter.load(Ordering::Relaxed);
            // A string takes everything.
            let _ = write!(exits, "{comma}\"{}\":{number}", kind.key());
        }
        format!(
            "@cairn {{\"event\":\"accounting\",\"delegated\":{},\"returned\":{},\"leaked\":{leaked},\
             \"exits\":{{{exits}}},\"granule_refusals\":{}}}",
            counts.delegated,
            counts.returned,
            self.refusals.load(Ordering::Relaxed)
        )
    }
}

/// The `start` line.
#[must_use]
pub fn start(cpus: usize, memory: u64, interface: Interface) -> String {
    format!(
        "@cairn {{\"event\":\"start\",\"cpus\":{cpus},\"memory\":{memory},\
         \"rmi\":\"{}\"}}",
        interface.name()
    )
}

/// The `end` line; with a sentence if something went wrong. Printing it needs no heap, so that it
/// can be a program's last words.
#[derive(Clone, Copy)]
pub struct End<'a>(pub Option<fmt::Arguments<'a>>);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("@cairn {\"event\":\"end\",\"result\":")?;
        match self.0 {
            None => f.write_str("\"ok\"}"),
            Some(why) => {
                f.write_str("\"error\",\"why\":\"")?;
                Escaped(f).write_fmt(why)?;
                f.write_str("\"}")
            }
        }
    }
}

/// Makes text fit between the quotes of a JSON string.
struct Escaped<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => {
                    self.0.write_char('\\')?;
                    self.0.write_char(character)?;
                }
                _ if character.is_control() => self.0.write_char(' ')?,
                _ => self.0.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_accounting_line_has_every_counter() {
        let counters = Counters::default();
        counters.exit(ExitKind::Irq);
        counters.exit(ExitKind::Serror);
        counters.refusal();
        let line = counters.accounting(Counts { delegated: 3, returned: 2 }, 1);
        assert_eq!(
            line,
            "@cairn {\"event\":\"accounting\",\"delegated\":3,\"returned\":2,\"leaked\":1,\
             \"exits\":{\"sync_abort\":0,\"sync_mmio\":0,\"sync_wfx\":0,\"sync_sysreg\":0,\
             \"irq\":1,\"fiq\":0,\"psci\":0,\"ripas\":0,\"host_call\":0,\"serror\":1},\
             \"granule_refusals\":1}"
        );
    }

    #[test]
    fn a_reason_cannot_break_the_json() {
        let line = End(Some(format_args!("a \"quote\"\nand {}", '\\'))).to_string();
        assert!(line.ends_with("\"why\":\"a \\\"quote\\\" and \\\\\"}"));
    }

    #[test]
    fn the_start_line_shows_the_version() {
        assert!(start(2, 1 << 28, Interface::V1_0).contains("\"rmi\":\"1.0\""));
    }
}
