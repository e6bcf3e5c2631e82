//! What a Realm of a Host of 2.0 sees of its own: versions, configuration, attestation token.

use alloc::format;
use alloc::vec::Vec;

use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use crate::abi::rsi;
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Access, Action, Observed};

pub(super) fn add(registry: &mut Registry) {
    add_config(registry);
    add_token(registry);
    registry.add("rsi_version/success", |w| {
        let rec = w.running()?;
        let results = w.smc(&rec, &[rsi::VERSION, 0x1_0000])?;
        same("X0, X1", (results[0], results[1]), (rsi::SUCCESS, 0x1_0000))
    });
}

/// Words of the page at address 0 that the Realm reads.
#[track_caller]
fn words(w: &mut World<'_>, rec: &Rec, first: u64, count: u64) -> Outcome<Vec<u64>> {
    let mut seen = Vec::new();
    // A program has room for so many loads.
    for chunk in (first..first + count).collect::<Vec<u64>>().chunks(32) {
        let loads: Vec<Action> =
            chunk.iter().map(|word| Action::Load(8 * word, Access::WORD)).collect();
        for observed in w.observe(rec, &loads)? {
            match observed {
                Observed::Value(value) => seen.push(value),
                other => return fail(format!("a load led to {other:x?}")),
            }
        }
    }
    Ok(seen)
}

fn add_config(registry: &mut Registry) {
    for (width, rpv) in [(40, 0), (48, 0x1122_3344_5566_7788)] {
        registry.add(format!("realm_config/success/{width}"), move |w| {
            let mut params = w.realm_params(width, 0, 1)?;
            params.rpv = [rpv; 8];
            let realm = w.realm_with(&params)?;
            let rec = w.running_in(&realm)?;
            same("X0", w.smc(&rec, &[rsi::REALM_CONFIG, 0])?[0], rsi::SUCCESS)?;
            same("ipa_width", words(w, &rec, 0, 1)?[0], width)?;
            same("rpv", words(w, &rec, 0x200 / 8, 8)?, [rpv; 8].into())
        });
    }
    registry.add("realm_config/later_fields/planes", |w| {
        let rec = w.running()?;
        w.smc(&rec, &[rsi::REALM_CONFIG, 0])?;
        let seen = words(w, &rec, 0, 5)?;
        same("num_aux_planes, ats_plane", (seen[2], seen[4]), (0, 0))
    });
    registry.add("realm_config/later_fields/gicv3_vtr", |w| {
        let rec = w.running()?;
        w.smc(&rec, &[rsi::REALM_CONFIG, 0])?;
        let vtr = w.port.vgic().vtr;
        same("gicv3_vtr", words(w, &rec, 3, 1)?[0], vtr)
    });
}

/// The attestation token of a Realm.
#[track_caller]
fn token(w: &mut World<'_>, rec: &Rec) -> Outcome<Vec<u8>> {
    let results = w.smc(rec, &[rsi::ATTESTATION_TOKEN_INIT, 1, 2, 3, 4, 5, 6, 7, 8])?;
    same("INIT", results[0], rsi::SUCCESS)?;
    for _ in 0..10_000 {
        let results = w.smc(rec, &[rsi::ATTESTATION_TOKEN_CONTINUE, 0, 0, PAGE])?;
        if results[0] == rsi::INCOMPLETE && results[1] < PAGE {
            continue;
        }
        same("CONTINUE", results[0], rsi::SUCCESS)?;
        let size = results[1];
        let seen = words(w, rec, 0, size.div_ceil(8))?;
        let bytes = seen.iter().flat_map(|word| word.to_le_bytes());
        return Ok(bytes.take(usize::try_from(size).unwrap_or(0)).collect());
    }
    fail("the token does not come to its end")
}

/// Where these bytes are in the token.
fn find(token: &[u8], bytes: &[u8]) -> Option<usize> {
    token.windows(bytes.len()).position(|window| window == bytes)
}

/// Key of a claim in CBOR: an unsigned number of two bytes.
const fn key(number: u16) -> [u8; 3] {
    let [high, low] = number.to_be_bytes();
    [0x19, high, low]
}

fn add_token(registry: &mut Registry) {
    registry.add("token/success/challenge", |w| {
        let rec = w.running()?;
        let token = token(w, &rec)?;
        let challenge: Vec<u8> = (1..=8_u64).flat_map(u64::to_le_bytes).collect();
        holds("the challenge is in it", find(&token, &challenge).is_some())
    });
    registry.add("token/profile/2_0", |w| {
        let rec = w.running()?;
        let token = token(w, &rec)?;
        holds("tag", find(&token, b"tag:arm.com,2024:realm#2.0.0").is_some())?;
        holds("not the old one", find(&token, b"2023:realm#1.0.0").is_none())
    });
    registry.add("token/outer_tag/907", |w| {
        let rec = w.running()?;
        let token = token(w, &rec)?;
        same("first bytes", &token[..3], &[0xd9, 0x03, 0x8b])
    });
    registry.add("token/instance_id/form", |w| {
        let rec = w.running()?;
        let token = token(w, &rec)?;
        holds("33 bytes that begin with 1", instance(&token).is_some())
    });
    registry.add("token/instance_id/is_kept", |w| {
        let rec = w.running()?;
        let (first, second) = (token(w, &rec)?, token(w, &rec)?);
        same("instance id", instance(&second), instance(&first))
    });
    registry.add("token/instance_id/differs", |w| {
        let (one, other) = (w.running()?, w.running()?);
        let (first, second) = (token(w, &one)?, token(w, &other)?);
        holds("another Realm has another one", instance(&first) != instance(&second))
    });
    for (name, policy) in [("shared", 0), ("private", 1)] {
        registry.add(format!("token/mec_policy/{name}"), move |w| {
            let mut params = w.realm_params(40, 0, 1)?;
            params.flags0 = policy << super::super::pages::flags0::MEC_SHIFT;
            let realm = w.realm_with(&params)?;
            let rec = w.running_in(&realm)?;
            let token = token(w, &rec)?;
            let value = find(&token, &key(44_243)).map(|at| u64::from(token[at + 3]));
            same("claim", value, Some(policy))
        });
    }
}

/// The Realm's instance id.
fn instance(token: &[u8]) -> Option<Vec<u8>> {
    let mut head = key(256).to_vec();
    head.extend([0x58, 33, 1]);
    let at = find(token, &head)? + 5;
    token.get(at..at + 33).map(<[u8]>::to_vec)
}
