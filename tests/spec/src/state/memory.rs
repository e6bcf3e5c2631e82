//! Contents of pages. A word that nobody has written since the page changed hands is unknown: the
//! specification does not promise zeros.

use std::collections::HashMap;

type Page = [Option<u64>; 512];

/// Contents of pages, word by word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pages: HashMap<u64, Box<Page>>,
}

impl Memory {
    /// The page at `pa`, if all of it is known.
    pub(crate) fn page(&self, pa: u64) -> Option<Box<[u64; 512]>> {
        let words = self.pages.get(&pa)?;
        let mut page = Box::new([0; 512]);
        for (to, from) in page.iter_mut().zip(words.iter()) {
            *to = (*from)?;
        }
        Some(page)
    }

    pub(crate) fn set_page(&mut self, pa: u64, page: &[u64; 512]) {
        self.pages.insert(pa, Box::new(page.map(Some)));
    }

    pub(crate) fn forget(&mut self, pa: u64) {
        self.pages.remove(&pa);
    }

    /// The 64-bit word that holds `pa`.
    pub(crate) fn read(&self, pa: u64) -> Option<u64> {
        self.pages.get(&(pa & !0xfff)).and_then(|page| page[(pa & 0xfff) as usize / 8])
    }

    pub(crate) fn write(&mut self, pa: u64, value: Option<u64>) {
        let page = self.pages.entry(pa & !0xfff).or_insert_with(|| Box::new([None; 512]));
        page[(pa & 0xfff) as usize / 8] = value;
    }
}
