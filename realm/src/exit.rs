//! Why a REC stopped running, and what it goes on with, in terms of no ABI: `rmi` turns them into
//! the page that the Host reads and from the page that it writes.

use crate::rtt::Ripas;

/// The only part of an address that the Host may see: its place in the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageOffset(u16);

impl PageOffset {
    /// Drops the rest of an address.
    pub const fn of(address: u64) -> Self {
        Self((address & 0xfff) as u16)
    }
}

impl From<PageOffset> for u64 {
    fn from(offset: PageOffset) -> Self {
        Self::from(offset.0)
    }
}

/// A REC exit, with exactly what the Host may see of it.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3 "REC exit".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A synchronous exception that the Host has to handle. Syndromes are already masked.
    Sync {
        /// Masked ESR_EL2.
        esr: u64,
        /// FAR_EL2.
        far: PageOffset,
        /// HPFAR_EL2.FIPA.
        hpfar: u64,
        /// Data of an emulatable write, or an operand.
        gpr0: u64,
    },
    /// A physical IRQ, or a change of a timer's output.
    Irq,
    /// A physical FIQ.
    Fiq,
    /// A PSCI call that the Host has to know of.
    Psci {
        /// The call.
        call: u64,
        /// The MPIDR of the CPU that it is about, or 0. Other arguments are not the Host's
        /// business.
        target: u64,
    },
    /// The Realm wishes to change the RIPAS of a range.
    RipasChange {
        /// First address.
        base: u64,
        /// First address past the range.
        top: u64,
        /// The RIPAS it wishes.
        ripas: Ripas,
    },
    /// A host call.
    HostCall {
        /// Immediate value. The registers of the call are in
        /// [`Rec::host_call`](crate::Rec::host_call).
        imm: u16,
    },
    /// A physical SError.
    SError {
        /// Masked ESR_EL2.
        esr: u64,
    },
}

impl Exit {
    /// A synchronous exit that shows nothing but a syndrome and a page.
    pub const fn sync(esr: u64, hpfar: u64) -> Self {
        Self::Sync { esr, far: PageOffset(0), hpfar, gpr0: 0 }
    }
}

/// What the Host answers to the Realm's last request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'e> {
    /// Registers, for a host call.
    pub gprs: &'e [u64; 31],
    /// The RIPAS change is rejected.
    pub ripas_reject: bool,
}
