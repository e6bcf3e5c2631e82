//! RMI 2.0: numbers, registers and pages. What a command does is in [`crate::ops`].
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`table`] | every command: number, name, when it is allowed, arguments, what it calls, outputs |
//! | `args` | arguments in registers |
//! | `create` | objects made from pages of parameters |
//! | `config`, `tracking` | the monitor's own state; which memory can be a Realm's |
//! | `descriptor`, `range`, `donate` | memory as Hosts write it: descriptors, lists; mapping and donating it |
//! | `run_page` | the page through which a REC is run |
//! | `status` | why a command is refused, as the Host is told |
//! | `features`, `entry` | feature registers; what an RTT entry says |
//! | `choices` | what the text leaves open |
//!
//! Source: RMM specification (Arm DEN0137) 2.0-bet3.

mod args;
pub(crate) mod choices;
mod config;
mod create;
mod descriptor;
mod donate;
mod features;
mod range;
mod run_page;
mod status;
pub(crate) mod table;
mod tracking;
