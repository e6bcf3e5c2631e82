//! Arguments in registers, checked as far as that is possible without looking at any state.

pub(super) use crate::args::{granule, host_page, level, rd, rec, rec_index, source};
