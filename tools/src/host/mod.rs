//! `run --host-kernel` and `run --bl33`: a Normal-world host that the user brings, under our
//! monitor.
//!
//! Firmware, monitor and console are those of every run. Instead of our own host, TF-A gets a few
//! instructions ([`shim`]) that start a kernel, or a program of the user's.

pub(crate) mod boot_loader;
pub(crate) mod check;
mod devices;
mod shim;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use cairn_el3::edition::Edition;

use crate::cli::{HostOptions, Platform, RunOptions};
use crate::fault::IoContext;
use crate::image::Packed;
use crate::kernel_image::Image;
use crate::output::Run;
use crate::paths::{check_regular, write_whole};
use crate::qemu::{Load, Machine, Model};
use crate::setup::Ready;
use crate::stage::Shape;
use crate::stand_in::StandIn;
use crate::stress::machine::Firmware;
use crate::{initramfs, output, run, tfa};
use shim::Placement;

/// Refuses wrong options and paths, before minutes of set-up and building.
pub(crate) fn check(options: &RunOptions) -> anyhow::Result<()> {
    let host = &options.host;
    host.check()?;
    if !host.is_foreign() {
        return Ok(());
    }
    if options.image.platform != Platform::Qemu {
        bail!("--host-kernel and --bl33 are for QEMU virt; elsewhere nothing of this has been run");
    }
    if let Some(Some(kernel)) = &host.host_kernel {
        Image::read(kernel)?;
    }
    ensure!(
        !host.host_append.contains(['\n', '\0']),
        "the text for --host-append must be one line"
    );
    [&host.host_initrd, &host.host_disk, &host.bl33].into_iter().flatten().try_for_each(|file| {
        // A disk may be a block device.
        if host.host_disk.as_ref() == Some(file) {
            std::fs::metadata(file).at("read", file).map(drop)
        } else {
            check_regular(file)
        }
    })
}

/// Boots it, and connects it to the terminal until something ends it.
pub(crate) fn command(options: &RunOptions, ready: &Ready) -> anyhow::Result<()> {
    let folder = Run::begin(&run::name(options))?;
    let (monitor, machine) = machine(options, ready, folder.folder())?;
    let start = match options.stand_in() {
        Some(_) => StandIn::of(options.image.platform).board.monitor.start,
        None => platform_qemu::MONITOR.start,
    };
    run::announce_debugger(options, &monitor, start);
    println!("Booting {}: {} CPUs.", name(&options.host), options.guest.cpus);
    run::attended(options, &machine, run::decoder(&monitor)?, &folder)
}

/// Builds what is missing and describes the machine; what is made for it goes to `folder`.
fn machine(
    options: &RunOptions,
    ready: &Ready,
    folder: &Path,
) -> anyhow::Result<(Packed, Machine)> {
    if let (Some(edition), Some(bl33)) = (options.stand_in(), &options.host.bl33) {
        return below_stand_in(options, edition, bl33, ready, folder);
    }
    let kernel = Kernel::of(&options.host, ready, folder)?;
    let bl33 = match (&options.host.bl33, &kernel) {
        (Some(file), _) => file.clone(),
        (None, Some(kernel)) => kernel.shim(folder)?,
        (None, None) => bail!("there is neither a kernel nor a BL33"),
    };
    let flash = folder.join("qemu_fw.bios");
    let monitor = {
        let _building = output::building()?;
        run::pack_monitor(&options.image, folder)?
    };
    tfa::pack(&ready.tf_a, &monitor.flat, &bl33, &flash)?;
    let mut extra = devices::arguments(&options.host)?;
    let mut loads = Vec::new();
    if let Some(kernel) = &kernel {
        extra.extend(kernel.arguments(options.host.bl33.is_some()));
        if options.host.bl33.is_none() {
            loads = kernel.loads();
        }
    }
    let machine = Machine {
        model: Model::Virt,
        program: ready.qemu.clone(),
        cpus: options.guest.cpus,
        cpu_properties: "",
        firmware: flash,
        loads,
        gdb: options.gdb,
        messages: folder.join("qemu.log"),
        extra,
    };
    Ok((monitor, machine))
}

/// The machine with the EL3 of the tests, whose monitor is at the end of the first 4 GiB.
fn below_stand_in(
    options: &RunOptions,
    edition: Edition,
    bl33: &Path,
    ready: &Ready,
    folder: &Path,
) -> anyhow::Result<(Packed, Machine)> {
    let firmware = {
        let _building = output::building()?;
        let qemu = ready.qemu.clone();
        Firmware::below(bl33.to_path_buf(), &options.image, qemu, folder)?
    };
    let shape = Shape {
        cpus: options.guest.cpus,
        extra: devices::arguments(&options.host)?,
        ..Shape::default()
    };
    let stand_in = StandIn::of(options.image.platform);
    let mut machine = firmware.stage(stand_in, edition, shape, Vec::new(), folder.join("qemu.log"));
    machine.gdb = options.gdb;
    Ok((firmware.monitor, machine))
}

/// What is booted, for people.
fn name(options: &HostOptions) -> String {
    match (&options.host_kernel, &options.bl33) {
        (_, Some(bl33)) => format!("{} as BL33", bl33.display()),
        (Some(Some(kernel)), None) => format!("{} as the host", kernel.display()),
        (Some(None) | None, None) => "Debian's kernel as the host".to_owned(),
    }
}

/// The host's kernel and what belongs to it.
#[derive(Debug)]
struct Kernel {
    image: PathBuf,
    initrd: PathBuf,
    initrd_size: u64,
    placement: Placement,
    append: String,
}

impl Kernel {
    /// As the options want it; `None` if they want none.
    fn of(options: &HostOptions, ready: &Ready, folder: &Path) -> anyhow::Result<Option<Self>> {
        let Some(image) = &options.host_kernel else { return Ok(None) };
        let image = image.clone().unwrap_or_else(|| ready.guest.join("Image"));
        let initrd = match &options.host_initrd {
            Some(file) => file.clone(),
            None => {
                let file = folder.join("host.cpio");
                initramfs::make_for_host(&ready.guest, &file)?;
                file
            }
        };
        let placement = Placement::of(&Image::read(&image)?);
        let initrd_size = std::fs::metadata(&initrd).at("read", &initrd)?.len();
        let end = placement.initrd.checked_add(initrd_size).context("the files are too large")?;
        ensure!(
            end <= platform_qemu::NORMAL_WORLD.end,
            "{} and {} do not fit into the machine's memory",
            image.display(),
            initrd.display()
        );
        let append = options.host_append.clone();
        Ok(Some(Self { image, initrd, initrd_size, placement, append }))
    }

    /// The program that starts it, written to `folder`.
    fn shim(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let file = folder.join("bl33.bin");
        let program = shim::program(self.placement.kernel, platform_qemu::DEVICE_TREE.start);
        write_whole(&file, &program)?;
        Ok(file)
    }

    /// What is put into memory for it.
    fn loads(&self) -> Vec<Load> {
        let load = |file: &Path, address| Load { file: file.to_path_buf(), address };
        vec![load(&self.image, self.placement.kernel), load(&self.initrd, self.placement.initrd)]
    }

    /// QEMU writes the command line into the device tree if it knows of a kernel, and offers all
    /// three in its fw_cfg, from where a BL33 that the user brings may take them. QEMU does not
    /// write there where the initial RAM disk is when firmware boots first, so that Linux is told
    /// by its command line.
    fn arguments(&self, has_own_bl33: bool) -> Vec<String> {
        let mut words = vec!["console=ttyAMA0".to_owned()];
        if !has_own_bl33 {
            words.push(format!("initrd={:#x},{}", self.placement.initrd, self.initrd_size));
        }
        if !self.append.is_empty() {
            words.push(self.append.clone());
        }
        let mut arguments = vec!["-kernel".to_owned(), self.image.display().to_string()];
        if has_own_bl33 {
            arguments.extend(["-initrd".to_owned(), self.initrd.display().to_string()]);
        }
        arguments.extend(["-append".to_owned(), words.join(" ")]);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(append: &str) -> Kernel {
        let placement = Placement { kernel: 0x6020_0000, initrd: 0x6360_0000 };
        let append = append.to_owned();
        Kernel { image: "k".into(), initrd: "i".into(), initrd_size: 5, placement, append }
    }

    #[test]
    fn linux_is_told_where_its_initial_ram_disk_is() {
        let words = "console=ttyAMA0 initrd=0x63600000,5 quiet";
        assert_eq!(kernel("quiet").arguments(false), ["-kernel", "k", "-append", words]);
        let from_fw_cfg = ["-kernel", "k", "-initrd", "i", "-append", "console=ttyAMA0"];
        assert_eq!(kernel("").arguments(true), from_fw_cfg);
    }

    #[test]
    fn wrong_options_are_known_beforehand() {
        let fault = |change: &dyn Fn(&mut RunOptions)| {
            let mut options = RunOptions::check(2, 256 << 20);
            options.host.host_kernel = Some(None);
            change(&mut options);
            check(&options).err().map(|error| format!("{error:#}")).unwrap_or_default()
        };
        assert_eq!(fault(&|_| {}), "");
        assert!(fault(&|o| o.image.platform = Platform::Fvp).contains("are for QEMU"));
        assert!(fault(&|o| o.host.host_append = "a\nb".into()).contains("one line"));
        let none = || Some(PathBuf::from("/nonexistent"));
        assert!(fault(&|o| o.host.host_kernel = Some(none())).contains("/nonexistent"));
        assert!(fault(&|o| o.host.host_initrd = none()).contains("/nonexistent"));
        assert!(fault(&|o| o.host.bl33 = none()).contains("/nonexistent"));
        assert!(fault(&|o| o.host.host_disk = none()).contains("/nonexistent"));
    }
}
