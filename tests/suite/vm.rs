//! `cargo xtask vm` with a real QEMU and a guest of one sector that says what a test wants and halts.

#![expect(clippy::disallowed_methods, reason = "the binary is run as a shell would")]

use mediabuild::builtin::BUILTINS;
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};

use buildexec::ctx::{Ctx, Env, Globals};
use camino::Utf8Path;
use fs_err as fs;
use vmlab::host;
use vmspec::qemu::Accel;

use super::fixtures::{Lab, has};

/// A lab whose profile `tiny` has an image that boots and says `words`; `None` without the tools.
fn tiny(words: &str) -> Option<Lab> {
    let lab = Lab::new();
    if !has(host::PROGRAM) || !has("xorriso") {
        return None;
    }
    config(&lab, 0);
    lab.write("boot/readme", "");
    fs::write(lab.path("boot/sector.img"), host::boot_sector(words.as_bytes())).unwrap();
    fs::create_dir_all(lab.path("dist/tiny")).unwrap();
    let image = ["-as", "mkisofs", "-quiet", "-o", "dist/tiny/tiny-1-x86_64.iso"];
    let boot = ["-b", "sector.img", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "boot"];
    lab.run("xorriso", &[image.as_slice(), boot.as_slice()].concat()).then_some(lab)
}

fn config(lab: &Lab, ssh_port: u16) {
    let toml = fs::read_to_string(super::repository().join("media.toml")).unwrap();
    let mine = format!(
        "[profile.tiny]\nabout = \"one sector\"\nos = \"linux\"\nversion = \"1\"\nengine = \"prebuilt\"\n\
         [profile.tiny.media]\nkind = \"files\"\nkernel = {{ name = \"k\" }}\ninitrd = {{ name = \"i\" }}\n\
         [profile.tiny.vm]\nmemory = 64\nssh-port = {ssh_port}\ndisks = [{{ size = \"1M\", bus = \"ide\" }}]\n"
    );
    lab.write("media.toml", &format!("{toml}\n{mine}"));
    for file in ["media.lock", "isofs/smoke/cloud-config.yml"] {
        let text = fs::read_to_string(super::repository().join(file)).unwrap_or_default();
        lab.write(file, &text);
    }
}

fn xtask(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new(super::repo::whole_program());
    command.arg("vm").args(args).current_dir(lab.path("")).env("MEDIA_ROOT", lab.path(""));
    command.env_remove("CARGO_TARGET_DIR");
    command
}

fn output(lab: &Lab, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = xtask(lab, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// Whether a process that names `dir` runs.
#[cfg(target_os = "linux")]
fn somebody_uses(dir: &Utf8Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|p| fs::read(p.path().join("cmdline")).ok());
    lines.map(|l| String::from_utf8_lossy(&l).into_owned()).any(|l| l.contains(dir.as_str()))
}

#[test]
fn the_probes_guest_speaks_under_tcg() {
    if !has(host::PROGRAM) {
        return;
    }
    let repository = super::repository();
    let path = std::env::var("PATH").unwrap();
    let env = Env::of(&[("MEDIA_ROOT", repository.as_str()), ("PATH", &path)]);
    let ctx = Ctx::new(Globals::default(), env, BUILTINS).unwrap();
    let program = ctx.find_program(host::PROGRAM).unwrap();
    // A busy host may take longer than the two seconds that KVM gets; it does not do so five times.
    assert!((0..5).any(|_| host::probe(&ctx, &program, Accel::Tcg).unwrap()));
}

/// A running `vm run tiny`; its console comes on standard output.
#[cfg(target_os = "linux")]
fn spawned(lab: &Lab) -> std::process::Child {
    let run = ["run", "tiny", "--from", "cd"];
    xtask(lab, &run).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_switches_the_machine_off_and_leaves_no_process() {
    let Some(lab) = tiny("hello\r\nmedia: done\r\n") else { return };
    let mut run = spawned(&lab);
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    let words = lines.skip_while(|l| !l.ends_with("] hello")).nth(1);
    assert!(words.unwrap().ends_with("] media: done"));
    let dir = lab.utf8("");
    assert!(somebody_uses(&dir));
    let (_, listed, _) = output(&lab, &["ls", "--json"]);
    assert!(listed.contains("\"running\": true"), "{listed}");
    let (code, _, said) = output(&lab, &["run", "tiny", "--from", "cd"]);
    assert!(code == Some(10) && said.contains("running in another `vm run`"), "{said}");
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(!somebody_uses(&dir));
}

/// PXE by QEMU's own ROM, to the boot script; the guest of one sector is not part of it.
#[test]
#[cfg(target_os = "linux")]
fn a_machine_that_boots_from_the_network_finds_the_server_and_ctrl_c_leaves_nothing_of_either() {
    let Some(lab) = tiny("") else { return };
    lab.write("dist/tiny/netboot/boot.html", "#!ipxe\nkernel nowhere ||\nsleep 600\n");
    lab.write("dist/tiny/undionly.kpxe", "for BIOS");
    lab.write("dist/tiny/ipxe.efi", "for UEFI");
    lab.write("tmp/keep", "");
    let mut run = xtask(&lab, &["test", "tiny", "--scenario", "pxe-bios"])
        .env("TMPDIR", lab.path("tmp"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let timeline = lab.path("target/media/vm/runs/001-tiny/pxe-bios/boot-01/timeline.jsonl");
    while !fs::read_to_string(&timeline).unwrap_or_default().contains("\"path\":\"/boot.html\"") {
        if let Some(status) = run.try_wait().unwrap() {
            let said = std::io::read_to_string(run.stderr.take().unwrap()).unwrap();
            assert!(status.success() && said.contains("skipped"), "{said}");
            return super::harness::skip(said.lines().last().unwrap_or_default());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let dir = lab.utf8("");
    assert!(somebody_uses(&dir));
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    // The keeper of `serve` ends what that started once it sees that `serve` is gone.
    let begin = std::time::Instant::now();
    while somebody_uses(&dir) {
        assert!(begin.elapsed() < std::time::Duration::from_secs(20), "a process is left");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let left: Vec<_> = fs::read_dir(lab.path("tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["keep"]);
}

/// The keeper is killed with the run, as when the system ends a whole session: nothing is left to end QEMU.
#[test]
#[cfg(target_os = "linux")]
fn a_machine_that_a_killed_run_left_on_is_taken_back() {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(lab) = tiny("hello\r\nmedia: done\r\n") else { return };
    let mut run = spawned(&lab);
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|l| l.ends_with("] media: done")));
    // A run that stands still kills nothing when its keeper ends.
    kill_process(Pid::from_child(&run), Signal::STOP).unwrap();
    let keepers = fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_keeper = line.contains("__keep") && line.contains(lab.utf8("").as_str());
        Pid::from_raw(process.file_name().to_str()?.parse().ok()?).filter(|_| is_keeper)
    });
    let keepers: Vec<_> = keepers.collect();
    assert_eq!(keepers.len(), 1);
    kill_process(keepers[0], Signal::KILL).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(somebody_uses(&lab.utf8("")));
    let (_, listed, _) = output(&lab, &["ls", "--json"]);
    assert!(listed.contains("\"running\": true"), "{listed}");
    let (code, _, said) = output(&lab, &["run", "tiny", "--from", "cd", "--once"]);
    assert!(code == Some(0) && said.contains("a killed run left it on"), "{code:?} {said}");
    assert!(!somebody_uses(&lab.utf8("")));
}

#[test]
fn a_reset_loop_ends_by_itself_and_a_picture_is_taken() {
    let Some(lab) = tiny("media: done\r\n") else { return };
    let picture = lab.utf8("screen.ppm");
    let args = ["run", "tiny", "--from", "cd", "--reset-loop", "3", "--screenshot", picture.as_str()];
    let (code, _, said) = output(&lab, &args);
    assert_eq!(code, Some(0), "{said}");
    for boot in 1..=3 {
        assert!(said.contains(&format!("boot {boot} of 3: up (")), "{said}");
    }
    assert!(fs::read(picture).unwrap().starts_with(b"P6"));
}

#[test]
fn a_machine_that_hangs_is_named_with_evidence_and_an_exit_code() {
    let Some(lab) = tiny("Linux version 1\r\nKernel panic - not syncing: a test\r\n") else { return };
    let (code, _, said) = output(&lab, &["run", "tiny", "--from", "cd", "--once"]);
    assert_eq!(code, Some(10), "{said}");
    for wanted in ["hung after Linux: panic: `Kernel panic - not syncing: a test`", "console:", "screen:"] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
}

#[test]
fn a_scenario_that_fails_makes_the_run_fail_and_keeps_its_transcripts() {
    let Some(lab) = tiny("Linux version 1\r\nInitramfs unpacking failed: junk\r\n") else { return };
    let args = ["test", "tiny", "--scenario", "iso-cd-bios", "--scenario", "state", "--json"];
    let (code, out, said) = output(&lab, &args);
    assert_eq!(code, Some(10), "{said}");
    let done: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |name| done.as_array().unwrap().iter().find(|d| d["scenario"] == name).unwrap();
    assert_eq!(of("iso-cd-bios")["result"], "failed");
    assert!(of("iso-cd-bios")["why"].as_str().unwrap().contains("wrong-initrd"), "{out}");
    let folder = Utf8Path::new(of("iso-cd-bios")["folder"].as_str().unwrap()).join("boot-01");
    assert!(fs::read_to_string(folder.join("serial.log")).unwrap().contains("Initramfs"));
    assert!(fs::read_to_string(folder.join("timeline.jsonl")).unwrap().contains("\"seconds\":"));
}

#[test]
fn a_forwarded_port_that_is_taken_is_named_before_anything_starts() {
    let Some(lab) = tiny("media: done\r\n") else { return };
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    config(&lab, port);
    let (code, _, said) = output(&lab, &["run", "tiny", "--from", "cd", "--once"]);
    assert!(code == Some(9) && said.contains(&format!("port {port} of 127.0.0.1")), "{said}");
    // The way out that the help names is one.
    assert!(said.contains("`--ssh-port PORT`"), "{said}");
    assert_eq!(output(&lab, &["run", "tiny", "--from", "cd", "--once", "--ssh-port", "0"]).0, Some(0));
}

/// `serve` has `--listen`; here it is ipxe.iso that says which port is asked.
#[test]
fn a_port_of_the_server_that_is_taken_names_what_can_be_done_here() {
    let Some(lab) = tiny("media: done\r\n") else { return };
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let toml = fs::read_to_string(lab.path("media.toml")).unwrap();
    let url = format!("base-url = \"http://127.0.0.1:{port}\"\nengine = \"prebuilt\"\n[profile.tiny.media]");
    lab.write("media.toml", &toml.replace("engine = \"prebuilt\"\n[profile.tiny.media]", &url));
    fs::copy(lab.path("dist/tiny/tiny-1-x86_64.iso"), lab.path("dist/tiny/ipxe.iso")).unwrap();
    lab.write("dist/tiny/netboot/boot.html", "#!ipxe\n");
    let (code, _, said) = output(&lab, &["run", "tiny", "--once"]);
    assert_eq!(code, Some(9), "{said}");
    assert!(said.contains("change `base-url` of tiny") && said.contains("`--from cd`"), "{said}");
    assert!(!said.contains("--listen"), "{said}");
}

#[test]
fn a_dry_rm_says_what_it_would_remove() {
    let Some(lab) = tiny("media: done\r\n") else { return };
    assert_eq!(output(&lab, &["run", "tiny", "--from", "cd", "--once"]).0, Some(0));
    let disk = lab.path("target/media/vm/machines/tiny.qemu/disk0.raw");
    let (code, out, said) = output(&lab, &["rm", "tiny", "--dry-run"]);
    assert!(code == Some(0) && out.contains(&format!("rm {}\n", disk.display())), "{out}{said}");
    assert!(disk.exists());
}

#[test]
fn rm_removes_what_runs_made_and_nothing_else() {
    let Some(lab) = tiny("media: done\r\n") else { return };
    assert_eq!(output(&lab, &["run", "tiny", "--from", "cd", "--once"]).0, Some(0));
    let home = "target/media/vm/machines/tiny.qemu";
    assert_eq!(fs::metadata(lab.path(home).join("disk0.raw")).unwrap().len(), 1 << 20);
    lab.write(&format!("{home}/mine.vdi"), "a person's");
    // What lies deeper counts as well: VirtualBox has the disk in a folder of its own.
    lab.write(&format!("{home}/media-tiny/disk9.vdi"), &"x".repeat(3_000_000));
    let (_, listed, _) = output(&lab, &["ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert!((3_000_000..3_200_000).contains(&listed[0]["bytes"].as_u64().unwrap()), "{listed}");
    fs::remove_dir_all(lab.path(home).join("media-tiny")).unwrap();
    let (code, _, said) = output(&lab, &["rm", "tiny"]);
    assert!(code == Some(0) && said.contains("keeps files that are not ours: mine.vdi"), "{said}");
    assert_eq!(fs::read_to_string(lab.path(home).join("mine.vdi")).unwrap(), "a person's");
    assert!(!lab.path(home).join("disk0.raw").exists());
    fs::remove_file(lab.path(home).join("mine.vdi")).unwrap();
    assert_eq!(output(&lab, &["rm", "tiny"]).0, Some(0));
    assert!(!lab.path(home).exists());
    assert_eq!(output(&lab, &["rm", "tiny"]).0, Some(2));
}

#[test]
fn a_dry_run_prints_one_shells_commands_and_starts_nothing() {
    let Some(lab) = tiny("media: done\r\n") else { return };
    let (code, out, said) = output(&lab, &["run", "tiny", "--from", "usb", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("qemu-img create -q -f raw") && out.contains("-device usb-storage,"), "{out}");
    assert!(!out.contains("& "), "{out}");
    let power = ["run", "tiny", "--from", "usb", "--dry-run", "--shell", "powershell"];
    let (code, out, said) = output(&lab, &power);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("& ") && out.contains("'if=none,id=medium,"), "{out}");
    assert!(!lab.path("target/media/vm/machines").exists());
    // Nor does it need what it would boot, or VirtualBox.
    fs::remove_dir_all(lab.path("dist")).unwrap();
    let (code, out, said) = output(&lab, &["run", "tiny", "--from", "usb", "--dry-run"]);
    assert!(code == Some(0) && out.contains("/dist/tiny/tiny-"), "{out}{said}");
    let (code, out, said) =
        output(&lab, &["run", "tiny", "--from", "cd", "--dry-run", "--backend", "virtualbox"]);
    assert!(code == Some(0) && out.contains(" startvm ") && out.contains("# later, to "), "{out}{said}");
    // From the network it is told the server as well, which `vm run` starts by itself.
    let (_, out, said) = output(&lab, &["run", "smoke", "--dry-run"]);
    let serve = "# in another shell: cargo xtask serve smoke --listen ";
    assert!(out.contains(&format!("{serve}127.0.0.1:8089\n")), "{out}{said}");
    // With VirtualBox, the address is there only once the interface has it.
    let (_, out, said) = output(&lab, &["run", "smoke", "--dry-run", "--backend", "virtualbox"]);
    let at = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text} in {out}{said}"));
    assert!(at("storageattach") < at(serve) && at(serve) < at("startvm"), "{out}");
    if cfg!(target_os = "linux") {
        assert!(at("hostonlyif ipconfig") < at(serve), "{out}");
    }
}
