//! An SMC with a pattern in every register that a Realm uses too and that EL3 does not keep for the
//! Normal world.

use super::{cpu, probe};
use cairn_host::machine::Changed;
use cairn_host::stress::registers::Access;
use cairn_reach::Encoding;
use core::arch::{asm, global_asm};
use spin::Once;

/// Registers around one call. The layout is known to the assembly below.
#[repr(C, align(16))]
struct Registers {
    /// X0 to X17: before the call, then after it.
    general: [u64; 18],
    /// FPCR and FPSR.
    status: [u64; 2],
    /// V0 to V31, on a CPU without SVE.
    vectors: [u64; 64],
}

/// The SVE hint of the SMCCC in a function identifier: nothing is live in P0 to P15, FFR and above
/// bit 127 of Z0 to Z31.
///
/// Source: SMC Calling Convention (Arm DEN0028) 1.3, "SVE hint".
pub(super) const SVE_HINT: u64 = 1 << 16;
/// Bytes of a vector that are live all the same.
const LOW_BYTES: usize = 16;
/// Bytes of a vector at the architecture's largest length.
const VECTOR_BYTES_MAX: usize = 256;

/// What SVE adds, each register one length apart from the next. The layout is known to the assembly
/// below.
#[repr(C, align(16))]
#[derive(Clone, PartialEq)]
struct Scalable {
    /// Z0 to Z31.
    vectors: [u64; 32 * VECTOR_BYTES_MAX / 8],
    /// P0 to P15.
    predicates: [u64; 16 * VECTOR_BYTES_MAX / 64],
    /// FFR.
    first_fault: [u64; VECTOR_BYTES_MAX / 64],
}

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve
    .macro  watched_call                    // x19: Registers
    ldp     x0, x1, [x19, #144]
    msr     fpcr, x0
    msr     fpsr, x1
    ldp     x0, x1, [x19]
    ldp     x2, x3, [x19, #16]
    ldp     x4, x5, [x19, #32]
    ldp     x6, x7, [x19, #48]
    ldp     x8, x9, [x19, #64]
    ldp     x10, x11, [x19, #80]
    ldp     x12, x13, [x19, #96]
    ldp     x14, x15, [x19, #112]
    ldp     x16, x17, [x19, #128]
    smc     #0
    stp     x0, x1, [x19]
    stp     x2, x3, [x19, #16]
    stp     x4, x5, [x19, #32]
    stp     x6, x7, [x19, #48]
    stp     x8, x9, [x19, #64]
    stp     x10, x11, [x19, #80]
    stp     x12, x13, [x19, #96]
    stp     x14, x15, [x19, #112]
    stp     x16, x17, [x19, #128]
    mrs     x0, fpcr
    mrs     x1, fpsr
    stp     x0, x1, [x19, #144]
    .endm

    .macro  vectors access                  // x19: Registers
    add     x20, x19, #160
    \access   {{v0.2d, v1.2d, v2.2d, v3.2d}}, [x20], #64
    \access   {{v4.2d, v5.2d, v6.2d, v7.2d}}, [x20], #64
    \access   {{v8.2d, v9.2d, v10.2d, v11.2d}}, [x20], #64
    \access   {{v12.2d, v13.2d, v14.2d, v15.2d}}, [x20], #64
    \access   {{v16.2d, v17.2d, v18.2d, v19.2d}}, [x20], #64
    \access   {{v20.2d, v21.2d, v22.2d, v23.2d}}, [x20], #64
    \access   {{v24.2d, v25.2d, v26.2d, v27.2d}}, [x20], #64
    \access   {{v28.2d, v29.2d, v30.2d, v31.2d}}, [x20], #64
    .endm

    .section .text, "ax"
    .global host_watched_smc
host_watched_smc:                           // x0: Registers
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    vectors ld1
    watched_call
    vectors st1
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret

    .global host_watched_smc_sve
// x0: Registers, x1: Scalable, x2: CPTR_EL2 meanwhile; ZCR_EL2 is the longest
host_watched_smc_sve:
    stp     x29, x30, [sp, #-64]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    mrs     x3, cptr_el2
    stp     x2, x3, [sp, #48]
    mov     x19, x0
    mov     x20, x1                         // Z0
    add     x21, x1, #8192                  // P0
    add     x22, x21, #512                  // FFR
    ldr     p0, [x22]
    wrffr   p0.b
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    ldr     p\n, [x21, #\n, mul vl]
    .endr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr     z\n, [x20, #\n, mul vl]
    .endr
    ldr     x0, [sp, #48]
    msr     cptr_el2, x0
    isb
    watched_call
    ldr     x0, [sp, #56]
    msr     cptr_el2, x0
    isb
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str     z\n, [x20, #\n, mul vl]
    .endr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    str     p\n, [x21, #\n, mul vl]
    .endr
    rdffr   p0.b
    str     p0, [x22]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #64
    ret
    .arch_extension nosve
    "#
);

// SAFETY: the symbols are defined by the assembly above with these signatures.
unsafe extern "C" {
    fn host_watched_smc(registers: *mut Registers);
    fn host_watched_smc_sve(registers: *mut Registers, scalable: *mut Scalable, cptr: u64);
}

/// A register that the Normal world shares with a Realm.
struct Shared {
    name: &'static str,
    /// Bits that can hold any value while nothing runs at EL1.
    mask: u64,
    /// Bits that are one.
    set: u64,
    read: fn() -> u64,
    write: fn(u64),
}

/// Reads by one name and writes by the same or another; `clear`, if there is one, empties a set
/// first.
macro_rules! shared {
    ($name:expr, $mask:expr) => {
        shared!($name, $mask, write $name)
    };
    ($name:expr, $mask:expr, set $set:expr) => {
        Shared { set: $set, ..shared!($name, $mask) }
    };
    ($name:expr, $mask:expr, $(clear $clear:literal,)? write $write:expr) => {
        Shared {
            name: $name,
            mask: $mask,
            set: 0,
            read: || {
                let value: u64;
                // SAFETY: the CPU has the register, reading it at EL2 changes nothing and touches
                // no memory.
                unsafe { asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
                value
            },
            write: |value| {
                $(
                    // SAFETY: the same as below.
                    unsafe { asm!(concat!("msr ", $clear, ", {}"), in(reg) u64::MAX >> 31, options(nomem, nostack)) };
                )?
                // SAFETY: the CPU has the register, which works at EL1 and EL0 only, where the host
                // never runs anything, or counts, which its filter does not let it where the host
                // or EL3 runs.
                unsafe { asm!(concat!("msr ", $write, ", {}"), in(reg) value, options(nomem, nostack)) };
            },
        }
    };
}

/// Those of EL1.
static EL1: [Shared; 22] = [
    shared!("sp_el0", u64::MAX),
    shared!("sp_el1", u64::MAX),
    shared!("elr_el1", u64::MAX),
    shared!("spsr_el1", u64::MAX),
    shared!("esr_el1", u64::MAX),
    shared!("far_el1", u64::MAX),
    shared!("afsr0_el1", u64::MAX),
    shared!("afsr1_el1", u64::MAX),
    shared!("vbar_el1", u64::MAX),
    shared!("ttbr0_el1", u64::MAX),
    shared!("ttbr1_el1", u64::MAX),
    shared!("tcr_el1", u64::MAX),
    shared!("mair_el1", u64::MAX),
    shared!("amair_el1", u64::MAX),
    shared!("contextidr_el1", u64::MAX),
    shared!("tpidr_el0", u64::MAX),
    shared!("tpidr_el1", u64::MAX),
    shared!("tpidrro_el0", u64::MAX),
    shared!("par_el1", u64::MAX),
    shared!("cpacr_el1", u64::MAX),
    shared!("cntkctl_el1", u64::MAX),
    shared!("sctlr_el1", u64::MAX),
];

/// Those of debug: no breakpoint and no watchpoint is enabled, and nothing steps.
static DEBUG: [Shared; 7] = [
    // The OS Lock first: under it, more of the others can be written.
    shared!("oslsr_el1", 1, write "oslar_el1"),
    shared!("mdscr_el1", 1 << 15 | 1 << 13 | 1 << 12),
    shared!("dbgbvr0_el1", 0xffff_ffff_fffc),
    shared!("dbgbcr0_el1", 0x00ff_c1e6),
    shared!("dbgwvr0_el1", 0xffff_ffff_fff8),
    shared!("dbgwcr0_el1", 0x1f1f_fffe),
    shared!("dbgclaimclr_el1", 0xff, clear "dbgclaimclr_el1", write "dbgclaimset_el1"),
];

/// PMCCFILTR_EL0 and PMEVTYPER<n>_EL0 of a counter that stands still wherever the host, the monitor
/// or EL3 runs, although PMCR_EL0.E and its enable are set: P; not NSK, NSH and M.
///
/// A value that changes by itself could not be compared. Where EL0 is counted, U and NSU, may be
/// anything: nobody is there but Realms, while which E has to be 0.
///
/// Source: Arm ARM (DDI0487), PMCCFILTR_EL0: Non-secure EL1 counts if NSK equals P, EL2 if NSH is
/// 1, EL3 if M equals P.
const STILL: u64 = 1 << 31;
/// U and NSU.
const STILL_MASK: u64 = 1 << 30 | 1 << 28;

/// Those of performance monitors without an event counter.
static PMU: [Shared; 6] = [
    shared!("pmcntenset_el0", 0x8000_003f, clear "pmcntenclr_el0", write "pmcntenset_el0"),
    shared!("pmintenset_el1", 0x8000_003f, clear "pmintenclr_el1", write "pmintenset_el1"),
    shared!("pmovsset_el0", 0x8000_003f, clear "pmovsclr_el0", write "pmovsset_el0"),
    shared!("pmccntr_el0", u64::MAX),
    shared!("pmccfiltr_el0", STILL_MASK, set STILL),
    shared!("pmuserenr_el0", 0xf),
];

/// What starts the counters, after their filters: E, besides D, X and DP.
static START: [Shared; 1] = [shared!("pmcr_el0", 0b11_1000, set 1)];

/// The choice between event counters.
static CHOICE: [Shared; 1] = [shared!("pmselr_el0", 1)];

/// What SME adds, whatever the vectors: the architecture gives it to whoever runs.
static STREAMING: [Shared; 1] = [shared!("s3_3_c13_c0_5", u64::MAX)]; // TPIDR2_EL0

/// Counter and type of each event counter, in turn.
macro_rules! counters {
    ($($number:literal)*) => {
        [$(
            shared!(concat!("pmevcntr", $number, "_el0"), u64::MAX),
            shared!(concat!("pmevtyper", $number, "_el0"), STILL_MASK | 0x3ff, set STILL),
        )*]
    };
}

/// Those of event counters: all that a CPU can have.
static COUNTERS: [Shared; 62] =
    counters!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30);

/// All that this CPU has.
fn shared() -> impl Iterator<Item = &'static Shared> {
    let pmu = cpu::event_counters();
    let counters = pmu.map_or(0, |count| usize::try_from(count).unwrap_or(0));
    let of = |has: bool, list: &'static [Shared]| if has { list } else { &[] };
    EL1.iter()
        .chain(&DEBUG)
        .chain(of(pmu.is_some(), &PMU))
        .chain(of(counters > 0, &CHOICE))
        .chain(COUNTERS.iter().take(2 * counters))
        .chain(of(pmu.is_some(), &START))
        .chain(of(has_tpidr2(), &STREAMING))
}

/// Whether the CPUs have TPIDR2_EL0, and EL3 lets the Host use it: the same for all of them and
/// always, so tried once.
fn has_tpidr2() -> bool {
    const TPIDR2_EL0: Encoding = Encoding { op0: 3, op1: 3, crn: 13, crm: 0, op2: 5 };
    static FOUND: Once<bool> = Once::new();
    *FOUND.call_once(|| cpu::has_streaming() && probe::access(Access::read(TPIDR2_EL0)).is_some())
}

/// A different pattern for each register and call.
fn pattern(seed: u64, n: u64) -> u64 {
    (seed ^ n << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

impl Scalable {
    fn new(seed: u64) -> Self {
        let word = |n: usize| pattern(seed, 128 + n as u64);
        // Bits of FFR are ones up to some lane, and zeros from there.
        let lanes = seed % (VECTOR_BYTES_MAX as u64 + 1);
        let ones = |n: u64| match lanes.saturating_sub(64 * n) {
            0 => 0,
            count => u64::MAX >> (64 - count.min(64)),
        };
        Self {
            vectors: core::array::from_fn(word),
            predicates: core::array::from_fn(|n| word(2048 + n)),
            first_fault: core::array::from_fn(|n| ones(n as u64)),
        }
    }

    /// The first register that is lost to a caller with the SVE hint: a vector has to keep its low
    /// 128 bits; what is above, each predicate and FFR have to be as before or zero.
    fn lost(&self, before: &Self, vector_bytes: usize) -> Option<Changed> {
        let predicate_bytes = vector_bytes / 8;
        let find = |name, after: &[u64], before: &[u64], count, bytes, low| {
            let number = first_lost(after, before, count, bytes, low)?;
            let word = |words: &[u64]| words.get(number * bytes / 8).copied().unwrap_or(0);
            let (before, after) = (word(before), word(after));
            Some(Changed { register: name, number: Some(number), word: None, before, after })
        };
        let (z, p, ffr) = (&self.vectors, &self.predicates, &self.first_fault);
        find("beyond the SVE hint: z", z, &before.vectors, 32, vector_bytes, LOW_BYTES)
            .or_else(|| {
                find("beyond the SVE hint: p", p, &before.predicates, 16, predicate_bytes, 0)
            })
            .or_else(|| {
                find("beyond the SVE hint: ffr ", ffr, &before.first_fault, 1, predicate_bytes, 0)
            })
    }

    /// The first register that differs; vectors have this many bytes.
    fn changed(&self, before: &Self, vector_bytes: usize) -> Option<Changed> {
        let words = vector_bytes / 8;
        let find = Changed::find;
        find("z", words, first(&before.vectors, 32 * words), first(&self.vectors, 32 * words))
            .or_else(|| {
                // A predicate has a bit for each byte: at most lengths some share a word.
                let is_whole = vector_bytes.is_multiple_of(64);
                let (name, each) =
                    if is_whole { ("p", words / 8) } else { ("p, all in a row, word ", 1) };
                let count = 16 * vector_bytes / 64;
                let (old, new) = (first(&before.predicates, count), first(&self.predicates, count));
                find(name, each, old, new)
            })
            .or_else(|| find("ffr word ", 1, &before.first_fault, &self.first_fault))
    }
}

/// The first `count` words.
fn first(words: &[u64], count: usize) -> &[u64] {
    words.get(..count).unwrap_or(words)
}

/// The first of `count` registers of `bytes` bytes that has not its first `low` bytes as before,
/// and the others as before or zero.
fn first_lost(
    after: &[u64],
    before: &[u64],
    count: usize,
    bytes: usize,
    low: usize,
) -> Option<usize> {
    let byte = |words: &[u64], n: usize| {
        words.get(n / 8).map_or(0, |word| word.to_le_bytes().get(n % 8).copied().unwrap_or(0))
    };
    (0..count).find(|register| {
        let same =
            |n: usize| byte(after, register * bytes + n) == byte(before, register * bytes + n);
        let zero = |n: usize| byte(after, register * bytes + n) == 0;
        !((0..low).all(same) && ((low..bytes).all(same) || (low..bytes).all(zero)))
    })
}

/// FPCR and FPSR before the call.
const STATUS: [u64; 2] = [0x0300_0000, 0x9f];

/// See [`cairn_host::machine::Machine::smc_watched`]; `without_sve` closes SVE to EL2 for the time
/// of the call. Registers that are not in `args` get a pattern. X5 and above have to come back as
/// they were.
pub(super) fn smc(args: &[u64], without_sve: bool) -> ([u64; 8], Option<Changed>) {
    let has_sve = cpu::has_sve();
    cpu::allow_vectors(has_sve);
    let seed = cpu::counter();
    for (n, register) in (0..).zip(shared()) {
        (register.write)(pattern(seed, n) & register.mask | register.set);
        // The OS Lock acts on what follows.
        cpu::isb();
    }
    // Some bits cannot be written.
    let mut before = [0; MOST];
    for (register, value) in shared().zip(&mut before) {
        *value = (register.read)();
    }
    let mut general = [0; 18];
    for (n, to) in general.iter_mut().enumerate() {
        *to = args.get(n).copied().unwrap_or(pattern(seed, 64 + n as u64));
    }
    let vectors = core::array::from_fn(|n| pattern(seed, 96 + n as u64));
    let mut registers = Registers { general, vectors, status: STATUS };
    let changed_vectors = if has_sve {
        let given = Scalable::new(seed);
        let mut scalable = given.clone();
        let cptr = if without_sve { cpu::CPTR_WITHOUT_SVE } else { cpu::CPTR_OPEN };
        // SAFETY: the function keeps to the procedure call standard but for the vector registers,
        // which soft-float code does not use, and touches no memory but its arguments, which have
        // room for the longest vectors, and its own stack frame; SVE is there and open; the call in
        // it goes to EL3.
        unsafe { host_watched_smc_sve(&raw mut registers, &raw mut scalable, cptr) };
        let length = cpu::vector_bytes();
        if general[0] & SVE_HINT == 0 {
            scalable.changed(&given, length)
        } else {
            scalable.lost(&given, length)
        }
    } else {
        // SAFETY: the same, without SVE.
        unsafe { host_watched_smc(&raw mut registers) };
        Changed::find("v", 2, &vectors, &registers.vectors)
    };
    let [x0, x1, x2, x3, x4, x5, x6, x7, ..] = registers.general;
    let mut kept = registers.general;
    if let (Some(answer), Some(given)) = (kept.first_chunk_mut::<5>(), general.first_chunk::<5>()) {
        *answer = *given;
    }
    let [fpcr, fpsr] = registers.status;
    let whole =
        |register, before, after| Changed { register, number: None, word: None, before, after };
    let status = [whole("fpcr", STATUS[0], fpcr), whole("fpsr", STATUS[1], fpsr)];
    let changed = Changed::find("x", 1, &general, &kept)
        .or_else(|| status.into_iter().find(|one| one.before != one.after))
        .or(changed_vectors)
        .or_else(|| {
            let read = |(register, before): (&Shared, u64)| {
                whole(register.name, before, (register.read)())
            };
            shared().zip(before).map(read).find(|one| one.before != one.after)
        });
    // Nothing is locked or pending for those who come later.
    for register in shared().skip(EL1.len()) {
        (register.write)(0);
    }
    ([x0, x1, x2, x3, x4, x5, x6, x7], changed)
}

/// Most registers that are watched.
const MOST: usize = EL1.len()
    + DEBUG.len()
    + PMU.len()
    + CHOICE.len()
    + COUNTERS.len()
    + START.len()
    + STREAMING.len();
