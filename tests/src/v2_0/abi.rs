//! RMI 2.0 as a Host writes it, from the notes on the interface and not from the monitor's code.
//!
//! Source: Realm Management Monitor specification (Arm DEN0137) 2.0, third beta: calling
//! convention, commands, codes.

/// RMI_SUCCESS.
pub const SUCCESS: u64 = 0;
/// RMI_ERROR_INPUT.
pub const INPUT: u64 = 1;
/// RMI_ERROR_REALM.
pub const REALM: u64 = 2;
/// RMI_ERROR_REC.
pub const REC: u64 = 3;
/// RMI_ERROR_RTT, whose level is in bits 15:8: see [`rtt`].
pub const RTT: u64 = 4;
/// RMI_ERROR_NOT_SUPPORTED.
pub const NOTSUP: u64 = 5;
/// RMI_BUSY.
pub const BUSY: u64 = 10;
/// RMI_ERROR_GLOBAL.
pub const GLOBAL: u64 = 11;
/// RMI_ERROR_TRACKING.
pub const TRACKING: u64 = 12;
/// RMI_INCOMPLETE.
pub const INCOMPLETE: u64 = 13;
/// RMI_BLOCKED.
pub const BLOCKED: u64 = 14;
/// RMI_ERROR_GPT.
pub const GPT: u64 = 15;
/// RMI_ERROR_GRANULE.
pub const GRANULE: u64 = 16;
/// SMCCC NOT_SUPPORTED: no such command.
pub const UNKNOWN: u64 = u64::MAX;

/// `MAJOR << 16 | MINOR`.
pub const V1_0: u64 = 0x1_0000;
/// The same of this interface.
pub const V2_0: u64 = 0x2_0000;

/// RMI_ERROR_RTT at `level`.
pub const fn rtt(level: i64) -> u64 {
    RTT | (level.cast_unsigned() & 0xff) << 8
}

/// RIPAS numbers.
pub mod ripas {
    /// Nothing there.
    pub const EMPTY: u64 = 0;
    /// Memory.
    pub const RAM: u64 = 1;
    /// Was memory.
    pub const DESTROYED: u64 = 2;
}

/// States of an entry in RTT_READ_ENTRY.
pub mod entry {
    /// No granule.
    pub const VOID: u64 = 0;
    /// A granule of the Realm's, or memory of the Host's.
    pub const MAPPED: u64 = 1;
    /// A table.
    pub const TABLE: u64 = 2;
}

/// Categories and states of GRANULE_TRACKING_GET.
pub mod tracking {
    /// Conventional memory.
    pub const CONVENTIONAL: u64 = 0;
    /// No category.
    pub const NO_CATEGORY: u64 = 3;
    /// Not for the Host.
    pub const RESERVED: u64 = 0;
    /// Not tracked.
    pub const NONE: u64 = 1;
    /// Tracked by granule.
    pub const FINE: u64 = 2;
    /// Tracked as a whole.
    pub const COARSE: u64 = 3;
}

/// What an operation needs next: bits 9:8 of RMI_INCOMPLETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// To go on.
    Nothing,
    /// Memory.
    Donation,
    /// To give memory back.
    Reclaim,
}

/// When RMM takes a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// While RMM is not active.
    Init,
    /// While RMM is active.
    Active,
    /// While its operation is under way.
    Operation,
}

/// Whether a command may be answered by RMI_INCOMPLETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stateful {
    /// Hosts do not expect that.
    Never,
    /// Hosts are ready for that.
    Maybe,
}

macro_rules! commands {
    ($(
        $name:ident = $number:literal, $label:literal, $arguments:literal, $outputs:literal,
        $when:ident, $stateful:ident;
    )*) => {
        /// A command of RMI 2.0 without devices and planes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each variant is the command of that name")]
        pub enum Command { $($name,)* }

        impl Command {
            /// All commands.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Function identifier.
            pub const fn fid(self) -> u64 {
                match self { $(Self::$name => 0xc400_0000 + $number,)* }
            }

            /// Name in the names of scenarios.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// Number of arguments, from X1 on.
            pub const fn arguments(self) -> usize {
                match self { $(Self::$name => $arguments,)* }
            }

            /// Number of outputs of a success, from X1 on.
            pub const fn outputs(self) -> usize {
                match self { $(Self::$name => $outputs,)* }
            }

            /// When RMM takes it.
            pub const fn when(self) -> When {
                match self { $(Self::$name => When::$when,)* }
            }

            /// Whether RMI_INCOMPLETE may be its answer.
            pub const fn stateful(self) -> Stateful {
                match self { $(Self::$name => Stateful::$stateful,)* }
            }
        }
    };
}

commands! {
    Version = 0x150, "version", 1, 2, Always, Never;
    DataMapInit = 0x153, "data_map_init", 5, 0, Active, Maybe;
    RealmActivate = 0x157, "realm_activate", 1, 0, Active, Never;
    RealmCreate = 0x158, "realm_create", 2, 0, Active, Maybe;
    RealmDestroy = 0x159, "realm_destroy", 1, 0, Active, Maybe;
    RecCreate = 0x15a, "rec_create", 3, 0, Active, Maybe;
    RecDestroy = 0x15b, "rec_destroy", 1, 0, Active, Maybe;
    RecEnter = 0x15c, "rec_enter", 2, 0, Active, Never;
    RttCreate = 0x15d, "rtt_create", 4, 0, Active, Maybe;
    RttDestroy = 0x15e, "rtt_destroy", 3, 2, Active, Maybe;
    RttReadEntry = 0x161, "rtt_read_entry", 3, 4, Active, Never;
    PsciComplete = 0x164, "psci_complete", 2, 0, Active, Never;
    Features = 0x165, "features", 1, 1, Always, Never;
    RttFold = 0x166, "rtt_fold", 3, 1, Active, Maybe;
    InitRipas = 0x168, "init_ripas", 3, 1, Active, Maybe;
    SetRipas = 0x169, "set_ripas", 4, 1, Active, Maybe;
    ConfigSet = 0x16e, "config_set", 1, 0, Init, Never;
    PlatTokenRefresh = 0x170, "plat_token_refresh", 0, 0, Active, Never;
    TrackingGet = 0x1e1, "tracking_get", 2, 3, Always, Never;
    TrackingSet = 0x1e3, "tracking_set", 3, 0, Active, Maybe;
    ConfigGet = 0x1ec, "config_get", 1, 0, Always, Never;
    StateGet = 0x1ee, "state_get", 0, 1, Always, Never;
    RangeDelegate = 0x1f1, "range_delegate", 2, 1, Active, Maybe;
    RangeUndelegate = 0x1f2, "range_undelegate", 2, 1, Active, Maybe;
    GptL1Create = 0x1f3, "gpt_l1_create", 1, 0, Active, Maybe;
    GptL1Destroy = 0x1f4, "gpt_l1_destroy", 1, 0, Active, Maybe;
    DataMap = 0x1f5, "data_map", 5, 1, Active, Maybe;
    DataUnmap = 0x1f6, "data_unmap", 5, 3, Active, Maybe;
    UnprotMap = 0x1fb, "unprot_map", 5, 1, Active, Maybe;
    UnprotUnmap = 0x1fc, "unprot_unmap", 5, 3, Active, Maybe;
    RealmTerminate = 0x201, "realm_terminate", 1, 0, Active, Maybe;
    Activate = 0x202, "activate", 0, 0, Init, Maybe;
    OpContinue = 0x203, "op_continue", 2, 3, Operation, Maybe;
    OpMemDonate = 0x208, "op_mem_donate", 3, 2, Operation, Maybe;
    OpMemReclaim = 0x209, "op_mem_reclaim", 3, 1, Operation, Maybe;
    OpCancel = 0x20a, "op_cancel", 1, 1, Operation, Maybe;
    Deactivate = 0x20f, "deactivate", 0, 0, Active, Maybe;
    GptInfo = 0x211, "gpt_info", 2, 2, Always, Never;
}

impl Command {
    /// Whether a success has a range `base..X1` behind it, and which arguments are base and top (0
    /// for X1).
    pub const fn range(self) -> Option<usize> {
        match self {
            Self::RangeDelegate | Self::RangeUndelegate => Some(0),
            Self::InitRipas | Self::DataMap | Self::DataUnmap => Some(1),
            Self::UnprotMap | Self::UnprotUnmap => Some(1),
            Self::SetRipas => Some(2),
            _ => None,
        }
    }
}

/// Commands of RMI 1.0 that are gone: function numbers.
pub static GONE: &[(u64, &str)] = &[
    (0x151, "granule_delegate"),
    (0x152, "granule_undelegate"),
    (0x154, "data_create_unknown"),
    (0x155, "data_destroy"),
    (0x15f, "rtt_map_unprotected"),
    (0x162, "rtt_unmap_unprotected"),
    (0x167, "rec_aux_count"),
];

/// Commands of features that feature registers 2 to 4 name: family, function numbers.
pub static OPTIONAL: &[(&str, &[u64])] = &[
    ("pdev", &[0x174, 0x175, 0x176, 0x177, 0x178, 0x17a, 0x17b, 0x17c]),
    ("pdev_stream", &[0x204, 0x205, 0x206, 0x207, 0x210]),
    ("vdev", &[0x185, 0x186, 0x187, 0x188, 0x189, 0x18a, 0x1d0, 0x1d1, 0x1d2, 0x1d3]),
    ("device_mapping", &[0x163, 0x1f7, 0x1f8, 0x1f9, 0x1fa]),
    ("psmmu", &[0x16f, 0x1d7, 0x1d8, 0x1db, 0x1dc, 0x1f0, 0x20e]),
    ("vsmmu", &[0x16a, 0x16b, 0x1d6, 0x20b, 0x20c, 0x20d]),
    ("dpt", &[0x1dd, 0x1de, 0x1df, 0x1e0]),
    ("planes", &[0x17d, 0x17e, 0x17f, 0x18b, 0x1fd, 0x1fe, 0x1ff, 0x200]),
];

/// How the Host names memory in `oaddr`: bits 1:0 of the flags of a map or unmap command.
pub mod oaddr {
    /// Not at all.
    pub const NONE: u64 = 0;
    /// One descriptor.
    pub const SINGLE: u64 = 1;
    /// A list of descriptors in Host memory.
    pub const LIST: u64 = 2;
}

/// Flags of a map or unmap command with a list of `count` descriptors.
pub const fn list_flags(count: u64) -> u64 {
    oaddr::LIST | count << 2
}

/// Flags of UNPROT_MAP: attributes of the memory and permissions (bit 0 write, bit 1 read).
pub const fn unprot_flags(kind: u64, attributes: u64, permissions: u64) -> u64 {
    kind | attributes << 16 | permissions << 19
}

/// States of memory in a descriptor or a request.
pub mod given {
    /// Delegated.
    pub const DELEGATED: u64 = 0;
    /// The Host's own.
    pub const UNDELEGATED: u64 = 1;
    /// As its own region demands.
    pub const CONDITIONAL: u64 = 2;
}

/// `AddrRangeDesc`, for granules of 4 KiB: `count` blocks of a size from an address on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Desc {
    /// First address.
    pub base: u64,
    /// Size of a block: 0 for a granule, 1 to 3 for blocks of levels 2 to 0.
    pub size: u64,
    /// Number of blocks.
    pub count: u64,
    /// See [`given`].
    pub state: u64,
}

impl Desc {
    /// Most blocks that a descriptor names.
    pub const COUNT_MAX: u64 = 0x3ff;

    /// Granules that are delegated, or whose state is not said.
    pub const fn pages(base: u64, count: u64) -> Self {
        Self { base, size: 0, count, state: given::DELEGATED }
    }

    /// One block of the size of an entry at `level`.
    pub const fn block(base: u64, level: i64) -> Self {
        let size = (3 - level).cast_unsigned();
        Self { base, size, count: 1, state: given::DELEGATED }
    }

    /// The same memory in this state.
    pub const fn state(self, state: u64) -> Self {
        Self { state, ..self }
    }

    /// The word.
    pub const fn encode(self) -> u64 {
        self.base | self.count << 2 | self.size | self.state << 62
    }

    /// The descriptor in a word.
    pub const fn decode(word: u64) -> Self {
        Self {
            base: word & 0x000f_ffff_ffff_f000,
            size: word & 3,
            count: word >> 2 & 0x3ff,
            state: word >> 62,
        }
    }

    /// Bytes of all blocks.
    pub const fn bytes(self) -> u64 {
        self.count << (12 + 9 * self.size)
    }

    /// First address past it.
    pub const fn end(self) -> u64 {
        self.base + self.bytes()
    }
}

/// A donation request: X2 of an operation that wants memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Size of a block, as in a descriptor.
    pub size: u64,
    /// Number of blocks.
    pub count: u64,
    /// All blocks together are one aligned block.
    pub contiguous: bool,
    /// See [`given`].
    pub state: u64,
}

impl Request {
    /// The word.
    pub const fn encode(self) -> u64 {
        self.size | self.count << 2 | (self.contiguous as u64) << 16 | self.state << 17
    }

    /// The request in a word.
    pub const fn decode(word: u64) -> Self {
        Self {
            size: word & 3,
            count: word >> 2 & 0x3fff,
            contiguous: word >> 16 & 1 == 1,
            state: word >> 17 & 3,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> u64 {
        1 << (12 + 9 * self.size)
    }

    /// Granules that it asks for.
    pub const fn granules(self) -> u64 {
        self.count << (9 * self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_vectors() {
        for (word, desc) in [
            (0x8000_0004, Desc::pages(0x8000_0000, 1)),
            (0x8020_0005, Desc::block(0x8020_0000, 2)),
            (0x8000_07fc, Desc::pages(0x8000_0000, 511)),
            (0x4000_0000_8000_0004, Desc::pages(0x8000_0000, 1).state(given::UNDELEGATED)),
        ] {
            assert_eq!(desc.encode(), word);
            assert_eq!(Desc::decode(word), desc);
        }
        let sixteen = Request { count: 16, ..Request::default() };
        let contiguous = Request { contiguous: true, state: given::UNDELEGATED, ..sixteen };
        for (word, request) in
            [(0x40, sixteen), (0x24, Request { count: 9, ..sixteen }), (0x3_0040, contiguous)]
        {
            assert_eq!(request.encode(), word);
            assert_eq!(Request::decode(word), request);
        }
        assert_eq!(list_flags(3), 0xe);
        assert_eq!(unprot_flags(oaddr::SINGLE, 0, 3), 0x18_0001);
        assert_eq!([rtt(2), rtt(3), rtt(0), rtt(-1)], [0x204, 0x304, 4, 0xff04]);
    }

    #[test]
    fn commands_have_numbers_of_their_own() {
        let mut fids: Vec<u64> = Command::ALL.iter().map(|command| command.fid()).collect();
        fids.extend(GONE.iter().map(|(number, _)| 0xc400_0000 + number));
        fids.extend(OPTIONAL.iter().flat_map(|(_, fids)| *fids).map(|fid| 0xc400_0000 + fid));
        let count = fids.len();
        fids.sort_unstable();
        fids.dedup();
        assert_eq!(fids.len(), count);
    }
}
