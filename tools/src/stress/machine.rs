//! The machines that stress jobs run on.
//!
//! One boots TF-A as every other job. The other boots the EL3 of `tests/el3`.

use std::path::{Path, PathBuf};

use cairn_el3::edition::Edition;
use cairn_el3::opening::Opening;

use crate::cli::{ImageOptions, StressOptions};
use crate::image::{self, Packed};
use crate::job;
use crate::output;
use crate::qemu::{Load, Machine, Model};
use crate::run;
use crate::setup::Parts;
use crate::stage::Shape;
use crate::stand_in::StandIn;

/// What a machine boots.
#[derive(Debug)]
pub(crate) struct Firmware {
    qemu: PathBuf,
    flash: PathBuf,
    /// The monitor.
    pub monitor: Packed,
    loads: Vec<Load>,
    job: u64,
    model: Model,
    extra: Vec<String>,
}

impl Firmware {
    /// TF-A, monitor and host.
    pub(crate) fn tf_a(options: &StressOptions, folder: &Path) -> anyhow::Result<Self> {
        let ready = run::prepare(&options.image, options.qemu.as_ref())?;
        let _building = output::building()?;
        let firmware = run::pack(&options.image, &ready, folder)?;
        Ok(Self {
            qemu: firmware.qemu,
            flash: firmware.flash,
            monitor: firmware.monitor,
            loads: Vec::new(),
            job: job::QEMU.job(),
            model: Model::Virt,
            extra: Vec::new(),
        })
    }

    /// The EL3 of the tests, monitor and host at the addresses of its board.
    pub(crate) fn stand_in(
        image: &ImageOptions,
        qemu: Option<&PathBuf>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let parts = Parts { tf_a: false, guest: false };
        let ready = run::prepare_parts(image, qemu, parts)?;
        let _building = output::building()?;
        let host = image::build(StandIn::of(image.platform).host, image.log)?;
        let host = image::pack(host, folder.join("host-stand-in.bin"))?;
        Self::below(host.flat, image, ready.qemu, folder)
    }

    /// The EL3 of the tests and the monitor below this first program of the Normal world. Others
    /// are kept from building already.
    pub(crate) fn below(
        bl33: PathBuf,
        image: &ImageOptions,
        qemu: PathBuf,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let stand_in = StandIn::of(image.platform);
        let monitor = run::pack_monitor(image, folder)?;
        let el3 = image::pack(image::build(stand_in.el3, image.log)?, folder.join("el3.bin"))?;
        Ok(Self {
            qemu,
            flash: el3.flat,
            loads: vec![
                Load { file: monitor.flat.clone(), address: stand_in.board.monitor.start },
                Load { file: bl33, address: stand_in.board.bl33 },
            ],
            monitor,
            job: stand_in.layout.job(),
            model: stand_in.model,
            extra: stand_in.memory(),
        })
    }

    /// Says where the parts are, and where each belongs.
    pub(crate) fn print(&self) {
        println!("EL3:      {} (for QEMU's -bios)", self.flash.display());
        for Load { file, address } in &self.loads {
            println!("at {address:#x}: {}", file.display());
        }
    }

    /// The machine with this job, and these arguments of QEMU.
    pub(crate) fn machine(
        &self,
        cpus: u32,
        job: &Path,
        messages: PathBuf,
        extra: &[&str],
    ) -> Machine {
        let job = Load { file: job.to_path_buf(), address: self.job };
        Machine {
            model: self.model,
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
    pub(crate) fn stage(
        &self,
        stand_in: &StandIn,
        edition: Edition,
        shape: Shape,
        loads: Vec<Load>,
        messages: PathBuf,
    ) -> Machine {
        Machine {
            model: self.model,
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
                stand_in.orders(Opening::All, edition),
                shape.extra,
            ]
            .concat(),
        }
    }
}
