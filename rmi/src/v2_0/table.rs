//! Every command of RMI 2.0, a row each: its number, its name, when it is allowed, what it takes,
//! and what it does.

use ::realm::Rmm;
use machine::{Event, Machine};

use super::{args, config, create, donate, features, range, run_page, status, tracking};
use crate::dialect::Stage;
use crate::ops::enter::{Entry, enter};
use crate::ops::vgic::VgicSource;
use crate::ops::{Cause, HostPage, Operand, data, in_place, psci, realm, rec, ripas, table};
use crate::row::{Outputs, padded, row, set_low};
use crate::{NOT_SUPPORTED, Registers, Run, entry};

/// What a command that is not refused replies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    /// X0.
    pub(super) status: u64,
    /// X1 to X4.
    pub(super) outputs: Outputs,
}

impl<const COUNT: usize> From<[u64; COUNT]> for Reply {
    /// RMI_SUCCESS with these outputs.
    fn from(outputs: [u64; COUNT]) -> Self {
        Self { status: status::SUCCESS, outputs: padded(outputs) }
    }
}

/// How the outputs of a command stand in the registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// X1 to X3 are outputs, X4 is the Host's own.
    Plain,
    /// The same; where the Host may go on is X2, also of a command that is refused.
    NextInX2,
    /// The same; the first argument is a handle, which a refusal that passes by itself repeats in
    /// X1.
    Handle,
    /// X1 to X4 are outputs.
    FourOutputs,
}

/// When a command is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// At any time.
    Always,
    /// Until the monitor is activated: in state INIT.
    Init,
    /// While the monitor is active.
    Active,
}

impl When {
    /// Whether the command is allowed now.
    ///
    /// # Errors
    ///
    /// `MonitorState`; `Busy` while another CPU deactivates the monitor, which may come to nothing.
    #[inline(always)] // perf: little more than a comparison (`rmm_state_get`).
    fn check<M>(self, rmm: &Rmm<'_, M>) -> Result<(), Cause> {
        // Read once: a CPU that deactivates the monitor may give it up between two looks.
        let stage = Stage::of(rmm);
        match self {
            Self::Always => Ok(()),
            Self::Active if stage == Stage::V2_0Active => Ok(()),
            Self::Init if stage == Stage::V2_0Inactive => Ok(()),
            Self::Active | Self::Init if stage == Stage::V2_0Leaving => Err(Cause::Busy),
            Self::Active | Self::Init => Err(Cause::MonitorState),
        }
    }
}

/// Makes [`serve`] of rows `number NAME [arguments] when shape => call`. A call ends with its
/// outputs, from X1 on, or with a [`Reply`].
/// [`serve`] jumps to the function of the [`row`].
macro_rules! commands {
    (($rmm:ident, $run:ident)
     $($number:literal $name:ident [$($argument:ident),*] $when:ident $shape:ident => $call:expr;)*) => {
        /// Carries out the command of a Host call, and makes the reply.
        ///
        /// The order is: is the command known, does the monitor's state allow it, has the monitor
        /// what it is for, the rest.
        ///
        /// Source: RMM specification (Arm DEN0137) 2.0, "Command registers".
        #[inline(always)]
        #[expect(non_snake_case, reason = "a row's function has the name of its command")]
        pub(crate) fn serve<M: Machine>(
            rmm: &Rmm<'_, M>,
            registers: &mut Registers,
            run: &impl Run<M>,
        ) {
            $(row! { $name($rmm, $run)[$($argument),*] $shape => Reply, {
                When::$when.check($rmm)?;
                Reply::from($call)
            } })*
            let _counted = rmm.host.command();
            let [x0, ..] = *registers;
            match crate::identifier(x0) {
                $($number => $name(rmm, registers, run),)*
                number => unknown(rmm, number, registers),
            }
        }

        /// Whether a command that the monitor carries out has this number.
        pub(crate) const fn has(number: u64) -> bool {
            matches!(number, $($number)|*)
        }

        /// The numbers of all commands.
        #[cfg(test)]
        const NUMBERS: &[u64] = &[$($number),*];
    };
}

commands! { (rmm, run)
    0xc400_0153 RTT_DATA_MAP_INIT [rd, data, ipa, src, flags] Active Plain => {
        let page = args::host_page(rmm, HostPage::Source, src)?;
        let (data, rd) = (args::granule(rmm, Operand::Data, data)?, args::rd(rmm, rd)?);
        match args::in_place(data.addr(), page, flags) {
            Some(flags) => in_place::populate(rmm, rd, data, ipa, &args::source(page, flags))?,
            None => data::create(rmm, rd, data, ipa, &args::source(page, flags))?,
        }
        []
    };
    0xc400_0157 REALM_ACTIVATE [rd] Active Plain => {
        realm::activate(rmm, args::rd(rmm, rd)?)?;
        []
    };
    0xc400_0158 REALM_CREATE [rd, params] Active Plain => {
        create::realm(rmm, rd, params)?;
        []
    };
    0xc400_0159 REALM_DESTROY [rd] Active Plain => {
        realm::destroy(rmm, args::rd(rmm, rd)?, realm::Ending::Terminated)?;
        []
    };
    0xc400_015a REC_CREATE [rd, rec, params] Active Plain => {
        donate::begun(create::rec(rmm, rd, rec, params)?)
    };
    0xc400_015b REC_DESTROY [rec] Active Plain => {
        donate::begun(rec::begin_destroy(rmm, args::rec(rmm, rec)?)?)
    };
    0xc400_015c REC_ENTER [rec, page] Active Plain => {
        let page = args::host_page(rmm, HostPage::Run, page)?;
        let rec = args::rec(rmm, rec)?;
        let passed = run_page::RecEnter::read(rmm.machine, page)?;
        let entry = Entry {
            flags: crate::run_page::flags(passed.flags),
            gprs: &passed.gprs,
            vgic: &rmm.machine.host_vgic(),
            source: VgicSource::Hardware,
        };
        enter(rmm, rec, &entry, run, |rec, exit| {
            crate::run_page::tell(rmm.machine, page, (rec, exit), |_| ())
        })?;
        []
    };
    0xc400_015d RTT_CREATE [rd, rtt, ipa, level] Active Plain => {
        let (rtt, rd) = (args::granule(rmm, Operand::Rtt, rtt)?, args::rd(rmm, rd)?);
        table::create(rmm, rd, rtt, ipa, args::level(level))?;
        []
    };
    0xc400_015e RTT_DESTROY [rd, ipa, level] Active NextInX2 => {
        let taken = table::destroy(rmm, args::rd(rmm, rd)?, ipa, args::level(level))?;
        [taken.granule.as_u64(), taken.next]
    };
    0xc400_0161 RTT_READ_ENTRY [rd, ipa, level] Active FourOutputs => {
        table::read(rmm, args::rd(rmm, rd)?, ipa, args::level(level), entry::show)?
    };
    0xc400_0164 PSCI_COMPLETE [calling, status] Active Plain => {
        let calling = args::granule(rmm, Operand::CallingRec, calling)?;
        psci::complete_call(rmm, calling, status, super::choices::DENIED_IS_CONSUMED)?;
        []
    };
    0xc400_0165 FEATURES [index] Always Plain => [features::register(&rmm.features, index)];
    0xc400_0166 RTT_FOLD [rd, ipa, level] Active Plain => {
        [table::fold(rmm, args::rd(rmm, rd)?, ipa, args::level(level))?.as_u64()]
    };
    0xc400_0168 RTT_INIT_RIPAS [rd, base, top] Active Plain => {
        [ripas::init(rmm, args::rd(rmm, rd)?, base, top, args::INIT_RIPAS)?]
    };
    0xc400_0169 RTT_SET_RIPAS [rd, rec, base, top] Active Plain => {
        let (rd, rec) = (args::rd(rmm, rd)?, args::rec(rmm, rec)?);
        [ripas::set(rmm, rd, rec, (base, top), args::SET_RIPAS)?]
    };
    0xc400_016e RMM_CONFIG_SET [page] Init Plain => {
        config::set(rmm, page)?;
        []
    };
    0xc400_01e1 GRANULE_TRACKING_GET [base, top] Always Plain => tracking::get(rmm, base, top)?;
    0xc400_01e3 GRANULE_TRACKING_SET [addr, category, state] Active Plain => {
        tracking::set(rmm, addr, category, state)?;
        []
    };
    0xc400_01ec RMM_CONFIG_GET [page] Always Plain => {
        config::get(rmm, page)?;
        []
    };
    0xc400_01ee RMM_STATE_GET [] Always Plain => [config::state(rmm)];
    0xc400_01f1 GRANULE_RANGE_DELEGATE [base, top] Active Plain => range::delegate(rmm, base, top)?;
    0xc400_01f2 GRANULE_RANGE_UNDELEGATE [base, top] Active Plain => {
        range::undelegate(rmm, base, top)?
    };
    0xc400_01f3 GPT_L1_CREATE [pa] Active Plain => {
        tracking::change_protection_table(rmm, pa)?;
        []
    };
    0xc400_01f4 GPT_L1_DESTROY [pa] Active Plain => {
        tracking::change_protection_table(rmm, pa)?;
        []
    };
    0xc400_01f5 RTT_DATA_MAP [rd, base, top, flags, addresses] Active Plain => {
        range::map_data(rmm, args::rd(rmm, rd)?, (base, top), flags, addresses)?
    };
    0xc400_01f6 RTT_DATA_UNMAP [rd, base, top, flags, addresses] Active Plain => {
        range::unmap_data(rmm, args::rd(rmm, rd)?, (base, top), flags, addresses)?
    };
    0xc400_01fb RTT_UNPROT_MAP [rd, base, top, flags, addresses] Active Plain => {
        range::map_host(rmm, args::rd(rmm, rd)?, (base, top), flags, addresses)?
    };
    0xc400_01fc RTT_UNPROT_UNMAP [rd, base, top, flags, addresses] Active Plain => {
        range::unmap_host(rmm, args::rd(rmm, rd)?, (base, top), flags, addresses)?
    };
    0xc400_0201 REALM_TERMINATE [rd] Active Plain => {
        realm::terminate(rmm, args::rd(rmm, rd)?)?;
        []
    };
    0xc400_0202 RMM_ACTIVATE [] Init Plain => {
        config::activate(rmm)?;
        []
    };
    0xc400_0203 OP_CONTINUE [handle, _flags] Always Handle => donate::proceed(rmm, handle)?;
    0xc400_0208 OP_MEM_DONATE [handle, list, count] Always Handle => {
        donate::donate(rmm, handle, list, count)?
    };
    0xc400_0209 OP_MEM_RECLAIM [handle, list, count] Always Handle => {
        donate::reclaim(rmm, handle, list, count)?
    };
    0xc400_020a OP_CANCEL [handle] Always Handle => donate::cancel(rmm, handle)?;
    0xc400_020f RMM_DEACTIVATE [] Active Plain => {
        config::deactivate(rmm)?;
        []
    };
    0xc400_0211 GPT_INFO [base, top] Always Plain => tracking::protection_tables(rmm, base, top)?;
}

/// Commands that change nothing, so that a Host chooses no version of the interface with them.
pub(crate) const fn asks_only(number: u64) -> bool {
    matches!(number, 0xc400_01e1 | 0xc400_01ec | 0xc400_01ee | 0xc400_0211)
}

/// Commands for features that this monitor says it has not: devices and their streams and
/// translation tables, planes, indirect access permissions, a new platform token.
///
/// Source: RMM specification (Arm DEN0137) 2.0, the commands of features that `RMI_FEATURES` names.
const fn is_of_absent_feature(number: u64) -> bool {
    match number.wrapping_sub(0xc400_0000) {
        // Devices, their interfaces and mappings; token.
        0x163 | 0x16f | 0x170 | 0x174..=0x178 | 0x17a..=0x17c | 0x185..=0x18a => true,
        0x1d0..=0x1d3 | 0x1d7 | 0x1d8 | 0x1db..=0x1e0 | 0x1f0 | 0x1f7..=0x1fa => true,
        0x204..=0x207 | 0x20e | 0x210 => true,
        // Their virtual translation units.
        0x16a | 0x16b | 0x1d6 | 0x20b..=0x20d => true,
        // Planes and access permissions.
        0x17d..=0x17f | 0x18b | 0x1fd..=0x200 => true,
        _ => false,
    }
}

/// The reply to a call that is no command of this monitor.
#[cold]
#[inline(never)]
fn unknown<M: Machine>(rmm: &Rmm<'_, M>, number: u64, registers: &mut Registers) {
    if is_of_absent_feature(number) {
        let cause = When::Active.check(rmm).err().unwrap_or(Cause::Unsupported);
        return refused(rmm, "RMI", Shape::Plain, cause, registers);
    }
    let [fid, ..] = *registers;
    rmm.machine.log(Event::UnknownCommand { fid });
    set_low(registers, [NOT_SUPPORTED, 0, 0, 0]);
}

/// The reply to a command that is not refused. Registers that it has no output for are zero up to
/// X3.
#[inline(always)]
fn done(shape: Shape, reply: &Reply, registers: &mut Registers) {
    let &Reply { status, outputs: [o1, o2, o3, o4] } = reply;
    set_low(registers, [status, o1, o2, o3]);
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
    let [_, handle, ..] = *registers;
    match shape {
        Shape::Plain => set_low(registers, [code, 0, 0, 0]),
        Shape::NextInX2 => set_low(registers, [code, 0, cause.next(), 0]),
        Shape::Handle => {
            let handle = if cause == Cause::Busy { handle } else { 0 };
            set_low(registers, [code, handle, 0, 0]);
        }
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
        let is_inside = |number: &u64| {
            (0xc400_0151..0xc400_0190).contains(number)
                || (0xc400_01d0..0xc400_02d0).contains(number)
        };
        assert!(NUMBERS.iter().all(is_inside));
    }

    #[test]
    fn no_command_is_of_an_absent_feature() {
        assert!(!NUMBERS.iter().any(|&number| is_of_absent_feature(number)));
    }

    /// Numbers of 1.0, of 1.1 and of early betas that 2.0 does not have any more.
    #[test]
    fn numbers_that_are_gone_are_unknown() {
        for number in [0x151, 0x152, 0x154, 0x155, 0x15f, 0x162, 0x167, 0x179, 0x180, 0x18d] {
            let number = 0xc400_0000 + number;
            assert!(!has(number) && !is_of_absent_feature(number), "{number:#x}");
        }
    }
}
