//! The machine's one UART and its three talkers: EL3 and the Normal world write text, the monitor writes log frames.
//!
//! [`demux`] takes them apart, [`log`] turns frames into text, [`screen`] shows both without one spoiling the other,
//! [`lines`] finds whole lines of text for those who judge, [`tap`] is all of that which every listener needs, [`progress`] tells
//! whether the machine gets anywhere, [`watch`] connects everything for those who run a guest.

pub mod demux;
pub mod lines;
pub mod log;
pub mod progress;
pub mod screen;
pub mod tap;
pub mod watch;
