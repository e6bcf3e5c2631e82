//! Several CPUs at the same operation, or at what it has.

use std::thread;
use std::time::Duration;

use granule::{GranuleAddr, GranuleState};
use realm::Numbering;
use rmi::ops::sro::{self, Awaits, Begun, Gift, Resumed};
use rmi::ops::{Cause, Operand, rec};

use crate::host::{AUX, Host, VAIN, at, delegate, donate, list, named, undelegate, wanted};
use crate::machine;

#[test]
fn a_second_cpu_at_the_same_handle_is_told_to_wait() {
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec, other]) = (host.realm(Numbering::Free), host.delegated());
    let Begun { handle, .. } = host.begin(rd, rec, Some(0)).unwrap();
    let Begun { handle: second, .. } = host.begin(rd, other, Some(1)).unwrap();
    let [page] = host.delegated();
    let neighbour = machine.cpu(1);
    let read = || {
        let rmm = neighbour.rmm();
        assert_eq!(sro::resume(&rmm, handle), Err(Cause::Busy));
        assert_eq!(donate(&rmm, handle, &[]), Err(Cause::Busy));
        assert_eq!(sro::cancel(&rmm, handle), Err(Cause::Busy));
        let told = |_: &[GranuleAddr]| Ok(());
        assert_eq!(sro::reclaim(&rmm, handle, 1, told), Err(Cause::Busy));
        // The neighbour's own operation goes on.
        assert_eq!(donate(&rmm, second, &[]).map(|done| done.granules), Ok(0));
        Ok([Ok(Gift { first: at(page), granules: 1 })].into_iter())
    };
    let done = sro::donate(&host.cpu.rmm(), handle, read).unwrap();
    assert_eq!(done.granules, 1);
    machine.quiesce();
    host.check();
}

/// A granule is the Host's once it has been told so, not earlier.
#[test]
fn a_granule_cannot_be_given_back_before_the_host_is_told() {
    for is_told in [false, true] {
        let machine = machine();
        let host = Host::new(&machine);
        let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
        let [page, ..] = host.rec(rd, rec, 0);
        let Begun { handle, .. } = host.begin_destroy(rec).unwrap();
        machine.unleash();
        let outcome = thread::scope(|scope| {
            let mut early = None;
            let tell = |_: &[GranuleAddr]| {
                early = Some(scope.spawn(|| {
                    let cpu = machine.cpu(1);
                    let rmm = cpu.rmm();
                    undelegate(&rmm, page)
                }));
                thread::sleep(Duration::from_millis(30));
                if is_told { Ok(()) } else { Err(VAIN) }
            };
            let result = sro::reclaim(&host.cpu.rmm(), handle, AUX, tell);
            assert_eq!(result.is_ok(), is_told);
            early.unwrap().join().unwrap()
        });
        let expected = if is_told { Ok(()) } else { Err(Cause::RangeState { addr: at(page) }) };
        assert_eq!(outcome, expected);
        machine.quiesce();
        host.check();
    }
}

/// Of a donation and an undelegation of one page exactly one wins.
#[test]
fn a_page_is_given_once() {
    const TURNS: u64 = 60;
    let machine = machine();
    let host = Host::new(&machine);
    let (rd, [rec]) = (host.realm(Numbering::Free), host.delegated());
    let [page] = host.delegated();
    for _ in 0..TURNS {
        let Begun { handle, .. } = host.begin(rd, rec, Some(0)).unwrap();
        machine.unleash();
        let (given, back) = thread::scope(|scope| {
            let back = scope.spawn(|| {
                let cpu = machine.cpu(1);
                let rmm = cpu.rmm();
                undelegate(&rmm, page)
            });
            (donate(&host.cpu.rmm(), handle, &list(&[page])), back.join().unwrap())
        });
        machine.quiesce();
        host.check();
        assert_ne!(given.is_ok(), back.is_ok(), "{given:?}, {back:?}");
        if given.is_ok() {
            host.cancel(handle).unwrap();
            host.drain(handle);
        } else {
            let rmm = host.cpu.rmm();
            delegate(&rmm, page).unwrap();
        }
        host.resume(handle).unwrap_err();
    }
    assert_eq!(host.state(rec), GranuleState::Delegated);
}

/// All CPUs make and end the same few RECs of the same few pages, each with handles of its own and
/// of others.
#[test]
fn whatever_the_cpus_do_all_comes_back() {
    const CPUS: usize = 4;
    const TURNS: u64 = 6_000;
    let machine = machine();
    let host = Host::new(&machine);
    let rd = host.realm(Numbering::Free);
    let recs: [u64; 3] = host.delegated();
    let pages: [u64; 14] = host.delegated();
    machine.unleash();
    thread::scope(|scope| {
        for cpu in 0..CPUS {
            let (machine, recs, pages) = (&machine, &recs, &pages);
            scope.spawn(move || {
                let cpu_of = machine.cpu(cpu);
                let rmm = cpu_of.rmm();
                let mut dice = 0x9e37_79b9_7f4a_7c15_u64 ^ (cpu as u64 + 1);
                let mut roll = |below: u64| {
                    dice ^= dice << 13;
                    dice ^= dice >> 7;
                    dice ^= dice << 17;
                    dice % below
                };
                for _ in 0..TURNS {
                    let rec = recs[usize::try_from(roll(3)).unwrap()];
                    let first = usize::try_from(roll(11)).unwrap();
                    let (handle, number) = (roll(4), roll(3));
                    let named_rec = named(&rmm, Operand::Rec, rec);
                    let is_ok = match roll(9) {
                        0 => {
                            let rd = named(&rmm, Operand::Rd, rd);
                            rec::begin_create(&rmm, rd, named_rec, &wanted(Some(number))).is_ok()
                        }
                        1 => rec::begin_destroy(&rmm, named_rec).is_ok(),
                        2..=4 => donate(&rmm, handle, &list(&pages[first..first + 2])).is_ok(),
                        5 => sro::reclaim(&rmm, handle, 1 + number, |_| Ok(())).is_ok(),
                        6 => sro::cancel(&rmm, handle).is_ok() && number == 0,
                        _ => sro::resume(&rmm, handle).is_ok(),
                    };
                    core::hint::black_box(is_ok);
                }
            });
        }
    });
    machine.quiesce();
    host.check();
    let waiting: Vec<_> = host.cpu.rmm().operations.waiting().collect();
    for (handle, unfinished) in waiting {
        if unfinished.awaits.is_cancellable() {
            host.cancel(handle).unwrap();
        }
        while host.reclaim(handle, 1).is_ok() {}
        if host.resume(handle) == Ok(Resumed::Awaits(Awaits::Reclaim)) {
            host.drain(handle);
            host.resume(handle).unwrap_err();
        }
    }
    for rec in recs {
        if host.state(rec) == GranuleState::Rec {
            host.destroy(rec);
        }
    }
    host.destroy_realm(rd).unwrap();
    assert_eq!(host.operations(), 0);
    for page in recs.into_iter().chain(pages) {
        assert_eq!(host.state(page), GranuleState::Delegated);
    }
}
