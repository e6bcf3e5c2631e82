//! The platform token, put together from the hunks in which EL3 gives it.

use machine::El3Error;

/// EL3's code for "no room".
pub const NO_MEMORY: El3Error = El3Error(-4);
/// EL3's code for anything else.
pub const UNKNOWN: El3Error = El3Error(-1);

/// First version of the interface in which the token comes in hunks, and X2 tells how much is left:
/// 0.3. 2.0 is as 0.8.
const SINCE: u64 = 3;

/// Most bytes of a hunk: it comes through one page.
const HUNK_MAX: usize = 4096;

/// Whether an EL3 that speaks this version of the interface (major in bits 30:16, minor in 15:0)
/// gives hunks.
pub const fn are_given(interface: u64) -> bool {
    interface >= SINCE
}

/// Fills `into` with a token; its length in bytes. `request` makes one request, with X3 as its
/// argument (the size of the challenge at first, 0 to go on), and gives back the size of the hunk
/// and of what is left; `read` copies a hunk.
///
/// # Errors
///
/// EL3's code, or one of its codes if what it says makes no sense or the token does not fit.
///
/// Source: RMM-EL3 communication interface 0.1 and 0.3, `RMM_ATTEST_GET_PLAT_TOKEN`.
pub fn collect(
    into: &mut [u8],
    challenge_bytes: u64,
    in_hunks: bool,
    mut request: impl FnMut(u64) -> Result<(u64, u64), El3Error>,
    mut read: impl FnMut(&mut [u8]),
) -> Result<usize, El3Error> {
    let mut done = 0;
    let mut argument = challenge_bytes;
    loop {
        let (hunk, left) = request(argument)?;
        let hunk = usize::try_from(hunk).ok().filter(|&hunk| hunk <= HUNK_MAX).ok_or(NO_MEMORY)?;
        let room = into.get_mut(done..).and_then(|room| room.get_mut(..hunk)).ok_or(NO_MEMORY)?;
        read(room);
        done += hunk;
        // An EL3 that gives the token whole does not say what is left: X2 stays as it was.
        if left == 0 || !in_hunks {
            return Ok(done);
        }
        if hunk == 0 {
            return Err(UNKNOWN);
        }
        argument = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects from an EL3 that gives these answers; the token and the arguments of the requests.
    fn token(
        room: usize,
        in_hunks: bool,
        answers: &[Result<(u64, u64), El3Error>],
    ) -> (Result<Vec<u8>, El3Error>, Vec<u64>) {
        let (mut answers, mut arguments) = (answers.iter(), Vec::new());
        let mut into = vec![0; room];
        let mut number = 0;
        let request = |argument| {
            arguments.push(argument);
            *answers.next().expect("a request too many")
        };
        let read = |hunk: &mut [u8]| {
            number += 1;
            hunk.fill(number);
        };
        let length = collect(&mut into, 32, in_hunks, request, read);
        (length.map(|length| into[..length].to_vec()), arguments)
    }

    #[test]
    fn hunks_are_put_one_behind_the_other() {
        let (token, arguments) = token(10, true, &[Ok((3, 4)), Ok((2, 2)), Ok((2, 0))]);
        assert_eq!((token, arguments), (Ok(vec![1, 1, 1, 2, 2, 3, 3]), vec![32, 0, 0]));
    }

    #[test]
    fn an_older_interface_gives_the_token_whole_whatever_is_in_x2() {
        assert!(!are_given(1) && !are_given(2) && are_given(3) && are_given(8));
        assert!(are_given(0x2_0000));
        assert_eq!(token(10, false, &[Ok((5, 4096))]), (Ok(vec![1; 5]), vec![32]));
        assert_eq!(token(10, true, &[Ok((5, 0))]), (Ok(vec![1; 5]), vec![32]));
    }

    #[test]
    fn what_does_not_fit_or_makes_no_sense_is_refused() {
        let refused = |room, answers: &[_]| token(room, true, answers).0.unwrap_err();
        assert_eq!(refused(4, &[Ok((5, 0))]), NO_MEMORY);
        assert_eq!(refused(5, &[Ok((3, 3)), Ok((3, 0))]), NO_MEMORY);
        assert_eq!(refused(9000, &[Ok((4097, 0))]), NO_MEMORY);
        assert_eq!(refused(9000, &[Ok((u64::MAX, 0))]), NO_MEMORY);
        assert_eq!(refused(10, &[Ok((3, 3)), Ok((0, 3))]), UNKNOWN);
        assert_eq!(refused(10, &[Ok((3, 3)), Err(El3Error(-5))]), El3Error(-5));
        assert_eq!(refused(10, &[Err(El3Error::AGAIN)]), El3Error::AGAIN);
    }
}
