//! What this EL3 has for attestation: a key of Realms, and a platform's token that the machine's
//! loader may bring.
//!
//! Whoever makes the token knows the key, because everybody does: as TF-A on QEMU and FVP, whose
//! key and token are samples, this EL3 has always the same of both, and the token vouches for that
//! key whatever the monitor asks.

/// Most bytes of a token: what fits the page that EL3 shares with the monitor.
pub const LENGTH_MAX: u64 = 0x1000;

/// Words of the key.
pub const KEY_WORDS: usize = 6;

/// The private half of the key of all Realms, a scalar of P-384, in words whose bytes are in order
/// from the lowest.
#[must_use]
pub fn realm_key() -> [u64; KEY_WORDS] {
    let mut words = [0; KEY_WORDS];
    for (number, word) in (0_u64..).zip(&mut words) {
        *word = 0x0102_0304_0506_0708_u64.wrapping_mul(8 * number + 1);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_a_scalar_and_no_word_of_it_is_another() {
        let key = realm_key();
        assert!(key.iter().enumerate().all(|(n, word)| !key[..n].contains(word)));
        let [.., lowest, _] = key[0].to_be_bytes();
        assert!(lowest != 0xff, "below the order of the curve, which begins with ones");
    }
}
