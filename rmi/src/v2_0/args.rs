//! Arguments in registers, checked as far as that is possible without looking at any state.

use realm::rtt::ripas::{InitRules, WishRules};

pub(super) use crate::args::{granule, host_page, in_place, level, rd, rec, rec_index, source};
use crate::ops::ripas::Init;

/// RTT_INIT_RIPAS is not measured; memory that the Realm has may become RAM too (OQ-19).
pub(super) const INIT_RIPAS: Init = Init { is_measured: false, rules: InitRules::NotDestroyed };

/// RTT_SET_RIPAS makes EMPTY what is DESTROYED, and begins at an entry.
pub(super) const SET_RIPAS: WishRules = WishRules { empties_destroyed: true, aligned_base: true };
