//! The first steps with the MMU on: this CPU's controls, then the firmware.

use core::arch::asm;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use machine::{CpuFacts, El3Interface};

use super::cold::{self, FOUND, Found};
use super::{BootCode, ColdEnv, Firmware, openings};
use crate::area;
use crate::boot::racy::Racy;
use crate::console;
use crate::cpu::Cpu;
use crate::el3::{self, GranuleCalls};
use crate::errata;
use crate::facts;
use crate::features::{self, Features};
use crate::mem;
use crate::memory;
use crate::registers::{
    self, CNTHCTL_EL2, CNTVOFF_EL2, DISR_EL1, Guarded, HSTR_EL2, ICC_SRE_EL2, ICH_HCR_EL2,
    ID_AA64ISAR2_EL1, MDCR_EL2, MIDR_EL1, MPIDR_EL1, Readable, VPIDR_EL2, VTCR_EL2, Writeable,
};
use crate::smc;

/// Version of the RMM-EL3 interface, which only the cold boot is told.
static INTERFACE: Racy<u64> = Racy::new(0);

/// Whether the cold boot is over: until then EL3 waits for its outcome.
static COLD_DONE: AtomicBool = AtomicBool::new(false);

/// The boot of one CPU, with the MMU on and on its own stack, which EL3 calls CPU `named`. Called
/// by the assembly of `cairn_entry`.
pub fn start<F: Firmware>(named: u64, cold: bool) -> ! {
    // SAFETY: the assembly has just mapped this CPU's block, and calls once per boot.
    let cpu = unsafe { Cpu::<F>::new() };
    mem::note_mops(features::has_mops(ID_AA64ISAR2_EL1.get()), cold);
    errata::note(MIDR_EL1.get());
    let outcome = if cold { cold_start(&cpu) } else { warm_start(&cpu) };
    if let Err(code) = outcome {
        defmt::error!("boot of CPU {=u64} refused: code {=i64}", cpu.index(), code as i64);
        refuse(code);
    }
    COLD_DONE.store(true, Ordering::Relaxed);
    if named != cpu.index() {
        let mpidr = MPIDR_EL1.get();
        defmt::warn!(
            "EL3 calls two CPUs {=u64}: MPIDR {=u64:#x} is CPU {=u64}",
            named,
            mpidr,
            cpu.index()
        );
    }
    set_controls();
    F::serve(cpu)
}

/// Out of line: its stack must not stay in use below the main loop.
#[cold]
#[inline(never)]
fn cold_start<F: Firmware>(cpu: &Cpu<F>) -> Result<(), BootCode> {
    // SAFETY: cold boot, and the only reference.
    let found = unsafe { FOUND.write() }.take();
    let Some(Found { args, image, layout, carve }) = found else { return Err(BootCode::Unknown) };
    // SAFETY: cold boot, and the only reference.
    let interface = unsafe { INTERFACE.write() };
    *interface = args.interface;
    crate::attest::set_shared_buffer(args.shared_buffer, args.interface);
    if let Some(console) = layout.console {
        console::open(console);
    }
    let facts = facts::read();
    cpu_features(&facts);
    let openings = openings::close(args.interface);
    check_errors()?;
    let granule_calls = match el3::interface(args.interface) {
        Some(El3Interface::V2) => el3::v2::discover(),
        Some(El3Interface::V0) | None => GranuleCalls::OneByOne,
    };
    let features = area::here().features.get();
    let Ok(address) = usize::try_from(carve.words) else { return Err(BootCode::Unknown) };
    let Ok(bytes) = usize::try_from(carve.end - carve.words) else { return Err(BootCode::Unknown) };
    // SAFETY: `carve` gives these pages to the words alone, and they are mapped.
    unsafe { memory::zero(address, bytes, &features) };
    let Ok(count) = usize::try_from(carve.words_count) else { return Err(BootCode::Unknown) };
    let words: *const AtomicU16 = core::ptr::with_exposed_provenance(address);
    // SAFETY: mapped for ever, zeroed, long enough by `carve`, and shared as atomics only.
    let words = unsafe { slice::from_raw_parts(words, count) };
    let used_end = carve.end;
    let env = ColdEnv { layout, words, facts, args, openings, granule_calls, image, used_end };
    F::cold_init(env, cpu)
}

/// A CPU that boots after the first, or again. Nothing that depends on its features comes before.
#[cold]
#[inline(never)]
fn warm_start<F: Firmware>(cpu: &Cpu<F>) -> Result<(), BootCode> {
    let facts = facts::read();
    F::warm_init(&facts, cpu)?;
    cpu_features(&facts);
    // SAFETY: written before, on the cold boot.
    let interface = *unsafe { INTERFACE.read() };
    openings::close(interface);
    check_errors()
}

/// Notes what this CPU has, for the code that decides by it.
fn cpu_features(facts: &CpuFacts) {
    // SAFETY: written before, on the cold boot.
    let interface = *unsafe { INTERFACE.read() };
    let features = Features::new(facts, facts.dczid, facts.ctr, interface);
    area::here().features.set(features);
}

/// Refuses a CPU on which an error is pending already: SErrors are masked here, and the first Realm
/// would take it.
fn check_errors() -> Result<(), BootCode> {
    if !area::here().features.get().ras {
        return Ok(());
    }
    // What an error synchronisation barrier has found since it was zeroed.
    DISR_EL1.set(0);
    // ESB
    // SAFETY: moves a pending SError, which is masked, to DISR_EL1; FEAT_RAS is there.
    unsafe { asm!("hint #16", options(nostack)) };
    let disr = DISR_EL1.get();
    if super::survives(disr) {
        return Ok(());
    }
    defmt::error!("an SError is pending at boot: DISR_EL1 {=u64:#x}", disr);
    Err(BootCode::Unknown)
}

/// Sets the EL2 controls that stay as they are, whatever runs.
fn set_controls() {
    let facts = facts::read();
    let counters = (facts.pmcr >> 11) & 0x1f;
    // SAFETY: everything of debug and performance monitors traps, and HPMN is how many counters the
    // CPU has.
    unsafe { MDCR_EL2.set(registers::MDCR | counters) };
    // SAFETY: opens the counter and the timer that are switched with the Realm.
    unsafe { CNTHCTL_EL2.set(registers::CNTHCTL) };
    CNTVOFF_EL2.set(0);
    // With interface 2.0 the Host's values are in both registers, from EL3's first entry on.
    if !area::here().features.get().shares_vgic {
        // SAFETY: lower levels reach the virtual interface, which is switched with the Realm.
        unsafe { ICC_SRE_EL2.set(registers::ICC_SRE) };
        // SAFETY: the virtual interface is off until a Realm is loaded.
        unsafe { ICH_HCR_EL2.set(0) };
    }
    // SAFETY: it traps registers of AArch32 by number, of which EL0 reaches none that it does not
    // have in AArch64 too: those are switched, or trap by controls of their own.
    unsafe { HSTR_EL2.set(0) };
    // Before a Realm runs here this CPU invalidates for others: with 8-bit VMIDs it would miss
    // theirs.
    // SAFETY: no Realm runs before `load` writes the register again; the monitor has no stage 2.
    unsafe { VTCR_EL2.set(registers::vtcr_without_realm(facts.id_aa64mmfr1)) };
    VPIDR_EL2.set(MIDR_EL1.get());
    area::here().cnthctl.set(registers::CNTHCTL);
    aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
}

/// Tells EL3 that there is no monitor on this CPU. EL3 need not call again; if it does, every
/// request is unknown and changes nothing.
///
/// TF-A takes a failed boot of one CPU for a failed monitor, and answers the Host itself from then
/// on.
///
/// Source: TF-A 2.12.1, services/std_svc/rmmd/rmmd_main.c, `rmmd_cpu_on_finish_handler`.
fn refuse(code: BootCode) -> ! {
    let mut request = smc::boot_complete(code as i64);
    loop {
        // As of an unknown function, whatever the interface: X0 is -1, and the others are the
        // Host's.
        let [_, others @ ..] = request;
        let [x1, x2, x3, x4, x5, x6, x7] = others;
        request = smc::complete([u64::MAX, x1, x2, x3, x4, x5, x6, x7]);
    }
}

/// Tells EL3 that there is no monitor, if it is still waiting to hear of one.
pub(crate) fn refuse_if_booting() {
    if !COLD_DONE.load(Ordering::Relaxed) {
        refuse(BootCode::Unknown);
    }
}

/// Where the image is, zeroed data included.
pub(crate) fn image_range() -> core::ops::Range<u64> {
    let span = cold::image_span();
    span.base..span.end
}

/// Offset of a code address from the start of the image: what the ELF file calls it.
pub(crate) fn image_offset(address: u64) -> u64 {
    address.wrapping_sub(cold::image_base())
}
