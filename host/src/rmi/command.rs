//! Commands of the Host to the monitor: number, name, and how many argument registers each has.
//!
//! Those here are the same in both versions of the interface; the others are in [`super::v1_0`] and
//! [`super::v2_0`].

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    number: u32,
    name: &'static str,
    argument_count: usize,
}

impl Command {
    /// A command with this SMC64 function identifier, the specification's name, and so many
    /// argument registers.
    #[must_use]
    pub const fn new(number: u32, name: &'static str, argument_count: usize) -> Self {
        Self { number, name, argument_count }
    }

    /// Its function identifier, as it stands in X0.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number as u64
    }

    /// The specification's name of the command.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// How many argument registers the command has, from X1 on.
    #[must_use]
    pub const fn argument_count(self) -> usize {
        self.argument_count
    }
}

/// Makes a constant of each row `number NAME arguments`; the command is called `RMI_NAME`.
macro_rules! commands {
    ($($number:literal $name:ident $arguments:literal;)*) => {
        $(
            #[doc = concat!("`RMI_", stringify!($name), "`.")]
            pub const $name: $crate::rmi::Command =
                $crate::rmi::Command::new($number, concat!("RMI_", stringify!($name)), $arguments);
        )*

        /// All of them, in ascending order of their numbers.
        pub const ALL: &[$crate::rmi::Command] = &[$($name),*];
    };
}
pub(super) use commands;

commands! {
    0xC400_0150 VERSION 1;
    0xC400_0157 REALM_ACTIVATE 1;
    0xC400_0158 REALM_CREATE 2;
    0xC400_0159 REALM_DESTROY 1;
    0xC400_015A REC_CREATE 3;
    0xC400_015B REC_DESTROY 1;
    0xC400_015C REC_ENTER 2;
    0xC400_015D RTT_CREATE 4;
    0xC400_015E RTT_DESTROY 3;
    0xC400_0161 RTT_READ_ENTRY 3;
    0xC400_0165 FEATURES 1;
    0xC400_0166 RTT_FOLD 3;
    0xC400_0168 RTT_INIT_RIPAS 3;
    0xC400_0169 RTT_SET_RIPAS 4;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rmi::{v1_0, v2_0};

    #[test]
    fn numbers_are_in_the_ranges_of_the_interface_and_unique_in_each_version() {
        for own in [v1_0::command::ALL, v2_0::command::ALL] {
            assert!(own.is_sorted_by_key(|command| command.number()));
            let mut numbers: alloc::vec::Vec<_> =
                ALL.iter().chain(own).map(|command| command.number() & 0xfff).collect();
            assert!(numbers.iter().all(|n| matches!(n, 0x150..0x190 | 0x1d0..0x2d0)));
            numbers.sort_unstable();
            assert!(numbers.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn a_command_has_the_specifications_name() {
        assert_eq!(
            (RTT_SET_RIPAS.number(), RTT_SET_RIPAS.name()),
            (0xC400_0169, "RMI_RTT_SET_RIPAS")
        );
        assert_eq!(v1_0::command::PSCI_COMPLETE.argument_count(), 3);
        assert_eq!(v2_0::command::PSCI_COMPLETE.argument_count(), 2);
    }
}
