//! Instruction counts: those measured, those committed, and what is said of them.

use std::fmt::Write;

use anyhow::Context;
use serde::Deserialize;

use super::bars::{Bar, Bars};

/// An operation and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Figure {
    name: String,
    instructions: u64,
    /// The monitor's part: without EL3's, that of the changes between the worlds included.
    #[serde(default)]
    own: Option<u64>,
    /// Calls of the host.
    #[serde(default)]
    smcs: Option<u64>,
    /// Calls of the monitor to EL3.
    #[serde(default)]
    el3_calls: Option<u64>,
}

impl Figure {
    /// The operation.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it costs.
    pub(super) const fn instructions(&self) -> u64 {
        self.instructions
    }

    /// Calls of the host that are part of it.
    pub(super) fn smcs(&self) -> u64 {
        self.smcs.unwrap_or(1)
    }

    /// What it would cost under TF-A main, where the monitor's own part is known: an EL3 of its own
    /// is no measure for another.
    pub(super) fn under_tf_a(&self) -> Option<u64> {
        /// Instructions of TF-A main for a call of the host, and for a granule that changes worlds.
        const SWITCH: u64 = 1_100;
        const CHANGE: u64 = 950;
        Some(self.own? + SWITCH * self.smcs? + CHANGE * self.el3_calls?)
    }

    /// What the figure is watched by: EL3's part is not the monitor's.
    fn watched(&self) -> u64 {
        self.own.unwrap_or(self.instructions)
    }

    /// For tests.
    #[cfg(test)]
    pub(super) fn new(name: &str, instructions: u64) -> Self {
        Self { name: name.to_owned(), instructions, own: None, smcs: None, el3_calls: None }
    }
}

/// Growth that fails the check, in hundredths.
const GROWTH_PERCENT: u64 = 2;

/// Figures, in the order of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figures(Vec<Figure>);

impl Figures {
    /// Puts what was measured in order.
    pub(super) fn new(mut figures: Vec<Figure>, bars: Bars) -> Self {
        let place = |figure: &Figure| bars.0.iter().position(|bar| bar.name == figure.name);
        figures.sort_by_key(|figure| place(figure).unwrap_or(usize::MAX));
        Self(figures)
    }

    /// Reads what [`Figures::json`] wrote.
    pub(super) fn parse(json: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(json).map(Self).context("the committed figures cannot be read")
    }

    /// An array of objects with `name`, `instructions`, and what else is known, one per line.
    pub(super) fn json(&self) -> String {
        let line = |figure: &Figure| {
            let Figure { name, instructions, own, smcs, el3_calls } = figure;
            // EL3's calls belong to the monitor's part: they are known together.
            let more =
                own.zip(*smcs).zip(*el3_calls).map_or_else(String::new, |((own, smcs), el3)| {
                    format!(", \"own\": {own}, \"smcs\": {smcs}, \"el3_calls\": {el3}")
                });
            format!("  {{\"name\": \"{name}\", \"instructions\": {instructions}{more}}}")
        };
        let lines: Vec<String> = self.0.iter().map(line).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    /// What an operation costs.
    pub(super) fn get(&self, name: &str) -> Option<&Figure> {
        self.0.iter().find(|figure| figure.name == name)
    }

    /// What they are about, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Figure::name)
    }

    /// One line per operation: measured, committed, change, reference, bar; where the monitor's own
    /// part is known, that and the calls as well, and the change is of that part.
    pub(super) fn table(&self, before: &Self, bars: Bars) -> String {
        let has_parts = self.0.iter().any(|figure| figure.own.is_some());
        let shown = |figure: Option<u64>| figure.map_or_else(String::new, |n| n.to_string());
        let parts = |columns: [String; 4]| match (has_parts, columns) {
            (true, [own, smcs, calls, tf_a]) => {
                format!(" {own:>11} {smcs:>5} {calls:>7} {tf_a:>11}")
            }
            (false, _) => String::new(),
        };
        let titles = ["own", "SMCs", "to EL3", "under TF-A"].map(str::to_owned);
        let mut table = format!(
            "{:<28} {:>12}{} {:>12} {:>8} {:>12} {}\n",
            "operation",
            "instructions",
            parts(titles),
            "committed",
            "change",
            "reference",
            "bar"
        );
        for figure in &self.0 {
            let Figure { name, instructions, own, smcs, el3_calls } = figure;
            let bar = bars.of(name);
            let old = before.get(name).map(Figure::watched);
            let change = old.map_or_else(|| "new".to_owned(), |old| change(figure.watched(), old));
            let columns = [*own, *smcs, *el3_calls, figure.under_tf_a()].map(shown);
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{name:<28} {instructions:>12}{} {:>12} {change:>8} {:>12} {}",
                parts(columns),
                shown(old),
                shown(bar.and_then(|bar| bar.reference)),
                bar.map_or_else(String::new, Bar::text),
            );
        }
        table
    }

    /// The operations that cost more than they should.
    pub(super) fn misses(&self, bars: Bars) -> Vec<String> {
        let over = |bar: &Bar| {
            let figure = self.get(bar.name)?;
            let instructions = figure.under_tf_a().unwrap_or(figure.instructions);
            let missed: Vec<String> = [
                ("instructions", Some(instructions), bar.instructions),
                ("own", figure.own, bar.own),
                ("SMCs", figure.smcs, bar.smcs),
            ]
            .into_iter()
            .filter_map(|(what, cost, most)| {
                let (cost, most) = (cost?, most?);
                (cost > most).then(|| format!("{cost} {what}, bar {most}"))
            })
            .collect();
            (!missed.is_empty()).then(|| format!("{}: {}", bar.name, missed.join("; ")))
        };
        bars.0.iter().filter_map(over).collect()
    }

    /// What has become worse than what is committed.
    pub(super) fn problems(&self, before: &Self) -> Vec<String> {
        let worse = |old: &Figure| {
            let name = &old.name;
            let Some(new) = self.get(name) else { return Some(format!("{name} was not measured")) };
            let (was, is) = (old.watched(), new.watched());
            if let (Some(is), Some(was)) = (new.smcs, old.smcs)
                && is > was
            {
                return Some(format!("{name} takes {is} calls, not {was}"));
            }
            let grew = is * 100 > was * (100 + GROWTH_PERCENT);
            grew.then(|| format!("{name} grew from {was} to {is}"))
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

    const NONE: Bars = Bars(&[]);

    fn parts(name: &str, own: u64, smcs: u64, el3_calls: u64) -> Figure {
        let (own, smcs, el3_calls) = (Some(own), Some(smcs), Some(el3_calls));
        Figure { own, smcs, el3_calls, ..Figure::new(name, 5_000) }
    }

    #[test]
    fn json_survives_a_round_trip() {
        let bars = const { Bars(&[Bar::of("rmi_version", 1, 1)]) };
        let rows = vec![Figure::new("other", 3), Figure::new("rmi_version", 1)];
        let figures = Figures::new(rows, bars);
        assert_eq!(figures.0[0].name, "rmi_version");
        assert_eq!(Figures::parse(figures.json().as_bytes()).unwrap(), figures);
        let figures = Figures::new(vec![parts("a", 4, 1, 0)], bars);
        assert_eq!(Figures::parse(figures.json().as_bytes()).unwrap(), figures);
    }

    #[test]
    fn growth_beyond_the_limit_and_missing_rows_are_problems() {
        let before = Figures::new(vec![Figure::new("a", 1000), Figure::new("b", 10)], NONE);
        let same = Figures::new(vec![Figure::new("a", 1020), Figure::new("b", 1)], NONE);
        assert!(same.problems(&before).is_empty());
        let worse = Figures::new(vec![Figure::new("a", 1021)], NONE);
        assert_eq!(worse.problems(&before), ["a grew from 1000 to 1021", "b was not measured"]);
    }

    #[test]
    fn of_a_figure_with_parts_only_the_monitors_own_can_grow() {
        let figures = |figure| Figures::new(vec![figure], NONE);
        let before = figures(parts("a", 1000, 2, 1));
        let slower_el3 = Figure { instructions: 9_000, ..parts("a", 1000, 2, 9) };
        assert!(figures(slower_el3).problems(&before).is_empty());
        let worse = figures(parts("a", 1021, 2, 1)).problems(&before);
        assert_eq!(worse, ["a grew from 1000 to 1021"]);
        let more = figures(parts("a", 1000, 3, 1)).problems(&before);
        assert_eq!(more, ["a takes 3 calls, not 2"]);
    }

    #[test]
    fn bars_are_told() {
        let bars = const { Bars(&[Bar::of("rsi_version", 282, 150)]) };
        let figures = Figures::new(vec![Figure::new("rsi_version", 151)], bars);
        assert_eq!(figures.misses(bars), ["rsi_version: 151 instructions, bar 150"]);
        assert!(figures.table(&Figures(Vec::new()), bars).contains("new"));
    }

    #[test]
    fn bars_of_parts_are_those_under_tf_a() {
        let bars =
            const { Bars(&[Bar { own: Some(99), smcs: Some(1), ..Bar::of("a", 9, 3_250) }]) };
        let figures = |figure| Figures::new(vec![figure], bars);
        assert!(figures(parts("a", 99, 1, 2)).misses(bars).is_empty());
        let missed = figures(parts("a", 100, 2, 2)).misses(bars);
        let told = "a: 4200 instructions, bar 3250; 100 own, bar 99; 2 SMCs, bar 1";
        assert_eq!(missed, [told]);
        let table = figures(parts("a", 99, 1, 2)).table(&Figures(Vec::new()), bars);
        assert!(table.contains("3099") && table.contains("3250, own 99, 1 SMCs"), "{table}");
    }

    #[test]
    fn changes_have_one_decimal() {
        assert_eq!(change(1010, 1000), "+1.0%");
        assert_eq!(change(985, 1000), "-1.5%");
    }
}
