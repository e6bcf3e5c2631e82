//! Measurements of a Realm: the initial one (RIM), extended by each command that builds the Realm,
//! and the four that the Realm extends itself (REM).
//!
//! All hashing goes over one complete message: a descriptor of 256 bytes or a page of parameters.

use machine::Hasher;
use machine::addr::PAGE_BYTES;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a measurement value; shorter hashes are followed by zeros.
pub const VALUE_BYTES: usize = 64;

/// Number of extensible measurements.
pub const REM_COUNT: usize = 4;

/// Hash algorithm of a Realm. Each interface has numbers of its own for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-384.
    Sha384,
}

impl Algorithm {
    /// Bytes of a hash.
    pub const fn hash_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Hash of `message`, followed by zeros.
    pub fn hash(self, hasher: &impl Hasher, message: &[u8]) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        self.hash_to(hasher, message, &mut value);
        value
    }

    /// Writes the hash of `message` to the beginning of `value`, whose rest stays.
    #[inline(always)] // perf: the caller knows the length (`rsi_measurement_extend`).
    fn hash_to(self, hasher: &impl Hasher, message: &[u8], value: &mut [u8; VALUE_BYTES]) {
        match self {
            Self::Sha256 => {
                if let Some(value) = value.first_chunk_mut() {
                    *value = hasher.sha256(message);
                }
            }
            Self::Sha384 => {
                if let Some(value) = value.first_chunk_mut() {
                    *value = hasher.sha384(message);
                }
            }
            Self::Sha512 => *value = hasher.sha512(message),
        }
    }
}

/// An [`Algorithm`] as granules hold it. The number is the monitor's own and means nothing outside.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct AlgorithmWord(u64);

impl From<Algorithm> for AlgorithmWord {
    fn from(algorithm: Algorithm) -> Self {
        Self(algorithm as u64)
    }
}

impl AlgorithmWord {
    /// The algorithm.
    ///
    /// # Panics
    ///
    /// If no algorithm has been written here: the granules belong to the monitor, so that is a
    /// broken invariant.
    #[inline(always)] // perf: part of each command that measures (`data_create_measured`).
    pub fn get(&self) -> Algorithm {
        const SHA_256: u64 = Algorithm::Sha256 as u64;
        const SHA_512: u64 = Algorithm::Sha512 as u64;
        const SHA_384: u64 = Algorithm::Sha384 as u64;
        match self.0 {
            SHA_256 => Algorithm::Sha256,
            SHA_512 => Algorithm::Sha512,
            SHA_384 => Algorithm::Sha384,
            _ => unreachable!("hash algorithm {}", self.0),
        }
    }
}

/// RIM and REMs of a Realm.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct Measurements {
    /// Realm Initial Measurement.
    pub rim: [u8; VALUE_BYTES],
    /// Realm Extensible Measurements, RSI index 1 to 4.
    pub rem: [[u8; VALUE_BYTES]; REM_COUNT],
}

/// The start of a measurement descriptor: what each extension of the RIM hashes.
///
/// Source: RMM specification (Arm DEN0137) 1.0, C1.11 to C1.13 `RmmMeasurementDescriptor*`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Head {
    desc_type: u64,
    length: u64,
    rim: [u8; VALUE_BYTES],
}

impl Head {
    const DATA: u64 = 0;
    const REC: u64 = 1;
    const RIPAS: u64 = 2;

    fn new(desc_type: u64, rim: &[u8; VALUE_BYTES]) -> Self {
        Self { desc_type, length: DESCRIPTOR_BYTES as u64, rim: *rim }
    }
}

/// Length of each descriptor.
const DESCRIPTOR_BYTES: usize = 0x100;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct DataDescriptor {
    head: Head,
    ipa: u64,
    flags: u64,
    content: [u8; VALUE_BYTES],
    reserved: [u8; 0x60],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct RecDescriptor {
    head: Head,
    content: [u8; VALUE_BYTES],
    reserved: [u8; 0x70],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct RipasDescriptor {
    head: Head,
    base: u64,
    top: u64,
    reserved: [u8; 0xa0],
}

const _: () = assert!(
    size_of::<DataDescriptor>() == DESCRIPTOR_BYTES
        && size_of::<RecDescriptor>() == DESCRIPTOR_BYTES
        && size_of::<RipasDescriptor>() == DESCRIPTOR_BYTES
);

/// The extensions of a RIM by the entries of one table.
pub struct RipasExtension<'m> {
    rim: &'m mut [u8; VALUE_BYTES],
    algorithm: Algorithm,
    descriptor: RipasDescriptor,
}

impl RipasExtension<'_> {
    /// Extends the RIM by one RTT entry whose RIPAS became RAM.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.18.4; its step list forgets the field
    /// `rim`, its type table has it.
    pub fn extend(&mut self, hasher: &impl Hasher, base: u64, top: u64) {
        self.descriptor.base = base;
        self.descriptor.top = top;
        self.algorithm.hash_to(hasher, self.descriptor.as_bytes(), self.rim);
        self.descriptor.head.rim = *self.rim;
    }
}

impl Measurements {
    /// Starts the RIM from a page of Realm parameters in which only the measured fields are set.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.9.4.
    pub fn init(&mut self, hasher: &impl Hasher, algorithm: Algorithm, params: &[u8; PAGE_BYTES]) {
        self.rim = algorithm.hash(hasher, params);
    }

    /// Extends the RIM by a page of data; `content` is what is measured of it, if anything.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.1.4; `flags` is copied whole.
    pub fn extend_data(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        (ipa, flags): (u64, u64),
        content: Option<&[u8]>,
    ) {
        let mut descriptor = DataDescriptor {
            head: Head::new(Head::DATA, &self.rim),
            ipa,
            flags,
            content: [0; VALUE_BYTES],
            reserved: [0; 0x60],
        };
        if let Some(content) = content {
            algorithm.hash_to(hasher, content, &mut descriptor.content);
        }
        algorithm.hash_to(hasher, descriptor.as_bytes(), &mut self.rim);
    }

    /// Extends the RIM by a runnable REC with these measured parameters.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.12.4.
    pub fn extend_rec(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        params: &[u8; PAGE_BYTES],
    ) {
        self.extend_rec_content(hasher, algorithm, &algorithm.hash(hasher, params));
    }

    /// The same, where the hash of the parameters is known already.
    pub fn extend_rec_content(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        content: &[u8; VALUE_BYTES],
    ) {
        let descriptor = RecDescriptor {
            head: Head::new(Head::REC, &self.rim),
            content: *content,
            reserved: [0; 0x70],
        };
        algorithm.hash_to(hasher, descriptor.as_bytes(), &mut self.rim);
    }

    /// For extensions of the RIM by RTT entries.
    pub fn extend_ripas(&mut self, algorithm: Algorithm) -> RipasExtension<'_> {
        let descriptor = RipasDescriptor {
            head: Head::new(Head::RIPAS, &self.rim),
            base: 0,
            top: 0,
            reserved: [0; 0xa0],
        };
        RipasExtension { rim: &mut self.rim, algorithm, descriptor }
    }

    /// Extends REM `index` (0 to 3) by the first `size` bytes of `value`.
    ///
    /// The sources disagree on what is hashed. We follow the specification: the old value (64
    /// bytes), the new value, and zeros up to 128 bytes. The reference monitor hashes the old value
    /// at hash length and the new bytes without padding; vector `vii` of the tests shows that
    /// result, should a relying party need it.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B5.3.7 `RSI_MEASUREMENT_EXTEND`, B3.42
    /// `RemExtend`.
    pub fn extend_rem(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        index: usize,
        value: &[u8; VALUE_BYTES],
        size: usize,
    ) {
        let Some(rem) = self.rem.get_mut(index) else { return };
        let mut message = [0; 2 * VALUE_BYTES];
        let (old, new) = message.split_at_mut(VALUE_BYTES);
        old.copy_from_slice(rem);
        for (to, from) in new.iter_mut().zip(value).take(size) {
            *to = *from;
        }
        *rem = algorithm.hash(hasher, &message);
    }

    /// The measurement with RSI index `index`: 0 is the RIM, 1 to 4 are the REMs.
    pub fn get(&self, index: u64) -> Option<&[u8; VALUE_BYTES]> {
        match index {
            0 => Some(&self.rim),
            _ => usize::try_from(index - 1).ok().and_then(|index| self.rem.get(index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    struct Sha2;

    impl Hasher for Sha2 {
        fn sha256(&self, message: &[u8]) -> [u8; 32] {
            sha2::Sha256::digest(message).into()
        }

        fn sha384(&self, message: &[u8]) -> [u8; 48] {
            sha2::Sha384::digest(message).into()
        }

        fn sha512(&self, message: &[u8]) -> [u8; 64] {
            sha2::Sha512::digest(message).into()
        }
    }

    /// The RIM after each of seven steps, computed from the specification and not by this code.
    const SHA_256: [&str; 7] = [
        "045cb3602843a6845cb710fbbfbb92f0c7d611afe0106ac2953e46950a70c42b",
        "6155de4f1d36b0a59eef577936e21cf6f3eb891ebe720da030e8517ba5535c6a",
        "172b6f744606d3ec84062e9175c1f60091f9abc4a911bfcab77209cad0dc6f75",
        "ae4402e8b9a8adddb9057bffc99d01484c697c3da3f67e34bedffc57089a17a8",
        "bf3ecf0175b1500a1913ddd7a3c5c3676a2c9f1a12ee18d11512e5b8cae88302",
        "ddac6f7ab79e3d15d934a5db4dae62fbac04f8e13c6f0a74363cef2e071a1fb4",
        "bb2275c49f28ad52cae6d55e34a974a58c7a3ba26f976e8ecbbe7a536918dc73",
    ];
    const SHA_512: [&str; 7] = [
        "066e19aa2c3418dadc20ef31b5595907c612991952553e1e99731a677b5797c9\
         898dffb6e3963a20b8e1af6d136cd2fe6fe25f048577dc3d7e5bf3a79a4b1e81",
        "7f2559ff71ae56879cb30873659ff79882ba7fb56ee58aa1021530b847f16e07\
         1ed761a208d74b09311615bf27b04a8cb1f8d53ffcfe03e0aeda9cb25d0f4ef1",
        "f4b427461e3f750c98f30ba6511ec4becdb289a733968ccd0f3d2a0bee33bb05\
         d12d0834a1ff7f071125eb2a3566e44eeeaccd88f572ecab3761b96f0e0c6b44",
        "a71bcedeaeaa237aa2d2b4a5cf63393f7e7101e1a9f94f1435e9b605ed671497\
         b32c035d405ce5b928b70ed266e44d93acc8667b0c329fc189629ac1d4689c4c",
        "4fbace86c6851d8e4b29c6c2fa6c6f0dd874fbd104892f4dff202b4790edd040\
         08a58a11964f26c55eba4960d09ca70d8e84a39999b8dffb83f889f21c2672e3",
        "7cf8a7b2e1707d902af1484fe7b2d48c16d2c6cb1e704b524c00d3303baea860\
         30c41a31f78ccc77836b0aeebf60f422fb52205ab7d8e5dd6a862d29381eae1b",
        "1b3f258fc7df037a1324b4952aaf709dcfc46aaf1af751e62808b48ab70de5ab\
         4a98f4738472bdf0b708229d955f592d1b8fbbe4d134c65a0b9c6fce562778aa",
    ];

    /// Algorithm's own hexadecimal digits of a value; the rest must be zero.
    fn hex(algorithm: Algorithm, value: &[u8; VALUE_BYTES]) -> String {
        let (hash, rest) = value.split_at(algorithm.hash_bytes());
        assert!(rest.iter().all(|&byte| byte == 0));
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A page with these words, by byte offset.
    fn page(words: &[(usize, u64)]) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        for &(offset, word) in words {
            page[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        page
    }

    #[test]
    fn each_algorithm_survives_being_stored() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            assert_eq!(AlgorithmWord::from(algorithm).get(), algorithm);
        }
    }

    #[test]
    fn the_vectors_of_the_initial_measurement_hold() {
        for (algorithm, number, expected) in
            [(Algorithm::Sha256, 0, SHA_256), (Algorithm::Sha512, 1, SHA_512)]
        {
            let mut values = Measurements { rim: [0xff; 64], rem: [[0; 64]; 4] };
            // s2sz 40, num_bps 1, num_wps 1, hash_algo as RmiHashAlgorithm has it.
            let params = page(&[(0x8, 40), (0x18, 1), (0x20, 1), (0x30, number)]);
            values.init(&Sha2, algorithm, &params);
            assert_eq!(hex(algorithm, &values.rim), expected[0], "i");
            values.extend_ripas(algorithm).extend(&Sha2, 0x8000_0000, 0x8000_1000);
            assert_eq!(hex(algorithm, &values.rim), expected[1], "ii");
            let data: Vec<u8> = (0..16).flat_map(|_| 0..=255).collect();
            values.extend_data(&Sha2, algorithm, (0x8000_0000, 1), Some(&data));
            assert_eq!(hex(algorithm, &values.rim), expected[2], "iii");
            values.extend_data(&Sha2, algorithm, (0x8000_1000, 0), None);
            assert_eq!(hex(algorithm, &values.rim), expected[3], "iv");
            let params =
                page(&[(0, 1), (0x200, 0x8000_0000), (0x300, 0x11), (0x300 + 7 * 8, 0x77)]);
            values.extend_rec(&Sha2, algorithm, &params);
            assert_eq!(hex(algorithm, &values.rim), expected[4], "v");
        }
    }

    #[test]
    fn the_vectors_of_the_extensible_measurements_hold() {
        let value =
            core::array::from_fn(|at| u8::try_from(at).ok().filter(|&at| at < 32).unwrap_or(0xee));
        for (algorithm, expected) in [(Algorithm::Sha256, SHA_256), (Algorithm::Sha512, SHA_512)] {
            let mut values = Measurements { rim: [0; 64], rem: [[0; 64]; 4] };
            values.extend_rem(&Sha2, algorithm, 2, &value, 32);
            assert_eq!(hex(algorithm, &values.rem[2]), expected[5], "vi: our reading");
            assert_eq!(values.rem[0], [0; 64]);
            // What a relying party computes for the reference monitor.
            let short = [&vec![0; algorithm.hash_bytes()], &value[..32]].concat();
            let theirs = algorithm.hash(&Sha2, &short);
            assert_eq!(hex(algorithm, &theirs), expected[6], "vii: the reference monitor");
            values.extend_rem(&Sha2, algorithm, 4, &value, 32);
            assert_eq!(values.get(3), Some(&values.rem[2]));
            assert_eq!(values.get(5), None);
        }
    }
}
