use super::*;
use crate::drive::Flow;
use std::net::TcpListener;

/// The parameters that TF-A 2.12.1 documents for a model with RME, without the three paths
/// (`docs/components/realm-management-extension.rst`, "Running FVP"); `*` stands for both clusters.
const DOCUMENTED: &str = "
    bp.refcounter.non_arch_start_at_default=1 bp.refcounter.use_real_time=0 bp.ve_sysregs.exit_on_shutdown=1
    cache_state_modelled=1 bp.dram_size=4 bp.secure_memory=0 pci.pci_smmuv3.mmu.SMMU_ROOT_IDR0=3
    pci.pci_smmuv3.mmu.SMMU_ROOT_IIDR=0x43B pci.pci_smmuv3.mmu.root_register_page_offset=0x20000
    *.NUM_CORES=4 *.PA_SIZE=48 *.ecv_support_level=2 *.gicv3.cpuintf-mmap-access-level=2
    *.gicv3.without-DS-support=1 *.gicv4.mask-virtual-interrupt=1 *.has_arm_v8-6=1 *.has_amu=1
    *.has_branch_target_exception=1 *.rme_support_level=2 *.has_rndr=1 *.has_v8_7_pmu_extension=2
    *.max_32bit_el=-1 *.stage12_tlb_size=1024 *.check_memory_attributes=0 *.ish_is_osh=1
    *.restriction_on_speculative_execution=2 *.restriction_on_speculative_execution_aarch32=2
    pctl.startup=0.0.0.0 bp.smsc_91c111.enabled=1 bp.hostbridge.userNetworking=1";

fn model(program: &Path, folder: &Path) -> Model {
    Model {
        program: program.to_path_buf(),
        bl1: "out/bl1.bin".into(),
        fip: "out/fip.bin".into(),
        loads: vec![Load { file: "My Image".into(), address: platform_fvp::KERNEL.start }],
        disk: Some("rootfs.ext4".into()),
        el3_log: folder.join("el3.log"),
        messages: folder.join("model.log"),
    }
}

#[test]
fn the_command_line_has_every_documented_parameter_once() {
    let arguments = model(Path::new("fvp"), Path::new("out")).arguments();
    let given: Vec<&str> =
        arguments.chunks(2).filter(|pair| pair[0] == "-C").map(|pair| pair[1].as_str()).collect();
    let clusters = |text: &str| match text.strip_prefix('*') {
        Some(rest) => vec![format!("cluster0{rest}"), format!("cluster1{rest}")],
        None => vec![text.to_owned()],
    };
    let mut wanted: Vec<String> = DOCUMENTED.split_whitespace().flat_map(clusters).collect();
    wanted.extend([
        "bp.secureflashloader.fname=out/bl1.bin".to_owned(),
        "bp.flashloader0.fname=out/fip.bin".to_owned(),
        "bp.virtioblockdevice.image_path=rootfs.ext4".to_owned(),
    ]);
    assert_eq!(wanted.len(), 12 + 2 * 18 + 3);
    for parameter in &wanted {
        assert_eq!(given.iter().filter(|text| *text == parameter).count(), 1, "{parameter}");
    }
    // Nothing contradicts them: what is beyond the documented list is ours.
    for parameter in given.iter().filter(|text| !wanted.iter().any(|other| other == *text)) {
        let ours = OURS.contains(parameter) || parameter.starts_with("bp.pl011_uart1.out_file=");
        assert!(ours, "{parameter}");
    }
    assert!(
        arguments.ends_with(&["--data".to_owned(), "cluster0.cpu0=My Image@0x8a100000".to_owned()])
    );
}

#[test]
fn the_printed_command_line_survives_a_shell() {
    let folder = scratch("print");
    let program = folder.join("show");
    script(&program, "printf '%s\\n' \"$@\"");
    let model = model(&program, &folder);
    let output = Command::new("sh").arg("-c").arg(model.command_line()).output().unwrap();
    let words: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(words, model.arguments());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn announcements_are_understood() {
    let line = "terminal_3: Listening for serial connection on port 5007";
    assert_eq!(announced(line), Some((3, 5007)));
    for other in ["", "terminal_0: busy", "Listening for serial connection on port 5000"] {
        assert_eq!(announced(other), None, "{other}");
    }
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cairn-model-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Makes an executable shell script.
fn script(path: &Path, body: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o755).open(path).unwrap();
    file.write_all(format!("#!/bin/sh\n{body}\n").as_bytes()).unwrap();
}

/// A model that is this test program itself, in the role of [`stand_in`].
fn stand_in_model(folder: &Path, role: &str) -> Model {
    let program = folder.join("model");
    let this = std::env::current_exe().unwrap();
    let body = format!(
        "printf '%s\\n' \"$@\" > '{}'\nCAIRN_STAND_IN={role} exec '{}' fvp::model::tests::stand_in --exact \
         --ignored --nocapture",
        folder.join("arguments").display(),
        this.display()
    );
    script(&program, &body);
    model(&program, folder)
}

/// Not a test: what the model does, as far as the tool sees it. Started by the tests below.
#[test]
#[ignore = "the stand-in for the model, started by other tests"]
fn stand_in() {
    let Ok(role) = std::env::var("CAIRN_STAND_IN") else { return };
    let listen = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let ports: Vec<TcpListener> = (0..4).map(|_| listen()).collect();
    println!("Fast Models [11.27.19]");
    for (number, port) in ports.iter().enumerate() {
        let port = port.local_addr().unwrap().port();
        println!("terminal_{number}: Listening for serial connection on port {port}");
    }
    let mut console = ports[0].accept().unwrap().0;
    let mut monitor = ports[3].accept().unwrap().0;
    console.write_all(b"NOTICE:  BL1: booting\r\n").unwrap();
    monitor.write_all(&[0xc0, 0x80 | 1, 0xc1]).unwrap();
    if role == "hang" {
        std::thread::sleep(Duration::from_secs(100));
    }
    // Wait for the answer, so that both directions are seen.
    let mut answer = [0; 3];
    std::io::Read::read_exact(&mut console, &mut answer).unwrap();
    console.write_all(b"got ").unwrap();
    console.write_all(&answer).unwrap();
}

#[derive(Default)]
struct Heard(Vec<u8>);

impl Listener for Heard {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        self.0.extend(bytes);
        Ok(Flow::Continue)
    }

    fn typed(&mut self, _: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        Ok(Flow::Continue)
    }

    fn takes_progress(&mut self) -> bool {
        false
    }
}

#[test]
fn both_serial_ports_reach_the_listener_and_typing_reaches_the_machine() {
    let folder = scratch("ports");
    let model = stand_in_model(&folder, "boot");
    let mut running = model.start().unwrap();
    running.normal_world.as_mut().unwrap().write_all(b"ls\n").unwrap();
    let mut heard = Heard::default();
    let ended = running.drive(&mut heard, false, Some(Duration::from_secs(60))).unwrap();
    assert!(matches!(ended, Ended::ByItself(status) if status.success()), "{ended:?}");
    let text: Vec<u8> = heard.0.iter().copied().filter(u8::is_ascii).collect();
    assert_eq!(text, b"NOTICE:  BL1: booting\r\ngot ls\n");
    let frame: Vec<u8> = heard.0.iter().copied().filter(|byte| !byte.is_ascii()).collect();
    assert_eq!(frame, [0xc0, 0x81, 0xc1]);
    let arguments = std::fs::read_to_string(folder.join("arguments")).unwrap();
    assert_eq!(arguments.lines().map(str::to_owned).collect::<Vec<_>>(), model.arguments());
    assert!(running.messages().contains("Listening"), "{}", running.messages());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_model_that_says_nothing_any_more_is_ended() {
    let folder = scratch("hang");
    let mut running = stand_in_model(&folder, "hang").start().unwrap();
    let pid = running.group.child().id();
    let patience = Duration::from_secs(1);
    let ended = running.drive(&mut Heard::default(), false, Some(patience)).unwrap();
    assert!(matches!(ended, Ended::NoProgress), "{ended:?}");
    drop(running);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_model_that_does_not_start_says_why() {
    let folder = scratch("fails");
    let program = folder.join("model");
    script(&program, "echo 'ERROR: license check failed' >&2; exit 1");
    let error = model(&program, &folder).start().unwrap_err().to_string();
    assert!(error.contains("license check failed"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
