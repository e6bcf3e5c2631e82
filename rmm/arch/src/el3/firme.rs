//! FIRME's granule service: how it is found, and what its answers mean.
//!
//! Who makes the call is left to the caller: the image passes the SMC, tests pass an EL3 of their
//! own.
//!
//! | Answer | Granules in X1 that were changed | What follows |
//! | --- | --- | --- |
//! | success | at least one; may be fewer than asked | a new request for the rest |
//! | incomplete | some, or none | CONTINUE with the cookie, until EL3 ends the operation |
//! | busy | none | another try; CONTINUE has a new cookie then |
//! | denied, conflict, not found | some, or none | the next granule is refused |
//! | invalid, to a count above 1 | none | granules one by one from now on |
//! | anything else | none | the first granule is refused |
//!
//! Codes are those of crate `arm-firme`, which takes X0 as the 32 bits that it is.
//!
//! Source: FIRME (Arm DEN0149) 1.0, "Granule management"; as TF-A main of 2026-08 answers.

use core::sync::atomic::{AtomicU8, Ordering};

use arm_firme::features::{
    BaseServiceFeaturesRegister1, FeatureRegister, GranuleManagementFeaturesRegister0,
    GranuleManagementFeaturesRegister1, PhysicalGranuleSize,
};
use arm_firme::{
    Error, Function, GpiAccessType, GpiOpContinueStatus, GpiSetStatus, Response, ServiceId,
    StatusCode,
};
use machine::{El3Error, GRANULE_SIZE, GranuleAddr, Pas};

use super::GranuleCalls;

/// Major version of the base and of the granule service.
const MAJOR: u16 = 1;

/// Most answers in a row with which nothing has moved: EL3 is busy, or goes on without going on.
const IDLE_MAX: u32 = 64;

/// Code for an answer that breaks the rules, and for a status that has no other.
const UNKNOWN: El3Error = El3Error(-1);
/// Code for "invalid parameters".
const INVALID: El3Error = El3Error(-2);

/// A status that carries out nothing, in the numbers of interface 0.x.
const fn translated(status: StatusCode) -> El3Error {
    match status {
        StatusCode::Success | StatusCode::Incomplete | StatusCode::NotSupported => UNKNOWN,
        StatusCode::InvalidParameters => INVALID,
        // The granule is not in the address space that it has to be in, or its table does not
        // exist.
        StatusCode::Denied | StatusCode::NotFound => El3Error(-3),
        StatusCode::NoMemory => El3Error(-4),
        StatusCode::AlreadyExists | StatusCode::BadData => El3Error(-5),
        StatusCode::Busy => El3Error::AGAIN,
        StatusCode::Aborted => El3Error(-7),
        StatusCode::OpConflict => El3Error::CONFLICT,
    }
}

/// What an answer means for the granules that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// So many were moved, and the operation is over.
    Moved(u64),
    /// So many were moved, and EL3 keeps the operation: it goes on with this cookie.
    Kept { moved: u64, cookie: u64 },
    /// So many were moved; the operation is over, since the next granule was refused.
    Refused { moved: u64, code: El3Error },
}

/// Judges the answer to a request about `asked` granules, or about as many as are left of an
/// operation.
///
/// More granules than were asked for count as all of them.
fn judge(answer: Result<Response, Error>, asked: u64) -> Verdict {
    let succeeded = |count: u64| match count.min(asked) {
        0 if asked != 0 => Verdict::Refused { moved: 0, code: UNKNOWN },
        moved => Verdict::Moved(moved),
    };
    let kept = |count: u64, cookie| Verdict::Kept { moved: count.min(asked), cookie };
    let refused =
        |status, count: u64| Verdict::Refused { moved: count.min(asked), code: translated(status) };
    match answer {
        Ok(Response::GmGpiSet { response }) => match response {
            GpiSetStatus::Complete { granule_count } => succeeded(granule_count),
            GpiSetStatus::Incomplete { granule_count, cookie } => kept(granule_count, cookie),
            GpiSetStatus::Error { status, granule_count } => refused(status, granule_count),
        },
        Ok(Response::GmGpiOpContinue { response }) => match response {
            GpiOpContinueStatus::Complete { granule_count } => succeeded(granule_count),
            GpiOpContinueStatus::Incomplete { granule_count, cookie } => {
                kept(granule_count, cookie)
            }
            GpiOpContinueStatus::Busy { cookie } => kept(0, cookie),
            GpiOpContinueStatus::Error { status, granule_count } => refused(status, granule_count),
        },
        Err(Error::UnsuccessfulCall(status)) => refused(status, 0),
        // A status that does not exist, or the answer to another call.
        Ok(_) | Err(_) => Verdict::Refused { moved: 0, code: UNKNOWN },
    }
}

/// Makes a call: `el3` takes X0 to X3 and gives X0 to X2.
// Out of line: discovery alone would hold five copies.
#[inline(never)]
fn call(el3: &impl Fn([u64; 4]) -> [u64; 3], function: Function) -> Result<Response, Error> {
    let mut registers = [0; 18];
    function.copy_to_array(&mut registers);
    let [x0, x1, x2, x3, ..] = registers;
    let [x0, x1, x2] = el3([x0, x1, x2, x3]);
    let mut registers = [0; 18];
    let [r0, r1, r2, ..] = &mut registers;
    (*r0, *r1, *r2) = (x0, x1, x2);
    Response::try_from((function.id(), &registers))
}

/// EL3's granule service, and what is known about it.
#[derive(Debug)]
pub struct GranuleService(AtomicU8);

/// Bits of [`GranuleService`]: GPI_SET is there, ...
const THERE: u8 = 1;
/// ... CONTINUE as well, ...
const CONTINUES: u8 = 2;
/// ... and a count other than 1 was refused.
const SINGLE: u8 = 4;

impl GranuleService {
    /// No service has been found.
    pub const fn absent() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Looks for the service; `el3` takes X0 to X3 and gives X0 to X2.
    ///
    /// Source: FIRME (Arm DEN0149) 1.0, "Discovery".
    pub fn discover(&self, el3: impl Fn([u64; 4]) -> [u64; 3]) -> GranuleCalls {
        let found = discover(&el3);
        let continues = found.is_some_and(|calls| {
            calls.contains(GranuleManagementFeaturesRegister0::GPI_OP_CONTINUE)
        });
        let (bits, calls) = match (found, continues) {
            (None, _) => (0, GranuleCalls::OneByOne),
            (Some(_), false) => (THERE, GranuleCalls::Runs),
            (Some(_), true) => (THERE | CONTINUES, GranuleCalls::ContinuedRuns),
        };
        self.0.store(bits, Ordering::Relaxed);
        calls
    }

    /// Whether it has been found.
    #[inline(always)]
    pub fn is_there(&self) -> bool {
        self.has(THERE)
    }

    /// Whether EL3 has refused a count other than 1.
    pub fn is_single(&self) -> bool {
        self.has(SINGLE)
    }

    #[inline(always)]
    fn has(&self, bit: u8) -> bool {
        self.0.load(Ordering::Relaxed) & bit != 0
    }

    /// Moves `count` granules from `first` on, or fewer, but at least one; how many were moved.
    ///
    /// Between two requests an interrupt ends it; an operation that EL3 keeps is carried to its end
    /// even so, because EL3 would meet the next request about that memory with a conflict.
    ///
    /// # Errors
    ///
    /// What EL3 says to the first granule, in the codes of interface 0.x.
    pub fn set_pas(
        &self,
        el3: impl Fn([u64; 4]) -> [u64; 3],
        interrupted: impl Fn() -> bool,
        first: GranuleAddr,
        count: u64,
        to: Pas,
    ) -> Result<u64, El3Error> {
        let known_single = self.has(SINGLE);
        let (mut done, mut idle, mut single) = (0, 0, known_single);
        loop {
            let asked = if single { 1 } else { count - done };
            let base = first.as_u64() + done * GRANULE_SIZE;
            let (moved, end) = self.operation(&el3, base, asked, to);
            done += moved;
            let goes_on = match end {
                Ok(()) => true,
                Err(El3Error::AGAIN) => {
                    idle = if moved == 0 { idle + 1 } else { 0 };
                    idle < IDLE_MAX
                }
                // The count, or one of the granules: the first alone tells.
                Err(INVALID) if moved == 0 && asked != 1 => {
                    single = true;
                    continue;
                }
                Err(_) => false,
            };
            if end.is_ok() && single && !known_single {
                self.0.fetch_or(SINGLE, Ordering::Relaxed);
            }
            if done < count && goes_on && !interrupted() {
                continue;
            }
            // The caller meets a refusal again when it goes on from here.
            return match end {
                Err(code) if done == 0 => Err(code),
                Ok(()) | Err(_) => Ok(done),
            };
        }
    }

    /// One operation, from GPI_SET to its end: how many granules it has moved, and how it ended.
    fn operation(
        &self,
        el3: &impl Fn([u64; 4]) -> [u64; 3],
        base_address: u64,
        asked: u64,
        to: Pas,
    ) -> (u64, Result<(), El3Error>) {
        let target_gpi = match to {
            Pas::Realm => GpiAccessType::Realm,
            Pas::NonSecure => GpiAccessType::NonSecure,
        };
        let mut function = Function::GmGpiSet { base_address, granule_count: asked, target_gpi };
        let (mut done, mut idle) = (0, 0);
        loop {
            match judge(call(el3, function), asked - done) {
                Verdict::Moved(moved) => return (done + moved, Ok(())),
                Verdict::Refused { moved, code } => return (done + moved, Err(code)),
                Verdict::Kept { moved, cookie } => {
                    done += moved;
                    idle = if moved == 0 { idle + 1 } else { 0 };
                    if !self.has(CONTINUES) || idle > IDLE_MAX {
                        return (done, Err(UNKNOWN));
                    }
                    function = Function::GmGpiOpContinue { cookie };
                }
            }
        }
    }
}

/// The calls of the granule service; `None` if it is missing, of another version, or of no use.
fn discover(el3: &impl Fn([u64; 4]) -> [u64; 3]) -> Option<GranuleManagementFeaturesRegister0> {
    let has_version = |service_id| match call(el3, Function::ServiceVersion { service_id }) {
        Ok(Response::ServiceVersion { service_version }) => service_version.major == MAJOR,
        Ok(_) | Err(_) => false,
    };
    let register = |service_id, feature_reg_index| {
        let asked = Function::ServiceFeatures { service_id, feature_reg_index };
        match call(el3, asked) {
            Ok(Response::ServiceFeatures { register }) => Some(register),
            Ok(_) | Err(_) => None,
        }
    };
    let services = |register: FeatureRegister| BaseServiceFeaturesRegister1::from(register);
    if !has_version(ServiceId::Base)
        || !services(register(ServiceId::Base, 1)?)
            .contains(BaseServiceFeaturesRegister1::GRANULE_MANAGEMENT)
        || !has_version(ServiceId::GranuleManagement)
    {
        return None;
    }
    let calls =
        register(ServiceId::GranuleManagement, 0).map(GranuleManagementFeaturesRegister0::from)?;
    let sizes =
        register(ServiceId::GranuleManagement, 1).map(GranuleManagementFeaturesRegister1::from)?;
    // Counts in granules of another size would move memory that nobody has asked for.
    let same_size = sizes.physical_granule_size() == Ok(PhysicalGranuleSize::KB4);
    (calls.contains(GranuleManagementFeaturesRegister0::GPI_SET) && same_size).then_some(calls)
}

#[cfg(test)]
mod tests;
