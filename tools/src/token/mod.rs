//! `cargo xtask token`: what an attestation token says, whether it is to be believed, and what to
//! expect of one.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`cbor`], [`cose`] | bytes that nobody vouches for, decoded |
//! | [`container`], [`platform`], [`realm`], [`claims`] | what a token says |
//! | [`verify`], [`refusal`], [`key`] | whether it is to be believed |
//! | [`show`] | a token for people |
//! | [`relying`] | who wants to know what runs in the Realm of `run --check` |
//! | [`rim`] | what the Realm of `run` will measure |
//!
//! Nothing here shares code with the monitor that makes tokens, so that both cannot be wrong in the
//! same way.

mod cbor;
mod claims;
mod container;
mod cose;
pub(crate) mod key;
mod platform;
mod realm;
mod refusal;
pub(crate) mod relying;
pub(crate) mod rim;
mod show;
pub(crate) mod stand_in;
mod verify;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod independent;
#[cfg(test)]
mod sample;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::cli::GuestOptions;
use crate::paths::read_limited;
use crate::run;

use cbor::hex;
use container::{SIZE_MAX, Token};
use key::PlatformKey;
use verify::Expected;

/// The subcommands of `token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Print what a token says, without believing it
    Show(ShowOptions),
    /// Check signatures, challenge and claims of a token
    Verify(VerifyOptions),
    /// Print the initial measurement of the Realm that `run` would start with the same options
    Rim(RimOptions),
}

/// Options of `token show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The token, as the guest's configfs gives it (`outblob`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Options of `token verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The token, as the guest's configfs gives it (`outblob`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The challenge that the guest was given: 64 bytes, or 32 to 63, which Linux fills up with
    /// zeros
    #[arg(long, value_name = "HEX", value_parser = parse_challenge)]
    pub challenge: Challenge,
    /// The initial measurement of the guest that should run (see `token rim`)
    #[arg(long, value_name = "HEX", value_parser = parse_rim, conflicts_with = "any_rim")]
    pub rim: Option<Hex>,
    /// Instead of --rim: believe the token whatever the Realm started from
    #[arg(long)]
    pub any_rim: bool,
    /// The platform's public key: PEM, DER, JWK or a SEC 1 point
    #[arg(long, value_name = "FILE", conflicts_with = "sample_key")]
    pub platform_key: Option<PathBuf>,
    /// Instead of --platform-key: TF-A's sample, with which everybody can sign (QEMU, FVP), so that
    /// it proves nothing
    #[arg(long)]
    pub sample_key: bool,
}

/// Options of `token rim`.
#[derive(Debug, Args)]
pub(crate) struct RimOptions {
    /// The guest.
    #[command(flatten)]
    pub guest: GuestOptions,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// Bytes given as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub Vec<u8>);

/// A challenge as it stands in the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// What the relying party gave, followed by zeros.
    pub bytes: [u8; CHALLENGE_SIZE],
    /// How many bytes the relying party gave.
    pub given: usize,
}

/// Bytes of a challenge in a token.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_ATTESTATION_TOKEN_INIT`.
const CHALLENGE_SIZE: usize = 64;

/// What a guest takes fewer of, Linux refuses; up to 64 it adds zeros.
///
/// Source: Linux, `drivers/virt/coco/arm-cca-guest/arm-cca-guest.c`, `arm_cca_report_new`.
const CHALLENGE_LEAST: usize = 32;

fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err("not an even number of hexadecimal digits".into());
    }
    let byte = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| "not hexadecimal digits only".into())
}

fn parse_challenge(text: &str) -> Result<Challenge, String> {
    let given = parse_hex(text)?;
    let mut bytes = [0; CHALLENGE_SIZE];
    match bytes.get_mut(..given.len()) {
        Some(start) if given.len() >= CHALLENGE_LEAST => start.copy_from_slice(&given),
        Some(_) | None => {
            return Err(format!(
                "{} bytes; a challenge has {CHALLENGE_SIZE}, or at least {CHALLENGE_LEAST}, which the guest fills up \
                 with zeros",
                given.len()
            ));
        }
    }
    Ok(Challenge { bytes, given: given.len() })
}

fn parse_rim(text: &str) -> Result<Hex, String> {
    let bytes = parse_hex(text)?;
    match bytes.len() {
        32 | 48 | 64 => Ok(Hex(bytes)),
        other => Err(format!("{other} bytes; a measurement has 32, 48 or 64")),
    }
}

/// The `token` subcommand.
pub(crate) fn command(command: &TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Show(options) => {
            let token = Token::decode(&read_limited(&options.file, SIZE_MAX)?)?;
            print!("{}", show::show(&token));
            println!("Nothing of this is verified: see `cargo xtask token verify`.");
            Ok(())
        }
        TokenCommand::Verify(options) => verify_file(options),
        TokenCommand::Rim(options) => {
            for measurement in rim::predict(&run::job(options)?)? {
                println!("{}", hex(&measurement));
            }
            Ok(())
        }
    }
}

fn verify_file(options: &VerifyOptions) -> anyhow::Result<()> {
    let expected = expected(options)?;
    let token = verify::verify(&read_limited(&options.file, SIZE_MAX)?, &expected)?;
    print!("{}", show::show(&token));
    println!("{}", belief(options, &expected));
    Ok(())
}

/// What a token must be to be believed. What it is not held against must be said: a check that is
/// left out by mistake would look like one that has passed.
fn expected(options: &VerifyOptions) -> anyhow::Result<Expected> {
    let platform = match (&options.platform_key, options.sample_key) {
        (Some(file), _) => PlatformKey::read(file)?,
        (None, true) => PlatformKey::sample()?,
        (None, false) => bail!(
            "without the platform's key nothing is proved: give it with --platform-key FILE, or say --sample-key for \
             TF-A's public sample, with which QEMU and everybody can sign"
        ),
    };
    if platform.is_sample && !options.sample_key {
        bail!(
            "that is TF-A's public sample key, with which everybody can sign: give the key of a real platform, or say \
             --sample-key instead of --platform-key"
        );
    }
    if options.rim.is_none() && !options.any_rim {
        bail!(
            "without the measurement of what should run, any Realm would do: give it with --rim HEX (`cargo xtask token \
             rim` computes it), or say --any-rim"
        );
    }
    Ok(Expected {
        platform,
        challenge: options.challenge.bytes,
        rim: options.rim.as_ref().map(|rim| rim.0.clone()),
    })
}

/// What can be believed of a token that is as expected, and what not.
fn belief(options: &VerifyOptions, expected: &Expected) -> String {
    let mut text = format!(
        "The token is {}: signed by {}, and made for this challenge.",
        if expected.platform.is_sample { "consistent" } else { "genuine" },
        expected.platform.owner
    );
    let given = options.challenge.given;
    if given < CHALLENGE_SIZE {
        text.push_str(&format!(
            "\nThe challenge has {given} bytes; {} zeros follow them in the token, as Linux puts them there.",
            CHALLENGE_SIZE - given
        ));
    }
    text.push_str(match expected.rim {
        Some(_) => "\nThe Realm started as expected (RIM).",
        None => "\nWARNING: what the Realm started from was not checked (--any-rim).",
    });
    if expected.platform.is_sample {
        text.push_str(
            "\nWARNING: everybody can sign with the sample key. This proves nothing about a real platform.",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_arguments_are_checked() {
        let challenge = parse_challenge(&format!("0xab01{}", "ff".repeat(30))).unwrap();
        assert_eq!(challenge.bytes[..3], [0xab, 1, 0xff]);
        assert_eq!((&challenge.bytes[31..34], challenge.given), (&[0xff, 0, 0][..], 32));
        for bad in ["", "a", "zz", "ää"] {
            assert!(parse_challenge(bad).is_err(), "{bad}");
        }
        for (bytes, is_right) in [(1, false), (31, false), (32, true), (64, true), (65, false)] {
            assert_eq!(parse_challenge(&"00".repeat(bytes)).is_ok(), is_right, "{bytes}");
        }
        assert!(parse_rim(&"00".repeat(32)).is_ok() && parse_rim(&"00".repeat(31)).is_err());
    }

    fn options(challenge: usize) -> VerifyOptions {
        VerifyOptions {
            file: PathBuf::new(),
            challenge: Challenge { bytes: [7; CHALLENGE_SIZE], given: challenge },
            rim: Some(Hex(vec![1; 32])),
            any_rim: false,
            platform_key: None,
            sample_key: true,
        }
    }

    #[test]
    fn what_is_not_checked_has_to_be_said() {
        let refusal = |options: &VerifyOptions| expected(options).unwrap_err().to_string();
        assert!(expected(&options(64)).unwrap().platform.is_sample);

        let no_key = VerifyOptions { sample_key: false, ..options(64) };
        assert!(refusal(&no_key).contains("say --sample-key"), "{}", refusal(&no_key));
        let no_rim = VerifyOptions { rim: None, ..options(64) };
        assert!(refusal(&no_rim).contains("say --any-rim"), "{}", refusal(&no_rim));
        let any_rim = VerifyOptions { any_rim: true, ..no_rim };
        assert_eq!(expected(&any_rim).unwrap().rim, None);
    }

    #[test]
    fn the_sample_key_in_a_file_is_still_the_sample_key() {
        let name = format!("cairn-sample-key-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let point = PlatformKey::sample().unwrap().key.to_encoded_point(false);
        std::fs::write(&file, point.as_bytes()).unwrap();
        let named =
            VerifyOptions { sample_key: false, platform_key: Some(file.clone()), ..options(64) };
        let error = expected(&named).unwrap_err().to_string();
        assert!(error.contains("TF-A's public sample key"), "{error}");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn the_verdict_says_what_was_not_checked() {
        let belief = |options: &VerifyOptions| belief(options, &expected(options).unwrap());
        let text = belief(&options(64));
        assert!(text.contains("consistent") && !text.contains("genuine"), "{text}");
        assert!(text.contains("proves nothing") && !text.contains("zeros follow"), "{text}");
        let text = belief(&VerifyOptions { rim: None, any_rim: true, ..options(32) });
        assert!(text.contains("32 bytes; 32 zeros follow"), "{text}");
        assert!(text.contains("was not checked") && !text.contains("as expected (RIM)"), "{text}");
    }

    #[test]
    fn a_check_is_wanted_or_not_but_not_both() {
        use clap::{CommandFactory, Parser};
        #[derive(Debug, Parser)]
        struct Verify {
            #[command(flatten)]
            _options: VerifyOptions,
        }
        Verify::command().debug_assert();
        let (challenge, rim) = ("11".repeat(64), "22".repeat(32));
        let parse = |more: &[&str]| {
            let first = ["verify", "FILE", "--challenge", &challenge];
            Verify::try_parse_from(first.iter().chain(more)).is_ok()
        };
        assert!(parse(&["--rim", &rim, "--sample-key"]) && parse(&["--any-rim"]));
        assert!(!parse(&["--rim", &rim, "--any-rim"]));
        assert!(!parse(&["--platform-key", "FILE", "--sample-key"]));
    }
}
