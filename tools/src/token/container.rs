//! The container of both tokens.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A7.2.3, and 2.0; draft-ietf-rats-msg-wrap.

use super::cbor::{Value, decode};
use super::cose::{Sign1, labels};
use super::platform::Platform;
use super::realm::{Profile, Realm};
use super::refusal::{Class, Refusal};

/// Tag of the container.
const CCA_TOKEN: u64 = 399;
/// Tag of the collection of version 2.0, whose parts say what they are.
const CMW_COLLECTION: u64 = 907;
/// A part that is a COSE_Sign1 of an EAT.
const EAT: i128 = 263;
const PLATFORM_TOKEN: i128 = 44234;
const REALM_TOKEN: i128 = 44241;

/// Most bytes of a token: the monitor's are one page at most.
pub(super) const SIZE_MAX: usize = 1 << 16;

/// A token, decoded but not yet believed.
#[derive(Debug)]
pub(super) struct Token {
    /// The platform's part, as signed.
    pub platform_signed: Sign1,
    /// The Realm's part, as signed.
    pub realm_signed: Sign1,
    /// The platform's claims.
    pub platform: Platform,
    /// The Realm's claims.
    pub realm: Realm,
}

impl Token {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// It is not a token, or a claim is missing or wrong.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let fail = |text: String| Refusal::new(Class::Decode, text);
        if bytes.len() > SIZE_MAX {
            return Err(fail(format!("{} bytes are too many for one", bytes.len())));
        }
        let file = decode(bytes).map_err(|text| fail(format!("the file {text}")))?;
        let kind = file.kind();
        let is_collection;
        let item = match file.untagged() {
            (Some(tag @ (CCA_TOKEN | CMW_COLLECTION)), item) => {
                is_collection = tag == CMW_COLLECTION;
                item
            }
            (Some(other), _) => {
                return Err(fail(format!(
                    "it has the tag {other}; a token has {CCA_TOKEN} or {CMW_COLLECTION}"
                )));
            }
            (None, _) => {
                return Err(fail(format!(
                    "it is {kind} without the tag {CCA_TOKEN} or {CMW_COLLECTION}"
                )));
            }
        };
        let mut parts = labels(item).ok_or_else(|| fail("what is tagged is not a map".into()))?;
        let mut part = |label, name: &str| match parts.remove(&label) {
            Some(Value::Bytes(bytes)) if !is_collection => Ok(bytes),
            Some(Value::Array(record)) if is_collection => match record.as_slice() {
                [Value::Integer(EAT), Value::Bytes(bytes)] => Ok(bytes.clone()),
                _ => Err(fail(format!("the {name} is not a record of type {EAT}"))),
            },
            Some(other) => {
                let wanted = if is_collection { "a record" } else { "a byte string" };
                Err(fail(format!("the {name} is {}, not {wanted}", other.kind())))
            }
            None => Err(fail(format!("there is no {name} (key {label})"))),
        };
        let platform_signed =
            Sign1::decode("platform token", &part(PLATFORM_TOKEN, "platform token")?)?;
        let realm_signed = Sign1::decode("Realm's token", &part(REALM_TOKEN, "Realm's token")?)?;
        let platform = Platform::new(&platform_signed)?;
        let realm = Realm::new(&realm_signed)?;
        let older = platform.profile != super::platform::PROFILES[0];
        if older == realm.profile.is_some() {
            return Err(fail(format!(
                "the platform's profile {:?} does not go with the Realm's {:?}",
                platform.profile,
                realm.profile.map_or("(none)", Profile::name)
            )));
        }
        if is_collection != (realm.profile == Some(Profile::V2_0)) {
            return Err(fail(format!(
                "the container does not go with the Realm's profile {:?}",
                realm.profile.map_or("(none)", Profile::name)
            )));
        }
        Ok(Self { platform_signed, realm_signed, platform, realm })
    }
}
