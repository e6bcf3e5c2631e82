//! WFx, HVC, system registers, SIMD.

use alloc::format;

use super::super::registry::Registry;
use crate::abi::{RecEnter, RecExit, enter_flags, exit_reason};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Action, El1, Observed, RawException, SystemRegister, Wait};
use crate::rec::{Rec, VECTORS, idle_exit};
use crate::world::World;

/// ICC_SGI1R_EL1 and its kin, ICC_DIR_EL1, ICC_PMR_EL1.
const GIC: [SystemRegister; 5] =
    [(3, 0, 12, 11, 5), (3, 0, 12, 11, 6), (3, 0, 12, 11, 7), (3, 0, 12, 11, 1), ICC_PMR];

const ICC_PMR: SystemRegister = (3, 0, 4, 6, 0);

/// ICH_HCR_EL2.TDIR.
const TDIR: u64 = 1 << 14;

/// Operand of the timed instructions: not yet, so that they have to wait.
const DEADLINE: u64 = 0x7fff_ffff_1234_5678;

pub(super) fn add(registry: &mut Registry) {
    add_wait(registry);
    add_hvc(registry);
    add_registers(registry);
    add_id_registers(registry);
    registry.add("rec_run/simd/lent_and_kept", |w| {
        let rec = w.running()?;
        let first = [Action::Simd(0x1111), Action::Simd(0x2222)];
        let observed = w.observe(&rec, &first)?;
        same("own value", observed.get(1), Some(&Observed::Value(0x1111)))?;
        let observed = w.observe(&rec, &[Action::Simd(0)])?;
        same("kept over an exit", observed, [Observed::Value(0x2222)].into())
    });
    registry.add("rec_run/simd/starts_at_zero", |w| {
        let rec = w.running()?;
        same("V0", w.observe(&rec, &[Action::Simd(1)])?, [Observed::Value(0)].into())
    });
}

fn add_wait(registry: &mut Registry) {
    for (name, wait, flag) in [
        ("wfi", Wait::Wfi, enter_flags::TRAP_WFI),
        ("wfe", Wait::Wfe, enter_flags::TRAP_WFE),
        ("wfit", Wait::Wfit, enter_flags::TRAP_WFI),
        ("wfet", Wait::Wfet, enter_flags::TRAP_WFE),
    ] {
        let scenario = registry.add(format!("rec_exit/wait/{name}"), move |w| {
            let rec = w.running()?;
            w.port.program(rec.realm.rd, 0, &[Action::Wait(wait, DEADLINE), Action::Gprs]);
            let exit = w.enter_with(&rec, &RecEnter::flags(flag))?;
            let timed = matches!(wait, Wait::Wfit | Wait::Wfet);
            let mut expected = RecExit {
                exit_reason: exit_reason::SYNC,
                esr: 0x01 << 26 | wait as u64,
                ..RecExit::default()
            };
            expected.gprs[0] = if timed { DEADLINE } else { 0 };
            same("exit", exit, expected)?;
            let enter = RecEnter { gprs: [0xbad; 31], ..RecEnter::default() };
            let observed = w.finish(&rec, &enter)?;
            let [Observed::Done, Observed::Gprs(gprs)] = observed.as_slice() else {
                return fail(format!("observed {observed:x?}"));
            };
            holds("the Host's registers do not reach the Realm", !gprs.contains(&0xbad))
        });
        if flag == enter_flags::TRAP_WFE {
            scenario.needs(Need::WfeTraps);
        }
        if wait == Wait::Wfit {
            scenario.needs(Need::WfitSyndrome);
        }
        registry.add(format!("rec_run/wait/{name}_not_trapped"), move |w| {
            let rec = w.running()?;
            w.port.program(rec.realm.rd, 0, &[Action::Wait(wait, 0)]);
            let other = enter_flags::TRAP_WFI ^ enter_flags::TRAP_WFE ^ flag;
            same("exit", w.enter_with(&rec, &RecEnter::flags(other))?, idle_exit())
        });
    }
    registry.add("rec_exit/wait/trap_is_asked_for_each_time", |w| {
        let rec = w.running()?;
        w.port.program(rec.realm.rd, 0, &[Action::Wait(Wait::Wfi, 0), Action::Wait(Wait::Wfi, 0)]);
        let exit = w.enter_with(&rec, &RecEnter::flags(enter_flags::TRAP_WFI))?;
        same("esr", exit.esr, 0x01 << 26)?;
        same("exit", w.enter(&rec)?, idle_exit())
    });
}

fn add_hvc(registry: &mut Registry) {
    registry.add("realm_undefined/hvc", |w| {
        let rec = w.running()?;
        let observed = w.observe(&rec, &[Action::SetEl1(El1::Vbar, VECTORS), Action::Hvc])?;
        let [Observed::Exception { esr, vector, .. }] = observed.as_slice() else {
            return fail(format!("no exception but {observed:x?}"));
        };
        same("UNDEFINED", (*esr, *vector), (0x200_0000, 0x200))
    });
    registry.add("realm_undefined/hvc/at_the_instruction", |w| {
        let rec = w.running()?;
        w.is_undefined(&rec, &[Action::SetEl1(El1::Vbar, VECTORS), Action::Hvc])
    });
    for (name, action) in [("sve", Action::Sve), ("sme", Action::Sme)] {
        registry.add(format!("realm_undefined/{name}"), move |w| {
            let rec = w.running()?;
            w.is_undefined(&rec, core::slice::from_ref(&action))
        });
    }
    for (name, class) in [("ls64", 0x0a), ("pauth", 0x09), ("sysreg128", 0x14), ("eret", 0x1a)] {
        registry
            .add(format!("realm_undefined/{name}"), move |w| {
                let rec = w.running()?;
                let raw =
                    RawException { cause: 0, esr: class << 26 | 1 << 25 | 0x5e, far: 0, hpfar: 0 };
                w.is_undefined(&rec, &[Action::SetEl1(El1::Vbar, VECTORS), Action::Raw(raw)])
            })
            .needs(Need::RawException);
    }
}

fn add_registers(registry: &mut Registry) {
    for (number, register) in GIC.into_iter().enumerate() {
        let scenario = registry.add(format!("rec_exit/system_register/gic_{number}"), move |w| {
            let rec = w.running()?;
            w.port.program(rec.realm.rd, 0, &[Action::Write(register, 0x5005_0001), Action::Gprs]);
            // The Host asks for the trap of ICC_DIR_EL1.
            let exit = w.enter_with(&rec, &RecEnter { gicv3_hcr: TDIR, ..RecEnter::default() })?;
            let (op0, op1, crn, crm, op2) = register;
            // Which register held the value is not the Host's to know.
            let iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1;
            let mut expected = RecExit {
                exit_reason: exit_reason::SYNC,
                esr: 0x18 << 26 | 1 << 25 | iss,
                gicv3_hcr: TDIR,
                ..RecExit::default()
            };
            expected.gprs[0] = 0x5005_0001;
            same("exit", exit, expected)?;
            let mut enter = RecEnter::default();
            enter.gprs[0] = 0xbad;
            let observed = w.finish(&rec, &enter)?;
            let [Observed::Done, Observed::Gprs(gprs)] = observed.as_slice() else {
                return fail(format!("observed {observed:x?}"));
            };
            same("a write changes no register", gprs[5], 0x5005_0001)
        });
        if register == ICC_PMR {
            scenario.needs(Need::GicTraps);
        }
    }
    registry.add("realm_undefined/implementation_defined_register", |w| {
        let rec = w.running()?;
        let registers = [
            (3, 0, 15, 2, 0),
            (3, 0, 11, 0, 0),
            (3, 3, 15, 1, 1),
            (1, 0, 15, 0, 0),
            (1, 0, 11, 0, 0),
        ];
        w.are_undefined(&rec, &registers)
    });
    registry.add("realm_undefined/permission_overlay", |w| {
        // PIRE0_EL1, PIR_EL1, POR_EL1, S2POR_EL1, POR_EL0.
        let rec = w.running()?;
        let registers = [(0, 2), (0, 3), (0, 4), (0, 5), (3, 4)];
        w.are_undefined(&rec, &registers.map(|(op1, op2)| (3, op1, 10, 2, op2)))
    });
    registry.add("realm_undefined/hidden_features", |w| {
        let rec = w.running()?;
        let registers = [
            (3, 3, 13, 0, 5), // TPIDR2_EL0
            (3, 0, 1, 2, 4),  // SMPRI_EL1
            (3, 0, 13, 0, 5), // ACCDATA_EL1
            (3, 0, 13, 0, 6), // RCWMASK_EL1
            (3, 0, 13, 0, 3), // RCWSMASK_EL1
            (3, 0, 1, 0, 3),  // SCTLR2_EL1
            (3, 0, 2, 0, 3),  // TCR2_EL1
            (3, 0, 2, 5, 0),  // GCSCR_EL1
            (3, 3, 2, 5, 1),  // GCSPR_EL0
            (3, 0, 10, 2, 1), // MAIR2_EL1
            (3, 0, 10, 3, 1), // AMAIR2_EL1
            (3, 0, 6, 0, 5),  // PFAR_EL1
            (3, 3, 4, 4, 2),  // FPMR
            (3, 0, 9, 9, 0),  // PMSCR_EL1
            (3, 0, 9, 10, 7), // PMBIDR_EL1
            (3, 0, 9, 11, 0), // TRBLIMITR_EL1
            (3, 0, 1, 2, 1),  // TRFCR_EL1
            (3, 0, 10, 4, 4), // MPAMIDR_EL1
            (3, 0, 10, 5, 0), // MPAM1_EL1
            (3, 3, 13, 2, 0), // AMCR_EL0
            (3, 0, 1, 0, 6),  // GCR_EL1
            (3, 0, 5, 6, 0),  // TFSR_EL1
            (2, 1, 9, 0, 0),  // BRBCR_EL1
        ];
        w.are_undefined(&rec, &registers)
    });
    registry.add("rec_run/system_register/other_reads_zero", |w| {
        let rec = w.running()?;
        let others = [
            (3, 3, 9, 12, 0), // PMCR_EL0
            (2, 0, 0, 0, 4),  // DBGBVR0_EL1
            (3, 0, 10, 4, 3), // LORC_EL1
            (3, 0, 4, 6, 0),  // ICC_PMR_EL1
            (3, 0, 1, 0, 1),  // ACTLR_EL1
            (3, 0, 13, 0, 7), // SCXTNUM_EL1
        ];
        for register in others {
            let actions = [Action::Read(register)];
            same("value", w.observe(&rec, &actions)?, [Observed::Value(0)].into())?;
        }
        for register in [(3, 3, 9, 12, 0), (2, 0, 0, 0, 4)] {
            let actions = [Action::Write(register, 7)];
            same("write ignored", w.observe(&rec, &actions)?, [Observed::Done].into())?;
        }
        Ok(())
    });
}

/// An ID register as the Realm reads it.
fn id_register(w: &mut World<'_>, rec: &Rec, crm: u64, op2: u64) -> Outcome<u64> {
    match w.observe(rec, &[Action::Read((3, 0, 0, crm, op2))])?.as_slice() {
        [Observed::Value(value)] => Ok(*value),
        other => fail(format!("observed {other:x?}")),
    }
}

fn add_id_registers(registry: &mut Registry) {
    registry.add("rec_run/id_registers/features_that_no_realm_has", |w| {
        let rec = w.running()?;
        let pfr0 = id_register(w, &rec, 4, 0)?;
        same("no SVE", pfr0 >> 32 & 0xf, 0)?;
        same("no AMU", pfr0 >> 44 & 0xf, 0)?;
        let dfr0 = id_register(w, &rec, 5, 0)?;
        same("no SPE, TRBE", dfr0 >> 32 & 0xf | dfr0 >> 44 & 0xf, 0)
    });
    registry.add("rec_run/id_registers/hidden_features", |w| {
        let rec = w.running()?;
        let read = |w: &mut World<'_>, crm, op2| id_register(w, &rec, crm, op2);
        let pfr0 = read(w, 4, 0)?;
        same("AArch64 only at EL0 and EL1", pfr0 & 0xff, 0x11)?;
        same("no MPAM", pfr0 >> 40 & 0xf, 0)?;
        let pfr1 = read(w, 4, 1)?;
        same("no MTE, SME", pfr1 >> 8 & 0xf | pfr1 >> 24 & 0xf, 0)?;
        let dfr0 = read(w, 5, 0)?;
        same("no SPE, trace, TRBE, BRBE", dfr0 >> 32 & 0xffff_ff0f, 0)?;
        holds("no OS Double Lock, or one", matches!(dfr0 >> 36 & 0xf, 0 | 15))?;
        same("no PMU", dfr0 >> 8 & 0xf, 0)?;
        same("no WFET, WFIT: Hosts lose their time limit", read(w, 6, 2)? & 0xf, 0)?;
        for (crm, op2) in [(1, 0), (2, 7), (3, 3), (4, 2), (4, 4), (4, 5), (5, 4), (7, 7)] {
            same("zero", read(w, crm, op2)?, 0)?;
        }
        Ok(())
    });
}
