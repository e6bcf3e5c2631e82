//! RSI_ATTESTATION_TOKEN_INIT and RSI_ATTESTATION_TOKEN_CONTINUE: the protocol by which a Realm
//! fetches its token.
//!
//! What is in a token, and how it is signed, is in crate `attest`. Module `workspace` is where it
//! all lies in the REC's auxiliary granules.
//!
//! A REC makes one token at a time. Whatever there is of it is in the REC and its auxiliary
//! granules, so the REC may
//! go on with it on any CPU, and REC_DESTROY ends it.

mod workspace;

use attest::RealmKey;
use attest::sign::Signer;
use attest::token::{self, CONTAINER_MAX, Claims, REALM_TOKEN_MAX};
use machine::attest::PLATFORM_TOKEN_MAX;
use machine::{El3Error, Event, Machine, PAGE_SIZE, Page};
use realm::exit::Exit;
use realm::measurement::Algorithm;
use realm::rec::TokenState;
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, ERROR_STATE, ERROR_UNKNOWN, INCOMPLETE, SUCCESS};
use crate::guest;
use crate::measurement::with_rd;

use workspace::{Request, Subject};

/// Upper bound of a token's length in bytes.
const TOKEN_MAX: usize = size_of::<Page>();

const _: () = assert!(CONTAINER_MAX + PLATFORM_TOKEN_MAX + REALM_TOKEN_MAX <= TOKEN_MAX);

/// `RSI_ATTESTATION_TOKEN_INIT`: starts a token for the challenge in X1 to X8; abandons one in
/// progress. X1 is an upper bound of the token's length.
///
/// Notes what the token is to say and computes nothing: the first RSI_ATTESTATION_TOKEN_CONTINUE
/// does, where an interrupt can come in between (perf: `attest_token_init`).
///
/// The specification has no failure condition here, so a missing key shows at
/// RSI_ATTESTATION_TOKEN_CONTINUE (the reference monitor returns RSI_ERROR_UNKNOWN at once).
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_ATTESTATION_TOKEN_INIT`, A7.2.2.
pub fn init<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    // One lock for all of it: an extension by another REC is in the token wholly or not at all.
    let (subject, instance) = with_rd(rmm, rec, |rd| (Subject::new(rd), rd.instance.get()));
    // The token before may have been abandoned in the middle of its signature, whose state is
    // secret.
    workspace::wipe(rmm, rec);
    workspace::with(rmm, rec, |workspace| {
        let challenge: [u64; 8] = core::array::from_fn(|word| rec.gpr(1 + word));
        workspace.request.challenge = zerocopy::transmute!(challenge);
        workspace.request.subject = subject;
        // All zero since the wipe, which says that there is none (perf: `attest_token_init`).
        if let Some(instance) = instance {
            workspace.request.instance = instance.into();
        }
    });
    rec.set_token(TokenState::Requested);
    Outcome::Return([SUCCESS, TOKEN_MAX as u64, 0, 0])
}

/// The IANA name of a hash algorithm.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A7.2.3.1.
const fn hash_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha256 => "sha-256",
        Algorithm::Sha384 => "sha-384",
        Algorithm::Sha512 => "sha-512",
    }
}

/// `RSI_ATTESTATION_TOKEN_CONTINUE`: writes the next part of the token to byte X2 of the Realm's
/// page at X1, at most X3 bytes; X1 is how many.
///
/// An interrupt of the Host ends the call early, with RSI_INCOMPLETE and nothing written. After any
/// failure but those of the arguments the Realm has to start again.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_ATTESTATION_TOKEN_CONTINUE`, A7.2.2, B5.3.2.
pub fn proceed<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    let (ipa, offset, size) = (rec.gpr(1), rec.gpr(2), rec.gpr(3));
    let fits = offset < PAGE_SIZE && size <= PAGE_SIZE - offset;
    if !ipa.is_multiple_of(PAGE_SIZE) || !fits || !rec.tree().space.is_protected(ipa) {
        return Outcome::code(ERROR_INPUT);
    }
    if rec.token() == TokenState::NotStarted {
        return Outcome::code(ERROR_STATE);
    }
    let Some(key) = &rmm.attestation else { return fail(rmm, rec) };
    if rec.token() == TokenState::Requested {
        draft(rmm, rec, key);
        // A slice of its own: together with the next it would keep the Host waiting for too long.
        if rmm.machine.interrupt_pending() {
            return interrupted(rec);
        }
    }
    if let TokenState::Signing { length } = rec.token()
        && (!sign(rmm, rec, key, length) || rmm.machine.interrupt_pending())
    {
        return interrupted(rec);
    }
    // After the signature: if the page has to be provided first, the Realm comes back to a finished
    // one.
    if let TokenState::Signed { length } = rec.token() {
        if let Err(error) = guest::with_page(rmm, &rec.tree(), ipa, |_| ()) {
            return guest::failed(rec, ipa, error);
        }
        match complete(rmm, rec, key, length) {
            Ok(()) => {}
            // The Realm asks again. In between, the Host can have its CPU.
            Err(El3Error::AGAIN) => return Outcome::Return([INCOMPLETE, 0, 0, 0]),
            Err(El3Error(code)) => {
                rmm.machine.log(Event::NoPlatformToken { code });
                return fail(rmm, rec);
            }
        }
    }
    hand_out(rmm, rec, ipa, offset, size)
}

/// Writes the Realm's token, all but the signature, and gets ready to sign it.
// Out of line: its buffers would make the stack of the signature larger.
#[inline(never)]
fn draft<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, key: &RealmKey) {
    let Request { challenge, subject, instance } =
        workspace::with(rmm, rec, |workspace| workspace.request);
    let algorithm = subject.algorithm();
    // A measurement is as long as its hash: without the zeros that the monitor keeps behind it.
    let hashed = |value| <[u8]>::get(value, ..algorithm.hash_bytes()).unwrap_or_default();
    let instance = instance.get().map(|instance| token::Instance {
        id: instance.id,
        private_encryption: instance.private_encryption,
    });
    let claims = Claims {
        challenge: &challenge,
        personalization_value: &subject.personalization_value,
        hash_algorithm: hash_name(algorithm),
        initial_measurement: hashed(&subject.measurements.rim),
        extensible_measurements: subject.measurements.rem.each_ref().map(|rem| hashed(rem)),
        public_key: key.public(),
        instance: instance.as_ref(),
    };
    let mut realm = [0; REALM_TOKEN_MAX];
    let (length, digest) = token::draft(&claims, rmm.machine, &mut realm);
    let signer = Signer::new(digest, rmm.machine.entropy());
    workspace::with(rmm, rec, |workspace| {
        workspace.realm = realm;
        signer.save(&mut workspace.signer);
    });
    rec.set_token(TokenState::Signing { length });
}

/// Works on the signature until it is made, or until the Host wants its CPU back: then false. Each
/// call gets at least one slice further.
fn sign<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, key: &RealmKey, length: usize) -> bool {
    let machine = rmm.machine;
    machine.constant_time(|| {
        let mut signer = workspace::with(rmm, rec, |workspace| Signer::load(&mut workspace.signer));
        let signature = loop {
            if let Some(signature) = signer.step(machine, key.secret()) {
                break signature;
            }
            if machine.interrupt_pending() {
                workspace::with(rmm, rec, |workspace| signer.save(&mut workspace.signer));
                return false;
            }
        };
        workspace::with(rmm, rec, |workspace| {
            token::sign(workspace.realm.get_mut(..length).unwrap_or_default(), &signature);
        });
        rec.set_token(TokenState::Signed { length });
        true
    })
}

/// Fetches the platform's token and puts both into their container.
fn complete<M: Machine>(
    rmm: &Rmm<'_, M>,
    rec: &mut Rec,
    key: &RealmKey,
    length: usize,
) -> Result<(), El3Error> {
    let mut platform = [0; PLATFORM_TOKEN_MAX];
    let bytes = rmm.machine.platform_token(key.challenge(), &mut platform)?;
    let platform = platform.get(..bytes).unwrap_or_default();
    // A copy, so that the two granules are never locked at once: nothing orders their addresses.
    let (realm, instance) =
        workspace::with(rmm, rec, |workspace| (workspace.realm, workspace.request.instance.get()));
    let realm = realm.get(..length).unwrap_or_default();
    let container = if instance.is_some() { token::collection } else { token::container };
    let length = workspace::with_complete(rmm, rec, |token| container(platform, realm, token));
    rec.set_token(TokenState::Ready { length, copied: 0 });
    Ok(())
}

/// Copies what fits of the rest of the token into the Realm's page.
fn hand_out<M: Machine>(
    rmm: &Rmm<'_, M>,
    rec: &mut Rec,
    ipa: u64,
    offset: u64,
    size: u64,
) -> Outcome {
    let (TokenState::Ready { length, copied }, Ok(offset), Ok(size)) =
        (rec.token(), usize::try_from(offset), usize::try_from(size))
    else {
        unreachable!("a token that is handed out")
    };
    let end = copied + size.min(length - copied);
    let written = guest::with_page(rmm, &rec.tree(), ipa, |target| {
        workspace::with_complete(rmm, rec, |token| {
            guest::write_bytes(target, offset, token.get(copied..end).unwrap_or_default());
        });
    });
    if let Err(error) = written {
        return guest::failed(rec, ipa, error);
    }
    let count = (end - copied) as u64;
    if end < length {
        rec.set_token(TokenState::Ready { length, copied: end });
        return Outcome::Return([INCOMPLETE, count, 0, 0]);
    }
    rec.set_token(TokenState::NotStarted);
    Outcome::Return([SUCCESS, count, 0, 0])
}

/// Leaves the CPU to the Host in the middle of a token; when the Realm runs again it finds
/// RSI_INCOMPLETE and no bytes.
fn interrupted(rec: &mut Rec) -> Outcome {
    for (number, value) in [INCOMPLETE, 0, 0, 0].into_iter().enumerate() {
        rec.set_gpr(number, value);
    }
    Outcome::Exit(Exit::Irq)
}

/// Ends a token that cannot be made. The specification does not say in which state; the next call
/// shall not try again.
fn fail<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    workspace::wipe(rmm, rec);
    rec.set_token(TokenState::NotStarted);
    Outcome::code(ERROR_UNKNOWN)
}
