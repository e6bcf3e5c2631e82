//! The scenarios, named by command and condition of the specification: `rtt_fold/rtt_walk`,
//! `data_create/order/rd_bound_before_rtt_walk`.
//!
//! After each of them the runner gives everything back, so each also shows that the state it leaves
//! can be taken apart.

mod arguments;
mod cases;
mod convert;
mod data;
mod fold;
pub(crate) mod good;
mod granule;
mod in_place;
mod realm;
mod registry;
mod rtt;
mod run;
mod unknown;
mod unprotected;

mod aliases;
mod bugs;
mod el3;
mod geometry;
mod life;
mod measurement;
mod orders;
mod psci;
mod readings;
mod rec;
mod ripas;
mod rsi;

pub use registry::{Cpu, Ended, Registry, Run, Scenario};

/// Every scenario.
pub fn all() -> Registry {
    let mut registry = Registry::default();
    for add in [
        arguments::add,
        orders::add,
        granule::add,
        realm::add,
        rec::add,
        data::add,
        in_place::add,
        rtt::add,
        fold::add,
        unprotected::add,
        ripas::add,
        convert::add,
        geometry::add,
        measurement::add,
        run::add,
        rsi::add,
        psci::add,
        unknown::add,
        aliases::add,
        el3::add,
        bugs::add,
        life::add,
    ] {
        add(&mut registry);
    }
    readings::apply(&mut registry);
    registry
}
