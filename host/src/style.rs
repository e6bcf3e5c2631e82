//! In which order a host does what the interface leaves open: as this one likes it, or as Linux
//! with KVM does in one of its series.
//!
//! | What | ours and linux-v7 | linux-v12 and linux-2.0 |
//! | --- | --- | --- |
//! | RIPAS of RAM | declared first of all | last, after pages and RECs |
//! | its refusals | none | one for each page that is there already |
//!
//! | What | ours | those of Linux |
//! | --- | --- | --- |
//! | memory is taken away | page after page | and its tables are folded, if they are uniform |
//! | a Realm's end begins with | RECs (2.0: termination) | its memory, 2 MiB at a time |
//! | tables go | from the deepest level up | from the top down, those below when refused |
//!
//! linux-v7 and linux-v12 speak RMI 1.0, linux-2.0 speaks 2.0.
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
