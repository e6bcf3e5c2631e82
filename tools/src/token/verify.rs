//! Whether a token is to be believed, step by step.
//!
//! Source: draft-ffm-rats-cca-token, "Verification"; RMM specification (Arm DEN0137) 1.0, A7.2.

use super::cbor::hex;
use super::container::Token;
use super::key::PlatformKey;
use super::refusal::{Class, Refusal};

/// What the relying party knows.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Whose signature the platform token must have.
    pub platform: PlatformKey,
    /// The bytes that the Realm was asked to put into the token; shorter ones were followed by
    /// zeros.
    pub challenge: [u8; 64],
    /// The initial measurement of what should run, if known.
    pub rim: Option<Vec<u8>>,
}

/// Checks a token against what is expected of it.
///
/// # Errors
///
/// The first thing that is wrong, in the order of [`Class`].
pub(super) fn verify(bytes: &[u8], expected: &Expected) -> Result<Token, Refusal> {
    let token = Token::decode(bytes)?;
    let platform = &expected.platform;
    token.platform_signed.verify(&platform.key, &platform.owner, Class::PlatformSignature)?;
    let key = token.realm.key()?;
    let hash = token.realm.key_hash()?;
    if hash != token.platform.challenge {
        return Err(Refusal::new(
            Class::Binding,
            format!(
                "the key in the Realm's token has the hash {}, but the platform vouches for {}",
                hex(&hash),
                hex(&token.platform.challenge)
            ),
        ));
    }
    token.realm_signed.verify(&key, "the key that it contains", Class::RealmSignature)?;
    if token.realm.challenge != expected.challenge {
        return Err(Refusal::new(
            Class::Freshness,
            format!("it was made for the challenge {}", hex(&token.realm.challenge)),
        ));
    }
    policy(&token, expected)?;
    Ok(token)
}

fn policy(token: &Token, expected: &Expected) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(Class::Policy, text));
    let platform = &token.platform;
    if !platform.is_secured() {
        return refuse(format!(
            "the platform's lifecycle is {:#06x} ({}), not secured",
            platform.lifecycle,
            platform.lifecycle_name()
        ));
    }
    let found = &token.realm.initial_measurement;
    if let Some(wanted) = expected.rim.as_ref().filter(|wanted| *wanted != found) {
        return refuse(format!(
            "the Realm's initial measurement is {}, not {}: something else was started",
            hex(found),
            hex(wanted)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::sample::{self, Sample};

    fn class(sample: &Sample, expected: &Expected) -> Option<Class> {
        verify(&sample.token(), expected).err().map(|refusal| refusal.class)
    }

    #[test]
    fn a_genuine_token_is_believed() {
        let sample = Sample::default();
        let token = verify(&sample.token(), &sample.expected()).unwrap();
        assert_eq!(token.realm.initial_measurement, [0x11; 32]);
        assert_eq!(token.platform.lifecycle_name(), "secured");
        let rim = Some(vec![0x11; 32]);
        assert_eq!(class(&sample, &Expected { rim, ..sample.expected() }), None);
    }

    #[test]
    fn the_older_profile_is_believed_too() {
        let sample = Sample { older: true, ..Sample::default() };
        assert_eq!(class(&sample, &sample.expected()), None);
    }

    #[test]
    fn the_profile_of_version_2_0_is_believed_in_its_own_container() {
        let sample = Sample { newer: true, ..Sample::default() };
        let token = verify(&sample.token(), &sample.expected()).unwrap();
        assert!(!token.realm.instance.unwrap().private_encryption);
        for (outside, inside) in [(true, false), (false, true)] {
            let claims = Sample { newer: inside, ..Sample::default() };
            let odd = Sample { newer: outside, ..Sample::default() };
            let token = odd.around(&claims.realm_claims());
            assert_eq!(verify(&token, &odd.expected()).unwrap_err().class, Class::Decode);
        }
    }

    #[test]
    fn each_broken_promise_has_its_class() {
        let sample = Sample::default();
        let expected = sample.expected();
        let other = PlatformKey::sample().unwrap();
        let wrong_key = Expected { platform: other, ..expected.clone() };
        assert_eq!(class(&sample, &wrong_key), Some(Class::PlatformSignature));
        let vouched = Sample { vouched: Some(vec![7; 32]), ..Sample::default() };
        assert_eq!(class(&vouched, &expected), Some(Class::Binding));
        let forged = Sample { realm_signer: sample::key(9), ..Sample::default() };
        assert_eq!(class(&forged, &expected), Some(Class::RealmSignature));
        let stale = Expected { challenge: [9; 64], ..expected.clone() };
        assert_eq!(class(&sample, &stale), Some(Class::Freshness));
        let debug = Sample { lifecycle: 0x4001, ..Sample::default() };
        assert_eq!(class(&debug, &expected), Some(Class::Policy));
        let rim = Some(vec![0x12; 32]);
        assert_eq!(class(&sample, &Expected { rim, ..expected }), Some(Class::Policy));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sample = Sample::default();
        let (token, expected) = (sample.token(), sample.expected());
        let check = |range: std::ops::Range<usize>| {
            for at in range {
                let mut tampered = token.clone();
                tampered[at] ^= 1 << (at % 8);
                let verdict = verify(&tampered, &expected);
                assert!(verdict.is_err(), "byte {at} of {}", token.len());
            }
        };
        let half = token.len() / 2;
        std::thread::scope(|scope| {
            scope.spawn(|| check(0..half));
            check(half..token.len());
        });
    }

    #[test]
    fn every_truncation_and_extension_is_noticed() {
        let sample = Sample::default();
        let (token, expected) = (sample.token(), sample.expected());
        for length in 0..token.len() {
            let refusal = verify(&token[..length], &expected).unwrap_err();
            assert_eq!(refusal.class, Class::Decode, "{length}");
        }
        let longer = [token, vec![0]].concat();
        assert_eq!(verify(&longer, &expected).unwrap_err().class, Class::Decode);
    }
}
