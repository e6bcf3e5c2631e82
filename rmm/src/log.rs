//! The monitor's log: one line per event, through `defmt`.
//!
//! Nothing secret reaches it: addresses, states and codes, no contents and no keys. `DEFMT_LOG` chooses the level when
//! the image is built.

use granule::ledger::Entry;
use granule::machine::Event;

/// Writes one event.
pub fn log(event: Event<'_>) {
    match event {
        Event::Refused { command, condition, code } => {
            defmt::debug!("{=str} refused: {=str} ({=u64:#x})", command, condition, code);
        }
        Event::NotHomogeneous { ipa } => {
            defmt::debug!("table not folded: first differing entry at IPA {=u64:#x}", ipa);
        }
        Event::Leaked(entry) => leaked(entry),
        Event::Recovered(entry) => {
            let (granule, tries) = (entry.granule.as_u64(), entry.tries);
            defmt::info!(
                "ledger: recovered granule {=u64:#x} after {=u32} failures",
                granule,
                tries
            );
        }
        Event::UnknownRegister { iss, pc } => {
            defmt::debug!("Realm used unknown register, ISS {=u64:#x}, at PC {=u64:#x}", iss, pc);
        }
        Event::UnknownCall { fid } => defmt::debug!("Realm made unknown call {=u64:#x}", fid),
        Event::UnknownException { esr, pc } => {
            defmt::warn!(
                "Realm took exception without a meaning, ESR {=u64:#x}, at PC {=u64:#x}",
                esr,
                pc
            );
        }
        Event::UnknownCommand { fid } => defmt::debug!("Host made unknown call {=u64:#x}", fid),
        Event::InjectedAbort { ipa, pc } => {
            defmt::debug!("abort injected for IPA {=u64:#x} at PC {=u64:#x}", ipa, pc);
        }
        Event::NoPlatformToken { code } => {
            defmt::warn!(
                "EL3 gave no platform token (code {=i64}): no attestation token for the Realm",
                code
            );
        }
        Event::RealmCreated { rd, vmid } => {
            defmt::info!("Realm {=u64:#x} created, VMID {=u16}", rd.as_u64(), vmid);
        }
        Event::RealmDestroyed { rd } => defmt::info!("Realm {=u64:#x} destroyed", rd.as_u64()),
        Event::RealmActivated { rd } => defmt::info!("Realm {=u64:#x} activated", rd.as_u64()),
        Event::RealmOff { rd } => defmt::info!("Realm {=u64:#x} is off", rd.as_u64()),
    }
}

fn leaked(entry: &Entry) {
    defmt::error!(
        "ledger: leaked granule {=u64:#x}, state {=str}, step {=str}, EL3 {=i64}, try {=u32}, number {=u64}",
        entry.granule.as_u64(),
        entry.state.name(),
        entry.step.name(),
        entry.el3.0,
        entry.tries,
        entry.sequence
    );
}
