//! The machines that stress jobs run on.
//!
//! One boots TF-A as every other job. The other boots the EL3 of `tests/el3`, on QEMU with so much memory that both banks
//! of Arm FVP exist: QEMU's loader plays FVP's BL2.

use std::path::{Path, PathBuf};

use cairn_el3::edition::{self, Edition};
use cairn_el3::opening::{self, Opening};

use crate::cli::{ImageOptions, StressOptions};
use crate::image::{self, HOST_UNDER_STAND_IN, Packed, STAND_IN};
use crate::job;
use crate::output;
use crate::qemu::{Load, Machine};
use crate::run;
use crate::stage::Shape;

/// What a machine boots.
#[derive(Debug)]
pub struct Firmware {
    qemu: PathBuf,
    flash: PathBuf,
    /// The monitor.
    pub monitor: Packed,
    loads: Vec<Load>,
    job: u64,
    extra: Vec<String>,
}

impl Firmware {
    /// TF-A, monitor and host.
    pub fn tf_a(options: &StressOptions, folder: &Path) -> anyhow::Result<Self> {
        let ready = run::prepare(&options.image, options.qemu.as_ref())?;
        let _building = output::building()?;
        let firmware = run::pack(&options.image, &ready, folder)?;
        Ok(Self {
            qemu: firmware.qemu,
            flash: firmware.flash,
            monitor: firmware.monitor,
            loads: Vec::new(),
            job: job::QEMU.job(),
            extra: Vec::new(),
        })
    }

    /// The EL3 of the tests, monitor and host at the addresses of Arm FVP.
    pub fn stand_in(
        image: &ImageOptions,
        qemu: Option<&PathBuf>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let ready = run::prepare(image, qemu)?;
        let _building = output::building()?;
        let monitor = run::pack_monitor(image, folder)?;
        let flat = |name: &str| folder.join(name);
        let host =
            image::pack(image::build(HOST_UNDER_STAND_IN, image.log)?, flat("host-stand-in.bin"))?;
        let el3 = image::pack(image::build(STAND_IN, image.log)?, flat("el3.bin"))?;
        Ok(Self {
            qemu: ready.qemu,
            flash: el3.flat,
            loads: vec![
                Load { file: monitor.flat.clone(), address: platform_fvp::MONITOR.start },
                Load { file: host.flat, address: platform_fvp::BL33 },
            ],
            monitor,
            job: job::FVP.job(),
            extra: memory(),
        })
    }

    /// The machine with this job, and these arguments of QEMU.
    pub fn machine(&self, cpus: u32, job: &Path, messages: PathBuf, extra: &[&str]) -> Machine {
        let job = Load { file: job.to_path_buf(), address: self.job };
        Machine {
            program: self.qemu.clone(),
            cpus,
            cpu_properties: "",
            firmware: self.flash.clone(),
            loads: self.loads.iter().cloned().chain([job]).collect(),
            gdb: None,
            messages,
            extra: self
                .extra
                .iter()
                .cloned()
                .chain(extra.iter().map(|&one| one.to_owned()))
                .collect(),
        }
    }
}

impl Firmware {
    /// A machine of this shape with these files, whose EL3, that of the tests, speaks `edition`.
    pub fn stage(
        &self,
        edition: Edition,
        shape: Shape,
        loads: Vec<Load>,
        messages: PathBuf,
    ) -> Machine {
        Machine {
            program: self.qemu.clone(),
            cpus: shape.cpus,
            cpu_properties: shape.cpu_properties,
            firmware: self.flash.clone(),
            loads: self.loads.iter().cloned().chain(loads).collect(),
            gdb: None,
            messages,
            extra: [
                self.extra.clone(),
                // As TF-A, it opens to Realms what the Host has of the SIMD unit.
                self::opening(Opening::All).to_vec(),
                self::edition(edition).to_vec(),
                shape.extra,
            ]
            .concat(),
        }
    }
}

/// What tells the EL3 of the tests what to open.
pub fn opening(opening: Opening) -> [String; 2] {
    let (place, number) = (opening::PLACE, opening.number());
    ["-device".to_owned(), format!("loader,addr={place:#x},data={number},data-len=8")]
}

/// What tells the EL3 of the tests which version of the interface to speak.
pub fn edition(edition: Edition) -> [String; 2] {
    let (place, number) = (edition::PLACE, edition.number());
    ["-device".to_owned(), format!("loader,addr={place:#x},data={number},data-len=8")]
}

/// Memory up to the end of FVP's second bank, of which only what is used takes any of ours.
fn memory() -> Vec<String> {
    let [.., last] = platform_fvp::DRAM;
    let mebibytes = (last.end - platform_qemu::DRAM.start) >> 20;
    let object = format!("memory-backend-ram,id=ram,size={mebibytes}M,reserve=off");
    ["-object", &object, "-machine", "memory-backend=ram", "-m", &format!("{mebibytes}M")]
        .map(str::to_owned)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_banks_exist() {
        assert_eq!(memory().last().map(String::as_str), Some("35840M"));
    }
}
