//! The host's disk and network card, as QEMU's arguments: virtio devices on the PCI bus.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cli::HostOptions;
use crate::fault::IoContext;

/// How a qcow2 file begins.
///
/// Source: QEMU, `docs/interop/qcow2.rst`, "Header".
const QCOW2: &[u8] = b"QFI\xfb";

/// QEMU's arguments for these devices.
pub(super) fn arguments(options: &HostOptions) -> anyhow::Result<Vec<String>> {
    let mut arguments = Vec::new();
    if let Some(file) = &options.host_disk {
        let name = file.display().to_string().replace(',', ",,");
        let format = format(file)?;
        let drive = format!("if=none,id=disk,format={format},file={name}");
        arguments.extend(["-drive".to_owned(), drive]);
        arguments.extend(["-device", "virtio-blk-pci,drive=disk"].map(str::to_owned));
    }
    if options.host_net {
        // The card's boot ROM is in a package of its own, and nobody boots from there.
        let words = ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="];
        arguments.extend(words.map(str::to_owned));
    }
    Ok(arguments)
}

/// QEMU is told the format: were it to guess, a host could write another one's header into a raw
/// disk.
fn format(file: &Path) -> anyhow::Result<&'static str> {
    let mut beginning = Vec::new();
    let opened = File::open(file).at("read", file)?;
    opened.take(4).read_to_end(&mut beginning).at("read", file)?;
    Ok(if beginning == QCOW2 { "qcow2" } else { "raw" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_there_only_if_they_are_wanted() {
        assert!(arguments(&HostOptions::default()).unwrap().is_empty());
        let file = std::env::temp_dir().join(format!("cairn-disk,{}", std::process::id()));
        let options =
            HostOptions { host_disk: Some(file.clone()), host_net: true, ..HostOptions::default() };
        for (content, format) in [(&b"QFI\xfb\0\0"[..], "qcow2"), (b"QF", "raw"), (b"", "raw")] {
            std::fs::write(&file, content).unwrap();
            let words = arguments(&options).unwrap();
            assert!(words[1].contains(&format!("format={format},file=")), "{words:?}");
            assert!(words[1].contains("cairn-disk,,"), "{words:?}");
            assert!(words.iter().any(|word| word.contains("virtio-net-pci")));
        }
        std::fs::remove_file(file).unwrap();
    }
}
