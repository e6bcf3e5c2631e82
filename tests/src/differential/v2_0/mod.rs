//! RMI 2.0: a machine against the executable specification, command by command.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`pair`] | the machine and the specification, which do the same |
//! | [`generate`] | what to do next, from what the specification says is there |
//! | [`layout`] | where the Host has its memory, and what misfortune it meets |
//! | [`give_back`] | how everything is taken apart, from any state |
//! | [`fake`] | the monitor on the fake machine |
//! | [`fuzz`] | the same, driven by a fuzzer |
//! | [`session`] | one sequence, from boot until everything is given back |
//!
//! A machine is anything that answers calls and lets the Host read and write its pages
//! ([`pair::Machine`]). Without a monitor there is the specification's own parrot, against which
//! the driver is tried here.

pub mod fake;
pub mod fuzz;
pub mod generate;
pub mod give_back;
pub mod layout;
pub mod pair;
pub mod session;
