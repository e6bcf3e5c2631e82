//! The states in which commands race, and the commands: all of one arena want the same few
//! granules.

use cairn_tests::abi::{Command, REC, ripas, rsi};
use cairn_tests::outcome::Outcome;
use cairn_tests::program::{Access, Action};
use cairn_tests::rec::smc;
use cairn_tests::v2_0;
use cairn_tests::v2_0::abi::REALM;
/// Where the second table of a Realm is.
const IPA: u64 = 0x20_0000;
use cairn_tests::world::World;

/// A state, and what races in it.
pub(crate) struct Arena {
    /// For people.
    pub name: &'static str,
    /// Makes the state.
    pub build: Build,
}

/// Which Host makes a state.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    /// One of RMI 1.0.
    V1_0(fn(&mut World<'_>) -> Outcome<Scene>),
    /// One of RMI 2.0.
    V2_0(fn(&mut v2_0::world::World<'_>) -> Outcome<Scene>),
}

/// What there is in a state.
pub(crate) struct Scene {
    /// The commands by name.
    pub commands: Vec<(&'static str, [u64; 8])>,
    /// Commands that show how the tables are.
    pub probes: Vec<[u64; 8]>,
}

/// Races whose end no order of the two commands explains: first and second command, their codes,
/// and why that is right.
pub(crate) static EXCUSED: &[([&str; 2], [u64; 2], &str)] = &[
    (["rec_enter", "rec_enter"], [0, REC], "B4.3.14 rec_state: it runs on the other CPU"),
    (["rec_enter waiting", "rec_enter waiting"], [0, REC], "B4.3.14 rec_state"),
    (["rec_enter", "rec_destroy"], [0, REC], "B4.3.13 rec_state: it runs"),
    (["rec_enter waiting", "rec_destroy waiting"], [0, REC], "B4.3.13 rec_state"),
    (["rec_enter", "realm_terminate"], [0, REALM], "2.0: a REC of the Realm runs"),
    (["rec_enter waiting", "realm_terminate"], [0, REALM], "2.0: a REC of the Realm runs"),
    (["rec_enter waiting", "rtt_set_ripas"], [0, REC], "B4.3.21 rec_state: it runs"),
];

fn call<const N: usize>(command: Command, arguments: [u64; N]) -> [u64; 8] {
    let mut registers = [0; 8];
    registers[0] = command.fid();
    registers[1..=N].copy_from_slice(&arguments);
    registers
}

/// What every level 3 entry says that the commands are about.
fn probes(rd: u64, shared: u64) -> Vec<[u64; 8]> {
    let ipas = [0, 0x1000, IPA, IPA + 0x1000, 2 * IPA, shared];
    ipas.map(|ipa| call(Command::RttReadEntry, [rd, ipa, 3])).into()
}

/// An active Realm: page 0 has memory, page 1 wants some; an empty table at [`IPA`]; a mapped
/// unprotected page; a REC that runs, and one that waits for a RIPAS change. One delegated granule,
/// one that is the Host's.
pub(crate) static ACTIVE: Arena = Arena { name: "active Realm", build: Build::V1_0(active) };

fn active(w: &mut World<'_>) -> Outcome<Scene> {
    let realm = w.realm()?;
    let (rd, shared) = (realm.rd, realm.unprotected());
    w.tables(&realm, 0, 3)?;
    w.call(Command::RttInitRipas, [rd, 0, 0x2000])?.ok()?;
    w.data_unknown(&realm, 0)?;
    w.table(&realm, IPA, 3)?;
    w.tables(&realm, shared, 3)?;
    let host = w.granule();
    let desc = host | 0b110 << 2 | 0b11 << 6;
    w.call(Command::RttMapUnprotected, [rd, shared, 3, desc])?.ok()?;
    let rec = w.rec(&realm, 0)?;
    let waiting = w.rec(&realm, 1)?;
    let off = w.rec_off(&realm, 2)?;
    w.activate(&realm)?;
    w.run(&waiting, &[smc(&[rsi::IPA_STATE_SET, 0, 0x1000, ripas::EMPTY, 0])])?;
    // The monitor walks for the first three: a call about the empty table, an access there, and a
    // call that writes to page 0.
    let program = [
        smc(&[rsi::IPA_STATE_GET, IPA, IPA + 0x1000]),
        Action::Load(IPA, Access::WORD),
        smc(&[rsi::REALM_CONFIG, 0]),
        Action::Load(0, Access::WORD),
    ];
    w.port.program(realm.rd, 0, &program);
    w.port.write_page(rec.run, &[0; 512]);
    let other_run = w.granule();
    let (granule, fresh) = (w.delegated()?, w.granule());
    let commands = vec![
        ("delegate", call(Command::GranuleDelegate, [fresh])),
        ("delegate its own", call(Command::GranuleDelegate, [granule])),
        ("undelegate", call(Command::GranuleUndelegate, [granule])),
        ("undelegate fresh", call(Command::GranuleUndelegate, [fresh])),
        ("data_create_unknown", call(Command::DataCreateUnknown, [rd, granule, 0x1000])),
        ("data_create_unknown at 0", call(Command::DataCreateUnknown, [rd, granule, 0])),
        ("data_create_unknown in the table", call(Command::DataCreateUnknown, [rd, granule, IPA])),
        ("data_destroy", call(Command::DataDestroy, [rd, 0])),
        ("rtt_create", call(Command::RttCreate, [rd, granule, 2 * IPA, 3])),
        ("rtt_create there", call(Command::RttCreate, [rd, granule, IPA, 3])),
        ("rtt_destroy", call(Command::RttDestroy, [rd, IPA, 3])),
        ("rtt_destroy live", call(Command::RttDestroy, [rd, 0, 3])),
        ("rtt_destroy unprotected", call(Command::RttDestroy, [rd, shared, 3])),
        ("rtt_fold", call(Command::RttFold, [rd, IPA, 3])),
        ("rtt_map_unprotected", call(Command::RttMapUnprotected, [rd, shared + 0x1000, 3, desc])),
        ("rtt_unmap_unprotected", call(Command::RttUnmapUnprotected, [rd, shared, 3])),
        ("rtt_read_entry", call(Command::RttReadEntry, [rd, IPA, 3])),
        ("rtt_set_ripas", call(Command::RttSetRipas, [rd, waiting.pa, 0, 0x1000])),
        ("rec_enter", call(Command::RecEnter, [rec.pa, rec.run])),
        ("rec_enter waiting", call(Command::RecEnter, [waiting.pa, other_run])),
        ("rec_destroy", call(Command::RecDestroy, [rec.pa])),
        ("rec_destroy waiting", call(Command::RecDestroy, [waiting.pa])),
        ("psci_complete", call(Command::PsciComplete, [rec.pa, off.pa, 0])),
        ("psci_complete, reversed", call(Command::PsciComplete, [off.pa, rec.pa, 0])),
        ("realm_destroy", call(Command::RealmDestroy, [rd])),
        ("realm_activate", call(Command::RealmActivate, [rd])),
    ];
    Ok(Scene { commands, probes: probes(rd, shared) })
}

/// A new Realm: page 0 has memory; an empty table at [`IPA`]; no REC. Two delegated granules, one
/// of them wanted by everybody.
pub(crate) static NEW: Arena = Arena { name: "new Realm", build: Build::V1_0(new) };

fn new(w: &mut World<'_>) -> Outcome<Scene> {
    let realm = w.realm()?;
    let rd = realm.rd;
    w.tables(&realm, 0, 3)?;
    w.call(Command::RttInitRipas, [rd, 0, 0x1000])?.ok()?;
    w.data_unknown(&realm, 0)?;
    w.table(&realm, IPA, 3)?;
    let granule = w.delegated()?;
    let first = w.rec_params(&realm, 0)?;
    let first_page = w.page(&first.to_page());
    let mut stolen = first.clone();
    stolen.aux[0] = granule;
    let stolen_page = w.page(&stolen.to_page());
    let (one, other) = (w.delegated()?, w.delegated()?);
    let src = w.page(&[7; 512]);
    let commands = vec![
        ("undelegate", call(Command::GranuleUndelegate, [granule])),
        ("undelegate aux", call(Command::GranuleUndelegate, [first.aux[0]])),
        ("delegate source", call(Command::GranuleDelegate, [src])),
        ("data_create", call(Command::DataCreate, [rd, granule, 0x1000, src, 1])),
        ("data_create in the table", call(Command::DataCreate, [rd, granule, IPA, src, 0])),
        ("data_destroy", call(Command::DataDestroy, [rd, 0])),
        ("rtt_create", call(Command::RttCreate, [rd, granule, 2 * IPA, 3])),
        ("rtt_destroy", call(Command::RttDestroy, [rd, IPA, 3])),
        ("rtt_fold", call(Command::RttFold, [rd, IPA, 3])),
        ("rtt_init_ripas", call(Command::RttInitRipas, [rd, 0x1000, 0x3000])),
        ("rtt_init_ripas in the table", call(Command::RttInitRipas, [rd, IPA, IPA + 0x2000])),
        ("rec_create", call(Command::RecCreate, [rd, one, first_page])),
        ("rec_create of the same index", call(Command::RecCreate, [rd, other, stolen_page])),
        ("rec_create in the granule", call(Command::RecCreate, [rd, granule, first_page])),
        ("rec_aux_count", call(Command::RecAuxCount, [rd])),
        ("realm_activate", call(Command::RealmActivate, [rd])),
        ("realm_destroy", call(Command::RealmDestroy, [rd])),
    ];
    Ok(Scene { commands, probes: probes(rd, realm.unprotected()) })
}

/// A new Realm with nothing but its start table, and parameters for another one with the same VMID.
pub(crate) static BARE: Arena = Arena { name: "bare Realm", build: Build::V1_0(bare) };

fn bare(w: &mut World<'_>) -> Outcome<Scene> {
    let realm = w.realm()?;
    let rd = realm.rd;
    let (granule, other) = (w.delegated()?, w.delegated()?);
    let mut params = w.realm_params(40, 0, 1)?;
    let fresh = w.page(&params.to_page());
    params.vmid = realm.vmid;
    let same_vmid = w.page(&params.to_page());
    params.rtt_base = realm.rtt_base;
    let same_table = w.page(&params.to_page());
    let rec = w.rec_params(&realm, 0)?;
    let rec_page = w.page(&rec.to_page());
    let commands = vec![
        ("realm_destroy", call(Command::RealmDestroy, [rd])),
        ("realm_activate", call(Command::RealmActivate, [rd])),
        ("realm_create", call(Command::RealmCreate, [granule, fresh])),
        ("realm_create elsewhere", call(Command::RealmCreate, [other, fresh])),
        ("realm_create of the same VMID", call(Command::RealmCreate, [granule, same_vmid])),
        ("realm_create on the same table", call(Command::RealmCreate, [granule, same_table])),
        ("realm_create on the same RD", call(Command::RealmCreate, [rd, same_table])),
        ("undelegate RD", call(Command::GranuleUndelegate, [rd])),
        ("undelegate table", call(Command::GranuleUndelegate, [realm.rtt_base])),
        ("undelegate", call(Command::GranuleUndelegate, [granule])),
        ("rtt_create", call(Command::RttCreate, [rd, granule, 0, 1])),
        ("rtt_destroy", call(Command::RttDestroy, [rd, 0, 1])),
        ("rec_create", call(Command::RecCreate, [rd, granule, rec_page])),
        ("rtt_init_ripas", call(Command::RttInitRipas, [rd, 0, 1 << 39])),
        ("rtt_read_entry", call(Command::RttReadEntry, [rd, 0, 3])),
        ("data_create_unknown", call(Command::DataCreateUnknown, [rd, granule, 0])),
    ];
    Ok(Scene { commands, probes: probes(rd, realm.unprotected()) })
}
