//! Tokens for tests, made by the rules of the specification with keys of the tests' own.

use minicbor::Encoder;
use minicbor::data::Tag;
use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::Digest;

use super::key::PlatformKey;
use super::verify::Expected;

/// A key of the tests' own.
pub(super) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 48]).unwrap()
}

/// What to put into a token.
#[derive(Clone)]
pub(super) struct Sample {
    /// Signs the platform token.
    pub platform_signer: SigningKey,
    /// Signs the Realm's token.
    pub realm_signer: SigningKey,
    /// The platform's lifecycle.
    pub lifecycle: u16,
    /// The platform's challenge, if not the hash of the Realm's key.
    pub vouched: Option<Vec<u8>>,
    /// The key in the Realm's token, if not a proper COSE_Key of number 2.
    pub public_key: Option<Vec<u8>>,
    /// The profile before the specification.
    pub older: bool,
    /// The profile of version 2.0.
    pub newer: bool,
    /// Tags of the container and of its parts.
    pub tags: [u64; 3],
    /// COSE's number of the algorithm.
    pub algorithm: i64,
    /// How the platform's components were hashed.
    pub hash: &'static str,
    /// What the platform's only component is.
    pub component: &'static str,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            platform_signer: key(1),
            realm_signer: key(2),
            lifecycle: 0x3003,
            vouched: None,
            public_key: None,
            older: false,
            newer: false,
            tags: [399, 18, 18],
            algorithm: -35,
            hash: "sha-256",
            component: "RMM",
        }
    }
}

type Writer = Encoder<Vec<u8>>;

fn encode(
    write: impl FnOnce(&mut Writer) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).unwrap();
    encoder.into_writer()
}

/// A COSE_Key of a public key, on a curve with this number.
pub(super) fn cose_key(key: &SigningKey, curve: i64) -> Vec<u8> {
    let point = VerifyingKey::from(key).to_encoded_point(false);
    encode(|e| {
        e.map(4)?.u8(1)?.u8(2)?.i8(-1)?.i64(curve)?;
        e.i8(-2)?.bytes(point.x().unwrap())?.i8(-3)?.bytes(point.y().unwrap())?;
        Ok(())
    })
}

/// The container of version 2.0 around two parts.
fn collection(platform: &[u8], realm: &[u8]) -> Vec<u8> {
    encode(|e| {
        e.tag(Tag::new(907))?.map(2)?;
        e.u16(44234)?.array(2)?.u16(263)?.bytes(platform)?;
        e.u16(44241)?.array(2)?.u16(263)?.bytes(realm)?;
        Ok(())
    })
}

impl Sample {
    /// What makes the token acceptable.
    pub(super) fn expected(&self) -> Expected {
        let owner = "the tests' key".to_owned();
        let platform = PlatformKey { key: key(1).into(), owner, is_sample: false };
        Expected { platform, challenge: [0x33; 64], rim: None }
    }

    /// The whole token.
    pub(super) fn token(&self) -> Vec<u8> {
        self.around(&self.realm_claims())
    }

    /// The same with other claims of the Realm.
    pub(super) fn around(&self, realm_claims: &[u8]) -> Vec<u8> {
        let platform = self.sign(&self.platform_claims(), &self.platform_signer, self.tags[1]);
        let realm = self.sign(realm_claims, &self.realm_signer, self.tags[2]);
        if self.newer { collection(&platform, &realm) } else { self.container(&platform, &realm) }
    }

    /// The container around any two parts.
    pub(super) fn container(&self, platform: &[u8], realm: &[u8]) -> Vec<u8> {
        encode(|e| {
            e.tag(Tag::new(self.tags[0]))?.map(2)?;
            e.u16(44234)?.bytes(platform)?.u16(44241)?.bytes(realm)?;
            Ok(())
        })
    }

    /// Signs any payload.
    pub(super) fn sign(&self, payload: &[u8], key: &SigningKey, tag: u64) -> Vec<u8> {
        let header = encode(|e| e.map(1)?.u8(1)?.i64(self.algorithm).map(drop));
        let signed = encode(|e| {
            e.array(4)?.str("Signature1")?.bytes(&header)?.bytes(&[])?.bytes(payload)?;
            Ok(())
        });
        let signature: Signature = key.sign(&signed);
        encode(|e| {
            e.tag(Tag::new(tag))?.array(4)?.bytes(&header)?.map(0)?.bytes(payload)?;
            e.bytes(&signature.to_bytes())?;
            Ok(())
        })
    }

    /// A payload with a signature that is none: for decoders.
    pub(super) fn unsigned(&self, payload: &[u8]) -> Vec<u8> {
        let header = encode(|e| e.map(1)?.u8(1)?.i64(self.algorithm).map(drop));
        encode(|e| {
            e.tag(Tag::new(18))?.array(4)?.bytes(&header)?.map(0)?.bytes(payload)?;
            e.bytes(&[0x5a; 96])?;
            Ok(())
        })
    }

    fn public_key(&self) -> Vec<u8> {
        let point = || VerifyingKey::from(&key(2)).to_encoded_point(false).as_bytes().to_vec();
        let proper = if self.older { point() } else { cose_key(&key(2), 2) };
        self.public_key.clone().unwrap_or(proper)
    }

    /// The platform's claims, encoded.
    pub(super) fn platform_claims(&self) -> Vec<u8> {
        let challenge = self
            .vouched
            .clone()
            .unwrap_or_else(|| sha2::Sha256::digest(self.public_key()).to_vec());
        let profile = super::platform::PROFILES[usize::from(self.older)];
        encode(|e| {
            e.map(8)?.u16(265)?.str(profile)?.u8(10)?.bytes(&challenge)?;
            e.u16(2396)?.bytes(&[4; 32])?.u16(256)?.bytes(&[1; 33])?;
            e.u16(2401)?
                .bytes(b"cfg")?
                .u16(2395)?
                .u16(self.lifecycle)?
                .u16(2402)?
                .str(self.hash)?;
            e.u16(2399)?.array(1)?.map(3)?.u8(1)?.str(self.component)?;
            e.u8(2)?.bytes(&[5; 32])?.u8(5)?.bytes(&[6; 32])?;
            Ok(())
        })
    }

    /// The Realm's claims, encoded.
    pub(super) fn realm_claims(&self) -> Vec<u8> {
        let key = self.public_key();
        encode(|e| {
            let count = if self.older { 7 } else { 8 };
            e.map(if self.newer { count + 2 } else { count })?.u8(10)?.bytes(&[0x33; 64])?;
            e.u16(44235)?.bytes(&[0x44; 64])?.u16(44237)?.bytes(&key)?;
            e.u16(44236)?.str("sha-256")?.u16(44240)?.str("sha-256")?;
            if !self.older {
                let version = if self.newer { 0x2_0000 } else { 0x1_0000 };
                e.u16(265)?.str(super::realm::Profile::of_interface(version).name())?;
            }
            if self.newer {
                e.u16(256)?.bytes(&[1; 33])?.u16(44243)?.u8(0)?;
            }
            e.u16(44238)?.bytes(&[0x11; 32])?.u16(44239)?.array(4)?;
            for _ in 0..4 {
                e.bytes(&[0x22; 32])?;
            }
            Ok(())
        })
    }
}
