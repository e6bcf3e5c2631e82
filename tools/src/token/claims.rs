//! Claims by label: present, of the right type, of the right length, or a sentence that says what
//! is not.

use std::collections::BTreeMap;

use super::cbor::Value;
use super::refusal::{Class, Refusal};

/// Labels that both tokens use.
pub(super) const CHALLENGE: i128 = 10;
/// The profile that says which claims there are.
pub(super) const PROFILE: i128 = 265;

/// The claims of one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims<'c> {
    /// Whose they are, for sentences.
    pub owner: &'static str,
    /// By label.
    pub map: &'c BTreeMap<i128, Value>,
}

impl<'c> Claims<'c> {
    /// A refusal that begins with the owner.
    pub(super) fn refuse(&self, text: impl AsRef<str>) -> Refusal {
        Refusal::new(Class::Decode, format!("the {} {}", self.owner, text.as_ref()))
    }

    fn get(&self, label: i128, title: &str) -> Result<&'c Value, Refusal> {
        let missing = || self.refuse(format!("has no {title} (claim {label})"));
        self.map.get(&label).ok_or_else(missing)
    }

    fn wrong(&self, label: i128, title: &str, found: &Value, wanted: &str) -> Refusal {
        self.refuse(format!("has {} as {title} (claim {label}), not {wanted}", found.kind()))
    }

    /// A byte string of one of these lengths; of any length if there are none.
    pub(super) fn bytes(
        &self,
        label: i128,
        title: &str,
        lengths: &[usize],
    ) -> Result<&'c [u8], Refusal> {
        let value = self.get(label, title)?;
        let wrong = || self.wrong(label, title, value, "a byte string");
        let bytes = value.bytes().ok_or_else(wrong)?;
        if lengths.is_empty() || lengths.contains(&bytes.len()) {
            return Ok(bytes);
        }
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        Err(self.refuse(format!(
            "has {} bytes of {title} (claim {label}), not {}",
            bytes.len(),
            lengths.join(" or ")
        )))
    }

    /// A byte string of exactly `N` bytes.
    pub(super) fn array<const N: usize>(
        &self,
        label: i128,
        title: &str,
    ) -> Result<[u8; N], Refusal> {
        let bytes = self.bytes(label, title, &[N])?;
        bytes.try_into().map_err(|_| self.refuse(format!("has a wrong {title}")))
    }

    /// A text string.
    pub(super) fn text(&self, label: i128, title: &str) -> Result<&'c str, Refusal> {
        let value = self.get(label, title)?;
        value.text().ok_or_else(|| self.wrong(label, title, value, "a text string"))
    }

    /// A text string that may be missing.
    pub(super) fn optional_text(
        &self,
        label: i128,
        title: &str,
    ) -> Result<Option<&'c str>, Refusal> {
        if self.map.contains_key(&label) { self.text(label, title).map(Some) } else { Ok(None) }
    }

    /// An integer from 0 to `most`.
    pub(super) fn number(&self, label: i128, title: &str, most: u64) -> Result<u64, Refusal> {
        let value = self.get(label, title)?;
        let wrong = || self.wrong(label, title, value, "an integer");
        let number = value.integer().ok_or_else(wrong)?;
        let small = u64::try_from(number).ok().filter(|number| *number <= most);
        small.ok_or_else(|| self.refuse(format!("has the impossible {title} {number}")))
    }

    /// An array.
    pub(super) fn items(&self, label: i128, title: &str) -> Result<&'c [Value], Refusal> {
        let value = self.get(label, title)?;
        value.items().ok_or_else(|| self.wrong(label, title, value, "an array"))
    }
}

/// Bytes of a hash of this name.
pub(super) fn hash_bytes(name: &str) -> Option<usize> {
    match name {
        "sha-256" => Some(32),
        "sha-384" => Some(48),
        "sha-512" => Some(64),
        _ => None,
    }
}
