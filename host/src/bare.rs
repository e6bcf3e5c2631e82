//! What each CPU does from its first Rust instruction to the end.

use crate::leaf::{self, BareMachine};
use crate::platform;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use cairn_host::Failure;
use cairn_host::dialect::Dialect;
use cairn_host::granules::Pool;
use cairn_host::host::Host;
use cairn_host::job::{self, Interface, Job, MAX_CPUS, Mode};
use cairn_host::machine::Machine;
use cairn_host::ram::{self, MachineFacts};
use cairn_host::realm::{Realm, teardown};
use cairn_host::stress::lives::{Lives, Spinning};
use cairn_host::stress::races::Arena;
use cairn_host::stress::{refusals, registers};
use cairn_host::vcpu::Group;
use cairn_host::watch::Watch;
use cairn_host::{bench, conformance, report};
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use spin::Mutex;

/// What the other CPUs work on.
#[derive(Clone)]
enum Work {
    /// Realms that share the CPUs.
    Realms(Arc<Host>, Arc<Group>),
    /// Commands about the same objects.
    Races(Arc<Arena>),
    /// CPU 1 runs a Realm that does not stop by itself.
    Spin(Arc<Spinning>),
    /// Each CPU makes, runs and destroys a Realm.
    Life(Arc<Host>),
    /// Each CPU sleeps in the firmware for a moment.
    StandBy,
    /// Each CPU switches itself off.
    SwitchOff,
}

/// Work for the other CPUs, with its number; they look after each interrupt.
static WORK: Mutex<(usize, Option<Work>)> = Mutex::new((0, None));

/// Number of the last work that each CPU has done, or is doing as its last.
static DONE: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// What went wrong on another CPU.
static TROUBLE: Mutex<Option<Failure>> = Mutex::new(None);

/// Mailboxes of the conformance suite, in which its Realms ask other CPUs for commands; 0 if it
/// does not run.
static MAILBOXES: AtomicU64 = AtomicU64::new(0);

/// CPUs besides the first that have arrived.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);

/// Ticks that a CPU may take to arrive.
const ARRIVAL_SECONDS: u64 = 20;

/// Seconds that a piece of work may take, but for those that run Realms of others.
const WORK_SECONDS: u64 = 120;

/// CPU 0, with the physical address of the machine's device tree.
pub(crate) fn start(device_tree: u64) -> ! {
    match run(device_tree) {
        Ok(()) => finish(None),
        Err(failure) => finish(Some(format_args!("{failure}"))),
    }
}

/// Any other CPU.
pub(crate) fn start_secondary(cpu: usize) -> ! {
    leaf::init_cpu_interrupts(cpu);
    ARRIVED.fetch_add(1, Ordering::Release);
    loop {
        BareMachine::serve_interrupts();
        let mailboxes = MAILBOXES.load(Ordering::Acquire);
        if mailboxes != 0 {
            conformance::assist(&BareMachine, mailboxes);
        }
        let Some(done) = DONE.get(cpu) else { continue };
        let number = WORK.lock().0;
        if done.load(Ordering::Relaxed) == number {
            leaf::wait_for_interrupt();
            continue;
        }
        // Only while it is worked on: who sleeps holds none of it.
        let work = WORK.lock().1.clone();
        if let Some(work) = work {
            take_part(&work, cpu, number);
        }
        done.store(number, Ordering::Release);
    }
}

/// Another CPU's part of the work.
fn take_part(work: &Work, cpu: usize, number: usize) {
    let result = match work {
        Work::Realms(host, group) => {
            group.run(host, cpu);
            Ok(())
        }
        Work::Races(arena) => {
            arena.work(cpu);
            Ok(())
        }
        Work::Spin(spinning) => {
            if cpu == 1 {
                spinning.run();
            }
            Ok(())
        }
        Work::Life(host) => {
            let vmid = 0x100 + cpu as u64;
            Lives::new(host, leaf::worker_program()).whole(vmid, 0x5ec2_e7fd_0000_0001 | vmid << 16)
        }
        Work::StandBy => stand_by(),
        Work::SwitchOff => {
            if let Some(done) = DONE.get(cpu) {
                done.store(number, Ordering::Release);
            }
            let error = leaf::switch_off();
            Err(Failure::new(alloc::format!("PSCI_CPU_OFF of CPU {cpu} returned {error}")))
        }
    };
    if let Err(failure) = result {
        TROUBLE.lock().get_or_insert(failure);
    }
}

fn stand_by() -> Result<(), Failure> {
    let soon = leaf::counter() + leaf::counter_hz() / 1000;
    BareMachine.arm_timer(Some(soon));
    let result = leaf::stand_by();
    BareMachine.take_interrupts();
    result.map_err(|error| Failure::new(alloc::format!("PSCI_CPU_SUSPEND returned {error}")))
}

/// Gives the other CPUs of the job work, or tells them that there is none any more.
fn announce(work: Option<Work>, cpus: usize) {
    {
        let mut slot = WORK.lock();
        slot.0 += 1;
        slot.1 = work;
    }
    (1..cpus).for_each(|cpu| BareMachine.kick(cpu));
}

/// Waits until the other CPUs have done the work, and withdraws it.
fn wait_for_all(cpus: usize) -> Result<(), Failure> {
    let number = WORK.lock().0;
    let limit = leaf::counter() + WORK_SECONDS * leaf::counter_hz();
    for (cpu, done) in DONE.iter().enumerate().take(cpus).skip(1) {
        while done.load(Ordering::Acquire) != number {
            if leaf::counter() > limit {
                return Err(Failure::new(alloc::format!("CPU {cpu} does not finish its work")));
            }
            core::hint::spin_loop();
        }
    }
    WORK.lock().1 = None;
    TROUBLE.lock().take().map_or(Ok(()), Err)
}

/// Prints the last line and switches the machine off.
pub(crate) fn finish(why: Option<fmt::Arguments<'_>>) -> ! {
    leaf::console_line(format_args!("{}", report::End(why)));
    leaf::power_off()
}

/// The end after a mistake of the host's own, which may have happened anywhere: also while this
/// CPU was printing, or while it printed its last words.
pub(crate) fn last_words(why: fmt::Arguments<'_>) -> ! {
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
    let (first, others) = job.interface.dialects().split_first().ok_or("no interface")?;
    let mut host = Host::new(Box::new(BareMachine), pool, *first)?;
    host.watch = job.watch.then(Watch::default);
    host.style = job.style;
    let start = report::start(job.cpus, job.memory, job.interface);
    leaf::console_line(format_args!("{start}"));
    if job.mode == Mode::Linux {
        return run_linux(host, others, &job);
    }
    if job.mode == Mode::Lives && job.interface == Interface::Both {
        return run_lives_in_turn(host, &job);
    }
    let host = Arc::new(host);
    let ended = match job.mode {
        Mode::Latency => bench::latency(&host, &BareMachine, leaf::bench_program()),
        Mode::Conversions => bench::conversions(&host, &BareMachine, leaf::bench_program()),
        Mode::Races => run_races(&host, &job),
        Mode::Lives => run_lives(&host, &job),
        Mode::Cpus => run_cpus(&host, &job, &facts),
        Mode::Refusals => {
            run_stranger(&host, &job, &facts)?;
            return refusals::run(&host, leaf::worker_program(), platform::MAPPED_RAM);
        }
        Mode::Registers => registers::run(&host, &BareMachine),
        Mode::Bench | Mode::Conformance | Mode::Linux => {
            bench::run(&host, &BareMachine, leaf::bench_program(), &job.until)
        }
    };
    let accounted = host.account();
    ended.and(accounted).and_then(|()| host.end())
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

/// Runs the Realms, then again in each of the other versions of the interface.
fn run_linux(mut host: Host, others: &[&'static dyn Dialect], job: &Job) -> Result<(), Failure> {
    let mut others = others.iter();
    let mut first = 1;
    loop {
        let shared = Arc::new(host);
        let ended = run_realms(&shared, job, first);
        host = only_owner(shared);
        let next = others.next().filter(|_| ended.is_ok());
        let Some(next) = next else {
            // What went wrong first is what matters, but the account is given in any case.
            let accounted = host.account();
            return ended.and(accounted).and_then(|()| host.end());
        };
        host.is_whole()?;
        host = host.switch(*next)?;
        let version = next.version() >> 16;
        host.log(format_args!("everything is back; going on with version {version}.0"));
        first += job.realms;
    }
}

/// Builds the Realms, runs them to their ends side by side, and takes each down as soon as it has
/// stopped. The first gets the number `first`.
fn run_realms(host: &Arc<Host>, job: &Job, first: usize) -> Result<(), Failure> {
    let mut realms = Vec::new();
    for number in first..first + job.realms {
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
    announce(Some(Work::Realms(host.clone(), group.clone())), job.cpus);
    let mut ended = Ok(());
    while let Some(realm) = group.run_until_one_stops(host, 0) {
        host.log(format_args!("the Realm stopped after {} ms", host.uptime_ms()));
        let failure = realm.take_failure();
        let torn_down = teardown::destroy(host, realm);
        host.log(format_args!("the Realm is gone after {} ms", host.uptime_ms()));
        ended = ended.and(failure.map_or(torn_down, Err));
    }
    WORK.lock().1 = None;
    ended
}

/// All CPUs send commands about the same objects.
fn run_races(host: &Arc<Host>, job: &Job) -> Result<(), Failure> {
    let arena = Arena::new(host, leaf::worker_program(), job.cpus, job.commands, job.seed)?;
    let arena = Arc::new(arena);
    announce(Some(Work::Races(arena.clone())), job.cpus);
    arena.work(0);
    wait_for_all(job.cpus)?;
    only_owner(arena).finish(job.cpus)
}

/// Realms that come and go, some of them in the wrong way.
fn run_lives(host: &Arc<Host>, job: &Job) -> Result<(), Failure> {
    let lives = Lives::new(host, leaf::worker_program());
    lives.same_vmid()?;
    lives.given_up()?;
    lives.cycles(job.commands)?;
    if job.cpus > 1 {
        let spinning = Arc::new(Spinning::new(host, leaf::spin_program())?);
        announce(Some(Work::Spin(spinning.clone())), job.cpus);
        spinning.disturb(1)?;
        wait_for_all(job.cpus)?;
        only_owner(spinning).destroy()?;
    }
    Ok(())
}

/// Realms that come and go, each in the other version of the interface than the one before: the
/// monitor is deactivated and activated in between.
fn run_lives_in_turn(mut host: Host, job: &Job) -> Result<(), Failure> {
    let mut dialects = job.interface.dialects().iter().cycle().skip(1);
    for number in 0..job.commands {
        Lives::new(&host, leaf::worker_program()).one(number)?;
        host.is_whole()?;
        if (number + 1).is_multiple_of(job.commands.div_ceil(100)) {
            host.log(format_args!("{} of {} lives", number + 1, job.commands));
        }
        host = host.switch(dialects.next().copied().ok_or("no interface")?)?;
    }
    let accounted = host.account();
    accounted.and_then(|()| host.end())
}

/// The other CPUs sleep, are switched off and on again, and run Realms in between.
fn run_cpus(host: &Arc<Host>, job: &Job, facts: &MachineFacts) -> Result<(), Failure> {
    for round in 1..=job.commands {
        for work in [Work::Life(host.clone()), Work::StandBy, Work::Life(host.clone())] {
            announce(Some(work), job.cpus);
            wait_for_all(job.cpus)?;
        }
        restart_others(facts, job)?;
        host.log(format_args!("round {round}: {} CPUs were off and are back", job.cpus - 1));
    }
    announce(Some(Work::Life(host.clone())), job.cpus);
    wait_for_all(job.cpus)
}

/// Switches the other CPUs off and on again.
fn restart_others(facts: &MachineFacts, job: &Job) -> Result<(), Failure> {
    announce(Some(Work::SwitchOff), job.cpus);
    wait_for_all(job.cpus)?;
    let limit = leaf::counter() + ARRIVAL_SECONDS * leaf::counter_hz();
    for mpidr in facts.cpus.iter().take(job.cpus).skip(1) {
        while !leaf::is_off(*mpidr) {
            if leaf::counter() > limit {
                return Err("a CPU is not off 20 s after PSCI_CPU_OFF".into());
            }
        }
    }
    ARRIVED.store(0, Ordering::Release);
    start_others(facts, job)
}

/// A CPU that comes back different from the first runs no Realm, although EL3 brings its calls to
/// the monitor; once it is as it was, it does.
fn run_stranger(host: &Arc<Host>, job: &Job, facts: &MachineFacts) -> Result<(), Failure> {
    const STRANGER: u64 = 1;
    if job.cpus < 2 {
        return Ok(());
    }
    refusals::make_stranger(host, STRANGER)?;
    restart_others(facts, job)?;
    announce(Some(Work::Life(host.clone())), job.cpus);
    match wait_for_all(job.cpus) {
        Err(failure) => host.log(format_args!("a CPU that differs: {failure}")),
        Ok(()) => return Err("the monitor serves a CPU that differs from the first".into()),
    }
    refusals::make_stranger(host, 0)?;
    restart_others(facts, job)?;
    announce(Some(Work::Life(host.clone())), job.cpus);
    wait_for_all(job.cpus)
}

/// Waits until the other CPUs have let go of it.
fn only_owner<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(owned) => return owned,
            Err(still) => shared = still,
        }
        core::hint::spin_loop();
    }
}

fn build_realm(host: &Host, job: &Job, number: usize) -> Result<Realm, Failure> {
    let mut realm = Realm::create(host, job, number as u64)?;
    if job.realms > 1 || job.interface == Interface::Both {
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
