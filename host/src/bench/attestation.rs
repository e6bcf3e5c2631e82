//! Attestation tokens: what one costs, and how long the Host waits for its CPU while one is
//! computed.

use super::guest::{Guest, TOKEN};
use crate::failure::Failure;

const INIT: u64 = 0xc400_0194;
const CONTINUE: u64 = 0xc400_0195;
/// RSI_INCOMPLETE.
const INCOMPLETE: u64 = 3;
const EXIT_IRQ: u64 = 1;

/// Asks for all of the token at once.
const WHOLE: [u64; 4] = [CONTINUE, TOKEN, 0, 4096];

/// When interrupts come, in instructions after the counter was read: from before the Realm runs to
/// the third slice. The first slice is the draft. The step divides no slice, so that they hit each
/// one somewhere else.
const DELAYS: core::ops::Range<u64> = 500..60_000;
const DELAY_STEP: usize = 113;

/// Measures a token made in one go, then how long an interrupt may have to wait for it.
pub(super) fn run(guest: &Guest<'_>) -> Result<(), Failure> {
    let challenge = [INIT, 1, 2, 3, 4, 5, 6, 7, 8];
    let init = guest.call(&challenge)?;
    guest.bench.instructions("attest_token_init", init);
    guest.bench.instructions("attest_token", init + guest.call(&WHOLE)?);
    guest.bench.instructions("attest_slice", longest_slice(guest)?);
    Ok(())
}

/// The longest time from an interrupt to the end of RMI_REC_ENTER while a token is computed.
pub(super) fn longest_slice(guest: &Guest<'_>) -> Result<u64, Failure> {
    let challenge = [INIT, 1, 2, 3, 4, 5, 6, 7, 8];
    let mut longest = 0;
    let mut finished = true;
    for delay in DELAYS.step_by(DELAY_STEP) {
        if finished {
            guest.call(&challenge)?;
        }
        longest = longest.max(interrupted(guest, delay)?);
        finished = match guest.result() {
            (0, _) => true,
            (INCOMPLETE, _) => false,
            (x0, _) => return Err(failure!("RSI_ATTESTATION_TOKEN_CONTINUE returned {x0:#x}")),
        };
    }
    Ok(longest)
}

/// Lets the Realm go on with its token until an interrupt comes; how long that had to wait.
fn interrupted(guest: &Guest<'_>, delay: u64) -> Result<u64, Failure> {
    let machine = guest.bench.host.machine();
    guest.ask(&WHOLE);
    let due = machine.counter() + delay;
    machine.arm_timer(Some(due));
    let (_, reason) = guest.enter_for(0)?;
    let after = machine.counter();
    machine.arm_timer(None);
    machine.take_interrupts();
    if reason != EXIT_IRQ {
        return Ok(0);
    }
    // The Realm finds out why its call came back, or makes it only now.
    guest.enter_for(0)?;
    Ok(after.saturating_sub(due))
}
