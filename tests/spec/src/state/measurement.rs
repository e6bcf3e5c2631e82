//! RIM and REM.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A7.1, B3.42, and the RIM steps of each command that
//! has them.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A measurement, zero-extended.
pub(crate) type Value = [u8; 64];

/// The Realm hash algorithm: 0 SHA-256, 1 SHA-512, in RMI 2.0 also 2 SHA-384.
pub(crate) fn hash(algorithm: u64, message: &[u8]) -> Value {
    let mut value = [0; 64];
    match algorithm {
        0 => value[..32].copy_from_slice(&Sha256::digest(message)),
        2 => value[..48].copy_from_slice(&Sha384::digest(message)),
        _ => value.copy_from_slice(&Sha512::digest(message)),
    }
    value
}

/// The bytes of words.
pub(crate) fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The words of a value.
pub(crate) fn words(value: &Value) -> [u64; 8] {
    core::array::from_fn(|number| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&value[number * 8..number * 8 + 8]);
        u64::from_le_bytes(bytes)
    })
}

/// The first RIM of RMI 1.0: of the parameters that are part of what the Realm is.
pub(crate) fn initial(algorithm: u64, params: &[u64; 512]) -> Value {
    let mut measured = [0; 512];
    measured[0] = params[0];
    // s2sz, sve_vl, num_bps, num_wps, pmu_num_ctrs, hash_algo: a byte each.
    for offset in (0x8..=0x30).step_by(8) {
        measured[offset / 8] = params[offset / 8] & 0xff;
    }
    hash(algorithm, &bytes(&measured))
}

/// A descriptor of 0x100 bytes: its type, its length, the RIM, and what follows.
fn extended(algorithm: u64, rim: &Value, kind: u64, rest: &[u8]) -> Value {
    let mut descriptor = bytes(&[kind, 0x100]);
    descriptor.extend(rim);
    descriptor.extend(rest);
    descriptor.resize(0x100, 0);
    hash(algorithm, &descriptor)
}

/// RMI_DATA_CREATE, in RMI 2.0 RTT_DATA_MAP_INIT.
pub(crate) fn data(
    algorithm: u64,
    rim: &Value,
    ipa: u64,
    flags: u64,
    contents: &[u64; 512],
) -> Value {
    let content = if flags & 1 == 1 { hash(algorithm, &bytes(contents)) } else { [0; 64] };
    let mut rest = bytes(&[ipa, flags]);
    rest.extend(content);
    extended(algorithm, rim, 0, &rest)
}

/// RMI_REC_CREATE: flags, PC and X0 to X7.
pub(crate) fn rec(algorithm: u64, rim: &Value, params: &[u64; 512]) -> Value {
    let mut measured = [0; 512];
    measured[0] = params[0];
    measured[0x200 / 8] = params[0x200 / 8];
    measured[0x300 / 8..0x340 / 8].copy_from_slice(&params[0x300 / 8..0x340 / 8]);
    extended(algorithm, rim, 1, &hash(algorithm, &bytes(&measured)))
}

/// RMI_RTT_INIT_RIPAS, one entry.
pub(crate) fn ripas(algorithm: u64, rim: &Value, base: u64, top: u64) -> Value {
    extended(algorithm, rim, 2, &bytes(&[base, top]))
}

/// RSI_MEASUREMENT_EXTEND: the old value, and the new one padded with zeros to as much.
pub(crate) fn rem(algorithm: u64, old: &Value, value: &[u8]) -> Value {
    let mut message = old.to_vec();
    message.extend(value);
    message.resize(128, 0);
    hash(algorithm, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_were_computed_elsewhere() {
        let hex = |value: &Value| -> String {
            value[..32].iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let mut params = [0; 512];
        params[1] = 40;
        params[3] = 1;
        params[4] = 1;
        let rim = initial(0, &params);
        assert_eq!(hex(&rim), "045cb3602843a6845cb710fbbfbb92f0c7d611afe0106ac2953e46950a70c42b");
        let rim = ripas(0, &rim, 0x8000_0000, 0x8000_1000);
        assert_eq!(hex(&rim), "6155de4f1d36b0a59eef577936e21cf6f3eb891ebe720da030e8517ba5535c6a");
        let page = core::array::from_fn(|word| {
            u64::from_le_bytes(core::array::from_fn(|byte| ((word * 8 + byte) & 0xff) as u8))
        });
        let rim = data(0, &rim, 0x8000_0000, 1, &page);
        assert_eq!(hex(&rim), "172b6f744606d3ec84062e9175c1f60091f9abc4a911bfcab77209cad0dc6f75");
        let rim = data(0, &rim, 0x8000_1000, 0, &[0; 512]);
        assert_eq!(hex(&rim), "ae4402e8b9a8adddb9057bffc99d01484c697c3da3f67e34bedffc57089a17a8");
        let mut params = [0; 512];
        params[0] = 1;
        params[0x200 / 8] = 0x8000_0000;
        params[0x300 / 8] = 0x11;
        params[0x338 / 8] = 0x77;
        let rim = rec(0, &rim, &params);
        assert_eq!(hex(&rim), "bf3ecf0175b1500a1913ddd7a3c5c3676a2c9f1a12ee18d11512e5b8cae88302");
        let value: Vec<u8> = (0..32).collect();
        let rem = rem(0, &[0; 64], &value);
        assert_eq!(hex(&rem), "ddac6f7ab79e3d15d934a5db4dae62fbac04f8e13c6f0a74363cef2e071a1fb4");
    }
}
