//! RMI 1.0: numbers, registers and pages. What a command does is in [`crate::ops`].
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`table`] | every command: number, name, arguments, what it calls, outputs |
//! | `args` | arguments in registers |
//! | `create`, `rim` | objects made from pages of parameters; what starts a RIM |
//! | `run_page` | the page through which a REC is run |
//! | `status` | why a command is refused, as the Host is told |
//! | `features`, `entry` | feature registers; what an RTT entry says |
//!
//! Source: RMM specification (Arm DEN0137) 1.0, part B.

mod args;
mod create;
mod entry;
mod features;
mod rim;
mod run_page;
mod status;
pub(crate) mod table;
