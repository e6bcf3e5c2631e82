//! Bugs that other monitors had: each row names the test that shows ours is without, or says why it
//! does not apply.
//!
//! `docs/bug-catalogue.md` says of each row what went wrong and where; sources cite rows by number.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What becomes of a row.
enum Proof {
    /// Scenarios of these names.
    Scenarios(&'static [&'static str]),
    /// Tests in source files: path from the top of the repository, function.
    Tests(&'static [(&'static str, &'static str)]),
    /// No test can show it, or nothing of the kind is in the monitor.
    None(&'static str),
}

use Proof::{Scenarios, Tests};

const INTERLEAVINGS: &str = "tests/tests/interleavings/main.rs";
const ATTESTATION: &str = "tests/tests/attestation.rs";
const DOCUMENT: &str = "docs/bug-catalogue.md";

const ROWS: &[(&str, &str, Proof)] = &[
    (
        "L1",
        "a timer's value in another timer's field",
        Scenarios(&["bugs/l1_each_timer_in_its_own_field"]),
    ),
    ("L2", "syndromes shown whole", Scenarios(&["bugs/l2_serror_and_abort_syndromes_are_masked"])),
    (
        "L3",
        "register number of a trapped access",
        Scenarios(&["bugs/l3_register_number_of_an_access_is_hidden"]),
    ),
    ("L4", "ISV left set", Scenarios(&["bugs/l4_isv_of_a_protected_abort_is_forgotten"])),
    ("L5", "stale bytes in a reply", Scenarios(&["bugs/l5_reply_page_holds_nothing_else"])),
    (
        "L6",
        "contents follow the granule",
        Scenarios(&["bugs/l6_contents_do_not_follow_the_granule"]),
    ),
    (
        "L7",
        "counters of Host and Realm mix",
        Scenarios(&["rec_run/pmu/counts_and_is_kept", "rec_run/pmu/counters_above_its_own"]),
    ),
    (
        "L8",
        "MPAM, BRBE reach a Realm",
        Scenarios(&["bugs/l8_neither_mpam_nor_branch_records_exist"]),
    ),
    (
        "L9",
        "signing depends on data",
        Proof::None(
            "PSTATE.DIT is set around signing (rmm/arch/src/attest.rs), which no program can time on the machines we have",
        ),
    ),
    (
        "L10",
        "speculation past an exit",
        Proof::None(
            "an SB stands behind each ERET (rmm/arch/src/vectors.rs); what a CPU speculates, no test here sees",
        ),
    ),
    (
        "L11",
        "vector state lost or shown on a way out",
        Scenarios(&[
            "bugs/l11_vectors_survive_each_way_out",
            "rec_run/simd/lent_and_kept",
            "rec_run/sve/is_the_realms_own",
        ]),
    ),
    ("V1", "off by one in an index", Scenarios(&["bugs/v1_the_index_after_the_last"])),
    (
        "V2",
        "alignment of a shared structure",
        Scenarios(&["bugs/v2_alignment_of_shared_structures"]),
    ),
    ("V3", "top not aligned", Scenarios(&["bugs/v3_set_ripas_top_alignment"])),
    ("V4", "count and offset overflow", Scenarios(&["bugs/v4_count_and_offset_overflow"])),
    ("V5", "range across both halves", Scenarios(&["bugs/v5_range_across_the_halves"])),
    ("V6", "level used before its check", Scenarios(&["bugs/v6_level_used_before_its_check"])),
    ("V7", "address above 48 bits", Scenarios(&["bugs/v7_address_above_48_bits"])),
    ("V8", "the same granule twice", Scenarios(&["bugs/v8_same_granule_twice"])),
    ("V9", "Host attributes not compared", Scenarios(&["bugs/v9_fold_compares_host_attributes"])),
    (
        "V10",
        "length of a less trusted component",
        Tests(&[("rmm/arch/src/hunks.rs", "what_does_not_fit_or_makes_no_sense_is_refused")]),
    ),
    (
        "V11",
        "an id outside its parent's range",
        Scenarios(&["rec_create/mpidr_index/reserved_bits", "psci_cpu_on/target_exists"]),
    ),
    (
        "V12",
        "pointers in a message",
        Proof::None(
            "no message of RMM 1.0 holds a list of pointers; auxiliary granules are addresses, checked one by one (rec_create/aux_*)",
        ),
    ),
    ("V13", "INJECT_SEA and EMUL_MMIO", Scenarios(&["bugs/v13_inject_sea_and_emul_mmio_at_once"])),
    (
        "V14",
        "order of failures",
        Scenarios(&["rec_enter/order", "rtt_create/order", "rec_create/order"]),
    ),
    (
        "V15",
        "an output not set",
        Scenarios(&["bugs/v15_read_entry_sets_the_descriptor_in_every_state"]),
    ),
    (
        "C1",
        "locks taken in different orders",
        Tests(&[
            (INTERLEAVINGS, "pairs_in_an_active_realm"),
            (INTERLEAVINGS, "pairs_about_a_bare_realm"),
        ]),
    ),
    (
        "C2",
        "a lock taken twice on an error path",
        Scenarios(&["bugs/c2_c4_error_paths_leave_nothing_held"]),
    ),
    (
        "C3",
        "a lock too many or too few after a walk",
        Tests(&[(INTERLEAVINGS, "pairs_in_a_new_realm")]),
    ),
    (
        "C4",
        "a mapping left on an error path",
        Scenarios(&["bugs/c2_c4_error_paths_leave_nothing_held"]),
    ),
    (
        "C5",
        "a VMID lost by a late failure",
        Scenarios(&["bugs/c5_vmid_is_free_after_a_late_failure"]),
    ),
    (
        "C6",
        "an object in a wrong state after a failure",
        Scenarios(&["bugs/c6_failed_commands_leave_states_alone"]),
    ),
    (
        "C6b",
        "an object read without its lock",
        Tests(&[
            ("tests/tests/stress.rs", "an_entry_that_is_refused_does_not_make_a_rec_look_running"),
            (INTERLEAVINGS, "three_at_once"),
        ]),
    ),
    (
        "C7",
        "a context of two CPUs",
        Tests(&[(
            "tests/tests/stress.rs",
            "cpus_that_work_on_the_same_objects_leave_them_in_order",
        )]),
    ),
    (
        "C8",
        "resources lost at the end of an object",
        Scenarios(&["bugs/c8_destroy_gives_every_granule_back"]),
    ),
    (
        "C9",
        "a shared buffer read before it is written",
        Proof::None(
            "the buffer shared with EL3 is read only where EL3 has just reported how much it wrote (rmm/arch/src/attest.rs)",
        ),
    ),
    (
        "C10",
        "the Host changes what was checked",
        Scenarios(&[
            "bugs/c10_parameters_change_while_read",
            "bugs/c10_run_page_changes_while_read",
        ]),
    ),
    (
        "C11",
        "one protocol's end taken for another's",
        Scenarios(&["bugs/c11_the_end_of_one_request_does_not_end_another"]),
    ),
    (
        "C12",
        "a CPU's state taken while it runs",
        Tests(&[("tests/tests/stress.rs", "a_rec_runs_on_one_cpu_at_a_time")]),
    ),
    (
        "T1",
        "a range invalidated in part",
        Scenarios(&["bugs/t1_large_tables_are_invalidated_whole"]),
    ),
    (
        "T2",
        "tables change without invalidation",
        Scenarios(&[
            "bugs/t2_destroyed_tables_are_walked_no_more",
            "bugs/t2_vmid_is_clean_for_the_next_realm",
        ]),
    ),
    (
        "T3",
        "no barrier after a scrub",
        Proof::None(
            "the barrier is in the one function that zeroes granules (rmm/arch/src/memory.rs); QEMU executes in order, so no test here would miss it",
        ),
    ),
    (
        "T4",
        "broadcast maintenance missed",
        Tests(&[(
            "realm/src/rec/controls.rs",
            "t4_broadcast_is_forced_and_the_base_value_is_complete",
        )]),
    ),
    ("T5", "SMMU commands not waited for", Proof::None("the monitor programs no SMMU")),
    (
        "T6",
        "no ISB after a timer is restored",
        Proof::None(
            "an ERET synchronises; QEMU takes register writes at once, so no test here would miss it",
        ),
    ),
    (
        "T7",
        "translation registers computed wrongly",
        Tests(&[("realm/src/rec/controls.rs", "t7_translation_controls_of_a_realm")]),
    ),
    ("T8", "stale cache lines at boot", Proof::None("the machines we have model no caches")),
    (
        "T8b",
        "cache lines when a page changes owner",
        Proof::None("the machines we have model no caches"),
    ),
    ("T9", "no break before make", Scenarios(&["bugs/t9_break_before_make_on_unfold_and_fold"])),
    (
        "M1",
        "a token's length kept for the next",
        Tests(&[(ATTESTATION, "a_new_challenge_abandons_the_old_token")]),
    ),
    (
        "M2",
        "a hash of the wrong size",
        Tests(&[
            ("realm/src/measurement.rs", "the_vectors_of_the_initial_measurement_hold"),
            ("realm/src/measurement.rs", "the_vectors_of_the_extensible_measurements_hold"),
        ]),
    ),
    (
        "M3",
        "a random number not tried for again",
        Proof::None(
            "QEMU's generator never fails, so no test here would miss the second try (rmm/arch/src/attest.rs)",
        ),
    ),
    (
        "M4",
        "errors at the key's set-up ignored",
        Tests(&[
            (ATTESTATION, "without_a_key_the_call_that_would_sign_fails"),
            ("attest/src/key.rs", "scalars_out_of_range_are_refused"),
        ]),
    ),
    (
        "M5",
        "the steps of a token that EL3 signs",
        Proof::None("the monitor signs all tokens itself, with the key that EL3 gives at boot"),
    ),
    (
        "M6",
        "a lock kept when a token fails",
        Tests(&[(ATTESTATION, "without_a_platform_token_the_token_fails_and_the_next_may_work")]),
    ),
    (
        "M7",
        "a signature converted into too short a buffer",
        Proof::None(
            "signatures are two numbers of 48 bytes from the start; there is no second form (attest/src/sign.rs)",
        ),
    ),
    (
        "M8",
        "evidence replayed, or of no certain platform",
        Tests(&[("tools/src/token/verify.rs", "each_broken_promise_has_its_class")]),
    ),
    (
        "M9",
        "a key extracted after a rollback",
        Proof::None("the monitor keeps no key of its own: EL3 gives one at each boot"),
    ),
];

/// Every row of the catalogue.
fn expected() -> Vec<String> {
    let numbered = |letter, last| (1..=last).map(move |number: u32| format!("{letter}{number}"));
    let mut rows: Vec<String> = numbered("L", 11).chain(numbered("V", 15)).collect();
    rows.extend(numbered("C", 12).chain(numbered("T", 9)).chain(numbered("M", 9)));
    rows.extend(["C6b".to_owned(), "T8b".to_owned()]);
    rows.sort();
    rows
}

#[test]
fn every_bug_has_its_test() {
    let root = root();
    let registry = cairn_tests::scenarios::all();
    let names: BTreeSet<&str> = registry.scenarios.iter().map(|s| s.name.as_str()).collect();
    let mut wrong = Vec::new();
    for (row, bug, proof) in ROWS {
        assert!(!bug.is_empty());
        match proof {
            Scenarios(wanted) => wrong.extend(
                wanted
                    .iter()
                    .filter(|wanted| {
                        !names.iter().any(|name| cairn_tests::conditions::covers(wanted, name))
                    })
                    .map(|wanted| format!("{row}: no scenario {wanted}")),
            ),
            Tests(wanted) => wrong.extend(
                wanted
                    .iter()
                    .filter(|(file, function)| {
                        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
                        !text.contains(&format!("#[test]\n{}fn {function}()", indent(file)))
                    })
                    .map(|(file, function)| format!("{row}: no test {function} in {file}")),
            ),
            Proof::None(why) => assert!(why.len() > 20, "{row}: say why"),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut rows: Vec<&str> = ROWS.iter().map(|(row, ..)| *row).collect();
    rows.sort_unstable();
    assert_eq!(rows, expected());
}

/// The document has each row once, with the proof that stands here.
#[test]
fn the_document_names_the_same_proofs() {
    let text = std::fs::read_to_string(root().join(DOCUMENT)).unwrap();
    for (row, _, proof) in ROWS {
        let start = format!("| {row} |");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(&start)).collect();
        let [line] = lines.as_slice() else { panic!("{DOCUMENT} has {row} {} times", lines.len()) };
        let shown = line.rsplit('|').nth(1).unwrap().trim();
        let proofs: Vec<String> = match proof {
            Scenarios(names) => names.iter().map(|name| format!("`{name}`")).collect(),
            Tests(tests) => tests.iter().map(|(_, function)| format!("`{function}`")).collect(),
            Proof::None(why) => vec![(*why).to_owned()],
        };
        assert_eq!(shown.replace('`', ""), proofs.join(", ").replace('`', ""), "{row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| ")).count();
    let heads = text.lines().filter(|line| line.starts_with("| Row ")).count();
    // Each heading has a line of dashes under it.
    assert_eq!(rows, ROWS.len() + 2 * heads);
}

/// Rows that sources and documents cite exist.
#[test]
fn cited_rows_exist() {
    let mut cited = 0;
    for folder in ["granule", "realm", "rmi", "rsi", "rmm", "platform", "tests", "docs"] {
        for file in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
            for rest in text.split("bug catalogue ").skip(1) {
                let row: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
                if row.len() < 2 || !row.ends_with(|end: char| end.is_ascii_digit()) {
                    continue;
                }
                let known = ROWS.iter().any(|(id, ..)| id.eq_ignore_ascii_case(&row));
                assert!(known, "{} cites {row}", file.display());
                cited += 1;
            }
        }
    }
    assert!(cited >= 10, "only {cited} citations found");
}

/// Sources and documents in a folder, without what the build made.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs" || end == "md") {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Tests beside the code stand in a module, those of a test program do not.
fn indent(file: &str) -> &'static str {
    if file.starts_with("tests/tests") { "" } else { "    " }
}
