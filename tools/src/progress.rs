//! One line per long operation: a bar while it runs on a terminal, a plain line everywhere, the
//! time at the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

const GREEN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const DIM: Style = Style::new().dimmed();

/// A running operation. Dropping it without [`Progress::done`] removes its bar.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    label: String,
    started: Instant,
}

impl Progress {
    /// Starts an operation whose length is not known yet.
    pub(crate) fn start(label: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(100);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("  {label} ...");
        }
        Self { bar, label: label.to_owned(), started: Instant::now() }
    }

    /// Shows `percent` (0 to 100) of the work as done.
    pub(crate) fn percent(&self, percent: f64) {
        let Some(bar) = &self.bar else { return };
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos:>3}% {elapsed}")
        {
            bar.set_style(style);
        }
        let whole = (0..=100_u64)
            .rev()
            .find(|&step| f64::from(u8::try_from(step).unwrap_or(100)) <= percent);
        bar.set_position(whole.unwrap_or(0));
    }

    /// Says how far it is where there is no bar.
    pub(crate) fn line(&self, text: &str) {
        if self.bar.is_none() {
            eprintln!("  {text}");
        }
    }

    /// Ends the operation and prints what came out of it.
    pub(crate) fn done(mut self, result: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let arrow = if result.is_empty() { "" } else { ": " };
        anstream::eprintln!(
            "{GREEN}✓{GREEN:#} {}{arrow}{result} {DIM}({seconds:.1} s){DIM:#}",
            self.label
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Prints a fact that took no time.
pub(crate) fn fact(text: &str) {
    anstream::eprintln!("{GREEN}✓{GREEN:#} {text}");
}
