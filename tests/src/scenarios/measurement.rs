//! Measurement vectors, computed from the specification (Arm DEN0137 1.0, A7.1) and not by this
//! code, step by step, for both algorithms.

use alloc::format;
use alloc::string::String;

use super::registry::Registry;
use crate::abi::{Command, RecParams, rsi};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::world::{Realm, World};

/// RIM of the finished Realm, and REM 1 after its extension, as hexadecimal bytes: steps v and vi.
static VECTORS: [[&str; 2]; 2] = [
    [
        "bf3ecf0175b1500a1913ddd7a3c5c3676a2c9f1a12ee18d11512e5b8cae88302",
        "ddac6f7ab79e3d15d934a5db4dae62fbac04f8e13c6f0a74363cef2e071a1fb4",
    ],
    [
        "4fbace86c6851d8e4b29c6c2fa6c6f0dd874fbd104892f4dff202b4790edd04008a58a11964f26c55eba4960d09ca70d8e84a39999b8dffb83f889f21c2672e3",
        "7cf8a7b2e1707d902af1484fe7b2d48c16d2c6cb1e704b524c00d3303baea86030c41a31f78ccc77836b0aeebf60f422fb52205ab7d8e5dd6a862d29381eae1b",
    ],
];

const BASE: u64 = 0x8000_0000;

/// Steps of the vectors.
///
/// The RIM of the first four cannot be read from inside: a Realm needs a runnable REC for that,
/// which is the fifth. As each RIM contains the one before it, the fifth shows them all.
const STEPS: [(usize, &str); 2] = [(4, "rim"), (5, "rem")];

pub(super) fn add(registry: &mut Registry) {
    for (algorithm, name) in ["sha256", "sha512"].into_iter().enumerate() {
        for (step, label) in STEPS {
            let name = format!("measurement/vectors/{name}_{label}");
            let scenario = registry.add(name, move |w| vector(w, algorithm, step));
            scenario.needs(Need::NoProgramInMemory);
        }
    }
    add_rules(registry);
}

/// X1 to X8 as bytes, without the zeros after the hash.
fn hexadecimal(words: &[u64], algorithm: usize) -> String {
    let length = if algorithm == 0 { 32 } else { 64 };
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .take(length)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Builds the Realm of the vectors up to a step, and reads the measurement inside.
fn vector(w: &mut World<'_>, algorithm: usize, last: usize) -> Outcome {
    let mut params = w.realm_params(40, 0, 1)?;
    params.hash_algo = algorithm as u64;
    let realm = w.realm_with(&params)?;
    w.tables(&realm, BASE, 3)?;
    w.call(Command::RttInitRipas, [realm.rd, BASE, BASE + 0x1000])?.ok()?;
    let bytes: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    let page = core::array::from_fn(|word| {
        u64::from_le_bytes(bytes) + 0x0808_0808_0808_0808 * (word as u64 % 32)
    });
    for (ipa, measure) in [(BASE, 1), (BASE + 0x1000, 0)] {
        let data = w.delegated()?;
        let src = w.page(&page);
        w.call(Command::DataCreate, [realm.rd, data, ipa, src, measure])?.ok()?;
    }
    let params =
        RecParams { pc: BASE, gprs: [0x11, 0, 0, 0, 0, 0, 0, 0x77], ..w.rec_params(&realm, 0)? };
    let rec = w.rec_with(&realm, 0, &params)?;
    w.activate(&realm)?;
    let mut index = 0;
    if last == 5 {
        let value = [
            0x0706_0504_0302_0100,
            0x0f0e_0d0c_0b0a_0908,
            0x1716_1514_1312_1110,
            0x1f1e_1d1c_1b1a_1918,
        ];
        let [a, b, c, d] = value;
        w.smc(&rec, &[rsi::MEASUREMENT_EXTEND, 1, 32, a, b, c, d])?;
        index = 1;
    }
    let results = w.smc(&rec, &[rsi::MEASUREMENT_READ, index])?;
    let expected = VECTORS[algorithm][last - 4];
    same("measurement", hexadecimal(&results[1..9], algorithm), expected.into())?;
    holds("zero after the hash", algorithm == 1 || results[5..9] == [0; 4])
}

/// The RIM of a Realm, read from inside by a runnable REC with these parameters.
pub(super) fn rim(
    w: &mut World<'_>,
    build: impl Fn(&mut World<'_>, &Realm) -> Outcome,
) -> Outcome<[u64; 8]> {
    let realm = w.realm()?;
    build(w, &realm)?;
    // The first REC may exist already.
    let rec = match w.rec(&realm, 0) {
        Ok(rec) => rec,
        Err(_) => w.rec(&realm, 1)?,
    };
    w.activate(&realm)?;
    let results = w.smc(&rec, &[rsi::MEASUREMENT_READ, 0])?;
    Ok(core::array::from_fn(|number| results[1 + number]))
}

fn add_rules(registry: &mut Registry) {
    registry.add("measurement/not_runnable_rec_is_not_measured", |w| {
        let plain = rim(w, |_, _| Ok(()))?;
        let with = rim(w, |w, realm| w.rec_off(realm, 0).map(|_| ()))?;
        same("RIM", with, plain)
    });
    registry.add("measurement/data_unknown_and_tables_are_not_measured", |w| {
        let plain = rim(w, |_, _| Ok(()))?;
        let with = rim(w, |w, realm| {
            w.tables(realm, 0, 3)?;
            w.data_unknown(realm, 0)?;
            w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?;
            w.call(Command::RttDestroy, [realm.rd, 0, 3])?.ok()?;
            Ok(())
        })?;
        same("RIM", with, plain)
    });
    registry.add("measurement/ripas_depends_on_depth_and_repetition", |w| {
        let block = |w: &mut World<'_>, realm: &Realm| {
            w.tables(realm, 0, 2)?;
            w.call(Command::RttInitRipas, [realm.rd, 0, 0x20_0000])?.ok()?;
            Ok(())
        };
        let once = rim(w, block)?;
        let twice = rim(w, |w, realm| {
            block(w, realm)?;
            block(w, realm)
        })?;
        let pages = rim(w, |w, realm| {
            w.tables(realm, 0, 3)?;
            w.call(Command::RttInitRipas, [realm.rd, 0, 0x20_0000])?.ok()?;
            Ok(())
        })?;
        holds("all three differ", once != twice && once != pages && twice != pages)
    });
    registry.add("measurement/rpv_and_vmid_are_not_measured", |w| {
        let plain = rim(w, |_, _| Ok(()))?;
        let mut params = w.realm_params(40, 0, 1)?;
        params.rpv = [1; 8];
        let realm = w.realm_with(&params)?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let results = w.smc(&rec, &[rsi::MEASUREMENT_READ, 0])?;
        same("RIM", &results[1..9], plain.as_slice())
    });
    registry.add("measurement/failed_commands_are_not_measured", |w| {
        let plain = rim(w, |_, _| Ok(()))?;
        let with = rim(w, |w, realm| {
            let data = w.delegated()?;
            let src = w.page(&[1; 512]);
            let reply = w.call(Command::DataCreate, [realm.rd, data, 0, src, 1])?;
            reply.is(crate::abi::rtt_error(0))?;
            w.call(Command::RttInitRipas, [realm.rd, 0, 0x1000])?.is(crate::abi::rtt_error(0))?;
            Ok(())
        })?;
        same("RIM", with, plain)
    });
}
