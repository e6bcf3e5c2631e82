//! The relying party of an unattended run: it has a fresh challenge, knows what should run, and
//! judges the token.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::fault::IoContext;
use crate::paths::write_whole;

use super::cbor::hex;
use super::key::PlatformKey;
use super::parse_hex;
use super::realm::Profile;
use super::verify::{Expected, verify};

/// A Realm that should run.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The version of the interface through which it is made.
    pub rmi: u64,
    /// Its initial measurement.
    pub rim: Vec<u8>,
}

/// Who wants to know what runs in the Realms.
pub(crate) struct RelyingParty {
    platform: PlatformKey,
    challenge: [u8; 64],
    /// One for each version of the interface.
    wanted: Vec<Wanted>,
    /// Where the token is put.
    file: PathBuf,
}

impl RelyingParty {
    /// One that trusts the platform with this key and expects these Realms. It puts the token into
    /// `file`.
    pub(crate) fn new(
        platform: PlatformKey,
        wanted: Vec<Wanted>,
        file: PathBuf,
    ) -> anyhow::Result<Self> {
        let source = Path::new("/dev/urandom");
        let mut challenge = [0; 64];
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut challenge))
            .at("read", source)?;
        // What an earlier run has left is not taken for the token of this one.
        drop(std::fs::remove_file(&file));
        Ok(Self { platform, challenge, wanted, file })
    }

    /// The challenge, as hexadecimal digits.
    pub(crate) fn challenge(&self) -> String {
        hex(&self.challenge)
    }

    /// Puts the token, given as hexadecimal digits, into its file, and verifies it as that of the
    /// Realm with this number among those that are wanted.
    ///
    /// # Errors
    ///
    /// The token is not what it should be.
    pub(crate) fn judge(&self, number: usize, digits: &str) -> anyhow::Result<()> {
        let token = parse_hex(digits)
            .map_err(|why| anyhow::anyhow!("the guest's token cannot be read: {why}"))?;
        write_whole(&self.file, &token)?;
        let wanted = self.wanted.get(number).context("there is a token of a Realm too many")?;
        let expected = Expected {
            platform: self.platform.clone(),
            challenge: self.challenge,
            rim: Some(wanted.rim.clone()),
        };
        let token = verify(&token, &expected)?;
        // What a RIM is made of depends on it.
        let profile = Profile::of_interface(wanted.rmi);
        if token.realm.profile != Some(profile) {
            bail!("the guest's token has the profile {:?}, not {profile:?}", token.realm.profile);
        }
        Ok(())
    }

    /// Where the token is and how to verify it again, as rows of a table.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let rims = self.wanted.iter().map(|wanted| ("  --rim", hex(&wanted.rim)));
        let mut rows =
            vec![("token", self.file.display().to_string()), ("  --challenge", self.challenge())];
        rows.extend(rims);
        rows.push(("  signed by", self.platform.owner.clone()));
        rows
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
        let wanted = || vec![Wanted { rmi: 0x1_0000, rim: vec![0x11; 32] }];
        let new =
            || RelyingParty::new(PlatformKey::sample().unwrap(), wanted(), file.clone()).unwrap();
        let (mut party, other) = (new(), new());
        assert_ne!(party.challenge(), other.challenge());
        let Expected { platform, challenge, .. } = sample.expected();
        (party.platform, party.challenge) = (platform, challenge);
        party.judge(0, &hex(&sample.token())).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), sample.token());
        let newer = hex(&Sample { newer: true, ..Sample::default() }.token());
        assert!(party.judge(0, &newer).unwrap_err().to_string().contains("has the profile"));
        let error = other.judge(0, &hex(&sample.token())).unwrap_err().to_string();
        assert!(error.contains("not to be believed"), "{error}");
        assert!(file.exists() && other.judge(0, "d28").is_err());
        std::fs::remove_file(file).unwrap();
    }
}
