//! RECs that are made and ended by stateful operations.

use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use granule::GranuleState;
use realm::Numbering;
use rmi::ops::sro::{self, Awaits, Begun, Resumed};
use rmi::ops::{Cause, Operand, rec as recs};

use crate::host::{Host, at, delegate, donate, index, list, named, wanted};
use crate::machine;

#[test]
fn a_rec_in_the_making_is_nobody_elses() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let Begun { handle, .. } = host.begin(rd, rec, Some(0)).unwrap();
    assert_eq!(host.state(rec), GranuleState::Partial);
    assert_eq!(host.begin(rd, rec, Some(1)), Err(Cause::Blocked(Operand::Rec)));
    assert_eq!(host.begin_destroy(rec), Err(Cause::Blocked(Operand::Rec)));
    assert_eq!(host.undelegate(rec), Err(Cause::Blocked(Operand::Granule)));
    assert_eq!(host.donate(handle, &list(&[rec])), Err(Cause::DonationState));
    let aux: [u64; 4] = host.delegated();
    host.donate(handle, &list(&aux)).unwrap();
    assert_eq!(host.undelegate(aux[0]), Err(Cause::RangeState { addr: at(aux[0]) }));
    assert_eq!(host.begin(rd, aux[0], Some(1)), Err(Cause::State(Operand::Rec)));
    assert_eq!(host.resume(handle), Ok(Resumed::Done));
    assert_eq!(host.begin(rd, rec, Some(1)), Err(Cause::State(Operand::Rec)));

    let Begun { handle, .. } = host.begin_destroy(rec).unwrap();
    assert_eq!(host.begin_destroy(rec), Err(Cause::Blocked(Operand::Rec)));
    host.drain(handle);
    assert_eq!(host.destroy_realm(rd), Err(Cause::RealmLive));
    assert_eq!(host.resume(handle), Ok(Resumed::Done));
    host.destroy_realm(rd).unwrap();
}

#[test]
fn a_rec_is_found_by_its_index_while_it_is_one() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec, other]) = (host.realm(Numbering::Free), host.delegated());
    let find = |number| {
        let place = host.descriptor(rd, |rd| rd.find_rec(index(number)));
        place.map(granule::GranuleAddr::as_u64)
    };
    let far = 0x0fff_ffff;
    let Begun { handle, .. } = host.begin(rd, rec, Some(far)).unwrap();
    assert_eq!(find(far), None);
    // Nor can another have the index.
    assert_eq!(host.begin(rd, other, Some(far)), Err(Cause::RecIndex));
    host.cancel(handle).unwrap();
    assert_eq!(host.resume(handle), Err(Cause::Cancelled));

    host.rec(rd, other, far);
    assert_eq!(find(far), Some(other));
    assert_eq!(host.begin(rd, rec, Some(far)), Err(Cause::RecIndex));
    host.rec(rd, rec, 3);
    assert_eq!((find(3), find(0)), (Some(rec), None));
    host.destroy(other);
    assert_eq!((find(far), find(3)), (None, Some(rec)));
    host.rec(rd, other, far);
    assert_eq!(find(far), Some(other));
    host.destroy(other);
    host.destroy(rec);
    host.destroy_realm(rd).unwrap();
}

#[test]
fn a_realm_that_is_activated_gets_no_rec_any_more() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let Begun { handle, .. } = host.begin(rd, rec, Some(0)).unwrap();
    let rim = host.descriptor(rd, |rd| rd.measurements.rim);
    host.activate(rd).unwrap();
    let aux: [u64; 4] = host.delegated();
    host.donate(handle, &list(&aux)).unwrap();
    assert_eq!(host.resume(handle), Ok(Resumed::Awaits(Awaits::Reclaim)));
    assert_eq!(host.drain(handle).len(), aux.len());
    assert_eq!(host.resume(handle), Err(Cause::RealmState));
    assert_eq!(host.state(rec), GranuleState::Delegated);
    assert_eq!(host.descriptor(rd, |rd| rd.measurements.rim), rim);
    host.destroy_realm(rd).unwrap();
}

/// What is measured is what was asked for, when the REC is complete.
#[test]
fn many_calls_measure_the_same_as_one() {
    let machine = machine();
    let host = Host::new(&machine);
    let at_once = host.realm(Numbering::InOrder);
    let [first, aux @ ..]: [u64; 5] = host.delegated();
    host.create(at_once, first, 0, &aux).unwrap();
    let stepwise = host.realm(Numbering::Free);
    let [second] = host.delegated();
    let before = host.descriptor(stepwise, |rd| rd.measurements.rim);
    let Begun { handle, .. } = host.begin(stepwise, second, Some(9)).unwrap();
    let aux: [u64; 4] = host.delegated();
    host.donate(handle, &list(&aux)).unwrap();
    assert_eq!(host.descriptor(stepwise, |rd| rd.measurements.rim), before);
    assert_eq!(host.resume(handle), Ok(Resumed::Done));
    let rims = [at_once, stepwise].map(|rd| host.descriptor(rd, |rd| rd.measurements.rim));
    assert_eq!(rims[0], rims[1]);
    assert_ne!(rims[0], before);
}

/// As many as the Host is told of, and not one more.
#[test]
fn a_realm_has_255_freely_numbered_recs() {
    let machine = FakeMachine::new(Profile::Max);
    let host = Host::new(&machine);
    let rd = host.realm(Numbering::Free);
    let rmm = host.cpu.rmm();
    // Looking at the whole machine after each step would take long.
    let delegated = || {
        let pa = host.undelegated();
        delegate(&rmm, pa).unwrap();
        pa
    };
    machine.unleash();
    let begin = |rec, number| {
        let rec = named(&rmm, Operand::Rec, rec);
        recs::begin_create(&rmm, named(&rmm, Operand::Rd, rd), rec, &wanted(Some(number)))
    };
    for number in 0..255 {
        let Begun { handle, .. } = begin(delegated(), number * 0x1001).unwrap();
        let aux = [(); 4].map(|()| delegated());
        donate(&rmm, handle, &list(&aux)).unwrap();
        assert_eq!(sro::resume(&rmm, handle), Ok(Resumed::Done));
    }
    assert_eq!(begin(delegated(), 1), Err(Cause::RecsFull));
    machine.quiesce();
    host.check();
}

/// Neither way of making RECs depends on how a Realm numbers them.
#[test]
fn each_way_works_with_each_numbering() {
    let machine = machine();
    let host = Host::new(&machine);
    for numbering in [Numbering::InOrder, Numbering::Free] {
        let rd = host.realm(numbering);
        let [first, second, aux @ ..]: [u64; 6] = host.delegated();
        host.create(rd, first, 0, &aux).unwrap();
        host.rec(rd, second, 1);
        assert!(host.descriptor(rd, |rd| rd.rec_exists(index(0)) && rd.rec_exists(index(1))));
        host.destroy(first);
        assert!(host.descriptor(rd, |rd| !rd.rec_exists(index(0))));
        host.destroy(second);
        host.destroy_realm(rd).unwrap();
    }
}
