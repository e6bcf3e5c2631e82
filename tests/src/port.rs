//! What a scenario needs of a machine under test. Small on purpose: the fake machine implements it,
//! and so can a program in the Normal world of a real one.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::abi::HostPage;
use crate::need::Need;
use crate::program::{Action, Observed};

/// Physical addresses with a property that cannot be made by RMI commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A device: no DRAM, so not delegable.
    Device,
    /// Beyond the CPU's physical addresses.
    BeyondPa,
    /// The monitor's own memory: DRAM that it does not let the Host delegate.
    Monitor,
    /// DRAM that the monitor tracks, in the Secure physical address space.
    Secure,
    /// DRAM that the monitor tracks, in the Root physical address space.
    Root,
    /// A Non-secure granule of DRAM above 2^48.
    High,
}

/// Things that go wrong outside the monitor, armed for the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// From now on the Host calls in streaming mode (FEAT_SME), and looks whether its vectors
    /// survive.
    Streaming,
    /// From now on the Host enters RECs with the SVE hint of the SMCCC, with SVE closed to itself,
    /// and looks whether each of its vectors survives in its low 128 bits, and everything else of
    /// SVE as it was or as zero.
    SveHint,
    /// The nth access to a word of Host memory (from 0), and all after it, fault.
    HostFault(u64),
    /// After the nth access to a word of Host memory, the word at this address gets this value.
    HostChange(u64, u64, u64),
    /// EL3 refuses its nth call from now with this code.
    El3Refuses(u64, i64),
    /// From now on (`true`) an interrupt of the Host's is pending whenever it calls; or no more.
    Pending(bool),
    /// EL3 does at most this many granules per call from now on; 0 ends it.
    El3Short(u64),
    /// EL3 refuses to take back the granule at this address with this code; code 0 ends it.
    El3Keeps(u64, i64),
}

impl Mishap {
    /// What a machine that cannot do this lacks.
    pub const fn need(self) -> Need {
        match self {
            Self::Streaming => Need::Streaming,
            Self::SveHint => Need::HostVectors,
            Self::HostFault(_) => Need::HostFault,
            Self::HostChange(..) => Need::HostChange,
            Self::Pending(_) => Need::PendingInterrupt,
            Self::El3Short(_) => Need::ShortEl3,
            Self::El3Refuses(..) | Self::El3Keeps(..) => Need::El3Refusal,
        }
    }
}

/// Memory that a Realm needs before it can run a program, on a machine where programs are made of
/// instructions.
#[derive(Clone, Debug)]
pub struct Quarters {
    /// Protected address of the page with the instructions.
    pub code: u64,
    /// What is in that page.
    pub contents: Box<HostPage>,
    /// Blocks at level 2 of the unprotected half: address, descriptor.
    pub shared: [(u64, u64); 2],
}

/// The virtual interrupt interface of the Host's CPU, as the Host writes it before it enters a REC
/// and reads it afterwards where the interface hands it over in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vgic {
    /// ICH_VTR_EL2: what the interface has. Reads only.
    pub vtr: u64,
    /// ICH_HCR_EL2.
    pub hcr: u64,
    /// ICH_VMCR_EL2.
    pub vmcr: u64,
    /// ICH_LR0_EL2 to ICH_LR15_EL2; those that the CPU does not have are zero.
    pub lrs: [u64; 16],
}

impl Vgic {
    /// Number of list registers that the CPU has.
    pub fn list_registers(&self) -> usize {
        usize::try_from(self.vtr & 0x1f).unwrap_or(0).min(15) + 1
    }
}

/// A machine under test, its Host, and its Realms.
///
/// Realms are named by their RD, because not every dialect lets the Host choose another number for
/// them.
pub trait Port {
    /// One call of the Host: X0 to X7 in, X0 to X7 out. `None` if the monitor does not answer any
    /// more.
    ///
    /// A machine whose EL3 hands the Host fewer registers gives the others as they are then.
    fn call(&mut self, registers: [u64; 8]) -> Option<[u64; 8]>;

    /// A Realm with this RD has just been created.
    fn bind(&mut self, _rd: u64) {}

    /// The Host's virtual interrupt interface.
    fn vgic(&mut self) -> Vgic;

    /// Writes it.
    fn set_vgic(&mut self, vgic: &Vgic);

    /// Reads a page of Host memory.
    fn read_page(&mut self, pa: u64) -> HostPage;

    /// Writes a page of Host memory.
    fn write_page(&mut self, pa: u64, page: &HostPage);

    /// Physical address of `count` free contiguous granules of Host memory, aligned to `align`
    /// bytes.
    fn allocate(&mut self, count: u64, align: u64) -> u64;

    /// An address with a property; `None` if this machine has none.
    fn place(&self, place: Place) -> Option<u64>;

    /// Where RECs of a Realm of this width start: the first of 8 entry points that are 16 bytes
    /// apart.
    fn entry(&self, _width: u64) -> u64 {
        crate::rec::ENTRY
    }

    /// What the Realm with this RD and width needs to run programs on RECs 0 to `recs - 1`.
    fn quarters(&mut self, _rd: u64, _width: u64, _recs: u64) -> Option<Quarters> {
        None
    }

    /// ICH_VMCR_EL2 of a REC that has not touched its interrupt controller.
    fn vmcr(&self) -> u64 {
        0
    }

    /// Gives the REC with this index, of the Realm with this RD, a program.
    fn program(&mut self, rd: u64, index: u64, actions: &[Action]);

    /// What the program has observed since the last call.
    fn observed(&mut self, rd: u64, index: u64) -> Vec<Observed>;

    /// Arms a mishap; `false` if this machine cannot do that.
    fn arm(&mut self, mishap: Mishap) -> bool;

    /// Many commands follow that are the same over and over: a machine that checks every one may
    /// look at the last only.
    fn hurry(&mut self, _on: bool) {}

    /// Granules in the leak ledger, if the machine can tell.
    fn leaked(&self) -> Option<usize>;

    /// Number of invalidations of translations so far, if the machine can tell.
    fn invalidations(&self) -> Option<u64>;
}
