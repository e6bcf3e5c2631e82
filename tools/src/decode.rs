//! `cargo xtask decode`: what came from a UART as text, the monitor's log among it.
//!
//! The bytes may have been saved by anything, from a machine that this tool has not started, and
//! the frames of the log may stand between any two bytes of another program's lines.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::cli::{DecodeOptions, LogLevel};
use crate::console::log::Decoder;
use crate::console::tap::{Said, Tap, Text};
use crate::fault::{IoContext, Verdict};
use crate::paths::read_limited;

/// A log is no larger than this, in bytes.
pub(crate) const LARGEST_LOG: usize = 512 << 20;

/// The `decode` subcommand.
pub(crate) fn command(options: &DecodeOptions) -> anyhow::Result<()> {
    let raw = read_limited(&options.file, LARGEST_LOG)?;
    let mut out = BufWriter::new(anstream::stdout());
    let messages = text(&raw, decoder(&options.elf)?, &mut |level, line| {
        if level.is_none_or(|level| level <= options.log) {
            writeln!(out, "{line}").context("cannot write the text")?;
        }
        Ok(())
    })?;
    out.flush().context("cannot write the text")?;
    if messages == 0 {
        let file = options.file.display();
        let sentence = format!(
            "{file} has no message of the monitor; is it what came from the UART, byte by byte?"
        );
        return Err(Verdict(sentence).into());
    }
    Ok(())
}

/// The whole log as `run` would have written it.
pub(crate) fn whole(raw: &[u8], elf: &Path) -> anyhow::Result<String> {
    let mut log = String::new();
    text(raw, decoder(elf)?, &mut |_, line| {
        log.push_str(line);
        log.push('\n');
        Ok(())
    })?;
    Ok(log)
}

/// What reads the log of the monitor with this ELF file.
fn decoder(elf: &Path) -> anyhow::Result<Decoder> {
    let bytes = std::fs::read(elf).at("read", elf)?;
    let decoder = Decoder::new(&bytes).with_context(|| format!("{}", elf.display()))?;
    decoder.with_context(|| format!("{} has no table of log messages", elf.display()))
}

/// Hands each line to `show`, the monitor's with their level, in the order in which they were
/// whole; returns how many of them were the monitor's.
fn text(
    raw: &[u8],
    decoder: Decoder,
    show: &mut dyn FnMut(Option<LogLevel>, &str) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut tap = Tap::new(Some(Arc::new(decoder)), Text::Guests);
    let mut messages = 0;
    for said in raw.iter().flat_map(|&byte| tap.hear(byte)).collect::<Vec<_>>() {
        match said {
            Said::Byte(_) => {}
            Said::Line(line) => show(None, &line)?,
            Said::Message(message) => {
                messages += 1;
                show(Some(message.level.unwrap_or(LogLevel::Error)), &message.plain())?;
            }
        }
    }
    tap.rest().map_or(Ok(()), |line| show(None, &line))?;
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_table_is_no_monitor() {
        let file = std::env::temp_dir().join(format!("cairn-decode-{}", std::process::id()));
        std::fs::write(&file, crate::image::tests::elf(0, &[(0, b"code")])).unwrap();
        let error = whole(b"", &file).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains("has no table of log messages"), "{error}");
        assert!(whole(b"", Path::new("/nonexistent")).is_err());
    }
}
