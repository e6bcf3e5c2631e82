//! Measurements of a Realm: the initial one (RIM), extended by each command that builds the Realm, and the
//! four that the Realm extends itself (REM).
//!
//! All hashing goes over one complete message: a descriptor of 256 bytes or a page of parameters.

use granule::machine::Hasher;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a measurement value; shorter hashes are followed by zeros.
pub const VALUE_BYTES: usize = 64;

/// Number of extensible measurements.
pub const REM_COUNT: usize = 4;

/// Hash algorithm of a Realm.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiHashAlgorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// SHA-256.
    Sha256 = 0,
    /// SHA-512.
    Sha512 = 1,
}

impl Algorithm {
    /// Reads the ABI's number.
    pub const fn from_u64(raw: u64) -> Option<Self> {
        match raw {
            0 => Some(Self::Sha256),
            1 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Bytes of a hash.
    pub const fn hash_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Hash of `message`, followed by zeros.
    pub fn hash(self, hasher: &impl Hasher, message: &[u8]) -> [u8; VALUE_BYTES] {
        match self {
            Self::Sha256 => {
                let mut value = [0; VALUE_BYTES];
                let (hash, _) = value.split_at_mut(32);
                hash.copy_from_slice(&hasher.sha256(message));
                value
            }
            Self::Sha512 => hasher.sha512(message),
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

/// Measurement descriptor: what each extension of the RIM hashes.
///
/// Source: RMM specification (Arm DEN0137) 1.0, C1.11 to C1.13 `RmmMeasurementDescriptor*`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Descriptor {
    desc_type: u64,
    length: u64,
    rim: [u8; VALUE_BYTES],
    body: Body,
}

/// Bytes 0x50 to 0xff of a descriptor.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Body([u8; 0xb0]);

const _: () = assert!(size_of::<Descriptor>() == 0x100);

const TYPE_DATA: u64 = 0;
const TYPE_REC: u64 = 1;
const TYPE_RIPAS: u64 = 2;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct DataBody {
    ipa: u64,
    flags: u64,
    content: [u8; VALUE_BYTES],
    reserved: [u8; 0x60],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct RecBody {
    content: [u8; VALUE_BYTES],
    reserved: [u8; 0x70],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct RipasBody {
    base: u64,
    top: u64,
    reserved: [u8; 0xa0],
}

impl Measurements {
    /// Starts the RIM from a page of Realm parameters in which only the measured fields are set.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.9.4.
    pub fn init(&mut self, hasher: &impl Hasher, algorithm: Algorithm, params: &[u8; 4096]) {
        self.rim = algorithm.hash(hasher, params);
    }

    fn extend_rim(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        desc_type: u64,
        body: Body,
    ) {
        let descriptor = Descriptor { desc_type, length: 0x100, rim: self.rim, body };
        self.rim = algorithm.hash(hasher, descriptor.as_bytes());
    }

    /// Extends the RIM by a page of data; `content` is its hash, or zeros if it is not measured.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.1.4; `flags` is copied whole.
    pub fn extend_data(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        ipa: u64,
        flags: u64,
        content: [u8; VALUE_BYTES],
    ) {
        let body = DataBody { ipa, flags, content, reserved: [0; 0x60] };
        self.extend_rim(hasher, algorithm, TYPE_DATA, zerocopy::transmute!(body));
    }

    /// Extends the RIM by a runnable REC; `content` is the hash of its measured parameters.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.12.4.
    pub fn extend_rec(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        content: [u8; VALUE_BYTES],
    ) {
        let body = RecBody { content, reserved: [0; 0x70] };
        self.extend_rim(hasher, algorithm, TYPE_REC, zerocopy::transmute!(body));
    }

    /// Extends the RIM by one RTT entry whose RIPAS became RAM.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.18.4; its step list forgets the field `rim`, its type
    /// table has it.
    pub fn extend_ripas(
        &mut self,
        hasher: &impl Hasher,
        algorithm: Algorithm,
        base: u64,
        top: u64,
    ) {
        let body = RipasBody { base, top, reserved: [0; 0xa0] };
        self.extend_rim(hasher, algorithm, TYPE_RIPAS, zerocopy::transmute!(body));
    }

    /// Extends REM `index` (0 to 3) by the first `size` bytes of `value`.
    ///
    /// The sources disagree on what is hashed. We follow the specification: the old value (64 bytes), the new
    /// value, and zeros up to 128 bytes. The reference monitor hashes the old value at hash length and the new
    /// bytes without padding; vector `vii` of the tests shows that result, should a relying party need it.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B5.3.7 `RSI_MEASUREMENT_EXTEND`, B3.42 `RemExtend`.
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
