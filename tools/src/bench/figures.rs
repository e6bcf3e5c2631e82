//! Instruction counts: those measured, those committed, and the bars.

use std::fmt::Write;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// An operation and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    name: String,
    instructions: u64,
}

impl Figure {
    /// The operation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it costs.
    pub const fn instructions(&self) -> u64 {
        self.instructions
    }

    /// For tests.
    #[cfg(test)]
    pub fn new(name: &str, instructions: u64) -> Self {
        Self { name: name.to_owned(), instructions }
    }
}

/// What an operation should cost at most, and what it costs in the reference monitor (TF-RMM, best build, same method).
struct Bar {
    name: &'static str,
    reference: Option<u64>,
    bar: u64,
}

const fn bar(name: &'static str, reference: u64, bar: u64) -> Bar {
    Bar { name, reference: Some(reference), bar }
}

const fn unmeasured(name: &'static str, bar: u64) -> Bar {
    Bar { name, reference: None, bar }
}

/// In the order of the table. Rows without a bar come last.
const BARS: &[Bar] = &[
    bar("rmi_version", 1_212, 1_190),
    bar("granule_delegate", 2_796, 2_200),
    bar("granule_undelegate", 2_240, 2_350),
    bar("data_create_measured", 24_438, 10_000),
    bar("data_create_unmeasured", 8_335, 2_600),
    bar("data_create_unknown", 2_955, 1_800),
    bar("data_destroy", 3_262, 2_000),
    bar("rtt_create_l3", 3_376, 2_000),
    bar("rtt_unfold_2m", 5_298, 3_200),
    bar("rtt_fold_512", 12_767, 3_200),
    bar("rtt_destroy_l3", 9_088, 2_500),
    bar("rtt_destroy_l3_live", 9_092, 2_400),
    unmeasured("rtt_destroy_l0_lpa2", 2_500),
    bar("rtt_read_entry", 2_527, 1_500),
    bar("rtt_map_unprotected", 2_296, 1_600),
    bar("rtt_unmap_unprotected", 8_426, 2_600),
    bar("rtt_unmap_unprotected_live", 8_430, 2_300),
    bar("init_ripas_per_page", 2_330, 700),
    bar("realm_create", 22_176, 12_000),
    bar("realm_activate", 1_520, 1_400),
    bar("rec_create", 29_163, 12_000),
    bar("rec_destroy", 11_361, 4_000),
    bar("rec_enter_host_call", 13_633, 3_000),
    bar("rec_enter_abort", 9_964, 2_900),
    bar("rsi_version", 282, 150),
    bar("rsi_ipa_state_get", 1_359, 500),
    bar("rsi_measurement_extend", 2_701, 1_400),
    unmeasured("set_ripas_1g_2m_blocks", 20_000),
    unmeasured("set_ripas_1g_1g_block", 5_000),
    bar("attest_token_init", 14_459, 7_000),
    bar("attest_token", 20_534_911, 4_000_000),
    unmeasured("attest_slice", 50_000),
    // 0.85 of `populate_from_copy`.
    unmeasured("populate_in_place", 10_109),
];

/// Growth that fails the check, in hundredths.
const GROWTH_PERCENT: u64 = 2;

/// Figures, in the order of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Puts what was measured in order.
    pub fn new(mut figures: Vec<Figure>) -> Self {
        let place = |figure: &Figure| BARS.iter().position(|bar| bar.name == figure.name);
        figures.sort_by_key(|figure| place(figure).unwrap_or(usize::MAX));
        Self(figures)
    }

    /// Reads what [`Figures::json`] wrote.
    pub fn parse(json: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(json).map(Self).context("the committed figures cannot be read")
    }

    /// An array of objects with `name` and `instructions`, one per line.
    pub fn json(&self) -> String {
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|Figure { name, instructions }| {
                format!("  {{\"name\": \"{name}\", \"instructions\": {instructions}}}")
            })
            .collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    /// What an operation costs.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|figure| figure.name == name).map(|figure| figure.instructions)
    }

    /// What they are about, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Figure::name)
    }

    /// One line per operation: measured, committed, change, reference, bar.
    pub fn table(&self, before: &Self) -> String {
        let mut table = format!(
            "{:<26} {:>12} {:>12} {:>8} {:>12} {:>10}\n",
            "operation", "instructions", "committed", "change", "reference", "bar"
        );
        for Figure { name, instructions } in &self.0 {
            let bar = BARS.iter().find(|bar| bar.name == name);
            let shown = |figure: Option<u64>| figure.map_or_else(String::new, |n| n.to_string());
            let old = before.get(name);
            let change = old.map_or_else(|| "new".to_owned(), |old| change(*instructions, old));
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{name:<26} {instructions:>12} {:>12} {change:>8} {:>12} {:>10}",
                shown(old),
                shown(bar.and_then(|bar| bar.reference)),
                shown(bar.map(|bar| bar.bar)),
            );
        }
        table
    }

    /// The operations that cost more than they should.
    pub fn misses(&self) -> Vec<String> {
        let over = |bar: &Bar| match self.get(bar.name) {
            Some(cost) if cost > bar.bar => Some(format!("{}: {cost}, bar {}", bar.name, bar.bar)),
            _ => None,
        };
        BARS.iter().filter_map(over).collect()
    }

    /// What has become worse than what is committed.
    pub fn problems(&self, before: &Self) -> Vec<String> {
        let worse = |old: &Figure| match self.get(&old.name) {
            None => Some(format!("{} was not measured", old.name)),
            Some(new) if new * 100 > old.instructions * (100 + GROWTH_PERCENT) => {
                Some(format!("{} grew from {} to {new}", old.name, old.instructions))
            }
            Some(_) => None,
        };
        before.0.iter().filter_map(worse).collect()
    }
}

/// A change in tenths of a percent.
fn change(new: u64, old: u64) -> String {
    let tenths = |difference: u64| difference * 1000 / old.max(1);
    let (sign, tenths) =
        if new >= old { ('+', tenths(new - old)) } else { ('-', tenths(old - new)) };
    format!("{sign}{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_a_round_trip() {
        let figures = Figures::new(vec![Figure::new("other", 3), Figure::new("rmi_version", 1)]);
        assert_eq!(figures.0[0].name, "rmi_version");
        assert_eq!(Figures::parse(figures.json().as_bytes()).unwrap(), figures);
    }

    #[test]
    fn growth_beyond_the_limit_and_missing_rows_are_problems() {
        let before = Figures::new(vec![Figure::new("a", 1000), Figure::new("b", 10)]);
        let same = Figures::new(vec![Figure::new("a", 1020), Figure::new("b", 1)]);
        assert!(same.problems(&before).is_empty());
        let worse = Figures::new(vec![Figure::new("a", 1021)]);
        assert_eq!(worse.problems(&before), ["a grew from 1000 to 1021", "b was not measured"]);
    }

    #[test]
    fn bars_are_told() {
        let figures = Figures::new(vec![Figure::new("rsi_version", 151)]);
        assert_eq!(figures.misses(), ["rsi_version: 151, bar 150"]);
        assert!(figures.table(&Figures(Vec::new())).contains("new"));
    }

    #[test]
    fn changes_have_one_decimal() {
        assert_eq!(change(1010, 1000), "+1.0%");
        assert_eq!(change(985, 1000), "-1.5%");
    }
}
