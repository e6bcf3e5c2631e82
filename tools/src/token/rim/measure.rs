//! The initial measurement of a Realm, as the specification says that every monitor computes it.
//!
//! Written from that text alone: an agreement with the monitor is no accident.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A7.1, B4.3.1.4, B4.3.9.4, B4.3.12.4, B4.3.18.4,
//! C1.11 to C1.13; 2.0-bet3, "Realm Initial Measurement".

use sha2::{Digest, Sha256, Sha384, Sha512};

/// A granule.
pub(super) type Page = [u8; 4096];

/// Bytes of a measurement; a shorter hash is followed by zeros.
const VALUE_BYTES: usize = 64;

/// Bytes of a measurement descriptor.
const DESCRIPTOR_BYTES: usize = 0x100;

/// Measured fields of `RmiRealmParams`: offset and bytes of flags, s2sz, sve_vl, num_bps, num_wps,
/// pmu_num_ctrs, hash_algo.
const REALM_FIELDS: [(usize, usize); 7] =
    [(0x00, 8), (0x08, 1), (0x10, 1), (0x18, 1), (0x20, 1), (0x28, 1), (HASH_ALGO, 1)];
const HASH_ALGO: usize = 0x30;

/// Measured fields of `RmiRecParams`: flags, pc, gprs.
const REC_FIELDS: [(usize, usize); 3] = [(0x000, 8), (0x200, 8), (0x300, 64)];

/// Descriptor types.
const DATA: u8 = 0;
const REC: u8 = 1;
const RIPAS: u8 = 2;

/// Offsets in all descriptors.
const LENGTH: usize = 0x08;
const RIM: usize = 0x10;
const BODY: usize = 0x50;

/// What is measured, by version of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// The parameters of the Realm, pages, RECs that can run, and RIPAS.
    V1_0,
    /// Pages and RECs that can run.
    V2_0,
}

/// How a Realm is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
    Sha384,
}

impl Algorithm {
    fn hash(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
        }
    }
}

/// The measurement of a Realm that is being built.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    rules: Rules,
    algorithm: Algorithm,
    value: Vec<u8>,
}

impl Measurement {
    /// RMI_REALM_CREATE with these parameters; `None` if they name no hash algorithm.
    pub(super) fn of_realm(params: &Page, rules: Rules) -> Option<Self> {
        let algorithm = match params.get(HASH_ALGO) {
            Some(0) => Algorithm::Sha256,
            Some(1) => Algorithm::Sha512,
            Some(2) if rules == Rules::V2_0 => Algorithm::Sha384,
            Some(_) | None => return None,
        };
        let mut value = algorithm.hash(&only(params, &REALM_FIELDS));
        if rules == Rules::V2_0 {
            // Where the parameters are not measured, it begins with zeros.
            value.fill(0);
        }
        Some(Self { rules, algorithm, value })
    }

    /// RMI_DATA_CREATE of `page` at `ipa`. Also a page whose content is not measured leaves a
    /// trace.
    pub(super) fn add_data(&mut self, ipa: u64, flags: u64, page: &Page) {
        let content = if flags & 1 == 1 { self.algorithm.hash(page) } else { Vec::new() };
        self.extend(DATA, &[&ipa.to_le_bytes(), &flags.to_le_bytes(), &content]);
    }

    /// RMI_REC_CREATE of a REC that is runnable; others are not measured.
    pub(super) fn add_rec(&mut self, params: &Page) {
        let content = self.algorithm.hash(&only(params, &REC_FIELDS));
        self.extend(REC, &[&content]);
    }

    /// One entry that RMI_RTT_INIT_RIPAS made RAM, `[base, top)`.
    pub(super) fn add_ripas(&mut self, base: u64, top: u64) {
        if self.rules == Rules::V2_0 {
            return;
        }
        self.extend(RIPAS, &[&base.to_le_bytes(), &top.to_le_bytes()]);
    }

    /// The value so far.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    fn extend(&mut self, kind: u8, body: &[&[u8]]) {
        let mut descriptor = [0; DESCRIPTOR_BYTES];
        put(&mut descriptor, 0, &[kind]);
        put(&mut descriptor, LENGTH, &(DESCRIPTOR_BYTES as u64).to_le_bytes());
        put(&mut descriptor, RIM, &self.value);
        put(&mut descriptor, BODY, &body.concat());
        self.value = self.algorithm.hash(&descriptor);
    }
}

const _: () = assert!(RIM + VALUE_BYTES == BODY);

/// Puts `bytes` at an offset.
fn put(into: &mut [u8], offset: usize, bytes: &[u8]) {
    for (to, from) in into.iter_mut().skip(offset).zip(bytes) {
        *to = *from;
    }
}

/// The page with these fields (offset and bytes), and zeros around them.
fn only(page: &Page, fields: &[(usize, usize)]) -> Page {
    let mut kept = [0; 4096];
    for &(offset, bytes) in fields {
        put(&mut kept, offset, page.get(offset..offset + bytes).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::cbor::hex;

    /// The vectors of the specification's reading: what a Realm of one page, an unmeasured page and
    /// a REC measures, step by step; all other bytes of the parameters are set, and must not count.
    fn steps(algorithm: u8, rules: Rules) -> Vec<String> {
        let mut params = [0xee; 4096];
        for (offset, bytes) in REALM_FIELDS {
            params[offset..offset + bytes].fill(0);
        }
        (params[8], params[0x18], params[0x20], params[HASH_ALGO]) = (40, 1, 1, algorithm);
        let mut rim = Measurement::of_realm(&params, rules).unwrap();
        let mut seen = vec![hex(rim.value())];
        let mut step = |rim: &Measurement| seen.push(hex(rim.value()));
        rim.add_ripas(0x8000_0000, 0x8000_1000);
        step(&rim);
        let page = std::array::from_fn(|at| u8::try_from(at % 256).unwrap());
        rim.add_data(0x8000_0000, 1, &page);
        step(&rim);
        rim.add_data(0x8000_1000, 0, &page);
        step(&rim);
        let mut params = [0xee; 4096];
        for (offset, bytes) in REC_FIELDS {
            params[offset..offset + bytes].fill(0);
        }
        params[0] = 1;
        params[0x200..0x208].copy_from_slice(&0x8000_0000_u64.to_le_bytes());
        (params[0x300], params[0x338]) = (0x11, 0x77);
        rim.add_rec(&params);
        step(&rim);
        seen
    }

    #[test]
    fn sha_256_gives_the_vectors() {
        assert_eq!(
            steps(0, Rules::V1_0),
            [
                "045cb3602843a6845cb710fbbfbb92f0c7d611afe0106ac2953e46950a70c42b",
                "6155de4f1d36b0a59eef577936e21cf6f3eb891ebe720da030e8517ba5535c6a",
                "172b6f744606d3ec84062e9175c1f60091f9abc4a911bfcab77209cad0dc6f75",
                "ae4402e8b9a8adddb9057bffc99d01484c697c3da3f67e34bedffc57089a17a8",
                "bf3ecf0175b1500a1913ddd7a3c5c3676a2c9f1a12ee18d11512e5b8cae88302",
            ]
        );
    }

    #[test]
    fn sha_512_gives_the_vectors() {
        assert_eq!(
            steps(1, Rules::V1_0),
            [
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
            ]
        );
    }

    #[test]
    fn other_algorithms_are_unknown() {
        assert!(Measurement::of_realm(&[2; 4096], Rules::V1_0).is_none());
        assert!(Measurement::of_realm(&[2; 4096], Rules::V2_0).is_some());
        assert!(Measurement::of_realm(&[3; 4096], Rules::V2_0).is_none());
    }

    #[test]
    fn version_2_0_begins_with_zeros_and_measures_no_ripas() {
        let [sha_256, sha_384] = [0, 2].map(|algorithm| steps(algorithm, Rules::V2_0));
        assert_eq!(
            sha_256[1..],
            [
                "0000000000000000000000000000000000000000000000000000000000000000",
                "269e6e5fa823fe7d4a143545b48f933ae716d4bd1c0a7ff9e61970fbe655ca12",
                "4a5658b4acf2c8291b93477c571697989648fafd30e030158766aecc48466dbf",
                "5082d826581d8bbdb06945ce1453ef57381e58dca314a3ac797a1fee46b12f21",
            ]
        );
        assert_eq!(
            sha_384[4],
            "fe1e091a52d693be1db1bf89645c6e378014738e8c9a9ce2ee659a3a84922cdc\
             9b1a8aaaca55535134e9e0c2abc796c1"
        );
    }
}
