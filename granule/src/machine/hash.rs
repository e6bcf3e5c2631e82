//! Hash functions of measurements.

/// SHA-256 and SHA-512 over whole messages. The CPU's instructions where it has them.
pub trait Hasher {
    /// SHA-256 of `message`.
    fn sha256(&self, message: &[u8]) -> [u8; 32];

    /// SHA-512 of `message`.
    fn sha512(&self, message: &[u8]) -> [u8; 64];
}
