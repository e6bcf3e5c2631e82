//! Data commands: pages of a Realm's memory.

use granule::delegation;
use granule::machine::stage2::Stale;
use granule::machine::{Hasher, HostMemory, Memory, Slot, Stage2Tlb};
use granule::{Data, Delegated, GRANULE_SIZE, GranuleAddr, GranuleGuard, RdState};
use realm::Rmm;
use realm::rd::{Rd, RealmState};
use realm::rtt::{Entry, Level, Position, Ripas, Tree};
use zerocopy::IntoBytes;

use crate::abi::{NONE, Outputs};
use crate::args::{self, DATA, RD};
use crate::error::Refusal;

/// `RmiDataFlags`: bit 0, measure the content. The others should be zero and are ignored, but measured.
const MEASURE_CONTENT: u64 = 1;

/// `RMI_DATA_CREATE`: copies a page of the Host's into a new Realm, and measures it.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `src_*`, `data_*`, `rd_*`, `ipa_align`, `ipa_bound`; RMI_ERROR_REALM: `realm_state`; RMI_ERROR_RTT: `rtt_walk`,
/// `rtte_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_DATA_CREATE`. Its text forgets to say that the page is copied;
/// Arm confirmed that it is.
pub fn create<M: Memory + HostMemory + Hasher>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    data: u64,
    ipa: u64,
    src: u64,
    flags: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let src = args::host_pointer(rmm, src, "src_align", "src_bound")?;
    let (mut data, mut rd) =
        args::lock_pair::<Delegated, RdState, _>(rmm, (&DATA, data), (&RD, rd))?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    check_page(&tree, data.addr(), ipa)?;

    if rd.state() != RealmState::New {
        return Err(Refusal::realm("realm_state"));
    }

    let algorithm = rd.algorithm();
    let measurements = &mut rd.measurements;
    tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        args::unassigned_page(&at)?;
        {
            // What is measured is the copy, never the source, which the Host may change.
            let mut page = machine.page(Slot::Object, data.exclusive());
            if machine.read_host(src, 0, &mut page.0).is_err() {
                page.0.fill(0);
                return Err(Refusal::input("src_pas"));
            }
            let content = (flags & MEASURE_CONTENT != 0).then(|| page.as_bytes());
            measurements.extend_data(machine, algorithm, (ipa, flags), content);
        }
        hand_over(machine, &at, Ripas::Ram, &mut data);
        Ok(())
    })?;
    rmm.granules.claim::<Data>(data).unlock();
    rd.holdings.add_data();
    Ok(NONE)
}

/// `RMI_DATA_CREATE_UNKNOWN`: gives a Realm a page whose contents do not depend on the Host.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `data_*`, `rd_*`, `ipa_align`, `ipa_bound`; RMI_ERROR_RTT: `rtt_walk`, `rtte_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_DATA_CREATE_UNKNOWN`.
pub fn create_unknown<M: Memory>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    data: u64,
    ipa: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let (mut data, mut rd) =
        args::lock_pair::<Delegated, RdState, _>(rmm, (&DATA, data), (&RD, rd))?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    check_page(&tree, data.addr(), ipa)?;
    tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        let ripas = args::unassigned_page(&at)?;
        machine.wipe(Slot::Object, data.exclusive());
        hand_over(machine, &at, ripas, &mut data);
        Ok(())
    })?;
    rmm.granules.claim::<Data>(data).unlock();
    rd.holdings.add_data();
    Ok(NONE)
}

/// `data_bound2`, `ipa_align`, `ipa_bound`.
fn check_page(tree: &Tree, data: GranuleAddr, ipa: u64) -> Result<(), Refusal> {
    args::address_fits(tree.format, data, "data_bound2")?;
    args::protected_page(tree.space, ipa)
}

/// Makes the page entry ASSIGNED: from now on the Realm may read, write and run what is in the granule.
#[inline(always)]
fn hand_over(
    machine: &impl Memory,
    at: &Position<'_, '_>,
    ripas: Ripas,
    data: &mut GranuleGuard<'_, Delegated>,
) {
    machine.renew_code(Slot::Object, data.exclusive());
    at.set(Entry::Assigned(ripas, data.addr()));
    at.count_up();
    machine.publish();
}

/// `RMI_DATA_DESTROY`: takes a page away from a Realm. X1 is the page, X2 the next live address.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `ipa_align`, `ipa_bound`; RMI_ERROR_RTT with `top`: `rtt_walk`, `rtte_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_DATA_DESTROY`.
pub fn destroy<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    ipa: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let mut rd = RD.lock::<RdState, _>(rmm, rd)?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    args::protected_page(tree.space, ipa)?;
    tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        let refused =
            |condition| Refusal::rtt(at.level, condition).with_top(at.walk_top(machine, ipa));
        if !at.level.is_page() {
            return Err(refused("rtt_walk"));
        }
        let Entry::Assigned(ripas, data) = at.entry else { return Err(refused("rtte_state")) };
        let left = if ripas == Ripas::Ram { Ripas::Destroyed } else { ripas };
        at.set(Entry::Unassigned(left));
        if at.entry.is_valid() {
            let size = GRANULE_SIZE;
            let stale = Stale::Range { ipa, size_bytes: size, leaf_size_bytes: size };
            machine.invalidate(tree.vmid, stale);
        }
        at.count_down();
        let Ok(page) = rmm.granules.lock::<Data>(data) else {
            unreachable!("DATA of an RTT entry")
        };
        delegation::release(machine, &rmm.granules, page, tree.number).unlock();
        rd.holdings.remove_data();
        Ok([data.as_u64(), at.walk_top(machine, ipa), 0, 0])
    })
}
