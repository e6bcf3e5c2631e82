//! `cargo xtask bench --latency`: how long an interrupt for the Host may have to wait, per command
//! and state of a Realm.

use super::figures::Figure;
use super::{Bench, COUNTED, boot_job, no_count};
use crate::fault::Verdict;
use crate::job;
use crate::patience;
use crate::progress::Progress;

/// Most instructions for whatever may return early.
const BAR: u64 = 50_000;

/// What runs to its end, as the specification has it no way to return early, and so may exceed the
/// bar.
const WHOLE: &[&str] = &["RMI_RTT_INIT_RIPAS (a table)"];

/// Measures and judges; `ours` is a monitor that has to keep the bar.
pub(super) fn command(bench: &Bench<'_>, ours: bool) -> anyhow::Result<()> {
    let text = bench.run.folder().join("latency-job.txt");
    let job = job::latency(bench.rmi, &text, bench.stage.layout())?;
    let progress = Progress::start("interrupting everything");
    let Some(rows) = boot_job::<Figure>(bench, job, &COUNTED, patience::BENCH)? else {
        return Ok(());
    };
    progress.done(&format!("{} commands and states", rows.len()));
    println!("{:<42} {:>24}", "while the monitor serves", "longest wait, instructions");
    for row in &rows {
        let note = if WHOLE.contains(&row.name()) { "  has to finish" } else { "" };
        println!("{:<42} {:>24}{note}", row.name(), row.instructions());
    }
    if let Some(note) = no_count(bench.stage) {
        println!("{note}");
        return Ok(());
    }
    let late: Vec<&str> = rows.iter().filter(|row| is_late(row)).map(Figure::name).collect();
    if late.is_empty() || !ours {
        return Ok(());
    }
    Err(Verdict(format!(
        "an interrupt waits for more than {BAR} instructions: {}",
        late.join(", ")
    ))
    .into())
}

fn is_late(row: &Figure) -> bool {
    row.instructions() > BAR && !WHOLE.contains(&row.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_to_finish_may_be_late() {
        assert!(is_late(&Figure::new("RSI_VERSION", BAR + 1)));
        assert!(!is_late(&Figure::new("RSI_VERSION", BAR)));
        assert!(!is_late(&Figure::new(WHOLE[0], BAR + 1)));
    }
}
