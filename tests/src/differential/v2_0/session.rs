//! One sequence on one machine: what was done is remembered, and everything is given back at its
//! end.

use cairn_spec::v2_0::Platform;

use super::generate::Generator;
use super::give_back::give_back;
use super::layout::Layout;
use super::pair::{Machine, Pair};
use crate::differential::choices::Choices;
use crate::differential::operation::Operation;

/// A machine with its specification, and what has been done with them.
pub struct Session<M> {
    /// Both sides.
    pub pair: Pair<M>,
    /// Where the Host has its memory.
    pub layout: Layout,
    /// What has been done, from the first on.
    pub operations: Vec<Operation>,
}

impl<M: Machine> Session<M> {
    /// On a machine that has just booted.
    pub fn new(machine: M, platform: Platform, layout: Layout) -> Self {
        Self { pair: Pair::new(machine, platform), layout, operations: Vec::new() }
    }

    /// Does so many things that are chosen.
    ///
    /// # Errors
    ///
    /// Machine and specification disagree.
    pub fn run(&mut self, choices: &mut impl Choices, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            let model = &self.pair.model;
            let next = Generator { layout: &self.layout, model, choices: &mut *choices }.choose();
            self.replay(next)?;
        }
        Ok(())
    }

    /// Does these things, and remembers them.
    ///
    /// # Errors
    ///
    /// As [`Session::run`].
    pub fn replay(&mut self, operations: Vec<Operation>) -> Result<(), String> {
        for operation in operations {
            let result = self.pair.perform(&operation);
            self.operations.push(operation);
            result?;
        }
        Ok(())
    }

    /// Everything is given back. Not remembered: every replay does the same.
    ///
    /// # Errors
    ///
    /// Something does not come back.
    pub fn finish(&mut self) -> Result<(), String> {
        self.pair.calm();
        give_back(&mut self.pair, &self.layout)?;
        self.pair.machine.check_end()
    }
}

#[cfg(test)]
mod tests {
    use cairn_spec::v2_0::parrot::Parrot;
    use cairn_spec::v2_0::{Answer, Call, Page, fid};

    use super::*;
    use crate::differential::choices::Random;

    const MEMORY: u64 = 0x8000_0000;

    fn platform() -> Platform {
        Platform {
            banks: vec![(MEMORY, 0x80_0000)],
            reserved: vec![(0x9000_0000, 0x10_0000)],
            not_host: vec![MEMORY + 0x7f_f000],
            pa_bits: 48,
            lpa2: false,
            sve_vl: None,
            num_bps: 5,
            num_wps: 3,
            pmu_num_ctrs: None,
            max_recs_order: 9,
            l0gptsz: 0,
            vmid16: true,
            small_tables: true,
            hpmn0: false,
            s2sz_min: 32,
            versions: vec![0x1_0000, 0x2_0000],
            operations: 4,
        }
    }

    fn layout() -> Layout {
        let strange = vec![0, u64::MAX, !0xfff, 0x9000_0000, MEMORY + 0x7f_f000, 1 << 48];
        let mut layout = Layout::new(MEMORY, strange);
        layout.block = Some(MEMORY + 0x20_0000);
        layout
    }

    /// The driver against the specification's own parrot: every kind of command gets somewhere, and
    /// everything comes back from every state.
    #[test]
    fn parrots_agree_and_most_commands_succeed() {
        let mut tally = super::super::pair::Tally::new();
        for seed in 1..13 {
            let parrot = Parrot::new(platform(), seed);
            let mut session = Session::new(parrot, platform(), layout());
            let mut choices = Random(seed);
            if let Err(divergence) = session.run(&mut choices, 2000).and_then(|()| session.finish())
            {
                panic!("seed {seed}, {} operations: {divergence}", session.operations.len());
            }
            for (key, times) in session.pair.tally {
                *tally.entry(key).or_default() += times;
            }
        }
        let never = fid::COMMANDS.iter().map(|(command, _)| *command).filter(|command| {
            // Commands that never succeed here: all entries of the GPT are EL3's, and tracking is
            // not changed.
            !matches!(*command, fid::GPT_L1_CREATE | fid::GPT_L1_DESTROY | fid::TRACKING_SET)
                && !tally.contains_key(&(*command, ""))
        });
        let never: Vec<_> = never.collect();
        for ((command, condition), times) in &tally {
            println!("{:4x} {times:6} {condition}", command & 0xfff);
        }
        assert!(never.is_empty(), "never succeeded: {never:x?}");
    }

    /// A parrot that lies once: one register of one answer is another.
    struct Liar {
        parrot: Parrot,
        /// Calls until the lie.
        left: u64,
        random: Random,
        lie: Option<(Call, Answer, Answer)>,
    }

    impl Machine for Liar {
        fn call(&mut self, call: &Call) -> Option<Answer> {
            let honest = self.parrot.call(call)?;
            let mut answer = honest;
            if self.left == 0 {
                let register = self.random.pick(&[0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7]).unwrap_or(0);
                let random = &mut self.random;
                answer[register] = match (register, random.below(3)) {
                    (0, _) => {
                        random.pick(&[0, 1, 2, 3, 0x204, 0x304, 5, 10, 11, 12, 13, 14]).unwrap()
                    }
                    (_, 0) => 0,
                    (_, 1) => answer[register].wrapping_add(4096),
                    _ => answer[register] ^ 1 << random.below(64),
                };
                if answer == honest {
                    return Some(answer);
                }
                self.lie = Some((*call, honest, answer));
            }
            self.left = self.left.wrapping_sub(1);
            Some(answer)
        }

        fn read_page(&mut self, pa: u64) -> Page {
            self.parrot.read_page(pa)
        }

        fn write_page(&mut self, pa: u64, page: &Page) {
            self.parrot.write_page(pa, page);
        }
    }

    #[test]
    fn lies_are_noticed() {
        let (mut lies, mut noticed) = (0, 0);
        for seed in 1..200 {
            let mut random = Random(seed);
            let left = 200 + random.below(200);
            let parrot = Parrot::new(platform(), seed);
            let liar = Liar { parrot, left, random, lie: None };
            let mut session = Session::new(liar, platform(), layout());
            let mut choices = Random(seed + 5000);
            let mut result = Ok(());
            while result.is_ok() && session.pair.machine.lie.is_none() {
                result = session.run(&mut choices, 1);
            }
            lies += 1;
            match result {
                Err(_) => noticed += 1,
                // Some are what the text allows as well.
                Ok(()) => println!("{:x?}", session.pair.machine.lie),
            }
        }
        assert!(noticed * 100 >= lies * 90, "{noticed} of {lies}");
    }
}
