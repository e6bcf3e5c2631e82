//! Stage 2 aborts and SErrors of a Realm: who has to handle them, and what the Host may see.

use machine::vcpu::VcpuExit;
use machine::{Event, Machine};
use realm::exit::{Exit, PageOffset};
use realm::rec::exception::{
    ESR_FSC, ESR_ISV, ESR_S1PTW, ESR_WNR, Exception, access_bits, is_aarch32, page_of, register_of,
};
use realm::rtt::{Entry, Level, Ripas};
use realm::{Rec, Rmm};

use super::remember;

/// Fields of a data abort that the Host cannot emulate: EC, SET, FnV, EA, DFSC.
const NOT_EMULATABLE: u64 = 0xfc00_1e3f;
/// Fields of a data abort that the Host can emulate: also ISV, SAS, SF, WnR.
const EMULATABLE: u64 = 0xfdc0_9e7f;
/// Fields of an instruction abort: EC, SET, EA, IFSC.
const INSTRUCTION: u64 = 0xfc00_1a3f;
/// Fields of an SError: EC, IDS, AET, EA, DFSC.
const SERROR: u64 = 0xfd00_1e3f;

/// Who handles an abort at a protected address.
enum Protected {
    /// The Realm has no memory there.
    Realm,
    /// The Host has to provide memory.
    Host,
    /// Nobody: another CPU mapped the page after the fault.
    Retry,
}

/// What the tables say of a protected address now. Looked up under the table's lock, so a change in
/// progress (break-before-make) is never seen.
fn look_up<M: Machine>(rmm: &Rmm<'_, M>, rec: &Rec, ipa: u64) -> Protected {
    let tree = rec.tree();
    tree.walk(rmm.machine, &rmm.granules, ipa, Level::PAGE, |at| match at.entry {
        Entry::Unassigned(Ripas::Empty) | Entry::Assigned(Ripas::Empty, _) => Protected::Realm,
        Entry::Assigned(Ripas::Ram, _) => Protected::Retry,
        Entry::Unassigned(_)
        | Entry::Assigned(Ripas::Destroyed, _)
        | Entry::UnassignedNs
        | Entry::AssignedNs(..)
        | Entry::Table(_) => Protected::Host,
    })
}

/// A data abort.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3.4.2, A4.3.4.3, A5.2.3 to A5.2.9.
pub fn data<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit) -> Option<Exit> {
    if is_external(exit.esr) {
        return external(rmm, rec, exit, NOT_EMULATABLE);
    }
    if !is_of_stage_2(exit.esr) {
        return unsupported(rmm, rec, exit);
    }
    let ipa = fault_ipa(rmm, exit)?;
    let space = rec.tree().space;
    if !space.contains(ipa) {
        inject_abort(rmm, rec, exit, ipa);
        return None;
    }
    let hpfar = ipa >> 8;
    if space.is_protected(ipa) {
        return match look_up(rmm, rec, ipa) {
            Protected::Realm => {
                inject_abort(rmm, rec, exit, ipa);
                None
            }
            Protected::Retry => None,
            Protected::Host => {
                // ISV goes, or the next entry could pretend to emulate (bug catalogue L4).
                remember(rec, exit.esr & !ESR_ISV, exit.far, hpfar);
                Some(Exit::sync(exit.esr & NOT_EMULATABLE, hpfar))
            }
        };
    }
    if is_translation_fault(exit.esr) && is_mapped_unprotected(rmm, rec, ipa) {
        return None;
    }
    if exit.esr & ESR_ISV == 0 || is_aarch32(rec.registers.pstate) {
        remember(rec, exit.esr & !ESR_ISV, exit.far, hpfar);
        return Some(Exit::sync(exit.esr & NOT_EMULATABLE, hpfar));
    }
    remember(rec, exit.esr, exit.far, hpfar);
    let gpr0 = if exit.esr & ESR_WNR != 0 { written(rec, exit.esr) } else { 0 };
    Some(Exit::Sync { esr: exit.esr & EMULATABLE, far: PageOffset::of(exit.far), hpfar, gpr0 })
}

/// Whether an unprotected address is mapped by now: the fault met a block that was being split or
/// folded, which the Host need not hear of.
fn is_mapped_unprotected<M: Machine>(rmm: &Rmm<'_, M>, rec: &Rec, ipa: u64) -> bool {
    let tree = rec.tree();
    tree.walk(rmm.machine, &rmm.granules, ipa, Level::PAGE, |at| {
        matches!(at.entry, Entry::AssignedNs(..))
    })
}

/// Whether an abort is a translation fault, at any level.
const fn is_translation_fault(esr: u64) -> bool {
    matches!(esr & ESR_FSC, 0x04..=0x07 | 0x2b)
}

/// The data of an emulatable write, as wide as the access.
fn written(rec: &Rec, esr: u64) -> u64 {
    rec.gpr(register_of(esr >> 16)) & (u64::MAX >> (64 - access_bits(esr)))
}

/// An instruction abort.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3.4.2, A5.2.9: code runs from protected memory
/// only.
pub fn instruction<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit) -> Option<Exit> {
    if is_external(exit.esr) {
        return external(rmm, rec, exit, INSTRUCTION);
    }
    if !is_of_stage_2(exit.esr) {
        return unsupported(rmm, rec, exit);
    }
    let ipa = fault_ipa(rmm, exit)?;
    let verdict =
        if rec.tree().space.is_protected(ipa) { look_up(rmm, rec, ipa) } else { Protected::Realm };
    match verdict {
        Protected::Realm => {
            inject_abort(rmm, rec, exit, ipa);
            None
        }
        Protected::Retry => None,
        Protected::Host => {
            remember(rec, exit.esr, exit.far, ipa >> 8);
            Some(Exit::sync(exit.esr & INSTRUCTION, ipa >> 8))
        }
    }
}

/// The page that the Realm accessed; `None` if that cannot be told, and the access has to be
/// repeated.
///
/// HPFAR_EL2 may be UNKNOWN after a permission fault that was not on a stage 1 walk: then the
/// Realm's own translation of FAR_EL2 tells.
fn fault_ipa<M: Machine>(rmm: &Rmm<'_, M>, exit: &VcpuExit) -> Option<u64> {
    const PERMISSION: u64 = 0b00_1100;
    const KIND: u64 = 0b11_1100;
    if exit.esr & KIND & ESR_FSC == PERMISSION && exit.esr & ESR_S1PTW == 0 {
        return rmm.machine.translate_stage1(exit.far);
    }
    Some(page_of(exit.hpfar))
}

/// Whether stage 2 tables say that the access may not be: address size, translation, access flag or
/// permission fault.
const fn is_of_stage_2(esr: u64) -> bool {
    matches!(esr & ESR_FSC, 0x00..=0x0f | 0x29 | 0x2b)
}

/// The memory cannot do what the Realm wants of it: an access that is not aligned, or an exclusive
/// one, where the Host has mapped Device memory. HPFAR_EL2 is UNKNOWN then, and repeating the
/// access would not help: the Realm hears of it.
///
/// Source: Arm ARM (DDI0487), HPFAR_EL2; ESR_EL2, ISS of a data abort.
#[cold]
#[inline(never)]
fn unsupported<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit) -> Option<Exit> {
    let ipa = rmm.machine.translate_stage1(exit.far)?;
    inject_abort(rmm, rec, exit, ipa);
    None
}

/// Makes the loaded Realm take a synchronous external abort for its access.
#[inline(never)]
fn inject_abort<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit, ipa: u64) {
    rmm.machine.log(Event::InjectedAbort { ipa, pc: rec.registers.pc });
    rec.inject_loaded(rmm.machine, Exception::ExternalAbort { esr: exit.esr, far: exit.far });
}

/// Whether an abort is a synchronous external one, on the access or on a table walk.
const fn is_external(esr: u64) -> bool {
    matches!(esr & ESR_FSC, 0x10 | 0x13..=0x17)
}

/// A synchronous external abort: something is wrong with the memory itself.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3.4.2; Arm ARM (DDI0487), ESR_EL2.SET.
///
/// # Panics
///
/// If the error is not contained: then nothing that the CPU does can be trusted.
fn external<M: Machine>(
    rmm: &Rmm<'_, M>,
    rec: &mut Rec,
    exit: &VcpuExit,
    shown: u64,
) -> Option<Exit> {
    const RECOVERABLE: u64 = 0b00;
    const RESTARTABLE: u64 = 0b11;
    match (exit.esr >> 11) & 0b11 {
        RECOVERABLE => {
            let abort = Exception::ExternalAbort { esr: exit.esr, far: exit.far };
            rec.inject_loaded(rmm.machine, abort);
        }
        RESTARTABLE => {}
        _ => panic!("uncontained external abort, ESR {:#x}", exit.esr),
    }
    remember(rec, exit.esr & !ESR_ISV, 0, 0);
    Some(Exit::sync(exit.esr & shown, 0))
}

/// A physical SError while the Realm ran.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A4.3.6; Arm ARM (DDI0487), "ISS encoding for an
/// SError exception".
///
/// # Panics
///
/// If the error is not contained, or its syndrome is IMPLEMENTATION DEFINED.
pub fn serror<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, exit: &VcpuExit) -> Exit {
    const IDS: u64 = 1 << 24;
    const ASYNCHRONOUS: u64 = 0x11;
    const SYNDROME: u64 = 0x1ff_ffff;
    let contained = exit.esr & IDS == 0 && exit.esr & ESR_FSC == ASYNCHRONOUS;
    match (exit.esr >> 10) & 0b111 {
        // Unrecoverable, recoverable: the Realm has to know.
        1 | 3 if contained => rmm.machine.pend_serror(exit.esr & SYNDROME),
        // Restartable, corrected.
        2 | 6 if contained => {}
        _ => panic!("uncontained SError, ESR {:#x}", exit.esr),
    }
    remember(rec, exit.esr, 0, 0);
    Exit::SError { esr: exit.esr & SERROR }
}
