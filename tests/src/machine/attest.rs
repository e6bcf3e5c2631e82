//! Attestation services of EL3: a fixed key and a fixed platform token; and interrupts that end a
//! token's computation early.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ::attest::RealmKey;
use ::attest::key;
use cairn_el3::edition::Edition;
use machine::{AttestRoot, El3Error, El3Interface, Hasher};

use super::config::Profile;
use super::{FakeCpu, FakeMachine};

/// What the platform says of itself: any CBOR will do, nobody here judges it. The challenge
/// follows.
pub const PLATFORM_TOKEN: &[u8] = &[0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40];

/// The realm attestation key, private.
pub const REALM_KEY: [u8; 48] = [0x17; 48];

/// E_RMM_AGAIN.
const AGAIN: i64 = -6;
/// E_RMM_NOMEM.
const NO_ROOM: i64 = -4;
/// E_RMM_UNK.
const UNKNOWN: i64 = -1;

/// What attestation meets on a machine.
#[derive(Debug, Default)]
pub struct Attestation {
    refuses: AtomicBool,
    busy: AtomicU64,
    polls: AtomicU64,
    interrupt_every: AtomicU64,
    drawn: AtomicU64,
}

impl FakeMachine {
    /// A machine whose EL3 has no realm attestation key.
    pub fn without_attestation_key(profile: Profile) -> Self {
        Self::with_key(profile, Edition::V0, None)
    }

    /// EL3 gives no platform tokens from now on, or gives them again.
    pub fn refuse_platform_tokens(&self, refuses: bool) {
        self.attestation.refuses.store(refuses, Ordering::Relaxed);
    }

    /// EL3 answers the next requests for a platform token, this many, with "again".
    pub fn keep_platform_busy(&self, requests: u64) {
        self.attestation.busy.store(requests, Ordering::Relaxed);
    }

    /// Whenever the monitor has asked this often, an interrupt is pending; 0 for never.
    pub fn interrupt_every(&self, polls: u64) {
        self.attestation.interrupt_every.store(polls, Ordering::Relaxed);
    }

    /// How often the monitor has asked for pending interrupts.
    pub fn polls(&self) -> u64 {
        self.attestation.polls.load(Ordering::Relaxed)
    }

    pub(super) fn poll_interrupt(&self) -> bool {
        let polls = self.attestation.polls.fetch_add(1, Ordering::Relaxed) + 1;
        let every = self.attestation.interrupt_every.load(Ordering::Relaxed);
        every != 0 && polls.is_multiple_of(every)
    }
}

/// The key, derived once for all machines.
pub(super) fn realm_key() -> Option<RealmKey> {
    static KEY: OnceLock<RealmKey> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let machine = FakeMachine::without_attestation_key(Profile::Plain);
        let Ok(key) = key::fetch(&machine.cpu(0)) else { unreachable!("the key is a scalar") };
        key
    });
    Some(RealmKey::new(*key.secret(), *key.public(), *key.challenge()))
}

impl AttestRoot for FakeCpu<'_> {
    fn entropy(&self) -> Option<[u8; 32]> {
        // Hosts of 1.0 get signatures that can be compared.
        if self.machine.shared.el3 == El3Interface::V0 {
            return None;
        }
        let number = self.machine.attestation.drawn.fetch_add(1, Ordering::Relaxed);
        Some(self.sha256(&number.to_le_bytes()))
    }

    fn realm_key(&self) -> Result<[u8; 48], El3Error> {
        Ok(REALM_KEY)
    }

    fn platform_token(&self, challenge: &[u8; 32], into: &mut [u8]) -> Result<usize, El3Error> {
        if self.machine.attestation.refuses.load(Ordering::Relaxed) {
            return Err(El3Error(UNKNOWN));
        }
        let less = |requests: u64| requests.checked_sub(1);
        let busy = &self.machine.attestation.busy;
        if busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Err(El3Error(AGAIN));
        }
        let token: Vec<u8> = PLATFORM_TOKEN.iter().chain(challenge).copied().collect();
        let room = into.get_mut(..token.len()).ok_or(El3Error(NO_ROOM))?;
        room.copy_from_slice(&token);
        Ok(token.len())
    }
}
