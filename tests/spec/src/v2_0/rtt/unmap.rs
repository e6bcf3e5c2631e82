//! RTT_DATA_UNMAP, RTT_UNPROT_UNMAP.
//!
//! Source: sections 10.3, 10.6 and 10.7 of our notes on RMI 2.0, with 0.4.

use super::super::operation::written_words;
use super::super::platform::GRANULE;
use super::super::verdict::{Conditions, ensure};
use super::super::words::{AddressRange, Addresses, INPUT, rtt};
use super::super::{
    Answer, Entry, HostView, Model, Ripas, State, Verdict, choices, entry_size, granules_of,
    list_words,
};
use super::{Half, ORDER, Step};

/// Blocks of physical memory that have been unmapped: address and bytes.
type Blocks = Vec<(u64, u64)>;

impl Model {
    /// DATA_UNMAP and UNPROT_UNMAP: rd, base, top, flags, oaddr. No condition on the Realm's state
    /// (8.2).
    pub(crate) fn unmap(&self, half: Half, arguments: [u64; 5]) -> Verdict {
        let [rd, base, top, flags, oaddr] = arguments;
        let mut c = Conditions::of_range(base);
        let walks = self.check_mapping(&mut c, half, rd, base, top).is_some();
        let output = Addresses::decode(flags);
        c.fails("oaddr_type", output.is_none(), INPUT);
        if let Some(Addresses::List(count)) = output {
            c.fails("list_align", !oaddr.is_multiple_of(8), INPUT);
            c.fails("list_count", count == 0, INPUT);
            // Looked at before anything changes (10.6).
            c.fails("list_pas", !self.is_host_memory(oaddr), INPUT);
            let room = list_words(oaddr & !7, count).count() as u64;
            c.may_fail("list_count", room < count, INPUT);
        }
        if !walks {
            return c.failure(ORDER);
        }
        let mut blocks = Blocks::new();
        self.check_first(&mut c, base, &mut |model, at| model.unmap_step(rd, top, at, &mut blocks));
        c.or_checked(ORDER, move |model, answer, host| {
            let mut blocks = Blocks::new();
            let mut next = model.clone();
            next.step_to([base, top, answer[1]], &mut |model, at| {
                model.unmap_step(rd, top, at, &mut blocks)
            })?;
            let output = output.unwrap_or(Addresses::None);
            check_output(half, output, oaddr, &blocks, answer, host)?;
            *model = next;
            Ok(())
        })
    }

    /// Section 10.6: what is mapped and fits is unmapped, what is not mapped is skipped, whatever
    /// its size (B-33).
    fn unmap_step(&mut self, rd: u64, top: u64, at: u64, blocks: &mut Blocks) -> Step {
        let walk = self.realms[&rd].tables.walk(at, 3);
        let (level, size) = (walk.level, entry_size(walk.level));
        let stops = |condition| Step::Stops(condition, vec![rtt(level)]);
        let (new, pa) = match walk.entry() {
            Entry::Unassigned(_) | Entry::UnassignedNs => {
                return Step::To(top.min((at / size + 1) * size));
            }
            // Section 10.2.
            Entry::Assigned(Ripas::Ram, pa) => (Entry::Unassigned(Ripas::Destroyed), *pa),
            Entry::Assigned(ripas, pa) => (Entry::Unassigned(*ripas), *pa),
            Entry::AssignedNs(pa, _) => (Entry::UnassignedNs, *pa),
            Entry::Table(_) => return stops("entry_state"),
        };
        if !at.is_multiple_of(size) {
            return stops("entry_align");
        }
        if size > top - at {
            return stops("entry_size");
        }
        let is_data = matches!(new, Entry::Unassigned(_));
        if is_data && level < choices::LARGEST_DATA_BLOCK {
            return stops("entry_size");
        }
        if is_data {
            for granule in granules_of(pa, pa + size) {
                self.set_state(granule, State::Delegated);
            }
        }
        blocks.push((pa, size));
        self.replace(rd, at, level, |_| new);
        Step::To(at + size)
    }
}

/// X2, X3 and the list say what has been unmapped, in order.
fn check_output(
    half: Half,
    output: Addresses,
    oaddr: u64,
    blocks: &Blocks,
    answer: &Answer,
    host: &dyn HostView,
) -> Result<(), String> {
    let (range, count) = (answer[2], answer[3]);
    let words = match output {
        Addresses::None => {
            ensure((range, count) == (0, 0), "X2 and X3 are 0")?;
            return Ok(());
        }
        Addresses::Single => {
            // Whether X3 counts the descriptor in X2 is open; Annex E says 0 for UNPROT_UNMAP.
            let one = u64::from(half == Half::Protected && !blocks.is_empty());
            ensure(count <= one, "X3 is 0")?;
            ensure((range == 0) == blocks.is_empty(), "X2 is 0 if nothing was mapped")?;
            if range == 0 { Vec::new() } else { vec![range] }
        }
        Addresses::List(most) => {
            ensure(range == 0, "X2 is 0")?;
            let room = list_words(oaddr, most).count() as u64;
            ensure(count <= room, "X3 is not above the room for entries")?;
            let page = host.after(oaddr & !(GRANULE - 1)).ok_or("the list cannot be read")?;
            written_words(host, oaddr, count, &page)?
        }
    };
    // DELEGATED; Host memory in a list is UNDELEGATED, in X2 its state is 0 (0.4, 10.7).
    let in_list = matches!(output, Addresses::List(_));
    let state = u64::from(half == Half::Unprotected && in_list);
    let mut told = Vec::new();
    for word in words {
        let descriptor = AddressRange::decode(word, 12);
        ensure(descriptor.encode(12) == word, "the reserved bits of a descriptor are zero")?;
        ensure(descriptor.state == state, &format!("the state in {word:#x} is {state}"))?;
        ensure(descriptor.is_aligned() && descriptor.count > 0, "a descriptor is good")?;
        told.extend((0..descriptor.count).map(|number| {
            let size = descriptor.block_bytes();
            (descriptor.base + number * size, size)
        }));
    }
    // Whether a descriptor may speak of 512 pages as one block is not said; what counts are the
    // bytes.
    ensure(merged(&told) == merged(blocks), &format!("{told:x?} is what was unmapped, {blocks:x?}"))
}

/// Runs of adjacent blocks as one.
fn merged(blocks: &[(u64, u64)]) -> Blocks {
    let mut runs = Blocks::new();
    for &(pa, bytes) in blocks {
        match runs.last_mut() {
            Some((first, length)) if *first + *length == pa => *length += bytes,
            _ => runs.push((pa, bytes)),
        }
    }
    runs
}
