//! `cargo xtask stress`: many CPUs at once, Realms by the thousand, CPUs that go and come back; on
//! QEMU, for ours or any monitor.

mod listen;
pub(crate) mod machine;

use std::fmt::Write;
use std::time::Instant;

use anyhow::bail;
use cairn_el3::opening::Opening;
use cairn_host::job::Interface;

use crate::check::Accounting;
use crate::cli::{ModelOptions, Platform, StressKind, StressOptions};
use crate::console::log::Decoder;
use crate::fault::{IoContext, Verdict};
use crate::job;
use crate::ledger::Ledger;
use crate::output::Run as Folder;
use crate::paths::write_whole;
use crate::progress::Progress;
use crate::qemu::Ended;
use crate::stage;
use crate::stand_in::StandIn;

use listen::{Listen, Refusals, Share, parts};
use machine::Firmware;

impl StressKind {
    /// The job's name.
    const fn mode(self) -> &'static str {
        match self {
            Self::Races => "races",
            Self::Lives => "lives",
            Self::Cpus => "cpus",
            Self::Refusals => "refusals",
            Self::Registers => "registers",
        }
    }

    /// Commands, lives, or rounds.
    const fn count(self) -> u64 {
        match self {
            Self::Races => 1_000_000,
            Self::Lives => 1000,
            Self::Cpus => 3,
            Self::Refusals | Self::Registers => 1,
        }
    }

    const fn cpus(self) -> u32 {
        match self {
            Self::Races => 4,
            Self::Lives | Self::Refusals => 2,
            Self::Cpus => 32,
            Self::Registers => 1,
        }
    }

    /// Arguments of QEMU: the counter counts instructions where the host tells by it what has
    /// trapped.
    const fn machine(self) -> &'static [&'static str] {
        match self {
            Self::Registers => &crate::bench::COUNTED,
            Self::Races | Self::Lives | Self::Cpus | Self::Refusals => &[],
        }
    }
}

/// The `stress` subcommand.
pub(crate) fn command(options: &StressOptions) -> anyhow::Result<()> {
    let runs = plan(options)?;
    runs.iter().try_for_each(|run| {
        let folder = Folder::begin(&format!("stress-{}", run.kind.mode()))?;
        let firmware = if run.is_stand_in {
            Firmware::stand_in(&options.image, options.qemu.as_ref(), folder.folder())?
        } else {
            Firmware::tf_a(options, folder.folder())?
        };
        one(options, &firmware, run, &folder)
    })
}

/// One run of a kind.
struct Run {
    kind: StressKind,
    is_stand_in: bool,
    /// What the EL3 of the tests opens.
    opening: Opening,
    cpus: u32,
    count: u64,
}

/// The runs that `options` ask for, checked before any of them begins.
fn plan(options: &StressOptions) -> anyhow::Result<Vec<Run>> {
    use StressKind::{Cpus, Lives, Races, Refusals, Registers};
    if options.image.platform != Platform::Qemu {
        bail!("stress runs on QEMU virt only; --stand-in has the memory map of Arm FVP");
    }
    stage::check(&options.image, &ModelOptions::default())?;
    if options.kind == Some(Refusals) && options.commands.is_some_and(|count| count > 1) {
        bail!("refusals takes no --commands: it refuses each change once");
    }
    match (options.rmi, options.kind) {
        (Interface::Both, Some(Lives)) | (Interface::V1_0, _) => {}
        (Interface::Both, _) => bail!("only lives alternate between versions: `stress lives`"),
        (Interface::V2_0, Some(Registers)) => {
            bail!("what a Realm can reach is the same in both versions: registers is of 1.0")
        }
        (Interface::V2_0, _) => {}
    }
    // No TF-A of set-up's passes the commands of 2.0 on.
    let needs_stand_in = options.rmi != Interface::V1_0 && options.image.tfa.is_none();
    let kinds = options.kind.map_or(vec![Races, Lives, Cpus, Refusals], |kind| vec![kind]);
    // What a Realm can reach depends on what EL3 opens.
    let openings = |kind: StressKind| match kind {
        Registers if options.stand_in => vec![Opening::Newer, Opening::All, Opening::Closed],
        Races | Lives | Cpus | Refusals | Registers => vec![Opening::Ordinary],
    };
    let run = |(kind, opening): (StressKind, Opening)| {
        let is_stand_in = options.stand_in || needs_stand_in || kind == Refusals;
        let most = if is_stand_in { platform_fvp::CPUS_MAX } else { platform_qemu::CPUS_MAX };
        let cpus = options.cpus.unwrap_or(kind.cpus().min(u32::try_from(most)?));
        if u64::from(cpus) > most {
            bail!("the machine of {} has at most {most} CPUs", kind.mode());
        }
        let count = options.commands.filter(|_| kind != Refusals).unwrap_or(kind.count());
        Ok(Run { kind, is_stand_in, opening, cpus, count })
    };
    let pairs = |kind| openings(kind).into_iter().map(move |opening| (kind, opening));
    kinds.into_iter().flat_map(pairs).map(run).collect()
}

fn one(
    options: &StressOptions,
    firmware: &Firmware,
    run: &Run,
    folder: &Folder,
) -> anyhow::Result<()> {
    let &Run { kind, is_stand_in, opening, cpus, count } = run;
    let seed = options.seed;
    let board = match (is_stand_in, opening) {
        (false, _) => "qemu",
        (true, Opening::Ordinary) => "stand-in",
        (true, Opening::Newer) => "stand-in-newer",
        (true, Opening::All) => "stand-in-all",
        (true, Opening::Closed) => "stand-in-closed",
    };
    let name = |what: &str| format!("stress-{}-{board}-{what}", kind.mode());
    let file = |what: &str| folder.folder().join(name(what));
    let text = job::stress(kind.mode(), options.rmi, cpus, count, seed);
    let job = file("job.txt");
    write_whole(&job, text.as_bytes())?;
    let mut machine = firmware.machine(cpus, &job, file("qemu.log"), kind.machine());
    if is_stand_in {
        let stand_in = StandIn::of(options.image.platform);
        machine.extra.extend(stand_in.orders(opening, options.edition()));
    }
    let decoder = match &firmware.monitor.elf {
        Some(elf) => Decoder::new(&std::fs::read(elf).at("read", elf)?)?,
        None => None,
    };
    let rmi = options.rmi.name();
    let label =
        format!("{} on {board}, RMI {rmi}: {count} on {cpus} CPUs, seed {seed}", kind.mode());
    let progress = Progress::start(&label);
    let (log, saved) = folder.log(&name("console.log"))?;
    let mut listen = Listen::new(decoder, saved, Box::new(|line| show(&progress, line)));
    let patience = options.patience(cpus);
    let started = Instant::now();
    let mut running = machine.start()?;
    let ended = running.drive(&mut listen, false, Some(patience))?;
    let how = match ended {
        Ended::ByItself(status) if status.success() => "it switched itself off".to_owned(),
        Ended::ByItself(status) => format!("QEMU ended, {status}: {}", running.messages()),
        Ended::Stopped => "it did not switch itself off".to_owned(),
        Ended::NoProgress => {
            format!("there was no sign of progress for {} s (--timeout)", patience.as_secs())
        }
    };
    let table = table(&listen);
    let (leaks, el3) = (listen.leaks.clone(), listen.el3);
    let fair = is_fair(&listen.shares);
    let judged = listen.finish(&how).and_then(|(accounting, ledger)| {
        judge(kind, &accounting, &ledger, leaks, el3)?;
        if !fair {
            return Err(Verdict("a CPU got less than half of its share".to_owned()).into());
        }
        Ok(ledger)
    });
    match judged {
        Ok(ledger) => {
            progress.done(&format!("{:.0} s", started.elapsed().as_secs_f64()));
            print!("{table}");
            if kind == StressKind::Refusals {
                println!("  EL3 moved {} granules and refused {} times", el3.moved, el3.refused);
                print!("  {}", ledger.table());
            }
            Ok(())
        }
        Err(error) => {
            drop(progress);
            print!("{table}");
            Err(error.context(format!("{label}; the log is {}", log.display())))
        }
    }
}

/// Shows how far the host says it is: `20000 of 1000000 commands`.
fn show(progress: &Progress, line: &str) {
    let Some((done, all)) = parts(line) else { return };
    progress.percent(f64::from(done) * 100.0 / f64::from(all));
    if u64::from(done) * 10 % u64::from(all) == 0 {
        progress.line(line);
    }
}

/// Whether every CPU got at least half of an equal share of the commands.
fn is_fair(shares: &[Share]) -> bool {
    let all: u64 = shares.iter().map(|share| share.commands).sum();
    shares.iter().all(|share| share.commands * shares.len() as u64 * 2 >= all)
}

/// Nothing may be missing; after refusals the two ledgers must agree instead.
fn judge(
    kind: StressKind,
    accounting: &Accounting,
    ledger: &Ledger,
    mut leaks: Vec<u64>,
    el3: Refusals,
) -> anyhow::Result<()> {
    leaks.sort_unstable();
    let leaked = leaks.len() as u64;
    let problem = if accounting.delegated != accounting.returned + accounting.leaked {
        "not every granule came back"
    } else if kind != StressKind::Refusals {
        if accounting.leaked == 0 && ledger.granules() == 0 {
            return Ok(());
        }
        "the ledgers are not empty"
    } else if leaks != ledger.addresses() || accounting.leaked != leaked {
        "the host's ledger and the monitor's differ"
    } else if leaks.is_empty() || el3.refused <= leaked {
        "too little was refused"
    } else {
        return Ok(());
    };
    Err(Verdict(problem.to_owned()).into())
}

/// What became of the commands, and how fair it was.
fn table(listen: &Listen) -> String {
    let mut text = String::new();
    // A string takes everything.
    if !listen.tries.is_empty() {
        let _ = writeln!(text, "  {:<24} {:>9} {:>9}", "command", "done", "refused");
    }
    for tries in &listen.tries {
        let _ = writeln!(text, "  {:<24} {:>9} {:>9}", tries.name, tries.done, tries.refused);
    }
    if !listen.shares.is_empty() {
        let _ =
            writeln!(text, "  {:<24} {:>9} {:>9} {:>9}", "CPU", "commands", "overtaken", "longest");
    }
    for share in &listen.shares {
        let _ = writeln!(
            text,
            "  {:<24} {:>9} {:>9} {:>6} us",
            share.cpu, share.commands, share.overtaken, share.micros
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_runs_are_checked_before_the_first() {
        let options = |kind, commands| StressOptions {
            kind,
            ..StressOptions::of(StressKind::Races, commands)
        };
        let fault =
            |options| plan(&options).err().map(|error| error.to_string()).unwrap_or_default();
        let all = plan(&options(None, 7)).unwrap();
        assert_eq!(all.iter().map(|run| run.count).collect::<Vec<_>>(), [7, 7, 7, 1]);
        let cpus = StressOptions { cpus: Some(32), ..options(None, 7) };
        assert_eq!(fault(cpus), "the machine of refusals has at most 8 CPUs");
        assert!(fault(options(Some(StressKind::Refusals), 7)).contains("no --commands"));
        assert!(fault(options(Some(StressKind::Refusals), 1)).is_empty());
        for platform in [Platform::Fvp, Platform::Sbsa] {
            let mut other = options(None, 7);
            other.image.platform = platform;
            assert!(fault(other).contains("QEMU virt only"));
        }
        let both = |kind| StressOptions { rmi: Interface::Both, ..options(kind, 7) };
        assert!(fault(both(None)).contains("only lives"));
        assert!(fault(both(Some(StressKind::Lives))).is_empty());
        let new = |kind| StressOptions { rmi: Interface::V2_0, ..options(kind, 7) };
        assert!(plan(&new(None)).unwrap().iter().all(|run| run.is_stand_in));
        assert!(fault(new(Some(StressKind::Registers))).contains("is of 1.0"));
    }

    const LOG: &str = "[rmm] ERROR ledger: leaked granule 0x42001000, was RTT of Realm 1, step gpt_to_non_secure, EL3 -3, try 1, number 0\n";

    fn accounting(returned: u64, leaked: u64) -> Accounting {
        Accounting { delegated: 9, returned, leaked, ..Accounting::default() }
    }

    #[test]
    fn without_refusals_nothing_may_be_missing() {
        let judge = |returned, leaked, log: &str| {
            let (sum, ledger) = (accounting(returned, leaked), Ledger::read(log));
            judge(StressKind::Races, &sum, &ledger, Vec::new(), Refusals::default()).is_ok()
        };
        assert!(judge(9, 0, ""));
        assert!(!judge(8, 0, ""));
        assert!(!judge(8, 1, LOG));
        assert!(!judge(9, 0, LOG));
    }

    #[test]
    fn a_cpu_that_starves_is_noticed() {
        let share = |commands| Share { cpu: 0, commands, overtaken: 0, micros: 0 };
        assert!(is_fair(&[share(60), share(140)]));
        assert!(!is_fair(&[share(40), share(160)]));
        assert!(is_fair(&[]));
    }

    #[test]
    fn after_refusals_the_ledgers_agree() {
        let judge = |leaks: &[u64], refused| {
            let (sum, ledger) =
                (accounting(9 - leaks.len() as u64, leaks.len() as u64), Ledger::read(LOG));
            let el3 = Refusals { moved: 20, refused };
            judge(StressKind::Refusals, &sum, &ledger, leaks.to_vec(), el3).is_ok()
        };
        assert!(judge(&[0x4200_1000], 5));
        assert!(!judge(&[0x4200_2000], 5));
        assert!(!judge(&[], 5));
        assert!(!judge(&[0x4200_1000], 1));
    }
}
