//! The machine's one UART and its three talkers: EL3 and the Normal world write text, the monitor writes log frames.
//!
//! [`demux`] takes them apart, [`log`] turns frames into text, [`screen`] shows both without one spoiling the other,
//! [`lines`] finds whole lines of text for those who judge, [`watch`] connects them all.

pub mod demux;
pub mod lines;
pub mod log;
pub mod screen;
pub mod watch;
