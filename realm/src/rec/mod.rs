//! The Realm Execution Context: one CPU of a Realm, while it does not run and while it does.

pub mod controls;
pub mod exception;
pub mod index;

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use granule::GranuleAddr;
use machine::Words;
use machine::addr::PAGE_WORDS;
use machine::extensions::{Extensions, VECTOR_GRANULES_MAX};
use machine::vcpu::VcpuRegisters;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

pub use index::RecIndex;

use crate::measurement::VALUE_BYTES;
use crate::rd::Rd;
use crate::rtt::ripas::Wish;
use crate::rtt::{Ripas, Tree, TreeWords};

/// Most auxiliary granules of a REC that the ABI has room for.
pub const AUX_MAX: usize = 16;

/// An auxiliary granule that each REC has, whatever its Realm's extensions: its place in the list.
///
/// What is secret while a token is signed never shares a granule with what the Realm is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum RecAux {
    /// The attestation token, once it is complete.
    Token = 0,
    /// What the token is made of: the Realm's request, the signature half done, the Realm's part.
    Workspace = 1,
}

impl RecAux {
    const COUNT: usize = 2;
}

/// Auxiliary granules that a REC needs: those of [`RecAux`], then the granules of its vectors.
pub const fn aux_count(extensions: &Extensions) -> usize {
    RecAux::COUNT + extensions.vector_granules()
}

const _: () = assert!(RecAux::COUNT + VECTOR_GRANULES_MAX <= AUX_MAX);

/// What the Realm asked the Host for at the last exit, and is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Pending {
    /// Nothing.
    None = 0,
    /// A PSCI call, to be completed by RMI_PSCI_COMPLETE.
    Psci = 1,
    /// A host call, to be completed by the next entry.
    HostCall = 2,
    /// A RIPAS change, to be completed by the next entry.
    RipasChange = 3,
}

/// Syndrome of the last exit, for the flags of the next entry. Zero when there was none to
/// remember.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LastExit {
    /// ESR_EL2, with ISV cleared if the Host was not shown an emulatable access.
    pub esr: u64,
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
}

/// The RIPAS change that the Realm wishes; zero when none is pending.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RipasRequest {
    /// First address not yet changed.
    pub addr: u64,
    /// First address past the range.
    pub top: u64,
    /// 1 for RAM, 0 for EMPTY: no Realm may wish anything else.
    wishes_ram: u64,
    /// 1 if DESTROYED entries may change, else 0.
    changes_destroyed: u64,
}

impl RipasRequest {
    /// A wish about `[base, top)`.
    pub fn new(base: u64, top: u64, wish: Wish) -> Self {
        Self {
            addr: base,
            top,
            wishes_ram: u64::from(wish.ripas == Ripas::Ram),
            changes_destroyed: u64::from(wish.change_destroyed),
        }
    }

    /// What the Realm wished, for the RTT engine.
    pub fn wish(&self) -> Wish {
        let ripas = if self.wishes_ram != 0 { Ripas::Ram } else { Ripas::Empty };
        Wish { ripas, change_destroyed: self.changes_destroyed != 0 }
    }
}

/// How far the attestation token of a REC is. What there is of it lies in the REC's auxiliary
/// granules, see [`RecAux`].
///
/// Source: RMM specification (Arm DEN0137) 1.0, A7.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// None is being made.
    NotStarted,
    /// The Realm has asked for one: challenge and measurements are noted, nothing is computed yet.
    Requested,
    /// The signature is being computed.
    Signing {
        /// Bytes of the Realm's part of the token.
        length: usize,
    },
    /// The Realm's part is signed; the platform's is to be fetched.
    Signed {
        /// Bytes of the Realm's part of the token.
        length: usize,
    },
    /// The token is complete.
    Ready {
        /// Bytes of the token.
        length: usize,
        /// Bytes that the Realm has already.
        copied: usize,
    },
}

/// [`TokenState`] in a REC; zero is [`TokenState::NotStarted`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct TokenWords {
    state: u64,
    length: u64,
    copied: u64,
}

/// Contents of a granule in state REC. A count of 1 on the granule means that it runs.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct Rec {
    /// The CPU's registers.
    pub registers: VcpuRegisters,
    owner: u64,
    index: u64,
    runnable: u64,
    pending: u64,
    /// Syndrome of the last exit.
    pub last_exit: LastExit,
    /// The pending RIPAS change.
    pub ripas: RipasRequest,
    /// Registers of the host call that ended the last run.
    pub host_call: [u64; 31],
    /// Timer controls (CNTP_CTL, CNTV_CTL) as the Host was last told.
    pub reported_timers: [u64; 2],
    token: TokenWords,
    /// A copy: it never changes.
    tree: TreeWords,
    aux_count: u64,
    aux: [u64; AUX_MAX],
    /// Of a runnable REC that is being made: the hash of its parameters, which extends the RIM in
    /// the end.
    measured: [u8; VALUE_BYTES],
    reserved: [u64; RESERVED_WORDS],
}

const RESERVED_WORDS: usize = PAGE_WORDS
    - (size_of::<VcpuRegisters>()
        + size_of::<LastExit>()
        + size_of::<RipasRequest>()
        + size_of::<TokenWords>()
        + size_of::<TreeWords>()
        + VALUE_BYTES)
        / 8
    - (4 + 31 + 2 + 1 + AUX_MAX);

impl Rec {
    /// Initialises a REC of the Realm at `owner`; `self` must be zeroed.
    pub fn init(&mut self, owner: GranuleAddr, rd: &Rd, index: RecIndex, runnable: bool) {
        let tree = rd.tree();
        self.owner = owner.as_u64();
        self.index = index.as_u64();
        self.runnable = u64::from(runnable);
        self.registers.extensions = rd.extensions;
        self.tree = (&tree).into();
    }

    /// The Realm Descriptor of the Realm that the REC belongs to.
    pub fn owner(&self) -> GranuleAddr {
        GranuleAddr::containing(self.owner)
    }

    /// The REC's index in its Realm.
    pub fn index(&self) -> RecIndex {
        RecIndex::from_stored(self.index)
    }

    /// Owner and index of a REC that may be running: the two things about it that never change.
    pub fn identity(words: &Words) -> (GranuleAddr, RecIndex) {
        let word = |offset: usize| {
            words.0.get(offset / size_of::<u64>()).map_or(0, |word| word.load(Ordering::Relaxed))
        };
        let owner = GranuleAddr::containing(word(offset_of!(Self, owner)));
        (owner, RecIndex::from_stored(word(offset_of!(Self, index))))
    }

    /// Whether the REC may be entered: it is switched on.
    pub fn is_runnable(&self) -> bool {
        self.runnable != 0
    }

    /// Switches the REC on or off.
    pub fn set_runnable(&mut self, runnable: bool) {
        self.runnable = u64::from(runnable);
    }

    /// What the Host still owes an answer to.
    pub fn pending(&self) -> Pending {
        match self.pending {
            0 => Pending::None,
            1 => Pending::Psci,
            2 => Pending::HostCall,
            3 => Pending::RipasChange,
            other => unreachable!("pending {other}"),
        }
    }

    /// Remembers what the Host owes an answer to.
    pub fn set_pending(&mut self, pending: Pending) {
        self.pending = pending as u64;
    }

    /// How far the REC's attestation token is.
    pub fn token(&self) -> TokenState {
        let TokenWords { state, length, copied } = self.token;
        let small = |bytes: u64| match usize::try_from(bytes) {
            Ok(small) => small,
            Err(_) => unreachable!("{bytes} bytes of a token"),
        };
        let length = small(length);
        match state {
            0 => TokenState::NotStarted,
            1 => TokenState::Requested,
            2 => TokenState::Signing { length },
            3 => TokenState::Signed { length },
            4 => TokenState::Ready { length, copied: small(copied) },
            other => unreachable!("token state {other}"),
        }
    }

    /// Remembers how far the REC's attestation token is.
    pub fn set_token(&mut self, token: TokenState) {
        let (state, length, copied) = match token {
            TokenState::NotStarted => (0, 0, 0),
            TokenState::Requested => (1, 0, 0),
            TokenState::Signing { length } => (2, length, 0),
            TokenState::Signed { length } => (3, length, 0),
            TokenState::Ready { length, copied } => (4, length, copied),
        };
        self.token = TokenWords { state, length: length as u64, copied: copied as u64 };
    }

    /// The Realm's translation tables.
    pub fn tree(&self) -> Tree {
        self.tree.tree()
    }

    /// Remembers the auxiliary granules, [`aux_count`] of them.
    pub fn set_aux(&mut self, granules: impl Iterator<Item = GranuleAddr> + Clone) {
        self.registers.sve.set_granules(granules.clone().skip(RecAux::COUNT));
        self.aux_count = 0;
        for (word, granule) in self.aux.iter_mut().zip(granules) {
            *word = granule.as_u64();
            self.aux_count += 1;
        }
    }

    /// Adds a granule to those that a REC has got so far that is being made.
    pub fn push_aux(&mut self, granule: GranuleAddr) {
        let count = usize::try_from(self.aux_count).unwrap_or(AUX_MAX);
        let Some(word) = self.aux.get_mut(count) else { unreachable!("more than AUX_MAX") };
        *word = granule.as_u64();
        self.aux_count += 1;
    }

    /// Keeps the first `count` auxiliary granules of a REC that is being taken apart.
    pub fn keep_aux(&mut self, count: usize) {
        self.aux_count = self.aux_count.min(count as u64);
    }

    /// Remembers the hash of a new REC's parameters until the REC is complete.
    pub fn set_measured(&mut self, content: [u8; VALUE_BYTES]) {
        self.measured = content;
    }

    /// The hash of a new REC's parameters; it is forgotten.
    pub fn take_measured(&mut self) -> [u8; VALUE_BYTES] {
        core::mem::replace(&mut self.measured, [0; VALUE_BYTES])
    }

    /// The auxiliary granules.
    pub fn aux(&self) -> impl Iterator<Item = GranuleAddr> {
        let count = usize::try_from(self.aux_count).unwrap_or(0);
        self.aux.iter().take(count).map(|&pa| GranuleAddr::containing(pa))
    }

    /// The auxiliary granule of this role.
    pub fn aux_for(&self, role: RecAux) -> GranuleAddr {
        match self.aux().nth(role as usize) {
            Some(granule) => granule,
            None => unreachable!("auxiliary granule {role:?} of a REC"),
        }
    }

    /// General-purpose register `number` as an instruction names it: 31 reads as zero.
    pub fn gpr(&self, number: usize) -> u64 {
        self.registers.gprs.get(number).copied().unwrap_or(0)
    }

    /// Writes general-purpose register `number` as an instruction names it: 31 is dropped.
    pub fn set_gpr(&mut self, number: usize, value: u64) {
        if let Some(gpr) = self.registers.gprs.get_mut(number) {
            *gpr = value;
        }
    }

    /// What PSCI CPU_ON leaves of a CPU: the state after reset, with the virtual interrupts it had.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.7, B3.27 `PsciCompleteRequest`: all
    /// registers but X0 are zero.
    pub fn reset_for_cpu_on(&mut self, entry: u64, context: u64, big_endian: u64) {
        let old = self.registers;
        self.registers = VcpuRegisters::new_zeroed();
        controls::reset(&mut self.registers);
        self.registers.hcr_el2 = old.hcr_el2;
        self.registers.vtcr_el2 = old.vtcr_el2;
        self.registers.vttbr_el2 = old.vttbr_el2;
        self.registers.vmpidr_el2 = old.vmpidr_el2;
        self.registers.gic = old.gic;
        self.registers.extensions = old.extensions;
        self.registers.sve = old.sve.emptied();
        self.registers.el1.sctlr_el1 |= big_endian & controls::SCTLR_EE;
        self.registers.pc = entry;
        self.set_gpr(0, context);
        self.reported_timers = [0; 2];
        self.last_exit = LastExit::default();
        self.set_pending(Pending::None);
        self.set_runnable(true);
    }

    /// Steps over the instruction that trapped; a completed instruction leaves BTYPE 0, and is one
    /// step.
    pub fn advance_pc(&mut self) {
        self.registers.pc = self.registers.pc.wrapping_add(4);
        self.registers.pstate &= !(controls::PSTATE_BTYPE | controls::PSTATE_SS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::Page;

    #[test]
    fn a_rec_is_one_granule_and_register_31_is_zero() {
        let mut page = Page::zeroed();
        let rec: &mut Rec = page.view_mut();
        rec.set_gpr(30, 7);
        rec.set_gpr(31, 9);
        assert_eq!((rec.gpr(30), rec.gpr(31)), (7, 0));
        assert_eq!(rec.aux().count(), 0);
    }

    /// Hosts and suites give a REC one granule twice and expect a refusal: that takes at least two.
    #[test]
    fn each_auxiliary_granule_has_one_role() {
        for (vl, vectors) in [(None, 0), (Some(0), 1), (Some(15), 2)] {
            let plain = Extensions::new(1, 1);
            let extensions = vl.map_or(plain, |vl| plain.with_sve(vl));
            let count = aux_count(&extensions);
            assert_eq!(count, 2 + vectors);
            let granules: Vec<GranuleAddr> =
                (1..=count as u64).map(|n| GranuleAddr::new(n << 12).unwrap()).collect();
            let mut page = Page::zeroed();
            let rec: &mut Rec = page.view_mut();
            rec.set_aux(granules.iter().copied());
            let (first, second) = rec.registers.sve.granules();
            let vectors = [first, second.unwrap_or(GranuleAddr::containing(0))];
            let mut roles = vec![rec.aux_for(RecAux::Token), rec.aux_for(RecAux::Workspace)];
            roles.extend(vectors.into_iter().filter(|granule| granule.as_u64() != 0));
            assert_eq!(roles, granules);
            assert_eq!(rec.aux().collect::<Vec<_>>(), granules);
        }
    }

    #[test]
    fn the_state_of_a_token_survives_its_encoding() {
        let mut page = Page::zeroed();
        let rec: &mut Rec = page.view_mut();
        assert_eq!(rec.token(), TokenState::NotStarted);
        for token in [
            TokenState::Requested,
            TokenState::Signing { length: 590 },
            TokenState::Signed { length: 750 },
            TokenState::Ready { length: 2124, copied: 17 },
            TokenState::NotStarted,
        ] {
            rec.set_token(token);
            assert_eq!(rec.token(), token);
        }
    }
}
