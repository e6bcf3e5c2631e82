//! Where the Host has its memory, and what misfortune it meets.

const GRANULE: u64 = 4096;

/// The Host's memory: what it uses for what.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Granules that become objects, adjacent.
    pub pool: Vec<u64>,
    /// 2 MiB that can be mapped as one block, if there are as many.
    pub block: Option<u64>,
    /// A page of parameters and contents.
    pub params: u64,
    /// A page of lists.
    pub list: u64,
    /// A run page.
    pub run: u64,
    /// More pages of the Host, in case a broken call has delegated the others.
    pub spare: [u64; 2],
    /// Addresses that are none of this.
    pub strange: Vec<u64>,
    /// How often EL3 refuses or Host memory faults: once in so many commands; never if it is 0.
    pub mishaps: u64,
}

impl Layout {
    /// In memory that begins at `base`, a multiple of 2 MiB, and has 128 granules.
    pub fn new(base: u64, strange: Vec<u64>) -> Self {
        let page = |number: u64| base + number * GRANULE;
        Self {
            pool: (0..64).map(page).collect(),
            block: None,
            params: page(64),
            list: page(66),
            run: page(68),
            spare: [page(70), page(71)],
            strange,
            mishaps: 0,
        }
    }

    /// Pages that the Host keeps.
    pub fn host_pages(&self) -> [u64; 5] {
        let [first, second] = self.spare;
        [self.list, self.params, self.run, first, second]
    }
}
