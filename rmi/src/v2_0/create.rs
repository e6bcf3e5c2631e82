//! The two commands that make an object from a page of parameters.

use machine::{AttestRoot, Hasher, HostMemory, Log, Memory};
use realm::features::ExtensionsWish;
use realm::measurement::Algorithm;
use realm::rtt::Level;
use realm::{Numbering, Rmm};

use super::{args, choices};
use crate::ops::realm::Encryption;
use crate::ops::sro::Begun;
use crate::ops::{self, Cause, HostPage};
use crate::pages::{self, RealmParams, RecParams};
use crate::words::AbiWords;

/// `RmiRealmFlags0`.
mod flag0 {
    pub(super) const LPA2: u64 = 1;
    pub(super) const SVE: u64 = 1 << 1;
    pub(super) const PMU: u64 = 1 << 2;
    pub(super) const DEVICES: u64 = 1 << 3;
}

/// `RmiRealmFlags1`, those of features that this monitor has not. A tree for each plane means
/// nothing without planes.
mod flag1 {
    pub(super) const INDIRECT_PERMISSIONS: u64 = 1 << 1;
    pub(super) const ATS: u64 = 1 << 2;
}

/// `RmiRecCreateFlags`, bit 0.
const REC_RUNNABLE: u64 = 1;

/// `RmiHashAlgorithm`.
const fn algorithm(raw: u8) -> Option<Algorithm> {
    match raw {
        0 => Some(Algorithm::Sha256),
        1 => Some(Algorithm::Sha512),
        2 => Some(Algorithm::Sha384),
        _ => None,
    }
}

/// `mec_policy`, bits 8:7 of `flags0`.
const fn encryption(flags0: u64) -> Option<Encryption> {
    match flags0 >> 7 & 3 {
        0 => Some(Encryption::Shared),
        1 => Some(Encryption::Private),
        _ => None,
    }
}

/// Whether `lfa_policy`, bits 6:5 of `flags0`, is one. Any will do: the monitor is never replaced
/// while it runs.
const fn is_live_activation_policy(flags0: u64) -> bool {
    flags0 >> 5 & 3 <= 1
}

/// A number of breakpoints or watchpoints, minus one.
const fn points(raw: u8) -> u8 {
    /// Two of a kind.
    const FEWEST: u8 = 1;
    if raw == 0 && choices::ZERO_BREAKPOINTS_ARE_THE_FEWEST { FEWEST } else { raw }
}

/// The fields of which no Realm of this monitor has more than none.
fn check_absent(params: &RealmParams) -> Result<(), Cause> {
    if params.flags() & flag0::DEVICES != 0
        || params.flags1() & (flag1::INDIRECT_PERMISSIONS | flag1::ATS) != 0
        || params.num_aux_planes() != 0
    {
        return Err(Cause::RealmUnsupported);
    }
    // The plane must be one of those that there are.
    if params.ats_plane() == 0 { Ok(()) } else { Err(Cause::RealmParams) }
}

/// `RMI_REALM_CREATE`. The VMID is the monitor's choice.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_REALM_CREATE`, `RmiRealmParams`.
// Out of line: its page would make the stack of every command larger.
#[inline(never)]
pub(super) fn realm<M: Memory + HostMemory + Hasher + AttestRoot + Log>(
    rmm: &Rmm<'_, M>,
    rd: u64,
    params: u64,
) -> Result<(), Cause> {
    let rd = args::rd(rmm, rd)?;
    let page = args::host_page(rmm, HostPage::Params, params)?;
    let mut params = RealmParams(AbiWords::zeroed());
    pages::read(rmm.machine, page, &mut params.0)?;
    check_absent(&params)?;
    let flags = params.flags();
    let encryption = encryption(flags).filter(|_| is_live_activation_policy(flags));
    let encryption = encryption.ok_or(Cause::RealmParams)?;
    let start = Level::new(params.rtt_level_start());
    let is_large = params.s2sz() > 48 || start.is_some_and(|level| level.as_i64() < 0);
    let wanted = ops::realm::Wanted {
        lpa2: flags & flag0::LPA2 != 0 || choices::LPA2_IS_IMPLIED && is_large,
        ipa_width: params.s2sz(),
        extensions: ExtensionsWish {
            sve_vl: (flags & flag0::SVE != 0).then_some(params.sve_vl()),
            counters: (flags & flag0::PMU != 0).then_some(params.pmu_num_ctrs()),
            breakpoints_minus_one: points(params.num_bps()),
            watchpoints_minus_one: points(params.num_wps()),
        },
        algorithm: algorithm(params.hash_algo()),
        rpv: params.rpv(),
        vmid: None,
        root: params.rtt_base(),
        start,
        roots: params.rtt_num_start(),
        measured: None,
        encryption: Some(encryption),
        numbering: Numbering::Free,
    };
    ops::realm::create(rmm, rd, &wanted)
}

/// `RMI_REC_CREATE`, as far as the first call goes.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_REC_CREATE`, `RmiRecParams`.
// Out of line: its pages would make the stack of every command larger.
#[inline(never)]
pub(super) fn rec<M: Memory + HostMemory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: u64,
    rec: u64,
    params: u64,
) -> Result<Begun, Cause> {
    let page = args::host_page(rmm, HostPage::Params, params)?;
    let rec = args::rec(rmm, rec)?;
    let rd = args::rd(rmm, rd)?;
    let mut params = RecParams(AbiWords::zeroed());
    pages::read(rmm.machine, page, &mut params.0)?;
    let wanted = ops::rec::Wanted {
        is_runnable: params.flags() & REC_RUNNABLE != 0,
        index: args::rec_index(params.mpidr()),
        pc: params.pc(),
        gprs: params.gprs(),
        measured: &params.measured(),
    };
    ops::rec::begin_create(rmm, rd, rec, &wanted)
}
