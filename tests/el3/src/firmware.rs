//! What this EL3 does with each call, on each CPU.

use crate::leaf::{self, Clock, Frame, Registers};
use crate::services;
use cairn_el3::board::{self, Board};
use cairn_el3::edition::Edition;
use cairn_el3::kind::Kind;
use cairn_el3::opening::{self, Opening, Side, Undefined};
use cairn_el3::{CPUS_MAX, call, gpt, manifest};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Mutex;

/// The board that this program is built for.
pub(crate) const BOARD: Board = if cfg!(feature = "sbsa") { board::SBSA } else { board::FVP };

/// EL2 with its own stack pointer, everything masked.
const SPSR_EL2H: u64 = 0x3c9;

/// A world below EL3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// The monitor and its Realms.
    Realm,
    /// The host.
    Normal,
}

impl World {
    const fn side(self) -> Side {
        match self {
            Self::Realm => Side::Realm,
            Self::Normal => Side::Normal,
        }
    }
}

/// What this EL3 lets the worlds use.
pub(crate) fn opening() -> Opening {
    Opening::from_number(leaf::read(BOARD.opening()))
}

/// Which version of the interface it speaks.
pub(crate) fn edition() -> Edition {
    Edition::from_number(leaf::read(BOARD.edition()))
}

/// Both.
fn kind() -> Kind {
    Kind { opening: opening(), edition: edition() }
}

/// What a world has left on a CPU.
#[derive(Clone, Copy)]
struct Saved {
    frame: Frame,
    registers: Registers,
}

/// One CPU.
struct Cpu {
    worlds: Mutex<[Option<Saved>; 2]>,
    /// Where the Normal world wants it, and its X0; 0 while it is off.
    entry: AtomicU64,
    context: AtomicU64,
    /// What its monitor has handed over at the end of its boot.
    token: AtomicU64,
    is_on: AtomicBool,
}

static CPUS: [Cpu; CPUS_MAX] = [const {
    Cpu {
        worlds: Mutex::new([None; 2]),
        entry: AtomicU64::new(0),
        context: AtomicU64::new(0),
        token: AtomicU64::new(0),
        is_on: AtomicBool::new(false),
    }
}; CPUS_MAX];

/// The monitor did not boot: the Normal world gets -1.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Index of the CPU that has to differ from the others; 0 for none.
static STRANGER: AtomicU64 = AtomicU64::new(0);

fn is_stranger(index: usize) -> bool {
    index != 0 && STRANGER.load(Ordering::Acquire) == index as u64
}

fn cpu(index: usize) -> &'static Cpu {
    CPUS.get(index).unwrap_or_else(|| stop(format_args!("there is no CPU {index}")))
}

/// Says what went wrong, and switches the machine off.
pub(crate) fn stop(why: fmt::Arguments<'_>) -> ! {
    leaf::print(format_args!("PANIC in EL3: {why}\n"));
    leaf::power_off()
}

/// The first CPU.
pub(crate) fn cold(frame: &mut Frame) {
    let Kind { opening, edition } = kind();
    leaf::print(format_args!(
        "Stand-in for the firmware of {}, opening: {opening:?}, {edition:?}\n",
        BOARD.name
    ));
    for gib in 0..gpt::level_0_entries(&BOARD) {
        leaf::write(BOARD.level_0() + gib * 8, gpt::level_0_entry(&BOARD, gib));
    }
    for (table, gib) in (0..).zip(BOARD.tables) {
        let base = BOARD.level_1() + table * gpt::LEVEL_1_BYTES;
        for word in 0..gpt::LEVEL_1_BYTES / 8 {
            let pa = gib * gpt::LEVEL_0_SIZE + word * 16 * 0x1000;
            leaf::write(base + word * 8, gpt::initial_word(&BOARD, pa));
        }
    }
    let page = BOARD.shared_buffer.start;
    for (at, word) in (page..).step_by(8).zip(manifest::words(&BOARD, page, edition)) {
        leaf::write(at, word);
    }
    copy_device_tree();
    leaf::init_distributor();
    let own = cpu(0);
    own.entry.store(BOARD.bl33, Ordering::Relaxed);
    own.context.store(BOARD.device_tree.start, Ordering::Relaxed);
    let boot = [0, edition.version(), BOARD.cpus, page, 0];
    enter(0, frame, boot);
}

/// QEMU leaves the tree at the start of RAM; FVP's firmware leaves it elsewhere.
fn copy_device_tree() {
    for (from, to) in (BOARD.ram..).step_by(8).zip(BOARD.device_tree.step_by(8)) {
        leaf::write(to, leaf::read(from));
    }
}

/// Any other CPU, at reset and after `PSCI_CPU_OFF`: waits until it is wanted.
pub(crate) fn wait(index: usize, frame: &mut Frame) {
    let own = cpu(index);
    while own.entry.load(Ordering::Acquire) == 0 {
        leaf::wait_for_event();
    }
    // X1 is the monitor's own token, and X4 what happened to be there, with interface 2.0.
    let is_v2 = edition().is_v2;
    let token = if is_v2 { own.token.load(Ordering::Relaxed) } else { 0 };
    let undefined = if is_v2 { 0xdead_0004_dead_0004 } else { 0 };
    enter(index, frame, [named(index), token, 0, 0, undefined]);
}

/// What the monitor is told that this CPU is: of each two CPUs the second, for both. TF-A 2.12.1
/// does that to CPUs that start at the same time (`rmmd_cpu_on_finish_handler`); the monitor has to
/// live with it.
const fn named(index: usize) -> u64 {
    index as u64 | 1
}

/// Starts the monitor on this CPU; the Normal world follows when it has booted.
fn enter(index: usize, frame: &mut Frame, boot: [u64; 5]) {
    let kind = kind();
    let opening = kind.opening;
    leaf::init_cpu(index, BOARD.level_0(), gpt::gpccr(&BOARD), opening.mdcr(), is_stranger(index));
    let own = cpu(index);
    own.is_on.store(true, Ordering::Release);
    let registers = Registers::at_reset(opening);
    let mut normal = Frame::new(own.entry.load(Ordering::Relaxed), SPSR_EL2H);
    normal.set(0, own.context.load(Ordering::Relaxed));
    *own.worlds.lock() = [None, Some(Saved { frame: normal, registers })];
    *frame = Frame::new(BOARD.monitor.start, SPSR_EL2H);
    for (n, value) in boot.into_iter().enumerate() {
        frame.set(n, value);
    }
    select(World::Realm);
    leaf::restore(&registers, kind);
    if !kind.edition.keeps_virtual_interrupts() {
        leaf::start_virtual_interrupts();
    }
}

/// Chooses the world that is entered next, and whose registers are reached.
fn select(world: World) {
    let (opening, side) = (opening(), world.side());
    leaf::select(opening.scr(side), opening.cptr(side));
}

/// Leaves one world for the other.
fn switch(index: usize, frame: &mut Frame, clock: &mut Clock, from: World, to: World) {
    clock.switches += 1;
    let mut worlds = cpu(index).worlds.lock();
    let [realm, normal] = &mut *worlds;
    let (leaving, entering) = if from == World::Realm { (realm, normal) } else { (normal, realm) };
    let kind = kind();
    *leaving = Some(Saved { frame: *frame, registers: leaf::save(kind) });
    let Some(saved) = entering else { stop(format_args!("there is no {to:?} world")) };
    *frame = saved.frame;
    select(to);
    leaf::restore(&saved.registers, kind);
}

/// A call from a world below.
pub(crate) fn called(index: usize, frame: &mut Frame, clock: &mut Clock, from: World) {
    if let Some(reply) = architecture(frame) {
        return frame.set(0, reply);
    }
    match from {
        World::Normal => from_normal(index, frame, clock),
        World::Realm => from_realm(index, frame, clock),
    }
}

/// The calls of the SMC Calling Convention itself.
fn architecture(frame: &mut Frame) -> Option<u64> {
    let [function, asked, ..] = frame.arguments();
    let tells = opening().tells();
    match function {
        call::SMCCC_VERSION => Some(call::SMCCC_1_5),
        call::ARCH_FEATURES => Some(match asked {
            call::SMCCC_VERSION | call::ARCH_FEATURES => 0,
            call::FEATURE_AVAILABILITY if tells => 0,
            _ => call::UNKNOWN,
        }),
        call::FEATURE_AVAILABILITY_64 if tells => {
            // The controls are those of the world that asks.
            let available = opening::available(asked, leaf::control(asked));
            frame.set(1, available.unwrap_or(0));
            Some(available.map_or(call::SMCCC_INVALID, |_| 0))
        }
        _ => None,
    }
}

/// An access to a register that this EL3 has not opened: it is UNDEFINED where it was made.
pub(crate) fn refused_register(frame: &mut Frame) {
    let (elr, pstate) = frame.origin();
    let taken = Undefined::new(pstate);
    let vectors = leaf::take_undefined(taken.at_el2, elr, pstate);
    frame.go_on(vectors + taken.vector, taken.pstate);
}

fn from_normal(index: usize, frame: &mut Frame, clock: &mut Clock) {
    let [x0, x1, x2, x3, ..] = frame.arguments();
    if call::is_rmi(x0, edition()) {
        if FAILED.load(Ordering::Relaxed) {
            return frame.set(0, call::UNKNOWN);
        }
        let arguments = frame.arguments();
        switch(index, frame, clock, World::Normal, World::Realm);
        for (n, value) in arguments.into_iter().enumerate() {
            frame.set(n, value);
        }
        return;
    }
    let reply = match x0 {
        call::PSCI_VERSION => 0x1_0001,
        call::PSCI_CPU_SUSPEND if call::is_standby(x1) => {
            leaf::wait_for_interrupt();
            0
        }
        // No CPU loses its state here.
        call::PSCI_CPU_SUSPEND => call::INVALID_PARAMETERS,
        call::PSCI_CPU_ON => cpu_on(x1, x2, x3),
        call::PSCI_AFFINITY_INFO => match target(x1) {
            Some(cpu) => u64::from(!cpu.is_on.load(Ordering::Acquire)),
            None => call::INVALID_PARAMETERS,
        },
        call::PSCI_CPU_OFF => {
            let own = cpu(index);
            own.entry.store(0, Ordering::Relaxed);
            own.is_on.store(false, Ordering::Release);
            return wait(index, frame);
        }
        call::PSCI_SYSTEM_OFF => leaf::power_off(),
        call::STRANGER => {
            STRANGER.store(x1, Ordering::Release);
            0
        }
        call::SPENT => {
            frame.set(1, clock.ticks);
            frame.set(2, clock.services);
            frame.set(3, clock.switches);
            0
        }
        _ => services::of_normal_world(frame, edition()),
    };
    frame.set(0, reply);
}

fn target(mpidr: u64) -> Option<&'static Cpu> {
    let index = BOARD.index_of(mpidr);
    CPUS.get(index).filter(|_| index < usize::try_from(BOARD.cpus).unwrap_or(0))
}

fn cpu_on(mpidr: u64, entry: u64, context: u64) -> u64 {
    let Some(cpu) = target(mpidr) else { return call::INVALID_PARAMETERS };
    if cpu.is_on.load(Ordering::Acquire) || cpu.entry.load(Ordering::Acquire) != 0 {
        return call::ALREADY_ON;
    }
    cpu.context.store(context, Ordering::Relaxed);
    cpu.entry.store(entry, Ordering::Release);
    leaf::send_event();
    0
}

fn from_realm(index: usize, frame: &mut Frame, clock: &mut Clock) {
    let [x0, x1, x2, ..] = frame.arguments();
    let edition = edition();
    match x0 {
        call::REQUEST_COMPLETE => {
            let results = frame.results();
            switch(index, frame, clock, World::Realm, World::Normal);
            for (n, value) in results.into_iter().take(edition.results()).enumerate() {
                frame.set(n, value);
            }
        }
        call::BOOT_COMPLETE => {
            if x1 != 0 {
                leaf::print(format_args!("the monitor does not boot: {}\n", x1.cast_signed()));
                // As TF-A: one CPU fails for all, unless this EL3 has made that CPU different on
                // purpose.
                FAILED.fetch_or(!is_stranger(index), Ordering::Relaxed);
            }
            cpu(index).token.store(x2, Ordering::Relaxed);
            switch(index, frame, clock, World::Realm, World::Normal);
        }
        _ => {
            clock.services += 1;
            let reply = services::of_realm_world(frame, edition);
            frame.set(0, reply);
        }
    }
}

/// Anything but a call.
pub(crate) fn fault(kind: u64, frame: &Frame, esr: u64, far: u64) -> ! {
    let (elr, spsr) = frame.origin();
    stop(format_args!(
        "exception {kind:#x} at {elr:#x}, SPSR {spsr:#x}, syndrome {esr:#x}, address {far:#x}"
    ))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
