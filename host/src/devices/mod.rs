//! Devices that the guest finds: a serial port and a source of random bytes.

pub mod uart;
pub mod virtio_rng;
