//! Whether a file is a kernel that can be started as a Realm, known before anything is built or
//! booted.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, bail};
use memchr::memmem;

use crate::fault::IoContext;
use crate::paths::check_regular;

/// The first Linux, major and minor, that can be a Realm: it has arch/arm64/kernel/rsi.c.
const LEAST: (u32, u32) = (6, 13);

/// What Linux says when it finds that it is a Realm; the text is in each Image that can be one.
///
/// Source: Linux, `arch/arm64/kernel/rsi.c`, `rsi_version_matches`.
const RSI: &[u8] = b"Using RSI version";

/// What comes before the version in the first line that Linux prints.
const BANNER: &[u8] = b"Linux version ";

/// A version is no longer than this, in bytes (`__NEW_UTS_LEN` of Linux).
const LONGEST_VERSION: usize = 64;

/// An Image is searched up to here, in bytes: more than twice the size of Debian's.
const LONGEST_SEARCH: u64 = 128 << 20;

/// How much of it is searched at a time, in bytes.
const PIECE: usize = 1 << 20;

/// What may be wrong with a guest that says nothing: not every kernel can be known by its Image.
pub(crate) const SILENT: &str = "the guest has said nothing since it was started; its kernel may be one that cannot be a Realm \
    (Linux can from 6.13 on); how to see a kernel's first words is in docs/debugging.md (earlycon)";

/// Checks that the file at `path` is an arm64 kernel that can be started as it is, and as a Realm.
///
/// # Errors
///
/// It cannot be read, is something else, or is a Linux that cannot be a Realm.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    let mut header = Vec::new();
    check_regular(path)?;
    let mut file = File::open(path).at("read", path)?;
    file.by_ref().take(64).read_to_end(&mut header).at("read", path)?;
    check_header(&header).with_context(|| format!("{} is not an arm64 Image", path.display()))?;
    let traits = Traits::read(file.take(LONGEST_SEARCH)).at("read", path)?;
    check_traits(&traits).with_context(|| format!("{} cannot be a Realm", path.display()))
}

/// What the header of an arm64 Image says of its place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    /// Distance of its first byte from a multiple of 2 MiB.
    pub text_offset: u64,
    /// Bytes of memory that it needs from its first byte on, more than the file has.
    pub size: u64,
}

impl Image {
    /// Reads the header of the Image at `path`, which need not be Linux.
    ///
    /// Source: Linux, `Documentation/arch/arm64/booting.rst`, "Call the kernel image":
    /// `text_offset` at byte 8, `image_size` at byte 16; where that is zero, `text_offset` is
    /// 0x80000.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is something else.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        check_regular(path)?;
        let mut header = Vec::new();
        let file = File::open(path).at("read", path)?;
        let length = file.metadata().at("read", path)?.len();
        file.take(64).read_to_end(&mut header).at("read", path)?;
        check_header(&header)
            .with_context(|| format!("{} is not an arm64 Image", path.display()))?;
        Ok(Self::of(&header, length))
    }

    /// The same for a header that has been checked, of a file of so many bytes.
    fn of(header: &[u8], length: u64) -> Self {
        let word = |at: usize| {
            let bytes = header.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        match word(16) {
            0 => Self { text_offset: 0x8_0000, size: length },
            size => Self { text_offset: word(8), size: size.max(length) },
        }
    }
}

/// Checks the header of an arm64 Image.
///
/// Source: Linux, `Documentation/arch/arm64/booting.rst`: magic `ARM\x64` at byte 56.
fn check_header(bytes: &[u8]) -> anyhow::Result<()> {
    if bytes.get(0x38..0x3c) == Some(b"ARM\x64") {
        return Ok(());
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bail!("it is compressed with gzip; unpack it with `gunzip` first");
    }
    if bytes.get(4..8) == Some(b"zimg") {
        bail!(
            "it is an EFI image that unpacks itself; build the kernel's `Image` target and pass that"
        );
    }
    if bytes.starts_with(b"\x7fELF") {
        bail!("it is an ELF file (vmlinux?); pass arch/arm64/boot/Image");
    }
    bail!("it has no `ARM\\x64` mark at byte 56; pass arch/arm64/boot/Image of an arm64 kernel")
}

/// What tells whether an Image can be a Realm.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traits {
    /// It knows the Realm Services Interface.
    has_rsi: bool,
    /// What `uname -r` says, if it is Linux.
    version: Option<String>,
}

impl Traits {
    /// Looks through an Image, from behind its header on.
    fn read(mut image: impl Read) -> std::io::Result<Self> {
        let mut traits = Self::default();
        let mut piece = vec![0; PIECE];
        // What the search before may have cut in two is searched again.
        let overlap = BANNER.len().max(RSI.len()) + LONGEST_VERSION;
        let mut kept = 0;
        loop {
            let count = match image.read(piece.get_mut(kept..).unwrap_or_default()) {
                Ok(0) => return Ok(traits),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
            let filled = kept + count;
            traits.search(piece.get(..filled).unwrap_or_default());
            if traits.has_rsi {
                return Ok(traits);
            }
            kept = filled.min(overlap);
            piece.copy_within(filled - kept..filled, 0);
        }
    }

    fn search(&mut self, piece: &[u8]) {
        self.has_rsi |= memmem::find(piece, RSI).is_some();
        let versions = memmem::find_iter(piece, BANNER).filter_map(|at| {
            let rest = piece.get(at + BANNER.len()..)?;
            let end = rest.iter().take(LONGEST_VERSION).position(u8::is_ascii_whitespace)?;
            let version = String::from_utf8_lossy(rest.get(..end)?).into_owned();
            // The text from which the line is made has `%s` in this place.
            version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
        });
        if self.version.is_none() {
            self.version = versions.into_iter().next();
        }
    }
}

/// Refuses a Linux that is too old and has not been taught by somebody else. What is not Linux may
/// know what it does; so may a newer Linux that lacks the text, because it was built without
/// messages.
fn check_traits(traits: &Traits) -> anyhow::Result<()> {
    let Some(version) = &traits.version else { return Ok(()) };
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return Ok(()) };
    if traits.has_rsi || (major, minor) >= LEAST {
        return Ok(());
    }
    bail!(
        "Linux {version} does not know the Realm Services Interface (RSI); take Linux {}.{} or later, or leave --kernel \
         out for Debian's",
        LEAST.0,
        LEAST.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Image with these texts, far apart, and its length.
    fn image(texts: &[&str]) -> Vec<u8> {
        let mut image = vec![0; 0x38];
        image.extend(b"ARM\x64");
        for text in texts {
            image.resize(image.len() + PIECE, 0x5a);
            image.extend(text.bytes());
            image.push(0);
        }
        image
    }

    fn verdict(name: &str, image: &[u8]) -> Result<(), String> {
        let name = format!("cairn-kernel-{name}-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, image).unwrap();
        let verdict = check(&file).map_err(|error| format!("{error:#}"));
        std::fs::remove_file(file).unwrap();
        verdict
    }

    const FORMAT: &str = "Linux version %s (%s)";
    const USING: &str = "RME: Using RSI version %lu.%lu\n";

    #[test]
    fn a_linux_that_cannot_be_a_realm_is_told_so() {
        for (version, number) in [("6.1.0-37-arm64", "6.1.0-37-arm64"), ("5.10.0", "5.10.0")] {
            let banner = format!("Linux version {version} (debian-kernel@lists.debian.org)");
            let why = verdict("old", &image(&[FORMAT, &banner])).unwrap_err();
            assert!(why.contains(&format!("cannot be a Realm: Linux {number} does not")), "{why}");
            assert!(why.contains("take Linux 6.13 or later"), "{why}");
            // A distribution may have taught it.
            assert_eq!(verdict("taught", &image(&[FORMAT, &banner, USING])), Ok(()));
        }
    }

    #[test]
    fn a_new_linux_and_what_is_not_linux_are_started() {
        for version in ["6.13-rc1", "6.13.0", "6.20.1-arm64", "7.3.4+deb13-arm64"] {
            let banner = format!("Linux version {version} (x)");
            assert_eq!(verdict("new", &image(&[FORMAT, &banner])), Ok(()), "{version}");
        }
        for other in [&[][..], &[FORMAT], &["Linux version x.y (z)"], &["Linux version 6"]] {
            assert_eq!(verdict("other", &image(other)), Ok(()));
        }
    }

    #[test]
    fn the_sentence_about_silence_names_the_same_version() {
        assert!(SILENT.contains(&format!("from {}.{} on", LEAST.0, LEAST.1)));
    }

    #[test]
    fn texts_are_found_wherever_they_are() {
        let banner = b"Linux version 6.1.0 (x)";
        for before in PIECE - 64 - 2 * banner.len()..PIECE + 2 {
            let bytes = [&vec![0; before][..], banner].concat();
            let version = Some("6.1.0".to_owned());
            assert_eq!(Traits::read(&bytes[..]).unwrap(), Traits { has_rsi: false, version });
        }
    }

    #[test]
    fn a_kernel_is_a_file_and_not_read_whole() {
        let text = |path: &str| check(Path::new(path)).unwrap_err().to_string();
        assert!(text("/dev/zero").contains("/dev/zero is not a regular file"));
        let file = std::env::temp_dir().join(format!("cairn-kernel-{}", std::process::id()));
        std::fs::write(&file, image(&[])).unwrap();
        // A hole of 1 TiB behind the header.
        File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
        assert!(check(&file).is_ok());
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn the_header_says_how_much_memory_a_kernel_needs() {
        let mut header = image(&[]);
        let old = Image { text_offset: 0x8_0000, size: 100 };
        assert_eq!(Image::of(&header, 100), old);
        header[16..24].copy_from_slice(&0x324_0000_u64.to_le_bytes());
        assert_eq!(Image::of(&header, 100), Image { text_offset: 0, size: 0x324_0000 });
        assert!(Image::read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn headers_are_told_apart() {
        assert!(check_header(&image(&[])).is_ok());
        let says = |bytes: &[u8], text: &str| {
            let error = check_header(bytes).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        says(&[0x1f, 0x8b, 8, 0], "gunzip");
        says(b"MZ\0\0zimg0000", "Image` target");
        says(b"\x7fELF\x02", "vmlinux");
        says(b"", "no `ARM");
        says(&[0; 0x3b], "no `ARM");
    }
}
