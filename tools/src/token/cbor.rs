//! CBOR as a tree, from bytes that nobody vouches for: every size and depth is bounded, no key
//! occurs twice, nothing follows.
//!
//! The encodings are read by crate `minicbor`; any valid one is accepted, also with lengths that
//! are not the shortest or not given.

use std::collections::BTreeSet;
use std::fmt;

use minicbor::Decoder;
use minicbor::data::Type;

/// Deepest nesting. A token needs 4 levels.
const DEPTH_MAX: usize = 16;

/// Most entries of an array or a map.
const ENTRIES_MAX: usize = 1024;

/// A data item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// An integer.
    Integer(i128),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string.
    Text(String),
    /// An array.
    Array(Vec<Self>),
    /// A map, in the order of the encoding.
    Map(Vec<(Self, Self)>),
    /// A tagged item.
    Tag(u64, Box<Self>),
    /// A simple value, or a floating-point number by its bits: no token has one.
    Other(String),
}

impl Value {
    /// What it is, for a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Bytes(_) => "a byte string",
            Self::Text(_) => "a text string",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Tag(..) => "a tagged item",
            Self::Other(_) => "a simple value",
        }
    }

    /// The bytes of a byte string.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The text of a text string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number of an integer.
    pub(super) fn integer(&self) -> Option<i128> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// The items of an array.
    pub(super) fn items(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The tag and the item of a tagged item; else the item itself.
    pub(super) fn untagged(self) -> (Option<u64>, Self) {
        if let Self::Tag(tag, item) = self { (Some(tag), *item) } else { (None, self) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => f.write_str(&hex(bytes)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array(items) => f.debug_list().entries(items.iter().map(Show)).finish(),
            Self::Map(entries) => {
                f.debug_map().entries(entries.iter().map(|(k, v)| (Show(k), Show(v)))).finish()
            }
            Self::Tag(tag, item) => write!(f, "{tag}({item})"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A value as `Debug` of containers shows it.
struct Show<'v>(&'v Value);

impl fmt::Debug for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes all of `bytes` as one data item.
///
/// # Errors
///
/// What is wrong, as the rest of a sentence that begins with the name of what was decoded.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    let mut decoder = Decoder::new(bytes);
    let value = item(&mut decoder, DEPTH_MAX)?;
    match bytes.len().saturating_sub(decoder.position()) {
        0 => Ok(value),
        left => Err(format!("is followed by {left} bytes that do not belong to it")),
    }
}

/// What a failure of the decoder at byte `at` means.
fn broken(at: usize) -> impl Fn(minicbor::decode::Error) -> String {
    move |error| {
        if error.is_end_of_input() {
            "is truncated".into()
        } else {
            format!("is not valid CBOR at byte {at} ({error})")
        }
    }
}

fn item(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, String> {
    let Some(below) = depth.checked_sub(1) else {
        return Err(format!("is nested more than {DEPTH_MAX} deep"));
    };
    let at = decoder.position();
    let broken = broken(at);
    Ok(match decoder.datatype().map_err(&broken)? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            Value::Integer(decoder.u64().map_err(&broken)?.into())
        }
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            Value::Integer(decoder.int().map_err(&broken)?.into())
        }
        Type::Bytes | Type::BytesIndef => {
            let parts = decoder.bytes_iter().map_err(&broken)?;
            let parts: Result<Vec<&[u8]>, _> = parts.collect();
            Value::Bytes(parts.map_err(&broken)?.concat())
        }
        Type::String | Type::StringIndef => {
            let parts = decoder.str_iter().map_err(&broken)?;
            let parts: Result<Vec<&str>, _> = parts.collect();
            Value::Text(parts.map_err(&broken)?.concat())
        }
        Type::Array | Type::ArrayIndef => {
            let count = decoder.array().map_err(&broken)?;
            let mut items = Vec::new();
            while more(decoder, count, items.len())? {
                items.push(item(decoder, below)?);
            }
            Value::Array(items)
        }
        Type::Map | Type::MapIndef => {
            let count = decoder.map().map_err(&broken)?;
            let (mut entries, mut keys) = (Vec::new(), BTreeSet::new());
            while more(decoder, count, entries.len())? {
                let key = item(decoder, below)?;
                if !keys.insert(key.clone()) {
                    return Err(format!("has the map key {key} twice"));
                }
                entries.push((key, item(decoder, below)?));
            }
            Value::Map(entries)
        }
        Type::Tag => {
            let tag = decoder.tag().map_err(&broken)?;
            Value::Tag(tag.as_u64(), Box::new(item(decoder, below)?))
        }
        kind @ (Type::Bool
        | Type::Null
        | Type::Undefined
        | Type::Simple
        | Type::F16
        | Type::F32
        | Type::F64) => {
            decoder.skip().map_err(&broken)?;
            let bytes = decoder.input().get(at..decoder.position()).unwrap_or_default();
            Value::Other(format!("{kind}({})", hex(bytes)))
        }
        kind @ (Type::Break | Type::Unknown(_)) => {
            return Err(format!("is not valid CBOR at byte {at} (unexpected {kind})"));
        }
    })
}

/// Whether a container of `count` entries, or of as many as come before a break, has another after
/// `seen`.
fn more(decoder: &mut Decoder<'_>, count: Option<u64>, seen: usize) -> Result<bool, String> {
    let broken = broken(decoder.position());
    let more = match count {
        Some(count) => count > seen as u64,
        None => {
            let ends = decoder.datatype().map_err(&broken)? == Type::Break;
            if ends {
                decoder.set_position(decoder.position() + 1);
            }
            !ends
        }
    };
    if more && seen == ENTRIES_MAX {
        return Err(format!("has an array or map of more than {ENTRIES_MAX} entries"));
    }
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        decode(bytes).unwrap_err()
    }

    #[test]
    fn any_valid_encoding_is_read() {
        let plain = decode(&[0xa1, 0x01, 0x82, 0x42, 7, 8, 0x61, b'x']).unwrap();
        // The same with lengths that are not the shortest, and with none.
        let wide = [0xb9, 0, 1, 0x19, 0, 1, 0x98, 2, 0x5a, 0, 0, 0, 2, 7, 8, 0x78, 1, b'x'];
        let open =
            [0xbf, 1, 0x9f, 0x5f, 0x41, 7, 0x41, 8, 0xff, 0x7f, 0x61, b'x', 0xff, 0xff, 0xff];
        assert_eq!(decode(&wide).unwrap(), plain);
        assert_eq!(decode(&open).unwrap(), plain);
        assert_eq!(plain.to_string(), r#"{1: [0708, "x"]}"#);
        assert_eq!(decode(&[0x38, 0x22]).unwrap(), Value::Integer(-35));
        let least = decode(&[0x3b, 255, 255, 255, 255, 255, 255, 255, 255]).unwrap();
        assert_eq!(least, Value::Integer(-(1 << 64)));
        assert_eq!(decode(&[0xf5]).unwrap().kind(), "a simple value");
    }

    #[test]
    fn hostile_bytes_are_refused_with_a_reason() {
        assert_eq!(error(&[]), "is empty");
        assert_eq!(error(&[0x01, 0x02, 0x03]), "is followed by 2 bytes that do not belong to it");
        assert_eq!(error(&[0x43, 1, 2]), "is truncated");
        assert_eq!(error(&[0xa2, 1, 2, 1, 3]), "has the map key 1 twice");
        assert_eq!(error(&[0xa2, 1, 2, 0x18, 1, 3]), "has the map key 1 twice");
        for deep in [0x81_u8, 0xc1, 0x9f] {
            assert_eq!(error(&vec![deep; 10_000]), "is nested more than 16 deep");
        }
        let maps = [0xa1_u8, 1].repeat(10_000);
        assert_eq!(error(&maps), "is nested more than 16 deep");
        // Lengths of 2^64 - 1.
        for huge in [0x5b_u8, 0x7b, 0x9b, 0xbb] {
            assert_eq!(error(&[huge, 255, 255, 255, 255, 255, 255, 255, 255]), "is truncated");
        }
        assert!(error(&[&[0x99, 0xff, 0xff][..], &[1; 0xffff]].concat()).contains("1024 entries"));
        assert!(error(&[0x62, 0xff, 0xff]).contains("not valid CBOR"));
        for reserved in [0xff_u8, 0x1c, 0xfc] {
            assert!(error(&[reserved]).contains("not valid CBOR"), "{reserved:#x}");
        }
    }

    #[test]
    fn no_short_input_panics() {
        for first in 0..=255 {
            for second in 0..=255 {
                let _ = decode(&[first, second, 0x82, 0xff, 0x01]);
            }
        }
    }
}
