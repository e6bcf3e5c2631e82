//! Stateful operations: every call in every state, every way to give and take memory, and every
//! race.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

mod host;
mod races;
mod recs;

use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use granule::GranuleState;
use realm::Numbering;
use realm::operation::OPERATIONS_MAX;
use rmi::ops::sro::{Awaits, Begun, Donated, Gift, Resumed};
use rmi::ops::{Cause, Operand};

use host::{AUX, Host, VAIN, at, list};

const ALL: Awaits = Awaits::Donation { granules: AUX };

fn machine() -> FakeMachine {
    FakeMachine::new(Profile::Small)
}

/// What four calls answer: CONTINUE, DONATE, RECLAIM, CANCEL, each on an operation of its own in
/// the same state.
fn row(prepare: impl Fn(&Host<'_>) -> u64) -> [Option<Cause>; 4] {
    let on = |call: fn(&Host<'_>, u64) -> Option<Cause>| {
        let machine = machine();
        let host = Host::new(&machine);
        let handle = prepare(&host);
        call(&host, handle)
    };
    [
        on(|host, handle| host.resume(handle).err()),
        on(|host, handle| {
            let [page] = host.delegated();
            host.donate(handle, &list(&[page])).err()
        }),
        on(|host, handle| host.reclaim(handle, 1).err()),
        on(|host, handle| host.cancel(handle).err()),
    ]
}

fn begin(host: &Host<'_>) -> u64 {
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let Begun { handle, awaits } = host.begin(rd, rec, Some(0)).unwrap();
    assert_eq!(awaits, ALL);
    handle
}

/// An operation that has got some granules.
fn begin_with<const COUNT: usize>(host: &Host<'_>) -> (u64, [u64; COUNT]) {
    let handle = begin(host);
    let pages = host.delegated();
    host.donate(handle, &list(&pages)).unwrap();
    (handle, pages)
}

#[test]
fn each_state_takes_one_kind_of_call() {
    let wrong = Some(Cause::NotAwaited);
    let run = row(|host| begin_with::<4>(host).0);
    assert_eq!(run, [None, wrong, wrong, Some(Cause::NotCancellable)]);
    assert_eq!(row(begin), [wrong, None, wrong, None]);
    let reclaim = row(|host| {
        let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
        host.rec(rd, rec, 0);
        host.begin_destroy(rec).unwrap().handle
    });
    assert_eq!(reclaim, [wrong, wrong, None, Some(Cause::NotCancellable)]);
    for handle in [1, OPERATIONS_MAX as u64, u64::MAX] {
        let unknown = row(|host| {
            begin(host);
            handle
        });
        assert_eq!(unknown, [Some(Cause::NoOperation); 4]);
    }
    let over = row(|host| {
        let handle = begin_with::<4>(host).0;
        assert_eq!(host.resume(handle), Ok(Resumed::Done));
        handle
    });
    assert_eq!(over, [Some(Cause::NoOperation); 4]);
}

#[test]
fn memory_is_given_in_any_portions() {
    let machine = machine();
    let host = Host::new(&machine);
    let handle = begin(&host);
    let [a, b, c, d] = host.delegated();
    let empty = Donated { granules: 0, awaits: ALL };
    assert_eq!(host.donate(handle, &[]), Ok(empty));
    assert_eq!(host.donate(handle, &[Gift { first: at(a), granules: 0 }]), Ok(empty));
    let two = Donated { granules: 2, awaits: Awaits::Donation { granules: 2 } };
    assert_eq!(host.donate(handle, &[Gift { first: at(a), granules: 2 }]), Ok(two));
    assert_eq!(host.state(b), GranuleState::RecAux);
    let all = Donated { granules: 2, awaits: Awaits::Continue };
    assert_eq!(host.donate(handle, &list(&[d, c])), Ok(all));
    assert_eq!(host.resume(handle), Ok(Resumed::Done));
}

#[test]
fn too_much_memory_is_refused_whole() {
    let machine = machine();
    let host = Host::new(&machine);
    let handle = begin(&host);
    let pages: [u64; 5] = host.delegated();
    assert_eq!(host.donate(handle, &list(&pages)), Err(Cause::DonationSize));
    for granules in [5, u64::MAX] {
        let gift = Gift { first: at(pages[0]), granules };
        assert_eq!(host.donate(handle, &[gift, gift]), Err(Cause::DonationSize));
    }
    assert!(pages.iter().all(|&page| host.state(page) == GranuleState::Delegated));
    assert_eq!(host.donate(handle, &list(&pages[..4])).map(|done| done.granules), Ok(4));
}

#[test]
fn granules_are_taken_up_to_the_first_bad_one() {
    let machine = machine();
    let host = Host::new(&machine);
    let handle = begin(&host);
    let [a, b, c, d] = host.delegated();
    let foreign = host.undelegated();
    assert_eq!(host.donate(handle, &list(&[foreign, a])), Err(Cause::DonationState));
    assert_eq!(host.donate(handle, &list(&[0x1000])), Err(Cause::DonationState));
    let past_the_end = Gift { first: at((1 << 52) - 4096), granules: 2 };
    assert_eq!(host.donate(handle, &[past_the_end]), Err(Cause::DonationState));
    let two = Donated { granules: 2, awaits: Awaits::Donation { granules: 2 } };
    assert_eq!(host.donate(handle, &list(&[a, b, foreign, c])), Ok(two));
    assert_eq!(host.state(c), GranuleState::Delegated);
    // The same page twice: it is not DELEGATED any more.
    let one = Donated { granules: 1, awaits: Awaits::Donation { granules: 1 } };
    assert_eq!(host.donate(handle, &list(&[c, c])), Ok(one));
    assert_eq!(host.donate(handle, &list(&[c])), Err(Cause::DonationState));
    assert_eq!(host.donate(handle, &list(&[d])).map(|done| done.awaits), Ok(Awaits::Continue));
}

#[test]
fn memory_comes_back_in_any_portions_and_only_if_the_host_learns_of_it() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let mut given = host.rec(rd, rec, 0).to_vec();
    let Begun { handle, awaits } = host.begin_destroy(rec).unwrap();
    assert_eq!(awaits, Awaits::Reclaim);
    assert_eq!(host.reclaim(handle, 0), Ok((Vec::new(), Awaits::Reclaim)));
    assert_eq!(host.reclaim_in_vain(handle), Err(VAIN));
    assert!(given.iter().all(|&page| host.state(page) == GranuleState::RecAux));
    let (mut pages, awaits) = host.reclaim(handle, 3).unwrap();
    assert_eq!((pages.len(), awaits), (3, Awaits::Reclaim));
    assert_eq!(host.reclaim_in_vain(handle), Err(VAIN));
    let (rest, awaits) = host.reclaim(handle, u64::MAX).unwrap();
    assert_eq!(awaits, Awaits::Continue);
    pages.extend(rest);
    pages.sort_unstable();
    given.sort_unstable();
    assert_eq!(pages, given);
    assert_eq!(host.state(rec), GranuleState::Partial);
    assert_eq!(host.resume(handle), Ok(Resumed::Done));
    assert_eq!(host.state(rec), GranuleState::Delegated);
    host.destroy_realm(rd).unwrap();
}

#[test]
fn an_operation_that_is_cancelled_gives_all_back() {
    let machine = machine();
    let host = Host::new(&machine);
    let handle = begin(&host);
    assert_eq!(host.cancel(handle), Ok(Awaits::Continue));
    assert_eq!(host.cancel(handle), Err(Cause::NotCancellable));
    assert_eq!(host.resume(handle), Err(Cause::Cancelled));
    assert_eq!(host.operations(), 0);

    let (handle, given) = begin_with::<3>(&host);
    assert_eq!(host.cancel(handle), Ok(Awaits::Reclaim));
    let mut pages = host.drain(handle);
    pages.sort_unstable();
    assert_eq!(pages, given);
    assert_eq!(host.resume(handle), Err(Cause::Cancelled));
    assert_eq!(host.operations(), 0);
    given.iter().for_each(|&page| host.undelegate(page).unwrap());
}

#[test]
fn after_a_failed_donation_the_host_may_give_up() {
    let machine = machine();
    let host = Host::new(&machine);
    let foreign = list(&[host.undelegated()]);
    let handle = begin(&host);
    assert_eq!(host.resume(handle), Err(Cause::NotAwaited));
    assert_eq!(host.donate(handle, &foreign), Err(Cause::DonationState));
    assert_eq!(host.resume(handle), Err(Cause::DonationState));
    assert_eq!(host.resume(handle), Err(Cause::NoOperation));

    let (handle, given) = begin_with::<2>(&host);
    assert_eq!(host.donate(handle, &foreign), Err(Cause::DonationState));
    assert_eq!(host.resume(handle), Ok(Resumed::Awaits(Awaits::Reclaim)));
    assert_eq!(host.drain(handle).len(), given.len());
    assert_eq!(host.resume(handle), Err(Cause::DonationState));

    // A donation that works makes up for it.
    let (handle, _) = begin_with::<2>(&host);
    assert_eq!(host.donate(handle, &foreign), Err(Cause::DonationState));
    let pages: [u64; 2] = host.delegated();
    host.donate(handle, &list(&pages[..1])).unwrap();
    assert_eq!(host.resume(handle), Err(Cause::NotAwaited));
    host.donate(handle, &list(&pages[1..])).unwrap();
    assert_eq!(host.resume(handle), Ok(Resumed::Done));
}

#[test]
fn a_list_that_cannot_be_read_is_a_failed_donation() {
    use rmi::ops::sro;
    let machine = machine();
    let host = Host::new(&machine);
    let handle = begin(&host);
    let unreadable = || Err::<core::iter::Empty<_>, _>(VAIN);
    assert_eq!(sro::donate(&host.cpu.rmm(), handle, unreadable), Err(VAIN));
    let [page] = host.delegated();
    let gift = Gift { first: at(page), granules: 1 };
    let misaligned = || Ok([Ok(gift), Err(Cause::DonationUnaligned)].into_iter());
    let refused = Err(Cause::DonationUnaligned);
    assert_eq!(sro::donate(&host.cpu.rmm(), handle, misaligned), refused);
    assert_eq!(host.state(page), GranuleState::Delegated);
    assert_eq!(host.resume(handle), Err(Cause::DonationState));
}

#[test]
fn failures_cost_no_slot() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let [rd_of_active] = [host.realm(Numbering::Free)];
    host.activate(rd_of_active).unwrap();
    let foreign = host.undelegated();
    for _ in 0..250 {
        assert_eq!(host.begin(rd, foreign, Some(0)), Err(Cause::State(Operand::Rec)));
        assert_eq!(host.begin(rec, rec, Some(0)), Err(Cause::State(Operand::Rec)));
        assert_eq!(host.begin(rd, rec, None), Err(Cause::RecIndex));
        assert_eq!(host.begin(rd_of_active, rec, Some(0)), Err(Cause::RealmState));
        let Begun { handle, .. } = host.begin(rd, rec, Some(0)).unwrap();
        assert_eq!(handle, 0);
        host.cancel(handle).unwrap();
        assert_eq!(host.resume(handle), Err(Cause::Cancelled));
    }
    assert_eq!(host.operations(), 0);
}

#[test]
fn a_full_house_hides_no_other_cause() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    for number in 0..OPERATIONS_MAX as u64 {
        let [rec] = host.delegated();
        assert_eq!(host.begin(rd, rec, Some(number)).map(|begun| begun.handle), Ok(number));
    }
    let foreign = host.undelegated();
    assert_eq!(host.begin(rd, rec, Some(64)), Err(Cause::NoSlot));
    assert_eq!(host.begin(rd, foreign, Some(64)), Err(Cause::State(Operand::Rec)));
    assert_eq!(host.begin(rd, rec, None), Err(Cause::RecIndex));
    host.cancel(17).unwrap();
    assert_eq!(host.resume(17), Err(Cause::Cancelled));
    assert_eq!(host.begin(rd, rec, Some(64)).map(|begun| begun.handle), Ok(17));
}

#[test]
fn an_abandoned_operation_keeps_what_it_has_and_harms_nobody() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let Begun { handle, .. } = host.begin(rd, rec, Some(5)).unwrap();
    assert_eq!(host.destroy_realm(rd), Err(Cause::RealmLive));
    assert_eq!(host.undelegate(rec), Err(Cause::Blocked(Operand::Granule)));
    assert!(!host.cpu.rmm().operations.is_idle());
    let (other, [second]) = (host.realm(Numbering::Free), host.delegated());
    host.rec(other, second, 5);
    host.destroy(second);
    host.destroy_realm(other).unwrap();
    assert_eq!((handle, host.operations()), (0, 1));
}
