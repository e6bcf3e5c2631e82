//! The monitor's log: one line per event, through `defmt`.
//!
//! Nothing secret reaches it: addresses, states and codes, no contents and no keys. `DEFMT_LOG`
//! chooses the level when the image is built.

use machine::log::{Event, Leak};

/// Writes one event.
#[inline] // perf: a refusal costs nothing where it is not logged (`rtt_fold_refused`).
pub fn log(event: Event<'_>) {
    if let Event::Refused { command, condition, code } = event {
        defmt::debug!("{=str} refused: {=str} ({=u64:#x})", command, condition, code);
    } else if let Event::NotHomogeneous { ipa } = event {
        defmt::debug!("table not folded: first differing entry at IPA {=u64:#x}", ipa);
    } else {
        rare(event);
    }
}

/// Writes an event that no Host makes by the thousand.
#[inline(never)]
fn rare(event: Event<'_>) {
    match event {
        Event::Refused { .. } | Event::NotHomogeneous { .. } => {}
        Event::Leaked { entry, kept } => leaked(entry, kept),
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
        // At debug level as well: a Realm could keep the console of all CPUs busy.
        Event::UnknownException { esr, pc } => {
            defmt::debug!(
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
        Event::RealmCreated { number, rd, vmid } => {
            let rd = rd.as_u64();
            defmt::info!("Realm {=u64} created, RD {=u64:#x}, VMID {=u16}", number.0, rd, vmid);
        }
        Event::RealmDestroyed { number, rd, most, leaked, granules } => {
            defmt::info!(
                "Realm {=u64} destroyed, RD {=u64:#x}; held at most {=u64} DATA, {=u64} RTT, {=u64} REC and REC_AUX; {=u64} leaked",
                number.0,
                rd.as_u64(),
                most.data,
                most.rtt,
                most.rec,
                leaked
            );
            census(granules);
        }
        // perf: at debug level, since a line takes longer than the command does (`realm_activate`).
        Event::RealmActivated { number } => defmt::debug!("Realm {=u64} activated", number.0),
        // perf: the same (`realm_terminate`); its end has a line.
        Event::RealmTerminated { number } => defmt::debug!("Realm {=u64} is terminated", number.0),
        Event::RealmOff { number } => defmt::info!("Realm {=u64} is off", number.0),
    }
}

/// How many granules are in each state: the sum is the tracked memory. The last state, PARTIAL, is
/// told if there is one in it (perf: `realm_destroy`; a Host of RMI 1.0 never has one).
fn census([undelegated, delegated, rd, rec, rec_aux, data, rtt, partial]: [u64; 8]) {
    if partial != 0 {
        defmt::info!("unfinished operations: {=u64} granules are PARTIAL", partial);
    }
    defmt::info!(
        "granules: {=u64} UNDELEGATED, {=u64} DELEGATED, {=u64} RD, {=u64} REC, {=u64} REC_AUX, {=u64} DATA, {=u64} RTT",
        undelegated,
        delegated,
        rd,
        rec,
        rec_aux,
        data,
        rtt
    );
}

fn leaked(entry: &Leak, kept: bool) {
    defmt::error!(
        "ledger: leaked granule {=u64:#x}, was {=str} of Realm {=u64}, step {=str}, EL3 {=i64}, try {=u32}, number {=u64}",
        entry.granule.as_u64(),
        entry.role,
        entry.realm.map_or(0, |realm| realm.0),
        entry.step,
        entry.el3.0,
        entry.tries,
        entry.sequence
    );
    if !kept {
        defmt::error!("ledger: full; the last granule is only counted");
    }
}
