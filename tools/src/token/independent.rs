//! A second opinion: a real token, and the tool's own samples, judged by libraries that neither the
//! monitor nor this tool uses otherwise.
//!
//! The `ccatoken` crate would be the natural judge, but its published version (0.1.0) knows only
//! the profile before the specification, with raw public keys; it also needs OpenSSL, and a crate
//! whose licence is not on our list.

use coset::cbor::value::Value;
use coset::iana::{Algorithm, EllipticCurve, EnumI64};
use coset::{
    CborSerializable, CoseKey, CoseSign1, KeyType, Label, RegisteredLabelWithPrivate,
    TaggedCborSerializable,
};
use ring::digest;
use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use super::key::PlatformKey;
use super::sample::{self, Sample};
use super::verify::{Expected, verify};
use super::{parse_challenge, parse_rim};

/// The token of a Debian guest under QEMU, see `testdata/README.md`.
const TOKEN: &[u8] = include_bytes!("../../testdata/qemu.token");
const CHALLENGE: &str = "4fe46387ece99d547ecb9ab56153552263e60e7903170662b8406d15a7c2eed8\
                         df90b4a6cff9b630a37ba03afd791153cb8b4e19c08b101bd7fb7cd748fd639c";
const RIM: &str = "a8b4672d9d7445a7544c80cfc05e634ec79438b96f9346a7ffd5dd73df5d5e23";

/// A map's value under a number.
fn claim(map: &Value, label: i64) -> Option<&Value> {
    let entries = map.as_map()?;
    entries.iter().find(|(key, _)| *key == Value::from(label)).map(|(_, value)| value)
}

/// The claims of a COSE_Sign1 that this point has signed.
fn claims(token: &[u8], point: &[u8]) -> Option<Value> {
    let token = CoseSign1::from_tagged_slice(token).ok()?;
    let algorithm = RegisteredLabelWithPrivate::Assigned(Algorithm::ES384);
    if token.protected.header.alg != Some(algorithm) {
        return None;
    }
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point);
    token.verify_signature(b"", |signature, data| key.verify(data, signature)).ok()?;
    Value::from_slice(&token.payload?).ok()
}

/// The point of a COSE_Key on P-384.
fn point(key: &[u8]) -> Option<Vec<u8>> {
    let key = CoseKey::from_slice(key).ok()?;
    let param = |label: i64| {
        let found = key.params.iter().find(|(name, _)| *name == Label::Int(label));
        found.map(|(_, value)| value)
    };
    let curve = Value::from(EllipticCurve::P_384.to_i64());
    let ec2 = KeyType::Assigned(coset::iana::KeyType::EC2);
    if key.kty != ec2 || param(-1) != Some(&curve) {
        return None;
    }
    Some([&[4][..], param(-2)?.as_bytes()?.as_slice(), param(-3)?.as_bytes()?.as_slice()].concat())
}

/// The challenge and the RIM of a token that is genuine.
fn judge(token: &[u8], platform_point: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let Value::Tag(399, container) = Value::from_slice(token).ok()? else { return None };
    let part = |label: i64| claim(&container, label).and_then(Value::as_bytes);
    let platform = claims(part(44234)?, platform_point)?;
    // The Realm's key is in what it has signed.
    let unverified = CoseSign1::from_tagged_slice(part(44241)?).ok()?;
    let unverified = Value::from_slice(&unverified.payload?).ok()?;
    let key = claim(&unverified, 44237)?.as_bytes()?;
    let realm = claims(part(44241)?, &point(key)?)?;
    let hash = digest::digest(&digest::SHA256, key);
    let vouched = claim(&platform, 10)?.as_bytes()?;
    let named = claim(&realm, 44240)?.as_text()? == "sha-256";
    let bytes = |label| claim(&realm, label).and_then(Value::as_bytes).cloned();
    (named && vouched == hash.as_ref()).then_some((bytes(10)?, bytes(44238)?))
}

/// The public point of a platform key.
fn platform_point(key: &PlatformKey) -> Vec<u8> {
    key.key.to_encoded_point(false).as_bytes().to_vec()
}

/// What the real token must be.
fn expected() -> Expected {
    Expected {
        platform: PlatformKey::sample().unwrap(),
        challenge: parse_challenge(CHALLENGE).unwrap().bytes,
        rim: Some(parse_rim(RIM).unwrap().0),
    }
}

#[test]
fn both_judges_believe_a_real_token_and_the_samples() {
    let real = expected();
    verify(TOKEN, &real).unwrap();
    let (challenge, rim) = judge(TOKEN, &platform_point(&real.platform)).unwrap();
    assert_eq!((challenge, Some(rim)), (real.challenge.to_vec(), real.rim));

    let sample = Sample::default();
    let (challenge, rim) =
        judge(&sample.token(), &platform_point(&sample.expected().platform)).unwrap();
    assert_eq!((challenge, rim), (vec![0x33; 64], vec![0x11; 32]));
}

#[test]
fn both_judges_refuse_what_others_have_signed() {
    let real = expected();
    let sample = Sample::default();
    assert!(judge(TOKEN, &platform_point(&sample.expected().platform)).is_none());
    assert!(verify(TOKEN, &Expected { platform: sample.expected().platform, ..real }).is_err());
    for sample in [
        Sample { realm_signer: sample::key(9), ..Sample::default() },
        Sample { platform_signer: sample::key(9), ..Sample::default() },
        Sample { vouched: Some(vec![7; 32]), ..Sample::default() },
        Sample { algorithm: -7, ..Sample::default() },
    ] {
        assert!(judge(&sample.token(), &platform_point(&sample.expected().platform)).is_none());
        assert!(verify(&sample.token(), &sample.expected()).is_err());
    }
}

#[test]
fn both_judges_notice_every_changed_byte_of_a_real_token() {
    let real = expected();
    let point = platform_point(&real.platform);
    let check = |range: std::ops::Range<usize>| {
        for at in range {
            let mut changed = TOKEN.to_vec();
            changed[at] ^= 1 << (at % 8);
            assert!(verify(&changed, &real).is_err(), "byte {at}");
            assert!(judge(&changed, &point).is_none(), "byte {at}, by the other judge");
        }
    };
    let half = TOKEN.len() / 2;
    std::thread::scope(|scope| {
        scope.spawn(|| check(0..half));
        check(half..TOKEN.len());
    });
}
