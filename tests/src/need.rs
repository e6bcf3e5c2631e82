//! What a scenario needs of a machine beyond commands, memory and a Realm that runs; and which
//! backend has it.

/// A kind of machine that scenarios run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The fake machine on the build host.
    Fake,
    /// A monitor's image under EL3 firmware on QEMU.
    Qemu,
}

/// Something that not every machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Host memory faults at a chosen access.
    HostFault,
    /// Host memory changes at a chosen access.
    HostChange,
    /// EL3 refuses a call.
    El3Refusal,
    /// An exception with a chosen syndrome.
    RawException,
    /// A physical FIQ.
    Fiq,
    /// DRAM above 2^48.
    HighMemory,
    /// A CPU with 8-bit VMIDs.
    SmallVmids,
    /// A CPU with 40-bit addresses.
    NarrowAddresses,
    /// An interrupt controller with 16-bit interrupt numbers.
    SmallInterruptNumbers,
    /// A Realm that runs without memory of its own, so that its measurement is just what the
    /// scenario made.
    NoProgramInMemory,
    /// Nobody between the Host and the monitor answers calls.
    NoFirmware,
    /// Accesses to ICC_PMR_EL1 trap whatever the monitor programs.
    GicTraps,
    /// WFE and WFET trap.
    WfeTraps,
    /// A trapped WFIT has a syndrome of its own.
    WfitSyndrome,
    /// The OS Lock holds back debug exceptions.
    OsLock,
    /// A CPU with streaming vectors.
    Streaming,
    /// SVE registers of the Host's, which are looked at after a call.
    HostVectors,
    /// SVE, on the CPU and in feature register 0.
    Sve,
    /// Performance monitors, on the CPU and in feature register 0.
    Pmu,
    /// Performance monitors with an event counter.
    EventCounter,
    /// Fewer list registers than a REC's run page has room for.
    SpareListRegister,
    /// Auxiliary granules of a REC.
    AuxiliaryGranule,
    /// FEAT_LPA2, on the CPU and in feature register 0.
    Lpa2,
    /// IPA spaces as wide as a scenario's, in feature register 0.
    WideIpa,
    /// Measurement with SHA-512.
    Sha512,
    /// Tracked DRAM that belongs neither to the Host nor to Realms.
    ForeignGranule,
    /// Population in place, an extension of Cairn's (`docs/in-place-population.md`).
    InPlacePopulation,
    /// RMI 2.0, third beta.
    Rmi20,
    /// An interrupt of the Host's that is pending and masked while it makes calls.
    PendingInterrupt,
    /// An EL3 that changes fewer granules than it is asked to.
    ShortEl3,
    /// A CPU whose RMM gives out fewer VMIDs than a scenario has memory for Realms.
    FewVmids,
    /// Loads that the architecture can describe in a syndrome, but has no instruction for.
    NoSuchLoad,
}

impl Need {
    /// What it is, after "needs".
    pub const fn title(self) -> &'static str {
        match self {
            Self::HostFault => "Host memory that faults in the middle of a command",
            Self::HostChange => "Host memory that changes in the middle of a command",
            Self::El3Refusal => "an EL3 that refuses calls",
            Self::RawException => "an exception with a chosen syndrome",
            Self::Fiq => "a physical FIQ",
            Self::HighMemory => "DRAM above 2^48",
            Self::SmallVmids => "8-bit VMIDs",
            Self::SmallInterruptNumbers => "16-bit interrupt numbers",
            Self::NoProgramInMemory => "a Realm that runs without memory of its own",
            Self::NoFirmware => "nobody between the Host and the monitor",
            Self::GicTraps => "traps of ICC_PMR_EL1",
            Self::WfeTraps => "traps of WFE",
            Self::WfitSyndrome => "the syndrome of WFIT",
            Self::OsLock => "an OS Lock that holds back debug exceptions",
            Self::Streaming => "streaming vectors (FEAT_SME)",
            Self::HostVectors => "a Host with vectors (SVE)",
            Self::NoSuchLoad => "a load without an instruction",
            Self::InPlacePopulation => "population in place, an extension of Cairn's",
            Self::Rmi20 => "RMI 2.0",
            Self::PendingInterrupt => "a pending interrupt of the Host's",
            Self::ShortEl3 => "an EL3 that does less than it is asked to",
            Self::FewVmids => "few VMIDs",
            Self::Sve => "SVE in feature register 0",
            Self::Pmu => "performance monitors in feature register 0",
            Self::EventCounter => "an event counter in feature register 0",
            Self::SpareListRegister => "fewer than 16 list registers",
            Self::AuxiliaryGranule => "a monitor whose RECs need auxiliary granules",
            Self::Lpa2 => "LPA2 in feature register 0",
            Self::WideIpa => "a larger S2SZ in feature register 0",
            Self::Sha512 => "SHA-512 in feature register 0",
            Self::NarrowAddresses => "a CPU with few physical address bits",
            Self::ForeignGranule => "DRAM of the Secure or Root world that the monitor tracks",
        }
    }

    /// Why a backend cannot do this; `None` if it can.
    pub const fn missing_on(self, backend: Backend) -> Option<&'static str> {
        if matches!(backend, Backend::Fake) {
            return match self {
                Self::Streaming | Self::HostVectors => {
                    Some("the simulated machine has no vectors of the Host's")
                }
                _ => None,
            };
        }
        Some(match self {
            // QEMU's CPU has these; whether the image offers them is seen when the scenario runs.
            Self::Streaming
            | Self::HostVectors
            | Self::Sve
            | Self::Pmu
            | Self::EventCounter
            | Self::SpareListRegister
            | Self::AuxiliaryGranule
            | Self::Lpa2
            | Self::WideIpa
            | Self::Sha512
            | Self::InPlacePopulation
            | Self::Rmi20 => return None,
            Self::PendingInterrupt => "the Host's own interrupts are not taken while it calls",
            Self::ShortEl3 => "real firmware does what it is asked to",
            Self::FewVmids => "QEMU's CPU with RME has 16-bit VMIDs",
            Self::ForeignGranule => "TF-A tells the monitor of DRAM of the Normal world only",
            Self::HostFault => "QEMU cannot make Host memory fault in the middle of a command",
            Self::HostChange => "QEMU cannot change Host memory in the middle of a command",
            Self::El3Refusal => "real firmware at EL3 refuses nothing that the Host may delegate",
            Self::RawException => "hardware does not produce this exception on request",
            Self::Fiq => "group 0 interrupts belong to EL3: a Realm is not left with a FIQ",
            Self::HighMemory => "QEMU's machine has no DRAM above 2^48",
            Self::SmallVmids => "QEMU's CPU with RME has 16-bit VMIDs",
            Self::NarrowAddresses => "QEMU's CPU with RME has 52-bit addresses",
            Self::SmallInterruptNumbers => "QEMU's interrupt controller has 24-bit numbers",
            Self::NoProgramInMemory => "the program of a real Realm is memory, and measured",
            Self::NoFirmware => "EL3 answers calls that are not for the monitor",
            Self::GicTraps => "hardware traps this register only if the monitor asks for it",
            Self::WfeTraps => "QEMU's WFE does nothing, and so does not trap",
            Self::WfitSyndrome => "QEMU reports a trapped WFIT as a WFI",
            Self::OsLock => "QEMU's OS Lock reads as set and holds back nothing",
            Self::NoSuchLoad => "there is no such load",
        })
    }
}
