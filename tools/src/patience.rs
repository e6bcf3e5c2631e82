//! How long a machine may go without a sign of progress before it counts as hung.
//!
//! Nothing here limits how long a machine may run. On a quiet machine signs come every few seconds;
//! the limits leave room for one that is ten times as slow, or has ten times as much to do at once.
//! What counts as a sign is for those to say who listen
//! ([`crate::qemu::Listener::takes_progress`]).

use std::time::Duration;

/// What every machine gets.
const BASE_SECONDS: u32 = 120;

/// What each CPU adds: they may all have to share one of ours.
const CPU_SECONDS: u32 = 60;

/// What each piece of a guest's memory adds: the guest touches all of it.
const MEMORY_SECONDS: u32 = 60;
const MEMORY_PIECE: u64 = 256 << 20;

/// How much slower than QEMU the model of Arm FVP is.
const MODEL: u32 = 10;

/// Between two figures of a bench. Instructions that are counted run one after the other, and
/// another monitor may need many.
pub(crate) const BENCH: Duration = Duration::from_secs(600);

/// The same while each instruction is written to a file.
pub(crate) const TRACE: Duration = Duration::from_secs(3600);

/// A machine with so many CPUs and no guest.
pub(crate) const fn machine(cpus: u32) -> Duration {
    Duration::from_secs((BASE_SECONDS + CPU_SECONDS * cpus) as u64)
}

/// So many Linux guests side by side, each with so many CPUs and bytes of memory. All of them share
/// the machine.
pub(crate) fn guests(realms: u32, cpus: u32, memory: u64) -> Duration {
    let pieces = u32::try_from(memory.div_ceil(MEMORY_PIECE)).unwrap_or(u32::MAX);
    let seconds = MEMORY_SECONDS.saturating_mul(pieces);
    (machine(cpus) + Duration::from_secs(seconds.into())) * realms
}

/// What becomes of `patience` on the model.
pub(crate) fn on_model(patience: Duration) -> Duration {
    patience * MODEL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_more_to_do_gets_more_time() {
        let one = guests(1, 2, 256 << 20);
        assert_eq!(one, Duration::from_secs(300));
        assert_eq!(guests(3, 2, 256 << 20), one * 3);
        assert!(guests(1, 8, 1 << 30) > one * 2);
        assert!(on_model(one) > one && machine(32) > machine(1));
    }
}
