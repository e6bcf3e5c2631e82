//! The Realm's token: what runs in it, signed by the key that the platform vouches for.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A7.2.3.1, and 2.0; RFC 9053, 7.1.1.

use p384::ecdsa::VerifyingKey;
use p384::{EncodedPoint, FieldBytes};
use sha2::Digest;

use super::cbor::{Value, decode};
use super::claims::{CHALLENGE, Claims, PROFILE, hash_bytes};
use super::cose::{Sign1, labels};
use super::refusal::Refusal;

/// Which claims a Realm's token has, and what its RIM is made of. Before the specification there
/// was no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// Version 1.0.
    V1_0,
    /// Version 2.0, which tells instances of a Realm apart.
    V2_0,
}

impl Profile {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::V1_0, Self::V2_0];

    /// Its name in the claim.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "tag:arm.com,2023:realm#1.0.0",
            Self::V2_0 => "tag:arm.com,2024:realm#2.0.0",
        }
    }

    /// The one of Realms that are made through this version of the interface.
    pub(super) const fn of_interface(version: u64) -> Self {
        if version >> 16 >= 2 { Self::V2_0 } else { Self::V1_0 }
    }
}

/// What tells a Realm from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    /// Random bytes, after one that says so.
    pub id: [u8; 33],
    /// Whether a memory encryption context of its own was asked for.
    pub private_encryption: bool,
}

const PERSONALIZATION_VALUE: i128 = 44235;
const HASH_ALGORITHM: i128 = 44236;
const PUBLIC_KEY: i128 = 44237;
const INITIAL_MEASUREMENT: i128 = 44238;
const EXTENSIBLE_MEASUREMENTS: i128 = 44239;
const PUBLIC_KEY_HASH_ALGORITHM: i128 = 44240;
const INSTANCE_ID: i128 = 256;
const ENCRYPTION_POLICY: i128 = 44243;

/// What the monitor says of a Realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Realm {
    /// Which claims there are; `None` for the profile before the specification.
    pub profile: Option<Profile>,
    /// Only in tokens of version 2.0.
    pub instance: Option<Instance>,
    /// The bytes that the Realm asked the token for.
    pub challenge: [u8; 64],
    /// Realm Personalization Value.
    pub personalization_value: [u8; 64],
    /// How the Realm was measured.
    pub algorithm: String,
    /// Realm Initial Measurement.
    pub initial_measurement: Vec<u8>,
    /// Realm Extensible Measurements.
    pub extensible_measurements: Vec<Vec<u8>>,
    /// Realm attestation key, as encoded in the claim.
    pub public_key: Vec<u8>,
    /// How the platform's challenge is computed from it.
    pub key_hash_algorithm: String,
}

impl Instance {
    fn new(claims: &Claims<'_>) -> Result<Self, Refusal> {
        /// The kind of an identifier that is random bytes. Source: RFC 9711 (EAT), "UEID types".
        const RANDOM: u8 = 1;
        let id: [u8; 33] = claims.array(INSTANCE_ID, "instance ID")?;
        if id.first() != Some(&RANDOM) {
            return Err(claims.refuse("has an instance ID that is not random bytes"));
        }
        let policy = claims.number(ENCRYPTION_POLICY, "memory encryption policy", 1)?;
        Ok(Self { id, private_encryption: policy == 1 })
    }
}

impl Realm {
    /// Reads the claims of a Realm's token.
    ///
    /// # Errors
    ///
    /// One is missing or wrong.
    pub(super) fn new(token: &Sign1) -> Result<Self, Refusal> {
        let claims = Claims { owner: "Realm's token", map: &token.claims };
        let profile = match claims.optional_text(PROFILE, "profile")? {
            None => None,
            Some(name) => {
                let known = Profile::ALL.into_iter().find(|profile| profile.name() == name);
                let unknown = || claims.refuse(format!("has the unknown profile {name:?}"));
                Some(known.ok_or_else(unknown)?)
            }
        };
        let instance = match profile {
            Some(Profile::V2_0) => Some(Instance::new(&claims)?),
            Some(Profile::V1_0) | None => None,
        };
        let algorithm = claims.text(HASH_ALGORITHM, "hash algorithm")?;
        let unknown =
            |name: &str| claims.refuse(format!("has the unknown hash algorithm {name:?}"));
        let length = hash_bytes(algorithm).ok_or_else(|| unknown(algorithm))?;
        let items = claims.items(EXTENSIBLE_MEASUREMENTS, "extensible measurements")?;
        let measurements: Option<Vec<Vec<u8>>> = items
            .iter()
            .map(|item| item.bytes().filter(|bytes| bytes.len() == length).map(<[u8]>::to_vec))
            .collect();
        let extensible_measurements = measurements
            .filter(|measurements| measurements.len() == 4)
            .ok_or_else(|| {
            claims
                .refuse(format!("has extensible measurements that are not 4 times {length} bytes"))
        })?;
        Ok(Self {
            profile,
            instance,
            challenge: claims.array(CHALLENGE, "challenge")?,
            personalization_value: claims.array(PERSONALIZATION_VALUE, "personalization value")?,
            algorithm: algorithm.to_owned(),
            initial_measurement: claims
                .bytes(INITIAL_MEASUREMENT, "initial measurement", &[length])?
                .to_vec(),
            extensible_measurements,
            public_key: claims.bytes(PUBLIC_KEY, "public key", &[])?.to_vec(),
            key_hash_algorithm: claims
                .text(PUBLIC_KEY_HASH_ALGORITHM, "public key hash algorithm")?
                .to_owned(),
        })
    }

    /// The hash of the key that the platform's challenge must be.
    ///
    /// # Errors
    ///
    /// The algorithm is unknown.
    pub(super) fn key_hash(&self) -> Result<Vec<u8>, Refusal> {
        let key = &self.public_key;
        match self.key_hash_algorithm.as_str() {
            "sha-256" => Ok(sha2::Sha256::digest(key).to_vec()),
            "sha-384" => Ok(sha2::Sha384::digest(key).to_vec()),
            "sha-512" => Ok(sha2::Sha512::digest(key).to_vec()),
            other => Err(refuse(format!(
                "names the unknown algorithm {other:?} for the hash of its key"
            ))),
        }
    }

    /// The Realm attestation key.
    ///
    /// # Errors
    ///
    /// It is not a public key of P-384 in the encoding of the profile.
    pub(super) fn key(&self) -> Result<VerifyingKey, Refusal> {
        let point = if self.profile.is_some() {
            cose_key(&self.public_key)?
        } else {
            EncodedPoint::from_bytes(&self.public_key)
                .map_err(|_| refuse("has a public key that is not a point".into()))?
        };
        VerifyingKey::from_encoded_point(&point)
            .map_err(|_| refuse("has a public key that is not a point of P-384".into()))
    }
}

fn refuse(text: String) -> Refusal {
    Claims { owner: "Realm's token", map: &Default::default() }.refuse(text)
}

/// The point in a COSE_Key of type EC2 on curve P-384.
fn cose_key(bytes: &[u8]) -> Result<EncodedPoint, Refusal> {
    const KEY_TYPE: i128 = 1;
    const ALGORITHM: i128 = 3;
    const CURVE: i128 = -1;
    const X: i128 = -2;
    const Y: i128 = -3;
    let value = decode(bytes).map_err(|text| refuse(format!("has a public key that {text}")))?;
    let map = labels(value).ok_or_else(|| refuse("has a public key that is no map".into()))?;
    let key = Claims { owner: "Realm's public key", map: &map };
    for (label, title, wanted, name, required) in [
        (KEY_TYPE, "key type", 2, "EC2", true),
        (CURVE, "curve", 2, "P-384", true),
        (ALGORITHM, "algorithm", -35, "ES384", false),
    ] {
        match map.get(&label) {
            None if !required => {}
            Some(Value::Integer(number)) if *number == wanted => {}
            Some(other) => {
                return Err(key.refuse(format!("has {title} {other}, not {wanted} ({name})")));
            }
            None => return Err(key.refuse(format!("has no {title}"))),
        }
    }
    let x: [u8; 48] = key.array(X, "x coordinate")?;
    let y: [u8; 48] = key.array(Y, "y coordinate")?;
    let (x, y) = (FieldBytes::from(x), FieldBytes::from(y));
    Ok(EncodedPoint::from_affine_coordinates(&x, &y, false))
}
