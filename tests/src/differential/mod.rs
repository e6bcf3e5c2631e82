//! The monitor on the fake machine against the executable specification: every answer, every exit
//! and everything a Realm sees is compared, command by command.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`operation`] | what a Host and a Realm do, as values and as lines of a script |
//! | [`pair`] | the machine and the specification, which do the same |
//! | [`choices`] | where decisions come from: a random number generator, or the bytes of a fuzzer |
//! | [`generate`] | what to do next, from what the specification says is there |
//! | [`session`] | one sequence, from boot until everything is given back |
//! | [`fuzz`] | the same, driven by a fuzzer |
//! | [`shorten`] | the least part of a failing sequence that still fails |
//! | [`v2_0`] | the same for RMI 2.0 |
//!
//! Sequences are not made in advance, as a strategy of `proptest` would: what is done next depends
//! on the state that the specification is in, so that most commands succeed and the states are
//! deep. What was done is kept as plain operations, which can be replayed and left out one by one,
//! without the generator.

pub mod choices;
pub mod fuzz;
pub mod generate;
pub mod operation;
pub mod pair;
pub mod session;
pub mod shorten;
pub mod v2_0;
