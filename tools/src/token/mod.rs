//! `cargo xtask token`: what an attestation token says, whether it is to be believed, and what to expect of one.
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
//! Nothing here shares code with the monitor that makes tokens, so that both cannot be wrong in the same way.

mod cbor;
mod claims;
mod container;
mod cose;
mod key;
mod platform;
mod realm;
mod refusal;
pub mod relying;
pub mod rim;
mod show;
mod verify;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod independent;
#[cfg(test)]
mod sample;

use std::path::PathBuf;

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
pub enum TokenCommand {
    /// Print what a token says, without believing it
    Show(ShowOptions),
    /// Check signatures, challenge and claims of a token
    Verify(VerifyOptions),
    /// Print the initial measurement of the Realm that `run` would start with the same options
    Rim(RimOptions),
}

/// Options of `token show`.
#[derive(Debug, Args)]
pub struct ShowOptions {
    /// The token, as the guest's configfs gives it (`outblob`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Options of `token verify`.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The token, as the guest's configfs gives it (`outblob`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The challenge that the guest was given, 1 to 64 bytes
    #[arg(long, value_name = "HEX", value_parser = parse_challenge)]
    pub challenge: Challenge,
    /// The initial measurement of the guest that should run (see `token rim`)
    #[arg(long, value_name = "HEX", value_parser = parse_rim)]
    pub rim: Option<Hex>,
    /// The platform's public key: PEM, DER, JWK or a SEC 1 point (default: TF-A's sample, which proves nothing)
    #[arg(long, value_name = "FILE")]
    pub platform_key: Option<PathBuf>,
}

/// Options of `token rim`.
#[derive(Debug, Args)]
pub struct RimOptions {
    /// The guest.
    #[command(flatten)]
    pub guest: GuestOptions,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// Bytes given as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

/// A challenge, followed by zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub [u8; 64]);

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
    let bytes = parse_hex(text)?;
    let mut challenge = [0; 64];
    match challenge.get_mut(..bytes.len()) {
        Some(start) if !bytes.is_empty() => start.copy_from_slice(&bytes),
        _ => return Err(format!("{} bytes; a challenge has 1 to 64", bytes.len())),
    }
    Ok(Challenge(challenge))
}

fn parse_rim(text: &str) -> Result<Hex, String> {
    let bytes = parse_hex(text)?;
    match bytes.len() {
        32 | 48 | 64 => Ok(Hex(bytes)),
        other => Err(format!("{other} bytes; a measurement has 32, 48 or 64")),
    }
}

/// The `token` subcommand.
pub fn command(command: &TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Show(options) => {
            let token = Token::decode(&read_limited(&options.file, SIZE_MAX)?)?;
            print!("{}", show::show(&token));
            println!("Nothing of this is verified: see `cargo xtask token verify`.");
            Ok(())
        }
        TokenCommand::Verify(options) => verify_file(options),
        TokenCommand::Rim(options) => {
            println!("{}", hex(&rim::predict(&run::job(options)?)?));
            Ok(())
        }
    }
}

fn verify_file(options: &VerifyOptions) -> anyhow::Result<()> {
    let platform = match &options.platform_key {
        Some(file) => PlatformKey::read(file)?,
        None => PlatformKey::sample()?,
    };
    let expected = Expected {
        platform,
        challenge: options.challenge.0,
        rim: options.rim.as_ref().map(|rim| rim.0.clone()),
    };
    let token = verify::verify(&read_limited(&options.file, SIZE_MAX)?, &expected)?;
    print!("{}", show::show(&token));
    println!(
        "The token is genuine: signed by {}, and made for this challenge.",
        expected.platform.owner
    );
    if expected.platform.is_sample {
        println!(
            "WARNING: everybody can sign with that key. This proves nothing about a real platform; give its key with \
             --platform-key."
        );
    }
    match &expected.rim {
        Some(_) => println!("The Realm started as expected (RIM)."),
        None => println!(
            "What the Realm started from was not checked: give its measurement with --rim."
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_arguments_are_checked() {
        assert_eq!(parse_challenge("0xab01").unwrap().0[..3], [0xab, 1, 0]);
        assert!(parse_challenge("").is_err() && parse_challenge("a").is_err());
        assert!(parse_challenge("zz").is_err() && parse_challenge("ää").is_err());
        assert!(parse_challenge(&"00".repeat(64)).is_ok());
        assert!(parse_challenge(&"00".repeat(65)).is_err());
        assert!(parse_rim(&"00".repeat(32)).is_ok() && parse_rim(&"00".repeat(31)).is_err());
    }
}
