//! What each CPU does from its first Rust instruction to the end.

use crate::leaf::{self, BareMachine};
use crate::platform;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use cairn_host::Failure;
use cairn_host::granules::Pool;
use cairn_host::host::Host;
use cairn_host::job::{self, Job, Mode};
use cairn_host::ram::{self, MachineFacts};
use cairn_host::realm::{Realm, teardown};
use cairn_host::vcpu::Group;
use cairn_host::watch::Watch;
use cairn_host::{bench, conformance, report};
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use spin::Mutex;

/// What the other CPUs work on.
#[derive(Clone)]
struct Work {
    host: Arc<Host>,
    group: Arc<Group>,
}

/// Work for the other CPUs; they look after each interrupt.
static WORK: Mutex<Option<Work>> = Mutex::new(None);

/// Mailboxes of the conformance suite, in which its Realms ask other CPUs for commands; 0 if it does not run.
static MAILBOXES: AtomicU64 = AtomicU64::new(0);

/// CPUs besides the first that have arrived.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);

/// Ticks that a CPU may take to arrive.
const ARRIVAL_SECONDS: u64 = 20;

/// CPU 0, with the physical address of the machine's device tree.
pub fn start(device_tree: u64) -> ! {
    match run(device_tree) {
        Ok(()) => finish(None),
        Err(failure) => finish(Some(format_args!("{failure}"))),
    }
}

/// Any other CPU.
pub fn start_secondary(cpu: usize) -> ! {
    leaf::init_cpu_interrupts(cpu);
    ARRIVED.fetch_add(1, Ordering::Release);
    loop {
        BareMachine::serve_interrupts();
        let mailboxes = MAILBOXES.load(Ordering::Acquire);
        if mailboxes != 0 {
            conformance::assist(&BareMachine, mailboxes);
        }
        let work = WORK.lock().clone();
        if let Some(Work { host, group }) = work {
            group.run(&host, cpu);
        }
        leaf::wait_for_interrupt();
    }
}

/// Prints the last line and switches the machine off.
pub fn finish(why: Option<fmt::Arguments<'_>>) -> ! {
    leaf::console_line(format_args!("{}", report::End(why)));
    leaf::power_off()
}

/// The end after a mistake of the host's own, which may have happened anywhere: also while this
/// CPU was printing, or while it printed its last words.
pub fn last_words(why: fmt::Arguments<'_>) -> ! {
    static SPOKEN: AtomicBool = AtomicBool::new(false);
    if SPOKEN.swap(true, Ordering::Relaxed) {
        leaf::power_off();
    }
    leaf::unlock_console();
    finish(Some(why))
}

fn run(device_tree: u64) -> Result<(), Failure> {
    leaf::console_line(format_args!("[host] started at EL2, X0 = {device_tree:#x}"));
    // TF-A gives a Linux kernel the tree's address, and any other program the CPU's affinity.
    let tree = leaf::device_tree(device_tree)
        .or_else(|| leaf::device_tree(platform::DEVICE_TREE))
        .ok_or("there is no device tree, neither where X0 points nor at the start of RAM")?;
    let facts = ram::read_device_tree(tree)?;
    let job = Job::parse(&leaf::read_text(platform::JOB_TEXT, job::MAX_SIZE_BYTES))?;
    let free = free_ram(&facts, &job);
    let pool = Pool::new(&free);
    leaf::console_line(format_args!(
        "[host] {} CPUs, {} MiB of free RAM",
        facts.cpus.len(),
        pool.free_pages() / 256
    ));
    leaf::init_interrupts(facts.cpus.len(), job.interactive)?;
    leaf::init_cpu_interrupts(0);
    start_others(&facts, &job)?;
    if job.mode == Mode::Conformance {
        return run_conformance(&job, free);
    }
    let mut host = Host::new(Box::new(BareMachine), pool)?;
    host.watch = job.watch.then(Watch::default);
    let host = Arc::new(host);
    let start = report::start(job.cpus, job.memory, host.rmi_version);
    leaf::console_line(format_args!("{start}"));
    let ended = match job.mode {
        Mode::Linux => run_realms(&host, &job),
        Mode::Latency => bench::latency(&host, &BareMachine, leaf::bench_program()),
        Mode::Bench | Mode::Conformance => {
            bench::run(&host, &BareMachine, leaf::bench_program(), &job.until)
        }
    };
    let accounted = host.account();
    ended.and(accounted)
}

/// Runs the conformance suite in the largest piece of free memory.
fn run_conformance(job: &Job, free: Vec<Range<u64>>) -> Result<(), Failure> {
    leaf::init_program_interrupts()?;
    let memory = free.into_iter().max_by_key(|range| range.end - range.start);
    let memory = memory.ok_or("there is no free memory")?;
    conformance::run(&BareMachine, leaf::realm_program(), memory, &job.scenarios, |mailboxes| {
        MAILBOXES.store(mailboxes, Ordering::Release);
    })
}

/// Builds the Realms, runs them to their ends side by side, and takes each down as soon as it has stopped.
fn run_realms(host: &Arc<Host>, job: &Job) -> Result<(), Failure> {
    let mut realms = Vec::new();
    for number in 1..=job.realms {
        match build_realm(host, job, number) {
            Ok(realm) => realms.push(realm),
            Err(failure) => {
                host.log(format_args!("Realm {number} cannot be built: {failure}"));
                // What went wrong first is what matters.
                for realm in realms {
                    let _ = teardown::destroy(host, realm);
                }
                return Err(failure);
            }
        }
    }
    host.log(format_args!("entering the Realm after {} ms", host.uptime_ms()));
    let group = Arc::new(Group::new(realms, job.cpus));
    *WORK.lock() = Some(Work { host: host.clone(), group: group.clone() });
    for cpu in 1..job.cpus {
        host.machine().kick(cpu);
    }
    let mut ended = Ok(());
    while let Some(realm) = group.run_until_one_stops(host, 0) {
        host.log(format_args!("the Realm stopped after {} ms", host.uptime_ms()));
        let failure = realm.take_failure();
        let torn_down = teardown::destroy(host, realm);
        host.log(format_args!("the Realm is gone after {} ms", host.uptime_ms()));
        ended = ended.and(failure.map_or(torn_down, Err));
    }
    *WORK.lock() = None;
    ended
}

fn build_realm(host: &Host, job: &Job, number: usize) -> Result<Realm, Failure> {
    let mut realm = Realm::create(host, job, number as u64)?;
    if job.realms > 1 {
        realm.set_label(number);
    }
    match realm.build(host, job) {
        Ok(()) => Ok(realm),
        Err(failure) => {
            let _ = teardown::destroy(host, realm);
            Err(failure)
        }
    }
}

/// RAM that nobody uses: what the device tree says, less the firmware, the host and its job.
fn free_ram(facts: &MachineFacts, job: &Job) -> Vec<Range<u64>> {
    let mut taken = Vec::from([platform::FIRMWARE, platform::HOST_IMAGE]);
    taken.push(platform::JOB_TEXT..platform::JOB_TEXT + job::MAX_SIZE_BYTES as u64);
    for file in [Some(job.kernel), job.initrd].into_iter().flatten() {
        taken.push(file.base..file.base + file.size);
    }
    let unmapped = ram::without(alloc::vec![0..u64::MAX], platform::MAPPED_RAM);
    taken.extend(unmapped);
    ram::without(facts.ram.clone(), &taken)
}

/// Starts the CPUs that the job needs besides this one, which also warm-boots the monitor there.
fn start_others(facts: &MachineFacts, job: &Job) -> Result<(), Failure> {
    if facts.cpus.len() < job.cpus {
        let found = facts.cpus.len();
        return Err(Failure::new(alloc::format!(
            "the job needs {} CPUs, but the machine has {found}",
            job.cpus
        )));
    }
    for (cpu, mpidr) in facts.cpus.iter().enumerate().take(job.cpus) {
        leaf::set_affinity(cpu, *mpidr);
    }
    let limit = leaf::counter() + ARRIVAL_SECONDS * leaf::counter_hz();
    for (cpu, mpidr) in facts.cpus.iter().enumerate().take(job.cpus).skip(1) {
        leaf::start_cpu(*mpidr, cpu).map_err(|error| {
            Failure::new(alloc::format!("PSCI_CPU_ON of CPU {cpu} returned {error}"))
        })?;
    }
    while ARRIVED.load(Ordering::Acquire) + 1 < job.cpus {
        if leaf::counter() > limit {
            return Err("a CPU did not arrive within 20 s after PSCI_CPU_ON".into());
        }
        core::hint::spin_loop();
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    last_words(format_args!("the host panicked: {info}"))
}
