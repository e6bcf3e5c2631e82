//! The monitor of the tests as it speaks version 2.0: what differs from 1.0.
//!
//! It is as difficult as the interface allows: ranges are done in pieces, operations ask for
//! memory, and a REC is not there before its operation has ended.

use super::{INPUT, State, rtt};
use crate::granules::PAGE_SIZE;
use crate::ipa::{self, entry_base, entry_size};
use crate::rmi::v2_0::descriptor::AddrRange;
use alloc::vec::Vec;

const GLOBAL: u64 = 11;
const INCOMPLETE: u64 = 13;
const DONATE: u64 = INCOMPLETE | 1 << 8 | CANCELLABLE;
const RECLAIM: u64 = INCOMPLETE | 2 << 8;
const CANCELLABLE: u64 = 1 << 10;

/// Granules of a range that are done at a time.
const PIECE: u64 = 100;

/// Granules that a REC needs, and how many descriptors are written at a time when they come back.
const REC_GRANULES: usize = 3;
const RECLAIMED: usize = 2;

/// The handle of the only operation that there can be.
const HANDLE: u64 = 0;

/// An operation that is not finished.
pub(super) struct Pending {
    kind: Kind,
    /// What the monitor waits for.
    wait: Wait,
    /// Granules that it has.
    granules: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Activate,
    RecCreate(u64),
    RecDestroy(u64),
    Cancelled,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Continue,
    Donation,
    Reclaim,
}

/// What version 2.0 has of its own.
#[derive(Default)]
pub(crate) struct Own {
    is_active: bool,
    terminated: bool,
    pending: Option<Pending>,
    /// Granules that RECs hold besides their own.
    held: Vec<(u64, Vec<u64>)>,
    /// Blocks of 2 MiB, by IPA.
    blocks: alloc::collections::BTreeMap<u64, u64>,
    /// Most granules that were mapped by one command.
    pub largest_mapping: u64,
    /// How many donations an operation got before it had what it needs.
    pub donations: u64,
}

impl Own {
    /// Whether everything was returned.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_active && self.pending.is_none() && self.held.is_empty() && self.blocks.is_empty()
    }
}

type Reply = Result<[u64; 4], [u64; 3]>;

const fn fail(code: u64) -> [u64; 3] {
    [code, 0, 0]
}

impl State {
    /// The answer to a command that 2.0 has and 1.0 has not, or has with other registers; `None` if
    /// it is the same.
    pub(super) fn command_2_0(&mut self, function: u64, args: [u64; 5]) -> Option<Reply> {
        let [a, b, c, d, e] = args;
        let needs_active =
            !matches!(function & 0xfff, 0x150 | 0x165 | 0x16e | 0x202 | 0x203 | 0x1e1);
        if needs_active && !self.own.is_active {
            return Some(Err(fail(GLOBAL)));
        }
        Some(match function & 0xfff {
            0x150 => Ok([0x2_0000, 0x2_0000, 0, 0]),
            0x165 if a == 0 => Ok([40 | 5 << 14 | 3 << 20 | 40 << 33, 0, 0, 0]),
            0x165 => Ok([if a == 1 { 0x1_4269 } else { 0 }, 0, 0, 0]),
            0x16e => {
                let word = |at: u64| self.memory.get(&(a + at)).copied().unwrap_or(0);
                assert_eq!((word(0), word(8)), (0, 0));
                if self.own.is_active { Err(fail(GLOBAL)) } else { Ok([0; 4]) }
            }
            0x202 => self.begin(Kind::Activate, Wait::Continue),
            0x20f => self.deactivate(),
            0x1e1 => Ok([0, 2, b.min(a + (1 << 20)), 0]),
            0x211 => {
                assert!(a.is_multiple_of(1 << 30) && b.is_multiple_of(1 << 30));
                Ok([b, 1, 0, 0])
            }
            0x1f1 => self.range(a, b, |state, pa| {
                state.delegated.insert(pa);
                !state.used.contains_key(&pa)
            }),
            0x1f2 => self.range(a, b, Self::undelegate),
            0x159 if !self.own.terminated => Err(fail(2)),
            0x15a => self.create_rec(b, c),
            0x15b => self.destroy_rec(a),
            0x203 => self.proceed(),
            0x208 => self.donate(a, b, c),
            0x209 => self.give_back(b, c),
            0x20a => self.cancel(),
            0x201 => {
                self.own.terminated = true;
                Ok([0; 4])
            }
            0x15d => return self.split(c, b),
            0x1f5 => self.map(b, d, AddrRange::decode(e)),
            0x1f6 => self.unmap(b, c),
            0x1fb => self.share(b, d, AddrRange::decode(e)),
            0x1fc => self.unshare(b, c),
            0x164 => {
                assert_eq!(b, 0, "the status");
                Ok([0; 4])
            }
            0x169 => return self.change_block(c, d),
            0x151 | 0x152 | 0x154 | 0x155 | 0x15f | 0x162 | 0x167 => {
                panic!("1.0 only: {function:#x}")
            }
            _ => return None,
        })
    }

    /// Does `each` for the granules of a range until one is refused or it is enough for one call.
    fn range(&mut self, base: u64, top: u64, each: impl Fn(&mut Self, u64) -> bool) -> Reply {
        assert!(base < top && (base | top).is_multiple_of(PAGE_SIZE));
        let mut at = base;
        while at < top && at < base + PIECE * PAGE_SIZE && each(self, at) {
            at += PAGE_SIZE;
        }
        if at == base { Err(fail(INPUT | base >> 12 << 16)) } else { Ok([at, 0, 0, 0]) }
    }

    fn deactivate(&mut self) -> Reply {
        if !self.delegated.is_empty() || !self.used.is_empty() {
            return Err(fail(GLOBAL));
        }
        assert!(self.own.pending.is_none());
        self.own.is_active = false;
        Ok([0; 4])
    }

    fn begin(&mut self, kind: Kind, wait: Wait) -> Reply {
        assert!(self.own.pending.is_none(), "an operation was not driven to its end");
        self.own.pending = Some(Pending { kind, wait, granules: Vec::new() });
        self.wait([HANDLE, 0])
    }

    /// Says what the operation waits for. X1 is `first`; X2 is the request.
    fn wait(&self, [first, _]: [u64; 2]) -> Reply {
        let Some(pending) = &self.own.pending else { return Err(fail(INPUT)) };
        let missing = (REC_GRANULES - pending.granules.len().min(REC_GRANULES)) as u64;
        Err(match pending.wait {
            Wait::Continue => [INCOMPLETE, first, 0],
            Wait::Donation => [DONATE, first, missing << 2],
            Wait::Reclaim => [RECLAIM, first, 0],
        })
    }

    fn create_rec(&mut self, rec: u64, params: u64) -> Reply {
        let mpidr = self.memory.get(&(params + 0x100)).copied().unwrap_or(0);
        assert_eq!(mpidr, self.recs.len() as u64);
        if !self.delegated.contains(&rec) {
            return Err(fail(INPUT));
        }
        self.begin(Kind::RecCreate(rec), Wait::Donation)
    }

    fn destroy_rec(&mut self, rec: u64) -> Reply {
        let place = self.own.held.iter().position(|(owner, _)| *owner == rec);
        let Some(place) = place else { return Err(fail(INPUT)) };
        let (_, granules) = self.own.held.swap_remove(place);
        let reply = self.begin(Kind::RecDestroy(rec), Wait::Reclaim);
        self.own.pending.as_mut().unwrap().granules = granules;
        reply
    }

    fn proceed(&mut self) -> Reply {
        let Some(pending) = self.own.pending.take() else { return Err(fail(INPUT)) };
        assert!(pending.wait == Wait::Continue, "the operation waits for something else");
        match pending.kind {
            Kind::Activate => self.own.is_active = true,
            Kind::RecCreate(rec) => {
                self.take(rec, "rec").map_err(fail)?;
                self.recs.push(rec);
                self.own.held.push((rec, pending.granules));
            }
            Kind::RecDestroy(rec) => {
                self.recs.retain(|other| *other != rec);
                self.free(rec, "rec");
            }
            Kind::Cancelled => return Err(fail(INPUT)),
        }
        Ok([0; 4])
    }

    fn donate(&mut self, handle: u64, list: u64, count: u64) -> Reply {
        assert_eq!(handle, HANDLE);
        let mut pending = self.own.pending.take().unwrap();
        assert!(pending.wait == Wait::Donation);
        for n in 0..count {
            let desc = AddrRange::decode(self.memory[&(list + 8 * n)]);
            assert_eq!((desc.level, desc.count, desc.undelegated), (3, 1, false));
            self.take(desc.base, "donated").map_err(fail)?;
            pending.granules.push(desc.base);
        }
        assert!(pending.granules.len() <= REC_GRANULES);
        if pending.granules.len() == REC_GRANULES {
            pending.wait = Wait::Continue;
        }
        self.own.donations += 1;
        self.own.pending = Some(pending);
        self.wait([count, 0])
    }

    fn give_back(&mut self, list: u64, room: u64) -> Reply {
        let mut pending = self.own.pending.take().unwrap();
        assert!(pending.wait == Wait::Reclaim && room >= RECLAIMED as u64);
        let mut count = 0;
        while let Some(granule) = pending.granules.pop().filter(|_| count < RECLAIMED as u64) {
            self.free(granule, "donated");
            let desc = AddrRange::delegated(granule, PAGE_SIZE).encode();
            self.memory.insert(list + 8 * count, desc);
            count += 1;
            if count == RECLAIMED as u64 {
                break;
            }
        }
        if pending.granules.is_empty() {
            pending.wait = Wait::Continue;
        }
        self.own.pending = Some(pending);
        self.wait([count, 0])
    }

    fn cancel(&mut self) -> Reply {
        let pending = self.own.pending.as_mut().unwrap();
        assert!(pending.wait == Wait::Donation, "it cannot be cancelled");
        pending.kind = Kind::Cancelled;
        let nothing_to_return = pending.granules.is_empty();
        pending.wait = if nothing_to_return { Wait::Continue } else { Wait::Reclaim };
        self.wait([HANDLE, 0])
    }

    /// `RTT_CREATE`: a block becomes the pages of the new table, which 1.0's code adds.
    fn split(&mut self, base: u64, _rtt: u64) -> Option<Reply> {
        if let Some(pa) = self.own.blocks.remove(&base) {
            for offset in (0..entry_size(2)).step_by(0x1000) {
                self.data.insert(base + offset, pa + offset);
            }
        }
        None
    }

    fn map(&mut self, base: u64, flags: u64, memory: AddrRange) -> Reply {
        assert!(!ipa::is_unprotected(base) && flags == 1);
        let size = memory.size();
        self.own.largest_mapping = self.own.largest_mapping.max(size);
        if self.level(base) == 2 {
            let is_block = base.is_multiple_of(entry_size(2)) && memory.level == 2;
            if !is_block || self.own.blocks.contains_key(&base) {
                return Err(fail(rtt(2)));
            }
            for pa in memory.pages() {
                self.take(pa, "data").map_err(fail)?;
            }
            self.own.blocks.insert(base, memory.base);
            return Ok([base + size, 0, 0, 0]);
        }
        if self.data.contains_key(&base) {
            return Err(fail(rtt(3)));
        }
        // One page at a time, however many there are.
        self.take(memory.base, "data").map_err(fail)?;
        self.data.insert(base, memory.base);
        Ok([base + PAGE_SIZE, 0, 0, 0])
    }

    fn unmap(&mut self, base: u64, top: u64) -> Reply {
        let end = entry_base(base, 1) + entry_size(1);
        if let Some((&at, &pa)) = self.own.blocks.range(entry_base(base, 2)..end.min(top)).next()
            && self.data.range(base..at).next().is_none()
        {
            let size = entry_size(2);
            if at < base || at + size > top {
                return Err(fail(rtt(2)));
            }
            self.own.blocks.remove(&at);
            (0..size / PAGE_SIZE).for_each(|n| self.free(pa + n * PAGE_SIZE, "data"));
            return Ok([at + size, AddrRange::delegated(pa, size).encode(), 0, 0]);
        }
        let Some((&at, &pa)) = self.data.range(base..end.min(top)).next() else {
            return Ok([end.min(top), 0, 0, 0]);
        };
        self.data.remove(&at);
        self.free(pa, "data");
        Ok([at + PAGE_SIZE, AddrRange::delegated(pa, PAGE_SIZE).encode(), 0, 0])
    }

    fn share(&mut self, base: u64, flags: u64, memory: AddrRange) -> Reply {
        assert!(ipa::is_unprotected(base) && memory.undelegated);
        assert_eq!(flags, 0x1e_0001, "normal memory, readable and writable, one descriptor");
        if self.level(base) == 2 {
            return Err(fail(rtt(2)));
        }
        self.mapped.insert(base, memory.base);
        Ok([base + PAGE_SIZE, 0, 0, 0])
    }

    fn unshare(&mut self, base: u64, top: u64) -> Reply {
        let end = (entry_base(base, 1) + entry_size(1)).min(top);
        let Some((&at, &pa)) = self.mapped.range(base..end).next() else {
            return Ok([end, 0, 0, 0]);
        };
        self.mapped.remove(&at);
        let desc = AddrRange { undelegated: true, ..AddrRange::delegated(pa, PAGE_SIZE) };
        Ok([at + PAGE_SIZE, desc.encode(), 0, 0])
    }

    /// `RTT_SET_RIPAS` of a part of a block: a table is needed. 1.0's code does the rest.
    fn change_block(&self, base: u64, top: u64) -> Option<Reply> {
        let block = entry_base(base, 2);
        let is_part = block != base || top - base < entry_size(2);
        (is_part && self.own.blocks.contains_key(&block)).then_some(Err(fail(rtt(2))))
    }
}
