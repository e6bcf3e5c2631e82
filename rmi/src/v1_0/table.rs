//! Every command of RMI 1.0, a row each: its number, its name, what it takes, and what it does.

use ::realm::Rmm;
use machine::{Event, Machine};

use super::{args, create, entry, features, run_page, status};
use crate::ops::enter::enter;
use crate::ops::{
    Cause, HostPage, Operand, data, granule, in_place, map, psci, realm, rec, ripas, table,
};
use crate::row::{Outputs, padded, row, set_low};
use crate::{NOT_SUPPORTED, Registers, Run};

/// How the outputs of a command stand in the registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// X1 to X3 are outputs, X4 is the Host's own.
    Plain,
    /// The same; where the Host may go on is X1, also of a command that is refused.
    NextInX1,
    /// The same with X2.
    NextInX2,
    /// X1 to X4 are outputs.
    FourOutputs,
}

/// Makes [`serve`] of rows `number NAME [arguments] shape => call`. A call ends with its outputs,
/// from X1 on.
/// [`serve`] jumps to the function of the [`row`].
macro_rules! commands {
    (($rmm:ident, $run:ident)
     $($number:literal $name:ident [$($argument:ident),*] $shape:ident => $call:expr;)*) => {
        /// Carries out the command of a Host call, and makes the reply.
        ///
        /// Source: RMM specification (Arm DEN0137) 1.0, B4.1.
        #[inline(always)]
        #[expect(non_snake_case, reason = "a row's function has the name of its command")]
        pub(crate) fn serve<M: Machine>(
            rmm: &Rmm<'_, M>,
            registers: &mut Registers,
            run: &impl Run<M>,
        ) {
            $(row! { $name($rmm, $run)[$($argument),*] $shape => Outputs, padded($call) })*
            let [x0, ..] = *registers;
            match crate::identifier(x0) {
                $($number => $name(rmm, registers, run),)*
                _ => unknown(rmm, registers),
            }
        }

        /// Whether a command has this number.
        pub(crate) const fn has(number: u64) -> bool {
            matches!(number, $($number)|*)
        }

        /// The numbers of all commands.
        #[cfg(test)]
        const NUMBERS: &[u64] = &[$($number),*];
    };
}

commands! { (rmm, run)
    0xc400_0151 GRANULE_DELEGATE [addr] Plain => {
        granule::delegate_one(rmm, args::one_granule(addr)?)?;
        []
    };
    0xc400_0152 GRANULE_UNDELEGATE [addr] Plain => {
        granule::undelegate_one(rmm, args::one_granule(addr)?)?;
        []
    };
    0xc400_0153 DATA_CREATE [rd, data, ipa, src, flags] Plain => {
        let page = args::host_page(rmm, HostPage::Source, src)?;
        let (data, rd) = (args::granule(rmm, Operand::Data, data)?, args::rd(rmm, rd)?);
        match args::in_place(data.addr(), page, flags) {
            Some(flags) => in_place::populate(rmm, rd, data, ipa, &args::source(page, flags))?,
            None => data::create(rmm, rd, data, ipa, &args::source(page, flags))?,
        }
        []
    };
    0xc400_0154 DATA_CREATE_UNKNOWN [rd, data, ipa] Plain => {
        let (data, rd) = (args::granule(rmm, Operand::Data, data)?, args::rd(rmm, rd)?);
        data::create_unknown(rmm, rd, data, ipa)?;
        []
    };
    0xc400_0155 DATA_DESTROY [rd, ipa] NextInX2 => {
        let taken = data::destroy(rmm, args::rd(rmm, rd)?, ipa)?;
        [taken.granule.as_u64(), taken.next]
    };
    0xc400_0157 REALM_ACTIVATE [rd] Plain => {
        realm::activate(rmm, args::rd(rmm, rd)?)?;
        []
    };
    0xc400_0158 REALM_CREATE [rd, params] Plain => {
        create::realm(rmm, rd, params)?;
        []
    };
    0xc400_0159 REALM_DESTROY [rd] Plain => {
        realm::destroy(rmm, args::rd(rmm, rd)?, realm::Ending::Any)?;
        []
    };
    0xc400_015a REC_CREATE [rd, rec, params] Plain => {
        create::rec(rmm, rd, rec, params)?;
        []
    };
    0xc400_015b REC_DESTROY [rec] Plain => {
        rec::destroy(rmm, args::rec(rmm, rec)?)?;
        []
    };
    0xc400_015c REC_ENTER [rec, page] Plain => {
        let page = args::host_page(rmm, HostPage::Run, page)?;
        let rec = args::rec(rmm, rec)?;
        let mut passed = run_page::RecEnter::zeroed();
        passed.read(rmm.machine, page)?;
        enter(rmm, rec, &passed.entry(), run, |rec, exit| {
            run_page::tell(rmm.machine, page, (rec, exit), &rmm.features)
        })?;
        []
    };
    0xc400_015d RTT_CREATE [rd, rtt, ipa, level] Plain => {
        let (rtt, rd) = (args::granule(rmm, Operand::Rtt, rtt)?, args::rd(rmm, rd)?);
        table::create(rmm, rd, rtt, ipa, args::level(level))?;
        []
    };
    0xc400_015e RTT_DESTROY [rd, ipa, level] NextInX2 => {
        let taken = table::destroy(rmm, args::rd(rmm, rd)?, ipa, args::level(level))?;
        [taken.granule.as_u64(), taken.next]
    };
    0xc400_015f RTT_MAP_UNPROTECTED [rd, ipa, level, desc] Plain => {
        map::map(rmm, args::rd(rmm, rd)?, ipa, args::level(level), entry::mapping(desc))?;
        []
    };
    0xc400_0161 RTT_READ_ENTRY [rd, ipa, level] FourOutputs => {
        table::read(rmm, args::rd(rmm, rd)?, ipa, args::level(level), crate::entry::show)?
    };
    0xc400_0162 RTT_UNMAP_UNPROTECTED [rd, ipa, level] NextInX1 => {
        [map::unmap(rmm, args::rd(rmm, rd)?, ipa, args::level(level))?]
    };
    0xc400_0164 PSCI_COMPLETE [calling, target, status] Plain => {
        let (calling, target) = args::calling_and_target(rmm, calling, target)?;
        psci::complete(rmm, calling, target, status)?;
        []
    };
    0xc400_0165 FEATURES [index] Plain => [features::register(&rmm.features, index)];
    0xc400_0166 RTT_FOLD [rd, ipa, level] Plain => {
        [table::fold(rmm, args::rd(rmm, rd)?, ipa, args::level(level))?.as_u64()]
    };
    0xc400_0167 REC_AUX_COUNT [rd] Plain => [rec::aux_count(rmm, args::rd(rmm, rd)?)? as u64];
    0xc400_0168 RTT_INIT_RIPAS [rd, base, top] Plain => {
        [ripas::init(rmm, args::rd(rmm, rd)?, base, top, args::INIT_RIPAS)?]
    };
    0xc400_0169 RTT_SET_RIPAS [rd, rec, base, top] Plain => {
        let (rd, rec) = (args::rd(rmm, rd)?, args::rec(rmm, rec)?);
        [ripas::set(rmm, rd, rec, (base, top), args::SET_RIPAS)?]
    };
}

/// The reply to a call that is no command.
#[cold]
#[inline(never)]
fn unknown<M: Machine>(rmm: &Rmm<'_, M>, registers: &mut Registers) {
    let [fid, ..] = *registers;
    rmm.machine.log(Event::UnknownCommand { fid });
    set_low(registers, [NOT_SUPPORTED, 0, 0, 0]);
}

/// The reply to a command that succeeded. Registers that it has no output for are zero up to X3.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B1.1; SMCCC (Arm DEN0028), result registers.
#[inline(always)]
fn done(shape: Shape, &[o1, o2, o3, o4]: &Outputs, registers: &mut Registers) {
    set_low(registers, [0, o1, o2, o3]);
    if shape == Shape::FourOutputs {
        let [.., x4, _, _, _] = registers;
        *x4 = o4;
    }
}

/// The reply to a command that is refused, and the log's line about it. Outputs are zero, but for
/// where the Host may go on.
#[cold]
#[inline(never)]
fn refused<M: Machine>(
    rmm: &Rmm<'_, M>,
    command: &'static str,
    shape: Shape,
    cause: Cause,
    registers: &mut Registers,
) {
    let status::Status { code, condition } = status::status(cause);
    rmm.machine.log(Event::Refused { command, condition, code });
    match shape {
        Shape::Plain => set_low(registers, [code, 0, 0, 0]),
        Shape::NextInX1 => set_low(registers, [code, cause.next(), 0, 0]),
        Shape::NextInX2 => set_low(registers, [code, 0, cause.next(), 0]),
        Shape::FourOutputs => {
            set_low(registers, [code, 0, 0, 0]);
            let [.., x4, _, _, _] = registers;
            *x4 = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ascending_and_in_the_range_of_the_interface() {
        assert!(NUMBERS.is_sorted_by(|a, b| a < b));
        assert!(NUMBERS.iter().all(|number| (0xc400_0151..0xc400_0190).contains(number)));
    }

    #[test]
    fn fewer_outputs_are_followed_by_zeros() {
        assert_eq!(padded([]), [0; 4]);
        assert_eq!(padded([1, 2]), [1, 2, 0, 0]);
        assert_eq!(padded([1, 2, 3, 4]), [1, 2, 3, 4]);
    }
}
