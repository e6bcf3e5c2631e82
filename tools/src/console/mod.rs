//! The machine's one UART and its three talkers: EL3 and the Normal world write text, the monitor
//! writes log frames.
//!
//! [`demux`] takes them apart, [`log`] turns frames into text, [`screen`] shows both without one
//! spoiling the other, [`machine_lines`] keeps from it what is written for programs, [`lines`]
//! finds whole lines of text for those who judge, [`silence`] notices a guest that says nothing,
//! [`tap`] is all of that which every listener needs, [`progress`] tells whether the machine gets
//! anywhere, [`watch`] connects everything for those who run a guest.

pub(crate) mod demux;
pub(crate) mod lines;
pub(crate) mod log;
pub(crate) mod machine_lines;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod silence;
pub(crate) mod tap;
pub(crate) mod watch;
