//! Calls to EL3.

/// End of a request of the Host; returns with the next one.
pub const REQ_COMPLETE: u64 = 0xc400_018f;
/// End of this CPU's boot; returns with the Host's first request.
pub const BOOT_COMPLETE: u64 = 0xc400_01cf;
/// Moves a granule from the Non-secure to the Realm physical address space.
pub const GTSI_DELEGATE: u64 = 0xc400_01b0;
/// Moves a granule from the Realm to the Non-secure physical address space.
pub const GTSI_UNDELEGATE: u64 = 0xc400_01b1;
/// Writes the realm attestation key to the shared buffer.
pub const ATTEST_GET_REALM_KEY: u64 = 0xc400_01b2;
/// Writes the platform token, or a part of it, to the shared buffer.
pub const ATTEST_GET_PLAT_TOKEN: u64 = 0xc400_01b3;
/// Which of the architecture's calls EL3 has.
pub const ARCH_FEATURES: u64 = 0x8000_0001;
/// What EL3 has opened to the caller's world, by the register that controls it.
pub const ARCH_FEATURE_AVAILABILITY: u64 = 0xc000_0003;
/// The same call by its number for 32 bits, under which some EL3 know of it.
pub const ARCH_FEATURE_AVAILABILITY_32: u64 = 0x8000_0003;
/// Optional features of EL3, by index.
pub const EL3_FEATURES: u64 = 0xc400_01b4;

/// A request of the Host: X0 to X7 of its SMC.
pub type Request = [u64; 8];

/// The answer to a request with interface 2.0: X0 to X7 of the Host.
pub type Reply = [u64; 8];

/// The answer to a request with interface 0.x: X0 to X4 of the Host.
pub type ShortReply = [u64; 5];

#[cfg(target_os = "none")]
mod calls {
    use core::arch::asm;

    use super::{BOOT_COMPLETE, REQ_COMPLETE, Reply, Request, ShortReply};

    /// Hands the Host its answer and waits for its next request, with interface 0.x.
    ///
    /// EL3 brings X8 to X30, SP and the EL2 registers back as they were. It answers X1 to X5 to the
    /// Host as X0 to X4.
    ///
    /// Source: RMM-EL3 communication interface 0.x, `RMM_RMI_REQ_COMPLETE`.
    #[inline(always)]
    pub(crate) fn complete_short(reply: ShortReply) -> Request {
        forward(REQ_COMPLETE, reply)
    }

    /// The same with interface 2.0: EL3 answers X1 to X8 to the Host as X0 to X7. X8 comes back as
    /// it was.
    ///
    /// Source: RMM-EL3 communication interface 2.0, `RMM_RMI_REQ_COMPLETE`.
    #[inline(always)]
    pub(crate) fn complete([r0, r1, r2, r3, r4, r5, r6, r7]: Reply) -> Request {
        let (x0, x1, x2, x3, x4, x5, x6, x7): (u64, u64, u64, u64, u64, u64, u64, u64);
        // SAFETY: EL3 runs with its own memory and returns here with all but X0 to X7 as it found
        // it. The Host runs meanwhile, so memory may have changed: no `nomem`.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") REQ_COMPLETE => x0,
                inout("x1") r0 => x1,
                inout("x2") r1 => x2,
                inout("x3") r2 => x3,
                inout("x4") r3 => x4,
                inout("x5") r4 => x5,
                inout("x6") r5 => x6,
                inout("x7") r6 => x7,
                in("x8") r7,
                options(nostack),
            );
        }
        [x0, x1, x2, x3, x4, x5, x6, x7]
    }

    /// Reports the end of this CPU's boot and waits for the Host's first request. The token (X2) is
    /// 0: no later image takes over from this one.
    ///
    /// Source: RMM-EL3 communication interface 0.x and 2.0, `RMM_BOOT_COMPLETE`.
    #[inline(always)]
    pub(crate) fn boot_complete(code: i64) -> Request {
        forward(BOOT_COMPLETE, [code.cast_unsigned(), 0, 0, 0, 0])
    }

    #[inline(always)]
    fn forward(function: u64, [r0, r1, r2, r3, r4]: ShortReply) -> Request {
        let (x0, x1, x2, x3, x4, x5, x6, x7): (u64, u64, u64, u64, u64, u64, u64, u64);
        // SAFETY: EL3 runs with its own memory and returns here with all but X0 to X7 as it found
        // it. The Host runs meanwhile, so memory may have changed: no `nomem`.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") function => x0,
                inout("x1") r0 => x1,
                inout("x2") r1 => x2,
                inout("x3") r2 => x3,
                inout("x4") r3 => x4,
                inout("x5") r4 => x5,
                out("x6") x6,
                out("x7") x7,
                options(nostack),
            );
        }
        [x0, x1, x2, x3, x4, x5, x6, x7]
    }

    /// Calls a service of EL3; its X0 to X2.
    ///
    /// Source: SMCCC 1.2: X4 to X17 are preserved where they return nothing.
    #[inline(always)]
    pub(crate) fn call(function: u64, arguments: [u64; 3]) -> [u64; 3] {
        let [a1, a2, a3] = arguments;
        let (x0, x1, x2): (u64, u64, u64);
        // SAFETY: the services named in this module read and write the page shared with EL3 at
        // most, which no Rust reference covers while a call is under way.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") function => x0,
                inout("x1") a1 => x1,
                inout("x2") a2 => x2,
                inout("x3") a3 => _,
                options(nostack),
            );
        }
        [x0, x1, x2]
    }
}

#[cfg(target_os = "none")]
pub(crate) use calls::{boot_complete, call, complete, complete_short};
