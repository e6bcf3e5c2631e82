//! The faults: each breaks one rule of RMI 2.0.
//!
//! Sections are those of an implementer: 2 calling convention, 3 versions, 4 life cycle, 5
//! granules, 6 stateful operations, 7 descriptors, 8 Realms, 9 RECs, 10 translation tables, 11 PSCI
//! and RSI.

/// A fault, and who has to notice it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// Its name.
    pub name: &'static str,
    /// The part of the interface that it is in.
    pub section: u8,
    /// What is wrong with it.
    pub breaks: &'static str,
    /// The file.
    pub file: &'static str,
    /// A text that stands there once, and has the expression in it once.
    pub within: &'static str,
    /// An expression.
    pub text: &'static str,
    /// The expression that is wrong.
    pub instead: &'static str,
    /// Scenarios that have to fail.
    pub blamed_by: &'static [&'static str],
    /// Whether random sequences find it as well.
    pub by: By,
}

/// Who finds a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Scenarios and random sequences.
    Both,
    /// Scenarios alone; why sequences cannot.
    Scenarios(&'static str),
}

use By::{Both, Scenarios};

/// Sequences are of a Host that has activated the monitor and stays with it.
const ONE_HOST: By = Scenarios("they are of one Host, which stays with its version");
/// The Realms of the sequences have no program.
const IDLE_REALMS: By = Scenarios("their Realms call nothing");
/// Sequences come from one CPU.
const ONE_CPU: By = Scenarios("they come from one CPU");
/// Sequences fill no table of the monitor's.
const SMALL: By = Scenarios("they have fewer Realms and operations than the monitor has places");

/// All of them.
pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "fourth-output",
        section: 2,
        breaks: "X4 of every command is overwritten, not only where it is an output (B-24)",
        file: "rmi/src/v2_0/table.rs",
        within: "shape == Shape::FourOutputs",
        text: "shape == Shape::FourOutputs",
        instead: "shape != Shape::Handle",
        blamed_by: &["v2/bug/b24_x4_to_x7", "v2/abi/x4_to_x7/range_delegate"],
        by: Both,
    },
    Fault {
        name: "lower-version",
        section: 3,
        breaks: "a version in between is answered with the highest twice (B-44)",
        file: "rmi/src/version.rs",
        within: "(false, true) => lowest,",
        text: "lowest",
        instead: "highest",
        blamed_by: &["v2/version/table/1_1", "v2/bug/b44_version_returns_the_highest_twice"],
        by: ONE_HOST,
    },
    Fault {
        name: "latch-offers-both",
        section: 3,
        breaks: "a Host that has chosen 2.0 for good is still offered 1.0",
        file: "rmi/src/dialect.rs",
        within: "(true, Dialect::V2_0) => (Version::V2_0, Version::V2_0),",
        text: "(Version::V2_0, Version::V2_0)",
        instead: "Dialect::supported(rmm.el3)",
        blamed_by: &["v2/version/latched/1_0"],
        by: ONE_HOST,
    },
    Fault {
        name: "configured-while-active",
        section: 4,
        breaks: "RMM_CONFIG_SET works in state ACTIVE",
        file: "rmi/src/v2_0/table.rs",
        within: "Self::Init if stage == Stage::V2_0Inactive",
        text: "stage == Stage::V2_0Inactive",
        instead: "true",
        blamed_by: &["v2/config_set/act"],
        by: Both,
    },
    Fault {
        name: "configuration-read-whole",
        section: 4,
        breaks: "what stands around the fields of RmmConfig, which are bytes, counts (B-52)",
        file: "rmi/src/v2_0/config.rs",
        within: "fields == [SMALLEST; 2]",
        text: "fields == [SMALLEST; 2]",
        instead: "words == [0; 2]",
        blamed_by: &["v2/config_set/success/fields_are_bytes"],
        by: Both,
    },
    Fault {
        name: "deactivated-with-granules",
        section: 4,
        breaks: "RMM_DEACTIVATE overlooks one granule that is still the monitor's",
        file: "rmi/src/v2_0/config.rs",
        within: "rmm.granules.account().held() == 0",
        text: "rmm.granules.account().held() == 0",
        instead: "rmm.granules.account().held() <= 1",
        blamed_by: &["v2/deactivate/granules/delegated"],
        by: Scenarios("they hardly ever deactivate a monitor with one granule"),
    },
    Fault {
        name: "delegated-is-refused",
        section: 5,
        breaks: "a granule that is DELEGATED already is an error for RANGE_DELEGATE (bet2)",
        file: "rmi/src/v2_0/range.rs",
        within: "choices::DELEGATED_IS_PROGRESS",
        text: "choices::DELEGATED_IS_PROGRESS",
        instead: "false",
        blamed_by: &["v2/range_delegate/success/already_there"],
        by: Both,
    },
    Fault {
        name: "unmapped-with-contents",
        section: 5,
        breaks: "a Realm's memory is not wiped when it is unmapped",
        file: "granule/src/delegation.rs",
        within: "machine.wipe_run(Slot::Object, run.exclusive())",
        text: "machine.wipe_run(Slot::Object, run.exclusive())",
        instead: "()",
        blamed_by: &["v2/range_undelegate/success/data_is_wiped"],
        by: Both,
    },
    Fault {
        name: "count-of-el3-ignored",
        section: 5,
        breaks: "a run that EL3 moved in part counts as moved whole",
        file: "granule/src/delegation.rs",
        within: "run.commit::<Undelegated>(count, 0)",
        text: "run.commit::<Undelegated>(count, 0)",
        instead: "run.commit::<Undelegated>(asked, 0)",
        blamed_by: &["v2/range_undelegate/el3/denied_in_the_middle"],
        by: Both,
    },
    Fault {
        name: "tracking-of-the-base",
        section: 5,
        breaks: "TRACKING_GET answers for its first granule and returns top (B-40)",
        file: "rmi/src/ops/tracking.rs",
        within: "bank.end.min(top)",
        text: "bank.end.min(top)",
        instead: "top",
        blamed_by: &["v2/bug/b40_tracking_answers_for_the_base_only"],
        by: Scenarios("their ranges seldom go on past a bank of memory"),
    },
    Fault {
        name: "top-of-all-addresses",
        section: 5,
        breaks: "a range that ends where physical addresses do is refused (B-47)",
        file: "rmi/src/ops/tracking.rs",
        within: "top > 1 << rmm.features.pa_bits()",
        text: "top > 1 << rmm.features.pa_bits()",
        instead: "top >= 1 << rmm.features.pa_bits()",
        blamed_by: &["v2/bug/b47_top_of_the_address_space"],
        by: Scenarios("they ask for memory, and never for the end of the address space"),
    },
    Fault {
        name: "not-cancellable",
        section: 6,
        breaks: "an operation that waits for memory cannot be cancelled (B-42)",
        file: "rmi/src/ops/sro.rs",
        within: "!operation.awaits.is_cancellable()",
        text: "!operation.awaits.is_cancellable()",
        instead: "true",
        blamed_by: &["v2/op_cancel/success/nothing_given", "v2/bug/b42_donations_can_be_cancelled"],
        by: Both,
    },
    Fault {
        name: "donation-too-large",
        section: 6,
        breaks: "a list may have one granule more than was asked for",
        file: "rmi/src/ops/sro.rs",
        within: "total(list.clone())? > wanted",
        text: "total(list.clone())? > wanted",
        instead: "total(list.clone())? > wanted + 1",
        blamed_by: &["v2/op_mem_donate/mem_gt"],
        by: Both,
    },
    Fault {
        name: "handle-forgotten",
        section: 6,
        breaks: "OP_CONTINUE does not repeat the handle of an operation that goes on",
        file: "rmi/src/v2_0/donate.rs",
        within: "Resumed::Awaits(awaits) => Ok(incomplete(awaits, handle)),",
        text: "incomplete(awaits, handle)",
        instead: "incomplete(awaits, 0)",
        blamed_by: &["v2/sro/handle/again_after_a_failure"],
        by: Both,
    },
    Fault {
        name: "failed-donation-waits",
        section: 6,
        breaks: "after a donation that failed the Host cannot go on without another one",
        file: "rmi/src/ops/sro.rs",
        within: "operation.donation_failed = true",
        text: "operation.donation_failed = true",
        instead: "operation.donation_failed = false",
        blamed_by: &["v2/sro/failed_donation/nothing_given"],
        by: Both,
    },
    Fault {
        name: "reclaimed-all",
        section: 6,
        breaks: "OP_MEM_RECLAIM counts entries that the list has no room for",
        file: "rmi/src/ops/sro.rs",
        within: "entries: returned.len(),",
        text: "returned.len()",
        instead: "granules.len()",
        blamed_by: &["v2/op_mem_reclaim/success/one_by_one"],
        by: Both,
    },
    Fault {
        name: "slot-before-arguments",
        section: 6,
        breaks: "without a slot REC_CREATE is BLOCKED whatever its arguments say (B-46)",
        file: "rmi/src/ops/rec/unfinished.rs",
        within: "check_new(descriptor, num_recs)?;\n        let index =",
        text: "check_new(descriptor, num_recs)?",
        instead: "{\n            drop(sro::reserve(rmm)?);\n            check_new(descriptor, num_recs)?\n        }",
        blamed_by: &["v2/sro/slots/exhausted"],
        by: SMALL,
    },
    Fault {
        name: "short-descriptor",
        section: 7,
        breaks: "the number of blocks of a descriptor has nine bits",
        file: "rmi/src/v2_0/descriptor.rs",
        within: "desc >> COUNT_SHIFT & u64::from(COUNT_MAX)",
        text: "desc >> COUNT_SHIFT & u64::from(COUNT_MAX)",
        instead: "desc >> COUNT_SHIFT & 0x1ff",
        blamed_by: &["v2/data_map/level/512_pages_without_a_table"],
        by: Scenarios("they name a few blocks with a descriptor"),
    },
    Fault {
        name: "unaligned-descriptor",
        section: 7,
        breaks: "the address of a block need not be aligned to it",
        file: "rmi/src/v2_0/descriptor.rs",
        within: "level.is_aligned(base.as_u64())",
        text: "level.is_aligned(base.as_u64())",
        instead: "true",
        blamed_by: &[
            "v2/data_map/oaddr/block_not_aligned",
            "v2/unprot_map/oaddr/block_not_aligned",
        ],
        by: Both,
    },
    Fault {
        name: "read-and-write-swapped",
        section: 7,
        breaks: "the two bits of S2AP are taken for each other",
        file: "rmi/src/v2_0/range.rs",
        within: "HostAttributes::new(bits & 0b111, is_set(20), is_set(19))",
        text: "HostAttributes::new(bits & 0b111, is_set(20), is_set(19))",
        instead: "HostAttributes::new(bits & 0b111, is_set(19), is_set(20))",
        blamed_by: &["v2/unprot_map/s2ap/bit_1_is_read"],
        by: Scenarios("they do not let a Realm use what the Host shares"),
    },
    Fault {
        name: "measured-parameters",
        section: 8,
        breaks: "the RIM begins with a hash and not with zero (B-27)",
        file: "rmi/src/v2_0/create.rs",
        within: "measured: None,",
        text: "None",
        instead: "Some(&[0; 4096])",
        blamed_by: &["v2/measurement/vectors/sha256", "v2/measurement/vectors/sha384"],
        by: Scenarios("what they compare does not include the measurement of a Realm"),
    },
    Fault {
        name: "terminated-while-running",
        section: 8,
        breaks: "REALM_TERMINATE does not look whether a REC runs (B-21)",
        file: "rmi/src/ops/realm.rs",
        within: "descriptor.recs().take(count).any(|rec| rmm.granules.is_running(rec))",
        text: "descriptor.recs().take(count).any(|rec| rmm.granules.is_running(rec))",
        instead: "false",
        blamed_by: &["v2/realm_terminate/running", "v2/bug/b21_terminate_against_an_entry"],
        by: ONE_CPU,
    },
    Fault {
        name: "destroyed-without-end",
        section: 8,
        breaks: "REALM_DESTROY takes a Realm that has not been terminated",
        file: "rmi/src/v2_0/table.rs",
        within: "realm::Ending::Terminated",
        text: "realm::Ending::Terminated",
        instead: "realm::Ending::Any",
        blamed_by: &["v2/realm_destroy/realm_state"],
        by: Both,
    },
    Fault {
        name: "vmid-lost",
        section: 8,
        breaks: "the VMID of a Realm is not free again after REALM_DESTROY",
        file: "rmi/src/ops/realm.rs",
        within: "rmm.vmids.release(tree.vmid)",
        text: "rmm.vmids.release(tree.vmid)",
        instead: "()",
        blamed_by: &["v2/realm_create/vmid"],
        by: SMALL,
    },
    Fault {
        name: "mpidr-used-twice",
        section: 9,
        breaks: "two RECs of a Realm may have one MPIDR",
        file: "realm/src/rd.rs",
        within: "self.place_of(index).is_none()",
        text: "self.place_of(index).is_none()",
        instead: "true",
        blamed_by: &["v2/rec_create/mpidr/used"],
        by: Both,
    },
    Fault {
        name: "entered-while-off",
        section: 9,
        breaks: "REC_ENTER runs a REC that is off",
        file: "rmi/src/ops/enter.rs",
        within: "!rec.is_runnable()",
        text: "!rec.is_runnable()",
        instead: "false",
        blamed_by: &["v2/rec_enter/rec_runnable"],
        by: Both,
    },
    Fault {
        name: "physical-interrupts",
        section: 9,
        breaks: "a list register may name a physical interrupt",
        file: "rmi/src/ops/vgic.rs",
        within: "VgicSource::Hardware => lr & LR_HW == 0,",
        text: "lr & LR_HW == 0",
        instead: "true",
        blamed_by: &["v2/rec_enter/rec_gicv3/hw_pending"],
        by: Scenarios("they leave the list registers alone"),
    },
    Fault {
        name: "void-needs-alignment",
        section: 10,
        breaks: "an unmap refuses a base inside an entry without a mapping (B-33)",
        file: "rmi/src/ops/sweep.rs",
        within: "if void != 0 {",
        text: "void != 0",
        instead: "void != 0 && level.is_aligned(reached)",
        blamed_by: &["v2/data_unmap/success/void_from_its_middle"],
        by: Both,
    },
    Fault {
        name: "one-page-invalidated",
        section: 10,
        breaks: "an unmap invalidates its first entry alone (B-20)",
        file: "rmi/src/ops/memory.rs",
        within: "let size_bytes = u64::from(taken) * size;",
        text: "u64::from(taken) * size",
        instead: "size",
        blamed_by: &["v2/bug/b20_every_page_of_an_unmapped_range_is_gone"],
        by: Both,
    },
    Fault {
        name: "unmapped-is-empty",
        section: 10,
        breaks: "RAM that is unmapped becomes EMPTY, not DESTROYED: its loss is hidden",
        file: "rmi/src/ops/memory.rs",
        within: "Entry::Assigned(Ripas::Destroyed, pa)",
        text: "Entry::Assigned(Ripas::Destroyed, pa)",
        instead: "Entry::Assigned(Ripas::Empty, pa)",
        blamed_by: &["v2/data_unmap/success/data_ram"],
        by: Both,
    },
    Fault {
        name: "same-mapping-is-refused",
        section: 10,
        breaks: "a mapping that is there already is an error (bet2)",
        file: "rmi/src/ops/memory.rs",
        within: "block.pa != pa || most == 0",
        text: "block.pa != pa || most == 0",
        instead: "true",
        blamed_by: &["v2/data_map/success/same_mapping_again"],
        by: Both,
    },
    Fault {
        name: "ripas-by-the-rules-of-1.0",
        section: 10,
        breaks: "INIT_RIPAS makes DESTROYED memory RAM (B-22)",
        file: "rmi/src/v2_0/table.rs",
        within: "args::INIT_RIPAS",
        text: "args::INIT_RIPAS",
        instead: "crate::ops::ripas::Init { rules: ::realm::rtt::ripas::InitRules::Unassigned, ..args::INIT_RIPAS }",
        blamed_by: &["v2/init_ripas/no_progress/void_destroyed"],
        by: Both,
    },
    Fault {
        name: "ripas-past-the-request",
        section: 10,
        breaks: "SET_RIPAS changes what the Realm did not ask for",
        file: "rmi/src/ops/ripas.rs",
        within: "top > rec.ripas.top",
        text: "top > rec.ripas.top",
        instead: "false",
        blamed_by: &["v2/set_ripas/top_bound"],
        by: IDLE_REALMS,
    },
    Fault {
        name: "affinity-asks-the-host",
        section: 11,
        breaks: "AFFINITY_INFO exits to the Host",
        file: "rsi/src/psci.rs",
        within: "numbering == Numbering::InOrder",
        text: "numbering == Numbering::InOrder",
        instead: "numbering == Numbering::Free",
        blamed_by: &["v2/psci_affinity_info/off", "v2/psci_affinity_info/runnable"],
        by: IDLE_REALMS,
    },
    Fault {
        name: "denied-as-already-on",
        section: 11,
        breaks: "a CPU_ON that the Host denies says ALREADY_ON",
        file: "rmi/src/ops/psci.rs",
        within: "(false, DENIED) => (DENIED, Ok(())),",
        text: "(DENIED, Ok(()))",
        instead: "(ALREADY_ON, Ok(()))",
        blamed_by: &["v2/psci_complete/success/denied"],
        by: IDLE_REALMS,
    },
    Fault {
        name: "target-gone",
        section: 11,
        breaks: "a CPU_ON whose target is destroyed keeps its caller waiting for ever (B-48)",
        file: "rmi/src/ops/psci.rs",
        within: "finish(page.view_mut(), INVALID_PARAMETERS)",
        text: "finish(page.view_mut(), INVALID_PARAMETERS)",
        instead: "return Err(Cause::PsciTarget)",
        blamed_by: &["v2/psci_complete/target_destroyed/success", "v2/bug/b48_target_that_is_gone"],
        by: IDLE_REALMS,
    },
    Fault {
        name: "hash-misnamed",
        section: 11,
        breaks: "RSI_REALM_CONFIG calls SHA-384 SHA-512 (B-28)",
        file: "rsi/src/config.rs",
        within: "HASH_ALGO => hash_algo(algorithm),",
        text: "hash_algo(algorithm)",
        instead: "hash_algo(algorithm).min(1)",
        blamed_by: &["v2/bug/b28_sha_384_is_called_sha_512"],
        by: IDLE_REALMS,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_section_has_a_fault_and_there_are_enough() {
        let sections: BTreeSet<u8> = FAULTS.iter().map(|fault| fault.section).collect();
        assert!((3..=11).all(|section| sections.contains(&section)), "{sections:?}");
        assert!(FAULTS.len() >= 20);
        assert!(FAULTS.iter().filter(|fault| fault.by == Both).count() >= 12);
    }

    #[test]
    fn names_are_unique_and_each_is_blamed_by_somebody() {
        let names: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len());
        let known: BTreeSet<String> =
            cairn_tests::v2_0::all().scenarios.into_iter().map(|scenario| scenario.name).collect();
        for fault in FAULTS {
            assert!(!fault.blamed_by.is_empty(), "{}", fault.name);
            for name in fault.blamed_by {
                assert!(known.contains(*name), "{}: there is no {name}", fault.name);
            }
        }
    }
}
