//! Output addresses of mappings: what a Host supplies to be mapped, and where what is unmapped is
//! told.

use granule::{GRANULE_SIZE, GranuleAddr};
use realm::rtt::{Format, Level, LevelOf};

use super::Cause;

/// Contiguous physical memory that a Host wants to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First granule.
    pub pa: GranuleAddr,
    /// Length: a multiple of the granule size, not 0.
    pub bytes: u64,
}

impl Block {
    /// How many entries of `level` it fills, at most `most`, that can all hold the address of what
    /// they map; the first can.
    pub(super) fn entries<const SHIFT: u32>(
        &self,
        format: Format,
        level: LevelOf<SHIFT>,
        most: u16,
    ) -> u16 {
        let count = (self.bytes / level.entry_size()).min(u64::from(most));
        let last = self.pa.as_u64() + count.saturating_sub(1) * level.entry_size();
        let goes_on = format.can_hold(last) && format.goes_on(self.pa.as_u64(), last);
        let count = if goes_on { count } else { count.min(1) };
        u16::try_from(count).unwrap_or(most)
    }
}

/// The memory that a Host wants to be mapped, in the order of the addresses where it is to appear.
///
/// Blocks are taken one by one, as they are needed, and never looked at twice. How they are cut
/// does not decide how they are mapped: neighbours that go on in physical memory count as one.
pub trait Supply {
    /// The next block; `None` if there are no more.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in the dialect's own view.
    fn next(&mut self) -> Result<Option<Block>, Cause>;
}

/// Told of each mapping that is taken away, in ascending order of intermediate physical addresses.
pub trait Sink {
    /// Takes note of mappings of entries of `level` to memory from `pa` on, at most `most` of them;
    /// says how many. There is no room for the others: they stay mapped.
    fn take(&mut self, pa: GranuleAddr, level: Level, most: u16) -> u16;
}

/// Nobody wants to know.
impl Sink for () {
    fn take(&mut self, _: GranuleAddr, _: Level, most: u16) -> u16 {
        most
    }
}

/// What is left of the supply, from the next address to be mapped on.
pub(super) struct Window<'s, S> {
    supply: &'s mut S,
    /// What comes next; no bytes if it has to be asked for.
    front: Option<Block>,
    /// A block that does not go on from `front`.
    behind: Option<Block>,
}

impl<'s, S: Supply> Window<'s, S> {
    pub(super) fn new(supply: &'s mut S) -> Self {
        Self { supply, front: None, behind: None }
    }

    /// The next memory, `bytes` of it if so much goes on without a gap, else less.
    ///
    /// # Errors
    ///
    /// `OutputMissing` if nothing is left; what the supply says of itself.
    pub(super) fn front(&mut self, bytes: u64) -> Result<Block, Cause> {
        let mut front = match self.front {
            Some(front) => front,
            None => self.pull()?.ok_or(Cause::OutputMissing)?,
        };
        while front.bytes < bytes {
            let Some(next) = self.pull()? else { break };
            if front.pa.add(front.bytes / GRANULE_SIZE) != Some(next.pa) {
                self.behind = Some(next);
                break;
            }
            front.bytes = front.bytes.saturating_add(next.bytes);
        }
        self.front = Some(front);
        Ok(front)
    }

    fn pull(&mut self) -> Result<Option<Block>, Cause> {
        match self.behind.take() {
            Some(block) => Ok(Some(block)),
            None => self.supply.next(),
        }
    }

    /// The first `bytes` of what [`Window::front`] returned have been mapped.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.front = self.front.and_then(|front| {
            let pa = front.pa.add(bytes / GRANULE_SIZE)?;
            let bytes = front.bytes.checked_sub(bytes).filter(|bytes| *bytes != 0)?;
            Some(Block { pa, bytes })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct List(Vec<(u64, u64)>);

    impl Supply for List {
        fn next(&mut self) -> Result<Option<Block>, Cause> {
            if self.0.is_empty() {
                return Ok(None);
            }
            let (pa, bytes) = self.0.remove(0);
            Ok(Some(block(pa, bytes)))
        }
    }

    fn block(pa: u64, bytes: u64) -> Block {
        Block { pa: GranuleAddr::new(pa).unwrap(), bytes }
    }

    #[test]
    fn a_block_fills_entries_up_to_the_last_address_that_they_can_hold() {
        let entries =
            |pa, bytes, most| block(pa, bytes).entries(Format::Address48, Level::PAGE, most);
        assert_eq!(entries(0x1000, 0x1000, 512), 1);
        assert_eq!(entries(0x1000, 0x8000, 512), 8);
        assert_eq!(entries(0x1000, 0x8000, 3), 3);
        assert_eq!(block(0x20_0000, 0x1f_f000).entries(Format::Address48, Level::LAST_BLOCK, 9), 0);
        assert_eq!(entries((1 << 48) - 0x2000, 0x2000, 512), 2);
        assert_eq!(entries((1 << 48) - 0x2000, 0x3000, 512), 1, "the last would not fit");
        let border = block((1 << 50) - 0x2000, 0x3000);
        assert_eq!(border.entries(Format::Address52, Level::PAGE, 2), 2);
        assert_eq!(border.entries(Format::Address52, Level::PAGE, 3), 1, "bit 50 stands elsewhere");
    }

    /// The same question of each entry by itself: do its first byte and all before it go on?
    fn entries_are_counted_one_by_one<const SHIFT: u32>() {
        for level in [LevelOf::<SHIFT>::PAGE, LevelOf::LAST_BLOCK, LevelOf::FIRST_LEAF] {
            let size = level.entry_size();
            for (format, border) in [(Format::Address48, 1 << 48), (Format::Address52, 1 << 50)] {
                for before in 1..6 {
                    let pa = border - before * size;
                    for bytes in [size / 2, size, 3 * size, 4 * size + size / 2] {
                        for most in 1..6 {
                            let wanted = (bytes / size).min(u64::from(most));
                            let expected = if wanted <= before { wanted } else { 1 };
                            let found = block(pa, bytes).entries(format, level, most);
                            assert_eq!(u64::from(found), expected, "{level:?} {pa:#x} {bytes:#x}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_block_fills_entries_of_each_granule() {
        entries_are_counted_one_by_one::<12>();
        entries_are_counted_one_by_one::<14>();
        entries_are_counted_one_by_one::<16>();
    }

    #[test]
    fn neighbours_count_as_one_and_a_gap_does_not() {
        let mut list = List(vec![(0x1000, 0x1000), (0x2000, 0x2000), (0x9000, 0x1000)]);
        let mut window = Window::new(&mut list);
        assert_eq!(window.front(0x1000), Ok(block(0x1000, 0x1000)));
        assert_eq!(window.front(0x2000), Ok(block(0x1000, 0x3000)));
        window.advance(0x2000);
        assert_eq!(window.front(0x8000), Ok(block(0x3000, 0x1000)));
        assert_eq!(window.front(0x8000), Ok(block(0x3000, 0x1000)), "asking takes nothing");
        window.advance(0x1000);
        assert_eq!(window.front(0x1000), Ok(block(0x9000, 0x1000)));
        window.advance(0x1000);
        assert_eq!(window.front(0x1000), Err(Cause::OutputMissing));
    }
}
