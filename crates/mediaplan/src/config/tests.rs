//! What is wrong in a media.toml is told all at once, each under its profile.

use super::*;

/// Ours, with changes: each text that is replaced is there.
fn changed(changes: &[(&str, &str)]) -> Result<Config> {
    let mut text = include_str!("../../../../media.toml").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Config::parse(&text)
}

/// What is said of it.
fn wrong(changes: &[(&str, &str)]) -> Vec<String> {
    let error = changed(changes).unwrap_err();
    assert_eq!(failure::kind_of(&error), Some(Kind::Config));
    format!("{:#}", error.chain().nth(1).expect("the reasons")).lines().map(str::to_owned).collect()
}

#[test]
fn everything_that_is_wrong_outside_of_profiles_is_told_at_once() {
    let said = wrong(&[
        ("default-profile = \"docker\"", "default-profile = \"podman\""),
        ("version = \"2.0.0\"", "version = \"../2\""),
        ("12798ec29aa8a64d8675c4378b99f5fe28447afb", "main"),
        ("https://github.com/ipxe/ipxe\"", "--upload-pack=touch x\""),
        ("keys = [\n  \"04B54C3CDCA79751B16BC6B5225629DF75B188BD\"", "keys = [\n  \"04B5\""),
    ]);
    for part in [
        "default-profile `podman` is not a profile",
        "ipxe.version `../2` is not a version",
        "ipxe.repositories: `--upload-pack=touch x` begins with `-`",
        "ipxe.commit `main` is not 40 hex digits",
        "distribution.keys: `04B5` is not 40 hex digits",
    ] {
        assert_eq!(said.iter().filter(|line| line.starts_with(part)).count(), 1, "{part}: {said:?}");
    }
    assert_eq!(said.len(), 5, "{said:?}");
}

#[test]
fn everything_that_is_wrong_in_profiles_is_told_under_their_names() {
    let said = wrong(&[
        (
            "[profile.linux]",
            "[profile.Linux]\nnic = \"net 0\"\nbase-url = \"tftp://x\"\ncloud-config = \"../c\"",
        ),
        ("[profile.linux.media]", "[profile.Linux.media]"),
        (
            "os = \"linux\"\nversion = \"1\"",
            "os = \"linux-9\"\nversion = \"a/b\"\nsecure-boot = \"distribution\"",
        ),
        ("{ name = \"vmlinuz\" }", "{ name = \"../vmlinuz\", urls = [\"ftp://x/vmlinuz\"] }"),
        ("about = \"BurmillaOS", "secure-boot = \"own-key\"\nabout = \"BurmillaOS"),
        ("version = \"1.5.8\"\n", ""),
        ("# containers = [\"image.tar\"]", "containers = [\"/etc/image.tar\"]"),
    ]);
    for part in [
        "profile.Linux: the name may hold lower-case letters",
        "profile.Linux: version `a/b` is not a valid file name",
        "profile.Linux: nic `net 0` is not an interface of iPXE",
        "profile.Linux: os: ",
        "profile.Linux: base-url `tftp://x`: must begin with http",
        "profile.Linux: cloud-config must be a path below isofs",
        "profile.Linux: secure-boot = \"distribution\" takes a kernel that the distribution signed",
        "profile.Linux: `../vmlinuz` is not a valid file name",
        "profile.Linux: `ftp://x/vmlinuz` must begin with http",
        "profile.burmillaos: secure-boot = \"own-key\" needs a certificate",
        "profile.rancheros: version is missing",
        "profile.docker: containers: `/etc/image.tar` must be a path below isofs",
    ] {
        assert_eq!(said.iter().filter(|line| line.starts_with(part)).count(), 1, "{part}: {said:?}");
    }
    assert_eq!(said.len(), 12, "{said:?}");
}

#[test]
fn a_profile_has_a_name_that_every_system_can_have_as_a_folder() {
    let said = |name: &str| {
        let changes = [
            ("[profile.linux]", format!("[profile.\"{name}\"]")),
            ("[profile.linux.media]", format!("[profile.\"{name}\".media]")),
        ];
        let changes = changes.each_ref().map(|(from, to)| (*from, to.as_str()));
        changed(&changes).map(|_| ()).map_err(|e| format!("{:#}", e.chain().nth(1).expect("the reasons")))
    };
    for good in ["l", "a-1", "com", "com0", "com10", "console", "auxiliary", &"x".repeat(64)] {
        assert_eq!(said(good), Ok(()), "{good}");
    }
    for bad in ["con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9"] {
        assert_eq!(said(bad), Err(format!("profile.{bad}: Windows cannot have a folder of this name")));
    }
    assert!(said(&"x".repeat(65)).unwrap_err().contains("longer than 64 characters"));
    for bad in
        ["", "-rf", "..", "a/b", "a b", "1", "L", "sm\u{43e}ke", "\u{fb01}", "a\u{200b}", "a\u{301}", "con."]
    {
        assert!(said(bad).unwrap_err().contains("the name may hold lower-case letters"), "{bad}");
    }
}

const SIGNED: &str = "about = \"RancherOS 1.5.8,";

#[test]
fn a_signed_ipxe_of_others_has_names_that_its_shim_finds_and_no_roots_of_ours() {
    let signed = |loads: &str, program: &str| {
        format!(
            "ipxe.signed = {{ shim = {{ name = \"shim.efi\" }}, program = {{ name = \"{program}\" }}, \
             loads = \"{loads}\" }}\n{SIGNED}"
        )
    };
    let config = changed(&[(SIGNED, &signed("ipxe.efi", "ipxe-{version}.efi"))]).unwrap();
    let names: Vec<_> =
        config.profile(Some("rancheros")).unwrap().released().iter().map(|r| r.name.clone()).collect();
    assert_eq!(names, ["rancheros.iso", "shim.efi", "ipxe-1.5.8.efi"]);
    for (loads, program, part) in [
        ("efi/ipxe.efi", "i.efi", "is not the name of an EFI program"),
        ("ipxe.bin", "i.efi", "is not the name of an EFI program"),
        ("snponly.efi", "i.efi", "is the name of another program here"),
        ("ipxe.efi", "shim.efi", "shim and program have the same name"),
    ] {
        let said = wrong(&[(SIGNED, &signed(loads, program))]);
        assert!(said.len() == 1 && said[0].contains(part), "{said:?}");
    }
    let roots = "[netboot]\ntrust = \"signed\"\nroots = [\"keys/root.crt\"]\n\n[distribution]\n";
    let said = wrong(&[(SIGNED, &signed("ipxe.efi", "i.efi")), ("[distribution]\n", roots)]);
    assert!(said.len() == 1 && said[0].contains("knows none of your roots"), "{said:?}");
}

#[test]
fn who_signs_is_told_in_one_line_for_each_kind_of_profile() {
    let own = "[secure-boot]\ncertificate = \"keys/sb.crt\"\n\n[distribution]\n";
    let config = changed(&[
        ("[distribution]\n", own),
        ("about = \"BurmillaOS", "secure-boot = \"own-key\"\nabout = \"BurmillaOS"),
    ])
    .unwrap();
    let profile = |name| config.profile(Some(name)).unwrap();
    assert_eq!(
        ["docker", "burmillaos", "linux"].map(|name| profile(name).secure_boot),
        [SecureBoot::Distribution, SecureBoot::OwnKey, SecureBoot::Off]
    );
    assert_eq!(profile("burmillaos").certificate.as_deref(), Some("keys/sb.crt"));
    assert_eq!(profile("docker").certificate, None);
    let said = wrong(&[
        ("[distribution]\n", &own.replace("keys/sb.crt", "../sb.crt")),
        ("about = \"BurmillaOS", "secure-boot = \"own-key\"\nabout = \"BurmillaOS"),
    ]);
    assert_eq!(
        said,
        ["profile.burmillaos: secure-boot.certificate: `../sb.crt` is not a path inside the repository"]
    );
}

#[test]
fn a_profile_that_is_missing_is_a_usage_error_with_the_names() {
    let error = changed(&[]).unwrap().profile(Some("podman")).unwrap_err();
    assert_eq!(failure::kind_of(&error), Some(Kind::Usage));
    assert!(error.to_string().contains("no profile `podman`"), "{error}");
    let error = Config::parse("profile = 1").unwrap_err();
    assert_eq!(error.to_string(), "media.toml cannot be read");
}

#[test]
fn a_commit_is_forty_hex_digits_and_no_more_or_fewer() {
    let commit = "12798ec29aa8a64d8675c4378b99f5fe28447afb";
    for bad in [&commit[1..], &format!("{commit}0"), &commit.replace('b', "g")] {
        assert_eq!(wrong(&[(commit, bad)]), [format!("ipxe.commit `{bad}` is not 40 hex digits")]);
    }
}

#[test]
fn signed_netboot_names_roots_that_lie_in_the_repository() {
    let netboot = |text: &str| format!("[netboot]\ntrust = \"signed\"\n{text}\n[distribution]\n");
    let said = wrong(&[("[distribution]\n", &netboot(""))]);
    assert!(said.len() == 1 && said[0].contains("but netboot.roots names no certificate"), "{said:?}");
    let said = wrong(&[("[distribution]\n", &netboot("roots = [\"keys/root.crt\", \"../root.crt\"]"))]);
    assert_eq!(said, ["netboot.roots: `../root.crt` is not a path inside the repository"]);
}

#[test]
fn what_media_toml_leaves_out_has_these_values() {
    let config = changed(&[]).unwrap();
    let profile = config.profile(Some("linux")).unwrap();
    assert_eq!((profile.timeout, profile.base_url.to_string().as_str()), (2000, "http://192.168.56.1:8089"));
    for archive in config.distribution.archives.values() {
        assert_eq!(archive.components, ["main"]);
    }
}

#[test]
fn a_number_that_does_not_fit_is_refused_in_a_persons_words() {
    let numbers = [("-1", "integer `-1`"), ("1.5", "floating point `1.5`"), ("\"2\"", "string \"2\"")];
    for (number, shown) in numbers {
        let error = changed(&[("memory = 1024", &format!("memory = {number}"))]).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.ends_with(&format!("{shown}, expected a whole number from 0 to 4294967295")), "{said}");
    }
}
