//! What a token says, in CBOR: the claims of a Realm, their COSE_Sign1, and the container with the
//! platform's token.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A7.2.3; RFC 9052 (COSE), 4.2 and 4.4;
//! draft-ffm-rats-cca-token.

use machine::Hasher;
use minicbor::Encoder;
use minicbor::data::Tag;
use minicbor::encode::write::{Cursor, EndOfSlice};

use crate::realm_key::{COSE_KEY_BYTES, SCALAR_BYTES};
use crate::sign::SIGNATURE_BYTES;

/// Bytes of the claims of an instance.
const INSTANCE_BYTES: usize = 42;

/// Most bytes of a Realm's claims: those of a Realm that measures with SHA-512 and has an instance.
const CLAIMS_MAX: usize = 641 + INSTANCE_BYTES;

/// Most bytes of a Realm's signed claims.
pub const REALM_TOKEN_MAX: usize = 750 + INSTANCE_BYTES;

/// Most bytes that the container or the collection adds to its two tokens.
pub const CONTAINER_MAX: usize = 24;

/// Most bytes of what is signed: the claims, and what COSE puts before them.
const TO_BE_SIGNED_MAX: usize = CLAIMS_MAX + 21;

/// Labels of the claims of a Realm.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A7.2.3.1.
mod claim {
    pub(super) const CHALLENGE: u16 = 10;
    pub(super) const PROFILE: u16 = 265;
    pub(super) const PERSONALIZATION_VALUE: u16 = 44235;
    pub(super) const HASH_ALGORITHM: u16 = 44236;
    pub(super) const PUBLIC_KEY: u16 = 44237;
    pub(super) const INITIAL_MEASUREMENT: u16 = 44238;
    pub(super) const EXTENSIBLE_MEASUREMENTS: u16 = 44239;
    pub(super) const PUBLIC_KEY_HASH_ALGORITHM: u16 = 44240;
    // Source: RMM specification (Arm DEN0137) 2.0.
    pub(super) const INSTANCE_ID: u16 = 256;
    pub(super) const ENCRYPTION_POLICY: u16 = 44243;
}

/// Profile of the claims of a Realm without an instance: what its RIM is made of is what 1.0 says.
const REALM_PROFILE: &str = "tag:arm.com,2023:realm#1.0.0";
/// Profile of the claims of a Realm with an instance, whose RIM follows 2.0.
const REALM_INSTANCE_PROFILE: &str = "tag:arm.com,2024:realm#2.0.0";

/// Tag of a COSE_Sign1. Source: RFC 9052, 2.
const COSE_SIGN1: Tag = Tag::new(18);
/// Tag of the container, and the labels of its two parts. Source: RMM specification (Arm DEN0137)
/// 1.0, A7.2.3.
const CCA_TOKEN: Tag = Tag::new(399);
/// Tag of the collection, whose parts say what they are: a COSE_Sign1 of an EAT. Source: RMM
/// specification (Arm DEN0137) 2.0; draft-ietf-rats-msg-wrap.
const CCA_COLLECTION: Tag = Tag::new(907);
const EAT: u16 = 263;
const PLATFORM_TOKEN: u16 = 44234;
const REALM_TOKEN: u16 = 44241;

/// Protected header of a COSE_Sign1: {1: -35}, the algorithm is ES384.
const ES384: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// What a Realm's token says.
#[derive(Debug)]
pub struct Claims<'c> {
    /// The Realm's own bytes, for freshness.
    pub challenge: &'c [u8; 64],
    /// Realm Personalization Value.
    pub personalization_value: &'c [u8; 64],
    /// The Realm's hash algorithm by its IANA name: `sha-256`, `sha-512`.
    pub hash_algorithm: &'static str,
    /// RIM: as many bytes as the hash has.
    pub initial_measurement: &'c [u8],
    /// REM 0 to 3, as long as the RIM.
    pub extensible_measurements: [&'c [u8]; 4],
    /// Realm attestation key, public, as a COSE_Key.
    pub public_key: &'c [u8; COSE_KEY_BYTES],
    /// What tells the Realm from all others, for Realms that have that.
    pub instance: Option<&'c Instance>,
}

/// What tells a Realm from all others.
#[derive(Debug)]
pub struct Instance {
    /// Random bytes.
    pub id: [u8; 32],
    /// Whether the Host asked for a memory encryption context of the Realm's own.
    pub private_encryption: bool,
}

type Writer<'b> = Encoder<Cursor<&'b mut [u8]>>;
type Written = Result<(), minicbor::encode::Error<EndOfSlice>>;

/// Writes CBOR to the start of `into`; how many bytes.
///
/// # Panics
///
/// If they do not fit: a size in this file is wrong then.
pub fn encode(into: &mut [u8], write: impl FnOnce(&mut Writer<'_>) -> Written) -> usize {
    let mut encoder = Encoder::new(Cursor::new(into));
    match write(&mut encoder) {
        Ok(()) => encoder.writer().position(),
        Err(_) => unreachable!("a buffer of an attestation token is too small"),
    }
}

/// The claims, in the order of the reference monitor.
fn write_claims(claims: &Claims<'_>, into: &mut Writer<'_>) -> Written {
    const COUNT: u64 = 8;
    let more = if claims.instance.is_some() { 2 } else { 0 };
    into.map(COUNT + more)?;
    into.u16(claim::CHALLENGE)?.bytes(claims.challenge)?;
    into.u16(claim::PERSONALIZATION_VALUE)?.bytes(claims.personalization_value)?;
    into.u16(claim::PUBLIC_KEY)?.bytes(claims.public_key)?;
    into.u16(claim::HASH_ALGORITHM)?.str(claims.hash_algorithm)?;
    into.u16(claim::PUBLIC_KEY_HASH_ALGORITHM)?.str("sha-256")?;
    match claims.instance {
        None => into.u16(claim::PROFILE)?.str(REALM_PROFILE)?,
        Some(instance) => {
            write_instance(instance, into)?;
            into.u16(claim::PROFILE)?.str(REALM_INSTANCE_PROFILE)?
        }
    };
    into.u16(claim::INITIAL_MEASUREMENT)?.bytes(claims.initial_measurement)?;
    let rems = &claims.extensible_measurements;
    into.u16(claim::EXTENSIBLE_MEASUREMENTS)?.array(rems.len() as u64)?;
    for rem in rems {
        into.bytes(rem)?;
    }
    Ok(())
}

/// The claims about an instance.
fn write_instance(instance: &Instance, into: &mut Writer<'_>) -> Written {
    /// The kind of an identifier that is random bytes. Source: RFC 9711 (EAT), "UEID types".
    const RANDOM: u8 = 1;
    let mut id = [RANDOM; 33];
    if let Some(bytes) = id.last_chunk_mut() {
        *bytes = instance.id;
    }
    into.u16(claim::INSTANCE_ID)?.bytes(&id)?;
    into.u16(claim::ENCRYPTION_POLICY)?.u8(u8::from(instance.private_encryption))?;
    Ok(())
}

/// Writes a Realm's token, with zeros for the signature, to the start of `into`; how many bytes,
/// and the SHA-384 to be signed.
pub fn draft(
    claims: &Claims<'_>,
    hasher: &impl Hasher,
    into: &mut [u8; REALM_TOKEN_MAX],
) -> (usize, [u8; SCALAR_BYTES]) {
    let mut payload = [0; CLAIMS_MAX];
    let length = encode(&mut payload, |into| write_claims(claims, into));
    let payload = payload.get(..length).unwrap_or_default();
    let mut to_be_signed = [0; TO_BE_SIGNED_MAX];
    let length = encode(&mut to_be_signed, |into| {
        into.array(4)?.str("Signature1")?.bytes(&ES384)?.bytes(&[])?.bytes(payload)?;
        Ok(())
    });
    let digest = hasher.sha384(to_be_signed.get(..length).unwrap_or_default());
    let length = encode(into, |into| {
        into.tag(COSE_SIGN1)?.array(4)?.bytes(&ES384)?.map(0)?;
        into.bytes(payload)?.bytes(&[0; SIGNATURE_BYTES])?;
        Ok(())
    });
    (length, digest)
}

/// Puts the signature into the drafted token `token`, whose last bytes it is.
pub fn sign(token: &mut [u8], signature: &[u8; SIGNATURE_BYTES]) {
    if let Some(end) = token.last_chunk_mut::<SIGNATURE_BYTES>() {
        *end = *signature;
    }
}

/// Writes the container with both tokens to the start of `into`; how many bytes.
pub fn container(platform: &[u8], realm: &[u8], into: &mut [u8]) -> usize {
    encode(into, |into| {
        into.tag(CCA_TOKEN)?.map(2)?;
        into.u16(PLATFORM_TOKEN)?.bytes(platform)?;
        into.u16(REALM_TOKEN)?.bytes(realm)?;
        Ok(())
    })
}

/// Writes the collection with both tokens to the start of `into`; how many bytes.
pub fn collection(platform: &[u8], realm: &[u8], into: &mut [u8]) -> usize {
    encode(into, |into| {
        into.tag(CCA_COLLECTION)?.map(2)?;
        for (label, token) in [(PLATFORM_TOKEN, platform), (REALM_TOKEN, realm)] {
            into.u16(label)?.array(2)?.u16(EAT)?.bytes(token)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sha2, hex};

    const SHA_256: (&str, usize) = ("sha-256", 32);
    const SHA_512: (&str, usize) = ("sha-512", 64);

    fn claims((hash_algorithm, bytes): (&'static str, usize)) -> Claims<'static> {
        Claims {
            challenge: &[0x33; 64],
            personalization_value: &[0x44; 64],
            hash_algorithm,
            initial_measurement: &[0x11; 64][..bytes],
            extensible_measurements: [&[0x22; 64][..bytes]; 4],
            public_key: &[0x55; COSE_KEY_BYTES],
            instance: None,
        }
    }

    fn token(algorithm: (&'static str, usize)) -> (Vec<u8>, [u8; 48]) {
        let mut token = [0xee; REALM_TOKEN_MAX];
        let (length, digest) = draft(&claims(algorithm), &Sha2, &mut token);
        assert!(token[length..].iter().all(|&byte| byte == 0xee));
        (token[..length].to_vec(), digest)
    }

    #[test]
    fn a_token_is_these_bytes() {
        let (token, digest) = token(SHA_256);
        let repeat = |byte: &str, count| byte.repeat(count);
        let payload = [
            "a8 0a 5840",
            &repeat("33", 64),
            "19accb 5840",
            &repeat("44", 64),
            "19accd 586b",
            &repeat("55", 107),
            "19accc 67",
            "7368612d323536",
            "19acd0 67",
            "7368612d323536",
            "190109 781c",
            "7461673a61726d2e636f6d2c323032333a7265616c6d23312e302e30",
            "19acce 5820",
            &repeat("11", 32),
            "19accf 84 5820",
            &repeat("22", 32),
            "5820",
            &repeat("22", 32),
            "5820",
            &repeat("22", 32),
            "5820",
            &repeat("22", 32),
        ]
        .concat()
        .replace(' ', "");
        let expected = ["d284 44a1013822 a0 5901e1", &payload, "5860", &repeat("00", 96)].concat();
        assert_eq!(token, hex::<590>(&expected.replace(' ', "")));
        let signed = ["846a5369676e617475726531 44a1013822 40 5901e1", &payload].concat();
        assert_eq!(digest, Sha2.sha384(&hex::<502>(&signed.replace(' ', ""))));
    }

    #[test]
    fn the_sizes_are_those_of_the_other_implementations() {
        for (algorithm, realm, whole) in [(SHA_256, 590, 2124), (SHA_512, 750, 2284)] {
            let (token, _) = token(algorithm);
            assert_eq!(token.len(), realm);
            let mut page = [0; 4096];
            assert_eq!(container(&[0xd2; 1518], &token, &mut page), whole);
            assert_eq!(page[..10], hex::<10>("d9018fa219acca5905ee"));
            assert_eq!(page[1528..1533], hex::<5>("19acd15902").map(|byte| byte));
            assert_eq!(page[1534..whole], token);
        }
    }

    #[test]
    fn a_realm_with_an_instance_has_two_claims_more_and_another_profile() {
        let instance = Instance { id: [0x66; 32], private_encryption: true };
        let mut token = [0xee; REALM_TOKEN_MAX];
        let claims = Claims { instance: Some(&instance), ..claims(SHA_512) };
        let (length, _) = draft(&claims, &Sha2, &mut token);
        assert_eq!(length, REALM_TOKEN_MAX);
        let expected = format!(
            "190100582101{}19acd301190109781c{}",
            "66".repeat(32),
            "7461673a61726d2e636f6d2c323032343a7265616c6d23322e302e30"
        );
        let expected = hex::<{ 42 + 3 + 30 }>(&expected);
        assert!(token.windows(expected.len()).any(|bytes| bytes == expected));
    }

    #[test]
    fn a_collection_says_what_its_parts_are() {
        let mut page = [0; 64];
        let length = collection(&[0xd2], &[0xd3, 0xd4], &mut page);
        assert_eq!(page[..length], hex::<23>("d9038ba219acca8219010741d219acd18219010742d3d4")[..]);
    }

    #[test]
    fn the_longest_platform_token_fits() {
        let mut page = [0; 4096];
        let platform = [0; machine::attest::PLATFORM_TOKEN_MAX];
        let whole = container(&platform, &token(SHA_512).0, &mut page);
        assert!(whole <= platform.len() + REALM_TOKEN_MAX + CONTAINER_MAX);
    }

    #[test]
    fn the_signature_is_the_end_of_the_token() {
        let (mut token, _) = token(SHA_256);
        sign(&mut token, &[0x77; 96]);
        assert_eq!(token[493..], [&[0x60_u8][..], &[0x77; 96]].concat());
    }
}
