//! Mappings of Host memory, as the Host asks for them.

use realm::rtt::{Entry, Tree};

use crate::ops::map::Mapping;

/// Reads the descriptor that asks for a mapping of Host memory; `None` if its attributes are not
/// those that a Host may choose.
pub(super) fn mapping(desc: u64) -> impl FnOnce(&Tree) -> Option<Mapping> {
    move |tree| Entry::from_host_descriptor(desc, tree.format)
}
