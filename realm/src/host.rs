//! What the Host has chosen, and whether it is at work: kept for crate `rmi`, which gives it a
//! meaning.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// The Host's side of the monitor's state.
#[derive(Debug, Default)]
pub struct HostSide {
    choice: AtomicU8,
    commands: AtomicU32,
}

impl HostSide {
    /// A Host that has not called yet.
    pub const fn new() -> Self {
        Self { choice: AtomicU8::new(0), commands: AtomicU32::new(0) }
    }

    /// What the Host has chosen; 0 at boot.
    #[inline]
    pub fn choice(&self) -> u8 {
        self.choice.load(Ordering::SeqCst)
    }

    /// Changes the choice, if it still is `from`; else what it is instead.
    ///
    /// # Errors
    ///
    /// The choice, which another CPU has changed.
    pub fn choose(&self, from: u8, to: u8) -> Result<(), u8> {
        self.choice.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).map(|_| ())
    }

    /// Notes a command that is being carried out, until the result is dropped.
    ///
    /// Sequentially consistent with the choice: a CPU that begins a command and then looks at the
    /// choice, and one that changes the choice and then counts the commands, do not both miss the
    /// other.
    #[inline]
    pub fn command(&self) -> Command<'_> {
        self.commands.fetch_add(1, Ordering::SeqCst);
        Command(self)
    }

    /// How many commands are being carried out.
    pub fn commands(&self) -> u32 {
        self.commands.load(Ordering::SeqCst)
    }
}

/// A command that is being carried out.
#[must_use = "dropping it ends the command"]
#[derive(Debug)]
pub struct Command<'h>(&'h HostSide);

impl Drop for Command<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.commands.fetch_sub(1, Ordering::AcqRel);
    }
}
