//! The two commands that make an object from a page of parameters.

use machine::{AttestRoot, Hasher, HostMemory, Log, Memory};
use realm::features::ExtensionsWish;
use realm::measurement::Algorithm;
use realm::rtt::Level;
use realm::{Numbering, Rmm};

use super::args;
use crate::ops::{self, Cause, HostPage};
use crate::pages::{self, RealmParams, RecParams};
use crate::words::AbiWords;

/// `RmiRealmFlags`.
mod realm_flag {
    pub(super) const LPA2: u64 = 1;
    pub(super) const SVE: u64 = 1 << 1;
    pub(super) const PMU: u64 = 1 << 2;
}

/// `RmiRecCreateFlags`, bit 0.
const REC_RUNNABLE: u64 = 1;

/// `RmiHashAlgorithm`.
const fn algorithm(raw: u8) -> Option<Algorithm> {
    match raw {
        0 => Some(Algorithm::Sha256),
        1 => Some(Algorithm::Sha512),
        _ => None,
    }
}

/// `RMI_REALM_CREATE`.
// Out of line: its pages would make the stack of every command larger.
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
    let flags = params.flags();
    let wanted = ops::realm::Wanted {
        lpa2: flags & realm_flag::LPA2 != 0,
        ipa_width: params.s2sz(),
        extensions: ExtensionsWish {
            sve_vl: (flags & realm_flag::SVE != 0).then_some(params.sve_vl()),
            counters: (flags & realm_flag::PMU != 0).then_some(params.pmu_num_ctrs()),
            breakpoints_minus_one: params.num_bps(),
            watchpoints_minus_one: params.num_wps(),
        },
        algorithm: algorithm(params.hash_algo()),
        rpv: params.rpv(),
        vmid: Some(params.vmid()),
        root: params.rtt_base(),
        start: Level::new(params.rtt_level_start()),
        roots: params.rtt_num_start(),
        measured: Some(&params.measured()),
        encryption: None,
        numbering: Numbering::InOrder,
    };
    ops::realm::create(rmm, rd, &wanted)
}

/// `RMI_REC_CREATE`.
// Out of line: its pages would make the stack of every command larger.
#[inline(never)]
pub(super) fn rec<M: Memory + HostMemory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: u64,
    rec: u64,
    params: u64,
) -> Result<(), Cause> {
    let rec = args::rec(rmm, rec)?;
    let rd = args::rd(rmm, rd)?;
    let page = args::host_page(rmm, HostPage::Params, params)?;
    let mut params = RecParams(AbiWords::zeroed());
    pages::read(rmm.machine, page, &mut params.0)?;
    let aux = params.aux();
    let wanted = ops::rec::Wanted {
        is_runnable: params.flags() & REC_RUNNABLE != 0,
        index: args::rec_index(params.mpidr()),
        pc: params.pc(),
        gprs: params.gprs(),
        measured: &params.measured(),
    };
    let aux = usize::try_from(params.num_aux()).ok().and_then(|count| aux.get(..count));
    ops::rec::create(rmm, rd, rec, &wanted, aux)
}
