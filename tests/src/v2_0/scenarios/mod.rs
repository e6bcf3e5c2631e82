//! The scenarios, named `v2/command/condition`, and by the hosts and bugs that they are modelled
//! on.
//!
//! After each of them the runner gives everything back and deactivates RMM, so each also shows that
//! the state it leaves can be taken apart and that RMM holds nothing then.

mod arguments;
mod bugs;
mod convention;
mod dialects;
mod donation;
mod gic;
mod good;
mod granules;
mod hosts;
mod in_place;
mod large;
mod lifecycle;
mod map;
mod matrix;
mod measurement;
mod more_bugs;
mod psci;
mod races;
mod realm;
mod rec;
mod ripas;
mod rsi;
mod rtt;
mod run;
mod sro;
mod teardown;
mod tfa;
mod tracking;
mod unmap;

use super::conditions;
use super::registry::Registry;
use crate::scenarios;

/// Every scenario of RMI 2.0.
pub fn all() -> scenarios::Registry {
    let mut registry = Registry::default();
    for add in [
        convention::add,
        lifecycle::add,
        granules::add,
        tracking::add,
        sro::add,
        donation::add,
        races::add,
        arguments::add,
        realm::add,
        matrix::add,
        measurement::add,
        rec::add,
        run::add,
        gic::add,
        psci::add,
        rsi::add,
        rtt::add,
        map::add,
        large::add,
        in_place::add,
        unmap::add,
        ripas::add,
        teardown::add,
        hosts::add,
        tfa::add,
        dialects::add,
        bugs::add,
        more_bugs::add,
    ] {
        add(&mut registry);
    }
    conditions::apply(&mut registry.list);
    registry.list
}
