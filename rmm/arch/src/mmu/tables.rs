//! Builds the low half of the address space in memory that is not mapped yet.

use machine::addr::PAGE_WORDS;

use super::descriptor::{self, Access};
use crate::layout::PAGE;

/// Pages set aside for the tables of the low half: three regions far apart (image, shared buffer,
/// console) with at most 24 MiB of contiguous memory need fewer than this.
pub const POOL_PAGES: usize = 32;

/// One translation table.
pub type Table = [u64; PAGE_WORDS];

/// The memory for tables is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTables;

/// Tables under construction: `pool[0]` is the root (level 0), the others are taken in order.
#[derive(Debug)]
pub struct Builder<'p> {
    pool: &'p mut [Table],
    pool_pa: u64,
    used: usize,
}

impl<'p> Builder<'p> {
    /// An empty address space in `pool`, which lies at physical address `pool_pa` and is zeroed.
    pub fn new(pool: &'p mut [Table], pool_pa: u64) -> Self {
        Self { pool, pool_pa, used: 1 }
    }

    /// Identity maps the pages of `[base, top)`.
    ///
    /// # Errors
    ///
    /// [`OutOfTables`] if the pool is too small.
    pub fn map(&mut self, base: u64, top: u64, access: Access) -> Result<(), OutOfTables> {
        let mut at = base & !(PAGE - 1);
        while at < top {
            let leaf = self.leaf_table(at)?;
            *self.entry(leaf, at, 3)? = descriptor::page(at, access);
            at += PAGE;
        }
        Ok(())
    }

    /// The level 3 table for an address, made if it is missing.
    fn leaf_table(&mut self, address: u64) -> Result<usize, OutOfTables> {
        let mut table = 0;
        for level in 0..3 {
            let entry = *self.entry(table, address, level)?;
            table = match descriptor::output(entry) {
                Some(pa) => usize::try_from((pa - self.pool_pa) / PAGE).map_err(|_| OutOfTables)?,
                None => {
                    let new = self.used;
                    if new >= self.pool.len() {
                        return Err(OutOfTables);
                    }
                    self.used += 1;
                    let pa = self.pool_pa + new as u64 * PAGE;
                    *self.entry(table, address, level)? = descriptor::table(pa);
                    new
                }
            };
        }
        Ok(table)
    }

    fn entry(&mut self, table: usize, address: u64, level: u32) -> Result<&mut u64, OutOfTables> {
        let index =
            usize::try_from((address >> (39 - 9 * level)) & 511).map_err(|_| OutOfTables)?;
        self.pool.get_mut(table).and_then(|table| table.get_mut(index)).ok_or(OutOfTables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: u64 = 0x4080_0000;

    fn walk(pool: &[Table], address: u64) -> Option<u64> {
        let mut table = 0;
        let index = |level: usize| usize::try_from(address >> (39 - 9 * level)).unwrap() & 511;
        for level in 0..3 {
            let next = descriptor::output(pool[table][index(level)])?;
            table = usize::try_from((next - POOL) / PAGE).unwrap();
        }
        let entry = pool[table][index(3)];
        descriptor::output(entry).map(|_| entry)
    }

    #[test]
    fn mapped_pages_translate_to_themselves_and_their_neighbours_do_not() {
        let mut pool = vec![[0; PAGE_WORDS]; POOL_PAGES];
        let mut builder = Builder::new(&mut pool, POOL);
        builder.map(0x4010_0000, 0x4010_3000, Access::Code).unwrap();
        builder.map(0x4010_4000, 0x4190_0000, Access::ReadWrite).unwrap();
        builder.map(0x0900_0000, 0x0900_1000, Access::Device).unwrap();
        assert_eq!(walk(&pool, 0x4010_2000), Some(descriptor::page(0x4010_2000, Access::Code)));
        assert_eq!(walk(&pool, 0x4010_3000), None);
        assert_eq!(
            walk(&pool, 0x418f_f000),
            Some(descriptor::page(0x418f_f000, Access::ReadWrite))
        );
        assert_eq!(walk(&pool, 0x4190_0000), None);
        assert_eq!(walk(&pool, 0x0900_0000), Some(descriptor::page(0x0900_0000, Access::Device)));
    }

    #[test]
    fn the_pool_suffices_for_three_distant_regions_and_ends_without_damage() {
        let mut pool = vec![[0; PAGE_WORDS]; POOL_PAGES];
        let mut builder = Builder::new(&mut pool, POOL);
        builder.map(0x7f_ff00_0000, 0x80_0080_0000, Access::ReadWrite).unwrap();
        builder.map(0xffff_ffff_f000, 0x1_0000_0000_0000, Access::Device).unwrap();
        builder.map(0x9000_0000_0000, 0x9000_0000_1000, Access::ReadWrite).unwrap();
        assert_eq!(builder.map(0, 0x1_0000_0000, Access::Code), Err(OutOfTables));
    }
}
