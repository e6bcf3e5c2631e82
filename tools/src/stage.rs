//! What a job of the host runs on: QEMU with our firmware in its flash, or the model of Arm FVP
//! Base RevC.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use cairn_el3::edition::Edition;

use crate::cli::{ImageOptions, ModelOptions, Platform};
use crate::console::log::Decoder;
use crate::drive::Board;
use crate::fault::IoContext;
use crate::image::Packed;
use crate::job::{self, Layout};
use crate::paths::check_regular;
use crate::qemu::{Load, Machine, Model};
use crate::stand_in::StandIn;
use crate::{fvp, output, patience, run, stress, tfa};

/// A board with its firmware.
#[derive(Debug)]
pub(crate) enum Stage {
    /// QEMU virt.
    Qemu(run::Firmware),
    /// The model.
    Model(fvp::Firmware, ModelOptions),
    /// QEMU with the EL3 of the tests, which speaks this.
    StandIn(stress::machine::Firmware, &'static StandIn, Edition),
}

/// What of a machine is QEMU's alone.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// Physical CPUs.
    pub cpus: u32,
    /// More properties of the CPUs, each with a comma before it.
    pub cpu_properties: &'static str,
    /// Arguments beyond the ordinary.
    pub extra: Vec<String>,
}

/// Refuses wrong options and paths, before minutes of set-up and building.
pub(crate) fn check(image: &ImageOptions, model: &ModelOptions) -> anyhow::Result<()> {
    if let Some(file) = &image.image {
        check_regular(file)?;
    }
    if let Some(tree) = &image.tfa {
        match image.platform {
            Platform::Qemu => tfa::QEMU.check_tree(tree)?,
            Platform::Fvp => tfa::FVP.check_tree(tree)?,
            Platform::Sbsa => bail!("sbsa boots with the EL3 of the tests: it takes no --tfa"),
        }
    }
    match image.platform {
        Platform::Qemu | Platform::Sbsa if model.is_given() => {
            bail!("--fvp, --disk and --print need --platform fvp")
        }
        Platform::Qemu | Platform::Sbsa => Ok(()),
        Platform::Fvp => fvp::check(model),
    }
}

impl Stage {
    /// Sets up what is missing and builds what is to boot, in `folder`. Only the building keeps
    /// others out.
    pub(crate) fn prepare(
        image: &ImageOptions,
        qemu: Option<&PathBuf>,
        model: &ModelOptions,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        match image.platform {
            Platform::Qemu => {
                let ready = run::prepare(image, qemu)?;
                let _building = output::building()?;
                Ok(Self::Qemu(run::pack(image, &ready, folder)?))
            }
            Platform::Sbsa => Self::stand_in(Edition::V0, image, qemu, folder),
            Platform::Fvp => {
                let _building = output::building()?;
                let firmware = fvp::firmware(image, || run::pack_monitor(image, folder), folder)?;
                Ok(Self::Model(firmware, model.clone()))
            }
        }
    }

    /// QEMU with the EL3 of the tests.
    pub(crate) fn stand_in(
        edition: Edition,
        image: &ImageOptions,
        qemu: Option<&PathBuf>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let firmware = stress::machine::Firmware::stand_in(image, qemu, folder)?;
        Ok(Self::StandIn(firmware, StandIn::of(image.platform), edition))
    }

    /// The monitor.
    pub(crate) fn monitor(&self) -> &Packed {
        match self {
            Self::Qemu(firmware) => &firmware.monitor,
            Self::Model(firmware, _) => &firmware.monitor,
            Self::StandIn(firmware, ..) => &firmware.monitor,
        }
    }

    /// What reads the monitor's log; `None` if it has none that can be read.
    pub(crate) fn decoder(&self) -> anyhow::Result<Option<Decoder>> {
        match &self.monitor().elf {
            Some(elf) => Decoder::new(&std::fs::read(elf).at("read", elf)?),
            None => Ok(None),
        }
    }

    /// Where the host looks for its job.
    pub(crate) const fn layout(&self) -> &'static Layout {
        match self {
            Self::Qemu(_) => &job::QEMU,
            Self::Model(..) => &job::FVP,
            Self::StandIn(_, stand_in, _) => stand_in.layout,
        }
    }

    /// `patience` for QEMU, as this board needs it.
    pub(crate) fn patience(&self, patience: Duration) -> Duration {
        match self {
            Self::Qemu(_) | Self::StandIn(..) => patience,
            Self::Model(..) => patience::on_model(patience),
        }
    }

    /// A machine with these files in memory; `None` if only its command line was wanted, which has
    /// been printed then.
    pub(crate) fn board(
        &self,
        shape: Shape,
        loads: Vec<Load>,
        messages: PathBuf,
    ) -> anyhow::Result<Option<Box<dyn Board>>> {
        match self {
            Self::Qemu(firmware) => Ok(Some(Box::new(Machine {
                model: Model::Virt,
                program: firmware.qemu.clone(),
                cpus: shape.cpus,
                cpu_properties: shape.cpu_properties,
                firmware: firmware.flash.clone(),
                loads,
                gdb: None,
                messages,
                extra: shape.extra,
            }))),
            Self::StandIn(firmware, stand_in, edition) => {
                Ok(Some(Box::new(firmware.stage(stand_in, *edition, shape, loads, messages))))
            }
            Self::Model(firmware, options) => {
                let logs = messages.parent().unwrap_or(Path::new("."));
                let model = fvp::model(options, &firmware.package, loads, logs)?;
                Ok(model.map(|model| -> Box<dyn Board> { Box::new(model) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_are_known_beforehand() {
        let nowhere = || Some(PathBuf::from("/nonexistent"));
        let none = ModelOptions::default;
        let fault = |platform, image, model: ModelOptions| {
            let image = ImageOptions { platform, image, ..ImageOptions::default() };
            check(&image, &model).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(fault(Platform::Qemu, None, none()), "");
        assert_eq!(fault(Platform::Sbsa, None, none()), "");
        // Without the model, nothing is built for it.
        assert!(fault(Platform::Fvp, None, none()).contains("not part of this repository"));
        for platform in [Platform::Qemu, Platform::Fvp, Platform::Sbsa] {
            assert!(fault(platform, nowhere(), none()).contains("/nonexistent"));
        }
        let model = ModelOptions { fvp: nowhere(), ..none() };
        for platform in [Platform::Qemu, Platform::Sbsa] {
            assert!(fault(platform, None, model.clone()).contains("need --platform fvp"));
        }
        assert!(fault(Platform::Fvp, None, model.clone()).contains("no model at /nonexistent"));
        assert_eq!(fault(Platform::Fvp, None, ModelOptions { print: true, ..model }), "");
        let fvp = std::env::current_exe().ok();
        let model = ModelOptions { disk: nowhere(), fvp, ..none() };
        assert!(fault(Platform::Fvp, None, model).contains("cannot read /nonexistent"));
    }
}
