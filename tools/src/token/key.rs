//! The platform's public key: from a file, or the sample that everybody has.

use std::path::Path;

use anyhow::{Context, bail};
use p384::PublicKey;
use p384::ecdsa::VerifyingKey;
use p384::pkcs8::DecodePublicKey;

use super::container::SIZE_MAX;
use crate::paths::read_limited;

/// The key that signs TF-A's sample of a platform token, on QEMU and on FVP. Its private half is
/// public.
const SAMPLE: &str = r#"{"kty":"EC","crv":"P-384",
    "x":"IShnxS4rlQiwpCCpBWDzlNLfqiG911FP8akBr-fh94uxHU5m-Kijivp2r2oxxN6M",
    "y":"hM4tr8mWQli1P61xh3T0ViDREbF26DGOEYfbAjWjGNN7pZf-6A4OTHYqEryz6m7U"}"#;

/// Whose signature the platform token must have.
#[derive(Clone, Debug)]
pub(crate) struct PlatformKey {
    /// The key.
    pub key: VerifyingKey,
    /// Whose it is, for sentences.
    pub owner: String,
    /// Whether everybody can sign with it.
    pub is_sample: bool,
}

impl PlatformKey {
    /// The sample key.
    ///
    /// # Errors
    ///
    /// None: the key above is one.
    pub(crate) fn sample() -> anyhow::Result<Self> {
        let key = PublicKey::from_jwk_str(SAMPLE).context("TF-A's sample key")?;
        let owner = "TF-A's public sample key".to_owned();
        Ok(Self { key: key.into(), owner, is_sample: true })
    }

    /// The key in a file: PEM or DER (SubjectPublicKeyInfo), JWK, or a point (SEC 1).
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no public key of P-384.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = read_limited(file, SIZE_MAX)?;
        let key =
            parse(&bytes).with_context(|| format!("no platform key in {}", file.display()))?;
        let is_sample = key == Self::sample()?.key;
        Ok(Self { key, owner: format!("the key in {}", file.display()), is_sample })
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<VerifyingKey> {
    let text = std::str::from_utf8(bytes).map(str::trim).unwrap_or_default();
    let key: VerifyingKey = if text.starts_with("-----BEGIN PUBLIC KEY-----") {
        VerifyingKey::from_public_key_pem(text).map_err(|error| {
            anyhow::anyhow!("the PEM text is not a public key of P-384 ({error})")
        })?
    } else if text.starts_with("-----BEGIN") {
        bail!("the PEM text is not a `PUBLIC KEY`");
    } else if text.starts_with('{') {
        let key = PublicKey::from_jwk_str(text);
        key.map_err(|_| anyhow::anyhow!("the JWK is not a public key of P-384"))?.into()
    } else if let Ok(key) = VerifyingKey::from_public_key_der(bytes) {
        key
    } else if let Ok(key) = VerifyingKey::from_sec1_bytes(bytes) {
        key
    } else {
        bail!("{} bytes that are neither PEM, JWK, DER nor a point of P-384", bytes.len());
    };
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p384::pkcs8::{EncodePublicKey, LineEnding};

    #[test]
    fn each_form_of_a_key_is_read() {
        let key = PlatformKey::sample().unwrap().key;
        let pem = PublicKey::from(key).to_public_key_pem(LineEnding::LF).unwrap();
        let der = PublicKey::from(key).to_public_key_der().unwrap();
        let point = key.to_encoded_point(false);
        let short = key.to_encoded_point(true);
        for form in
            [pem.as_bytes(), SAMPLE.as_bytes(), der.as_bytes(), point.as_bytes(), short.as_bytes()]
        {
            assert_eq!(parse(form).unwrap(), key);
        }
        let mut off_curve = point.as_bytes().to_vec();
        off_curve[96] ^= 1;
        assert!(parse(&off_curve).unwrap_err().to_string().contains("97 bytes"));
    }

    #[test]
    fn other_keys_are_refused_with_a_reason() {
        let p256 = r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#;
        for (form, reason) in [
            ("-----BEGIN PRIVATE KEY-----\n", "not a `PUBLIC KEY`"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
            (p256, "JWK"),
            ("", "0 bytes"),
            ("hello", "5 bytes"),
        ] {
            let error = parse(form.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
