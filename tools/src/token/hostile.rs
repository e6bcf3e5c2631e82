//! Tokens that somebody made to confuse the tool.

use super::container::{SIZE_MAX, Token};
use super::refusal::{Class, Refusal};
use super::sample::{Sample, cose_key, key};
use super::show::show;
use super::verify::verify;

/// Why a token is refused.
fn refusal(bytes: &[u8]) -> Refusal {
    verify(bytes, &Sample::default().expected()).unwrap_err()
}

/// It is refused while decoding, for this reason.
fn refused(bytes: &[u8], reason: &str) {
    let refusal = refusal(bytes);
    assert_eq!(refusal.class, Class::Decode, "{refusal}");
    assert!(refusal.to_string().contains(reason), "{refusal}\n  should say: {reason}");
}

#[test]
fn files_that_are_no_tokens_are_refused() {
    refused(&[], "is empty");
    refused(b"hello, this is a text", "the file ");
    refused(&[0x01], "it is an integer without the tag 399");
    refused(&vec![0; SIZE_MAX + 1], "too many");
    refused(&[0xd9, 0x01, 0x8f, 0x80], "not a map");
    refused(&[0xd9, 0x01, 0x8f, 0xa0], "no platform token");
    let deep: Vec<u8> = [0xd9, 0x01, 0x8f].into_iter().cycle().take(30_000).collect();
    refused(&deep, "nested more than 16 deep");
    let sample = Sample::default();
    let deep = sample.container(&[0x81; 10_000], &[0x81; 10_000]);
    refused(&deep, "the platform token is nested more than 16 deep");
    let deep = sample.container(&sample.sign(&[0xa1; 10_000], &key(1), 18), &[]);
    refused(&deep, "the platform token has a payload that is nested more than 16 deep");
}

#[test]
fn wrong_tags_are_named() {
    for (tags, reason) in [
        ([400, 18, 18], "it has the tag 400; a token has 399"),
        ([907, 18, 18], "the platform token is a byte string, not a record"),
        ([399, 98, 18], "the platform token has the tag 98"),
        ([399, 18, 17], "the Realm's token has the tag 17"),
    ] {
        refused(&Sample { tags, ..Sample::default() }.token(), reason);
    }
}

#[test]
fn the_platform_s_hash_algorithm_is_a_known_one() {
    let odd = Sample { hash: "sha-1\n", ..Sample::default() };
    refused(&odd.token(), r#"the platform token has the unknown hash algorithm "sha-1\n""#);
}

#[test]
fn other_algorithms_and_curves_are_refused() {
    let weak = Sample { algorithm: -7, ..Sample::default() };
    refused(&weak.token(), "signed with algorithm -7, not -35");
    for (public_key, reason) in [
        (cose_key(&key(2), 1), "has curve 1, not 2 (P-384)"),
        (vec![0x04; 97], "the Realm's token has a public key that"),
        (vec![0xa1, 0x01, 0x01], "has key type 1"),
        (vec![0xa2, 0x01, 0x02, 0x01, 0x02], "the map key 1 twice"),
        (
            [&[0xa4, 1, 2, 0x20, 2, 0x21, 0x58, 0x30][..], &[1; 48], &[0x22, 0x58, 0x30], &[1; 48]]
                .concat(),
            "not a point of P-384",
        ),
        (
            [&[0xa4, 1, 2, 0x20, 2, 0x21, 0x58, 0x20][..], &[1; 32], &[0x22, 0x58, 0x20], &[1; 32]]
                .concat(),
            "32 bytes of x coordinate",
        ),
    ] {
        let sample = Sample { public_key: Some(public_key), ..Sample::default() };
        refused(&sample.token(), reason);
    }
}

#[test]
fn keys_that_occur_twice_are_refused() {
    let sample = Sample::default();
    let token = sample.token();
    let mut twice = token.clone();
    // The second part under the key of the first.
    let at = twice.windows(3).position(|at| at == [0x19, 0xac, 0xd1]).unwrap();
    twice[at + 2] = 0xca;
    refused(&twice, "the map key 44234 twice");
    let mut claims = sample.realm_claims();
    claims[0] += 1;
    claims.extend([0x0a, 0x00]);
    let realm = sample.sign(&claims, &key(2), 18);
    let platform = sample.sign(&sample.platform_claims(), &key(1), 18);
    refused(&sample.container(&platform, &realm), "payload that has the map key 10 twice");
}

#[test]
fn each_missing_or_mistyped_claim_is_named() {
    let sample = Sample::default();
    let platform = sample.sign(&sample.platform_claims(), &key(1), 18);
    let realm = sample.sign(&sample.realm_claims(), &key(2), 18);
    for (claims, label, is_realm) in [
        (sample.realm_claims(), [0x19, 0xac, 0xce], true),
        (sample.realm_claims(), [0x19, 0xac, 0xcf], true),
        (sample.realm_claims(), [0x19, 0xac, 0xcd], true),
        (sample.platform_claims(), [0x19, 0x09, 0x5b], false),
        (sample.platform_claims(), [0x19, 0x09, 0x5f], false),
        (sample.platform_claims(), [0x19, 0x01, 0x00], false),
    ] {
        let number = i32::from(label[1]) << 8 | i32::from(label[2]);
        let mut without = claims.clone();
        let at = without.windows(3).position(|at| at == label).unwrap();
        // Another label that nobody uses.
        without[at + 1] = 0x7f;
        let signed = sample.sign(&without, &key(if is_realm { 2 } else { 1 }), 18);
        let token = if is_realm {
            sample.container(&platform, &signed)
        } else {
            sample.container(&signed, &realm)
        };
        refused(&token, &format!("(claim {number})"));
        assert!(Token::decode(&token).is_err());
    }
}

/// A generator whose numbers are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// Changes a few things in `bytes`, some of them of the kind that a decoder stumbles over.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(40)).min(bytes.len());
            let hit = at.min(bytes.len().saturating_sub(1));
            match self.below(9) {
                0 if !bytes.is_empty() => bytes[hit] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[hit] = self.byte(),
                2 => drop(bytes.drain(at..end)),
                3 => bytes.insert(at, self.byte()),
                4 => bytes.truncate(at),
                // The same again, or something of another token.
                5 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                6 => {
                    let from = self.below(other.len());
                    let to = (from + self.below(40)).min(other.len());
                    drop(bytes.splice(at..end, other[from..to].iter().copied()));
                }
                // A header of any type with a length that is huge, or that comes at the end.
                7 => {
                    let header = (self.byte() & 0xe0) | 0x1b;
                    drop(bytes.splice(at..at, [[header].as_slice(), &[0xff; 8]].concat()));
                }
                _ => bytes.insert(at, (self.byte() & 0xe0) | 0x1f),
            }
        }
    }
}

/// What the tool does with a token that somebody gives it, without the signatures.
fn look_at(bytes: &[u8]) -> bool {
    let Ok(token) = Token::decode(bytes) else { return false };
    drop(show(&token));
    drop((token.realm.key(), token.realm.key_hash()));
    true
}

/// Changes tokens at each depth of their nesting: the whole, one of the two parts, the claims in
/// it. The layers around are made anew, so that the decoder gets to what was changed.
/// `CAIRN_FUZZ_ROUNDS` says how often.
#[test]
fn changed_tokens_never_panic() {
    let rounds = std::env::var("CAIRN_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok());
    let older = Sample { older: true, ..Sample::default() };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let samples = [Sample::default(), older].map(|sample| {
        let claims = [sample.platform_claims(), sample.realm_claims()];
        let parts = claims.each_ref().map(|claims| sample.unsigned(claims));
        (sample, claims, parts)
    });
    let mut survived = 0;
    for round in 0..rounds.unwrap_or(20_000) {
        let (sample, claims, parts) = &samples[random.below(2)];
        let (_, _, others) = &samples[random.below(2)];
        let mut parts = parts.clone();
        let which = random.below(2);
        let part = &mut parts[which];
        let depth = random.below(3);
        if depth == 2 {
            let mut claims = claims[which].clone();
            random.change(&mut claims, &others[1 - which]);
            *part = sample.unsigned(&claims);
        } else if depth == 1 {
            random.change(part, &others[1 - which]);
        }
        let mut token = sample.container(&parts[0], &parts[1]);
        if depth == 0 {
            random.change(&mut token, &others[which]);
        }
        if look_at(&token) {
            survived += 1;
            // Whatever it says now, nobody has signed it.
            assert!(round % 64 != 0 || verify(&token, &sample.expected()).is_err());
        }
    }
    assert!(
        survived > 100,
        "only {survived} tokens got past the decoder: the changes are too coarse"
    );
}
