//! The realm attestation key, as all CPUs share it.

use core::fmt;

use zeroize::Zeroize;

/// Bytes of a scalar or a coordinate of P-384.
pub const SCALAR_BYTES: usize = 48;

/// Bytes of the public key as a COSE_Key of four parameters.
pub const COSE_KEY_BYTES: usize = 107;

/// The key that signs the tokens of all Realms, for one boot.
pub struct RealmKey {
    secret: [u8; SCALAR_BYTES],
    public: [u8; COSE_KEY_BYTES],
    challenge: [u8; 32],
}

impl RealmKey {
    /// A key that has been checked: `secret` is big endian and in range, `public` belongs to it,
    /// and `challenge` is the SHA-256 of `public`.
    pub fn new(
        secret: [u8; SCALAR_BYTES],
        public: [u8; COSE_KEY_BYTES],
        challenge: [u8; 32],
    ) -> Self {
        Self { secret, public, challenge }
    }

    /// The private scalar, big endian.
    pub fn secret(&self) -> &[u8; SCALAR_BYTES] {
        &self.secret
    }

    /// The public key as a COSE_Key: what a Realm's token says, byte for byte.
    pub fn public(&self) -> &[u8; COSE_KEY_BYTES] {
        &self.public
    }

    /// What the platform token vouches for: the SHA-256 of the public key.
    pub fn challenge(&self) -> &[u8; 32] {
        &self.challenge
    }
}

impl fmt::Debug for RealmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealmKey").finish_non_exhaustive()
    }
}

impl Drop for RealmKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show_itself() {
        let key = RealmKey::new([0xab; 48], [0xab; 107], [0xab; 32]);
        assert_eq!(format!("{key:?}"), "RealmKey { .. }");
    }
}
