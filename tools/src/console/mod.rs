//! The machine's one UART and its three talkers: EL3 and the Normal world write text, the monitor writes log frames.
//!
//! [`demux`] takes them apart, [`log`] turns frames into text, [`screen`] shows both without one spoiling the other,
//! [`machine_lines`] keeps from it what is written for programs, [`lines`] finds whole lines of text for those who judge,
//! [`silence`] notices a guest that says nothing, [`tap`] is all of that which every listener needs, [`progress`] tells whether the
//! machine gets anywhere, [`watch`] connects everything for those who run a guest.

pub mod demux;
pub mod lines;
pub mod log;
pub mod machine_lines;
pub mod progress;
pub mod screen;
pub mod silence;
pub mod tap;
pub mod watch;
