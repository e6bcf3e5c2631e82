//! Tables and memory of a Realm, as a Host of RMI 2.0 builds them.

use alloc::vec::Vec;

use super::abi::{Command, Desc, RTT, SUCCESS, entry, oaddr, unprot_flags};
use super::outcome::Reply;
use super::world::{PAGE, Realm, World, entry_size};
use crate::abi::HostPage;
use crate::outcome::{Outcome, fail, same};

/// Attributes of normal write-back memory, read and write permission.
pub const ATTRIBUTES: u64 = 6;
/// Read and write.
pub const READ_WRITE: u64 = 3;

/// Flags of an ordinary UNPROT_MAP of one descriptor.
pub const UNPROT: u64 = unprot_flags(oaddr::SINGLE, ATTRIBUTES, READ_WRITE);

impl World<'_> {
    /// Makes the tables down to `level` that lead to `ipa`, as far as they are missing.
    #[track_caller]
    pub fn tables(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome {
        for level in realm.start + 1..=level {
            let base = ipa & !(entry_size(level - 1) - 1);
            let found = self
                .tables
                .iter()
                .any(|table| (table.rd, table.ipa, table.level) == (realm.rd, base, level));
            if !found {
                self.table(realm, base, level)?;
            }
        }
        Ok(())
    }

    /// Makes one table.
    #[track_caller]
    pub fn table(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome<u64> {
        let rtt = self.delegated()?;
        self.ok(Command::RttCreate, &[realm.rd, rtt, ipa, level.cast_unsigned()])?;
        Ok(rtt)
    }

    /// Destroys one table.
    #[track_caller]
    pub fn destroy_table(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome<u64> {
        let reply = self.ok(Command::RttDestroy, &[realm.rd, ipa, level.cast_unsigned()])?;
        self.set_aside(reply.x[1]);
        Ok(reply.x[2])
    }

    /// DATA_MAP with one descriptor, called once.
    #[track_caller]
    pub fn try_map(&mut self, realm: &Realm, ipa: u64, desc: Desc) -> Outcome<Reply> {
        let (top, word) = (ipa + desc.bytes(), desc.encode());
        self.complete(Command::DataMap, &[realm.rd, ipa, top, oaddr::SINGLE, word])
    }

    /// Maps `count` contiguous granules at addresses that have tables, in as many calls as it
    /// takes.
    #[track_caller]
    pub fn map(&mut self, realm: &Realm, ipa: u64, pa: u64, count: u64) -> Outcome {
        let mut done = 0;
        while done < count * PAGE {
            let left = (count - done / PAGE).min(511);
            let reply = self.try_map(realm, ipa + done, Desc::pages(pa + done, left))?.ok()?;
            done = reply.x[1] - ipa;
        }
        Ok(())
    }

    /// Puts an unmeasured page of memory with contents the Host does not know at `ipa`.
    #[track_caller]
    pub fn data_unknown(&mut self, realm: &Realm, ipa: u64) -> Outcome<u64> {
        let data = self.delegated()?;
        self.map(realm, ipa, data, 1)?;
        Ok(data)
    }

    /// Puts a page with these contents at `ipa` of a new Realm.
    #[track_caller]
    pub fn data(
        &mut self,
        realm: &Realm,
        ipa: u64,
        contents: &HostPage,
        flags: u64,
    ) -> Outcome<u64> {
        let data = self.delegated()?;
        let src = self.params(contents);
        self.ok(Command::DataMapInit, &[realm.rd, data, ipa, src, flags])?;
        Ok(data)
    }

    /// A level-2 block of memory at `ipa`, where there is a table of level 2.
    #[track_caller]
    pub fn data_block(&mut self, realm: &Realm, ipa: u64) -> Outcome<u64> {
        let base = self.delegated_run(512, 0x20_0000)?;
        self.try_map(realm, ipa, Desc::block(base, 2))?.ok()?.out(1, ipa + 0x20_0000)?;
        Ok(base)
    }

    /// INIT_RIPAS, again from where it came to.
    #[track_caller]
    pub fn init_ripas(&mut self, realm: &Realm, base: u64, top: u64) -> Outcome {
        self.through(Command::InitRipas, &[realm.rd, base, top])
    }

    /// DATA_UNMAP or UNPROT_UNMAP of a range with one descriptor per call; what came back. Where an
    /// entry is larger than the range, a table is made, as KVM does.
    #[track_caller]
    pub fn unmap(
        &mut self,
        command: Command,
        realm: &Realm,
        range: (u64, u64),
    ) -> Outcome<Vec<Desc>> {
        let (mut ipa, top) = range;
        let mut found = Vec::new();
        while ipa < top {
            let arguments = [realm.rd, ipa, top, oaddr::SINGLE, 0];
            let reply = self.complete(command, &arguments)?;
            if reply.status() == RTT && reply.x[0] >> 8 < 3 {
                let level = (reply.x[0] >> 8 & 0xff).cast_signed() + 1;
                self.table(realm, ipa & !(entry_size(level - 1) - 1), level)?;
                continue;
            }
            reply.ok()?;
            if reply.x[2] != 0 {
                found.push(Desc::decode(reply.x[2]));
            }
            ipa = reply.x[1];
        }
        Ok(found)
    }

    /// Maps a page of the Host's at an unprotected address that has tables.
    #[track_caller]
    pub fn share(&mut self, realm: &Realm, ipa: u64) -> Outcome<u64> {
        let pa = self.granule();
        let word = Desc::pages(pa, 1).encode();
        self.ok(Command::UnprotMap, &[realm.rd, ipa, ipa + PAGE, UNPROT, word])?;
        Ok(pa)
    }

    /// RTT_READ_ENTRY: level, state, descriptor, RIPAS.
    #[track_caller]
    pub fn read_entry(&mut self, realm: &Realm, ipa: u64, level: i64) -> Outcome<[u64; 4]> {
        let reply = self.call(Command::RttReadEntry, &[realm.rd, ipa, level.cast_unsigned()])?;
        let [_, x1, x2, x3, x4, ..] = reply.ok()?.x;
        Ok([x1, x2, x3, x4])
    }

    /// The entry of `ipa` that a walk to this level finds: level, state, RIPAS.
    #[track_caller]
    pub fn expect(&mut self, realm: &Realm, ipa: u64, expected: (i64, u64, u64)) -> Outcome {
        let (level, state, ripas) = expected;
        let base = ipa & !(entry_size(level) - 1);
        let [walked, found, _, found_ripas] = self.read_entry(realm, base, level)?;
        same("level, state", (walked, found), (level.cast_unsigned(), state))?;
        if state == entry::TABLE || ipa >= realm.unprotected() {
            return Ok(());
        }
        same("RIPAS", found_ripas, ripas)
    }

    /// The entry of `ipa` maps this address.
    #[track_caller]
    pub fn expect_pa(&mut self, realm: &Realm, (ipa, level): (u64, i64), pa: u64) -> Outcome {
        let [walked, state, desc, _] = self.read_entry(realm, ipa, level)?;
        same("level, state", (walked, state), (level.cast_unsigned(), entry::MAPPED))?;
        same("output address", desc & 0x000f_ffff_ffff_f000, pa)
    }

    /// Takes everything apart and gives it back to the Host, as a Host does that knows nothing but
    /// its books.
    ///
    /// This is the closure property: from any state that a scenario leaves, every granule comes
    /// back, and RMM can be deactivated, which it refuses while it holds anything.
    pub fn give_everything_back(&mut self) -> Outcome {
        let handles: Vec<u64> = self.operations.keys().copied().collect();
        for handle in handles {
            self.finish(handle)?;
        }
        for (rec, ..) in self.recs.clone() {
            self.ok(Command::RecDestroy, &[rec])?;
        }
        for realm in self.realms.clone() {
            self.take_apart(&realm)?;
        }
        self.give_back_memory()?;
        if self.active {
            self.ok(Command::Deactivate, &[])?;
        }
        Ok(())
    }

    /// Ends a Realm without RECs in whatever state it is.
    #[track_caller]
    pub fn take_apart(&mut self, realm: &Realm) -> Outcome {
        self.ok(Command::RealmTerminate, &[realm.rd])?;
        self.empty(realm)?;
        self.destroy_tables(realm)?;
        self.ok(Command::RealmDestroy, &[realm.rd])?;
        self.set_aside(realm.rd);
        Ok(())
    }

    /// Unmaps everything of a Realm.
    #[track_caller]
    pub fn empty(&mut self, realm: &Realm) -> Outcome {
        let (middle, end) = (realm.unprotected(), realm.end());
        for desc in self.unmap(Command::DataUnmap, realm, (0, middle))? {
            for pa in (desc.base..desc.end()).step_by(4096) {
                self.set_aside(pa);
            }
        }
        self.unmap(Command::UnprotUnmap, realm, (middle, end))?;
        Ok(())
    }

    /// Destroys all tables of a Realm that has no memory, the lowest first.
    #[track_caller]
    pub fn destroy_tables(&mut self, realm: &Realm) -> Outcome {
        for level in (realm.start + 1..=3).rev() {
            let all = self.tables.iter().filter(|table| table.rd == realm.rd);
            let these: Vec<_> = all.filter(|table| table.level == level).copied().collect();
            for table in these {
                self.destroy_table(realm, table.ipa, level)?;
            }
        }
        Ok(())
    }

    /// Gives every delegated granule back. It comes without contents.
    #[track_caller]
    pub fn give_back_memory(&mut self) -> Outcome {
        let mut wiped = None;
        while let Some(first) = self.delegated.first().copied() {
            // The longest run from here on, as far as the Host knows it.
            let mut top = first;
            while self.delegated.contains(&top) {
                top += PAGE;
            }
            self.through(Command::RangeUndelegate, &[first, top])?;
            for pa in (first..top).step_by(4096) {
                let page = self.port.read_page(pa);
                // Memory that the Host cannot read is no memory of the Host's.
                if page == [0xdead_dead_dead_dead; 512] {
                    continue;
                }
                // A wiped page need not be zero, but all of them look alike: one value throughout.
                let pattern = *wiped.get_or_insert(page[0]);
                if page != [pattern; 512] {
                    return fail(alloc::format!("{pa:#x} came back with contents"));
                }
            }
        }
        Ok(())
    }

    /// Whether a granule is delegated and nothing else: it can be undelegated, and is delegated
    /// again.
    #[track_caller]
    pub fn is_delegated(&mut self, pa: u64) -> Outcome {
        self.ok(Command::RangeUndelegate, &[pa, pa + PAGE])?;
        let reply = self.ok(Command::RangeDelegate, &[pa, pa + PAGE])?;
        same("status", reply.status(), SUCCESS)
    }
}
