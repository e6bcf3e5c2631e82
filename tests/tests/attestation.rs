//! Attestation tokens, from the Realm's call to the signature, on the fake machine.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]
#![cfg(not(target_os = "none"))]

use cairn_tests::abi::{Command, RecExit, rsi};
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::attest::{PLATFORM_TOKEN, REALM_KEY};
use cairn_tests::machine::config::Profile;
use cairn_tests::program::{Access, Action, Observed};
use cairn_tests::rec::{Rec, idle_exit, smc};
use cairn_tests::world::World;
use p384::ecdsa::{SigningKey, VerifyingKey};
use ring::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use sha2::Digest;

const INIT: u64 = rsi::ATTESTATION_TOKEN_INIT;
const CONTINUE: u64 = rsi::ATTESTATION_TOKEN_CONTINUE;
/// RSI_INCOMPLETE.
const INCOMPLETE: u64 = 3;
/// RSI_ERROR_UNKNOWN.
const ERROR_UNKNOWN: u64 = 4;
/// Where the Realm wants its token.
const PAGE: u64 = 0;
/// The Realm's challenge.
const CHALLENGE: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 0x0807_0605_0403_0201];

/// Runs a scenario on a machine, and then takes everything apart.
fn on(machine: &FakeMachine, scenario: impl FnOnce(&mut World<'_>)) {
    let mut port = FakePort::new(machine);
    let mut world = World::new(&mut port);
    scenario(&mut world);
    machine.interrupt_every(0);
    world.give_everything_back().unwrap();
    assert_eq!(machine.take_violations(), Vec::<String>::new());
    assert_eq!(machine.census()[1..], [0; 7]);
}

fn init(w: &mut World<'_>, rec: &Rec) {
    let [a, b, c, d, e, f, g, h] = CHALLENGE;
    let results = w.smc(rec, &[INIT, a, b, c, d, e, f, g, h]).unwrap();
    assert_eq!(results[..4], [rsi::SUCCESS, 4096, 0, 0]);
}

/// X0 and X1 of a CONTINUE that ends without an exit.
fn proceed(w: &mut World<'_>, rec: &Rec, offset: u64, size: u64) -> (u64, u64) {
    let results = w.smc(rec, &[CONTINUE, PAGE, offset, size]).unwrap();
    assert_eq!(results[2..4], [0, 0]);
    (results[0], results[1])
}

/// Bytes of the Realm's page.
fn read(w: &mut World<'_>, rec: &Rec, offset: u64, size: u64) -> Vec<u8> {
    let loads = (offset..offset + size).map(|at| Action::Load(PAGE + at, Access::sized(0)));
    let observed = w.observe(rec, &loads.collect::<Vec<_>>()).unwrap();
    observed
        .iter()
        .map(|value| {
            let Observed::Value(byte) = value else { panic!("{value:?}") };
            u8::try_from(*byte).unwrap()
        })
        .collect()
}

/// A token in one piece.
fn token(w: &mut World<'_>, rec: &Rec) -> Vec<u8> {
    init(w, rec);
    let (code, size) = proceed(w, rec, 0, 4096);
    assert_eq!(code, rsi::SUCCESS);
    read(w, rec, 0, size)
}

/// Takes the container apart, and checks everything that is signed. The claims.
fn check(token: &[u8]) -> Vec<u8> {
    let platform = PLATFORM_TOKEN.len() + 32;
    assert_eq!(token[..8], [0xd9, 0x01, 0x8f, 0xa2, 0x19, 0xac, 0xca, 0x58]);
    assert_eq!(usize::from(token[8]), platform);
    let (vouched, rest) = token[9..].split_at(platform);
    assert_eq!(rest[..4], [0x19, 0xac, 0xd1, 0x59]);
    let realm = &rest[6..];
    assert_eq!(usize::from(rest[4]) << 8 | usize::from(rest[5]), realm.len());
    assert_eq!(realm[..8], [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0]);
    let (body, signature) = realm.split_at(realm.len() - 98);
    assert_eq!(signature[..2], [0x58, 0x60]);
    let payload = &body[8..];

    let key = SigningKey::from_slice(&REALM_KEY).unwrap();
    let public = VerifyingKey::from(&key).to_encoded_point(false);
    let prefix = b"\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40";
    let signed = [&prefix[..], payload].concat();
    let judge = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public.as_bytes());
    judge.verify(&signed, &signature[2..]).unwrap();

    // The RAK claim is the public key, and its hash is what the platform vouches for.
    let at = payload.windows(5).position(|at| at == [0x19, 0xac, 0xcd, 0x58, 0x6b]).unwrap() + 5;
    let cose_key = &payload[at..at + 107];
    assert_eq!(
        (&cose_key[8..56], &cose_key[59..]),
        (&public.x().unwrap()[..], &public.y().unwrap()[..])
    );
    assert_eq!(vouched[PLATFORM_TOKEN.len()..], sha2::Sha256::digest(cose_key)[..]);
    payload[3..].to_vec()
}

#[test]
fn a_token_is_signed_and_carries_what_the_realm_can_read() {
    on(&FakeMachine::new(Profile::Max), |w| {
        let rec = w.running().unwrap();
        w.smc(&rec, &[rsi::MEASUREMENT_EXTEND, 3, 64, 9, 9, 9]).unwrap();
        let claims = check(&token(w, &rec));
        let challenge = CHALLENGE.map(u64::to_le_bytes).concat();
        assert_eq!(claims[..4], [0xa8, 0x0a, 0x58, 0x40]);
        assert_eq!(claims[4..68], challenge);
        for index in 0..5 {
            let words = w.smc(&rec, &[rsi::MEASUREMENT_READ, index]).unwrap();
            let value: Vec<u8> = words[1..9].iter().flat_map(|word| word.to_le_bytes()).collect();
            assert!(claims.windows(32).any(|at| at == &value[..32]), "measurement {index}");
        }
        // It is over: a further call has nothing to continue.
        assert_eq!(proceed(w, &rec, 0, 4096), (rsi::ERROR_STATE, 0));
    });
}

#[test]
fn pieces_of_any_size_make_the_same_token() {
    on(&FakeMachine::new(Profile::Max), |w| {
        let rec = w.running().unwrap();
        let whole = token(w, &rec);
        for step in [1000, 333, 1, 4095] {
            init(w, &rec);
            let mut pieces = Vec::new();
            let mut offset = 0;
            loop {
                let size = step.min(4096 - offset);
                let (code, count) = proceed(w, &rec, offset, size);
                pieces.extend(read(w, &rec, offset, count));
                offset = (offset + count) % 4096;
                if code == rsi::SUCCESS {
                    break;
                }
                assert_eq!((code, count), (INCOMPLETE, size));
                if step == 1 && pieces.len() == 40 {
                    return;
                }
            }
            assert_eq!(pieces, whole, "{step} at a time");
        }
    });
}

#[test]
fn size_0_is_answered_with_0_bytes() {
    on(&FakeMachine::new(Profile::Max), |w| {
        let rec = w.running().unwrap();
        init(w, &rec);
        for _ in 0..3 {
            assert_eq!(proceed(w, &rec, 4095, 0), (INCOMPLETE, 0));
        }
        let (code, size) = proceed(w, &rec, 0, 4096);
        assert_eq!(code, rsi::SUCCESS);
        check(&read(w, &rec, 0, size));
    });
}

/// Runs a CONTINUE for the whole token under interrupts; how often it was interrupted.
fn under_interrupts(w: &mut World<'_>, rec: &Rec) -> usize {
    for interrupts in 0.. {
        let exit = w.run(rec, &[smc(&[CONTINUE, PAGE, 0, 4096])]).unwrap();
        // Whether the program ended or the call was interrupted, the Host sees an IRQ; the Realm
        // sees the difference once it runs again.
        assert_eq!(exit, idle_exit());
        let mut observed = w.observed(rec);
        if observed.is_empty() {
            observed = w.finish(rec, &Default::default()).unwrap();
        }
        let [Observed::Smc(results)] = observed.as_slice() else { panic!("{observed:?}") };
        match results[..4] {
            [INCOMPLETE, 0, 0, 0] => {}
            [rsi::SUCCESS, _, 0, 0] => return interrupts,
            _ => panic!("{results:x?}"),
        }
    }
    unreachable!()
}

#[test]
fn interrupts_at_any_slice_change_nothing_but_the_time() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let rec = w.running().unwrap();
        let whole = token(w, &rec);
        for every in [1, 2, 7, 50] {
            init(w, &rec);
            machine.interrupt_every(every);
            let interrupts = under_interrupts(w, &rec);
            machine.interrupt_every(0);
            assert_eq!(read(w, &rec, 0, whole.len() as u64), whole, "every {every}");
            assert!(interrupts as u64 >= 90 / every, "{interrupts} with one every {every}");
        }
    });
}

#[test]
fn an_absent_page_costs_no_second_signature() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let realm = w.realm().unwrap();
        w.tables(&realm, 0, 3).unwrap();
        w.call(Command::RttInitRipas, [realm.rd, 0, 0x2000]).unwrap().ok().unwrap();
        w.data_unknown(&realm, 0x1000).unwrap();
        let rec = w.rec(&realm, 0).unwrap();
        w.activate(&realm).unwrap();
        init(w, &rec);
        let before = machine.polls();
        let exit = w.run(&rec, &[smc(&[CONTINUE, PAGE, 0, 4096])]).unwrap();
        let signing = machine.polls() - before;
        let absent = RecExit { esr: 0x9000_0007, hpfar: PAGE >> 8, ..RecExit::default() };
        assert_eq!(exit, absent);
        w.data_unknown(&realm, PAGE).unwrap();
        let observed = w.finish(&rec, &Default::default()).unwrap();
        let [Observed::Smc(results)] = observed.as_slice() else { panic!("{observed:?}") };
        assert_eq!(results[0], rsi::SUCCESS);
        assert!(signing > 90 && machine.polls() - before - signing < 3);
        let size = results[1];
        check(&read(w, &rec, 0, size));
    });
}

#[test]
fn an_empty_page_is_the_realms_mistake_and_the_token_waits() {
    on(&FakeMachine::new(Profile::Max), |w| {
        let rec = w.running().unwrap();
        init(w, &rec);
        let results = w.smc(&rec, &[CONTINUE, 0x10_0000, 0, 4096]).unwrap();
        assert_eq!(results[..4], [rsi::ERROR_INPUT, 0, 0, 0]);
        let (code, size) = proceed(w, &rec, 0, 4096);
        assert_eq!(code, rsi::SUCCESS);
        check(&read(w, &rec, 0, size));
    });
}

#[test]
fn a_new_challenge_abandons_the_old_token() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let rec = w.running().unwrap();
        let whole = token(w, &rec);
        // Abandoned before, in the middle of, and after its signature.
        for stage in 0..3 {
            w.smc(&rec, &[INIT, 99]).unwrap();
            machine.interrupt_every(if stage == 1 { 30 } else { 0 });
            if stage != 0 {
                w.run(&rec, &[smc(&[CONTINUE, PAGE, 0, 100])]).unwrap();
                w.observed(&rec);
            }
            machine.interrupt_every(0);
            w.finish(&rec, &Default::default()).unwrap();
            assert_eq!(token(w, &rec), whole, "{stage}");
        }
    });
}

#[test]
fn measurements_are_those_at_the_time_of_the_challenge() {
    on(&FakeMachine::new(Profile::Max), |w| {
        let rec = w.running().unwrap();
        let before = token(w, &rec);
        init(w, &rec);
        w.smc(&rec, &[rsi::MEASUREMENT_EXTEND, 1, 32, 1, 2, 3, 4]).unwrap();
        let (_, size) = proceed(w, &rec, 0, 4096);
        assert_eq!(read(w, &rec, 0, size), before);
        assert_ne!(token(w, &rec), before);
    });
}

#[test]
fn without_a_key_the_call_that_would_sign_fails() {
    on(&FakeMachine::without_attestation_key(Profile::Max), |w| {
        let rec = w.running().unwrap();
        for _ in 0..2 {
            init(w, &rec);
            assert_eq!(proceed(w, &rec, 0, 4096), (ERROR_UNKNOWN, 0));
            assert_eq!(proceed(w, &rec, 0, 4096), (rsi::ERROR_STATE, 0));
        }
    });
}

#[test]
fn without_a_platform_token_the_token_fails_and_the_next_may_work() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let rec = w.running().unwrap();
        machine.refuse_platform_tokens(true);
        init(w, &rec);
        assert_eq!(proceed(w, &rec, 0, 4096), (ERROR_UNKNOWN, 0));
        assert_eq!(proceed(w, &rec, 0, 4096), (rsi::ERROR_STATE, 0));
        machine.refuse_platform_tokens(false);
        check(&token(w, &rec));
    });
    assert!(machine.take_events().iter().any(|event| event.contains("NoPlatformToken")));
}

#[test]
fn while_the_platform_is_busy_the_realm_has_to_ask_again() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let rec = w.running().unwrap();
        let whole = token(w, &rec);
        init(w, &rec);
        machine.keep_platform_busy(3);
        let before = machine.polls();
        assert_eq!(proceed(w, &rec, 0, 4096), (INCOMPLETE, 0));
        let signing = machine.polls() - before;
        assert_eq!([0, 1].map(|_| proceed(w, &rec, 0, 4096)), [(INCOMPLETE, 0); 2]);
        assert!(signing > 90 && machine.polls() - before - signing < 5, "signed once");
        let (code, size) = proceed(w, &rec, 0, 4096);
        assert_eq!((code, read(w, &rec, 0, size)), (rsi::SUCCESS, whole));
    });
    assert!(!machine.take_events().iter().any(|event| event.contains("NoPlatformToken")));
}

#[test]
fn two_recs_make_their_tokens_at_once_and_move_between_cpus() {
    let machine = FakeMachine::new(Profile::Max);
    let mut other = FakePort::at(&machine, 1, 0);
    on(&machine, |w| {
        let recs: [Rec; 2] = recs(w, 2).try_into().unwrap();
        let whole = recs.map(|rec| token(w, &rec));
        assert_eq!(whole[0], whole[1]);
        recs.iter().for_each(|rec| init(w, rec));
        machine.interrupt_every(3);
        let mut done = [false; 2];
        while done != [true; 2] {
            for (rec, done) in recs.iter().zip(&mut done) {
                if *done {
                    continue;
                }
                // Each stretch of the computation runs on the CPU that did not run the last one.
                w.run(rec, &[smc(&[CONTINUE, PAGE, 0, 4096])]).unwrap();
                let mut observed = w.observed(rec);
                let call = [Command::RecEnter.fid(), rec.pa, rec.run, 0, 0, 0, 0, 0];
                let reply = cairn_tests::port::Port::call(&mut other, call).unwrap();
                assert_eq!(reply[0], 0);
                observed.extend(w.observed(rec));
                let [Observed::Smc(results)] = observed.as_slice() else { panic!("{observed:?}") };
                *done = results[0] == rsi::SUCCESS;
                if *done {
                    assert_eq!(read(w, rec, 0, results[1]), whole[0]);
                }
            }
        }
    });
}

/// RECs of a Realm that is active and has a page of memory at 0.
fn recs(w: &mut World<'_>, count: u64) -> Vec<Rec> {
    let realm = w.realm().unwrap();
    w.tables(&realm, 0, 3).unwrap();
    w.call(Command::RttInitRipas, [realm.rd, 0, 0x1000]).unwrap().ok().unwrap();
    w.data_unknown(&realm, 0).unwrap();
    let recs = (0..count).map(|index| w.rec(&realm, index).unwrap()).collect();
    w.activate(&realm).unwrap();
    recs
}

#[test]
fn each_cpu_of_a_realm_of_1_2_or_4_gets_the_realms_token() {
    for count in [1, 2, 4] {
        on(&FakeMachine::new(Profile::Max), |w| {
            let recs = recs(w, count);
            let tokens: Vec<Vec<u8>> = recs.iter().map(|rec| token(w, rec)).collect();
            tokens.iter().for_each(|token| drop(check(token)));
            // Without a random number generator even the signatures are equal.
            assert!(tokens.iter().all(|token| *token == tokens[0]), "{count} CPUs");
        });
    }
}

#[test]
fn a_thousand_tokens_in_a_row_leave_nothing_behind() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let rec = w.running().unwrap();
        let whole = token(w, &rec);
        let before = machine.census();
        w.port.hurry(true);
        for number in 0..1000 {
            w.smc(&rec, &[INIT, number]).unwrap();
            // Every tenth is abandoned once its first bytes are there.
            let size = if number % 10 == 0 { 100 } else { 4096 };
            let (code, count) = proceed(w, &rec, 0, size);
            let complete = (rsi::SUCCESS, whole.len() as u64);
            assert_eq!((code, count), if size == 100 { (INCOMPLETE, 100) } else { complete });
        }
        w.port.hurry(false);
        assert_eq!(machine.census(), before);
        assert_eq!(token(w, &rec), whole);
    });
}

#[test]
fn a_realm_destroyed_half_way_leaves_nothing() {
    let machine = FakeMachine::new(Profile::Max);
    on(&machine, |w| {
        let rec = w.running().unwrap();
        init(w, &rec);
        machine.interrupt_every(40);
        w.run(&rec, &[smc(&[CONTINUE, PAGE, 0, 4096])]).unwrap();
        assert!(w.observed(&rec).is_empty());
        // `on` destroys the REC and its Realm now, and looks at every granule that comes back.
    });
}
