//! Function identifiers, in which states of the RMM they exist, and which version has them.
//!
//! Source: sections 2.3 and A.1 of our notes on RMI 2.0.

#![expect(missing_docs, reason = "each constant is the command of that name")]

/// First function identifier of all.
const BASE: u64 = 0xc400_0000;

pub const VERSION: u64 = BASE + 0x150;
pub const DATA_MAP_INIT: u64 = BASE + 0x153;
pub const REALM_ACTIVATE: u64 = BASE + 0x157;
pub const REALM_CREATE: u64 = BASE + 0x158;
pub const REALM_DESTROY: u64 = BASE + 0x159;
pub const REC_CREATE: u64 = BASE + 0x15a;
pub const REC_DESTROY: u64 = BASE + 0x15b;
pub const REC_ENTER: u64 = BASE + 0x15c;
pub const RTT_CREATE: u64 = BASE + 0x15d;
pub const RTT_DESTROY: u64 = BASE + 0x15e;
pub const RTT_READ_ENTRY: u64 = BASE + 0x161;
pub const PSCI_COMPLETE: u64 = BASE + 0x164;
pub const FEATURES: u64 = BASE + 0x165;
pub const RTT_FOLD: u64 = BASE + 0x166;
pub const RTT_INIT_RIPAS: u64 = BASE + 0x168;
pub const RTT_SET_RIPAS: u64 = BASE + 0x169;
pub const CONFIG_SET: u64 = BASE + 0x16e;
pub const TRACKING_GET: u64 = BASE + 0x1e1;
pub const TRACKING_SET: u64 = BASE + 0x1e3;
pub const CONFIG_GET: u64 = BASE + 0x1ec;
pub const STATE_GET: u64 = BASE + 0x1ee;
pub const RANGE_DELEGATE: u64 = BASE + 0x1f1;
pub const RANGE_UNDELEGATE: u64 = BASE + 0x1f2;
pub const GPT_L1_CREATE: u64 = BASE + 0x1f3;
pub const GPT_L1_DESTROY: u64 = BASE + 0x1f4;
pub const DATA_MAP: u64 = BASE + 0x1f5;
pub const DATA_UNMAP: u64 = BASE + 0x1f6;
pub const UNPROT_MAP: u64 = BASE + 0x1fb;
pub const UNPROT_UNMAP: u64 = BASE + 0x1fc;
pub const REALM_TERMINATE: u64 = BASE + 0x201;
pub const ACTIVATE: u64 = BASE + 0x202;
pub const OP_CONTINUE: u64 = BASE + 0x203;
pub const OP_MEM_DONATE: u64 = BASE + 0x208;
pub const OP_MEM_RECLAIM: u64 = BASE + 0x209;
pub const OP_CANCEL: u64 = BASE + 0x20a;
pub const DEACTIVATE: u64 = BASE + 0x20f;
pub const GPT_INFO: u64 = BASE + 0x211;

/// The RMM states in which a command exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// ACTIVE alone: GLOBAL before.
    Active,
    /// INIT alone: GLOBAL after.
    Init,
    /// Always.
    Always,
}

/// What is known of a function identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// A command of 2.0 that 1.0 does not have.
    Only2(When),
    /// A command of both.
    Both(When),
    /// A command of 1.0 alone (section 2.3, last lines).
    Only1,
    /// A command of a feature that this RMM does not have (Annex A).
    Optional,
    /// None.
    Unknown,
}

/// The commands of 2.0, and when they exist (section 2.3).
pub const COMMANDS: [(u64, Known); 37] = {
    use Known::{Both, Only2};
    use When::{Active, Always, Init};
    [
        (VERSION, Both(Always)),
        (DATA_MAP_INIT, Both(Active)),
        (REALM_ACTIVATE, Both(Active)),
        (REALM_CREATE, Both(Active)),
        (REALM_DESTROY, Both(Active)),
        (REC_CREATE, Both(Active)),
        (REC_DESTROY, Both(Active)),
        (REC_ENTER, Both(Active)),
        (RTT_CREATE, Both(Active)),
        (RTT_DESTROY, Both(Active)),
        (RTT_READ_ENTRY, Both(Active)),
        (PSCI_COMPLETE, Both(Active)),
        (FEATURES, Both(Always)),
        (RTT_FOLD, Both(Active)),
        (RTT_INIT_RIPAS, Both(Active)),
        (RTT_SET_RIPAS, Both(Active)),
        (CONFIG_SET, Only2(Init)),
        (TRACKING_GET, Only2(Always)),
        (TRACKING_SET, Only2(Active)),
        (CONFIG_GET, Only2(Always)),
        (STATE_GET, Only2(Always)),
        (RANGE_DELEGATE, Only2(Active)),
        (RANGE_UNDELEGATE, Only2(Active)),
        (GPT_L1_CREATE, Only2(Active)),
        (GPT_L1_DESTROY, Only2(Active)),
        (DATA_MAP, Only2(Active)),
        (DATA_UNMAP, Only2(Active)),
        (UNPROT_MAP, Only2(Active)),
        (UNPROT_UNMAP, Only2(Active)),
        (REALM_TERMINATE, Only2(Active)),
        (ACTIVATE, Only2(Init)),
        // Judged by their handle, not by the state of the RMM.
        (OP_CONTINUE, Only2(Always)),
        (OP_MEM_DONATE, Only2(Always)),
        (OP_MEM_RECLAIM, Only2(Always)),
        (OP_CANCEL, Only2(Always)),
        (DEACTIVATE, Only2(Active)),
        (GPT_INFO, Only2(Always)),
    ]
};

/// Commands that 1.0 has and 2.0 has not.
pub const GONE: [u64; 7] = [0x151, 0x152, 0x154, 0x155, 0x15f, 0x162, 0x167];

/// Commands of features that this RMM does not have, from Annex A: devices, SMMU, streams, tables
/// of devices, token refresh, planes.
pub const OPTIONAL: [(u64, u64); 23] = [
    // First and last number.
    (0x163, 0x163),
    (0x16a, 0x16b),
    (0x16f, 0x170),
    (0x174, 0x178),
    (0x17a, 0x17d),
    (0x17e, 0x17f),
    (0x185, 0x18a),
    (0x18b, 0x18b),
    (0x1d0, 0x1d3),
    (0x1d6, 0x1d8),
    (0x1db, 0x1dc),
    (0x1dd, 0x1e0),
    (0x1f0, 0x1f0),
    (0x1f7, 0x1f8),
    (0x1f9, 0x1fa),
    (0x1fd, 0x1fe),
    (0x1ff, 0x200),
    (0x204, 0x207),
    (0x20b, 0x20b),
    (0x20c, 0x20c),
    (0x20d, 0x20d),
    (0x20e, 0x20e),
    (0x210, 0x210),
];

/// The function identifier in W0, without the SVE hint in bit 16 (section 2.1).
pub const fn decode(x0: u64) -> u64 {
    x0 & 0xffff_ffff & !(1 << 16)
}

/// What a function identifier is.
pub fn known(fid: u64) -> Known {
    if let Some(&(_, known)) = COMMANDS.iter().find(|(command, _)| *command == fid) {
        return known;
    }
    let Some(number) = fid.checked_sub(BASE) else { return Known::Unknown };
    if GONE.contains(&number) {
        return Known::Only1;
    }
    let named = OPTIONAL.iter().any(|&(first, last)| (first..=last).contains(&number));
    if named { Known::Optional } else { Known::Unknown }
}

/// Whether a command changes nothing and so never decides the version (section 3.2).
pub const fn is_read_only(fid: u64) -> bool {
    matches!(fid, VERSION | FEATURES | CONFIG_GET | STATE_GET | TRACKING_GET | GPT_INFO)
}
