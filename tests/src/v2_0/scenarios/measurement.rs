//! The Realm's initial measurement.

use alloc::format;
use alloc::string::String;

use super::super::abi::{Command, Desc, oaddr};
use super::super::pages::RecParams;
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{PAGE, Realm, World};
use super::good::{IPA, realm_with_tables};
use crate::abi::{HostPage, rsi};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::world::secret_page;

const BASE: u64 = 0x8000_0000;

/// Number of the algorithm, its name, bytes of its hash, and the RIM after all three steps.
static VECTORS: &[(u64, &str, usize, &str)] = &[
    (0, "sha256", 32, "5082d826581d8bbdb06945ce1453ef57381e58dca314a3ac797a1fee46b12f21"),
    (
        2,
        "sha384",
        48,
        "fe1e091a52d693be1db1bf89645c6e378014738e8c9a9ce2ee659a3a84922cdc\
         9b1a8aaaca55535134e9e0c2abc796c1",
    ),
    (
        1,
        "sha512",
        64,
        "5c8d53319c7c32ad508dbd07a4d06c587d927fc6cf6f1b18af6aa9244591c478\
         66e0695a073e058db7481d2b474ed1e2c5caccba20d3c1ce8474ccb3f77cdb52",
    ),
];

pub(super) fn add(registry: &mut Registry) {
    for &(algorithm, name, bytes, expected) in VECTORS {
        registry
            .add(format!("measurement/vectors/{name}"), move |w| {
                let rec = vector(w, algorithm)?;
                let rim = read(w, &rec)?;
                same("RIM", hexadecimal(&rim, bytes), expected.into())?;
                holds("zero after the hash", rim[bytes / 8..].iter().all(|word| *word == 0))
            })
            .needs(Need::NoProgramInMemory);
        registry.add(format!("measurement/realm_config/{name}"), move |w| {
            let mut params = w.realm_params(40, 0, 1)?;
            params.hash_algo = algorithm;
            let realm = w.realm_with(&params)?;
            let rec = w.running_in(&realm)?;
            // The configuration goes to a page of the Realm's: RSI_SUCCESS is all that can be seen
            // from outside.
            let results = w.smc(&rec, &[rsi::REALM_CONFIG, 0])?;
            same("X0", results[0], rsi::SUCCESS)?;
            let word = config_word(w, &rec)?;
            same("hash_algo", word & 0xff, algorithm)
        });
    }
    add_rules(registry);
}

/// `hash_algo` of the configuration that the Realm has at address 0: offset 8.
#[track_caller]
fn config_word(w: &mut World<'_>, rec: &Rec) -> Outcome<u64> {
    use crate::program::{Access, Action, Observed};
    match w.observe(rec, &[Action::Load(8, Access::WORD)])?.as_slice() {
        [Observed::Value(value)] => Ok(*value),
        other => crate::outcome::fail(format!("observed {other:x?}")),
    }
}

/// The page of the vectors: bytes 00 to FF sixteen times.
fn page() -> HostPage {
    let first = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
    core::array::from_fn(|word| first + 0x0808_0808_0808_0808 * (word as u64 % 32))
}

/// The Realm of the vectors: measured data, unmeasured data, a runnable REC.
#[track_caller]
fn vector(w: &mut World<'_>, algorithm: u64) -> Outcome<Rec> {
    let mut params = w.realm_params(40, 0, 1)?;
    params.hash_algo = algorithm;
    let realm = w.realm_with(&params)?;
    w.tables(&realm, BASE, 3)?;
    // Not measured in 2.0.
    w.init_ripas(&realm, BASE, BASE + PAGE)?;
    for (ipa, measure) in [(BASE, 1), (BASE + PAGE, 0)] {
        w.data(&realm, ipa, &page(), measure)?;
    }
    let gprs = [0x11, 0, 0, 0, 0, 0, 0, 0x77];
    let rec = w.rec_with(&realm, &RecParams { flags: 1, mpidr: 0, pc: BASE, gprs })?;
    w.activate(&realm)?;
    Ok(rec)
}

/// X1 to X8 of RSI_MEASUREMENT_READ of the RIM.
#[track_caller]
fn read(w: &mut World<'_>, rec: &Rec) -> Outcome<[u64; 8]> {
    let results = w.smc(rec, &[rsi::MEASUREMENT_READ, 0])?;
    same("X0", results[0], rsi::SUCCESS)?;
    Ok(core::array::from_fn(|number| results[1 + number]))
}

fn hexadecimal(words: &[u64; 8], length: usize) -> String {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).take(length);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The RIM of a Realm with tables, read from inside by a runnable REC.
#[track_caller]
pub(super) fn rim(
    w: &mut World<'_>,
    build: impl Fn(&mut World<'_>, &Realm) -> Outcome,
) -> Outcome<[u64; 8]> {
    let realm = realm_with_tables(w)?;
    build(w, &realm)?;
    let rec = w.rec(&realm, 0)?;
    w.activate(&realm)?;
    read(w, &rec)
}

/// Name, and what leaves the RIM as it is.
type Build = fn(&mut World<'_>, &Realm) -> Outcome;

static UNMEASURED: &[(&str, Build)] = &[
    ("init_ripas", |w, realm| w.init_ripas(realm, IPA, IPA + 4 * PAGE)),
    ("init_ripas_twice", |w, realm| {
        w.init_ripas(realm, IPA, IPA + 4 * PAGE)?;
        w.init_ripas(realm, IPA, IPA + 4 * PAGE)
    }),
    ("data_map", |w, realm| w.data_unknown(realm, IPA).map(|_| ())),
    ("data_map_and_unmap", |w, realm| {
        w.data_unknown(realm, IPA)?;
        w.unmap(Command::DataUnmap, realm, (IPA, IPA + PAGE))?;
        Ok(())
    }),
    ("tables", |w, realm| w.tables(realm, 1 << 31, 3)),
    ("shared_memory", |w, realm| {
        w.tables(realm, realm.unprotected(), 3)?;
        w.share(realm, realm.unprotected()).map(|_| ())
    }),
    ("rec_that_is_off", |w, realm| w.rec_off(realm, 5).map(|_| ())),
    ("failed_data_map_init", |w, realm| {
        let (data, src) = (w.delegated()?, w.page(&secret_page(3)));
        w.complete(Command::DataMapInit, &[realm.rd, data, 1 << 31, src, 1])?.is_error()?;
        Ok(())
    }),
    ("failed_init_ripas", |w, realm| {
        w.complete(Command::InitRipas, &[realm.rd, 1 << 31, (1 << 31) + PAGE])?.is_error()?;
        Ok(())
    }),
    ("failed_rec_create", |w, realm| {
        let page = w.page(&w.rec_params(realm, 0).to_page());
        w.complete(Command::RecCreate, &[realm.rd, 1, page])?.is_error()?;
        Ok(())
    }),
    ("failed_data_map", |w, realm| {
        let word = Desc::pages(w.granule(), 1).encode();
        let arguments = [realm.rd, IPA, IPA + PAGE, oaddr::SINGLE, word];
        w.complete(Command::DataMap, &arguments)?.is_error()?;
        Ok(())
    }),
];

fn add_rules(registry: &mut Registry) {
    for &(name, build) in UNMEASURED {
        registry.add(format!("measurement/unchanged/{name}"), move |w| {
            let plain = rim(w, |_, _| Ok(()))?;
            same("RIM", rim(w, build)?, plain)
        });
    }
    registry
        .add("measurement/initial/zero", |w| {
            // No runnable REC is measured before this one: the measurement of an empty Realm
            // depends on its parameters only if they are measured.
            let small = with_params(w, 40, 0, 1)?;
            let wide = with_params(w, 40, 3, 5)?;
            same("RIM", wide, small)
        })
        .reading("parameters of a Realm are not measured (third beta; other monitors still do)");
    registry.add("measurement/data_map_init/contents_and_address", |w| {
        let (one, two) = (secret_page(1), secret_page(2));
        let first = rim(w, move |w, realm| w.data(realm, IPA, &one, 1).map(|_| ()))?;
        let second = rim(w, move |w, realm| w.data(realm, IPA, &two, 1).map(|_| ()))?;
        let moved = rim(w, move |w, realm| w.data(realm, IPA + PAGE, &one, 1).map(|_| ()))?;
        let again = rim(w, move |w, realm| w.data(realm, IPA, &one, 1).map(|_| ()))?;
        holds("contents count", first != second)?;
        holds("the address counts", first != moved)?;
        same("the same again", again, first)
    });
    registry.add("measurement/data_map_init/unmeasured_contents", |w| {
        let (one, two) = (secret_page(1), secret_page(2));
        let first = rim(w, move |w, realm| w.data(realm, IPA, &one, 0).map(|_| ()))?;
        let second = rim(w, move |w, realm| w.data(realm, IPA, &two, 0).map(|_| ()))?;
        let measured = rim(w, move |w, realm| w.data(realm, IPA, &one, 1).map(|_| ()))?;
        same("RIM", second, first)?;
        holds("flags count", first != measured)
    });
    registry.add("measurement/rec_create/mpidr_is_not_measured", |w| {
        let of = |w: &mut World<'_>, index: u64| {
            let realm = realm_with_tables(w)?;
            w.rec(&realm, index)?;
            let reader = w.rec(&realm, 0)?;
            w.activate(&realm)?;
            read(w, &reader)
        };
        let (one, two) = (of(w, 1)?, of(w, 2)?);
        same("RIM", two, one)
    });
    registry.add("measurement/rec_create/gprs_are_measured", |w| {
        let of = |w: &mut World<'_>, value: u64| {
            let realm = realm_with_tables(w)?;
            let mut params = w.rec_params(&realm, 0);
            params.gprs[5] = value;
            let rec = w.rec_with(&realm, &params)?;
            w.activate(&realm)?;
            read(w, &rec)
        };
        let (one, two) = (of(w, 1)?, of(w, 2)?);
        holds("they differ", one != two)
    });
}

/// The RIM of a Realm with these parameters and a runnable REC.
#[track_caller]
fn with_params(w: &mut World<'_>, width: u64, num_bps: u64, rpv: u64) -> Outcome<[u64; 8]> {
    let mut params = w.realm_params(width, 0, 1)?;
    params.num_bps = if num_bps == 0 { 1 } else { w.features(0)? >> 14 & 63 };
    params.rpv = [rpv; 8];
    let realm = w.realm_with(&params)?;
    w.tables(&realm, IPA, 3)?;
    let rec = w.rec(&realm, 0)?;
    w.activate(&realm)?;
    read(w, &rec)
}
