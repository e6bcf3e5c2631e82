//! What stands at an address of the monitor: the function, and with debug information the line.

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::paths;

/// How the monitor's crash reports write an address: the distance from the start of its image, in
/// hexadecimal.
const IN_IMAGE: &str = "image+0x";

/// A function of the monitor.
#[derive(Debug)]
pub(crate) struct Function {
    /// Where it begins, counted from the start of the image.
    pub start: u64,
    /// Its name, readable.
    pub name: String,
}

/// The monitor's functions by address.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    sorted: Vec<Function>,
    /// Where the last one ends at the latest: the end of the code.
    end: u64,
}

impl Functions {
    /// Those of an ELF file.
    ///
    /// # Errors
    ///
    /// It is no ELF file.
    pub(crate) fn read(elf: &[u8]) -> anyhow::Result<Self> {
        let object = object::File::parse(elf).context("the monitor is not an ELF file")?;
        let mut sorted: Vec<Function> = object
            .symbols()
            // Assembly has labels instead of functions; local ones begin with a dot or a dollar
            // sign.
            .filter(|symbol| {
                matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label)
            })
            .filter(|symbol| symbol.section_index().is_some())
            .filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?)))
            .filter(|(_, name)| !name.is_empty() && !name.starts_with(['.', '$']))
            .map(|(start, name)| Function {
                start,
                name: format!("{:#}", rustc_demangle::demangle(name)),
            })
            .collect();
        sorted.sort_by_key(|function| function.start);
        let code = object.sections().filter(|section| section.kind() == object::SectionKind::Text);
        let end = code.map(|section| section.address() + section.size()).max().unwrap_or(0);
        Ok(Self { sorted, end })
    }

    /// Functions that begin at these addresses.
    #[cfg(test)]
    pub(crate) fn of_names(names: &[(u64, &str)], end: u64) -> Self {
        let function = |&(start, name): &(u64, &str)| Function { start, name: name.to_owned() };
        Self { sorted: names.iter().map(function).collect(), end }
    }

    /// Where the one begins whose name ends so.
    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        self.sorted.iter().find(|function| function.name.ends_with(name)).map(|found| found.start)
    }

    /// Where those begin whose path is `name`, or ends with it.
    pub(crate) fn all_named(&self, name: &str) -> Vec<u64> {
        let is_it = |path: &str| {
            path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
        };
        let found = self.sorted.iter().filter(|function| is_it(&function.name));
        found.map(|function| function.start).collect()
    }

    /// The one that `address` belongs to.
    pub(crate) fn of(&self, address: u64) -> Option<&Function> {
        if address >= self.end {
            return None;
        }
        let after = self.sorted.partition_point(|function| function.start <= address);
        self.sorted.get(after.checked_sub(1)?)
    }
}

/// Functions and lines of one monitor.
#[derive(Debug)]
pub(crate) struct Symbols {
    functions: Functions,
    /// Where the lines are. Read when they are wanted, which is once, when the monitor has crashed.
    elf: Vec<u8>,
}

impl Symbols {
    /// Those of an ELF file.
    ///
    /// # Errors
    ///
    /// It is no ELF file.
    pub(crate) fn read(elf: &[u8]) -> anyhow::Result<Self> {
        Ok(Self { functions: Functions::read(elf)?, elf: elf.to_vec() })
    }

    /// `text` with each address of the monitor's code in it explained: `image+0x95ac: function+0x9c
    /// (file:line)`.
    pub(crate) fn explain(&self, text: &str) -> String {
        let mut parts = text.split(IN_IMAGE);
        let mut explained = parts.next().unwrap_or_default().to_owned();
        let mut before = explained.clone();
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(digits);
            explained.push_str(IN_IMAGE);
            explained.push_str(number);
            // What was called from somewhere goes on behind the call, which may be another line or
            // function already.
            let back = u64::from(!before.ends_with("PC "));
            if let Ok(address) = u64::from_str_radix(number, 16)
                && let Some(place) = self.place(address, back)
            {
                explained.push_str(&format!(": {place}"));
            }
            explained.push_str(rest);
            rest.clone_into(&mut before);
        }
        explained
    }

    /// What stands `back` bytes before `address`, if that is in the monitor's code.
    fn place(&self, address: u64, back: u64) -> Option<String> {
        let at = address.checked_sub(back)?;
        let function = self.functions.of(at)?;
        let mut place = format!("{}+{:#x}", function.name, address - function.start);
        if let Some(line) = self.line(at) {
            place.push_str(&format!(" ({line})"));
        }
        Some(place)
    }

    /// File and line, the file relative to the checkout if it is in there; `None` without debug
    /// information.
    fn line(&self, address: u64) -> Option<String> {
        let object = object::File::parse(self.elf.as_slice()).ok()?;
        let section = |id: SectionId| -> Result<_, addr2line::gimli::Error> {
            let data = object.section_by_name(id.name()).and_then(|found| found.data().ok());
            Ok(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
        };
        let lines = Dwarf::load(section).and_then(addr2line::Context::from_dwarf).ok()?;
        let location = lines.find_location(address).ok().flatten()?;
        let root = format!("{}/", paths::root().display());
        let file = location.file?;
        let file = file.strip_prefix(root.as_str()).unwrap_or(file);
        Some(format!("{file}:{}", location.line?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        let functions = Functions::of_names(&[(0, "entry"), (0x40, "work")], 0x80);
        Symbols { functions, elf: Vec::new() }
    }

    #[test]
    fn addresses_of_a_report_get_names() {
        let explained = |text: &str| symbols().explain(text);
        assert_eq!(explained("  PC image+0x40, SP 0x1"), "  PC image+0x40: work+0x0, SP 0x1");
        // A return address right behind a function's last call belongs to the function before.
        assert_eq!(explained("  #3 image+0x40"), "  #3 image+0x40: entry+0x40");
        assert_eq!(explained("  called from image+0x54"), "  called from image+0x54: work+0x14");
    }

    #[test]
    fn what_is_not_in_the_image_stays_as_it_is() {
        for text in [
            "  PC image+0xffffffffbff01000, SP 0x1",
            "PC image+0x80",
            "image+0x81",
            "image+0x",
            "",
            "#0",
        ] {
            assert_eq!(symbols().explain(text), text);
        }
    }

    /// The tool's own ELF file, which has functions and lines: this test's own are among them.
    #[test]
    fn lines_come_from_debug_information() {
        let elf = std::fs::read("/proc/self/exe").unwrap();
        let symbols = Symbols::read(&elf).unwrap();
        let name = "symbols::tests::lines_come_from_debug_information";
        let mut own = symbols.functions.sorted.iter().filter(|f| f.name.ends_with(name));
        let own = own.next().expect("the test is in its own program");
        let text = symbols.explain(&format!("PC image+{:#x}", own.start));
        assert!(text.contains(&format!("{name}+0x0 (tools/src/symbols.rs:")), "{text}");
        assert!(Symbols::read(b"no ELF").is_err());
    }
}
