//! Predictions against the monitor itself, on the fake machine of `tests/`: the same host builds
//! the same Realm on both.

use std::fmt;

use cairn_el3::edition::Edition;
use cairn_host::dialect::{Dialect, V1_0, V2_0};
use cairn_host::granules::Pool;
use cairn_host::host::Host;
use cairn_host::job::Job as HostJob;
use cairn_host::machine::Machine;
use cairn_host::realm::{Realm, teardown};
use cairn_tests::abi::rsi;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::port::Port;
use cairn_tests::program::Observed;
use cairn_tests::rec::smc;

use super::*;
use crate::token::cbor::hex;

/// Where things are in the fake machine's 2 GiB.
const KERNEL: u64 = 0x8000_0000;
const INITRD: u64 = 0x8100_0000;
/// The page through which the REC is entered.
const RUN: u64 = 0x8180_0000;
const POOL: std::ops::Range<u64> = 0x8200_0000..0xa000_0000;
const VMID: u64 = 1;

/// The fake machine as the host sees it.
#[derive(Clone, Copy)]
struct MonitorMachine(&'static FakeMachine);

impl MonitorMachine {
    /// The page that holds `pa`, changed.
    fn change(self, pa: u64, change: impl FnOnce(&mut [u8])) {
        let mut port = FakePort::new(self.0);
        let base = pa & !0xfff;
        let mut bytes: Vec<u8> =
            port.read_page(base).iter().flat_map(|word| word.to_le_bytes()).collect();
        change(&mut bytes[usize::try_from(pa - base).unwrap()..]);
        let mut page = [0; 512];
        for (word, bytes) in page.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        port.write_page(base, &page);
    }
}

impl Machine for MonitorMachine {
    fn smc(&self, args: [u64; 7]) -> [u64; 5] {
        let [a0, a1, a2, a3, a4, a5, a6] = args;
        let call = [a0, a1, a2, a3, a4, a5, a6, 0];
        let [x0, x1, x2, x3, x4, ..] = self.0.cpu(0).handle(&call).unwrap();
        [x0, x1, x2, x3, x4]
    }

    fn read_u64(&self, pa: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read_bytes(pa, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn write_u64(&self, pa: u64, value: u64) {
        self.write_bytes(pa, &value.to_le_bytes());
    }

    fn read_bytes(&self, pa: u64, bytes: &mut [u8]) {
        let page = FakePort::new(self.0).read_page(pa & !0xfff);
        let page = page.iter().flat_map(|word| word.to_le_bytes());
        let skipped = page.skip(usize::try_from(pa & 0xfff).unwrap());
        bytes.iter_mut().zip(skipped).for_each(|(to, from)| *to = from);
    }

    fn write_bytes(&self, pa: u64, bytes: &[u8]) {
        self.change(pa, |page| page[..bytes.len()].copy_from_slice(bytes));
    }

    fn zero_page(&self, pa: u64) {
        self.change(pa, |page| page.fill(0));
    }

    fn console_write(&self, _bytes: &[u8]) {}

    fn console_line(&self, _line: fmt::Arguments<'_>) {}

    fn console_read(&self) -> Option<u8> {
        None
    }

    fn kick(&self, _cpu: usize) {}

    fn counter(&self) -> u64 {
        0
    }

    fn counter_hz(&self) -> u64 {
        1000
    }

    fn take_interrupts(&self) {}

    fn arm_timer(&self, _deadline: Option<u64>) {}

    fn wait_for_interrupt(&self) {}
}

/// A guest: what of it is measured.
#[derive(Clone)]
struct Guest {
    kernel: Vec<u8>,
    initrd: Vec<u8>,
    options: &'static str,
}

impl Guest {
    fn new(options: &'static str) -> Self {
        let mut kernel = vec![0x5a; 0x2801];
        kernel[8..24].fill(0); // text offset, image size
        kernel[56..60].copy_from_slice(b"ARM\x64");
        Self { kernel, initrd: vec![0x77; 0x1003], options }
    }

    fn text(&self) -> String {
        let (kernel, initrd) = (self.kernel.len(), self.initrd.len());
        format!(
            "cairn-host-job 1\nkernel={KERNEL},{kernel}\ninitrd={INITRD},{initrd}\n{}\n\0",
            self.options
        )
    }

    fn predicted(&self, dialect: &'static dyn Dialect) -> Vec<u8> {
        let files = vec![(KERNEL, self.kernel.clone()), (INITRD, self.initrd.clone())];
        measure(&self.text(), files, dialect).unwrap()
    }

    /// What the Realm itself reads as its RIM, once the monitor has built it.
    fn real(&self, dialect: &'static dyn Dialect) -> Vec<u8> {
        let fake: &'static FakeMachine =
            Box::leak(Box::new(FakeMachine::over(Profile::Large, Edition::V2)));
        let machine = MonitorMachine(fake);
        for (base, file) in [(KERNEL, &self.kernel), (INITRD, &self.initrd)] {
            for (page, bytes) in (base..).step_by(0x1000).zip(file.chunks(0x1000)) {
                machine.write_bytes(page, bytes);
            }
        }
        let job = HostJob::parse(self.text().as_bytes()).unwrap();
        let mut host = Host::new(Box::new(machine), Pool::new(&[POOL]), dialect).unwrap();
        host.style = job.style;
        let mut realm = Realm::create(&host, &job, VMID).unwrap();
        realm.build(&host, &job).unwrap();
        let rec = realm.vcpus[0].rec.unwrap();
        let mut port = FakePort::new(fake);
        port.bind(realm.rd());
        port.program(realm.rd(), 0, &[smc(&[rsi::MEASUREMENT_READ, 0])]);
        host.rmi().rec_enter(rec, RUN).unwrap();
        let observed = port.observed(realm.rd(), 0);
        let [Observed::Smc(results)] = observed.as_slice() else { panic!("{observed:?}") };
        assert_eq!(results[0], 0);
        let value: Vec<u8> = results[1..9].iter().flat_map(|word| word.to_le_bytes()).collect();
        teardown::destroy(&host, realm).unwrap();
        host.account().unwrap();
        host.end().unwrap();
        assert_eq!(fake.take_violations(), Vec::<String>::new());
        value
    }

    /// The prediction, after it was compared with reality.
    fn checked(&self, dialect: &'static dyn Dialect) -> String {
        let (predicted, real) = (self.predicted(dialect), self.real(dialect));
        assert_eq!(hex(&predicted), hex(&real[..predicted.len()]), "{}", self.options);
        assert!(real[predicted.len()..].iter().all(|&byte| byte == 0));
        hex(&predicted)
    }
}

#[test]
fn predictions_are_what_realms_measure_and_each_difference_between_guests_shows() {
    let plain = Guest::new("cpus=1\nmemory=67108864\nappend=quiet");
    let mut other_kernel = plain.clone();
    other_kernel.kernel[0x2800] ^= 1;
    let mut other_initrd = plain.clone();
    other_initrd.initrd.truncate(0x1002);
    let guests = [
        plain,
        other_kernel,
        other_initrd,
        Guest::new("cpus=4\nmemory=67108864\nappend=quiet"),
        Guest::new("cpus=1\nmemory=69206016\nappend=quiet"),
        Guest::new("cpus=1\nmemory=67108864\nappend=quiet debug"),
        Guest::new("cpus=2\nmemory=134217728\nappend=quiet\nhash_algorithm=sha-512"),
    ];
    let dialects: [&dyn Dialect; 2] = [&V1_0, &V2_0];
    let all =
        dialects.iter().flat_map(|dialect| guests.iter().map(|guest| guest.checked(*dialect)));
    let mut seen: Vec<String> = all.collect();
    assert_eq!(seen.last().unwrap().len(), 128);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2 * guests.len());
}

#[test]
fn the_order_in_which_a_host_does_things_is_measured_in_1_0() {
    let guest = |options| Guest::new(options);
    let plain = guest("cpus=2\nmemory=67108864");
    let v7 = guest("cpus=2\nmemory=67108864\nstyle=linux-v7");
    let v12 = guest("cpus=2\nmemory=67108864\nstyle=linux-v12");
    assert_eq!(plain.checked(&V1_0), v7.checked(&V1_0));
    assert_ne!(plain.checked(&V1_0), v12.checked(&V1_0));
    let v2 = guest("cpus=2\nmemory=67108864\nstyle=linux-2.0");
    assert_eq!(plain.checked(&V2_0), v2.checked(&V2_0));
}

#[test]
fn version_2_0_measures_with_sha_384() {
    let guest = Guest::new("cpus=1\nmemory=67108864\nappend=quiet\nhash_algorithm=sha-384");
    assert_eq!(guest.checked(&V2_0).len(), 96);
}

#[test]
fn what_is_not_of_the_guest_does_not_count() {
    let guest = Guest::new("cpus=1\nmemory=67108864\nappend=quiet");
    let same = Guest::new("cpus=1\nmemory=67108864\nappend=quiet\ninteractive=1\nrealms=1");
    assert_eq!(guest.predicted(&V1_0), same.predicted(&V1_0));
}

#[test]
fn a_guest_that_cannot_be_built_is_a_sentence() {
    let mut guest = Guest::new("cpus=1\nmemory=67108864");
    guest.kernel[56] = 0;
    let files = vec![(KERNEL, guest.kernel.clone())];
    let error = measure(&guest.text(), files, &V1_0).unwrap_err().to_string();
    assert!(error.starts_with("no Realm can be built: the kernel is not"), "{error}");
}
