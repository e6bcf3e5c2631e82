//! Ctrl-C and its relatives, as a flag that long operations look at.
//!
//! Nothing is torn down in a signal handler: whoever waits sees the flag, returns [`Interrupted`],
//! and the ordinary clean-up (kill the child, remove the half-made folder, restore the terminal)
//! runs on the way out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::fault::Interrupted;

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Catches the signals that ask this process to end.
pub(crate) fn install() -> anyhow::Result<()> {
    let flag = FLAG.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch signals")?;
    }
    Ok(())
}

/// Whether this process was asked to end.
pub(crate) fn interrupted() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Returns [`Interrupted`] if this process was asked to end.
pub(crate) fn check() -> anyhow::Result<()> {
    if interrupted() { Err(Interrupted.into()) } else { Ok(()) }
}
