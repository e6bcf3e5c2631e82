//! Changes of RIPAS: at first by the host, later because the Realm asks for them.

use super::Realm;
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::ipa::SHARED_BIT;
use crate::rmi::abi::ripas;
use crate::rmi::run::RecExit;
use crate::vcpu::Vcpu;

impl Realm {
    /// Declares all of guest RAM as the Realm's own memory.
    ///
    /// Before it has any, no tables exist yet, so that each entry covers 2 MiB and the whole takes
    /// a few commands. Afterwards, in the style of Linux, each page that is there already is
    /// refused.
    ///
    /// # Errors
    ///
    /// The monitor refuses it, or makes no progress.
    pub fn init_ram(&self, host: &Host) -> Result<(), Failure> {
        let ram = self.ram();
        let mut base = ram.start;
        while base < ram.end {
            let next = self.with_tables(host, base, || {
                let done = host.rmi().rtt_init_ripas(self.rd, base, ram.end);
                match done {
                    Err(error) if host.style.populates_first() && error.rtt_level() == Some(3) => {
                        Ok(base + PAGE_SIZE)
                    }
                    Ok(_) | Err(_) => done,
                }
            })?;
            if next <= base || next > ram.end {
                return Err(failure!(
                    "RMI_RTT_INIT_RIPAS({base:#x}..{:#x}) went to {next:#x}",
                    ram.end
                ));
            }
            base = next;
        }
        Ok(())
    }

    /// Does what a `RIPAS_CHANGE` exit asks for. Gives back whether the host accepts it.
    ///
    /// Memory that becomes the Realm's loses its shared alias first; memory that it gives up is
    /// taken back after the change.
    ///
    /// # Errors
    ///
    /// The monitor answers something unexpected.
    pub fn change_ripas(&self, host: &Host, vcpu: &Vcpu, exit: &RecExit) -> Result<bool, Failure> {
        let (mut base, top) = (exit.ripas_base, exit.ripas_top);
        if exit.ripas_value == ripas::RAM {
            self.unshare(host, base | SHARED_BIT, top | SHARED_BIT)?;
        }
        let rec = vcpu.rec.unwrap_or_default();
        while base < top {
            let next = match host.rmi().rtt_set_ripas(self.rd, rec, base, top) {
                Ok(next) => next,
                Err(error) => match error.rtt_level() {
                    Some(level @ 0..3) => {
                        let level = u64::from(level.unsigned_abs());
                        self.create_table(host, base, level + 1)?;
                        continue;
                    }
                    // A page that was destroyed, and the Realm does not want it back.
                    Some(_) => return Ok(false),
                    None => return Err(error.into()),
                },
            };
            if next <= base || next > top {
                return Err(failure!("RMI_RTT_SET_RIPAS({base:#x}..{top:#x}) went to {next:#x}"));
            }
            if exit.ripas_value == ripas::EMPTY {
                self.take_pages(host, base, next)?;
                self.fold_tables(host, base, next)?;
                self.pages.lock().emptied(base, next);
            } else {
                self.pages.lock().became_ram(base, next);
            }
            base = next;
        }
        Ok(true)
    }
}
