//! `cargo xtask token rim`: the initial measurement (RIM) of the Realm that `run` would start.
//!
//! The Realm is built here as on the machine, by the same host code, on a [`machine`] that does
//! nothing but measure. How that is done is this tool's own ([`mod@measure`], [`tables`]), from the
//! specification and not from the monitor.

mod machine;
mod measure;
mod tables;

#[cfg(test)]
mod tests;

use anyhow::Context;
use cairn_host::dialect::Dialect;
use cairn_host::granules::Pool;
use cairn_host::host::Host;
use cairn_host::job::Job as HostJob;
use cairn_host::realm::Realm;

use crate::fault::IoContext;
use crate::job::Job;
use crate::qemu::Load;

use machine::{FREE, MeasuringMachine};

/// The initial measurement of the Realm that the host builds for `job`, for each version of the
/// interface that it speaks.
///
/// # Errors
///
/// A file cannot be read, or the host cannot build a Realm from it.
pub(crate) fn predict(job: &Job) -> anyhow::Result<Vec<Vec<u8>>> {
    let (text, files) = job.contents(&crate::job::QEMU)?;
    let read = |load: Load| Ok((load.address, std::fs::read(&load.file).at("read", &load.file)?));
    let files: Vec<_> = files.into_iter().map(read).collect::<anyhow::Result<_>>()?;
    let dialects = job.interface.dialects().iter();
    dialects.map(|dialect| measure(&text, files.clone(), *dialect)).collect()
}

/// The same in one version, for a job text and the files that it mentions, with the address of
/// each.
fn measure(
    text: &str,
    files: Vec<(u64, Vec<u8>)>,
    dialect: &'static dyn Dialect,
) -> anyhow::Result<Vec<u8>> {
    let machine = MeasuringMachine::new(files);
    let result = HostJob::parse(text.as_bytes()).and_then(|job| {
        let mut host = Host::new(Box::new(machine.clone()), Pool::new(&[FREE]), dialect)?;
        host.style = job.style;
        Realm::create(&host, &job, 1)?.build(&host, &job)
    });
    result.map_err(|failure| anyhow::anyhow!("no Realm can be built: {failure}"))?;
    machine.measurement().context("the host built no Realm")
}
