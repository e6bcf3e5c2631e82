//! RSI_REALM_CONFIG: what the Realm may know of itself.

use machine::{Memory, PAGE_SIZE};
use realm::measurement::Algorithm;
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, SUCCESS};
use crate::guest;
use crate::measurement::with_rd;

/// The number of a hash algorithm.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0, `RsiHashAlgorithm`.
const fn hash_algo(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Sha256 => 0,
        Algorithm::Sha512 => 1,
        Algorithm::Sha384 => 2,
    }
}

/// `RSI_REALM_CONFIG`: writes `RsiRealmConfig` to the Realm's page at X1. Bytes outside its fields
/// become zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0, `RSI_REALM_CONFIG`, `RsiRealmConfig`.
pub fn read<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    const IPA_WIDTH: usize = 0;
    const HASH_ALGO: usize = 1;
    const GIC_VTR: usize = 0x18 / 8;
    const RPV: usize = 0x200 / 8;
    let ipa = rec.gpr(1);
    let space = rec.tree().space;
    if !ipa.is_multiple_of(PAGE_SIZE) || !space.is_protected(ipa) {
        return Outcome::code(ERROR_INPUT);
    }
    let (algorithm, rpv, has_instance): (_, [u64; 8], _) = with_rd(rmm, rec, |rd| {
        (rd.algorithm(), zerocopy::transmute!(rd.rpv), rd.instance.get().is_some())
    });
    // A field that came with instances. Those that follow it are about planes, of which there are
    // none.
    let gic_vtr = if has_instance { rmm.facts.ich_vtr } else { 0 };
    let written = guest::with_page(rmm, &rec.tree(), ipa, |page| {
        for index in 0..page.0.len() {
            let value = match index {
                IPA_WIDTH => u64::from(space.width_bits()),
                HASH_ALGO => hash_algo(algorithm),
                GIC_VTR => gic_vtr,
                _ => index.checked_sub(RPV).and_then(|at| rpv.get(at)).copied().unwrap_or(0),
            };
            guest::set_word(page, index, value);
        }
    });
    match written {
        Ok(()) => Outcome::code(SUCCESS),
        Err(error) => guest::failed(rec, ipa, error),
    }
}
