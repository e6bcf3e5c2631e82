//! Version 1.0.

use super::{Dialect, NewPage, NewRec, PSCI_SUCCESS, Reached, ReadyRec, Taken};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::abi::{VERSION_1_0, rec_params};
use crate::rmi::run::{RecEnter, RecExit};
use crate::rmi::{Features, Rmi, RmiError, v1_0};
use crate::vgic::Loaded;
use alloc::vec::Vec;
use core::ops::Range;

/// Version 1.0.
#[derive(Clone, Copy, Debug)]
pub struct V1_0;

/// Descriptor bits of a shared page: Normal write-back memory, readable and writable.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_MAP_UNPROTECTED`; Arm ARM (DDI0487),
/// stage 2 `MemAttr` with FWB and `S2AP`.
const SHARED_ATTRIBUTES: u64 = 0b110 << 2 | 0b11 << 6;

/// Most auxiliary granules that a REC can have.
const AUX_MAX: u64 = 16;

/// Does `command` for each granule of a range.
fn each(base: u64, top: u64, command: impl Fn(u64) -> Result<(), RmiError>) -> Reached {
    let mut at = base;
    while at < top {
        if let Err(error) = command(at) {
            return Reached { top: at, refusal: Some(error) };
        }
        at += PAGE_SIZE;
    }
    Reached { top: at, refusal: None }
}

impl Dialect for V1_0 {
    fn version(&self) -> u64 {
        VERSION_1_0
    }

    fn features(&self, rmi: Rmi<'_>) -> Result<Features, Failure> {
        Ok(v1_0::features(rmi.features(0)?))
    }

    fn begin(&self, _host: &Host, _memory: &[Range<u64>]) -> Result<(), Failure> {
        Ok(())
    }

    fn end(&self, _host: &Host) -> Result<(), Failure> {
        Ok(())
    }

    fn delegate(&self, host: &Host, base: u64, top: u64) -> Reached {
        each(base, top, |pa| host.v1_0().granule_delegate(pa))
    }

    fn undelegate(&self, host: &Host, base: u64, top: u64) -> Reached {
        each(base, top, |pa| host.v1_0().granule_undelegate(pa))
    }

    fn create_realm(&self, host: &Host, rd: u64, params: u64) -> Result<(), Failure> {
        Ok(host.v1_0().realm_create(rd, params)?)
    }

    fn terminate_realm(&self, _host: &Host, _rd: u64) -> Result<(), Failure> {
        Ok(())
    }

    fn destroy_realm(&self, host: &Host, rd: u64) -> Result<(), Failure> {
        Ok(host.v1_0().realm_destroy(rd)?)
    }

    fn create_rec(&self, host: &Host, new: &NewRec, held: &mut Vec<u64>) -> Result<(), Failure> {
        let NewRec { rd, rec, params, .. } = *new;
        let aux_count = host.v1_0().rec_aux_count(rd)?;
        for _ in 0..aux_count.min(AUX_MAX) {
            held.push(host.take_granule()?);
        }
        let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
        write(rec_params::NUM_AUX, aux_count);
        for (n, aux) in (0..).zip(held.iter()) {
            write(rec_params::AUX + 8 * n, *aux);
        }
        Ok(host.v1_0().rec_create(rd, rec, params)?)
    }

    /// The auxiliary granules stay DELEGATED, and held until they are taken back.
    fn destroy_rec(&self, host: &Host, rec: u64, _held: &mut Vec<u64>) -> Result<(), Failure> {
        Ok(host.v1_0().rec_destroy(rec)?)
    }

    fn add_page(&self, host: &Host, rd: u64, page: NewPage) -> Result<(), RmiError> {
        host.v1_0().data_create(rd, page.data, page.ipa, page.source)
    }

    fn map(&self, host: &Host, rd: u64, ipa: u64, data: Range<u64>) -> Result<u64, RmiError> {
        host.v1_0().data_create_unknown(rd, data.start, ipa)?;
        Ok(ipa + PAGE_SIZE)
    }

    fn has_blocks(&self) -> bool {
        false
    }

    fn unmap(&self, host: &Host, rd: u64, base: u64, _top: u64) -> Result<Taken, RmiError> {
        match host.v1_0().data_destroy(rd, base) {
            Ok((data, next)) => {
                Ok(Taken { next: next.max(base + PAGE_SIZE), base: data, size: PAGE_SIZE })
            }
            // Nothing is there, and the monitor says where something may be.
            Err(error) if error.rtt_level().is_some() && error.top() > base => {
                Ok(Taken { next: error.top(), base: 0, size: 0 })
            }
            Err(error) => Err(error),
        }
    }

    fn share(&self, host: &Host, rd: u64, ipa: u64, page: u64) -> Result<(), RmiError> {
        host.v1_0().rtt_map_unprotected(rd, ipa, page | SHARED_ATTRIBUTES)
    }

    fn unshare(&self, host: &Host, rd: u64, base: u64, _top: u64) -> Result<(bool, u64), RmiError> {
        match host.v1_0().rtt_unmap_unprotected(rd, base) {
            Ok(next) => Ok((true, next.max(base + PAGE_SIZE))),
            Err(error) if error.rtt_level().is_some() && error.top() > base => {
                Ok((false, error.top()))
            }
            Err(error) => Err(error),
        }
    }

    /// The list registers go into the run page and come back in it; the rest of the virtual
    /// interface is the monitor's.
    fn enter(
        &self,
        host: &Host,
        rec: &ReadyRec,
        enter: &RecEnter,
        interrupts: &mut Loaded,
    ) -> Result<RecExit, RmiError> {
        let passed = RecEnter { gicv3_hcr: interrupts.hcr, gicv3_lrs: interrupts.lrs, ..*enter };
        rec.run.write_enter(host.machine(), &passed);
        host.enter(rec)?;
        let exit = rec.run.read_exit(host.machine());
        interrupts.lrs = exit.gicv3_lrs;
        interrupts.interface.vmcr = exit.gicv3_vmcr;
        Ok(exit)
    }

    fn complete_cpu_on(&self, host: &Host, caller: u64, target: u64) -> Result<(), RmiError> {
        host.v1_0().psci_complete(caller, target, PSCI_SUCCESS)
    }
}
