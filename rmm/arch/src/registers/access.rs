//! How the registers of the [table](super::table) are read and written.

use aarch64_cpu::registers::Readable;
use tock_registers::fields::FieldValue;

/// A register that keeps Realms apart, or that the monitor's own code stands on: reading it is
/// safe, writing it is not.
pub(crate) trait Guarded: Readable<T = u64> {
    /// Writes the register.
    ///
    /// # Safety
    ///
    /// Until the register is written again:
    ///
    /// - What runs at EL1 and EL0 reaches no memory and no register that is somebody else's.
    /// - The monitor's own tables, vectors and traps stay as its code expects them.
    unsafe fn set(&self, value: u64);

    /// Writes some fields of the register, and leaves the others as they are.
    ///
    /// # Safety
    ///
    /// As for [`Guarded::set`].
    #[inline(always)]
    unsafe fn modify(&self, fields: FieldValue<u64, Self::R>) {
        let value = fields.modify(self.get());
        // SAFETY: promised by the caller.
        unsafe { self.set(value) }
    }
}

/// Registers of `aarch64-cpu` that are [`Guarded`]. Its names lead to their fields, and no longer
/// to its writes, which are safe.
macro_rules! guarded_named {
    ($($name:ident,)*) => {
        /// The types of these registers.
        mod guarded {
            $(pub(crate) struct $name;)*
        }

        /// The names of `aarch64-cpu`.
        mod fields {
            pub(crate) use aarch64_cpu::registers::{$($name),*};
        }

        // The values hide those that the glob brings; the modules of the fields stay.
        pub(crate) use fields::*;

        $(
            pub(crate) const $name: guarded::$name = guarded::$name;

            impl Readable for guarded::$name {
                type T = u64;
                type R = $name::Register;

                #[inline(always)]
                fn get(&self) -> u64 {
                    fields::$name.get()
                }
            }

            impl Guarded for guarded::$name {
                #[inline(always)]
                unsafe fn set(&self, value: u64) {
                    fields::$name.set(value);
                }
            }
        )*
    };
}

/// Registers that are only read, by assembler name or encoding.
macro_rules! read_only {
    ($($name:ident = $encoding:literal,)*) => {$(
        pub(crate) struct $name;

        impl Readable for $name {
            type T = u64;
            type R = ();

            #[inline(always)]
            fn get(&self) -> u64 {
                let value: u64;
                // SAFETY: reading a register touches no memory. One that this CPU lacks is
                // UNDEFINED, which the vectors report.
                unsafe {
                    core::arch::asm!(
                        concat!("mrs {}, ", $encoding),
                        out(reg) value,
                        options(nomem, nostack),
                    );
                }
                value
            }
        }
    )*};
}

/// Registers that act at EL1 and EL0 only, or on nothing that the monitor's compiled code uses.
macro_rules! read_write {
    ($($name:ident = $encoding:literal,)*) => {
        read_only! { $($name = $encoding,)* }

        $(impl Writeable for $name {
            type T = u64;
            type R = ();

            #[inline(always)]
            fn set(&self, value: u64) {
                // SAFETY: by its place in the table the register belongs to EL1 or EL0, which do
                // not run now, or holds what nothing at EL2 acts on. No memory is touched.
                unsafe { msr!($encoding, value) };
            }
        })*
    };
}

/// Registers that are [`Guarded`], by assembler name or encoding.
macro_rules! guarded_raw {
    ($($name:ident = $encoding:literal,)*) => {
        read_only! { $($name = $encoding,)* }

        $(impl Guarded for $name {
            #[inline(always)]
            unsafe fn set(&self, value: u64) {
                // SAFETY: promised by the caller; no memory is touched.
                unsafe { msr!($encoding, value) };
            }
        })*
    };
}

/// One MSR: unsafe to use.
macro_rules! msr {
    ($encoding:literal, $value:expr) => {
        core::arch::asm!(
            concat!("msr ", $encoding, ", {}"),
            in(reg) $value,
            options(nomem, nostack),
        )
    };
}

pub(super) use {guarded_named, guarded_raw, msr, read_only, read_write};
