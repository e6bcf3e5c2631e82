//! Pointer authentication keys.
//!
//! The monitor is built without pointer authentication, so the keys of the loaded Realm stay in
//! place between its runs.

use crate::registers::*;

/// The key registers: low half, then high half of APIA, APIB, APDA, APDB, APGA.
macro_rules! for_each_key {
    ($apply:ident, $($argument:expr),*) => {
        $apply! {
            ($($argument),*)
            APIAKEYLO_EL1 APIAKEYHI_EL1 APIBKEYLO_EL1 APIBKEYHI_EL1 APDAKEYLO_EL1
            APDAKEYHI_EL1 APDBKEYLO_EL1 APDBKEYHI_EL1 APGAKEYLO_EL1 APGAKEYHI_EL1
        }
    };
}

macro_rules! read_all {
    (() $($register:ident)*) => { [$($register.get()),*] };
}

macro_rules! write_all {
    (($values:expr) $($register:ident)*) => {{
        let mut values = $values.iter();
        $(
            if let Some(&value) = values.next() {
                $register.set(value);
            }
        )*
    }};
}

/// Reads the keys of whoever is loaded.
#[inline(always)]
pub(super) fn read() -> [u64; 10] {
    for_each_key!(read_all,)
}

/// Loads keys.
#[inline(always)]
pub(super) fn write(keys: &[u64; 10]) {
    for_each_key!(write_all, keys);
}
