//! The relying party of an unattended run: it has a fresh challenge, knows what should run, and judges the token.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::fault::IoContext;
use crate::paths::write_whole;

use super::cbor::hex;
use super::key::PlatformKey;
use super::parse_hex;
use super::verify::{Expected, verify};

/// Who wants to know what runs in the Realm.
pub struct RelyingParty {
    expected: Expected,
    /// Where the token is put.
    file: PathBuf,
}

impl RelyingParty {
    /// One that trusts the key of TF-A's sample, which is the platform's on QEMU, and expects a Realm with this initial
    /// measurement. It puts the token into `file`.
    pub fn new(rim: Vec<u8>, file: PathBuf) -> anyhow::Result<Self> {
        let source = Path::new("/dev/urandom");
        let mut challenge = [0; 64];
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut challenge))
            .at("read", source)?;
        // What an earlier run has left is not taken for the token of this one.
        drop(std::fs::remove_file(&file));
        let expected = Expected { platform: PlatformKey::sample()?, challenge, rim: Some(rim) };
        Ok(Self { expected, file })
    }

    /// The challenge, as hexadecimal digits.
    pub fn challenge(&self) -> String {
        hex(&self.expected.challenge)
    }

    /// Puts the token, given as hexadecimal digits, into its file, and verifies it.
    ///
    /// # Errors
    ///
    /// The token is not what it should be.
    pub fn judge(&self, digits: &str) -> anyhow::Result<()> {
        let token = parse_hex(digits)
            .map_err(|why| anyhow::anyhow!("the guest's token cannot be read: {why}"))?;
        write_whole(&self.file, &token)?;
        verify(&token, &self.expected)?;
        Ok(())
    }

    /// Where the token is and how to verify it again, as rows of a table.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("token", self.file.display().to_string()),
            ("  --challenge", self.challenge()),
            ("  --rim", self.expected.rim.as_deref().map_or_else(String::new, hex)),
            ("  --sample-key", "the platform's key, which everybody has".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::sample::Sample;

    #[test]
    fn a_token_is_kept_whether_it_is_good_or_not() {
        let name = format!("cairn-relying-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let sample = Sample::default();
        let mut party = RelyingParty::new(vec![0x11; 32], file.clone()).unwrap();
        let other = RelyingParty::new(vec![0x11; 32], file.clone()).unwrap();
        assert_ne!(party.challenge(), other.challenge());
        party.expected = Expected { rim: party.expected.rim, ..sample.expected() };
        party.judge(&hex(&sample.token())).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), sample.token());
        let error = other.judge(&hex(&sample.token())).unwrap_err().to_string();
        assert!(error.contains("not to be believed"), "{error}");
        assert!(file.exists() && other.judge("d28").is_err());
        std::fs::remove_file(file).unwrap();
    }
}
