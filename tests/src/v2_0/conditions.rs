//! x
use crate::scenarios::Registry;
/// x
pub fn apply(_: &mut Registry) {}
