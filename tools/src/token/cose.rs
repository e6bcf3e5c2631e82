//! COSE_Sign1: what was signed, by which algorithm, and whether the signature is good.
//!
//! Source: RFC 9052, 3, 4.2 and 4.4; RFC 9053, 2.1.

use std::collections::BTreeMap;

use minicbor::Encoder;
use p384::ecdsa::signature::Verifier;
use p384::ecdsa::{Signature, VerifyingKey};

use super::cbor::{Value, decode};
use super::refusal::{Class, Refusal};

/// Tag of a COSE_Sign1.
const COSE_SIGN1: u64 = 18;
/// ES384.
const ES384: i128 = -35;
/// Labels of header parameters.
const ALGORITHM: i128 = 1;
const CRITICAL: i128 = 2;

/// A signed message, decoded but not yet believed.
#[derive(Debug)]
pub(super) struct Sign1 {
    /// Which of the two tokens it is, for sentences.
    name: &'static str,
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// The claims, by label; those with other keys than integers are left out.
    pub claims: BTreeMap<i128, Value>,
}

/// The entries of a map whose keys are integers; `None` if it is no map.
pub(super) fn labels(value: Value) -> Option<BTreeMap<i128, Value>> {
    let Value::Map(entries) = value else { return None };
    let labelled = entries.into_iter().filter_map(|(key, value)| Some((key.integer()?, value)));
    Some(labelled.collect())
}

impl Sign1 {
    /// Takes a COSE_Sign1 apart.
    ///
    /// # Errors
    ///
    /// It is not one, or not one that ES384 can have signed.
    pub(super) fn decode(name: &'static str, bytes: &[u8]) -> Result<Self, Refusal> {
        let fail = |text: String| Refusal::new(Class::Decode, format!("the {name} {text}"));
        let whole = decode(bytes).map_err(fail)?;
        let kind = whole.kind();
        let item = match whole.untagged() {
            (Some(COSE_SIGN1), item) => item,
            (Some(other), _) => {
                return Err(fail(format!("has the tag {other}; a COSE_Sign1 has {COSE_SIGN1}")));
            }
            (None, _) => return Err(fail(format!("is {kind}, not a COSE_Sign1"))),
        };
        let Value::Array(parts) = item else {
            return Err(fail(format!("is {}, not the array of a COSE_Sign1", item.kind())));
        };
        let count = parts.len();
        let Ok(
            [Value::Bytes(protected), unprotected, Value::Bytes(payload), Value::Bytes(signature)],
        ) = <[Value; 4]>::try_from(parts)
        else {
            return Err(fail(format!(
                "is an array of {count} items, which are not header, header, payload and signature"
            )));
        };
        let header = decode(&protected)
            .map_err(|text| fail(format!("has a protected header that {text}")))?;
        let header = labels(header)
            .ok_or_else(|| fail("has a protected header that is not a map".into()))?;
        if labels(unprotected).is_none() {
            return Err(fail("has an unprotected header that is not a map".into()));
        }
        if header.contains_key(&CRITICAL) {
            return Err(fail("has critical header parameters, which nobody here knows".into()));
        }
        match header.get(&ALGORITHM) {
            Some(Value::Integer(ES384)) => {}
            Some(other) => {
                return Err(fail(format!("is signed with algorithm {other}, not {ES384} (ES384)")));
            }
            None => return Err(fail("does not say with which algorithm it is signed".into())),
        }
        let claims = decode(&payload).map_err(|text| fail(format!("has a payload that {text}")))?;
        let claims = labels(claims).ok_or_else(|| fail("has no map of claims".into()))?;
        Ok(Self { name, protected, payload, signature, claims })
    }

    /// Whether `key` has signed this.
    ///
    /// # Errors
    ///
    /// It has not; of this class.
    pub(super) fn verify(
        &self,
        key: &VerifyingKey,
        whose: &str,
        class: Class,
    ) -> Result<(), Refusal> {
        let name = self.name;
        let signature = Signature::from_slice(&self.signature).map_err(|_| {
            let length = self.signature.len();
            Refusal::new(
                class,
                format!("the {name}'s signature ({length} bytes) is not one of P-384"),
            )
        })?;
        key.verify(&self.to_be_signed(), &signature).map_err(|_| {
            Refusal::new(
                class,
                format!("the {name}'s signature is not by {whose}, or it was changed"),
            )
        })
    }

    /// The Sig_structure.
    fn to_be_signed(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        let written = encoder
            .array(4)
            .and_then(|e| e.str("Signature1"))
            .and_then(|e| e.bytes(&self.protected))
            .and_then(|e| e.bytes(&[]))
            .and_then(|e| e.bytes(&self.payload))
            .map(drop);
        debug_assert!(written.is_ok(), "a vector takes everything");
        encoder.into_writer()
    }
}
