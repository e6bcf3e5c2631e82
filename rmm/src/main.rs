//! The image. It decides nothing: it ties the boot path of `rmm-arch` to the manifest parser, the
//! shared state and the commands.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod image {
    use granule::GranuleTable;
    use machine::{CpuFacts, El3Interface, Event, Page};
    use realm::{Rmm, Shared};
    use rmm_arch::boot::{BootArgs, BootCode, ColdEnv, Firmware, ImageSpan, Layout};
    use rmm_arch::cpu::Cpu;
    use rmm_arch::el3;
    use spin::Once;

    /// The monitor as firmware.
    struct Cairn;

    rmm_arch::firmware!(Cairn);

    /// What all CPUs share, from cold boot on.
    static SHARED: Once<Shared<'static>> = Once::new();

    impl Firmware for Cairn {
        fn plan(args: &BootArgs, image: &ImageSpan, manifest: &Page) -> Result<Layout, BootCode> {
            rmm::boot::plan(args, image, manifest)
        }

        fn cold_init(env: ColdEnv, cpu: &Cpu<Self>) -> Result<(), BootCode> {
            rmm::boot::announce(&env, cpu.el3_features());
            let reserved = env.layout.reserved.clone();
            let granules =
                GranuleTable::new(env.layout.banks, env.words).ok_or(BootCode::Unknown)?;
            let attestation = attest::key::fetch(cpu)
                .inspect_err(|error| rmm::boot::announce_no_key(error.reason()))
                .ok();
            let el3 = el3::interface(env.args.interface).ok_or(BootCode::InterfaceVersion)?;
            SHARED.call_once(|| Shared {
                attestation,
                el3,
                reserved,
                ..Shared::new(granules, env.facts)
            });
            Ok(())
        }

        fn warm_init(facts: &CpuFacts, cpu: &Cpu<Self>) -> Result<(), BootCode> {
            let Some(shared) = SHARED.get() else { return Err(BootCode::Unknown) };
            match rmm::boot::difference(&shared.facts, facts) {
                None => Ok(()),
                Some(difference) => {
                    rmm::boot::announce_stranger(cpu.index(), difference);
                    Err(BootCode::Unknown)
                }
            }
        }

        fn serve(cpu: Cpu<Self>) -> ! {
            defmt::debug!("CPU {=u64} is up", cpu.index());
            let Some(shared) = SHARED.get() else { unreachable!("cold boot comes first") };
            let rmm = Rmm::new(&cpu, shared);
            let mut request = cpu.boot_complete();
            // perf: a loop for each interface, not a choice at each call (`version`).
            match shared.el3 {
                El3Interface::V0 => loop {
                    rmm::handle(&rmm, &mut request);
                    let [x0, x1, x2, x3, x4, ..] = request;
                    request = cpu.complete_short([x0, x1, x2, x3, x4]);
                },
                El3Interface::V2 => loop {
                    rmm::handle(&rmm, &mut request);
                    request = cpu.complete(request);
                },
            }
        }

        #[inline]
        fn log(event: Event<'_>) {
            rmm::log::log(event);
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
