//! Version 2.0, as Linux drives it.

use super::{Dialect, NewPage, NewRec, PSCI_SUCCESS, Reached, ReadyRec, Taken};
use crate::failure::Failure;
use crate::host::Host;
use crate::ipa::entry_size;
use crate::machine::VirtualInterrupts;
use crate::rmi::abi::VERSION_2_0;
use crate::rmi::command::{REALM_CREATE, REALM_DESTROY, REC_CREATE, REC_DESTROY};
use crate::rmi::run::{RecEnter, RecExit};
use crate::rmi::v2_0::command::{
    GRANULE_RANGE_DELEGATE, GRANULE_RANGE_UNDELEGATE, RMM_ACTIVATE, RMM_DEACTIVATE,
};
use crate::rmi::v2_0::descriptor::AddrRange;
use crate::rmi::v2_0::operation::Operation;
use crate::rmi::v2_0::{self, FEATURE_REGISTERS, rmm_config};
use crate::rmi::{Command, Features, Rmi, RmiError};
use crate::vgic::Loaded;
use alloc::vec::Vec;
use core::ops::Range;

/// Version 2.0.
#[derive(Clone, Copy, Debug)]
pub struct V2_0;

/// `ICH_HCR_EL2.En`: the virtual interface works.
const ENABLED: u64 = 1;

/// Issues a range command again and again, each time from where it ended, until it has done all or
/// is refused.
fn whole(
    name: Command,
    base: u64,
    top: u64,
    command: impl Fn(u64) -> Result<u64, RmiError>,
) -> Reached {
    let mut at = base;
    while at < top {
        match command(at) {
            Ok(next) if next > at && next <= top => at = next,
            // A monitor that claims success without progress would keep us here for ever.
            Ok(_) => {
                let error = RmiError::without_progress(name, [at, top]);
                return Reached { top: at, refusal: Some(error) };
            }
            Err(error) => return Reached { top: at, refusal: Some(error) },
        }
    }
    Reached { top: at, refusal: None }
}

impl V2_0 {
    /// Asks whether Realms can have all of `memory`, page by page.
    fn check_memory(self, host: &Host, memory: &Range<u64>) -> Result<(), Failure> {
        let mut at = memory.start;
        while at < memory.end {
            let tracking = host.v2_0().tracking(at, memory.end)?;
            if !tracking.is_fine_memory() {
                return Err(failure!("the monitor does not track {at:#x} by pages: {tracking:?}"));
            }
            if tracking.top <= at {
                return Err(failure!("RMI_GRANULE_TRACKING_GET({at:#x}) gets no further"));
            }
            at = tracking.top;
        }
        Ok(())
    }

    /// Asks whether EL3 has made the protection tables for all of `memory`; this host makes none.
    fn check_protection(self, host: &Host, memory: &Range<u64>) -> Result<(), Failure> {
        const MADE_BY_EL3: u64 = 1;
        let size = host.rmi().features(1).map(l0_gpt_size)?;
        let (base, top) = (memory.start & !(size - 1), memory.end.next_multiple_of(size));
        // One question for all of it, as Linux asks.
        match host.v2_0().gpt_info(base, top)? {
            (reached, MADE_BY_EL3) if reached == top => Ok(()),
            (reached, state) => {
                Err(failure!("RMI_GPT_INFO({base:#x}..{top:#x}) says {state} up to {reached:#x}"))
            }
        }
    }
}

/// Bytes that a level 0 entry of the protection tables describes, from feature register 1.
const fn l0_gpt_size(register: u64) -> u64 {
    1 << (30 + (register >> 10 & 0xf))
}

impl Dialect for V2_0 {
    fn version(&self) -> u64 {
        VERSION_2_0
    }

    fn features(&self, rmi: Rmi<'_>) -> Result<Features, Failure> {
        const PAGES_OF_4K: u64 = 1;
        let mut registers = [0; FEATURE_REGISTERS];
        for (index, register) in (0..).zip(&mut registers) {
            *register = rmi.features(index)?;
        }
        let [_, sizes, ..] = registers;
        if sizes & PAGES_OF_4K == 0 {
            return Err("the monitor has no granules of 4 KiB".into());
        }
        Ok(v2_0::features(registers, rmi.0.list_registers()))
    }

    fn begin(&self, host: &Host, memory: &[Range<u64>]) -> Result<(), Failure> {
        let config = host.take_page()?;
        host.machine().write_u64(config + rmm_config::TRACKING_REGION_SIZE, 0);
        host.machine().write_u64(config + rmm_config::RMI_GRANULE_SIZE, 0);
        let configured = host.v2_0().rmm_config_set(config);
        host.put_page(config);
        configured?;
        let mut held = Vec::new();
        Operation::new(host, &mut held).run(RMM_ACTIVATE, [0; 3])?;
        if !held.is_empty() {
            return Err(failure!("the monitor keeps {} granules for itself", held.len()));
        }
        let checked = memory.iter().try_for_each(|range| {
            self.check_memory(host, range)?;
            self.check_protection(host, range)
        });
        if checked.is_err() {
            // Why no Realm is possible matters more than whether the monitor lets go.
            let _ = self.end(host);
        }
        checked
    }

    fn end(&self, host: &Host) -> Result<(), Failure> {
        Operation::new(host, &mut Vec::new()).run(RMM_DEACTIVATE, [0; 3]).map(drop)
    }

    fn delegate(&self, host: &Host, base: u64, top: u64) -> Reached {
        let command = |at| host.v2_0().granule_range_delegate(at, top);
        whole(GRANULE_RANGE_DELEGATE, base, top, command)
    }

    fn undelegate(&self, host: &Host, base: u64, top: u64) -> Reached {
        let command = |at| host.v2_0().granule_range_undelegate(at, top);
        whole(GRANULE_RANGE_UNDELEGATE, base, top, command)
    }

    fn create_realm(&self, host: &Host, rd: u64, params: u64) -> Result<(), Failure> {
        Operation::new(host, &mut Vec::new()).run(REALM_CREATE, [rd, params, 0]).map(drop)
    }

    fn terminate_realm(&self, host: &Host, rd: u64) -> Result<(), Failure> {
        Ok(host.v2_0().realm_terminate(rd)?)
    }

    fn destroy_realm(&self, host: &Host, rd: u64) -> Result<(), Failure> {
        Operation::new(host, &mut Vec::new()).run(REALM_DESTROY, [rd, 0, 0]).map(drop)
    }

    /// The monitor asks for what it needs. Every second REC gets it in two parts, because a host
    /// may have less at hand.
    fn create_rec(&self, host: &Host, new: &NewRec, held: &mut Vec<u64>) -> Result<(), Failure> {
        let operation = Operation::new(host, held);
        let operation = if new.index.is_multiple_of(2) { operation } else { operation.stingily() };
        operation.run(REC_CREATE, [new.rd, new.rec, new.params]).map(drop)
    }

    fn destroy_rec(&self, host: &Host, rec: u64, held: &mut Vec<u64>) -> Result<(), Failure> {
        Operation::new(host, held).run(REC_DESTROY, [rec, 0, 0]).map(drop)
    }

    fn add_page(&self, host: &Host, rd: u64, page: NewPage) -> Result<(), RmiError> {
        host.v2_0().rtt_data_map_init(rd, page.data, page.ipa, page.source)
    }

    fn map(&self, host: &Host, rd: u64, ipa: u64, data: Range<u64>) -> Result<u64, RmiError> {
        let memory = AddrRange::delegated(data.start, data.end - data.start);
        host.v2_0().rtt_data_map(rd, ipa, memory)
    }

    fn has_blocks(&self) -> bool {
        true
    }

    fn unmap(&self, host: &Host, rd: u64, base: u64, top: u64) -> Result<Taken, RmiError> {
        let unmapped = host.v2_0().rtt_data_unmap(rd, base, top)?;
        let memory = unmapped.memory;
        Ok(Taken { next: unmapped.top, base: memory.base, size: memory.size() })
    }

    fn share(&self, host: &Host, rd: u64, ipa: u64, page: u64) -> Result<(), RmiError> {
        let memory = AddrRange { undelegated: true, ..AddrRange::delegated(page, entry_size(3)) };
        host.v2_0().rtt_unprot_map(rd, ipa, memory).map(drop)
    }

    fn unshare(&self, host: &Host, rd: u64, base: u64, top: u64) -> Result<(bool, u64), RmiError> {
        let unmapped = host.v2_0().rtt_unprot_unmap(rd, base, top)?;
        Ok((unmapped.memory.count != 0, unmapped.top))
    }

    /// The virtual interface is this CPU's own. The monitor runs the REC with what it finds there,
    /// and leaves there what the REC made of it, switched off.
    fn enter(
        &self,
        host: &Host,
        rec: &ReadyRec,
        enter: &RecEnter,
        interrupts: &mut Loaded,
    ) -> Result<RecExit, RmiError> {
        let machine = host.machine();
        rec.run.write_enter(machine, enter);
        let hcr = interrupts.hcr | ENABLED;
        machine.set_virtual_interrupts(&VirtualInterrupts {
            hcr,
            lrs: interrupts.lrs,
            interface: interrupts.interface,
        });
        if let Err(error) = host.enter(rec) {
            // Nothing has switched the interface off, and nothing of the REC must fire here.
            machine.set_virtual_interrupts(&VirtualInterrupts::default());
            return Err(error);
        }
        let left = machine.virtual_interrupts();
        if let Some(watch) = &host.watch {
            watch.virtual_interface(host, rec.entered, [hcr & !ENABLED, left.hcr]);
        }
        interrupts.lrs = left.lrs;
        interrupts.interface = left.interface;
        Ok(rec.run.read_exit(machine))
    }

    fn complete_cpu_on(&self, host: &Host, caller: u64, _target: u64) -> Result<(), RmiError> {
        host.v2_0().psci_complete(caller, PSCI_SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_0_entry_is_as_large_as_the_register_says() {
        assert_eq!(l0_gpt_size(0x1_4269), 1 << 30);
        assert_eq!(l0_gpt_size(4 << 10), 16 << 30);
    }

    #[test]
    fn a_range_is_done_piece_by_piece_and_never_for_ever() {
        let whole = |command: &dyn Fn(u64) -> Result<u64, RmiError>| {
            whole(GRANULE_RANGE_DELEGATE, 0, 10, command)
        };
        let reached = whole(&|at| Ok((at + 4).min(10)));
        assert_eq!(reached, Reached { top: 10, refusal: None });
        let stuck = whole(&|at| Ok(if at < 8 { at + 4 } else { at }));
        assert_eq!(stuck.top, 8);
        assert!(stuck.refusal.is_some());
        assert!(whole(&|_| Ok(11)).refusal.is_some());
    }
}
