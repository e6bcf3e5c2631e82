//! The least part of a failing sequence that still fails.
//!
//! Leaves out ever smaller runs of operations, until none can be left out any more (delta
//! debugging), then makes numbers smaller.

use std::time::{Duration, Instant};

use super::operation::Operation;
use cairn_spec::v1_0::Act;

/// A shorter sequence that fails as well, found within `patience`.
pub fn shorten(
    operations: &[Operation],
    patience: Duration,
    fails: impl Fn(&[Operation]) -> bool,
) -> Vec<Operation> {
    let started = Instant::now();
    let mut shortest = operations.to_vec();
    let mut run = (shortest.len() / 2).max(1);
    while started.elapsed() < patience {
        let before = shortest.len();
        let mut at = 0;
        while at < shortest.len() && started.elapsed() < patience {
            let mut shorter = shortest.clone();
            shorter.drain(at..(at + run).min(shortest.len()));
            if fails(&shorter) {
                shortest = shorter;
            } else {
                at += run;
            }
        }
        if run == 1 && shortest.len() == before {
            break;
        }
        run = (run / 2).max(1);
    }
    simplify(shortest, |operations| started.elapsed() < patience && fails(operations))
}

/// Makes the operations that are left simpler, one by one.
fn simplify(
    mut operations: Vec<Operation>,
    fails: impl Fn(&[Operation]) -> bool,
) -> Vec<Operation> {
    for at in 0..operations.len() {
        let mut way = 0;
        while let Some(simpler) = simpler(&operations[at]).into_iter().nth(way) {
            let before = core::mem::replace(&mut operations[at], simpler);
            if !fails(&operations) {
                operations[at] = before;
                way += 1;
            }
        }
    }
    operations
}

/// Ways in which an operation could be simpler.
fn simpler(operation: &Operation) -> Vec<Operation> {
    match operation {
        Operation::Call(cpu, call) => {
            let mut ways = Vec::new();
            if *cpu != 0 {
                ways.push(Operation::Call(0, *call));
            }
            for register in 1..8 {
                if call[register] != 0 {
                    let mut call = *call;
                    call[register] = 0;
                    ways.push(Operation::Call(*cpu, call));
                }
            }
            ways
        }
        Operation::Page(pa, words) => (0..words.len())
            .map(|left_out| {
                let mut words = words.clone();
                words.remove(left_out);
                Operation::Page(*pa, words)
            })
            .collect(),
        Operation::Act(rec, Act::Smc(arguments)) => (1..11)
            .filter(|&register| arguments[register] != 0)
            .map(|register| {
                let mut arguments = *arguments;
                arguments[register] = 0;
                Operation::Act(*rec, Act::Smc(arguments))
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let call = |x1| Operation::Call(1, [1, x1, 9, 0, 0, 0, 0, 0]);
        let operations: Vec<Operation> = (0..300).map(call).collect();
        // Fails if 70 comes before 200.
        let fails = |operations: &[Operation]| {
            let at = |wanted| {
                operations.iter().position(
                    |operation| matches!(operation, Operation::Call(_, call) if call[1] == wanted),
                )
            };
            at(70).zip(at(200)).is_some_and(|(first, second)| first < second)
        };
        let short = shorten(&operations, Duration::from_secs(60), fails);
        let simple = |x1| Operation::Call(0, [1, x1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(short, [simple(70), simple(200)]);
    }
}
