//! What the log says about the start.

use machine::El3Interface;
use rmm_arch::boot::ColdEnv;
use rmm_arch::el3::{self, GranuleCalls};
use rmm_arch::traps::{Facility, Learnt, Openings};

use super::Difference;

/// How EL3 changes granules.
const fn how(calls: GranuleCalls) -> &'static str {
    match calls {
        GranuleCalls::OneByOne => "one by one",
        GranuleCalls::Runs => "by FIRME, in runs",
        GranuleCalls::ContinuedRuns => "by FIRME, in runs that it may interrupt",
    }
}

/// Tells the log what the monitor runs on; `el3_features` is EL3's answer to `RMM_EL3_FEATURES`.
pub fn announce(env: &ColdEnv, el3_features: u64) {
    let interface = env.args.interface;
    // With interface 0.x of EL3 not enough registers reach the Host for 2.0.
    let more = match el3::interface(interface) {
        Some(El3Interface::V2) => rmi::BETA,
        Some(El3Interface::V0) | None => "no other",
    };
    defmt::info!(
        "Cairn {=str} at {=u64:#x}, RMM-EL3 interface {=u64}.{=u64}, EL3 features {=u64:#x}, up to {=usize} CPUs",
        env!("CARGO_PKG_VERSION"),
        env.image.base,
        interface >> 16,
        interface & 0xffff,
        el3_features,
        env.layout.cpus
    );
    defmt::info!("offers RMI 1.0 and {=str}; granules change {=str}", more, how(env.granule_calls));
    openings(&env.openings);
    for bank in &env.layout.banks {
        defmt::info!("DRAM {=u64:#x}..{=u64:#x}", bank.base, bank.base + bank.size_bytes);
    }
    defmt::info!(
        "image {=u64} KiB, with tables, stacks and granule words {=u64} KiB",
        (env.image.end - env.image.base) >> 10,
        (env.used_end - env.image.base) >> 10
    );
    if env.layout.console_checksum_deviates {
        defmt::warn!("manifest: the console list's checksum is wrong; accepted");
    }
}

/// Tells the log why the CPU with this index is refused.
pub fn announce_stranger(cpu: u64, Difference { register, first, this }: Difference) {
    defmt::error!(
        "CPU {=u64} is not like the first: {=str} is {=u64:#x}, not {=u64:#x}",
        cpu,
        register,
        this,
        first
    );
}

/// Tells the log what EL3 has opened to this world, of what the CPU has. The numbers of the
/// facilities are those of [`Facility`].
fn openings(openings: &Openings) {
    let learnt = match openings.learnt {
        Learnt::Asked => "by its own word",
        Learnt::Tried => "by trying",
        Learnt::Assumed => "assumed, as it can be neither asked nor tried",
    };
    let closed = openings.present.bits() & !openings.open.bits();
    defmt::info!(
        "EL3 opens {=u32:#x} and closes {=u32:#x} to Realms, {=str}",
        openings.open.bits(),
        closed,
        learnt
    );
    for facility in [Facility::Fgt, Facility::Fgt2, Facility::Hcx] {
        if openings.present.has(facility) && !openings.open.has(facility) {
            defmt::warn!(
                "EL3 closes trap registers that the CPU has: number {=u32}",
                facility as u32
            );
        }
    }
}

/// Tells the log that Realms will get no attestation tokens: which step failed, and its code.
pub fn announce_no_key((step, code): (&str, i64)) {
    defmt::warn!("no realm attestation key: {=str} (code {=i64})", step, code);
}
