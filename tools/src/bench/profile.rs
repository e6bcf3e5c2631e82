//! Where the instructions of one command go: a trace of every instruction of the monitor, summed up
//! by function.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::bail;

use super::{Bench, COUNTED, boot, span, symbols};
use crate::fault::IoContext;
use crate::patience;
use crate::progress::Progress;
use crate::symbols::{Function, Functions};

/// The function that each command of the Host passes through once, as the end of its name.
const DISPATCHER: &str = "rmi::serve";

/// `bench --profile NAME`.
pub(super) fn command(bench: &Bench<'_>, name: &str) -> anyhow::Result<()> {
    let functions = Functions::read(&symbols(bench.stage)?)?;
    let (base, size) = span(bench.stage)?;
    let trace = bench.run.folder().join("bench.trace");
    let progress = Progress::start(&format!("tracing {name}"));
    let result = traced(bench, name, (base, size), &trace)
        .and_then(|calls| sum_up(&trace, base, &functions, calls));
    // A trace has hundreds of megabytes.
    drop(std::fs::remove_file(&trace));
    let costs = result?;
    let total: u64 = costs.values().sum();
    progress.done(&format!("{total} instructions of the monitor"));
    let mut costs: Vec<_> = costs.into_iter().collect();
    costs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (function, instructions) in costs {
        println!("{instructions:>10} {:>5.1} %  {function}", percent(instructions, total));
    }
    Ok(())
}

fn percent(part: u64, whole: u64) -> f64 {
    let tenths = u32::try_from(part * 1000 / whole.max(1)).unwrap_or(1000);
    f64::from(tenths) / 10.0
}

/// Traces the monitor up to the end of an operation; how many commands of the host that one has.
fn traced(
    bench: &Bench<'_>,
    name: &str,
    (base, size): (u64, u64),
    trace: &Path,
) -> anyhow::Result<u64> {
    let filter = format!("{base:#x}+{size:#x}");
    let file = trace.display().to_string();
    let trace = [
        "-accel",
        "tcg,one-insn-per-tb=on",
        "-d",
        "exec,nochain",
        "-dfilter",
        &filter,
        "-D",
        &file,
    ];
    let rows = boot(bench, name, &[&COUNTED[..], &trace].concat(), patience::TRACE)?;
    let rows = rows.unwrap_or_default();
    match rows.last() {
        Some(row) if row.name() == name => Ok(row.smcs()),
        _ => bail!("there is no operation `{name}`; `bench --list` shows all names"),
    }
}

/// Instructions by function since the last `calls` commands came to the dispatcher.
fn sum_up(
    trace: &Path,
    base: u64,
    functions: &Functions,
    calls: u64,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let is_entry =
        |at: u64, function: &Function| function.name.ends_with(DISPATCHER) && function.start == at;
    let mut commands = 0;
    each(trace, base, functions, |at, function| commands += u64::from(is_entry(at, function)))?;
    let mut before = commands.saturating_sub(calls.max(1));
    let mut costs = BTreeMap::new();
    let mut counts = commands == 0;
    each(trace, base, functions, |at, function| {
        if is_entry(at, function) {
            counts = before == 0;
            before = before.saturating_sub(1);
        }
        if !counts {
            return;
        }
        match costs.get_mut(&function.name) {
            Some(cost) => *cost += 1,
            None => drop(costs.insert(function.name.clone(), 1)),
        }
    })?;
    Ok(costs)
}

/// Each instruction of a trace: where it is in the monitor, and the function that it is of.
fn each(
    trace: &Path,
    base: u64,
    functions: &Functions,
    mut seen: impl FnMut(u64, &Function),
) -> anyhow::Result<()> {
    for line in BufReader::new(File::open(trace).at("read", trace)?).lines() {
        let line = line.at("read", trace)?;
        let Some(at) = address(&line).map(|address| address.wrapping_sub(base)) else { continue };
        if let Some(function) = functions.of(at) {
            seen(at, function);
        }
    }
    Ok(())
}

/// The program counter in a line such as `Trace 0: 0x7f.. [00000000/0000000040100a30/...] name`.
fn address(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once('[')?;
    let (_, rest) = rest.split_once('/')?;
    let (address, _) = rest.split_once('/')?;
    u64::from_str_radix(address, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_stands_between_the_first_slashes() {
        let line = "Trace 0: 0x7f5f28000140 [00000000/0000000040100a30/0/ff020000] ";
        assert_eq!(address(line), Some(0x4010_0a30));
        assert_eq!(address("garbage"), None);
    }

    #[test]
    fn only_what_follows_the_last_entries_counts() {
        let functions = Functions::of_names(&[(0, "other"), (0x10, DISPATCHER)], 0x20);
        let file = std::env::temp_dir().join(format!("cairn-trace-{}", std::process::id()));
        let line = |at: u64| format!("Trace 0: 0x0 [0/{:016x}/0/0]\n", 0x1000 + at);
        std::fs::write(&file, [0, 0x10, 0x14, 0, 0x10, 4].map(line).concat()).unwrap();
        let costs = |calls| {
            let costs = sum_up(&file, 0x1000, &functions, calls).unwrap();
            ["other", DISPATCHER].map(|name| costs.get(name).copied().unwrap_or(0))
        };
        assert_eq!([costs(0), costs(1), costs(2), costs(9)], [[1, 1], [1, 1], [2, 3], [2, 3]]);
        std::fs::remove_file(&file).unwrap();
    }
}
