//! Commands on ranges: what the Host passes with them, and how far they got.

use ::granule::{Budget, GRANULE_SIZE, GranuleAddr, GranuleRange, Progress, RangeError};
use machine::{HostMemory, Log, Machine, Memory, RootWorld, Vcpu};
use realm::Rmm;
use realm::rtt::{HostAttributes, Level};

use super::choices;
use super::descriptor::{AddrRange, COUNT_MAX, List};
use crate::ops::granule::{self, AlreadyThere};
use crate::ops::{Block, Cause, Named, Sink, Supply, map, memory};

/// A range of physical addresses. Where it goes on past all of them, a command has not to look: it
/// never gets there.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound` if it begins there.
fn granules(base: u64, top: u64) -> Result<GranuleRange, Cause> {
    const END: u64 = 1 << 52;
    let top = if base < END && top.is_multiple_of(GRANULE_SIZE) { top.min(END) } else { top };
    GranuleRange::new(base, top).map_err(|error| match error {
        RangeError::Unaligned => Cause::RangeUnaligned,
        RangeError::Empty => Cause::RangeEmpty,
        RangeError::OutOfBounds => Cause::RangeBound,
    })
}

/// `RMI_GRANULE_RANGE_DELEGATE`: how far it got.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`, and those of [`granule::delegate`].
pub(super) fn delegate<M: Memory + RootWorld + Vcpu>(
    rmm: &Rmm<'_, M>,
    base: u64,
    top: u64,
) -> Result<[u64; 1], Cause> {
    let already = if choices::DELEGATED_IS_PROGRESS {
        AlreadyThere::IsProgress
    } else {
        AlreadyThere::IsRefused
    };
    let Progress { reached } =
        granule::delegate(rmm, granules(base, top)?, already, Budget::TABLE)?;
    Ok([reached])
}

/// `RMI_GRANULE_RANGE_UNDELEGATE`: how far it got.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`, and those of [`granule::undelegate`].
pub(super) fn undelegate<M: Memory + RootWorld + Vcpu + Log>(
    rmm: &Rmm<'_, M>,
    base: u64,
    top: u64,
) -> Result<[u64; 1], Cause> {
    let range = granules(base, top)?;
    let Progress { reached } =
        granule::undelegate(rmm, range, AlreadyThere::IsProgress, Budget::TABLE)?;
    Ok([reached])
}

/// How many physical addresses the Host passes or wants: the low bits of the flags of a command on
/// mappings.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RmiRttMapFlags`, `RmiRttUnmapFlags`: type of the
/// addresses in bits 1:0, length of a list in 15:2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    /// None.
    None,
    /// One descriptor, in a register.
    Single,
    /// A list in the Host's memory with so many descriptors.
    List(u64),
}

impl Addresses {
    fn new(flags: u64) -> Result<Self, Cause> {
        match flags & 3 {
            0 => Ok(Self::None),
            1 => Ok(Self::Single),
            2 => Ok(Self::List(flags >> 2 & 0x3fff)),
            _ => Err(Cause::AddressType),
        }
    }
}

/// The memory of a mapping as the Host passes it.
enum Source<'m, M> {
    /// One descriptor, until it is taken.
    Single(Option<AddrRange>),
    /// A list, of which the next piece is read when it is needed.
    List(ListReader<'m, M>),
}

/// A list that is read piece by piece, each descriptor once.
struct ListReader<'m, M> {
    machine: &'m M,
    list: List,
    /// Number of the next descriptor that has not been read.
    next: usize,
    piece: heapless::Deque<u64, PIECE>,
}

/// Descriptors that are read at a time.
const PIECE: usize = 8;

impl<'m, M: HostMemory> Source<'m, M> {
    fn new(rmm: &Rmm<'m, M>, flags: u64, addresses: u64) -> Result<Self, Cause> {
        match Addresses::new(flags)? {
            // There has to be memory for a mapping.
            Addresses::None | Addresses::List(0) => Err(Cause::AddressType),
            Addresses::Single => Ok(Self::Single(Some(decode(addresses)?))),
            Addresses::List(count) => {
                let list = List::new(rmm, addresses, count)?;
                let mut reader = ListReader {
                    machine: rmm.machine,
                    list,
                    next: 0,
                    piece: heapless::Deque::new(),
                };
                // A list that cannot be read is refused whatever else is wrong.
                reader.fill()?;
                Ok(Self::List(reader))
            }
        }
    }
}

impl<M: HostMemory> ListReader<'_, M> {
    /// Reads the next piece, if there is one.
    fn fill(&mut self) -> Result<(), Cause> {
        let mut piece = [0; PIECE];
        let count = (self.list.count - self.next).min(PIECE);
        let read = piece.get_mut(..count).unwrap_or_default();
        self.list.read(self.machine, self.next, read)?;
        self.next += count;
        for &mut desc in read {
            if self.piece.push_back(desc).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<u64>, Cause> {
        if self.piece.is_empty() && self.next < self.list.count {
            self.fill()?;
        }
        Ok(self.piece.pop_front())
    }
}

/// Reads a descriptor of memory that is to be mapped, which must have some.
fn decode(desc: u64) -> Result<AddrRange, Cause> {
    AddrRange::decode(desc).filter(|range| range.count != 0).ok_or(Cause::OutputUnaligned)
}

impl<M: HostMemory> Supply for Source<'_, M> {
    fn next(&mut self) -> Result<Option<Block>, Cause> {
        let range = match self {
            Self::Single(range) => range.take(),
            Self::List(reader) => reader.next()?.map(decode).transpose()?,
        };
        Ok(range.map(|range| Block { pa: range.base, bytes: range.bytes() }))
    }
}

/// What has been mapped, on its way to the Host.
struct Told {
    to: TellTo,
    /// The descriptors, the last of which may still grow.
    ranges: heapless::Vec<AddrRange, TOLD_MAX>,
}

/// Where the Host wants to be told.
enum TellTo {
    /// Nowhere.
    Nobody,
    /// One descriptor, in a register.
    Register,
    /// In a list.
    List(List),
}

/// Most descriptors of one answer.
const TOLD_MAX: usize = 64;

impl Told {
    fn new<M: HostMemory>(rmm: &Rmm<'_, M>, flags: u64, addresses: u64) -> Result<Self, Cause> {
        let to = match Addresses::new(flags)? {
            Addresses::None => TellTo::Nobody,
            Addresses::Single => TellTo::Register,
            Addresses::List(0) => return Err(Cause::AddressType),
            Addresses::List(count) => {
                let list = List::new(rmm, addresses, count)?;
                // Nothing shall be taken away that the Host cannot be told of.
                list.probe(rmm.machine)?;
                TellTo::List(list)
            }
        };
        Ok(Self { to, ranges: heapless::Vec::new() })
    }

    /// The last two outputs of a command, and the list: one descriptor, and how many. `state` is
    /// that of the memory in a list.
    ///
    /// A list that cannot be written any more has no entries for the Host. Its granules are
    /// DELEGATED all the same: a Host that took its own page away in the middle of a command has to
    /// know which they were.
    fn finish<M: HostMemory>(self, rmm: &Rmm<'_, M>, state: u64) -> [u64; 2] {
        match self.to {
            TellTo::Nobody => [0, 0],
            TellTo::Register => [self.ranges.first().map_or(0, |range| range.encode()), 0],
            TellTo::List(list) => {
                let written = self.ranges.iter().enumerate().all(|(number, range)| {
                    list.write(rmm.machine, number, &[range.encode() | state]).is_ok()
                });
                [0, if written { self.ranges.len() as u64 } else { 0 }]
            }
        }
    }

    /// Most descriptors that the Host can be told.
    fn room(&self) -> usize {
        match &self.to {
            TellTo::Nobody => 0,
            TellTo::Register => 1,
            TellTo::List(list) => list.count,
        }
    }
}

/// Adds the memory of up to `most` entries to a descriptor, if it goes on from there with the same
/// size. Returns how many it has room for.
fn grow(range: &mut AddrRange, pa: GranuleAddr, level: Level, most: u16) -> u16 {
    let goes_on = range.level == level && range.base.as_u64() + range.bytes() == pa.as_u64();
    let added = if goes_on { most.min(COUNT_MAX - range.count) } else { 0 };
    range.count += added;
    added
}

impl Sink for Told {
    fn take(&mut self, pa: GranuleAddr, level: Level, most: u16) -> u16 {
        if matches!(self.to, TellTo::Nobody) {
            return most;
        }
        let added = self.ranges.last_mut().map_or(0, |range| grow(range, pa, level, most));
        if added != 0 {
            return added;
        }
        let range = AddrRange { base: pa, level, count: most.min(COUNT_MAX) };
        let has_room = self.ranges.len() < self.room() && self.ranges.push(range).is_ok();
        if has_room { range.count } else { 0 }
    }
}

/// `RMI_RTT_DATA_MAP`: how far it got.
///
/// # Errors
///
/// `AddressType`, `OutputUnaligned`, `HostUnaligned`, `HostUntracked`, `HostFault`, and those of
/// [`memory::map`].
pub(super) fn map_data<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    (base, top): (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<[u64; 1], Cause> {
    let mut source = Source::new(rmm, flags, addresses)?;
    Ok([memory::map(rmm, rd, base, top, &mut source, Budget::TABLE)?])
}

/// `RMI_RTT_DATA_UNMAP`: how far it got, and what has been mapped.
///
/// # Errors
///
/// `AddressType`, `HostUnaligned`, `HostUntracked`, `HostFault`, and those of [`memory::unmap`].
pub(super) fn unmap_data<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    (base, top): (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<[u64; 3], Cause> {
    /// `RmiAddrRangeDesc`, state: DELEGATED.
    const DELEGATED: u64 = 0;
    let mut told = Told::new(rmm, flags, addresses)?;
    let reached = memory::unmap(rmm, rd, base, top, &mut told, Budget::TABLE)?;
    let [range, count] = told.finish(rmm, DELEGATED);
    Ok([reached, range, count])
}

/// The attributes of Host memory in the flags of a mapping: `MemAttr` in bits 18:16, write access
/// in bit 19, read access in bit 20.
fn attributes(flags: u64) -> Result<HostAttributes, Cause> {
    /// Bits 22:19 are access permissions, of which the upper two have no meaning.
    const RESERVED: u64 = 0b11 << 21;
    let [_, _, bits, ..] = flags.to_le_bytes();
    let is_set = |bit: u32| flags >> bit & 1 != 0;
    if flags & RESERVED != 0 {
        return Err(Cause::HostAttributes);
    }
    HostAttributes::new(bits & 0b111, is_set(20), is_set(19)).ok_or(Cause::HostAttributes)
}

/// `RMI_RTT_UNPROT_MAP`: how far it got.
///
/// # Errors
///
/// `HostAttributes`, and those of [`map_data`] and [`map::map_range`].
pub(super) fn map_host<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    range: (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<[u64; 1], Cause> {
    let attributes = attributes(flags)?;
    let mut source = Source::new(rmm, flags, addresses)?;
    Ok([map::map_range(rmm, rd, range, attributes, &mut source, Budget::TABLE)?])
}

/// `RMI_RTT_UNPROT_UNMAP`: how far it got, and what has been mapped.
///
/// # Errors
///
/// Those of [`unmap_data`] and [`map::unmap_range`].
pub(super) fn unmap_host<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    (base, top): (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<[u64; 3], Cause> {
    /// `RmiAddrRangeDesc`, state: UNDELEGATED. Only a list says it.
    const UNDELEGATED: u64 = 1 << 62;
    let mut told = Told::new(rmm, flags, addresses)?;
    let reached = map::unmap_range(rmm, rd, base, top, &mut told, Budget::TABLE)?;
    let [range, count] = told.finish(rmm, UNDELEGATED);
    Ok([reached, range, count])
}
