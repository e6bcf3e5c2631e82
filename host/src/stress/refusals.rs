//! An EL3 that refuses granule changes when it is told to, and a host that does what Linux does: it
//! undoes what it has begun, and leaks a page that is not given back.
//!
//! Only the EL3 of `tests/el3` takes these orders.

use super::lives::Lives;
use super::small::Small;
use crate::dialect::Reached;
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::Status;
use crate::rmi::abi::VERSION_1_0;
use core::ops::Range;

/// Orders to EL3: see `cairn_el3::call`.
const REFUSE_NTH: u64 = 0xc200_0001;
const REFUSE_GRANULE: u64 = 0xc200_0002;
const COUNTS: u64 = 0xc200_0003;
const STRANGER: u64 = 0xc200_0004;

/// Codes with which EL3 refuses.
const BAD_PAS: i64 = -3;
const AGAIN: i64 = -6;

/// Refusals in one life at most: a life has fewer granule changes.
const MOST: u64 = 500;

fn order(host: &Host, function: u64, subject: u64, code: i64) -> Result<(u64, u64), Failure> {
    let args = [function, subject, code.cast_unsigned(), 0, 0, 0, 0];
    match host.machine().smc(args) {
        [0, moved, refused, ..] => Ok((moved, refused)),
        _ => Err("this EL3 takes no orders: it is not that of the tests".into()),
    }
}

/// Makes the CPU with this index differ from the others from its next start on; none if it is 0.
///
/// # Errors
///
/// The EL3 is another one.
pub fn make_stranger(host: &Host, cpu: u64) -> Result<(), Failure> {
    order(host, STRANGER, cpu, 0).map(|_| ())
}

/// Refuses each granule change of a Realm's life, one after the other.
///
/// # Errors
///
/// A refusal led to anything but a clean failure or a leak, or memory is not what the manifest
/// says.
pub fn run(host: &Host, program: &[u8], memory: &[Range<u64>]) -> Result<(), Failure> {
    let lives = Lives::new(host, program);
    lives.whole(1, 0x5ec2_e7fc_0000_0001)?;
    edges(host, memory)?;
    // Every change is refused once: in building (which is undone) and in taking apart (which
    // leaks).
    let mut lost = 0;
    let mut failed = 0_u64;
    for nth in 0..MOST {
        let (_, before) = order(host, COUNTS, 0, 0)?;
        order(host, REFUSE_NTH, nth, BAD_PAS)?;
        let lived = lives.whole(2 + nth, 0x5ec2_e7fb_0000_0001 | nth << 16);
        order(host, REFUSE_NTH, 0, 0)?;
        let (_, after) = order(host, COUNTS, 0, 0)?;
        if after == before {
            // This life had no change with that number.
            lived?;
            break;
        }
        let leaked = host.leaks().len();
        match lived {
            Err(_) if leaked == lost => failed += 1,
            Ok(()) if leaked == lost + 1 => {}
            Ok(()) => return Err(failure!("change {nth} was refused, and nobody noticed")),
            Err(failure) => return Err(failure!("change {nth} was refused: {failure}")),
        }
        lost = leaked;
    }
    if failed == 0 || lost == 0 {
        return Err("nothing was refused".into());
    }
    host.log(format_args!("{failed} refusals were undone, {lost} granules leaked"));
    // Every other one comes back after all; before that, EL3 refuses once more. "Again" is no
    // refusal for a Host of 2.0, which tries until it is done.
    let code = if host.dialect().version() == VERSION_1_0 { AGAIN } else { BAD_PAS };
    for leak in host.leaks().into_iter().step_by(2) {
        order(host, REFUSE_GRANULE, leak.pa, code)?;
        if host.retry(leak).is_ok() {
            return Err("EL3 refused, but the monitor gave a granule back".into());
        }
        order(host, REFUSE_GRANULE, 0, 0)?;
        host.retry(leak)?;
    }
    let (moved, refused) = order(host, COUNTS, 0, 0)?;
    let line = |text: core::fmt::Arguments<'_>| host.machine().console_line(text);
    line(format_args!("@cairn {{\"event\":\"el3\",\"moved\":{moved},\"refused\":{refused}}}"));
    for leak in host.leaks() {
        line(format_args!("@cairn {{\"event\":\"leak\",\"granule\":{}}}", leak.pa));
    }
    host.account_for_leaks()
}

fn done(reached: Reached) -> Result<(), Failure> {
    reached.refusal.map_or(Ok(()), |error| Err(error.into()))
}

/// The banks begin and end where the board says: the first and last granules can be delegated,
/// their neighbours not.
fn edges(host: &Host, memory: &[Range<u64>]) -> Result<(), Failure> {
    let dialect = host.dialect();
    for bank in memory {
        let last = bank.end - PAGE_SIZE;
        done(dialect.delegate(host, last, bank.end))?;
        done(dialect.undelegate(host, last, bank.end))?;
        for outside in [bank.start - PAGE_SIZE, bank.end] {
            match dialect.delegate(host, outside, outside + PAGE_SIZE).refusal {
                Some(error) if matches!(error.status, Status::Input | Status::Tracking) => {}
                Some(error) => return Err(error.into()),
                None => return Err(failure!("{outside:#x} is no memory of the manifest's")),
            }
        }
    }
    // A Realm's whole life in the last bank too.
    let last = memory.last().ok_or("there is no memory")?;
    let pool = host.only_from(last.start);
    let mut realm = Small::create(host, 3)?;
    let far = realm.rd >= last.start;
    realm.tables_to(host, 0)?;
    realm.destroy(host)?;
    host.put_away(pool);
    if far { Ok(()) } else { Err("the Realm is not in the last bank".into()) }
}
