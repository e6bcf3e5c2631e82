//! RECs that are made and ended in several calls of the Host: their auxiliary granules are given and taken back by the calls of
//! [`sro`](crate::ops::sro).

use machine::{Hasher, Memory};
use realm::Rmm;

use super::Wanted;
use crate::ops::sro::Begun;
use crate::ops::{Cause, Named};

/// Begins to make a REC of a new Realm.
///
/// # Errors
///
/// `State`, `Blocked`, `RealmState`, `RecsFull`, `RecIndex`; then `Busy`, `NoSlot`.
pub fn begin_create<M: Memory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    rec: Named<'_>,
    wanted: &Wanted<'_>,
) -> Result<Begun, Cause> {
    todo!()
}

/// Begins to end a REC that does not run.
///
/// # Errors
///
/// `State`, `Blocked`, `RecRunning`; then `Busy`, `NoSlot`.
pub fn begin_destroy<M: Memory>(rmm: &Rmm<'_, M>, rec: Named<'_>) -> Result<Begun, Cause> {
    todo!()
}
