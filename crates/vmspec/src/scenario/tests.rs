use core::net::Ipv4Addr;

use super::*;
use crate::{qemu, quote};

fn dist() -> Dist {
    Dist {
        iso: "dist/smoke.iso".into(),
        ipxe_iso: Some("dist/ipxe.iso".into()),
        ipxe_uefi: true,
        ipxe_programs: true,
        network: Ok(VmSpec::default().host_only),
        config_initrd: true,
        embed_areas: true,
        netboot_config: None,
        signed: true,
        speaks: true,
        login: None,
        state_label: None,
        secure_boot: true,
        own_key: Some("secure-boot.cer".into()),
        own_kernel: true,
        tells_secure_boot: true,
        registers: true,
        initrd_bytes: 3 << 20,
    }
}

#[test]
fn the_command_of_every_scenario() {
    let host = qemu::QemuHost {
        program: "qemu-system-x86_64".to_owned(),
        accel: Accel::Tcg,
        ovmf: Some(qemu::Ovmf::Whole("OVMF.fd".into())),
        secure: Some(qemu::Ovmf::Split { code: "SECURE.fd".into(), vars: "KEYS.fd".into() }),
    };
    let (spec, dist) = (VmSpec::default(), dist());
    let mut text = String::new();
    for scenario in ALL {
        let machine =
            scenario.machine(&spec, dist.network.as_ref().ok(), "run".into(), "run/medium.iso".into());
        let watch = qemu::Watch { control: true, window: false, trace: Some("run/net.pcap".into()) };
        let cmd = qemu::command(&machine, &host, &watch).unwrap();
        text +=
            &format!("# {}: {}\n{}\n", scenario.name, scenario.about, quote::line(&cmd, quote::Shell::Sh));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn names_are_unique() {
    for table in [ALL, CONTAINERS] {
        let names: std::collections::BTreeSet<_> = table.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), table.len());
    }
}

#[test]
fn what_cannot_be_shown_says_why() {
    let find = |name| ALL.iter().find(|s| s.name == name).unwrap();
    let mute = Dist { speaks: false, ..dist() };
    let cases: [(&str, Dist, bool, &str); 14] = [
        ("secure-boot-cd", dist(), false, "no UEFI firmware"),
        ("unsigned-grub", Dist { secure_boot: false, ..dist() }, true, "nothing of this profile is signed"),
        ("measured-boot", Dist { registers: false, ..dist() }, true, "predicts no registers"),
        ("measured-kargs", Dist { tells_secure_boot: false, ..dist() }, true, "does not say"),
        ("iso-cd-uefi", dist(), false, "no UEFI firmware"),
        ("netboot-uefi", Dist { ipxe_uefi: false, ..dist() }, true, "nothing for UEFI"),
        ("netboot-bios", Dist { ipxe_iso: None, ..dist() }, true, "ipxe.iso is missing"),
        ("pxe-bios", Dist { ipxe_programs: false, ..dist() }, true, "ipxe.efi is missing"),
        ("netboot-bios", Dist { network: Err("a name".to_owned()), ..dist() }, true, "a name"),
        ("state", mute.clone(), true, "name no state disk"),
        ("power-cut", mute.clone(), true, "no `media: ` facts"),
        ("cloud-config", mute, true, "no `media: ` facts"),
        ("ssh", dist(), true, "no SSH login"),
        ("cloud-config", Dist { config_initrd: false, ..dist() }, true, "no area"),
    ];
    for (name, dist, uefi, expected) in cases {
        let scenario = find(name);
        let why =
            scenario.obstacle_of_qemu(uefi, uefi).or_else(|| scenario.obstacle(&dist)).unwrap_or_default();
        assert!(why.contains(expected), "{name}: {why}");
    }
    let shown = |dist: &Dist| ALL.iter().filter(|s| s.obstacle(dist).is_none()).count();
    let changed = |s: &&Scenario| {
        let containers = matches!(s.proof, Proof::Containers(_));
        s.start == Start::Netboot && (s.fetches_config() || containers)
    };
    let changed = ALL.iter().filter(changed).count();
    assert_eq!(shown(&dist()), ALL.len() - 1 - changed, "all but SSH and what changes a signed script");
    let unsigned = Dist { signed: false, ..dist() };
    assert_eq!(shown(&unsigned), ALL.len() - 1, "all but SSH");
    let genuine = Dist {
        signed: false,
        speaks: false,
        login: Some("rancher".to_owned()),
        state_label: Some("RANCHER_STATE".to_owned()),
        ..dist()
    };
    let untold: Vec<&str> = ALL.iter().filter(|s| s.obstacle(&genuine).is_some()).map(|s| s.name).collect();
    assert_eq!(untold, ["power-cut", "no-cloud-config", "guest-panic"]);
}

#[test]
fn a_guest_that_tells_nothing_is_known_by_the_host_name_at_its_login_prompt() {
    let spec = VmSpec { ready: "login:".to_owned(), ..VmSpec::default() };
    let mute = Dist { speaks: false, ..dist() };
    let ready = |name, dist: &Dist| {
        let scenario = ALL.iter().find(|s| s.name == name).unwrap();
        scenario.want(dist, &spec, "0af1", Accel::Tcg).ready
    };
    for name in ["cloud-config", "netboot-config", "ssh"] {
        assert_eq!(ready(name, &mute), "media-0af1 login:");
    }
    assert_eq!(
        (ready("iso-cd-bios", &mute), ready("cloud-config", &dist())),
        ("login:".into(), "login:".into())
    );
}

#[test]
fn virtualbox_shows_all_but_what_it_has_not() {
    let shown = |system| ALL.iter().filter(|s| s.obstacle_of_virtualbox(system).is_none()).count();
    let usb = ALL.iter().filter(|s| s.start == Start::Iso(Attach::Usb)).count();
    let netboot = ALL.iter().filter(|s| s.start.is_ipxe_iso()).count();
    let network = ALL.iter().filter(|s| matches!(s.start, Start::Network(_))).count();
    assert_eq!(
        shown(System::Linux),
        ALL.len() - usb - network - 2 - 5 - 2,
        "nor no-dhcp, revoked-shim, another clock, own-key-netboot, a TPM"
    );
    assert_eq!(shown(System::MacOs), ALL.len() - usb - network - netboot - 3, "nor revoked-shim, a TPM");
}

#[test]
fn only_the_machines_that_need_it_have_a_disk_or_a_network() {
    let host = HostOnly { host: Ipv4Addr::new(10, 0, 0, 1), ..VmSpec::default().host_only };
    for scenario in ALL {
        let m = scenario.machine(&VmSpec::default(), Some(&host), "d".into(), "m".into());
        assert_eq!(m.disks.len(), usize::from(["state", "power-cut"].contains(&scenario.name)));
        assert_eq!(m.nics.is_empty(), !scenario.start.is_ipxe_iso(), "{}", scenario.name);
    }
}
