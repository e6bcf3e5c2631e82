//! A 16550A serial port.
//!
//! Sent bytes leave at once, so the transmitter is always empty; received bytes wait in a queue
//! that is much longer than the real one's.

use alloc::collections::VecDeque;

/// Most received bytes that wait for the guest; more are lost.
const RX_CAPACITY: usize = 4096;

const IER_RX: u8 = 1 << 0;
const IER_TX: u8 = 1 << 1;
const IIR_NONE: u8 = 0x01;
const IIR_TX: u8 = 0x02;
const IIR_RX: u8 = 0x04;
const IIR_FIFO: u8 = 0xc0;
const LCR_DLAB: u8 = 1 << 7;
const MCR_LOOP: u8 = 1 << 4;
const LSR_DATA: u8 = 1 << 0;
const LSR_TX_EMPTY: u8 = 0x60;
const MSR_CONNECTED: u8 = 0xb0;

/// The serial port's state.
#[derive(Default)]
pub struct Uart {
    rx: VecDeque<u8>,
    /// The transmitter became empty, and the guest has not been told or has not looked.
    tx_event: bool,
    fifo: bool,
    ier: u8,
    lcr: u8,
    mcr: u8,
    scratch: u8,
    divisor: [u8; 2],
}

impl Uart {
    /// Room for received bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        RX_CAPACITY - self.rx.len().min(RX_CAPACITY)
    }

    /// A byte arrives from outside.
    pub fn receive(&mut self, byte: u8) {
        if self.room() > 0 {
            self.rx.push_back(byte);
        }
    }

    /// Level of the interrupt line.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        self.source() != IIR_NONE
    }

    /// The highest enabled reason for an interrupt.
    fn source(&self) -> u8 {
        if self.ier & IER_RX != 0 && !self.rx.is_empty() {
            IIR_RX
        } else if self.ier & IER_TX != 0 && self.tx_event {
            IIR_TX
        } else {
            IIR_NONE
        }
    }

    /// The guest reads register `offset`.
    pub fn read(&mut self, offset: u64) -> u8 {
        let dlab = self.lcr & LCR_DLAB != 0;
        let [low, high] = self.divisor;
        match offset {
            0 if dlab => low,
            0 => self.rx.pop_front().unwrap_or(0),
            1 if dlab => high,
            1 => self.ier,
            2 => {
                let source = self.source();
                if source == IIR_TX {
                    self.tx_event = false;
                }
                source | if self.fifo { IIR_FIFO } else { 0 }
            }
            3 => self.lcr,
            4 => self.mcr,
            5 => LSR_TX_EMPTY | if self.rx.is_empty() { 0 } else { LSR_DATA },
            6 if self.mcr & MCR_LOOP != 0 => {
                // In a loop the modem outputs come back as inputs: RTS, DTR, OUT1, OUT2.
                let out = self.mcr;
                (out & 0b10) << 3 | (out & 0b1) << 5 | (out & 0b100) << 4 | (out & 0b1000) << 4
            }
            6 => MSR_CONNECTED,
            7 => self.scratch,
            _ => 0,
        }
    }

    /// The guest writes register `offset`; a byte that goes out is given back.
    pub fn write(&mut self, offset: u64, value: u8) -> Option<u8> {
        let dlab = self.lcr & LCR_DLAB != 0;
        let [low, high] = &mut self.divisor;
        match offset {
            0 if dlab => *low = value,
            0 => {
                self.tx_event = true;
                if self.mcr & MCR_LOOP == 0 {
                    return Some(value);
                }
                self.receive(value);
            }
            1 if dlab => *high = value,
            1 => {
                // Enabling the transmit interrupt with an empty transmitter raises it at once.
                if value & !self.ier & IER_TX != 0 {
                    self.tx_event = true;
                }
                self.ier = value & 0x0f;
            }
            2 => {
                self.fifo = value & 1 != 0;
                if value & 2 != 0 {
                    self.rx.clear();
                }
            }
            3 => self.lcr = value,
            4 => self.mcr = value & 0x1f,
            7 => self.scratch = value,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_out_and_come_in() {
        let mut uart = Uart::default();
        assert_eq!(uart.write(0, b'x'), Some(b'x'));
        assert_eq!(uart.read(5), 0x60);
        uart.receive(b'a');
        assert_eq!((uart.read(5), uart.read(0), uart.read(5)), (0x61, b'a', 0x60));
    }

    #[test]
    fn the_receive_interrupt_follows_the_queue() {
        let mut uart = Uart::default();
        uart.receive(b'a');
        assert!(!uart.interrupt());
        uart.write(1, IER_RX);
        assert!(uart.interrupt());
        assert_eq!(uart.read(2), IIR_RX);
        uart.read(0);
        assert!(!uart.interrupt());
    }

    #[test]
    fn the_transmit_interrupt_comes_at_each_enabling_and_goes_when_seen() {
        let mut uart = Uart::default();
        for _ in 0..2 {
            uart.write(1, IER_TX);
            assert!(uart.interrupt());
            assert_eq!((uart.read(2), uart.read(2)), (IIR_TX, IIR_NONE));
            uart.write(1, 0);
        }
    }

    #[test]
    fn the_loop_test_of_a_driver_passes() {
        let mut uart = Uart::default();
        uart.write(4, MCR_LOOP | 0x0a);
        assert_eq!(uart.read(6) & 0xf0, 0x90);
        assert_eq!(uart.write(0, 7), None);
        assert_eq!(uart.read(0), 7);
    }

    #[test]
    fn the_divisor_is_behind_its_latch() {
        let mut uart = Uart::default();
        uart.write(3, LCR_DLAB);
        assert_eq!(uart.write(0, 0x12), None);
        uart.write(1, 0x34);
        assert_eq!((uart.read(0), uart.read(1)), (0x12, 0x34));
        uart.write(3, 3);
        assert_eq!(uart.read(1), 0);
    }

    #[test]
    fn a_full_queue_loses_bytes_instead_of_growing() {
        let mut uart = Uart::default();
        (0..RX_CAPACITY + 5).for_each(|_| uart.receive(0));
        assert_eq!(uart.room(), 0);
    }
}
