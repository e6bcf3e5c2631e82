//! The platform of the EL3 of the tests: its key, which everybody has, and the token that it hands
//! out.
//!
//! The token is made here and put into the machine's memory, because that EL3 cannot sign.

use cairn_el3::token::realm_key;
use minicbor::Encoder;
use minicbor::data::Tag;
use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey, VerifyingKey};
use p384::pkcs8::{EncodePublicKey, LineEnding};
use sha2::Digest;

use super::key::PlatformKey;
use super::platform::PROFILES;

/// Bytes of a scalar of P-384.
const SCALAR_BYTES: usize = 48;

/// The private half of the platform's key.
const PLATFORM_SECRET: [u8; SCALAR_BYTES] = *b"Everybody may know this key of a test platform..";

/// The hardware, and this piece of it.
const IMPLEMENTATION_ID: [u8; 32] = *b"Cairn: a stand-in for an EL3    ";
const INSTANCE_ID: [u8; 33] = *b"\x01Cairn: nobody's own hardware    ";

type Writer = Encoder<Vec<u8>>;
type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode(write: impl FnOnce(&mut Writer) -> Written) -> anyhow::Result<Vec<u8>> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder)?;
    Ok(encoder.into_writer())
}

fn platform_secret() -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_slice(&PLATFORM_SECRET)?)
}

/// The key that the platform's token is verified with.
pub(crate) fn platform_key() -> anyhow::Result<PlatformKey> {
    let owner = "the public test key of tests/el3".to_owned();
    Ok(PlatformKey { key: platform_secret()?.into(), owner, is_sample: true })
}

/// The same as PEM text.
pub(crate) fn platform_key_text() -> anyhow::Result<String> {
    let key = p384::PublicKey::from(platform_key()?.key);
    Ok(key.to_public_key_pem(LineEnding::LF)?)
}

/// Hash of the public half of the Realms' key: what the platform vouches for.
fn challenge() -> anyhow::Result<Vec<u8>> {
    let secret: Vec<u8> = realm_key().iter().flat_map(|word| word.to_le_bytes()).collect();
    let point = VerifyingKey::from(&SigningKey::from_slice(&secret)?).to_encoded_point(false);
    let (x, y) = (point.x().map_or(&[][..], |x| x), point.y().map_or(&[][..], |y| y));
    let key = encode(|e| {
        e.map(4)?.u8(1)?.u8(2)?.i8(-1)?.u8(2)?;
        e.i8(-2)?.bytes(x)?.i8(-3)?.bytes(y)?;
        Ok(())
    })?;
    Ok(sha2::Sha256::digest(key).to_vec())
}

/// The token.
///
/// Source: draft-ffm-rats-cca-token, "CCA Platform Attestation Token"; RFC 9052, 4.2 and 4.4.
fn platform_token() -> anyhow::Result<Vec<u8>> {
    const COSE_SIGN1: u64 = 18;
    const SECURED: u16 = 0x3003;
    let challenge = challenge()?;
    let [profile, _] = PROFILES;
    let claims = encode(|e| {
        e.map(8)?.u16(265)?.str(profile)?.u8(10)?.bytes(&challenge)?;
        e.u16(2396)?.bytes(&IMPLEMENTATION_ID)?.u16(256)?.bytes(&INSTANCE_ID)?;
        e.u16(2401)?.bytes(b"tests/el3")?.u16(2395)?.u16(SECURED)?.u16(2402)?.str("sha-256")?;
        e.u16(2399)?.array(1)?.map(3)?.u8(1)?.str("RMM")?;
        e.u8(2)?.bytes(&[0; 32])?.u8(5)?.bytes(&[0; 32])?;
        Ok(())
    })?;
    // {1: -35}: ES384.
    let header = encode(|e| e.map(1)?.u8(1)?.i8(-35).map(drop))?;
    let signed = encode(|e| {
        e.array(4)?.str("Signature1")?.bytes(&header)?.bytes(&[])?.bytes(&claims)?;
        Ok(())
    })?;
    let signature: Signature = platform_secret()?.sign(&signed);
    encode(|e| {
        e.tag(Tag::new(COSE_SIGN1))?.array(4)?.bytes(&header)?.map(0)?.bytes(&claims)?;
        e.bytes(&signature.to_bytes())?;
        Ok(())
    })
}

/// The token as that EL3 expects it in memory: its length, and then itself in whole words.
pub(crate) fn in_memory() -> anyhow::Result<Vec<u8>> {
    let token = platform_token()?;
    let mut bytes = (token.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(&token);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::cose::Sign1;
    use crate::token::platform::Platform;
    use crate::token::refusal::Class;

    #[test]
    fn the_token_is_signed_and_vouches_for_the_key() {
        let key = platform_key().unwrap();
        let token = Sign1::decode("platform token", &platform_token().unwrap()).unwrap();
        token.verify(&key.key, &key.owner, Class::PlatformSignature).unwrap();
        let platform = Platform::new(&token).unwrap();
        assert_eq!(platform.challenge, challenge().unwrap());
        assert!(platform.is_secured());
    }

    #[test]
    fn the_token_fits_where_it_has_to_go() {
        let memory = in_memory().unwrap();
        let length = u64::from_le_bytes(memory[..8].try_into().unwrap());
        assert!(length <= cairn_el3::token::LENGTH_MAX && memory.len().is_multiple_of(8));
        assert!(platform_key_text().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}
