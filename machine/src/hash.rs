//! Hash functions of measurements and signatures.

/// SHA-2 over whole messages. The CPU's instructions where it has them.
pub trait Hasher {
    /// SHA-256 of `message`.
    fn sha256(&self, message: &[u8]) -> [u8; 32];

    /// SHA-384 of `message`.
    fn sha384(&self, message: &[u8]) -> [u8; 48];

    /// SHA-512 of `message`.
    fn sha512(&self, message: &[u8]) -> [u8; 64];
}
