//! What the notes leave open, and what we have chosen: one constant for each question, under its
//! number.
//!
//! The rules refer to nothing but these constants where a question is open, so that a later text
//! changes one line here.
//!
//! Source: the list of open questions (OQ) of our notes on RMI 2.0, chapter 14.

/// OQ-1: bits of X0 that are compared where a code carries data (TRACKING, GPT, INPUT of
/// GRANULE_RANGE_*): where the address stands is not known, so only the status is.
pub const ERROR_DATA_MASK: u64 = 0xff;
/// OQ-2: RMM_STATE_GET before RMM_ACTIVATE, and while it is under way.
pub const STATE_INIT: u64 = 0;
/// OQ-2: RMM_STATE_GET after RMM_ACTIVATE.
pub const STATE_ACTIVE: u64 = 1;
/// OQ-3: `num_bps` and `num_wps` of zero mean the least number that there can be.
pub const ACCEPTS_ZERO_BPS: bool = true;
/// OQ-4: a width of more than 48 bits or a start level of -1 means that the Realm has 52-bit
/// descriptors, whatever its flag says.
pub const GEOMETRY_IMPLIES_LPA2: bool = true;
/// OQ-5: a granule that is DELEGATED already is progress for GRANULE_RANGE_DELEGATE.
pub const ALREADY_DELEGATED_IS_PROGRESS: bool = true;
/// OQ-6: the handle of an operation is the lowest that is free, from 0 on.
pub const LOWEST_HANDLE_FIRST: bool = true;
/// OQ-7: GRANULE_TRACKING_SET to (CONVENTIONAL, FINE) of memory succeeds and changes nothing; all
/// else is not supported.
pub const TRACKING_IS_STATIC: bool = true;
/// OQ-8: the last answer of an operation that has been cancelled.
pub const CANCELLED: u64 = super::words::INPUT;
/// OQ-9: REC_CREATE asks for memory and never succeeds at once.
pub const REC_CREATE_DONATES: bool = true;
/// OQ-11: a list register with HW = 1 in state invalid does no harm.
pub const ACCEPTS_INVALID_HW_LR: bool = true;
/// OQ-12: an object that an unfinished operation owns is named by another command.
pub const OWNED: &[u64] = &[super::words::BLOCKED];
/// OQ-12: a donated granule is named. The race table says INPUT (6.9), the range commands BLOCKED
/// (5.2).
pub const OWNED_DONATION: &[u64] = &[super::words::BLOCKED, super::words::INPUT];
/// OQ-12: DATA_MAP and DATA_MAP_INIT meet such a granule. Linux gives up on BLOCKED, and spins on
/// BUSY.
pub const OWNED_IN_MAP: &[u64] = &[super::words::BUSY, super::words::BLOCKED];
/// OQ-12: REC_ENTER meets a REC in intermediate state: 6.8 says BLOCKED, 9.4 says REC for Linux'
/// plain wrapper.
pub const OWNED_IN_ENTER: &[u64] = &[super::words::REC, super::words::BLOCKED];
/// OQ-13: code of tracking regions of 2 MiB; not offered.
pub const REGION_2M_OFFERED: bool = false;
/// OQ-14: a list of memory that is not as long as the range maps as far as both reach.
pub const LIST_MAY_DIFFER: bool = true;
/// OQ-15: REALM_TERMINATE of a ZOMBIE succeeds.
pub const TERMINATES_ZOMBIE: bool = true;
/// OQ-18: after a command of 1.0 also the commands of 2.0 that only read are gone.
pub const HIDES_2_0_IN_1_0: bool = true;
/// OQ-19: RTT_INIT_RIPAS is measured, and the first RIM is a hash of the parameters.
pub const OLD_RIM: bool = false;
/// OQ-20: DENIED for a REC that is on fails, but ends the request of the caller.
pub const PSCI_DENIED_CONSUMES: bool = true;
/// OQ-21: codes of AUX_DESTROYED and ARCH_DEV. No entry has these states without planes and
/// devices.
pub const STATE_AUX_DESTROYED: u64 = 4;
/// OQ-21.
pub const STATE_ARCH_DEV: u64 = 5;

/// OQ-17: bits of a level in RTT(l), so that level -1 is 0xff.
pub const RTT_LEVEL_MASK: u64 = 0xff;

// OQ-10 (claims of the Realm's parameters) and OQ-16 (ESR of WFIT and WFET) need no choice here:
// this model has no tokens and no Realm that executes.

// Choices inside the freedom of the text that have no number.

/// Sections 10.4 and 10.6: the largest block that DATA_MAP makes and DATA_UNMAP takes away, as a
/// level. For a larger one RMM answers RTT(l), and the Host makes a table.
///
/// A block at level 1 is 262144 granules that change their states, and are wiped. That takes longer
/// than an interrupt of the Host's may wait, and half of it cannot be told by `out_top`. Hosts of
/// today take no INCOMPLETE from these commands (6.8), and do make the table (10.4, 10.6).
pub const LARGEST_DATA_BLOCK: i64 = 2;

/// Section 6.7: an operation that waits for memory can be cancelled.
pub const DONATION_IS_CANCELLABLE: bool = true;
/// Section 5.4: codes of GPT_L1_CREATE and GPT_L1_DESTROY with the GPT of EL3. The newest TF-RMM
/// says GLOBAL.
pub const STATIC_GPT: &[u64] = &[super::words::GPT];
/// Section 11.1: PSCI_COMPLETE for a REC that has been destroyed succeeds, and tells the caller
/// INVALID_PARAMETERS.
pub const GONE_TARGET_SUCCEEDS: bool = true;
/// Section 3.2: the first command that exists in one version alone decides the version also if it
/// fails.
pub const FAILURE_HARDENS: bool = true;
/// Section 3.2: the version of a Host that has not asked for one.
pub const DEFAULT_VERSION: u64 = super::version::V2_0;
