//! Takes apart what a scenario leaves, by the answers of the monitor alone.

use alloc::format;

use super::{Realm, World, entry_size};
use crate::abi::{Command, INPUT, entry_state, rtt_error};
use crate::outcome::{Outcome, fail};

impl World<'_> {
    /// Takes everything apart and gives it back to the Host, as a Host does that knows nothing but
    /// its books.
    ///
    /// This is the closure property: from any state that a scenario leaves, every granule comes
    /// back.
    pub fn give_everything_back(&mut self) -> Outcome {
        for rec in self.recs() {
            self.call(Command::RecDestroy, [rec])?.ok()?;
        }
        for realm in self.realms.clone() {
            self.empty_range(&realm, realm.start, 0, realm.end())?;
            self.call(Command::RealmDestroy, [realm.rd])?.ok()?;
        }
        let mut wiped = None;
        for pa in self.delegated.clone() {
            self.call(Command::GranuleUndelegate, [pa])?.ok()?;
            let page = self.port.read_page(pa);
            // Memory that the Host cannot read is no memory of the Host's.
            if page != [0xdead_dead_dead_dead; 512] {
                // A wiped page need not be zero, but all of them look alike: one value throughout.
                let pattern = *wiped.get_or_insert(page[0]);
                if page != [pattern; 512] {
                    return fail(format!("{pa:#x} came back with contents"));
                }
            }
            self.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
        }
        Ok(())
    }

    /// Destroys everything in `[base, end)` whose entries are at `level`.
    fn empty_range(&mut self, realm: &Realm, level: i64, base: u64, end: u64) -> Outcome {
        let mut ipa = base;
        while ipa < end {
            let [walked, state, ..] = self.read_entry(realm, ipa, level)?.outputs;
            let protected = ipa < realm.unprotected();
            let here = walked == level.cast_unsigned();
            if here && state == entry_state::TABLE {
                self.empty_table(realm, level, ipa)?;
            } else if here && state == entry_state::ASSIGNED {
                self.empty_leaf(realm, level, ipa, protected)?;
            }
            // Skip with the `top` of a command that has nothing to do here.
            ipa = self.skip(realm, level, ipa)?;
        }
        Ok(())
    }

    /// DATA_DESTROY or UNMAP_UNPROTECTED where nothing is returns how far nothing is.
    fn skip(&mut self, realm: &Realm, level: i64, ipa: u64) -> Outcome<u64> {
        let (reply, number) = if ipa < realm.unprotected() {
            (self.call(Command::DataDestroy, [realm.rd, ipa])?, 2)
        } else if level >= 1 {
            let arguments = [realm.rd, ipa, level.cast_unsigned()];
            (self.call(Command::RttUnmapUnprotected, arguments)?, 1)
        } else {
            return Ok(ipa + entry_size(level));
        };
        let top = reply.is(rtt_error(level))?.outputs[number - 1];
        if top > ipa { Ok(top) } else { fail(format!("nothing at {ipa:#x}, but top is {top:#x}")) }
    }

    fn empty_table(&mut self, realm: &Realm, level: i64, ipa: u64) -> Outcome {
        let size = entry_size(level);
        let child = (level + 1).cast_unsigned();
        let first = self.call(Command::RttDestroy, [realm.rd, ipa, child])?;
        if first.code == 0 {
            return Ok(());
        }
        first.is_top(rtt_error(level + 1), 2, ipa)?;
        self.empty_range(realm, level + 1, ipa, ipa + size)?;
        self.call(Command::RttDestroy, [realm.rd, ipa, child])?.ok()?;
        Ok(())
    }

    fn empty_leaf(&mut self, realm: &Realm, level: i64, ipa: u64, protected: bool) -> Outcome {
        if !protected {
            let unmap = Command::RttUnmapUnprotected;
            self.call(unmap, [realm.rd, ipa, level.cast_unsigned()])?.ok()?;
        } else if level == 3 {
            self.call(Command::DataDestroy, [realm.rd, ipa])?.ok()?;
        } else {
            // A block: the Host has to break it first.
            self.call(Command::DataDestroy, [realm.rd, ipa])?.is_top(rtt_error(level), 2, ipa)?;
            self.table(realm, ipa, level + 1)?;
            self.empty_table(realm, level, ipa)?;
        }
        Ok(())
    }
}
