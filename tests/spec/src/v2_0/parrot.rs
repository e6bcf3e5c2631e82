//! A machine that answers what the model allows, and nothing else: it shows that the model
//! contradicts itself nowhere and that everything can be given back, and lets a driver be tried
//! without a monitor.
//!
//! Where several answers are allowed it takes one by chance. It tells nothing about a monitor.

use std::collections::HashMap;

use super::platform::GRANULE;
use super::words::{AddressRange, Addresses, BLOCKED, BUSY, DonateRequest, INCOMPLETE, SUCCESS};
use super::{Answer, Call, Entry, HostView, Model, Page, Platform, entry_size, fid, list_words};

/// Granules that its REC_CREATE asks for.
const REC_GRANULES: u64 = 2;

/// The Host's pages before a command, and those that the command writes.
#[derive(Debug, Default)]
struct Pages {
    before: HashMap<u64, Page>,
    written: HashMap<u64, Page>,
}

impl HostView for Pages {
    fn before(&self, pa: u64) -> Option<Box<Page>> {
        Some(Box::new(self.before.get(&pa).copied().unwrap_or([0; 512])))
    }

    fn after(&self, pa: u64) -> Option<Box<Page>> {
        self.written.get(&pa).map(|page| Box::new(*page)).or_else(|| self.before(pa))
    }
}

/// The machine.
#[derive(Debug)]
pub struct Parrot {
    model: Model,
    pages: Pages,
    chance: u64,
    /// It does not choose by chance, but what gets the Host furthest.
    is_tame: bool,
}

/// X1 to X3 that the command may give, and words that it writes to a page of the Host.
type Candidate = ([u64; 3], Vec<(u64, u64)>);

impl Parrot {
    /// A machine after boot; `seed` decides which of several answers it gives.
    pub fn new(platform: Platform, seed: u64) -> Self {
        Self {
            model: Model::new(platform),
            pages: Pages::default(),
            chance: seed | 1,
            is_tame: false,
        }
    }

    /// A machine that gets the Host as far as the model allows.
    pub fn tame(platform: Platform) -> Self {
        Self { is_tame: true, ..Self::new(platform, 0) }
    }

    /// What it follows.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// A page of the Host.
    pub fn read_page(&self, pa: u64) -> Page {
        self.pages.before.get(&pa).copied().unwrap_or([0; 512])
    }

    /// The Host writes a page.
    pub fn write_page(&mut self, pa: u64, page: &Page) {
        self.pages.before.insert(pa, *page);
    }

    fn below(&mut self, limit: usize) -> usize {
        // Xorshift.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance % limit.max(1) as u64) as usize
    }

    /// Answers a call; `None` if it is one of another version.
    ///
    /// # Panics
    ///
    /// The model allows no answer, or none that this machine can think of.
    pub fn call(&mut self, call: &Call) -> Option<Answer> {
        let (verdict, latch) = self.model.verdict(call, &self.pages);
        if verdict.is_none() {
            self.model.latch = latch;
            return None;
        }
        let mut outcomes: Vec<_> = verdict
            .iter()
            .flat_map(|verdict| &verdict.0)
            .map(super::verdict::Outcome::answer)
            .collect();
        let mut first = self.below(outcomes.len());
        if self.is_tame {
            // Success, then what goes on, then failures in the order of the conditions.
            outcomes.sort_by_key(|(x0, _)| match (x0, x0 & 0xff) {
                (&SUCCESS, _) => 0,
                // Only to be called again.
                (&INCOMPLETE, _) if fid::decode(call[0]) == fid::OP_CONTINUE => 5,
                (&INCOMPLETE, _) => 2,
                (_, INCOMPLETE) => 1,
                (&BLOCKED, _) => 2,
                (_, BUSY) => 4,
                _ => 3,
            });
            first = 0;
        }
        for number in 0..outcomes.len() {
            let (x0, outputs) = outcomes[(first + number) % outcomes.len()];
            let candidates = match outputs {
                Some([x1, x2, x3, x4]) => {
                    let answer = self.answer(call, x0, [x1, x2, x3]);
                    if fid::decode(call[0]) == fid::RTT_READ_ENTRY {
                        let mut answer = answer;
                        answer[4] = x4;
                        if self.gives(call, &answer, &[]) {
                            return Some(answer);
                        }
                    }
                    vec![([x1, x2, x3], Vec::new())]
                }
                None => self.candidates(call, x0),
            };
            for (outputs, words) in candidates {
                let answer = self.answer(call, x0, outputs);
                if self.gives(call, &answer, &words) {
                    return Some(answer);
                }
            }
        }
        panic!("no answer to {call:x?}: {outcomes:x?}");
    }

    fn answer(&self, call: &Call, x0: u64, outputs: [u64; 3]) -> Answer {
        let mut answer = *call;
        answer[0] = x0;
        answer[1..4].copy_from_slice(&outputs);
        answer
    }

    /// Whether the model takes an answer; if so it is given.
    fn gives(&mut self, call: &Call, answer: &Answer, words: &[(u64, u64)]) -> bool {
        for &(at, word) in words {
            let pa = at & !(GRANULE - 1);
            let page = self.read_page(pa);
            let page = self.pages.written.entry(pa).or_insert(page);
            page[(at % GRANULE / 8) as usize] = word;
        }
        let given = self.model.judge(call, &self.pages, answer).is_ok();
        let written = core::mem::take(&mut self.pages.written);
        if given {
            self.pages.before.extend(written);
            // What leaves the Host comes back wiped.
            self.pages.before.retain(|&pa, _| self.model.is_host_memory(pa));
        }
        given
    }

    /// Outputs of a success that depend on more than the call.
    fn candidates(&mut self, call: &Call, x0: u64) -> Vec<Candidate> {
        let &[_, x1, x2, x3, x4, x5, ..] = call;
        let handle = (0..).find(|handle| !self.model.operations.contains_key(handle)).unwrap_or(0);
        let plain = |outputs| vec![(outputs, Vec::new())];
        match fid::decode(call[0]) {
            // A machine has no more operations than it says.
            fid::REC_CREATE if handle >= self.model.platform.operations => Vec::new(),
            fid::REC_CREATE => plain([handle, DonateRequest::granules(REC_GRANULES).encode(), 0]),
            fid::REC_DESTROY => plain([handle, 0, 0]),
            fid::OP_MEM_RECLAIM => self.reclaims(x0, [x1, x2, x3]),
            fid::CONFIG_GET => {
                let config = self.model.config;
                let word = |number: u64| {
                    (x1 + number * 8, config.get(number as usize).map_or(0, |word| *word))
                };
                vec![([0; 3], (0..512).map(word).collect())]
            }
            fid::TRACKING_GET => {
                let platform = &self.model.platform;
                let (category, state) = platform.tracking(x1);
                let end = platform.tracking_end(x1).unwrap_or(x2).min(x2);
                plain([category, state, end])
            }
            fid::GPT_INFO => vec![([x2, 1, 0], Vec::new())],
            fid::RANGE_DELEGATE | fid::RANGE_UNDELEGATE => {
                // As far as it goes, or less.
                let granules = (x2 - x1) / GRANULE;
                let tops = (1..=granules.min(64)).rev().map(|count| x1 + count * GRANULE);
                let mut tops: Vec<_> = tops.map(|top| ([top, 0, 0], Vec::new())).collect();
                let skip =
                    if !self.is_tame && self.below(3) == 0 { self.below(tops.len()) } else { 0 };
                tops.rotate_left(skip);
                tops
            }
            fid::DATA_MAP | fid::UNPROT_MAP | fid::RTT_INIT_RIPAS => {
                plain([self.end(x1, x2, x3).0, 0, 0])
            }
            fid::RTT_SET_RIPAS => plain([self.end(x1, x3, x4).0, 0, 0]),
            fid::DATA_UNMAP | fid::UNPROT_UNMAP => self.unmaps(call[0], [x1, x2, x3, x4, x5]),
            fid::REC_ENTER => self.exits(x1, x2),
            _ => Vec::new(),
        }
    }

    /// Where the entry at `base` ends, and the address in it with its size.
    fn end(&self, rd: u64, base: u64, top: u64) -> (u64, Option<(u64, u64)>) {
        let Some(realm) = self.model.realms.get(&rd) else { return (top, None) };
        let (level, entry) = realm.entry(base, 3);
        let size = entry_size(level);
        let pa = match entry {
            Entry::Assigned(_, pa) | Entry::AssignedNs(pa, _) => Some((*pa, size)),
            _ => None,
        };
        (top.min((base / size + 1) * size), pa)
    }

    fn unmaps(&self, command: u64, [rd, base, top, flags, oaddr]: [u64; 5]) -> Vec<Candidate> {
        let (end, block) = self.end(rd, base, top);
        let Some((pa, size)) = block else { return vec![([end, 0, 0], Vec::new())] };
        let size_code = (0..4).find(|code| entry_size(3 - code) == size).unwrap_or(0);
        let size_code = size_code.cast_unsigned();
        let in_list = matches!(Addresses::decode(flags), Some(Addresses::List(_)));
        let state = u64::from(in_list && fid::decode(command) == fid::UNPROT_UNMAP);
        let word = AddressRange { base: pa, size_code, count: 1, state }.encode(12);
        match Addresses::decode(flags) {
            Some(Addresses::Single) => {
                let count = u64::from(fid::decode(command) == fid::DATA_UNMAP);
                vec![([end, word, count], Vec::new())]
            }
            Some(Addresses::List(_)) => vec![([end, 0, 1], vec![(oaddr, word)])],
            Some(Addresses::None) | None => vec![([end, 0, 0], Vec::new())],
        }
    }

    fn reclaims(&self, x0: u64, [handle, list, count]: [u64; 3]) -> Vec<Candidate> {
        let Some(operation) = self.model.operations.get(&handle) else { return Vec::new() };
        let entry =
            |&pa: &u64| AddressRange { base: pa, size_code: 0, count: 1, state: 0 }.encode(12);
        let entries = list_words(list, count).zip(operation.granules.iter().map(entry));
        let entries: Vec<_> = entries.collect();
        let all = entries.len() == operation.granules.len();
        if all == (x0 == INCOMPLETE) || x0 == SUCCESS {
            vec![([entries.len() as u64, 0, 0], entries)]
        } else {
            Vec::new()
        }
    }

    /// What the Realm does until its exit.
    fn exits(&mut self, rec: u64, run: u64) -> Vec<Candidate> {
        let others: Vec<u64> = self.model.recs.values().map(|rec| rec.mpidr).collect();
        let other = others.get(self.below(others.len())).copied().unwrap_or(0);
        let ripas = self.below(2) as u64;
        // A tame machine is interrupted at once.
        let reason = if self.is_tame { 5 } else { self.below(6) };
        let width = self.model.recs.get(&rec).and_then(|rec| self.model.realms.get(&rec.owner));
        let fault = width.map_or(0, |realm| 1 << (realm.width - 1)) >> 12 << 4;
        let exit: Vec<(u64, u64)> = match reason {
            0 => vec![(0x800, 0), (0x900, 0x24 << 26 | 1 << 24), (0x910, fault)],
            1 => vec![(0x800, 3), (0xa00, 0xc400_0003), (0xa08, other)],
            2 => vec![(0x800, 4), (0xd00, 0), (0xd08, 0x8000), (0xd10, ripas)],
            3 => vec![(0x800, 5), (0xe00, 7)],
            4 if self.below(4) == 0 => vec![(0x800, 3), (0xa00, 0x8400_0008)],
            _ => vec![(0x800, 1)],
        };
        let blank = (0x800..0x1000).step_by(8).map(|offset| (run + offset, 0));
        let filled = exit.into_iter().map(|(offset, word)| (run + offset, word));
        vec![([0; 3], blank.chain(filled).collect())]
    }
}
