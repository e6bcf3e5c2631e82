//! What this EL3 does for the monitor, and what the Normal world may order about it.

use crate::firmware::BOARD;
use crate::leaf::{self, Frame};
use cairn_el3::call;
use cairn_el3::edition::{Edition, NoReserve, Reserve};
use cairn_el3::firme::{self, Firme, Runs, Status};
use cairn_el3::gpt::{self, Gpi};
use cairn_el3::refuse::Refuse;
use cairn_el3::token;
use spin::Mutex;

/// The granule protection tables are changed by who holds this.
struct Granules {
    refuse: Refuse,
    firme: Firme,
}

static GRANULES: Mutex<Granules> =
    Mutex::new(Granules { refuse: Refuse::new(), firme: Firme::new() });

/// What moves the granule at an address to a target, or says why not.
type Change<'a> = dyn FnMut(u64, u64) -> Result<(), Status> + 'a;

static RESERVE: Mutex<Reserve> = Mutex::new(Reserve::new());

/// A service that the Normal world asks for, or an order about one: X0. FIRME is there for both
/// worlds.
pub(crate) fn of_normal_world(frame: &mut Frame, edition: Edition) -> u64 {
    let [x0, x1, x2, x3, ..] = frame.arguments();
    match x0 {
        call::REFUSE_NTH => {
            GRANULES.lock().refuse.nth(x1, x2.cast_signed());
            0
        }
        call::REFUSE_GRANULE => {
            GRANULES.lock().refuse.keep(x1, x2.cast_signed());
            0
        }
        call::COUNTS => {
            let refuse = GRANULES.lock().refuse;
            frame.set(1, refuse.moved);
            frame.set(2, refuse.refused);
            0
        }
        call::RUNS => {
            GRANULES.lock().firme.take_runs(Runs::from_number(x1, x2));
            0
        }
        firme::GPI_SET if edition.has_firme => {
            answer(frame, firme::set_by_normal_world([x1, x2, x3]).registers())
        }
        _ => of_both_worlds(frame, edition),
    }
}

/// A service that the monitor asks for: X0.
pub(crate) fn of_realm_world(frame: &mut Frame, edition: Edition) -> u64 {
    let [x0, x1, x2, x3, ..] = frame.arguments();
    match x0 {
        call::DELEGATE => GRANULES.lock().one(x1, Gpi::Realm),
        call::UNDELEGATE => GRANULES.lock().one(x1, Gpi::NonSecure),
        call::REALM_KEY => realm_key(frame, x1, x2),
        call::PLATFORM_TOKEN => platform_token(frame, x1, x2, x3),
        call::FEATURES if x1 == 0 => {
            frame.set(1, 0);
            0
        }
        call::FEATURES => call::INVALID,
        call::RESERVE_MEMORY if edition.is_v2 => reserve_memory(frame, edition, x1, x2),
        firme::GPI_SET if edition.has_firme => {
            let registers =
                GRANULES.lock().run(|firme, change| firme.set(edition, [x1, x2, x3], change));
            answer(frame, registers)
        }
        firme::GPI_OP_CONTINUE if edition.has_firme => {
            let registers =
                GRANULES.lock().run(|firme, change| firme.go_on_with(edition, x1, change));
            answer(frame, registers)
        }
        _ => of_both_worlds(frame, edition),
    }
}

/// What does not depend on who asks.
fn of_both_worlds(frame: &mut Frame, edition: Edition) -> u64 {
    let [x0, x1, x2, ..] = frame.arguments();
    match x0 {
        firme::SERVICE_VERSION if edition.has_firme => firme::service_version(x1),
        firme::SERVICE_FEATURES if edition.has_firme => {
            let [x0, x1] = firme::service_features(edition, x1, x2);
            frame.set(1, x1);
            x0
        }
        _ => call::UNKNOWN,
    }
}

/// Sets X1 and X2; X0.
fn answer(frame: &mut Frame, [x0, x1, x2]: [u64; 3]) -> u64 {
    frame.set(1, x1);
    frame.set(2, x2);
    x0
}

impl Granules {
    /// Moves a granule by a call of interface 0.x: X0.
    fn one(&mut self, pa: u64, to: Gpi) -> u64 {
        match self.refuse.asked(pa) {
            Some(code) => code.cast_unsigned(),
            None => change(&mut self.refuse, pa, to).map_or_else(|code| code, |()| 0),
        }
    }

    /// Moves granules by a call of FIRME: X0 to X2.
    fn run(&mut self, call: impl FnOnce(&mut Firme, &mut Change<'_>) -> firme::Answer) -> [u64; 3] {
        let Self { refuse, firme } = self;
        let mut ordered = None;
        let answer = call(firme, &mut |pa, target| {
            let to = if target == firme::REALM { Gpi::Realm } else { Gpi::NonSecure };
            if let Some(code) = refuse.asked(pa) {
                ordered = Some(code);
                return Err(Status::ordered(code));
            }
            change(refuse, pa, to).map_err(|code| Status::ordered(code.cast_signed()))
        });
        // The request had moved granules, and could not say why it went no further.
        if let Some(code) = ordered
            && answer.status == Status::Success
        {
            refuse.again(code);
        }
        answer.registers()
    }
}

/// Moves a granule, or not; the code of interface 0.x then.
fn change(refuse: &mut Refuse, pa: u64, to: Gpi) -> Result<(), u64> {
    let from = if to == Gpi::Realm { Gpi::NonSecure } else { Gpi::Realm };
    let place = gpt::place(&BOARD, pa).filter(|_| pa.is_multiple_of(0x1000));
    let (at, shift) = place.ok_or(call::BAD_ADDRESS)?;
    let word = leaf::read(at);
    // The monitor's own memory and the shared page are Realm too, but were never the Normal
    // world's.
    if !gpt::is(word, shift, from) || gpt::initial(&BOARD, pa) != Gpi::NonSecure {
        return Err(call::BAD_PAS);
    }
    leaf::write(at, gpt::with(word, shift, to));
    leaf::forget_granule_protection();
    refuse.moved += 1;
    Ok(())
}

fn reserve_memory(frame: &mut Frame, edition: Edition, size: u64, flags: u64) -> u64 {
    if !edition.has_memory {
        return call::NO_MEMORY;
    }
    match RESERVE.lock().take(&BOARD.monitor, size, flags) {
        Ok(pa) => {
            frame.set(1, pa);
            0
        }
        Err(NoReserve::Memory) => call::NO_MEMORY,
        Err(NoReserve::Flags) => call::INVALID,
    }
}

/// A key that anybody may know.
fn realm_key(frame: &mut Frame, buffer: u64, size: u64) -> u64 {
    const BYTES: u64 = 8 * token::KEY_WORDS as u64;
    if !BOARD.shared_buffer.contains(&buffer) || size < BYTES || !buffer.is_multiple_of(8) {
        return call::BAD_ADDRESS;
    }
    for (at, word) in (buffer..).step_by(8).zip(token::realm_key()) {
        leaf::write(at, word);
    }
    frame.set(1, BYTES);
    0
}

/// The token that the loader has brought; else one that says nothing, and the challenge. Whole: to
/// go on is invalid, as in TF-A up to 2.15.
fn platform_token(frame: &mut Frame, buffer: u64, size: u64, challenge: u64) -> u64 {
    /// COSE_Sign1 of nothing; then two nulls.
    const HEAD: u64 = u64::from_le_bytes([0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40, 0xf6, 0xf6]);
    if !BOARD.shared_buffer.contains(&buffer) || !buffer.is_multiple_of(8) {
        return call::BAD_ADDRESS;
    }
    let fits = buffer.checked_add(size).is_some_and(|end| end <= BOARD.shared_buffer.end);
    if !matches!(challenge, 32 | 48 | 64) || !fits || size < challenge + 8 {
        return call::INVALID;
    }
    let length = leaf::read(BOARD.token());
    if length != 0 {
        if length > size {
            return call::INVALID;
        }
        for offset in (0..length).step_by(8) {
            leaf::write(buffer + offset, leaf::read(BOARD.token() + 8 + offset));
        }
        frame.set(1, length);
        frame.set(2, 0);
        return 0;
    }
    // The challenge moves on by a word.
    let mut word = HEAD;
    for offset in (0..challenge + 8).step_by(8) {
        let next = leaf::read(buffer + offset);
        leaf::write(buffer + offset, word);
        word = next;
    }
    frame.set(1, challenge + 8);
    frame.set(2, 0);
    0
}
