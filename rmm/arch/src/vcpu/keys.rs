//! Pointer authentication keys.
//!
//! The monitor is built without pointer authentication, so the keys of the loaded Realm stay in
//! place between its runs.

use crate::registers::{mrs, msr};

/// The key registers: low half, then high half of APIA, APIB, APDA, APDB, APGA.
macro_rules! for_each_key {
    ($apply:ident, $($argument:expr),*) => {
        $apply! {
            ($($argument),*)
            "s3_0_c2_c1_0" "s3_0_c2_c1_1" "s3_0_c2_c1_2" "s3_0_c2_c1_3"
            "s3_0_c2_c2_0" "s3_0_c2_c2_1" "s3_0_c2_c2_2" "s3_0_c2_c2_3"
            "s3_0_c2_c3_0" "s3_0_c2_c3_1"
        }
    };
}

macro_rules! read_all {
    (() $($name:literal)*) => { [$(mrs!($name)),*] };
}

macro_rules! write_all {
    (($values:expr) $($name:literal)*) => {{
        let mut values = $values.iter();
        $(
            if let Some(&value) = values.next() {
                msr!($name, value);
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
