//! Pages that a Host of RMI 2.0 and RMM pass each other.

use crate::abi::HostPage;

/// `RealmParams`, the fields by name.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RealmParams {
    pub flags0: u64,
    pub s2sz: u64,
    pub sve_vl: u64,
    pub num_bps: u64,
    pub num_wps: u64,
    pub pmu_num_ctrs: u64,
    pub hash_algo: u64,
    pub num_aux_planes: u64,
    pub rpv: [u64; 8],
    pub ats_plane: u64,
    pub rtt_base: u64,
    pub rtt_level_start: i64,
    pub rtt_num_start: u64,
    pub flags1: u64,
    pub max_num_vdevs: u64,
}

/// Bits of `flags0`.
pub mod flags0 {
    /// FEAT_LPA2 descriptors.
    pub const LPA2: u64 = 1;
    /// SVE.
    pub const SVE: u64 = 2;
    /// Performance monitors.
    pub const PMU: u64 = 4;
    /// Device assignment.
    pub const DA: u64 = 8;
    /// Where the policy of live firmware activation starts.
    pub const LFA_SHIFT: u64 = 5;
    /// Where the policy of memory encryption starts.
    pub const MEC_SHIFT: u64 = 7;
}

impl RealmParams {
    /// The page.
    pub fn to_page(&self) -> HostPage {
        let mut page = [0; 512];
        for (offset, value) in [
            (0x0, self.flags0),
            (0x8, self.s2sz),
            (0x10, self.sve_vl),
            (0x18, self.num_bps),
            (0x20, self.num_wps),
            (0x28, self.pmu_num_ctrs),
            (0x30, self.hash_algo),
            (0x38, self.num_aux_planes),
            (0x440, self.ats_plane),
            (0x808, self.rtt_base),
            (0x810, self.rtt_level_start.cast_unsigned()),
            (0x818, self.rtt_num_start),
            (0x820, self.flags1),
            (0x828, self.max_num_vdevs),
        ] {
            page[offset / 8] = value;
        }
        page[0x400 / 8..0x440 / 8].copy_from_slice(&self.rpv);
        page
    }
}

/// `RecParams`, the fields by name.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RecParams {
    pub flags: u64,
    pub mpidr: u64,
    pub pc: u64,
    pub gprs: [u64; 8],
}

impl RecParams {
    /// The page.
    pub fn to_page(&self) -> HostPage {
        let mut page = [0; 512];
        page[0] = self.flags;
        page[0x100 / 8] = self.mpidr;
        page[0x200 / 8] = self.pc;
        page[0x300 / 8..0x340 / 8].copy_from_slice(&self.gprs);
        page
    }
}

/// `RmiMpidr` of a REC that the suite numbers so.
pub const fn mpidr(index: u64) -> u64 {
    index & 0xf | (index >> 4) << 8
}

/// Flags of `RecEnter`.
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

/// `RecEnter`.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RecEnter {
    pub flags: u64,
    pub gprs: [u64; 31],
}

impl RecEnter {
    /// With these flags and nothing else.
    pub fn flags(flags: u64) -> Self {
        Self { flags, ..Self::default() }
    }

    /// With this value in X0 and nothing else.
    pub fn value(value: u64) -> Self {
        let mut enter = Self::default();
        enter.gprs[0] = value;
        enter
    }

    /// The first half of the run page.
    pub fn to_words(&self) -> [u64; 256] {
        let mut words = [0; 256];
        words[0] = self.flags;
        words[0x200 / 8..0x2f8 / 8].copy_from_slice(&self.gprs);
        words
    }
}

/// Exit reasons.
#[expect(missing_docs, reason = "each constant is the reason of that name")]
pub mod exit_reason {
    pub const SYNC: u64 = 0;
    pub const IRQ: u64 = 1;
    pub const FIQ: u64 = 2;
    pub const PSCI: u64 = 3;
    pub const RIPAS_CHANGE: u64 = 4;
    pub const HOST_CALL: u64 = 5;
    pub const SERROR: u64 = 6;
}

/// `RecExit` without the fields of devices and planes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the specification's field of that name")]
pub struct RecExit {
    pub exit_reason: u64,
    pub esr: u64,
    pub far: u64,
    pub hpfar: u64,
    pub gprs: [u64; 31],
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
    /// not zero, if any, comes with it: the interrupt controller has no place in the page any more.
    pub fn from_words(words: &[u64; 256]) -> (Self, Option<usize>) {
        let exit = Self {
            exit_reason: words[0],
            esr: words[0x100 / 8],
            far: words[0x108 / 8],
            hpfar: words[0x110 / 8],
            gprs: core::array::from_fn(|number| words[0x200 / 8 + number]),
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
        // 0x120 is the level of a fault, which one monitor reports and the text does not know.
        let is_field = |offset: usize| {
            matches!(offset, 0 | 0x100..=0x110 | 0x120 | 0x200..=0x2f0 | 0x400..=0x418)
                || matches!(offset, 0x500..=0x510 | 0x600 | 0x700)
        };
        let stray = (0..256).map(|word| word * 8).find(|&at| !is_field(at) && words[at / 8] != 0);
        (exit, stray)
    }
}

/// The exit of a REC whose program has ended and whose timers are quiet.
pub fn idle_exit() -> RecExit {
    RecExit { exit_reason: exit_reason::IRQ, ..RecExit::default() }
}
