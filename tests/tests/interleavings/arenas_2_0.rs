//! The same for RMI 2.0.

use cairn_tests::abi::rsi;
use cairn_tests::outcome::Outcome;
use cairn_tests::program::{Access, Action};
use cairn_tests::rec::smc;
use cairn_tests::v2_0::abi::{Command, Desc, oaddr, ripas};
use cairn_tests::v2_0::memory::UNPROT;
use cairn_tests::v2_0::world::{BLOCK, PAGE, World};

use crate::arenas::{Arena, Build, Scene};

/// Where the second table of a Realm is.
const IPA: u64 = BLOCK;

fn call<const N: usize>(command: Command, arguments: [u64; N]) -> [u64; 8] {
    let mut registers = [0; 8];
    registers[0] = command.fid();
    registers[1..=N].copy_from_slice(&arguments);
    registers
}

fn range(command: Command, pa: u64) -> [u64; 8] {
    call(command, [pa, pa + PAGE])
}

fn probes(rd: u64, shared: u64) -> Vec<[u64; 8]> {
    let ipas = [0, PAGE, IPA, IPA + PAGE, 2 * IPA, shared, shared + PAGE];
    ipas.map(|ipa| call(Command::RttReadEntry, [rd, ipa, 3])).into()
}

/// An active Realm: page 0 has memory, page 1 wants some; an empty table at [`IPA`]; a mapped
/// unprotected page; a REC that runs, one that waits for a RIPAS change, one that waits for a
/// CPU_ON of one that is off, and one that is being destroyed. One delegated granule, one that is
/// the Host's.
pub(crate) static ACTIVE: Arena = Arena { name: "active Realm of 2.0", build: Build::V2_0(active) };

fn active(w: &mut World<'_>) -> Outcome<Scene> {
    w.boot()?;
    let realm = w.realm()?;
    let (rd, shared) = (realm.rd, realm.unprotected());
    w.tables(&realm, 0, 3)?;
    w.init_ripas(&realm, 0, 2 * PAGE)?;
    w.data_unknown(&realm, 0)?;
    w.table(&realm, IPA, 3)?;
    w.tables(&realm, shared, 3)?;
    let host = w.share(&realm, shared)?;
    let rec = w.rec(&realm, 0)?;
    let waiting = w.rec(&realm, 1)?;
    let off = w.rec_off(&realm, 2)?;
    let calling = w.rec(&realm, 3)?;
    let dying = w.rec(&realm, 4)?;
    w.activate(&realm)?;
    w.run(&waiting, &[smc(&[rsi::IPA_STATE_SET, 0, PAGE, ripas::EMPTY, 0])])?;
    w.run(&calling, &[smc(&[rsi::PSCI_CPU_ON, 2, realm.entry(1), 7])])?;
    w.call(Command::RecDestroy, &[dying.pa])?;
    let program = [
        smc(&[rsi::PSCI_AFFINITY_INFO, 2, 0]),
        smc(&[rsi::PSCI_AFFINITY_INFO, 4, 0]),
        smc(&[rsi::IPA_STATE_GET, IPA, IPA + PAGE]),
        Action::Load(IPA, Access::WORD),
        Action::Load(0, Access::WORD),
    ];
    w.program(&rec, &program);
    for run in [rec.run, waiting.run, off.run] {
        w.port.write_page(run, &[0; 512]);
    }
    let (granule, fresh, list) = (w.delegated()?, w.granule(), w.granule());
    let single = Desc::pages(granule, 1).encode();
    let map = |ipa: u64| call(Command::DataMap, [rd, ipa, ipa + PAGE, oaddr::SINGLE, single]);
    let unprot = |ipa: u64| {
        call(Command::UnprotMap, [rd, ipa, ipa + PAGE, UNPROT, Desc::pages(host, 1).encode()])
    };
    let commands = vec![
        ("delegate", range(Command::RangeDelegate, fresh)),
        ("delegate its own", range(Command::RangeDelegate, granule)),
        ("undelegate", range(Command::RangeUndelegate, granule)),
        ("undelegate fresh", range(Command::RangeUndelegate, fresh)),
        ("data_map", map(PAGE)),
        ("data_map at 0", map(0)),
        ("data_map in the table", map(IPA)),
        ("data_unmap", call(Command::DataUnmap, [rd, 0, PAGE, oaddr::SINGLE, 0])),
        ("rtt_create", call(Command::RttCreate, [rd, granule, 2 * IPA, 3])),
        ("rtt_create there", call(Command::RttCreate, [rd, granule, IPA, 3])),
        ("rtt_destroy", call(Command::RttDestroy, [rd, IPA, 3])),
        ("rtt_destroy live", call(Command::RttDestroy, [rd, 0, 3])),
        ("rtt_destroy unprotected", call(Command::RttDestroy, [rd, shared, 3])),
        ("rtt_fold", call(Command::RttFold, [rd, IPA, 3])),
        ("unprot_map", unprot(shared + PAGE)),
        ("unprot_map again", unprot(shared)),
        ("unprot_unmap", call(Command::UnprotUnmap, [rd, shared, shared + PAGE, 1, 0])),
        ("rtt_read_entry", call(Command::RttReadEntry, [rd, IPA, 3])),
        ("rtt_set_ripas", call(Command::SetRipas, [rd, waiting.pa, 0, PAGE])),
        ("rec_enter", call(Command::RecEnter, [rec.pa, rec.run])),
        ("rec_enter waiting", call(Command::RecEnter, [waiting.pa, waiting.run])),
        ("rec_enter off", call(Command::RecEnter, [off.pa, off.run])),
        ("rec_destroy", call(Command::RecDestroy, [rec.pa])),
        ("rec_destroy waiting", call(Command::RecDestroy, [waiting.pa])),
        ("rec_destroy off", call(Command::RecDestroy, [off.pa])),
        ("rec_destroy calling", call(Command::RecDestroy, [calling.pa])),
        ("op_continue", call(Command::OpContinue, [0, 0])),
        ("op_mem_reclaim", call(Command::OpMemReclaim, [0, list, 512])),
        ("op_mem_reclaim one", call(Command::OpMemReclaim, [0, list, 1])),
        ("psci_complete", call(Command::PsciComplete, [calling.pa, 0])),
        ("psci_denied", call(Command::PsciComplete, [calling.pa, (-3_i64).cast_unsigned()])),
        ("realm_terminate", call(Command::RealmTerminate, [rd])),
        ("realm_destroy", call(Command::RealmDestroy, [rd])),
        ("rmm_deactivate", call(Command::Deactivate, [])),
    ];
    Ok(Scene { commands, probes: probes(rd, shared) })
}

/// A new Realm: page 0 has memory; an empty table at [`IPA`]; a REC that waits for its granules.
/// Delegated granules, one of them wanted by everybody.
pub(crate) static NEW: Arena = Arena { name: "new Realm of 2.0", build: Build::V2_0(new) };

fn new(w: &mut World<'_>) -> Outcome<Scene> {
    w.boot()?;
    let realm = w.realm()?;
    let rd = realm.rd;
    w.tables(&realm, 0, 3)?;
    w.init_ripas(&realm, 0, PAGE)?;
    w.data_unknown(&realm, 0)?;
    w.table(&realm, IPA, 3)?;
    let granules = [w.delegated()?, w.delegated()?, w.delegated()?, w.delegated()?];
    let [granule, ..] = granules;
    let (one, other) = (w.delegated()?, w.delegated()?);
    let first_page = w.page(&w.rec_params(&realm, 0).to_page());
    let second_page = w.page(&w.rec_params(&realm, 1).to_page());
    w.begin(Command::RecCreate, &[rd, one, first_page])?;
    let give = |w: &mut World<'_>, which: &[u64]| {
        let words: Vec<u64> = which.iter().map(|&pa| Desc::pages(pa, 1).encode()).collect();
        let mut page = [0; 512];
        page[..words.len()].copy_from_slice(&words);
        w.page(&page)
    };
    let (all, some) = (give(w, &granules[..2]), give(w, &granules[..1]));
    let src = w.page(&[7; 512]);
    let list = w.granule();
    let single = Desc::pages(granule, 1).encode();
    let commands = vec![
        ("undelegate", range(Command::RangeUndelegate, granule)),
        ("delegate its own", range(Command::RangeDelegate, granule)),
        ("delegate source", range(Command::RangeDelegate, src)),
        ("delegate list", range(Command::RangeDelegate, all)),
        ("data_map_init", call(Command::DataMapInit, [rd, granule, PAGE, src, 1])),
        ("data_map", call(Command::DataMap, [rd, IPA, IPA + PAGE, oaddr::SINGLE, single])),
        ("data_unmap", call(Command::DataUnmap, [rd, 0, PAGE, oaddr::SINGLE, 0])),
        ("rtt_create", call(Command::RttCreate, [rd, granule, 2 * IPA, 3])),
        ("rtt_destroy", call(Command::RttDestroy, [rd, IPA, 3])),
        ("rtt_fold", call(Command::RttFold, [rd, IPA, 3])),
        ("init_ripas", call(Command::InitRipas, [rd, PAGE, 3 * PAGE])),
        ("init_ripas in the table", call(Command::InitRipas, [rd, IPA, IPA + 2 * PAGE])),
        ("rec_create", call(Command::RecCreate, [rd, other, second_page])),
        ("rec_create of the same index", call(Command::RecCreate, [rd, other, first_page])),
        ("rec_create in the granule", call(Command::RecCreate, [rd, granule, second_page])),
        ("op_mem_donate", call(Command::OpMemDonate, [0, all, 2])),
        ("op_mem_donate one", call(Command::OpMemDonate, [0, some, 1])),
        ("op_cancel", call(Command::OpCancel, [0])),
        ("op_continue", call(Command::OpContinue, [0, 0])),
        ("op_mem_reclaim", call(Command::OpMemReclaim, [0, list, 512])),
        ("realm_activate", call(Command::RealmActivate, [rd])),
        ("realm_terminate", call(Command::RealmTerminate, [rd])),
        ("realm_destroy", call(Command::RealmDestroy, [rd])),
        ("rmm_deactivate", call(Command::Deactivate, [])),
    ];
    Ok(Scene { commands, probes: probes(rd, realm.unprotected()) })
}

/// Nothing but a monitor that is active.
pub(crate) static BARE: Arena = Arena { name: "monitor of 2.0", build: Build::V2_0(bare) };

fn bare(w: &mut World<'_>) -> Outcome<Scene> {
    w.boot()?;
    let (fresh, other, config) = (w.granule(), w.granule(), w.page(&[0; 512]));
    let commands = vec![
        ("delegate", range(Command::RangeDelegate, fresh)),
        ("delegate the other", range(Command::RangeDelegate, other)),
        ("undelegate", range(Command::RangeUndelegate, fresh)),
        ("config_set", call(Command::ConfigSet, [config])),
        ("config_get", call(Command::ConfigGet, [config])),
        ("state_get", call(Command::StateGet, [])),
        ("activate", call(Command::Activate, [])),
        ("deactivate", call(Command::Deactivate, [])),
        ("version 1.0", call(Command::Version, [0x1_0000])),
        ("version 2.0", call(Command::Version, [0x2_0000])),
        ("features", call(Command::Features, [1])),
        ("granule_delegate", [0xc400_0151, fresh, 0, 0, 0, 0, 0, 0]),
    ];
    Ok(Scene { commands, probes: vec![call(Command::StateGet, []), call(Command::Version, [7])] })
}

/// A Host that has asked for 1.0, and delegated nothing. Its first delegation is not here:
/// RMI_VERSION on another CPU meanwhile finds no granule delegated yet, and lets the Host choose
/// again.
pub(crate) static CHOICE: Arena = Arena { name: "choice of a version", build: Build::V2_0(choice) };

fn choice(w: &mut World<'_>) -> Outcome<Scene> {
    w.call(Command::Version, &[0x1_0000])?.ok()?;
    let (fresh, config) = (w.granule(), w.page(&[0; 512]));
    let commands = vec![
        ("version 1.0", call(Command::Version, [0x1_0000])),
        ("version 2.0", call(Command::Version, [0x2_0000])),
        ("config_set", call(Command::ConfigSet, [config])),
        ("activate", call(Command::Activate, [])),
        ("deactivate", call(Command::Deactivate, [])),
        ("features", call(Command::Features, [0])),
        ("granule_undelegate", [0xc400_0152, fresh, 0, 0, 0, 0, 0, 0]),
        ("delegate", range(Command::RangeDelegate, fresh)),
        ("absent", [0xc400_0176, 0, 0, 0, 0, 0, 0, 0]),
    ];
    Ok(Scene { commands, probes: vec![call(Command::Version, [7]), call(Command::StateGet, [])] })
}
