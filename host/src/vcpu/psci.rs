//! PSCI calls of the guest that need the host.
//!
//! The monitor keeps the state of each REC and checks the calls; the host decides, and starts and
//! stops the CPUs that run the RECs.
//!
//! Source: Arm PSCI (DEN0022) 1.1; RMM specification (Arm DEN0137) 1.0, "PSCI exits".

use super::exits::Next;
use super::run::Context;
use crate::failure::Failure;
use crate::ipa;
use crate::rmi::run::RecExit;

/// SMC32 function numbers; bit 30 makes the SMC64 form.
mod function {
    pub(super) const CPU_SUSPEND: u64 = 0x8400_0001;
    pub(super) const CPU_OFF: u64 = 0x8400_0002;
    pub(super) const CPU_ON: u64 = 0x8400_0003;
    pub(super) const AFFINITY_INFO: u64 = 0x8400_0004;
    pub(super) const SYSTEM_OFF: u64 = 0x8400_0008;
    pub(super) const SYSTEM_RESET: u64 = 0x8400_0009;
    pub(super) const SMC64: u64 = 1 << 30;
}

/// Serves a PSCI exit.
pub(super) fn handle(context: &Context<'_>, exit: &RecExit) -> Result<Next, Failure> {
    let Context { host, realm, vcpu } = context;
    let [call, target, ..] = exit.gprs;
    match call & !function::SMC64 {
        function::CPU_SUSPEND => Ok(Next::Sleep { until: None }),
        function::CPU_OFF => {
            host.log(format_args!("CPU {} of the guest is off", vcpu.index));
            Ok(Next::Off)
        }
        function::CPU_ON => {
            let target = complete(context, target)?;
            if let Some(other) = realm.vcpus.get(target) {
                other.start();
                other.kick(host);
                host.log(format_args!("the guest starts its CPU {target}"));
            }
            Ok(Next::ENTER)
        }
        function::AFFINITY_INFO => complete(context, target).map(|_| Next::ENTER),
        function::SYSTEM_OFF | function::SYSTEM_RESET => {
            let what = if call == function::SYSTEM_OFF { "powers off" } else { "resets" };
            host.log(format_args!("the guest {what}"));
            realm.stop(host);
            Ok(Next::Off)
        }
        _ => {
            host.log(format_args!("ignored PSCI call {call:#x}"));
            Ok(Next::ENTER)
        }
    }
}

/// Completes a call that names another CPU; gives back that CPU's index.
fn complete(context: &Context<'_>, mpidr: u64) -> Result<usize, Failure> {
    let index = usize::try_from(ipa::rec_index(mpidr)).unwrap_or(usize::MAX);
    let other = context.realm.vcpus.get(index).ok_or_else(|| {
        failure!("the monitor passed on a PSCI call for {mpidr:#x}, which is no CPU of the guest")
    })?;
    let (caller, target) = (context.vcpu.rec.unwrap_or(0), other.rec.unwrap_or(0));
    context.host.dialect().complete_cpu_on(context.host, caller, target)?;
    Ok(index)
}
