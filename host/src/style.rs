//! In which order a host does what the interface leaves open: as this one likes it, or as Linux
//! with KVM does in one of its series.
//!
//! | What | ours | linux-v7 (RMI 1.0) | linux-v12 (RMI 1.0) | linux-2.0 |
//! | --- | --- | --- | --- | --- |
//! | RIPAS of RAM | first of all | first of all | last, after the pages that the guest boots from and the RECs: refused for each of those pages | as linux-v12 |
//! | memory is taken away | page after page | and each table that may have become uniform is folded, or refused | the same | the same |
//! | tear-down begins with | the RECs | the memory, 2 MiB at a time, with tables folded | the same | the same, and only then the Realm is terminated |
//! | tables go | from the deepest level up | from the top down: a table that is in use is refused, and those below it go first | the same | the same |
//!
//! Everything that is done for a style stands in [`crate::realm`], where it asks the methods here.

/// A style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostStyle {
    /// Ours: the fewest commands.
    #[default]
    Plain,
    /// Linux' series v5 to v8.
    LinuxV7,
    /// Linux' series v10 to v12.
    LinuxV12,
    /// Linux' series for RMI 2.0.
    LinuxV2,
}

impl HostStyle {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::LinuxV7, Self::LinuxV12, Self::LinuxV2];

    /// Its name, in the job text and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::LinuxV7 => "linux-v7",
            Self::LinuxV12 => "linux-v12",
            Self::LinuxV2 => "linux-2.0",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.name() == name)
    }

    /// Whether pages are copied into a Realm before its RAM is declared.
    #[must_use]
    pub const fn populates_first(self) -> bool {
        match self {
            Self::Plain | Self::LinuxV7 => false,
            Self::LinuxV12 | Self::LinuxV2 => true,
        }
    }

    /// Whether it is one of Linux': it folds tables when memory goes, and takes a Realm apart from
    /// its memory on and its tables from the top.
    #[must_use]
    pub const fn is_linux(self) -> bool {
        match self {
            Self::Plain => false,
            Self::LinuxV7 | Self::LinuxV12 | Self::LinuxV2 => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_has_a_name_of_its_own() {
        for style in HostStyle::ALL {
            assert_eq!(HostStyle::from_name(style.name()), Some(style));
        }
        assert_eq!(HostStyle::from_name("linux"), None);
    }
}
