//! What conversions take: exits of the Realm, commands of the host, and what all that costs.

use crate::bench::{Answer, Bench, Cost};
use crate::failure::Failure;
use crate::rmi::command::{RTT_CREATE, RTT_DESTROY, RTT_FOLD};
use crate::rmi::{Command, RmiError};

/// Counts since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Exits of the Realm.
    pub exits: u64,
    /// Commands, without the entries of RECs.
    pub commands: u64,
    /// Those of them that make a table, destroy it, or fold it.
    pub tables: u64,
    /// What all of them cost, entries included.
    pub cost: Cost,
}

impl Tally {
    /// An exit, and what the entry cost that ended with it.
    pub(super) fn exit(&mut self, cost: Cost) {
        self.exits += 1;
        self.cost += cost;
    }

    /// Issues a command, whatever comes of it.
    pub(super) fn ask(
        &mut self,
        bench: &Bench<'_>,
        command: Command,
        args: [u64; 5],
    ) -> Result<Answer, RmiError> {
        let answer = bench.ask(command, args);
        self.commands += 1;
        self.tables += u64::from([RTT_CREATE, RTT_DESTROY, RTT_FOLD].contains(&command));
        self.cost += answer.cost;
        RmiError::from_reply(command, args, answer.reply).map(|_| answer)
    }

    /// Issues a command that has to succeed; X1 of its reply.
    pub(super) fn call(
        &mut self,
        bench: &Bench<'_>,
        command: Command,
        args: [u64; 5],
    ) -> Result<u64, Failure> {
        Ok(self.ask(bench, command, args)?.x1)
    }

    /// Reports what has been counted, and begins again.
    pub(super) fn report(&mut self, bench: &Bench<'_>, name: &str, folds: bool) {
        let Self { exits, commands, tables, cost } = core::mem::take(self);
        let own = cost.own().unwrap_or(cost.instructions);
        let Cost { instructions, .. } = cost;
        bench.report(
            name,
            format_args!(
                "\"fold\":{folds},\"exits\":{exits},\"commands\":{commands},\"tables\":{tables},\
                 \"instructions\":{instructions},\"own\":{own}"
            ),
        );
    }
}
