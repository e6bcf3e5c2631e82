//! Executes the command lines.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::find;
use super::table::{How, Row, TABLE};
use crate::cli::{ImageOptions, PackOptions};
use crate::drive::Listener;
use crate::fault::{IoContext, Verdict};
use crate::output::Run;
use crate::process::Group;
use crate::qemu::{Flow, Machine, Model};
use crate::setup::Ready;
use crate::{fip, initramfs, paths, run};

/// The `docs-commands` step of `test`.
///
/// # Errors
///
/// A command line fails.
pub(crate) fn check() -> anyhow::Result<()> {
    fip::image(&PackOptions::default())?;
    let ready = run::prepare_with(&ImageOptions::default(), None, true)?;
    let run = Run::begin("docs")?;
    let files = Files::make(&ready, run.folder())?;
    let documented = find::all()?;
    let mut failed = Vec::new();
    for found in documented.blocks() {
        let row = TABLE.iter().find(|row| row.command == found.text);
        let row = row.with_context(|| format!("{}: no row for {}", found.place, found.text))?;
        let Some(script) = script(row, &files) else { continue };
        println!("{}: {}", found.place, found.text);
        if let Err(error) = execute(&script, run.folder()) {
            failed.push(format!("{}: {}: {error:#}", found.place, found.text));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Verdict(format!("command lines of the documents fail:\n{}", failed.join("\n"))).into())
}

/// What is executed for a row here, if anything is.
fn script(row: &Row, files: &Files) -> Option<String> {
    match row.how {
        How::AsItIs => Some(files.fill_in(row.command)),
        How::Instead(command) => Some(files.fill_in(command)),
        How::Step(step) => {
            println!("(step {step}) {}", row.command);
            None
        }
        How::NotHere(why) => {
            println!("(not here: {why}) {}", row.command);
            None
        }
    }
}

/// Runs a command line in the checkout, with this program as `cargo xtask`; its output is kept and
/// shown only if it fails.
fn execute(script: &str, folder: &Path) -> anyhow::Result<()> {
    let log = folder.join("command.log");
    let output = File::create(&log).at("write", &log)?;
    let errors = output.try_clone().at("write", &log)?;
    let mut command = Command::new("sh");
    command.arg("-ec").arg(script).current_dir(paths::root());
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = Group::spawn(&mut command)?.wait()?;
    if !status.success() {
        let said = std::fs::read(&log).at("read", &log)?;
        std::io::stdout().write_all(&said).context("cannot show the output")?;
    }
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// What stands in the place of what a reader fills in.
struct Files {
    words: Vec<(&'static str, String)>,
}

impl Files {
    fn make(ready: &Ready, folder: &Path) -> anyhow::Result<Self> {
        let output = paths::output()?;
        let initrd = folder.join("guest.cpio");
        initramfs::make(&ready.guest, &initrd)?;
        let tool = std::env::current_exe().context("this program has no path")?;
        let token = paths::root().join("tools/testdata/qemu.token");
        let quoted = |path: &Path| format!("'{}'", path.display());
        let words = vec![
            ("cargo xtask", quoted(&tool)),
            ("guest.cpio", quoted(&initrd)),
            ("RAWLOG", quoted(&raw_log(ready, folder)?)),
            ("Image", quoted(&ready.guest.join("Image"))),
            ("TOKEN", quoted(&token)),
            ("FILE", quoted(&output.join("qemu_fw.fip"))),
            ("ELF", quoted(&output.join("cairn.elf"))),
            ("BUILT", quoted(&ready.tf_a)),
            ("DIR", quoted(&tree(ready, folder)?)),
        ];
        Ok(Self { words })
    }

    fn fill_in(&self, command: &str) -> String {
        let fill = |text: String, (word, value): &(&str, String)| text.replace(word, value);
        self.words.iter().fold(command.to_owned(), fill)
    }
}

/// Something that TF-A's tree looks like from outside: its makefile "builds" what set-up has built.
fn tree(ready: &Ready, folder: &Path) -> anyhow::Result<PathBuf> {
    let tree = folder.join("tf-a");
    let board = tree.join("plat/qemu");
    std::fs::create_dir_all(&board).at("make the folder", &board)?;
    let built = "$(BUILD_BASE)/qemu/release";
    let makefile = format!(
        "all fiptool:\n\tmkdir -p {built}/tools/fiptool\n\tcp {from}/*.bin {built}/\n\t\
         cp {from}/trp.bin {built}/rmm.bin\n\tcp {from}/fiptool {built}/tools/fiptool/fiptool\n\
         .NOTPARALLEL:\n",
        from = ready.tf_a.display()
    );
    let file = tree.join("Makefile");
    std::fs::write(&file, makefile).at("write", &file)?;
    Ok(tree)
}

/// The bytes of a machine's UART until the monitor has said a few things.
fn raw_log(ready: &Ready, folder: &Path) -> anyhow::Result<PathBuf> {
    let machine = Machine {
        model: Model::Virt,
        program: ready.qemu.clone(),
        cpus: 1,
        cpu_properties: "",
        firmware: paths::output()?.join("qemu_fw.bios"),
        loads: Vec::new(),
        gdb: None,
        messages: folder.join("qemu.log"),
        extra: Vec::new(),
    };
    let mut saved = Saved::default();
    let mut running = machine.start()?;
    running.drive(&mut saved, false, Some(Duration::from_secs(60)))?;
    ensure!(saved.frames() >= FRAMES, "the monitor said nothing: {}", running.messages());
    let file = folder.join("raw.log");
    std::fs::write(&file, &saved.0).at("write", &file)?;
    Ok(file)
}

/// Messages that are enough.
const FRAMES: usize = 4;

/// How a message of the monitor ends on the UART (see `console/demux.rs`).
const END: u8 = 0xc1;

/// Saves what comes from a UART.
#[derive(Default)]
struct Saved(Vec<u8>);

impl Saved {
    fn frames(&self) -> usize {
        self.0.iter().filter(|byte| **byte == END).count()
    }
}

impl Listener for Saved {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        self.0.extend_from_slice(bytes);
        Ok(if self.frames() < FRAMES { Flow::Continue } else { Flow::Stop })
    }

    fn typed(&mut self, _: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        Ok(Flow::Continue)
    }

    fn takes_progress(&mut self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in_once() {
        let words =
            vec![("cargo xtask", "'/a/xtask'".to_owned()), ("ELF", "'/b/x.elf'".to_owned())];
        let filled = Files { words }.fill_in("cargo xtask decode --elf ELF");
        assert_eq!(filled, "'/a/xtask' decode --elf '/b/x.elf'");
    }

    #[test]
    fn a_command_that_fails_is_noticed() {
        let folder = std::env::temp_dir().join(format!("cairn-docs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(execute("true", &folder).is_ok());
        assert!(execute("false; true", &folder).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
