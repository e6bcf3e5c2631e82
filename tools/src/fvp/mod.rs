//! Arm FVP Base RevC: its firmware, and the model that runs it.
//!
//! The model is under a licence of its own and is not fetched. What is here has been tried with a
//! program that stands in for it: the package is built and checked, the command line is compared
//! with TF-A's documentation, and the serial ports are connected as with QEMU.

pub(crate) mod model;
pub(crate) mod package;

use std::path::Path;

use anyhow::bail;

use crate::cache::Cache;
use crate::cli::{ImageOptions, ModelOptions};
use crate::fault::IoContext;
use crate::image::{self, HOST_FOR_FVP, Packed};
use crate::qemu::Load;
use crate::{paths, setup, tfa};
use model::Model;
use package::Package;

/// Where the model can be had.
const SOURCE: &str =
    "https://developer.arm.com/downloads/-/arm-ecosystem-fvps (\"Base RevC AEM FVP\")";

/// What the model's binary is called.
const PROGRAM: &str = "FVP_Base_RevC-2xAEMvA";

/// The firmware and its parts.
#[derive(Debug)]
pub(crate) struct Firmware {
    /// The monitor: the same flat image as for QEMU.
    pub monitor: Packed,
    /// The host, built for this board's addresses.
    pub host: Packed,
    /// What the model boots from.
    pub package: Package,
}

/// Builds and checks the firmware, in a part of the folder `output`; `monitor` builds and packs the
/// monitor, once all is there that the rest is made of.
pub(crate) fn firmware(
    options: &ImageOptions,
    monitor: impl FnOnce() -> anyhow::Result<Packed>,
    output: &Path,
) -> anyhow::Result<Firmware> {
    let tf_a = match &options.tfa {
        Some(tree) => tfa::FVP.build_tree(tree, &paths::output()?)?,
        None => setup::ensure_fvp(&Cache::locate()?, options.offline)?,
    };
    let monitor = monitor()?;
    let output = output.join("fvp");
    std::fs::create_dir_all(&output)?;
    let host = image::build(HOST_FOR_FVP, options.log)?;
    let host = image::pack(host, output.join("host.bin"))?;
    let package = package::pack(&tf_a, &monitor.flat, &host.flat, &output)?;
    Ok(Firmware { monitor, host, package })
}

/// Refuses paths of `options` where there is nothing; a command line is printed for wherever it is
/// to run.
pub(crate) fn check(options: &ModelOptions) -> anyhow::Result<()> {
    if options.print {
        return Ok(());
    }
    let Some(program) = &options.fvp else {
        bail!(
            "the model is not part of this repository: get it from {SOURCE}, then pass the path of {PROGRAM} with \
             --fvp; with --print instead, its command line is printed for you to run"
        );
    };
    if !program.is_file() {
        bail!("there is no model at {}; get it from {SOURCE}", program.display());
    }
    if let Some(disk) = &options.disk {
        std::fs::metadata(disk).at("read", disk)?;
    }
    Ok(())
}

/// The model as `options` want it, with its logs in the folder `logs`; `None` if only its command
/// line was wanted, which has been printed then.
pub(crate) fn model(
    options: &ModelOptions,
    package: &Package,
    loads: Vec<Load>,
    logs: &Path,
) -> anyhow::Result<Option<Model>> {
    let model = Model {
        program: options.fvp.clone().unwrap_or_else(|| PROGRAM.into()),
        bl1: package.bl1.clone(),
        fip: package.fip.clone(),
        loads,
        disk: options.disk.clone(),
        el3_log: logs.join("el3.log"),
        messages: logs.join("model.log"),
    };
    if options.print {
        println!("{}", model.command_line());
        return Ok(None);
    }
    Ok(Some(model))
}
