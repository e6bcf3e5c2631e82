//! Several CPUs work on the same granules at once; when they stop, the whole machine must be in
//! order, and everything must come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cairn_tests::abi::{Command, RealmParams, RecParams};
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::port::Port;
use cairn_tests::program::{Access, Action};
use cairn_tests::rec::Rec;
use cairn_tests::world::{Realm, World};

const CPUS: usize = 4;
const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 4;

/// A generator of numbers that look random and repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// One of a list.
    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.roll(list.len() as u64)).unwrap()]
    }
}

/// What all CPUs fight over.
struct Arena {
    realms: Vec<Realm>,
    recs: Vec<Rec>,
    /// Granules that everybody delegates, uses and gives back.
    granules: Vec<u64>,
    /// Pages of parameters, REC parameters, run pages.
    realm_params: Vec<u64>,
    rec_params: Vec<u64>,
    runs: Vec<u64>,
}

fn arena(w: &mut World<'_>) -> Arena {
    let mut recs = Vec::new();
    let mut realms = Vec::new();
    for _ in 0..2 {
        let realm = w.realm().unwrap();
        w.tables(&realm, 0, 3).unwrap();
        w.call(Command::RttInitRipas, [realm.rd, 0, 0x10_0000]).unwrap().ok().unwrap();
        for index in 0..2 {
            recs.push(w.rec(&realm, index).unwrap());
        }
        w.activate(&realm).unwrap();
        realms.push(realm);
    }
    let base = w.port.allocate(24, 4096);
    let granules: Vec<u64> = (0..24).map(|number| base + number * 4096).collect();
    let start = |granule: u64, vmid: u64| RealmParams {
        flags: 0,
        s2sz: 40,
        sve_vl: 0,
        num_bps: 1,
        num_wps: 1,
        pmu_num_ctrs: 0,
        hash_algo: 0,
        rpv: [0; 8],
        vmid,
        rtt_base: granule,
        rtt_level_start: 0,
        rtt_num_start: 1,
    };
    let realm_params = (0..3)
        .map(|number| w.page(&start(granules[number], 0x100 + number as u64 / 2).to_page()))
        .collect();
    let rec_params = (0..3)
        .map(|number| {
            let mut aux = [0; 16];
            aux[0] = granules[4 + number];
            let mpidr = number as u64 / 2;
            let params = RecParams { flags: 1, mpidr, pc: 0, gprs: [0; 8], num_aux: 1, aux };
            w.page(&params.to_page())
        })
        .collect();
    let runs = (0..CPUS).map(|_| w.page(&[0; 512])).collect();
    Arena { realms, recs, granules, realm_params, rec_params, runs }
}

/// One random command.
fn command(arena: &Arena, dice: &mut Dice, cpu: usize) -> [u64; 8] {
    let granule = dice.pick(&arena.granules);
    let other = dice.pick(&arena.granules);
    let realm = dice.pick(&arena.realms);
    let rec = dice.pick(&arena.recs);
    // Now and then a Realm that another CPU may just have made, or a granule that is none.
    let rd = if dice.roll(6) == 0 { granule } else { realm.rd };
    let page = dice.roll(8) * 0x1000;
    let shared = realm.unprotected() + page;
    let block = (1 + dice.roll(3)) * 0x20_0000;
    let (name, arguments): (Command, [u64; 5]) = match dice.roll(22) {
        0..=3 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
        4..=5 => (Command::GranuleUndelegate, [granule, 0, 0, 0, 0]),
        6..=7 => (Command::DataCreateUnknown, [rd, granule, page, 0, 0]),
        8 => (Command::DataCreate, [rd, granule, page, arena.runs[cpu], 1]),
        9..=10 => (Command::DataDestroy, [rd, page, 0, 0, 0]),
        11 => (Command::RttCreate, [rd, granule, block, 3, 0]),
        12 => (Command::RttCreate, [rd, granule, realm.unprotected(), 1 + dice.roll(3), 0]),
        13 => (Command::RttDestroy, [rd, block, 3, 0, 0]),
        14 => (Command::RttFold, [rd, block, 3, 0, 0]),
        15 => (Command::RttDestroy, [rd, realm.unprotected(), 1 + dice.roll(3), 0, 0]),
        16 => (Command::RttMapUnprotected, [rd, shared, 3, other | 0xd8, 0]),
        17 => (Command::RttUnmapUnprotected, [rd, shared, 3, 0, 0]),
        18 => (Command::RecEnter, [rec.pa, arena.runs[cpu], 0, 0, 0]),
        19 => match dice.roll(3) {
            0 => (Command::RealmCreate, [other, dice.pick(&arena.realm_params), 0, 0, 0]),
            1 => (Command::RealmDestroy, [granule, 0, 0, 0, 0]),
            _ => (Command::RealmActivate, [granule, 0, 0, 0, 0]),
        },
        20 => match dice.roll(2) {
            0 => (Command::RecCreate, [granule, other, dice.pick(&arena.rec_params), 0, 0]),
            _ => (Command::RecDestroy, [granule, 0, 0, 0, 0]),
        },
        _ => match dice.roll(3) {
            0 => (Command::RttReadEntry, [rd, page, 3, 0, 0]),
            1 => (Command::PsciComplete, [rec.pa, dice.pick(&arena.recs).pa, 0, 0, 0]),
            _ => (Command::RttSetRipas, [realm.rd, rec.pa, page, page + 0x1000, 0]),
        },
    };
    let [a, b, c, d, e] = arguments;
    [name.fid(), a, b, c, d, e, 0, 0]
}

/// Everything the CPUs may have left is found and given back: by trying.
fn sweep(arena: &Arena, port: &mut dyn Port) {
    let call = |port: &mut dyn Port, command: Command, a: u64, b: u64, c: u64| {
        port.call([command.fid(), a, b, c, 0, 0, 0, 0]).map_or(u64::MAX, |[code, ..]| code)
    };
    for rec in &arena.recs {
        call(port, Command::RecDestroy, rec.pa, 0, 0);
    }
    for &granule in &arena.granules {
        call(port, Command::RecDestroy, granule, 0, 0);
    }
    let rds = arena.realms.iter().map(|realm| realm.rd).chain(arena.granules.iter().copied());
    for rd in rds.collect::<Vec<_>>() {
        for page in 0..8 {
            call(port, Command::DataDestroy, rd, page * 0x1000, 0);
        }
        let half = arena.realms[0].unprotected();
        for level in [3, 2, 1] {
            for block in 0..4 {
                call(port, Command::RttDestroy, rd, block * 0x20_0000, level);
            }
            call(port, Command::RttDestroy, rd, half, level);
        }
        call(port, Command::RealmDestroy, rd, 0, 0);
    }
}

#[test]
fn cpus_that_work_on_the_same_objects_leave_them_in_order() {
    let machine = FakeMachine::new(Profile::Max);
    let mut port = FakePort::new(&machine);
    let mut world = World::new(&mut port);
    let arena = arena(&mut world);
    let done = AtomicU64::new(0);
    let entered = AtomicU64::new(0);
    for round in 0..ROUNDS {
        machine.unleash();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for cpu in 0..CPUS {
                let (arena, machine, stop) = (&arena, &machine, &stop);
                let (done, entered) = (&done, &entered);
                scope.spawn(move || {
                    let cpu_handle = machine.cpu(cpu);
                    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (round * CPUS + cpu + 1) as u64);
                    while !stop.load(Ordering::Relaxed) {
                        let call = command(arena, &mut dice, cpu);
                        if call[0] == Command::RecEnter.fid() {
                            let rec = arena.recs.iter().find(|rec| rec.pa == call[1]).unwrap();
                            let page = dice.roll(8) * 0x1000;
                            let load = Action::Load(page, Access::WORD);
                            machine.add_to_program(rec.realm.vmid, rec.index, load);
                        }
                        let Some([code, ..]) = cpu_handle.handle(&call) else { return };
                        done.fetch_add(1, Ordering::Relaxed);
                        if call[0] == Command::RecEnter.fid() && code == 0 {
                            entered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let start = Instant::now();
            while start.elapsed() < ROUND {
                thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Ordering::Relaxed);
        });
        machine.quiesce();
        let violations = machine.take_violations();
        assert!(violations.is_empty(), "round {round}: {violations:#?}");
    }
    assert!(done.load(Ordering::Relaxed) > 1000, "too little work");
    assert!(entered.load(Ordering::Relaxed) > 10, "no REC ran");
    let mut port = FakePort::at(&machine, 0, 0);
    sweep(&arena, &mut port);
    let census = machine.census();
    assert_eq!(census[2..], [0; 6], "objects left: {census:?}");
    assert_eq!(machine.take_violations(), Vec::<String>::new());
}

/// Two CPUs enter the same REC again and again: one of them runs it, the other is refused; nothing
/// else happens.
#[test]
fn a_rec_runs_on_one_cpu_at_a_time() {
    let machine = FakeMachine::new(Profile::Max);
    let mut port = FakePort::new(&machine);
    let mut world = World::new(&mut port);
    let rec = world.running().unwrap();
    let runs = [world.page(&[0; 512]), world.page(&[0; 512])];
    machine.unleash();
    let ran = AtomicU64::new(0);
    thread::scope(|scope| {
        for (cpu, run) in runs.into_iter().enumerate() {
            let (machine, ran) = (&machine, &ran);
            scope.spawn(move || {
                let handle = machine.cpu(cpu);
                for _ in 0..3000 {
                    let call = [Command::RecEnter.fid(), rec.pa, run, 0, 0, 0, 0, 0];
                    let [code, ..] = handle.handle(&call).unwrap();
                    assert!(code == 0 || code == 3, "{code:#x}");
                    ran.fetch_add(u64::from(code == 0), Ordering::Relaxed);
                }
            });
        }
    });
    machine.quiesce();
    assert!(ran.load(Ordering::Relaxed) > 0);
    assert_eq!(machine.take_violations(), Vec::<String>::new());
}

/// PSCI_COMPLETE about a REC that is off must not take an entry that is being refused for one that
/// runs.
#[test]
fn an_entry_that_is_refused_does_not_make_a_rec_look_running() {
    let machine = FakeMachine::new(Profile::Max);
    let mut port = FakePort::new(&machine);
    let mut world = World::new(&mut port);
    let realm = world.realm().unwrap();
    let calling = world.rec(&realm, 0).unwrap();
    let target = world.rec_off(&realm, 1).unwrap();
    world.activate(&realm).unwrap();
    let run = world.page(&[0; 512]);
    machine.unleash();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (machine, stop) = (&machine, &stop);
        scope.spawn(move || {
            let handle = machine.cpu(1);
            while !stop.load(Ordering::Relaxed) {
                let call = [Command::RecEnter.fid(), target.pa, run, 0, 0, 0, 0, 0];
                assert_eq!(handle.handle(&call).unwrap()[0], 3);
            }
        });
        let handle = machine.cpu(0);
        let affinity = cairn_tests::rec::smc(&[cairn_tests::abi::rsi::PSCI_AFFINITY_INFO, 1, 0]);
        for _ in 0..2000 {
            machine.add_to_program(realm.vmid, 0, affinity.clone());
            let enter = [Command::RecEnter.fid(), calling.pa, calling.run, 0, 0, 0, 0, 0];
            assert_eq!(handle.handle(&enter).unwrap()[0], 0);
            let complete = [Command::PsciComplete.fid(), calling.pa, target.pa, 0, 0, 0, 0, 0];
            assert_eq!(handle.handle(&complete).unwrap()[0], 0);
        }
        let enter = [Command::RecEnter.fid(), calling.pa, calling.run, 0, 0, 0, 0, 0];
        assert_eq!(handle.handle(&enter).unwrap()[0], 0);
        stop.store(true, Ordering::Relaxed);
    });
    let vmid = u16::try_from(realm.vmid).unwrap();
    let observed = machine.take_observed(vmid, 0);
    assert_eq!(observed.len(), 2000);
    for seen in observed {
        let cairn_tests::program::Observed::Smc(results) = seen else { panic!("{seen:?}") };
        assert_eq!(results[0], 1, "OFF");
    }
}
