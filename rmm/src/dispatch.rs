//! From the registers of a Host call to the function of the command, and back.

use machine::{Event, Machine};
use realm::Rmm;
use rmi::abi::{Outputs, fid};
use rmi::error::Refusal;
use rmi::{data, granule as granules, psci, realm as realms, rec, rtt, version};

use crate::run;

/// SMCCC NOT_SUPPORTED.
const NOT_SUPPORTED: u64 = u64::MAX;

/// The function identifier is W0 (SMCCC). Its bit 16 is the SVE hint of SMCCC 1.3: the Host has no live SVE state.
const IDENTIFIER: u64 = 0xffff_ffff & !(1 << 16);

/// Handles one call of the Host: X0 to X7 in, X0 to X4 out.
///
/// Undefined outputs are zero, except X4, which keeps the Host's value unless the command returns one.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B1.1, B4.1; RMM-EL3 communication interface, `RMM_RMI_REQ_COMPLETE`.
pub fn handle<M: Machine>(rmm: &Rmm<'_, M>, call: &[u64; 8]) -> [u64; 5] {
    let [x0, x1, x2, x3, x4, x5, _, _] = *call;
    let command = x0 & IDENTIFIER;
    let (name, result) = match command {
        fid::VERSION => {
            let (supported, [lower, higher, ..]) = version::version(x1);
            return [u64::from(!supported), lower, higher, 0, x4];
        }
        fid::FEATURES => ("RMI_FEATURES", Ok(version::features(&rmm.features, x1))),
        fid::GRANULE_DELEGATE => ("RMI_GRANULE_DELEGATE", granules::delegate(rmm, x1)),
        fid::GRANULE_UNDELEGATE => ("RMI_GRANULE_UNDELEGATE", granules::undelegate(rmm, x1)),
        fid::DATA_CREATE => ("RMI_DATA_CREATE", data::create(rmm, x1, x2, x3, x4, x5)),
        fid::DATA_CREATE_UNKNOWN => {
            ("RMI_DATA_CREATE_UNKNOWN", data::create_unknown(rmm, x1, x2, x3))
        }
        fid::DATA_DESTROY => ("RMI_DATA_DESTROY", data::destroy(rmm, x1, x2)),
        fid::REALM_ACTIVATE => ("RMI_REALM_ACTIVATE", realms::activate(rmm, x1)),
        fid::REALM_CREATE => ("RMI_REALM_CREATE", realms::create(rmm, x1, x2)),
        fid::REALM_DESTROY => ("RMI_REALM_DESTROY", realms::destroy(rmm, x1)),
        fid::REC_CREATE => ("RMI_REC_CREATE", rec::create(rmm, x1, x2, x3)),
        fid::REC_DESTROY => ("RMI_REC_DESTROY", rec::destroy(rmm, x1)),
        fid::REC_ENTER => ("RMI_REC_ENTER", rec::enter::enter(rmm, x1, x2, run::run)),
        fid::REC_AUX_COUNT => ("RMI_REC_AUX_COUNT", rec::aux_count(rmm, x1)),
        fid::RTT_CREATE => ("RMI_RTT_CREATE", rtt::create(rmm, x1, x2, x3, x4)),
        fid::RTT_DESTROY => {
            return with_top_in_x2(rmm, "RMI_RTT_DESTROY", rtt::destroy(rmm, x1, x2, x3), x4);
        }
        fid::RTT_MAP_UNPROTECTED => {
            ("RMI_RTT_MAP_UNPROTECTED", rtt::map_unprotected(rmm, x1, x2, x3, x4))
        }
        fid::RTT_UNMAP_UNPROTECTED => {
            ("RMI_RTT_UNMAP_UNPROTECTED", rtt::unmap_unprotected(rmm, x1, x2, x3))
        }
        fid::RTT_READ_ENTRY => {
            return match rtt::read_entry(rmm, x1, x2, x3) {
                Ok([level, state, desc, ripas]) => [0, level, state, desc, ripas],
                Err(refusal) => [refuse(rmm, "RMI_RTT_READ_ENTRY", &refusal), 0, 0, 0, 0],
            };
        }
        fid::RTT_FOLD => ("RMI_RTT_FOLD", rtt::fold(rmm, x1, x2, x3)),
        fid::RTT_INIT_RIPAS => ("RMI_RTT_INIT_RIPAS", rtt::init_ripas(rmm, x1, x2, x3)),
        fid::RTT_SET_RIPAS => ("RMI_RTT_SET_RIPAS", rtt::set_ripas(rmm, x1, x2, x3, x4)),
        fid::PSCI_COMPLETE => ("RMI_PSCI_COMPLETE", psci::complete(rmm, x1, x2, x3)),
        _ => {
            rmm.machine.log(Event::UnknownCommand { fid: x0 });
            return [NOT_SUPPORTED, 0, 0, 0, x4];
        }
    };
    if command == fid::DATA_DESTROY {
        return with_top_in_x2(rmm, name, result, x4);
    }
    match result {
        Ok([o1, o2, o3, _]) => [0, o1, o2, o3, x4],
        // The one remaining command with a `top`, RTT_UNMAP_UNPROTECTED, returns it in X1.
        Err(refusal) => [refuse(rmm, name, &refusal), refusal.top, 0, 0, x4],
    }
}

/// The reply of commands whose X1 is a granule, and X2 how far the Host may skip, also on failure.
fn with_top_in_x2<M: Machine>(
    rmm: &Rmm<'_, M>,
    name: &'static str,
    result: Result<Outputs, Refusal>,
    x4: u64,
) -> [u64; 5] {
    match result {
        Ok([granule, top, ..]) => [0, granule, top, 0, x4],
        Err(refusal) => [refuse(rmm, name, &refusal), 0, refusal.top, 0, x4],
    }
}

/// Logs which condition refused the command; X0 for the Host.
#[cold]
fn refuse<M: Machine>(rmm: &Rmm<'_, M>, command: &'static str, refusal: &Refusal) -> u64 {
    let code = refusal.error.to_return_code();
    rmm.machine.log(Event::Refused { command, condition: refusal.condition, code });
    code
}
