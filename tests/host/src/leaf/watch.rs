//! An SMC with a pattern in every register that a Realm uses too and that EL3 does not keep for the Normal world.

use super::cpu;
use core::arch::{asm, global_asm};
use core::cell::Cell;

/// Registers around one call. The layout is known to the assembly below.
#[repr(C, align(16))]
struct Registers {
    /// X0 to X17: before the call, then after it.
    general: [u64; 18],
    /// V0 to V31.
    vectors: [u64; 64],
    /// FPCR and FPSR.
    status: [u64; 2],
}

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .section .text, "ax"
    .global host_watched_smc
host_watched_smc:                           // x0: Registers
    stp     x29, x30, [sp, #-32]!
    stp     x19, x20, [sp, #16]
    mov     x19, x0
    add     x20, x19, #144
    ld1     {{v0.2d, v1.2d, v2.2d, v3.2d}}, [x20], #64
    ld1     {{v4.2d, v5.2d, v6.2d, v7.2d}}, [x20], #64
    ld1     {{v8.2d, v9.2d, v10.2d, v11.2d}}, [x20], #64
    ld1     {{v12.2d, v13.2d, v14.2d, v15.2d}}, [x20], #64
    ld1     {{v16.2d, v17.2d, v18.2d, v19.2d}}, [x20], #64
    ld1     {{v20.2d, v21.2d, v22.2d, v23.2d}}, [x20], #64
    ld1     {{v24.2d, v25.2d, v26.2d, v27.2d}}, [x20], #64
    ld1     {{v28.2d, v29.2d, v30.2d, v31.2d}}, [x20], #64
    ldp     x0, x1, [x20]
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
    add     x20, x19, #144
    st1     {{v0.2d, v1.2d, v2.2d, v3.2d}}, [x20], #64
    st1     {{v4.2d, v5.2d, v6.2d, v7.2d}}, [x20], #64
    st1     {{v8.2d, v9.2d, v10.2d, v11.2d}}, [x20], #64
    st1     {{v12.2d, v13.2d, v14.2d, v15.2d}}, [x20], #64
    st1     {{v16.2d, v17.2d, v18.2d, v19.2d}}, [x20], #64
    st1     {{v20.2d, v21.2d, v22.2d, v23.2d}}, [x20], #64
    st1     {{v24.2d, v25.2d, v26.2d, v27.2d}}, [x20], #64
    st1     {{v28.2d, v29.2d, v30.2d, v31.2d}}, [x20], #64
    mrs     x0, fpcr
    mrs     x1, fpsr
    stp     x0, x1, [x20]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #32
    ret
    "#
);

// SAFETY: the symbol is defined by the assembly above with this signature.
unsafe extern "C" {
    fn host_watched_smc(registers: *mut Registers);
}

/// A system register that the Normal world's EL1 shares with a Realm's.
struct Shared {
    name: &'static str,
    read: fn() -> u64,
    write: fn(u64),
}

macro_rules! shared {
    ($($name:literal)*) => {
        [$(Shared {
            name: $name,
            read: || {
                let value: u64;
                // SAFETY: reading this register at EL2 changes nothing and touches no memory.
                unsafe { asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
                value
            },
            write: |value| {
                // SAFETY: the register works at EL1 and EL0 only, where the host never runs anything.
                unsafe { asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nomem, nostack)) };
            },
        }),*]
    };
}

/// Those that can hold any value while nothing runs at EL1.
static SHARED: [Shared; 22] = shared!(
    "sp_el0" "sp_el1" "elr_el1" "spsr_el1" "esr_el1" "far_el1" "afsr0_el1" "afsr1_el1" "vbar_el1"
    "ttbr0_el1" "ttbr1_el1" "tcr_el1" "mair_el1" "amair_el1" "contextidr_el1" "tpidr_el0"
    "tpidr_el1" "tpidrro_el0" "par_el1" "cpacr_el1" "cntkctl_el1" "sctlr_el1"
);

/// A different pattern for each register and call.
fn pattern(seed: u64, n: u64) -> u64 {
    (seed ^ n << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// See [`cairn_host::machine::Machine::smc_watched`].
pub(super) fn smc(args: [u64; 7]) -> ([u64; 5], Option<&'static str>) {
    cpu::allow_vectors();
    let seed = cpu::counter();
    let shared = [const { Cell::new(0) }; SHARED.len()];
    for (n, (register, before)) in SHARED.iter().zip(&shared).enumerate() {
        (register.write)(pattern(seed, n as u64));
        // Some bits cannot be written.
        before.set((register.read)());
    }
    let mut general = [0; 18];
    for (n, (to, from)) in
        general.iter_mut().zip(args.into_iter().map(Some).chain([None; 11])).enumerate()
    {
        *to = from.unwrap_or(pattern(seed, 32 + n as u64));
    }
    let vectors = core::array::from_fn(|n| pattern(seed, 64 + n as u64));
    let mut registers = Registers { general, vectors, status: [0x0300_0000, 0x9f] };
    // SAFETY: the function keeps to the procedure call standard but for the vector registers, which soft-float code
    // does not use, and touches no memory but `registers` and its own stack frame; the call in it goes to EL3.
    unsafe { host_watched_smc(&raw mut registers) };
    let [x0, x1, x2, x3, x4, rest @ ..] = registers.general;
    let [_, _, _, _, _, given @ ..] = general;
    let changed_shared = SHARED
        .iter()
        .zip(&shared)
        .find(|(register, before)| (register.read)() != before.get())
        .map(|(register, _)| register.name);
    let changed = if rest != given {
        Some("one of x5 to x17")
    } else if registers.vectors != vectors {
        Some("one of v0 to v31")
    } else if registers.status != [0x0300_0000, 0x9f] {
        Some("fpcr or fpsr")
    } else {
        changed_shared
    };
    ([x0, x1, x2, x3, x4], changed)
}
