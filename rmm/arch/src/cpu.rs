//! The machine, as the CPU that runs the code.

use core::marker::PhantomData;

use machine::{Event, Log};

use crate::area::{self, CpuArea};
use crate::boot::Firmware;
use crate::smc::{self, Reply, Request, ShortReply};

/// Stands for the CPU that runs the code, and implements every trait of [`machine`].
///
/// Neither `Send` nor `Sync`: slots, registers and the CPU's own page are that CPU's.
#[derive(Debug)]
pub struct Cpu<F> {
    firmware: PhantomData<fn() -> F>,
    // Raw pointers are neither `Send` nor `Sync`.
    this_cpu: PhantomData<*mut ()>,
}

impl<F: Firmware> Cpu<F> {
    /// # Safety
    ///
    /// The MMU is on, with this CPU's block at [`crate::layout::AREA`], and no other value lives on
    /// this CPU.
    pub(crate) unsafe fn new() -> Self {
        Self { firmware: PhantomData, this_cpu: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn area(&self) -> &CpuArea {
        area::here()
    }

    /// Linear index of this CPU.
    pub fn index(&self) -> u64 {
        self.area().index.get()
    }

    /// Reports the end of this CPU's boot to EL3 and waits for the Host's first request.
    pub fn boot_complete(&self) -> Request {
        self.give_vectors_back();
        self.note(smc::boot_complete(0))
    }

    /// Hands the Host its answer (X0 to X4) and waits for its next request (X0 to X7), with
    /// interface 0.x of EL3.
    #[inline(always)]
    pub fn complete_short(&self, reply: ShortReply) -> Request {
        self.give_vectors_back();
        self.note(smc::complete_short(reply))
    }

    /// Hands the Host its answer (X0 to X7) and waits for its next request (X0 to X7), with
    /// interface 2.0 of EL3.
    #[inline(always)]
    pub fn complete(&self, reply: Reply) -> Request {
        self.give_vectors_back();
        self.note(smc::complete(reply))
    }

    /// Keeps the name of the call, so that a report can say it.
    #[inline(always)]
    fn note(&self, request: Request) -> Request {
        let [function, ..] = request;
        self.area().command.set(function);
        request
    }

    /// EL3's optional features: bit 0 is "signs tokens". 0 if EL3 does not know the question.
    ///
    /// Source: RMM-EL3 communication interface 0.4, `RMM_EL3_FEATURES`.
    pub fn el3_features(&self) -> u64 {
        let [x0, x1, _] = smc::call(smc::EL3_FEATURES, [0, 0, 0]);
        if x0 == 0 { x1 } else { 0 }
    }
}

impl<F: Firmware> Log for Cpu<F> {
    #[inline]
    fn log(&self, event: Event<'_>) {
        F::log(event);
    }
}
