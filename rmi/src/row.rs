//! What the tables of all versions have in common: the function of a row, and how outputs get into
//! the registers.

use crate::Registers;

/// Outputs of a command: X1 to X4. Those that a command does not have are zero, but for X4, which
/// is the Host's own.
pub(crate) type Outputs = [u64; 4];

/// The outputs of a command that has fewer than four.
pub(crate) const fn padded<const COUNT: usize>(outputs: [u64; COUNT]) -> Outputs {
    const { assert!(COUNT <= 4) };
    let mut padded = [0; 4];
    let (first, _) = padded.split_at_mut(COUNT);
    first.copy_from_slice(&outputs);
    padded
}

/// Sets X0 to X3; the rest keep the Host's values.
#[inline(always)]
pub(crate) fn set_low([x0, x1, x2, x3, ..]: &mut Registers, values: [u64; 4]) {
    [*x0, *x1, *x2, *x3] = values;
}

/// Makes the function of a row of a table: `NAME(rmm, run)[arguments] shape => Reply, call`. The
/// table has `done` and `refused` for what becomes of it.
///
/// Each row is a function of its own (perf: all rows): it saves the registers that it needs, and
/// what it calls is inlined, so that no result goes through memory.
macro_rules! row {
    ($name:ident($rmm:ident, $run:ident)[$($argument:ident),*]
     $shape:ident => $reply:ty, $call:expr) => {
        #[inline(never)]
        fn $name<M: Machine>(rmm: &Rmm<'_, M>, registers: &mut Registers, run: &impl Run<M>) {
            #[inline(always)]
            #[allow(unused_variables, reason = "not every command uses each of its arguments")]
            fn call<M: Machine>(
                $rmm: &Rmm<'_, M>,
                $run: &impl Run<M>,
                [$($argument,)* ..]: [u64; 7],
            ) -> Result<$reply, Cause> {
                Ok($call)
            }
            let [_, arguments @ ..] = *registers;
            match call(rmm, run, arguments) {
                Ok(reply) => done(Shape::$shape, &reply, registers),
                Err(cause) => {
                    let name = concat!("RMI_", stringify!($name));
                    refused(rmm, name, Shape::$shape, cause, registers)
                }
            }
        }
    };
}

pub(crate) use row;
