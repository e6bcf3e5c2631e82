//! The platform's token: who vouches for the Realm's key.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A7.2.3.2; draft-ffm-rats-cca-token.

use super::cbor::{Value, hex};
use super::claims::{CHALLENGE, Claims, PROFILE, hash_bytes};
use super::cose::{Sign1, labels};
use super::refusal::Refusal;

/// The profile of the specification, and the one before it.
pub(super) const PROFILES: [&str; 2] =
    ["tag:arm.com,2023:cca_platform#1.0.0", "http://arm.com/CCA-SSD/1.0.0"];

const INSTANCE_ID: i128 = 256;
const LIFECYCLE: i128 = 2395;
const IMPLEMENTATION_ID: i128 = 2396;
const SOFTWARE_COMPONENTS: i128 = 2399;
const VERIFICATION_SERVICE: i128 = 2400;
const CONFIGURATION: i128 = 2401;
const HASH_ALGORITHM: i128 = 2402;

/// Bytes of a measurement or a signer's identity.
const HASHES: [usize; 3] = [32, 48, 64];

/// A piece of software below the monitor, or the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// What it is.
    pub kind: Option<String>,
    /// Its hash.
    pub measurement: Vec<u8>,
    /// Its version.
    pub version: Option<String>,
    /// Hash of the key that signed it.
    pub signer: Vec<u8>,
    /// How it was hashed, if other than the rest.
    pub algorithm: Option<String>,
}

/// What the platform says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Platform {
    /// Which claims there are.
    pub profile: String,
    /// Hash of the Realm's key.
    pub challenge: Vec<u8>,
    /// Which hardware this is.
    pub implementation_id: [u8; 32],
    /// Which piece of it.
    pub instance_id: [u8; 33],
    /// Settings of the platform.
    pub configuration: Vec<u8>,
    /// How far it may be trusted.
    pub lifecycle: u16,
    /// The firmware.
    pub components: Vec<Component>,
    /// Who can verify this.
    pub service: Option<String>,
    /// How the components were hashed.
    pub algorithm: String,
}

impl Platform {
    /// Reads the claims of a platform token.
    ///
    /// # Errors
    ///
    /// One is missing or wrong.
    pub(super) fn new(token: &Sign1) -> Result<Self, Refusal> {
        let claims = Claims { owner: "platform token", map: &token.claims };
        let profile = claims.text(PROFILE, "profile")?.to_owned();
        if !PROFILES.contains(&profile.as_str()) {
            return Err(claims.refuse(format!("has the unknown profile {profile:?}")));
        }
        let instance_id: [u8; 33] = claims.array(INSTANCE_ID, "instance ID")?;
        if instance_id.first() != Some(&1) {
            return Err(claims.refuse("has an instance ID that does not begin with 01"));
        }
        let algorithm = claims.text(HASH_ALGORITHM, "hash algorithm")?.to_owned();
        known_hash(&claims, &algorithm)?;
        let lifecycle = claims.number(LIFECYCLE, "lifecycle", u16::MAX.into())?;
        let items = claims.items(SOFTWARE_COMPONENTS, "software components")?;
        if items.is_empty() {
            return Err(claims.refuse("lists no software component"));
        }
        Ok(Self {
            profile,
            challenge: claims.bytes(CHALLENGE, "challenge", &HASHES)?.to_vec(),
            implementation_id: claims.array(IMPLEMENTATION_ID, "implementation ID")?,
            instance_id,
            configuration: claims.bytes(CONFIGURATION, "configuration", &[])?.to_vec(),
            lifecycle: u16::try_from(lifecycle).unwrap_or(u16::MAX),
            components: items.iter().map(Component::new).collect::<Result<_, _>>()?,
            service: claims
                .optional_text(VERIFICATION_SERVICE, "verification service")?
                .map(Into::into),
            algorithm,
        })
    }

    /// The lifecycle in words.
    pub(super) fn lifecycle_name(&self) -> &'static str {
        match self.lifecycle >> 8 {
            0x00 => "unknown",
            0x10 => "assembly and test",
            0x20 => "root-of-trust provisioning",
            0x30 => "secured",
            0x40 => "debug of other parts than CCA",
            0x50 => "recoverable debug of CCA",
            0x60 => "decommissioned",
            _ => "not defined",
        }
    }

    /// Whether nobody can look into the platform.
    pub(super) fn is_secured(&self) -> bool {
        self.lifecycle >> 8 == 0x30
    }
}

fn known_hash(claims: &Claims<'_>, name: &str) -> Result<(), Refusal> {
    let unknown = || claims.refuse(format!("has the unknown hash algorithm {name:?}"));
    hash_bytes(name).map(drop).ok_or_else(unknown)
}

impl Component {
    fn new(item: &Value) -> Result<Self, Refusal> {
        let map = labels(item.clone()).unwrap_or_default();
        let claims = Claims { owner: "platform token's software component", map: &map };
        let text = |label, title| claims.optional_text(label, title).map(|t| t.map(Into::into));
        let algorithm: Option<String> = text(6, "hash algorithm")?;
        if let Some(name) = &algorithm {
            known_hash(&claims, name)?;
        }
        Ok(Self {
            kind: text(1, "type")?,
            measurement: claims.bytes(2, "measurement", &HASHES)?.to_vec(),
            version: text(4, "version")?,
            signer: claims.bytes(5, "signer", &HASHES)?.to_vec(),
            algorithm,
        })
    }

    /// The component on one line.
    pub(super) fn line(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("(no type)");
        let version = self.version.as_deref().unwrap_or("(no version)");
        format!("{kind} {version}, {}", hex(&self.measurement))
    }
}
