//! Simulated DRAM: granules with contents and a physical address space each, all of it shared by
//! the CPUs.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::OnceLock;

use granule::GRANULE_SIZE;
use machine::Words;

/// Contents of one granule.
pub type Contents = [u64; 512];

/// Physical address space of a granule, as the granule protection table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pas {
    /// Non-secure: the Host's.
    NonSecure,
    /// Realm: the monitor's and the Realms'.
    Realm,
    /// Secure: the trusted OS's.
    Secure,
    /// Root: EL3's.
    Root,
}

/// One granule.
#[derive(Debug)]
pub(crate) struct Granule {
    contents: OnceLock<Box<Words>>,
    pas: AtomicU8,
    /// Mappings with one user, and mappings with many, over all CPUs.
    pub(crate) exclusive: AtomicU32,
    pub(crate) shared: AtomicU32,
    /// Whether instruction fetches see the contents as they are now: the CPUs' caches do not do
    /// that by themselves.
    pub(crate) code_is_new: AtomicBool,
}

impl Granule {
    fn new() -> Self {
        Self {
            contents: OnceLock::new(),
            pas: AtomicU8::new(Pas::NonSecure as u8),
            exclusive: AtomicU32::new(0),
            shared: AtomicU32::new(0),
            code_is_new: AtomicBool::new(false),
        }
    }

    /// The words, allocated when first touched.
    pub(crate) fn words(&self) -> &Words {
        self.contents.get_or_init(|| Box::new(Words([const { AtomicU64::new(0) }; 512])))
    }

    /// A copy of the contents.
    pub(crate) fn copy(&self) -> Box<Contents> {
        let mut copy = Box::new([0; 512]);
        if let Some(words) = self.contents.get() {
            for (to, from) in copy.iter_mut().zip(&words.0) {
                *to = from.load(Ordering::Relaxed);
            }
        }
        copy
    }

    /// Whether all bytes are zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.contents
            .get()
            .is_none_or(|words| words.0.iter().all(|word| word.load(Ordering::Relaxed) == 0))
    }

    pub(crate) fn pas(&self) -> Pas {
        match self.pas.load(Ordering::Acquire) {
            0 => Pas::NonSecure,
            1 => Pas::Realm,
            2 => Pas::Secure,
            _ => Pas::Root,
        }
    }

    pub(crate) fn set_pas(&self, pas: Pas) {
        self.pas.store(pas as u8, Ordering::Release);
    }

    /// Whether any CPU has it mapped.
    pub(crate) fn is_mapped(&self) -> bool {
        self.exclusive.load(Ordering::Relaxed) + self.shared.load(Ordering::Relaxed) != 0
    }
}

/// A run of DRAM.
#[derive(Debug)]
struct Bank {
    base: u64,
    granules: Vec<Granule>,
}

/// All DRAM of the machine.
#[derive(Debug)]
pub(crate) struct Dram {
    banks: Vec<Bank>,
}

impl Dram {
    /// Zeroed Non-secure memory; banks as (base, bytes).
    pub(crate) fn new(banks: &[(u64, u64)]) -> Self {
        let banks = banks
            .iter()
            .map(|&(base, bytes)| Bank {
                base,
                granules: (0..bytes / GRANULE_SIZE).map(|_| Granule::new()).collect(),
            })
            .collect();
        Self { banks }
    }

    /// The granule that holds `pa`.
    pub(crate) fn at(&self, pa: u64) -> Option<&Granule> {
        self.banks.iter().find_map(|bank| {
            let index = pa.checked_sub(bank.base)? / GRANULE_SIZE;
            bank.granules.get(usize::try_from(index).ok()?)
        })
    }

    /// Address of the granule with this number, in the order of the granule table's words.
    pub(crate) fn address(&self, number: usize) -> u64 {
        let mut rest = number;
        for bank in &self.banks {
            if rest < bank.granules.len() {
                return bank.base + rest as u64 * GRANULE_SIZE;
            }
            rest -= bank.granules.len();
        }
        unreachable!("granule number {number}")
    }

    /// Number of the granule at `pa`, in the order of the granule table's words.
    pub(crate) fn number(&self, pa: u64) -> Option<usize> {
        let mut first = 0;
        for bank in &self.banks {
            let index = usize::try_from(pa.wrapping_sub(bank.base) / GRANULE_SIZE).ok()?;
            if index < bank.granules.len() {
                return Some(first + index);
            }
            first += bank.granules.len();
        }
        None
    }

    /// The 64 bits at `pa`, 0 outside DRAM.
    pub(crate) fn load(&self, pa: u64) -> u64 {
        let index = usize::try_from(pa % GRANULE_SIZE / 8).unwrap_or(0);
        self.at(pa).map_or(0, |granule| granule.words().0[index].load(Ordering::Relaxed))
    }

    /// Writes the 64 bits at `pa`.
    pub(crate) fn store(&self, pa: u64, value: u64) {
        let index = usize::try_from(pa % GRANULE_SIZE / 8).unwrap_or(0);
        if let Some(granule) = self.at(pa) {
            granule.words().0[index].store(value, Ordering::Relaxed);
        }
    }
}
