//! What the host needs from the machine under it, as a trait.
//!
//! The bare-metal program implements it in its leaf module; the tests implement it with a value
//! that behaves like a monitor. Nothing else in this library touches hardware.

use core::fmt;

/// A register that did not survive a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name, or its kind if there are several of it.
    pub register: &'static str,
    /// Which one of its kind, if there are several.
    pub number: Option<usize>,
    /// Which 64-bit word of it, if it has several.
    pub word: Option<usize>,
    /// What it held before the call.
    pub before: u64,
    /// What it holds after it.
    pub after: u64,
}

impl Changed {
    /// The first of `after` that is not as in `before`: registers of one kind, so many words each.
    #[must_use]
    pub fn find(
        register: &'static str,
        words: usize,
        before: &[u64],
        after: &[u64],
    ) -> Option<Self> {
        let mut pairs = before.iter().zip(after).enumerate();
        let (index, (&before, &after)) = pairs.find(|(_, (before, after))| before != after)?;
        let words = words.max(1);
        let number = Some(index / words);
        let word = (words > 1).then_some(index % words);
        Some(Self { register, number, word, before, after })
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.register)?;
        if let Some(number) = self.number {
            write!(f, "{number}")?;
        }
        self.word.map_or(Ok(()), |word| write!(f, " word {word}"))
    }
}

/// What a CPU interface of virtual interrupts remembers besides the interrupts themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuInterface {
    /// `ICH_VMCR_EL2`: priority mask, groups, and how the guest ends interrupts.
    pub vmcr: u64,
    /// `ICH_AP0R<n>_EL2` and then `ICH_AP1R<n>_EL2`: priorities that are active. Those that the CPU
    /// does not have are 0.
    pub active: [u64; 8],
}

/// The virtual interrupts of a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualInterrupts {
    /// `ICH_HCR_EL2`.
    pub hcr: u64,
    /// `ICH_LR<n>_EL2`; those that the CPU does not have are 0.
    pub lrs: [u64; 16],
    /// The rest.
    pub interface: CpuInterface,
}

/// The machine as the host sees it from EL2. All methods can be called from every CPU.
pub trait Machine: Send + Sync {
    /// Issues `SMC #0` with `X0`..`X6` and gives back `X0`..`X4`.
    fn smc(&self, args: [u64; 7]) -> [u64; 5];

    /// Like [`Self::smc`], with a pattern in every register of this CPU that a Realm uses too;
    /// gives back one that did not survive the call. A machine without registers has nothing to
    /// watch.
    fn smc_watched(&self, args: [u64; 7]) -> ([u64; 5], Option<Changed>) {
        (self.smc(args), None)
    }

    /// List registers of this machine's CPUs.
    fn list_registers(&self) -> usize {
        VirtualInterrupts::default().lrs.len()
    }

    /// The virtual interrupts of this CPU. A machine without registers has none.
    fn virtual_interrupts(&self) -> VirtualInterrupts {
        VirtualInterrupts::default()
    }

    /// Sets the virtual interrupts of this CPU.
    fn set_virtual_interrupts(&self, _interrupts: &VirtualInterrupts) {}

    /// Reads a naturally aligned 64-bit word of Normal-world memory that the host handed out.
    fn read_u64(&self, pa: u64) -> u64;

    /// Writes a naturally aligned 64-bit word of Normal-world memory that the host handed out.
    fn write_u64(&self, pa: u64, value: u64);

    /// Copies bytes out of Normal-world memory.
    fn read_bytes(&self, pa: u64, bytes: &mut [u8]);

    /// Copies bytes into Normal-world memory.
    fn write_bytes(&self, pa: u64, bytes: &[u8]);

    /// Fills one 4 KiB page of Normal-world memory with zeroes.
    fn zero_page(&self, pa: u64);

    /// Writes bytes of a guest to the console as they are.
    fn console_write(&self, bytes: &[u8]);

    /// Writes one line of the host's own, starting in column 0.
    fn console_line(&self, line: fmt::Arguments<'_>);

    /// Takes one byte that was typed at the console.
    fn console_read(&self) -> Option<u8>;

    /// Interrupts another CPU of this machine, by its linear index.
    fn kick(&self, cpu: usize);

    /// The physical counter, in ticks.
    fn counter(&self) -> u64;

    /// Ticks of the physical counter in a second.
    fn counter_hz(&self) -> u64;

    /// Acknowledges and serves every interrupt that is pending on this CPU.
    fn take_interrupts(&self);

    /// Asks for an interrupt on this CPU when the physical counter reaches `deadline`.
    fn arm_timer(&self, deadline: Option<u64>);

    /// Sleeps until an interrupt is pending on this CPU.
    fn wait_for_interrupt(&self);
}
