//! This CPU: counter, timer, waiting, and the firmware's power interface.

use cairn_host::machine::{CpuInterface, VirtualInterrupts};
use cairn_tests::port::Vgic;
use core::arch::asm;
use smccc::{Smc, psci};

/// Reads a system register that is readable at EL2 without side effects.
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading this register at EL2 changes nothing and touches no memory.
        unsafe { asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

/// Writes a system register of the host's own timers, or of its virtual interrupt interface.
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the register controls a timer or a virtual interface that belongs to EL2 and
        // touches no memory; interrupts are masked at this CPU and polled.
        unsafe { asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nomem, nostack)) };
    }};
}

/// The physical counter.
pub(crate) fn counter() -> u64 {
    // The read must not move before earlier instructions.
    isb();
    read_register!("cntpct_el0")
}

/// Ticks in a second.
pub(crate) fn counter_hz() -> u64 {
    read_register!("cntfrq_el0")
}

/// Makes earlier writes of system registers count for what follows.
pub(super) fn isb() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("isb", options(nomem, nostack)) };
}

/// Arms or stops the EL2 physical timer of this CPU.
pub(super) fn arm_timer(deadline: Option<u64>) {
    match deadline {
        Some(time) => {
            write_register!("cnthp_cval_el2", time);
            write_register!("cnthp_ctl_el2", 1);
        }
        None => write_register!("cnthp_ctl_el2", 0),
    }
    isb();
}

/// Whether this CPU has streaming vectors (FEAT_SME).
pub(super) fn has_streaming() -> bool {
    read_register!("id_aa64pfr1_el1") >> 24 & 0xf != 0
}

/// Stops the timers that a guest uses, as far as they are the Normal world's.
pub(super) fn stop_el1_timers() {
    write_register!("cntv_ctl_el0", 0);
    write_register!("cntp_ctl_el0", 0);
    arm_timer(None);
}

/// What ICH_VMCR_EL2 reads after zero was written to it: some fields have other minima.
pub(super) fn resting_vmcr() -> u64 {
    write_register!("ich_vmcr_el2", 0);
    isb();
    read_register!("ich_vmcr_el2")
}

/// One after the other, what is done with each list register; those that the CPU does not have are
/// UNDEFINED.
macro_rules! list_registers {
    ($count:expr, $each:ident) => {
        for number in 0..$count {
            match number {
                0 => $each!(0, "ich_lr0_el2"),
                1 => $each!(1, "ich_lr1_el2"),
                2 => $each!(2, "ich_lr2_el2"),
                3 => $each!(3, "ich_lr3_el2"),
                4 => $each!(4, "ich_lr4_el2"),
                5 => $each!(5, "ich_lr5_el2"),
                6 => $each!(6, "ich_lr6_el2"),
                7 => $each!(7, "ich_lr7_el2"),
                8 => $each!(8, "ich_lr8_el2"),
                9 => $each!(9, "ich_lr9_el2"),
                10 => $each!(10, "ich_lr10_el2"),
                11 => $each!(11, "ich_lr11_el2"),
                12 => $each!(12, "ich_lr12_el2"),
                13 => $each!(13, "ich_lr13_el2"),
                14 => $each!(14, "ich_lr14_el2"),
                _ => $each!(15, "ich_lr15_el2"),
            }
        }
    };
}

/// The virtual interrupt interface of this CPU.
pub(super) fn vgic() -> Vgic {
    isb();
    let mut vgic = Vgic {
        vtr: read_register!("ich_vtr_el2"),
        hcr: read_register!("ich_hcr_el2"),
        vmcr: read_register!("ich_vmcr_el2"),
        lrs: [0; 16],
    };
    macro_rules! read {
        ($number:literal, $name:literal) => {
            vgic.lrs[$number] = read_register!($name)
        };
    }
    list_registers!(vgic.list_registers(), read);
    vgic
}

/// Writes the virtual interrupt interface of this CPU.
pub(super) fn set_vgic(vgic: &Vgic) {
    macro_rules! write {
        ($number:literal, $name:literal) => {
            write_register!($name, vgic.lrs[$number])
        };
    }
    list_registers!(Vgic { vtr: read_register!("ich_vtr_el2"), ..*vgic }.list_registers(), write);
    write_register!("ich_vmcr_el2", vgic.vmcr);
    write_register!("ich_hcr_el2", vgic.hcr);
    isb();
}

/// Like [`list_registers`], with each register for active priorities that the CPU has; which those
/// are, its number of priorities tells.
macro_rules! active_priorities {
    ($vtr:expr, $each:ident) => {
        $each!(0, "ich_ap0r0_el2");
        $each!(4, "ich_ap1r0_el2");
        let bits = ($vtr >> 26 & 7) + 1;
        if bits >= 6 {
            $each!(1, "ich_ap0r1_el2");
            $each!(5, "ich_ap1r1_el2");
        }
        if bits >= 7 {
            $each!(2, "ich_ap0r2_el2");
            $each!(3, "ich_ap0r3_el2");
            $each!(6, "ich_ap1r2_el2");
            $each!(7, "ich_ap1r3_el2");
        }
    };
}

/// All that this CPU has of virtual interrupts.
pub(super) fn virtual_interrupts() -> VirtualInterrupts {
    let vgic = vgic();
    let mut active = [0; 8];
    macro_rules! read {
        ($number:literal, $name:literal) => {
            active[$number] = read_register!($name)
        };
    }
    active_priorities!(vgic.vtr, read);
    let interface = CpuInterface { vmcr: vgic.vmcr, active };
    VirtualInterrupts { hcr: vgic.hcr, lrs: vgic.lrs, interface }
}

/// Writes all of it.
pub(super) fn set_virtual_interrupts(interrupts: &VirtualInterrupts) {
    let VirtualInterrupts { hcr, lrs, interface: CpuInterface { vmcr, active } } = *interrupts;
    macro_rules! write {
        ($number:literal, $name:literal) => {
            write_register!($name, active[$number])
        };
    }
    let vtr = read_register!("ich_vtr_el2");
    active_priorities!(vtr, write);
    set_vgic(&Vgic { vtr, hcr, vmcr, lrs });
}

/// Whether this CPU has SVE.
pub(super) fn has_sve() -> bool {
    read_register!("id_aa64pfr0_el1") >> 32 & 0xf != 0
}

/// Number of event counters of this CPU's performance monitors; `None` if it has no performance
/// monitors.
pub(super) fn event_counters() -> Option<u64> {
    match read_register!("id_aa64dfr0_el1") >> 8 & 0xf {
        0 | 0xf => None,
        _ => Some(read_register!("pmcr_el0") >> 11 & 0x1f),
    }
}

/// `CPTR_EL2` without traps of floating point, SVE and SME (TSM is bit 12), and with the one of SVE
/// (TZ).
pub(super) const CPTR_OPEN: u64 = 0x22ff;
pub(super) const CPTR_WITHOUT_SVE: u64 = 0x23ff;

/// Bytes of a vector, with SVE open.
pub(super) fn vector_bytes() -> usize {
    let bytes: usize;
    // SAFETY: reads the vector length; the caller has opened SVE.
    unsafe {
        asm!(
            ".arch_extension sve",
            "rdvl {}, #1",
            ".arch_extension nosve",
            out(reg) bytes,
            options(nomem, nostack),
        );
    }
    bytes
}

/// Lets EL2 use the vector registers, with SVE those of the greatest length.
pub(super) fn allow_vectors(sve: bool) {
    write_register!("cptr_el2", if sve { CPTR_OPEN } else { CPTR_WITHOUT_SVE });
    isb();
    if sve {
        write_register!("s3_4_c1_c2_0", 0xf); // ZCR_EL2
        isb();
    }
}

/// Lets EL2 use the streaming vectors: CPTR_EL2.TSM traps them.
pub(super) fn allow_streaming() {
    write_register!("cptr_el2", read_register!("cptr_el2") & !(1 << 12));
    isb();
}

/// Makes earlier writes visible to a CPU that is interrupted next.
pub(super) fn barrier_before_interrupting() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("dsb ishst", options(nostack)) };
}

/// Sleeps until an interrupt is pending; it stays masked.
pub(crate) fn wait_for_interrupt() {
    // SAFETY: waiting changes nothing; memory may have changed afterwards.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// A call to EL3 or through it to the monitor.
pub(super) fn smc(args: [u64; 7]) -> [u64; 5] {
    let [function, args @ ..] = args;
    let mut all = [0; 17];
    for (to, from) in all.iter_mut().zip(args) {
        *to = from;
    }
    let [x0, x1, x2, x3, x4, ..] = smccc::smc64((function & 0xffff_ffff) as u32, all);
    [x0, x1, x2, x3, x4]
}

// SAFETY: the symbol is defined by the entry assembly; Rust only takes its address.
unsafe extern "C" {
    fn _start_secondary();
}

/// Starts another CPU of the machine.
///
/// # Errors
///
/// The firmware refuses it.
pub(crate) fn start_cpu(mpidr: u64, index: usize) -> Result<(), psci::error::Error> {
    let entry = (_start_secondary as unsafe extern "C" fn() as usize) as u64;
    psci::cpu_on::<Smc>(mpidr, entry, index as u64)
}

/// Switches this CPU off. It comes back at its entry point.
pub(crate) fn switch_off() -> psci::error::Error {
    match psci::cpu_off::<Smc>() {
        Ok(()) => psci::error::Error::InternalFailure,
        Err(error) => error,
    }
}

/// Whether a CPU is off.
pub(crate) fn is_off(mpidr: u64) -> bool {
    psci::affinity_info::<Smc>(mpidr, psci::LowestAffinityLevel::All)
        == Ok(psci::AffinityState::Off)
}

/// Suspends this CPU, with its state kept, until an interrupt.
///
/// # Errors
///
/// The firmware refuses it.
pub(crate) fn stand_by() -> Result<(), psci::error::Error> {
    // Both boards: local state 1 of the core, which is retention; the call returns, so the entry
    // point is not used.
    psci::cpu_suspend::<Smc>(1, 0, 0)
}

/// Switches the machine off.
pub(crate) fn power_off() -> ! {
    // If the firmware refuses, there is nothing left to do.
    let _ = psci::system_off::<Smc>();
    loop {
        wait_for_interrupt();
    }
}
