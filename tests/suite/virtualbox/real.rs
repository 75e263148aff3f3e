//! Real processes: a shell script in VBoxManage's place, found on the search path and told what it needs to know.

use mediabuild::builtin::BUILTINS;
use std::os::unix::fs::PermissionsExt as _;

use buildexec::ctx::{Ctx, Env, Globals};
use camino::{Utf8Path, Utf8PathBuf};
use failure::{Kind, kind_of};
use fs_err as fs;
use vmlab::virtualbox::VirtualBox;
use vmspec::{Attach, DiskFormat, Machine, Medium, VmSpec};

/// Writes down its arguments where VirtualBox has its settings, and answers what a new installation would.
const SCRIPT: &str = r#"#!/bin/sh
set -eu
echo "$*" >> "$VBOX_USER_HOME/log"
case "$*" in
    --version) echo 7.2.22r170000 ;;
    "list hostonlyifs") printf 'Name:            vboxnet0\nIPAddress:       192.168.56.1\nNetworkMask:     255.255.255.0\nStatus:          Up\nVBoxNetworkName: HostInterfaceNetworking-vboxnet0\n\n' ;;
    "list dhcpservers") printf 'NetworkName:    HostInterfaceNetworking-vboxnet0\nDhcpd IP:       192.168.56.100\nLowerIPAddress: 192.168.56.101\nUpperIPAddress: 192.168.56.254\nNetworkMask:    255.255.255.0\nEnabled:        Yes\n' ;;
    "list "*) ;;
    "hostonlyif ipconfig"*|createvm*|modifyvm*|storagectl*|createmedium*|storageattach*) ;;
    *) echo "VBoxManage: error: Invalid command '$1'" >&2; exit 2 ;;
esac
"#;

struct Fixture {
    root: Utf8PathBuf,
    ctx: Ctx,
    machine: Machine,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let root = buildexec::paths::real(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    let bin = root.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("VBoxManage"), SCRIPT).unwrap();
    fs::set_permissions(bin.join("VBoxManage"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{bin}:/usr/bin:/bin");
    let env = Env::of(&[
        ("PATH", &path),
        ("MEDIA_ROOT", root.as_str()),
        ("VBOX_USER_HOME", root.as_str()),
        ("CARGO_TARGET_DIR", root.as_str()),
    ]);
    let ctx = Ctx::new(Globals { quiet: true, ..Globals::default() }, env, BUILTINS).unwrap();
    let medium = Medium { path: root.join("m.iso"), attach: Attach::Cd };
    let machine = VmSpec::default().machine("smoke", &root.join("vm/smoke"), Some(medium), DiskFormat::Vdi);
    Fixture { root, ctx, machine, _dir: dir }
}

impl Fixture {
    fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap()
    }
}

/// The header and the block table of an image without blocks.
fn empty_image() -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[0x40..0x44].copy_from_slice(&0xbeda_107f_u32.to_le_bytes());
    image
}

#[test]
fn a_program_on_the_search_path_gets_the_settings_folder() {
    let f = fixture();
    let base = f.root.join("vm");
    let settings = base.join("smoke/smoke.vbox");
    fs::create_dir_all(base.join("smoke")).unwrap();
    fs::write(&settings, "<Machine uuid=\"{00000000-1111-4222-8333-444444444444}\"").unwrap();
    fs::write(base.join("smoke/disk0.vdi"), empty_image()).unwrap();
    let mut vm = VirtualBox::open(&f.ctx, &base, "smoke").unwrap();
    let transcript = f.root.join("command.txt");
    vm.host.write_down(transcript.clone());
    vm.prepare(&f.machine).unwrap();
    let log = f.log();
    assert!(log.contains(&format!("createvm --name smoke --platform-architecture x86 --ostype Linux_64 --basefolder {base} --uuid {} --register\n", vm.place.uuid)), "{log}");
    assert!(!log.contains("createmedium"), "the image that is there is taken: {log}");
    assert!(!settings.exists() && base.join("smoke/smoke.vbox.old").exists());
    let transcript = fs::read_to_string(transcript).unwrap();
    assert!(
        transcript.contains("\nmv ") && transcript.contains("--storagectl 'IDE Controller'"),
        "{transcript}"
    );
    assert!(!transcript.contains("list vms"), "questions are not part of it: {transcript}");
    let error = vm.reset().unwrap_err();
    assert!(error.to_string().ends_with("Invalid command 'controlvm'"), "{error}");
}

#[test]
fn one_run_at_a_time_has_a_machine() {
    let f = fixture();
    let open = || VirtualBox::open(&f.ctx, &f.root.join("vm"), "smoke").unwrap();
    let (mut first, mut second) = (open(), open());
    first.host.hold(&first.place).unwrap();
    let error = second.host.hold(&second.place).unwrap_err();
    assert_eq!(kind_of(&error), Some(Kind::Boot));
    assert_eq!(error.to_string(), "another run has the machine `smoke`");
    drop(first);
    second.host.hold(&second.place).unwrap();
}

#[test]
fn without_virtualbox_the_guess_is_a_new_installation() {
    let f = fixture();
    fs::remove_file(f.root.join("bin/VBoxManage")).unwrap();
    let todo = vmlab::virtualbox::guess(&f.ctx, &f.root.join("vm"), "smoke", &f.machine).unwrap();
    assert!(todo.notes.iter().any(|n| n.contains("not installed")));
    // Why nothing makes the DHCP server that the documentation describes.
    let told = todo.notes.iter().any(|n| n.contains("DHCP server of vboxnet0 already, at 192.168.56.100"));
    let made = todo.steps.iter().any(|s| s.why().contains("DHCP server"));
    assert_eq!((told, made), (cfg!(target_os = "linux"), cfg!(windows)));
    assert_eq!(todo.steps[0].why(), "create the machine `smoke`");
}
