//! RMI 1.0 and RSI 1.0 as a Host and a Realm write them, from the specification and not from the
//! monitor's code.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, B4 and B5.

/// RMI_SUCCESS.
pub const SUCCESS: u64 = 0;
/// RMI_ERROR_INPUT.
pub const INPUT: u64 = 1;
/// RMI_ERROR_REALM, index 0.
pub const REALM: u64 = 2;
/// RMI_ERROR_REALM, index 1: the Realm is SYSTEM_OFF.
pub const REALM_OFF: u64 = 0x102;
/// RMI_ERROR_REC.
pub const REC: u64 = 3;
/// SMCCC NOT_SUPPORTED.
pub const NOT_SUPPORTED: u64 = u64::MAX;

/// RMI_ERROR_RTT at `level`.
pub const fn rtt_error(level: i64) -> u64 {
    4 | (level.cast_unsigned() & 0xff) << 8
}

/// Number of the feature register with Cairn's own extensions, in either version. Its bit 0 is
/// population in place.
pub const EXTENSIONS: u64 = 0x4361_6972_6e52_4d4d;

/// The flag of DATA_CREATE, or in 2.0 of DATA_MAP_INIT, that asks for population in place.
pub const IN_PLACE: u64 = 1 << 63;

/// RIPAS numbers.
pub mod ripas {
    /// Nothing there.
    pub const EMPTY: u64 = 0;
    /// Memory.
    pub const RAM: u64 = 1;
    /// Was memory.
    pub const DESTROYED: u64 = 2;
}

/// `RmiRttEntryState`.
pub mod entry_state {
    /// No granule.
    pub const UNASSIGNED: u64 = 0;
    /// A granule.
    pub const ASSIGNED: u64 = 1;
    /// A table.
    pub const TABLE: u64 = 2;
}

macro_rules! commands {
    ($($name:ident = $number:literal, $label:literal, $outputs:literal, $on_failure:literal;)*) => {
        /// A command of RMI 1.0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each variant is the command of that name")]
        pub enum Command { $($name,)* }

        impl Command {
            /// All commands.
            pub const ALL: [Self; 23] = [$(Self::$name,)*];

            /// Function identifier.
            pub const fn fid(self) -> u64 {
                match self { $(Self::$name => 0xc400_0000 + $number,)* }
            }

            /// Name in the names of scenarios.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// Which of X1 to X4 the command defines, bit 0 for X1: on success, and on failure.
            pub const fn outputs(self) -> (u64, u64) {
                match self { $(Self::$name => ($outputs, $on_failure),)* }
            }

            /// The command with this function identifier.
            pub fn from_fid(fid: u64) -> Option<Self> {
                Self::ALL.into_iter().find(|command| command.fid() == fid)
            }

            /// The command that a caller names with this X0: the identifier is W0, and the SVE hint
            /// makes no difference.
            ///
            /// Source: SMC Calling Convention (Arm DEN0028) 1.4, 2.5 and 2.6.
            pub fn called(x0: u64) -> Option<Self> {
                Self::from_fid(x0 & 0xffff_ffff & !(1 << 16))
            }
        }
    };
}

commands! {
    Version = 0x150, "version", 0b0011, 0b0011;
    GranuleDelegate = 0x151, "granule_delegate", 0, 0;
    GranuleUndelegate = 0x152, "granule_undelegate", 0, 0;
    DataCreate = 0x153, "data_create", 0, 0;
    DataCreateUnknown = 0x154, "data_create_unknown", 0, 0;
    DataDestroy = 0x155, "data_destroy", 0b0011, 0b0010;
    RealmActivate = 0x157, "realm_activate", 0, 0;
    RealmCreate = 0x158, "realm_create", 0, 0;
    RealmDestroy = 0x159, "realm_destroy", 0, 0;
    RecCreate = 0x15a, "rec_create", 0, 0;
    RecDestroy = 0x15b, "rec_destroy", 0, 0;
    RecEnter = 0x15c, "rec_enter", 0, 0;
    RttCreate = 0x15d, "rtt_create", 0, 0;
    RttDestroy = 0x15e, "rtt_destroy", 0b0011, 0b0010;
    RttMapUnprotected = 0x15f, "rtt_map_unprotected", 0, 0;
    RttReadEntry = 0x161, "rtt_read_entry", 0b1111, 0;
    RttUnmapUnprotected = 0x162, "rtt_unmap_unprotected", 0b0001, 0b0001;
    PsciComplete = 0x164, "psci_complete", 0, 0;
    Features = 0x165, "features", 0b0001, 0;
    RttFold = 0x166, "rtt_fold", 0b0001, 0;
    RecAuxCount = 0x167, "rec_aux_count", 0b0001, 0;
    RttInitRipas = 0x168, "rtt_init_ripas", 0b0001, 0;
    RttSetRipas = 0x169, "rtt_set_ripas", 0b0001, 0;
}

/// A page of the Host's, as words.
pub type HostPage = [u64; 512];

/// `RmiRealmParams`, the fields by name.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RealmParams {
    pub flags: u64,
    pub s2sz: u64,
    pub sve_vl: u64,
    pub num_bps: u64,
    pub num_wps: u64,
    pub pmu_num_ctrs: u64,
    pub hash_algo: u64,
    pub rpv: [u64; 8],
    pub vmid: u64,
    pub rtt_base: u64,
    pub rtt_level_start: i64,
    pub rtt_num_start: u64,
}

impl RealmParams {
    /// Flag: FEAT_LPA2 descriptors.
    pub const LPA2: u64 = 1;
    /// Flag: SVE.
    pub const SVE: u64 = 2;
    /// Flag: PMU.
    pub const PMU: u64 = 4;

    /// The page.
    pub fn to_page(&self) -> HostPage {
        let mut page = [0; 512];
        for (offset, value) in [
            (0x0, self.flags),
            (0x8, self.s2sz),
            (0x10, self.sve_vl),
            (0x18, self.num_bps),
            (0x20, self.num_wps),
            (0x28, self.pmu_num_ctrs),
            (0x30, self.hash_algo),
            (0x800, self.vmid),
            (0x808, self.rtt_base),
            (0x810, self.rtt_level_start.cast_unsigned()),
            (0x818, self.rtt_num_start),
        ] {
            page[offset / 8] = value;
        }
        page[0x400 / 8..0x440 / 8].copy_from_slice(&self.rpv);
        page
    }
}

/// `RmiRecParams`, the fields by name.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RecParams {
    pub flags: u64,
    pub mpidr: u64,
    pub pc: u64,
    pub gprs: [u64; 8],
    pub num_aux: u64,
    pub aux: [u64; 16],
}

impl RecParams {
    /// The page.
    pub fn to_page(&self) -> HostPage {
        let mut page = [0; 512];
        page[0] = self.flags;
        page[0x100 / 8] = self.mpidr;
        page[0x200 / 8] = self.pc;
        page[0x300 / 8..0x340 / 8].copy_from_slice(&self.gprs);
        page[0x800 / 8] = self.num_aux;
        page[0x808 / 8..0x888 / 8].copy_from_slice(&self.aux);
        page
    }
}

/// `RmiRecMpidr` of the REC with this index.
pub const fn rec_mpidr(index: u64) -> u64 {
    index & 0xf | (index >> 4) << 8
}

/// MPIDR_EL1 of the REC with this index.
pub const fn realm_mpidr(index: u64) -> u64 {
    index & 0xf | (index >> 4 & 0xffff) << 8 | (index >> 20) << 32
}

/// Flags of `RmiRecEnter`.
pub mod enter_flags {
    /// The Host emulated the access.
    pub const EMUL_MMIO: u64 = 1;
    /// An external abort for the Realm.
    pub const INJECT_SEA: u64 = 2;
    /// WFI exits.
    pub const TRAP_WFI: u64 = 4;
    /// WFE exits.
    pub const TRAP_WFE: u64 = 8;
    /// The RIPAS change is rejected.
    pub const RIPAS_REJECT: u64 = 16;
}

/// `RmiRecEnter`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RecEnter {
    pub flags: u64,
    pub gprs: [u64; 31],
    pub gicv3_hcr: u64,
    pub gicv3_lrs: [u64; 16],
}

impl RecEnter {
    /// With these flags and nothing else.
    pub fn flags(flags: u64) -> Self {
        Self { flags, ..Self::default() }
    }

    /// The first half of the run page.
    pub fn to_words(&self) -> [u64; 256] {
        let mut words = [0; 256];
        words[0] = self.flags;
        words[0x200 / 8..0x2f8 / 8].copy_from_slice(&self.gprs);
        words[0x300 / 8] = self.gicv3_hcr;
        words[0x308 / 8..0x388 / 8].copy_from_slice(&self.gicv3_lrs);
        words
    }
}

/// Exit reasons.
pub mod exit_reason {
    /// Synchronous exception.
    pub const SYNC: u64 = 0;
    /// IRQ.
    pub const IRQ: u64 = 1;
    /// FIQ.
    pub const FIQ: u64 = 2;
    /// PSCI call.
    pub const PSCI: u64 = 3;
    /// RIPAS change.
    pub const RIPAS_CHANGE: u64 = 4;
    /// Host call.
    pub const HOST_CALL: u64 = 5;
    /// SError.
    pub const SERROR: u64 = 6;
}

/// `RmiRecExit`, and whether everything outside its fields was zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RecExit {
    pub exit_reason: u64,
    pub esr: u64,
    pub far: u64,
    pub hpfar: u64,
    pub gprs: [u64; 31],
    pub gicv3_hcr: u64,
    pub gicv3_lrs: [u64; 16],
    pub gicv3_misr: u64,
    pub gicv3_vmcr: u64,
    pub cntp_ctl: u64,
    pub cntp_cval: u64,
    pub cntv_ctl: u64,
    pub cntv_cval: u64,
    pub ripas_base: u64,
    pub ripas_top: u64,
    pub ripas_value: u64,
    pub imm: u64,
    pub pmu_ovf_status: u64,
}

impl RecExit {
    /// Reads the second half of a run page. The offset of the first word outside the fields that is
    /// not zero, if any, comes with it.
    pub fn from_words(words: &[u64; 256]) -> (Self, Option<usize>) {
        let exit = Self {
            exit_reason: words[0],
            esr: words[0x100 / 8],
            far: words[0x108 / 8],
            hpfar: words[0x110 / 8],
            gprs: core::array::from_fn(|number| words[0x200 / 8 + number]),
            gicv3_hcr: words[0x300 / 8],
            gicv3_lrs: core::array::from_fn(|number| words[0x308 / 8 + number]),
            gicv3_misr: words[0x388 / 8],
            gicv3_vmcr: words[0x390 / 8],
            cntp_ctl: words[0x400 / 8],
            cntp_cval: words[0x408 / 8],
            cntv_ctl: words[0x410 / 8],
            cntv_cval: words[0x418 / 8],
            ripas_base: words[0x500 / 8],
            ripas_top: words[0x508 / 8],
            ripas_value: words[0x510 / 8],
            imm: words[0x600 / 8],
            pmu_ovf_status: words[0x700 / 8],
        };
        let is_field = |offset: usize| {
            matches!(offset, 0 | 0x100..=0x110 | 0x200..=0x2f0 | 0x300..=0x390 | 0x400..=0x418)
                || matches!(offset, 0x500..=0x510 | 0x600 | 0x700)
        };
        let stray = (0..256).map(|word| word * 8).find(|&at| !is_field(at) && words[at / 8] != 0);
        (exit, stray)
    }
}

/// Function identifiers of RSI, PSCI and SMCCC inside a Realm.
#[expect(missing_docs, reason = "each constant is the call of that name")]
pub mod rsi {
    pub const VERSION: u64 = 0xc400_0190;
    pub const FEATURES: u64 = 0xc400_0191;
    pub const MEASUREMENT_READ: u64 = 0xc400_0192;
    pub const MEASUREMENT_EXTEND: u64 = 0xc400_0193;
    pub const ATTESTATION_TOKEN_INIT: u64 = 0xc400_0194;
    pub const ATTESTATION_TOKEN_CONTINUE: u64 = 0xc400_0195;
    pub const REALM_CONFIG: u64 = 0xc400_0196;
    pub const IPA_STATE_SET: u64 = 0xc400_0197;
    pub const IPA_STATE_GET: u64 = 0xc400_0198;
    pub const HOST_CALL: u64 = 0xc400_0199;

    pub const SMCCC_VERSION: u64 = 0x8000_0000;
    pub const PSCI_VERSION: u64 = 0x8400_0000;
    pub const PSCI_CPU_SUSPEND: u64 = 0xc400_0001;
    pub const PSCI_CPU_OFF: u64 = 0x8400_0002;
    pub const PSCI_CPU_ON: u64 = 0xc400_0003;
    pub const PSCI_AFFINITY_INFO: u64 = 0xc400_0004;
    pub const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;
    pub const PSCI_SYSTEM_RESET: u64 = 0x8400_0009;
    pub const PSCI_FEATURES: u64 = 0x8400_000a;

    /// RSI_SUCCESS.
    pub const SUCCESS: u64 = 0;
    /// RSI_ERROR_INPUT.
    pub const ERROR_INPUT: u64 = 1;
    /// RSI_ERROR_STATE.
    pub const ERROR_STATE: u64 = 2;
    /// RSI_INCOMPLETE.
    pub const INCOMPLETE: u64 = 3;
}

/// PSCI return codes, as 64-bit numbers.
#[expect(missing_docs, reason = "each constant is the code of that name")]
pub mod psci {
    pub const SUCCESS: u64 = 0;
    pub const NOT_SUPPORTED: u64 = (-1_i64).cast_unsigned();
    pub const INVALID_PARAMETERS: u64 = (-2_i64).cast_unsigned();
    pub const DENIED: u64 = (-3_i64).cast_unsigned();
    pub const ALREADY_ON: u64 = (-4_i64).cast_unsigned();
    pub const INVALID_ADDRESS: u64 = (-9_i64).cast_unsigned();
}
