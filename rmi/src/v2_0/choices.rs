//! What the text of 2.0 leaves open, or what real Hosts need against its letter: each choice in one
//! place, by its number in `docs/supported.md`.

/// The beta of RMM 2.0 that this monitor speaks. Every beta answers 2.0 to RMI_VERSION.
pub const BETA: &str = "RMI 2.0-bet3";

/// OQ-3: a Host that wants no breakpoints or watchpoints gets the fewest that the architecture
/// allows, two. The text reserves the value; KVM sends it.
pub(super) const ZERO_BREAKPOINTS_ARE_THE_FEWEST: bool = true;

/// OQ-4: a Realm with more than 48 bits of addresses, or that starts at level -1, has 52-bit
/// descriptors also if the Host does not set the flag, which bet3 has lost.
pub(super) const LPA2_IS_IMPLIED: bool = true;

/// OQ-5: for RANGE_DELEGATE a granule that is delegated already counts as progress (bet3), else it
/// is an error (bet2).
pub(super) const DELEGATED_IS_PROGRESS: bool = true;

/// OQ-20: PSCI_COMPLETE with DENIED about a CPU that is on is refused, and completes the call with
/// ALREADY_ON all the same.
pub(super) const DENIED_IS_CONSUMED: bool = true;
