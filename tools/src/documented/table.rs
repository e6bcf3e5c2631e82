//! How each command line of the documents' blocks of shell code is executed.

/// One command line.
#[derive(Debug)]
pub(super) struct Row {
    /// As it stands in a document.
    pub command: &'static str,
    /// How it is executed.
    pub how: How,
}

/// The way.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// As it is, with files in the place of what a reader fills in.
    AsItIs,
    /// This shorter one.
    Instead(&'static str),
    /// By this step of `test`, which is another one.
    Step(&'static str),
    /// Not here, for this reason; that its options exist is tested.
    NotHere(&'static str),
}

use How::{AsItIs, Instead, NotHere, Step};

const fn row(command: &'static str, how: How) -> Row {
    Row { command, how }
}

/// A model that has to be got from Arm.
const MODEL: How = NotHere("the model is under a licence of its own");

/// All of them. In `AsItIs` and `Instead`, `Image`, `FILE`, `DIR`, `ELF`, `RAWLOG` and `guest.cpio`
/// are files that the step has made.
pub(super) const TABLE: &[Row] = &[
    row("cargo xtask run", Step("linux-shell")),
    row("cargo xtask test", Instead("cargo xtask test --list")),
    row("cargo xtask run --host-kernel", Step("host-kernel")),
    row(
        "cargo xtask run --host-kernel Image --host-disk FILE --host-net --host-append \"root=/dev/vda rw\"",
        Step("host-kernel"),
    ),
    row("cargo xtask image --fip FILE", AsItIs),
    row("cargo xtask image --tfa DIR", AsItIs),
    row("cargo xtask image --tfa build/qemu/release", Instead("cargo xtask image --tfa BUILT")),
    row("cargo xtask run --tfa DIR --check", Step("linux-1cpu")),
    row("cargo xtask release", Step("release")),
    row("cargo xtask release --out DIR", Step("release")),
    row("cargo xtask completions bash", AsItIs),
    row("cargo xtask man", AsItIs),
    row("cargo xtask decode --elf ELF RAWLOG", AsItIs),
    row("cargo xtask ledger --elf ELF RAWLOG", AsItIs),
    row("cargo xtask run --platform fvp --fvp PATH", MODEL),
    row("cargo xtask run --platform fvp --print", Step("fvp-image")),
    row("cargo xtask run --bl33 FILE --el3 0.4", Step("boot-loader")),
    row(
        "cargo xtask run --bl33 FILE",
        NotHere("the boot loader that Debian has does not start there"),
    ),
    row("cargo xtask run --check --host-style linux-v7", Step("linux-1cpu")),
    row("cargo xtask run --check --host-style linux-v12", Step("linux-2cpu")),
    row("cargo xtask run --check --rmi 2.0 --host-style linux-2.0", Step("linux-2.0")),
    row("cargo xtask run --platform sbsa --check", Step("linux-sbsa")),
    row("cargo xtask conformance", Step("conformance-qemu")),
    row("cargo xtask conformance --image rmm.img", Step("conformance-qemu")),
    row("cargo xtask conformance --tfa DIR --image rmm.img", Step("conformance-qemu")),
    row(
        "cargo xtask conformance --backend fake --filter rtt_fold",
        Instead("cargo xtask conformance --backend fake --filter rtt_fold/success"),
    ),
    row("cargo xtask conformance --filter granule_delegate/success", AsItIs),
    row("cargo xtask seeded --list", AsItIs),
    row("cargo xtask seeded --only lower-version", Step("seeded-faults")),
    row("cargo xtask stress", Step("stress-lives")),
    row("cargo xtask bench", Step("bench")),
    row("cargo xtask bench --rmi 2.0", Step("bench-2.0")),
    row("cargo xtask token rim --cpus 2 --memory 256M", AsItIs),
    row("cargo xtask token rim --kernel Image --initrd guest.cpio --cpus 2 --memory 256M", AsItIs),
    row("cargo xtask token show FILE", Instead("cargo xtask token show TOKEN")),
    row(
        "cargo xtask token verify FILE --challenge HEX --rim HEX --platform-key FILE",
        Step("linux-1cpu"),
    ),
    row(
        "cargo xtask token verify FILE --challenge HEX --rim HEX --platform-key cpak.pem",
        Step("linux-1cpu"),
    ),
    row("cargo test -p cairn-tests --test scenarios granule_delegate/success", Step("unit-tests")),
    row("cargo xtask run --append earlycon=uart8250,mmio,0x101000000", Step("linux-shell")),
    row("cargo xtask gdb --at cairn_realm_enter", Step("gdb")),
    row("cargo xtask gdb --at rmi/src/ops/realm.rs:52 -- --cpus 1", Step("gdb")),
    row("cargo xtask run --gdb", Step("gdb")),
    row(
        "gdb-multiarch -ex 'add-symbol-file .../cairn -o 0x40100000' -ex 'target remote :1234'",
        Step("gdb"),
    ),
    row(
        "iss=0x362889; echo S$((iss>>20&3))_$((iss>>14&7))_C$((iss>>10&15))_C$((iss>>1&15))_$((iss>>17&7))",
        AsItIs,
    ),
];
