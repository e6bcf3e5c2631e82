//! The only module that touches hardware: entry, exceptions, registers, devices.

use crate::firmware::{self, BOARD, World};
use cairn_el3::kind::{Kept, Kind};
use cairn_el3::opening::{Opening, Register, asked};
use core::arch::{asm, global_asm};
use core::fmt::{self, Write};

/// X0 to X30, and where the world below goes on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    x: [u64; 31],
    elr: u64,
    spsr: u64,
}

impl Frame {
    /// Registers of zero, at `elr`.
    pub(crate) const fn new(elr: u64, spsr: u64) -> Self {
        Self { x: [0; 31], elr, spsr }
    }

    /// X0 to X7.
    pub(crate) const fn arguments(&self) -> [u64; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.x;
        [a, b, c, d, e, f, g, h]
    }

    /// X1 to X8.
    pub(crate) const fn results(&self) -> [u64; 8] {
        let [_, a, b, c, d, e, f, g, h, ..] = self.x;
        [a, b, c, d, e, f, g, h]
    }

    /// Sets a register.
    pub(crate) fn set(&mut self, register: usize, value: u64) {
        if let Some(x) = self.x.get_mut(register) {
            *x = value;
        }
    }

    /// Where the world below goes on, with the other registers as they are.
    pub(crate) fn go_on(&mut self, elr: u64, spsr: u64) {
        (self.elr, self.spsr) = (elr, spsr);
    }

    /// ELR and SPSR.
    pub(crate) const fn origin(&self) -> (u64, u64) {
        (self.elr, self.spsr)
    }
}

/// What a CPU has spent at EL3. Behind its frame, where a change of the world does not reach it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Clock {
    /// The counter when this exception was taken.
    begun: u64,
    /// Ticks until the last return.
    pub ticks: u64,
    /// Services that the monitor has asked for.
    pub services: u64,
    /// Changes between the worlds.
    pub switches: u64,
}

/// Where the clock is, from the frame on.
const CLOCK: usize = 272;
const _: () = assert!(size_of::<Frame>() <= CLOCK && CLOCK + size_of::<Clock>() <= 512);

/// Instructions of an exception before its first look at the counter and after its second: ticks,
/// where QEMU counts instructions.
const UNCOUNTED: u64 = 10 + 25;

global_asm!(
    r#"
    .arch armv8.5-a
    .section .text.entry, "ax"
    .global _start
_start:
    msr     daifset, #0xf
    msr     spsel, #1
    mrs     x0, mpidr_el1
    and     x1, x0, #0xff
    ubfx    x0, x0, #8, #8
    add     x19, x1, x0, lsl #{cluster_bits}
    ldr     x0, =__stacks_start
    add     x1, x19, #1
    add     x0, x0, x1, lsl #14
    sub     x0, x0, #512
    mov     sp, x0
    ldr     x0, =el3_vectors
    msr     vbar_el3, x0
    mov     x0, #0x30c50000
    movk    x0, #0x0830
    msr     sctlr_el3, x0
    isb
    mrs     x0, cntpct_el0
    stp     x0, xzr, [sp, #{clock}]
    stp     xzr, xzr, [sp, #{clock} + 16]
    mov     x0, sp
    cbnz    x19, 2f
    ldr     x1, ={bss_start}
    ldr     x2, ={bss_end}
1:  cmp     x1, x2
    b.hs    3f
    stp     xzr, xzr, [x1], #16
    b       1b
3:  bl      {cold}
    b       9f
    // Zeroed data is there when the first CPU has got as far as its tables.
2:  ldr     x1, ={ready}
4:  ldr     x2, [x1]
    ldr     x3, ={ready_value}
    cmp     x2, x3
    b.ne    4b
    mov     x0, x19
    mov     x1, sp
    bl      {secondary}

    // Back to the world below. sp is the frame.
9:  mrs     x0, cntpct_el0
    ldp     x1, x2, [sp, #{clock}]
    sub     x0, x0, x1
    add     x2, x2, x0
    add     x2, x2, #{uncounted}
    str     x2, [sp, #{clock} + 8]
    ldp     x0, x1, [sp, #248]
    msr     elr_el3, x0
    msr     spsr_el3, x1
    ldp     x0, x1, [sp]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    eret

    .macro  el3_vector kind
    .balign 0x80
    stp     x0, x1, [sp]
    mov     x0, #\kind
    b       8f
    .endm
    .balign 0x800
el3_vectors:
    .irp    kind, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    el3_vector \kind
    .endr
    .balign 0x80
8:  stp     x2, x3, [sp, #16]
    mrs     x2, cntpct_el0
    str     x2, [sp, #{clock}]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x1, elr_el3
    mrs     x2, spsr_el3
    str     x30, [sp, #240]
    stp     x1, x2, [sp, #248]
    mov     x1, sp
    add     x2, sp, #{clock}
    bl      {exception}
    b       9b
    .ltorg
    "#,
    cold = sym cold,
    secondary = sym secondary,
    exception = sym exception,
    clock = const CLOCK,
    uncounted = const UNCOUNTED,
    bss_start = sym __bss_start,
    bss_end = sym __bss_end,
    ready = const BOARD.ready(),
    cluster_bits = const BOARD.cluster_bits,
    ready_value = const READY_VALUE,
);

/// What the first CPU writes to its board's [`Board::ready`](cairn_el3::board::Board::ready).
const READY_VALUE: u64 = 0x5245_4144_5921;

unsafe extern "C" {
    static __bss_start: u8;
    static __bss_end: u8;
}

/// First Rust function of the first CPU.
extern "C" fn cold(frame: &mut Frame) {
    write_32(BOARD.console + 0x2c, 0x70);
    write_32(BOARD.console + 0x30, 0x301);
    firmware::cold(frame);
    write(BOARD.ready(), READY_VALUE);
    send_event();
}

/// First Rust function of any other CPU.
extern "C" fn secondary(index: usize, frame: &mut Frame) {
    firmware::wait(index, frame);
}

/// Any exception. 8 is a synchronous one of a world below.
extern "C" fn exception(kind: u64, frame: &mut Frame, clock: &mut Clock) {
    const CALL: u64 = 0x17;
    const REGISTER: u64 = 0x18;
    let (esr, far) = (read_register!("esr_el3"), read_register!("far_el3"));
    if kind == 8 && esr >> 26 == REGISTER {
        return firmware::refused_register(frame);
    }
    if kind != 8 || esr >> 26 != CALL {
        firmware::fault(kind, frame, esr, far);
    }
    let index = BOARD.index_of(read_register!("mpidr_el1"));
    let is_realm = read_register!("scr_el3") >> 62 & 1 == 1;
    let from = if is_realm { World::Realm } else { World::Normal };
    firmware::called(index, frame, clock, from);
}

/// Reads a register of EL3 or below.
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading this register at EL3 changes nothing and touches no memory.
        unsafe { asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}
use read_register;

/// Writes a register of EL3 or below.
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the register configures EL3's view of lower worlds, or belongs to one of them; it
        // does not change how EL3 itself, which runs with its MMU off, reaches its memory.
        unsafe { asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack)) };
    }};
}

fn isb() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("isb", options(nostack)) };
}

macro_rules! banked {
    ($($name:literal)*) => {
        /// Registers that each world has for itself.
        #[derive(Clone, Copy)]
        pub(crate) struct Registers([u64; REGISTERS]);

        const REGISTERS: usize = [$($name),*].len();

        /// Reads all of them that this EL3 keeps.
        pub(crate) fn save(kind: Kind) -> Registers {
            Registers([$({
                let is_kept = const { Kept::of($name) }.by(kind);
                if is_kept { read_register!($name) } else { 0 }
            }),*])
        }

        /// Writes all of them that this EL3 keeps.
        pub(crate) fn restore(registers: &Registers, kind: Kind) {
            let mut values = registers.0.iter();
            $(if let Some(value) = values.next() && const { Kept::of($name) }.by(kind) {
                write_register!($name, *value);
            })*
            isb();
        }

        impl Registers {
            /// Their values when a world is entered for the first time.
            pub(crate) fn at_reset(opening: Opening) -> Self {
                Self([$(match $name {
                    "sctlr_el2" => 0x30c5_0830,
                    "S3_4_C12_C9_5" => 0xf,
                    "vmpidr_el2" => read_register!("mpidr_el1"),
                    "vpidr_el2" => read_register!("midr_el1"),
                    "S3_4_C1_C1_4" | "S3_4_C1_C1_5" => opening.starts_with(Register::Hfgxtr),
                    "S3_4_C1_C1_6" => opening.starts_with(Register::Hfgitr),
                    "S3_4_C3_C1_4" => opening.starts_with(Register::Hdfgrtr),
                    "S3_4_C3_C1_5" => opening.starts_with(Register::Hdfgwtr),
                    "S3_4_C1_C2_2" => opening.starts_with(Register::Hcrx),
                    _ => 0,
                }),*])
            }
        }
    };
}

// Source: TF-A 2.12.1, what `ENABLE_RME` banks; those without a name here are HCRX_EL2, FGT,
// CNTPOFF_EL2, ICC_SRE_EL2, ICH_HCR_EL2, ICH_VMCR_EL2, SCXTNUM_EL2, VDISR_EL2, VSESR_EL2, and the
// keys of pointer authentication.
banked!(
    "hcr_el2" "sctlr_el2" "vbar_el2" "ttbr0_el2" "S3_4_C2_C0_1" "tcr_el2" "mair_el2" "amair_el2"
    "tpidr_el2" "vttbr_el2" "vtcr_el2" "cptr_el2" "mdcr_el2" "cnthctl_el2" "cntvoff_el2" "esr_el2"
    "far_el2" "hpfar_el2" "elr_el2" "spsr_el2" "vmpidr_el2" "vpidr_el2" "S3_4_C13_C0_1" "hstr_el2"
    "hacr_el2" "actlr_el2" "afsr0_el2" "afsr1_el2" "sp_el2" "sp_el0" "pmcr_el0"
    "S3_4_C1_C2_2" "S3_4_C1_C1_4" "S3_4_C1_C1_5" "S3_4_C1_C1_6" "S3_4_C3_C1_4" "S3_4_C3_C1_5"
    "S3_4_C14_C0_6" "S3_4_C12_C9_5" "S3_4_C12_C11_0" "S3_4_C12_C11_7"
    "S3_4_C13_C0_7" "S3_4_C12_C1_1" "S3_4_C5_C2_3"
    "S3_0_C2_C1_0" "S3_0_C2_C1_1" "S3_0_C2_C1_2" "S3_0_C2_C1_3" "S3_0_C2_C2_0" "S3_0_C2_C2_1"
    "S3_0_C2_C2_2" "S3_0_C2_C2_3" "S3_0_C2_C3_0" "S3_0_C2_C3_1"
);

/// The Normal world's ICC_SRE_EL2, ICH_HCR_EL2 and ICH_VMCR_EL2 at its start, where they are not
/// kept for each world: the monitor boots with them.
///
/// Source: TF-A main of 2026-08, `services/std_svc/rmmd/rmmd_main.c`.
pub(crate) fn start_virtual_interrupts() {
    write_register!("S3_4_C12_C9_5", 0xf);
    isb();
    write_register!("S3_4_C12_C11_0", 0);
    write_register!("S3_4_C12_C11_7", 0);
    isb();
}

/// Chooses the world that is entered next, and whose registers are reached: SCR_EL3 and CPTR_EL3.
pub(crate) fn select(scr: u64, cptr: u64) {
    write_register!("scr_el3", scr);
    write_register!("cptr_el3", cptr);
    isb();
}

/// The control of EL3 that a world asks about: as it is while that world runs.
pub(crate) fn control(asked: u64) -> u64 {
    match asked {
        asked::SCR => read_register!("scr_el3"),
        asked::CPTR => read_register!("cptr_el3"),
        asked::MDCR => read_register!("mdcr_el3"),
        _ => 0,
    }
}

/// Sets what EL2 or EL1 finds when it takes an UNDEFINED exception for the instruction at `elr`;
/// where its vectors are.
pub(crate) fn take_undefined(at_el2: bool, elr: u64, spsr: u64) -> u64 {
    // EC 0, IL.
    const SYNDROME: u64 = 1 << 25;
    if at_el2 {
        write_register!("elr_el2", elr);
        write_register!("spsr_el2", spsr);
        write_register!("esr_el2", SYNDROME);
        read_register!("vbar_el2")
    } else {
        write_register!("elr_el1", elr);
        write_register!("spsr_el1", spsr);
        write_register!("esr_el1", SYNDROME);
        read_register!("vbar_el1")
    }
}

/// This CPU's own set-up. `has_short_vectors` makes it a CPU that differs from the others: its
/// vectors have 128 bits.
pub(crate) fn init_cpu(index: usize, level_0: u64, gpccr: u64, mdcr: u64, has_short_vectors: bool) {
    // The longest vectors: ZCR_EL3, and SMCR_EL3 with FA64 and EZT0. CPTR_EL3 lets EL3 itself at
    // them.
    write_register!("cptr_el3", 1 << 12 | 1 << 8);
    isb();
    write_register!("S3_6_C1_C2_0", if has_short_vectors { 0 } else { 0xf });
    if read_register!("id_aa64pfr1_el1") >> 24 & 0xf != 0 {
        write_register!("S3_6_C1_C2_6", 1 << 31 | 1 << 30 | 0xf);
    }
    write_register!("mdcr_el3", mdcr);
    // GPTBR_EL3, GPCCR_EL3.
    write_register!("S3_6_C2_C1_4", level_0 >> 12);
    write_register!("S3_6_C2_C1_6", gpccr);
    forget_granule_protection();
    let redistributor = BOARD.redistributors + index as u64 * 0x2_0000;
    write_32(redistributor + 0x14, 0);
    while read_32(redistributor + 0x14) & 4 != 0 {}
    // All private interrupts are the Normal world's (group 1).
    write_32(redistributor + 0x1_0080, u32::MAX);
    write_32(redistributor + 0x1_0d00, 0);
    // ICC_SRE_EL3: system registers, for all levels.
    write_register!("S3_6_C12_C12_5", 0xf);
    isb();
}

/// All shared interrupts are the Normal world's.
pub(crate) fn init_distributor() {
    let distributor = BOARD.distributor;
    // Affinity routing in both worlds.
    write_32(distributor, 0x30);
    for register in 1..32 {
        write_32(distributor + 0x80 + 4 * register, u32::MAX);
        write_32(distributor + 0xd00 + 4 * register, 0);
    }
    write_32(distributor, 0x37);
}

/// After a change of the granule protection tables: for all CPUs.
pub(crate) fn forget_granule_protection() {
    // SAFETY: barriers and an invalidation (TLBI PAALLOS) change no value.
    unsafe { asm!("dsb sy", "sys #6, c8, c1, #4", "dsb sy", "isb", options(nostack)) };
}

/// Sleeps until an event; it may wake up early.
pub(crate) fn wait_for_event() {
    // SAFETY: waiting changes nothing.
    unsafe { asm!("wfe", options(nostack)) };
}

/// Sleeps until an interrupt, which is left pending for the Normal world; it may wake up early.
pub(crate) fn wait_for_interrupt() {
    // SAFETY: waiting changes nothing.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// Wakes the CPUs that sleep.
pub(crate) fn send_event() {
    // SAFETY: an event changes nothing.
    unsafe { asm!("dsb sy", "sev", options(nostack)) };
}

/// Reads a word of RAM that no Rust object occupies.
pub(crate) fn read(pa: u64) -> u64 {
    let pointer = core::ptr::with_exposed_provenance::<u64>(outside(pa));
    // SAFETY: `outside` proved that the aligned word is RAM outside this program.
    unsafe { pointer.read_volatile() }
}

/// Writes a word of RAM that no Rust object occupies.
pub(crate) fn write(pa: u64, value: u64) {
    let pointer = core::ptr::with_exposed_provenance_mut::<u64>(outside(pa));
    // SAFETY: `outside` proved that the aligned word is RAM outside this program.
    unsafe { pointer.write_volatile(value) }
}

/// Checks that a word is in RAM above this program's.
fn outside(pa: u64) -> usize {
    assert!(pa.is_multiple_of(8) && BOARD.is_outside(pa), "bad access to {pa:#x}");
    usize::try_from(pa).unwrap_or(0)
}

fn read_32(pa: u64) -> u32 {
    let pointer = core::ptr::with_exposed_provenance::<u32>(device(pa));
    // SAFETY: `device` proved that the aligned word is a device's.
    unsafe { pointer.read_volatile() }
}

fn write_32(pa: u64, value: u32) {
    let pointer = core::ptr::with_exposed_provenance_mut::<u32>(device(pa));
    // SAFETY: `device` proved that the aligned word is a device's.
    unsafe { pointer.write_volatile(value) }
}

/// Checks that a word belongs to a device.
fn device(pa: u64) -> usize {
    assert!(pa.is_multiple_of(4) && BOARD.devices.contains(&pa), "no device {pa:#x}");
    usize::try_from(pa).unwrap_or(0)
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read_32(BOARD.console + 0x18) & 1 << 5 != 0 {}
            write_32(BOARD.console, u32::from(byte));
        }
        Ok(())
    }
}

/// Writes to the console that all worlds share.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    // The console takes everything.
    let _ = Console.write_fmt(text);
}

/// Switches the machine off, by the device that the board has for it.
pub(crate) fn power_off() -> ! {
    for (pa, value) in BOARD.switch_off {
        write_32(*pa, *value);
    }
    loop {
        wait_for_event();
    }
}
