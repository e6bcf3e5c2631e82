//! Variables that the boot path writes once, before any other CPU can read them.

use core::cell::UnsafeCell;

/// A static that is written during cold boot only, on the only CPU that runs then.
#[repr(transparent)]
pub(crate) struct Racy<T>(UnsafeCell<T>);

// SAFETY: writes happen during cold boot, when one CPU runs; EL3 starts the others after
// RMM_BOOT_COMPLETE.
unsafe impl<T> Sync for Racy<T> {}

impl<T> Racy<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The variable, to write it.
    ///
    /// # Safety
    ///
    /// Only during cold boot, and no other reference to it lives.
    #[expect(clippy::mut_from_ref, reason = "the contract makes it exclusive")]
    pub(crate) unsafe fn write(&self) -> &mut T {
        // SAFETY: exclusive by this function's contract.
        unsafe { &mut *self.0.get() }
    }

    /// The variable as cold boot left it.
    ///
    /// # Safety
    ///
    /// No reference of [`Racy::write`] lives.
    pub(crate) unsafe fn read(&self) -> &T {
        // SAFETY: nothing writes it at the same time by this function's contract.
        unsafe { &*self.0.get() }
    }
}
