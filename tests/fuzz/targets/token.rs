//! Tokens that somebody made to confuse `cargo xtask token show` and `token verify`.
#![no_main]

/// The tool is a program and no library: its parser, by file.
#[path = "../../../tools/src/token"]
#[allow(dead_code, reason = "the parser is not all of the module")]
mod token {
    pub mod cbor;
    pub mod claims;
    pub mod container;
    pub mod cose;
    pub mod key;
    pub mod platform;
    pub mod realm;
    pub mod refusal;
    pub mod show;
    pub mod verify;

    use std::path::Path;

    fn read_limited(file: &Path) -> anyhow::Result<Vec<u8>> {
        Ok(std::fs::read(file)?)
    }
}

use libfuzzer_sys::fuzz_target;

use token::container::Token;
use token::key::PlatformKey;
use token::verify::{Expected, verify};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = Token::decode(bytes) {
        assert!(!token::show::show(&token).is_empty());
    }
    let platform = PlatformKey::sample().expect("the sample key");
    let expected = Expected { platform, challenge: [7; 64], rim: None };
    if let Err(refusal) = verify(bytes, &expected) {
        assert!(!refusal.to_string().is_empty());
    }
});
