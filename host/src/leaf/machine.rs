//! The machine as the library wants it.

use super::{console, cpu, gic, memory, watch};
use alloc::collections::VecDeque;
use cairn_host::machine::{Changed, Machine, VirtualInterrupts};
use core::fmt;
use spin::Mutex;

/// Typed bytes that the host keeps; more are lost.
const INPUT_CAPACITY: usize = 4096;

/// Bytes that were typed and not taken yet.
static INPUT: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

/// Takes everything that the console has received.
pub(super) fn collect_input() {
    let mut input = INPUT.lock();
    while let Some(byte) = console::read() {
        if input.len() < INPUT_CAPACITY {
            input.push_back(byte);
        }
    }
}

/// The machine under the host.
pub(crate) struct BareMachine;

impl BareMachine {
    /// Acknowledges every interrupt that is pending on this CPU.
    pub(crate) fn serve_interrupts() {
        gic::serve();
    }
}

impl Machine for BareMachine {
    fn smc(&self, args: [u64; 7]) -> [u64; 5] {
        cpu::smc(args)
    }

    fn smc_watched(&self, args: [u64; 7]) -> ([u64; 5], Option<Changed>) {
        let ([x0, x1, x2, x3, x4, ..], changed) = watch::smc(&args, false);
        ([x0, x1, x2, x3, x4], changed)
    }

    fn list_registers(&self) -> usize {
        cpu::vgic().list_registers()
    }

    fn virtual_interrupts(&self) -> VirtualInterrupts {
        cpu::virtual_interrupts()
    }

    fn set_virtual_interrupts(&self, interrupts: &VirtualInterrupts) {
        cpu::set_virtual_interrupts(interrupts);
    }

    fn read_u64(&self, pa: u64) -> u64 {
        memory::read_u64(pa)
    }

    fn write_u64(&self, pa: u64, value: u64) {
        memory::write_u64(pa, value);
    }

    fn read_bytes(&self, pa: u64, bytes: &mut [u8]) {
        memory::read_bytes(pa, bytes);
    }

    fn write_bytes(&self, pa: u64, bytes: &[u8]) {
        memory::write_bytes(pa, bytes);
    }

    fn zero_page(&self, pa: u64) {
        memory::zero_page(pa);
    }

    fn console_write(&self, bytes: &[u8]) {
        console::write(bytes);
    }

    fn console_line(&self, line: fmt::Arguments<'_>) {
        console::console_line(line);
    }

    fn console_read(&self) -> Option<u8> {
        INPUT.lock().pop_front()
    }

    fn kick(&self, cpu: usize) {
        gic::kick(cpu);
    }

    fn counter(&self) -> u64 {
        cpu::counter()
    }

    fn counter_hz(&self) -> u64 {
        cpu::counter_hz()
    }

    fn take_interrupts(&self) {
        gic::serve();
    }

    fn arm_timer(&self, deadline: Option<u64>) {
        cpu::arm_timer(deadline);
    }

    fn wait_for_interrupt(&self) {
        cpu::wait_for_interrupt();
    }
}
