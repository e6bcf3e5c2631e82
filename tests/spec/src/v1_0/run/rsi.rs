//! RSI, PSCI and SMCCC as a Realm sees them.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, B5, B6, A4.5, A5.4, A7.1.

use super::exit::{Exit, HOST_CALL, PSCI, RIPAS_CHANGE, Want};
use super::memory::Place;
use super::{Flight, Pattern, Step};
use crate::state::measurement;
use crate::v1_0::realm::RealmState;
use crate::v1_0::rec::{Pending, PsciCall, RipasChange};
use crate::v1_0::rtt::{Entry, Ripas};
use crate::v1_0::{Divergence, Model, entry_size};

/// RSI_SUCCESS, PSCI SUCCESS.
const SUCCESS: u64 = 0;
/// RSI_ERROR_INPUT.
const ERROR_INPUT: u64 = 1;
const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID_PARAMETERS: u64 = (-2_i64).cast_unsigned();
const ALREADY_ON: u64 = (-4_i64).cast_unsigned();
const INVALID_ADDRESS: u64 = (-9_i64).cast_unsigned();

const IPA_STATE_GET: u64 = 0xc400_0198;

/// Calls that PSCI_FEATURES knows: VERSION, CPU_SUSPEND, CPU_OFF, CPU_ON, AFFINITY_INFO,
/// SYSTEM_OFF, SYSTEM_RESET, FEATURES, and SMCCC_VERSION.
const PSCI_CALLS: [u64; 12] = [
    0x8400_0000,
    0x8400_0001,
    0xc400_0001,
    0x8400_0002,
    0x8400_0003,
    0xc400_0003,
    0x8400_0004,
    0xc400_0004,
    0x8400_0008,
    0x8400_0009,
    0x8400_000a,
    0x8000_0000,
];

/// The index that an MPIDR_EL1 names.
fn index_of(mpidr: u64) -> u64 {
    mpidr & 0xf | (mpidr >> 8 & 0xffff) << 4 | (mpidr >> 32 & 0xff) << 20
}

fn exits(exit: Exit, flight: Flight) -> Step {
    Step::Exits(Box::new(exit), flight)
}

impl Model {
    /// X0 and what follows; the other registers up to X3 become zero, the rest keeps its value.
    fn returns(&mut self, rec: u64, results: &[u64]) -> Step {
        let this = self.rec(rec);
        this.gprs[..4].fill(Some(0));
        for (register, &value) in this.gprs.iter_mut().zip(results) {
            *register = Some(value);
        }
        Step::Sees(Pattern::Smc(core::array::from_fn(|number| this.gprs[number])))
    }

    /// The same for a call of PSCI, which does not say what happens to X1 to X3.
    fn psci_returns(&mut self, rec: u64, result: u64) -> Step {
        let this = self.rec(rec);
        this.gprs[..4].copy_from_slice(&[Some(result), None, None, None]);
        Step::Sees(Pattern::Smc(core::array::from_fn(|number| this.gprs[number])))
    }

    pub(super) fn smc(&mut self, rec: u64) -> Step {
        let x: [u64; 11] = core::array::from_fn(|number| self.recs[&rec].gprs[number].unwrap_or(0));
        match x[0] & 0xffff_ffff & !(1 << 16) {
            // RSI_VERSION
            0xc400_0190 => {
                let code = if x[1] == 0x1_0000 { SUCCESS } else { ERROR_INPUT };
                self.returns(rec, &[code, 0x1_0000, 0x1_0000])
            }
            // RSI_FEATURES
            0xc400_0191 => self.returns(rec, &[SUCCESS]),
            // RSI_MEASUREMENT_READ
            0xc400_0192 => self.measurement_read(rec, x[1]),
            // RSI_MEASUREMENT_EXTEND
            0xc400_0193 => self.measurement_extend(rec, &x),
            // RSI_REALM_CONFIG
            0xc400_0196 => self.realm_config(rec, x[1]),
            // RSI_IPA_STATE_SET
            0xc400_0197 => self.ipa_state_set(rec, &x),
            IPA_STATE_GET => self.ipa_state_get(rec, x[1], x[2]),
            // RSI_HOST_CALL
            0xc400_0199 => self.host_call(rec, x[1]),
            call if PSCI_CALLS.contains(&call) => self.psci(rec, call, &x),
            _ => self.psci_returns(rec, NOT_SUPPORTED),
        }
    }

    fn psci(&mut self, rec: u64, call: u64, x: &[u64; 11]) -> Step {
        let mask = if call >> 30 & 1 == 0 { 0xffff_ffff } else { u64::MAX };
        let [x1, x2, x3] = [x[1] & mask, x[2] & mask, x[3] & mask];
        let owner = self.recs[&rec].owner;
        let tells = Exit::of(PSCI).with_gpr(0, Want::Is(call));
        match call & 0xff {
            _ if call == 0x8000_0000 => self.psci_returns(rec, 0x1_0002),
            0x0 => self.psci_returns(rec, 0x1_0001),
            0x1 => {
                self.psci_returns(rec, SUCCESS);
                exits(tells, Flight::Done)
            }
            0x2 => {
                self.rec(rec).is_runnable = false;
                exits(tells, Flight::Done)
            }
            0x3 if !self.realms[&owner].is_protected(x2) => self.psci_returns(rec, INVALID_ADDRESS),
            0x3 | 0x4 => {
                let on = call & 0xff == 3;
                let index = index_of(x1);
                let exists = self.recs.values().any(|rec| rec.owner == owner && rec.index == index);
                if !exists || (!on && x2 != 0) {
                    return self.psci_returns(rec, INVALID_PARAMETERS);
                }
                if index == self.recs[&rec].index {
                    return self.psci_returns(rec, if on { ALREADY_ON } else { SUCCESS });
                }
                let request =
                    if on { PsciCall::CpuOn(index, x2, x3) } else { PsciCall::AffinityInfo(index) };
                self.rec(rec).pending = Pending::Psci(request);
                // The text shows the Host all arguments, sanitised; entry point and context are
                // none of its business.
                let tells = tells
                    .with_gpr(1, Want::Is(x1))
                    .with_gpr(2, Want::Either(0, x2))
                    .with_gpr(3, Want::Either(0, if on { x3 } else { 0 }));
                exits(tells, Flight::Done)
            }
            0x8 | 0x9 => {
                if let Some(realm) = self.realms.get_mut(&owner) {
                    realm.state = RealmState::SystemOff;
                }
                exits(tells, Flight::Done)
            }
            _ => {
                let known = PSCI_CALLS.contains(&(x[1] & 0xffff_ffff));
                self.psci_returns(rec, if known { SUCCESS } else { NOT_SUPPORTED })
            }
        }
    }

    fn measurement_read(&mut self, rec: u64, index: u64) -> Step {
        let realm = &self.realms[&self.recs[&rec].owner];
        let value = match index {
            0 => realm.rim,
            1..=4 => realm.rem[index as usize - 1],
            _ => return self.returns(rec, &[ERROR_INPUT]),
        };
        let mut results = vec![SUCCESS];
        results.extend(measurement::words(&value));
        self.returns(rec, &results)
    }

    fn measurement_extend(&mut self, rec: u64, x: &[u64; 11]) -> Step {
        let (index, size) = (x[1], x[2]);
        if !(1..=4).contains(&index) || size > 64 {
            return self.returns(rec, &[ERROR_INPUT]);
        }
        let value = measurement::bytes(&x[3..]);
        let owner = self.recs[&rec].owner;
        if let Some(realm) = self.realms.get_mut(&owner) {
            let rem = &mut realm.rem[index as usize - 1];
            *rem = measurement::rem(realm.algorithm, rem, &value[..size as usize]);
        }
        self.returns(rec, &[SUCCESS])
    }

    /// The physical address of memory that a call of the Realm names, or how the call ends.
    fn operand(&mut self, rec: u64, ipa: u64, alignment: u64) -> Result<u64, Step> {
        let realm = &self.realms[&self.recs[&rec].owner];
        if !ipa.is_multiple_of(alignment) || !realm.is_protected(ipa) {
            return Err(self.returns(rec, &[ERROR_INPUT]));
        }
        match self.place(rec, ipa) {
            Place::Realm(pa) => Ok(pa),
            Place::Absent(level) => Err(exits(Self::absent(ipa, level), Flight::Again)),
            _ => Err(self.returns(rec, &[ERROR_INPUT])),
        }
    }

    fn realm_config(&mut self, rec: u64, ipa: u64) -> Step {
        let pa = match self.operand(rec, ipa, 4096) {
            Ok(pa) => pa,
            Err(step) => return step,
        };
        let realm = &self.realms[&self.recs[&rec].owner];
        let mut page = [0; 512];
        page[0] = realm.width;
        page[1] = realm.algorithm;
        page[0x200 / 8..0x240 / 8].copy_from_slice(&realm.rpv);
        self.memory.set_page(pa, &page);
        self.returns(rec, &[SUCCESS])
    }

    fn host_call(&mut self, rec: u64, ipa: u64) -> Step {
        let pa = match self.operand(rec, ipa, 0x100) {
            Ok(pa) => pa,
            Err(step) => return step,
        };
        let imm = self.memory.read(pa).map(|word| word & 0xffff);
        let mut exit = Exit::of(HOST_CALL).with(0x600, Want::known(imm));
        for number in 0..31 {
            let value = self.memory.read(pa + 8 + number * 8);
            exit = exit.with_gpr(number as usize, Want::known(value));
        }
        self.rec(rec).pending = Pending::HostCall(ipa);
        exits(exit, Flight::Done)
    }

    /// The Host's answer goes into the structure; if that is gone, the REC exits at once.
    pub(super) fn complete_host_call(
        &mut self,
        rec: u64,
        ipa: u64,
        enter: &[u64; 512],
    ) -> Option<Exit> {
        match self.place(rec, ipa) {
            Place::Realm(pa) => {
                for (number, &value) in enter[0x200 / 8..][..31].iter().enumerate() {
                    self.memory.write(pa + 8 + number as u64 * 8, Some(value));
                }
            }
            Place::Absent(level) => return Some(Self::absent(ipa, level)),
            _ => {}
        }
        let this = self.rec(rec);
        this.gprs[..4].fill(Some(0));
        this.pending = Pending::Nothing;
        None
    }

    /// Whether `[base, top)` is a range of whole protected pages.
    fn is_protected_range(&self, rec: u64, base: u64, top: u64) -> bool {
        let realm = &self.realms[&self.recs[&rec].owner];
        let aligned = base.is_multiple_of(4096) && top.is_multiple_of(4096);
        aligned && base < top && realm.is_protected(top - 4096)
    }

    fn ipa_state_set(&mut self, rec: u64, x: &[u64; 11]) -> Step {
        let (base, top, ripas, flags) = (x[1], x[2], x[3], x[4]);
        let value = match ripas {
            0 => Ripas::Empty,
            1 => Ripas::Ram,
            _ => return self.returns(rec, &[ERROR_INPUT]),
        };
        if !self.is_protected_range(rec, base, top) {
            return self.returns(rec, &[ERROR_INPUT]);
        }
        let this = self.rec(rec);
        this.pending = Pending::RipasChange;
        this.ripas = RipasChange { addr: base, top, value, change_destroyed: flags & 1 == 1 };
        let exit = Exit::of(RIPAS_CHANGE)
            .with(0x500, Want::Is(base))
            .with(0x508, Want::Is(top))
            .with(0x510, Want::Is(ripas));
        exits(exit, Flight::Done)
    }

    fn ipa_state_get(&mut self, rec: u64, base: u64, end: u64) -> Step {
        if !self.is_protected_range(rec, base, end) {
            return self.returns(rec, &[ERROR_INPUT]);
        }
        let (ripas, _) = self.uniform(rec, base, end);
        let step = self.returns(rec, &[SUCCESS, 0, ripas.code()]);
        // How far the monitor looks is its own business.
        self.rec(rec).gprs[1] = None;
        match step {
            Step::Sees(Pattern::Smc(mut registers)) => {
                registers[1] = None;
                Step::Sees(Pattern::Smc(registers))
            }
            other => other,
        }
    }

    /// The RIPAS at `base`, and how far it is the same, up to `end`.
    fn uniform(&self, rec: u64, base: u64, end: u64) -> (Ripas, u64) {
        let tables = &self.realms[&self.recs[&rec].owner].tables;
        let at = |ipa: u64| {
            let walk = tables.walk(ipa, 3);
            let ripas = match walk.entry() {
                Entry::Unassigned(ripas) | Entry::Assigned(ripas, _) => *ripas,
                other => panic!("protected {ipa:#x} is {other:?}"),
            };
            let size = entry_size(walk.level);
            (ripas, ipa / size * size + size)
        };
        let (ripas, mut top) = at(base);
        while top < end {
            let (next, next_top) = at(top);
            if next != ripas {
                break;
            }
            top = next_top;
        }
        (ripas, top.min(end))
    }

    /// RSI_IPA_STATE_GET got a range that really is uniform, and not empty.
    pub(super) fn check_state_get(
        &self,
        rec: u64,
        arguments: &[u64; 11],
        results: &[u64; 18],
    ) -> Result<(), Divergence> {
        let [call, base, end, ..] = *arguments;
        if call != IPA_STATE_GET || results[0] != SUCCESS {
            return Ok(());
        }
        let (_, most) = self.uniform(rec, base, end);
        let top = results[1];
        if top > base && top <= most && top.is_multiple_of(4096) {
            return Ok(());
        }
        let text =
            format!("IPA_STATE_GET of [{base:#x}, {end:#x}) got {top:#x}, at most {most:#x}");
        Err(Divergence(text))
    }
}
