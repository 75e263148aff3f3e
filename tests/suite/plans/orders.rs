//! Plans of media that no profile of this repository asks for: keys of one's own, programs of others, many lines.

use buildplan::{Missing, Plan};
use failure::Failure;
use mediaplan::{
    config::{Engine, Media, Profile, Released, SecureBoot, SignedIpxe},
    stage::{docker, line::Line, media, needs},
};

use super::{loaded, order, planned};

fn profile(name: &str) -> Profile {
    loaded().config.profile(Some(name)).unwrap().clone()
}

/// The labels of a stage's nodes.
fn labels<'a>(plan: &'a Plan, stage: &str) -> Vec<&'a str> {
    plan.nodes.iter().filter(|n| n.stage == stage).map(|n| n.label.as_str()).collect()
}

#[test]
fn media_of_an_own_key_have_each_program_signed_and_bring_the_certificate() {
    let mut own = profile("smoke");
    own.secure_boot = SecureBoot::OwnKey;
    own.certificate = Some("keys/secure-boot.crt".to_owned());
    let signed = ["grubx64.efi", "ipxe.efi", "shimx64.efi", "snponly.efi", "vmlinuz"];
    for engine in [Engine::Prebuilt, Engine::Source] {
        let made = planned(&loaded(), &own, engine);
        let mut labels = labels(&made.plan, "sign");
        labels.sort_unstable();
        let wanted = signed.map(|name| format!("{name} signed"));
        assert_eq!(labels, wanted, "{engine:?}");
        let brought: Vec<&str> = made
            .outputs
            .iter()
            .map(|(path, _)| path.as_str())
            .filter(|p| p.starts_with("secure-boot/"))
            .collect();
        assert_eq!(brought, ["secure-boot/secure-boot.cer", "secure-boot/db.esl", "secure-boot/db.auth"]);
        let kernel = made.outputs.iter().find(|(path, _)| path == "netboot/vmlinuz").unwrap();
        assert_eq!(made.plan.node(kernel.1.node).stage, "sign", "the network gives the same kernel");
    }
    assert!(own.secure_boot_outlook().contains("once the machine trusts your certificate"));
}

fn with_ipxe_of_others() -> Profile {
    let released = |name: &str, urls: &[&str]| Released {
        name: name.to_owned(),
        urls: urls.iter().map(ToString::to_string).collect(),
    };
    let mut smoke = profile("smoke");
    smoke.ipxe_signed = Some(SignedIpxe {
        shim: released("ipxe-shim.efi", &["https://example.org/shim.efi"]),
        program: released("ipxe-signed.efi", &["https://example.org/ipxe.efi"]),
        loads: "ipxe.efi".to_owned(),
    });
    smoke
}

#[test]
fn programs_that_others_signed_stand_in_for_the_engines_under_uefi_and_bios_keeps_those() {
    let smoke = with_ipxe_of_others();
    let mut loaded = loaded();
    for file in smoke.released() {
        let locked = mediaplan::config::Locked {
            version: smoke.version.clone().unwrap_or_default(),
            sha256: buildplan::Digest::of(file.name.as_bytes()),
            size: None,
            vouched_by: "this test".to_owned(),
        };
        loaded.lock.files.entry(smoke.name.clone()).or_default().insert(file.name.clone(), locked);
    }
    for engine in [Engine::Prebuilt, Engine::Source] {
        let made = planned(&loaded, &smoke, engine);
        let stage = |name: &str| {
            let found = made.outputs.iter().find(|(path, _)| path == name);
            found.map(|(_, artifact)| made.plan.node(artifact.node).stage)
        };
        assert_eq!(stage("ipxe-shim.efi"), Some("download"), "{:?}", made.outputs);
        assert_eq!(stage("ipxe.efi"), stage("ipxe-shim.efi"));
        assert_eq!(stage("snponly.efi"), None, "the engine's programs for UEFI are unsigned");
        assert!(stage("undionly.kpxe").is_some_and(|stage| stage != "download"));
        assert!(stage("ipxe.iso").is_some(), "made again around them");
    }
    assert!(smoke.secure_boot_outlook().contains("ipxe-shim.efi do"));
}

#[test]
fn an_order_without_digests_names_all_that_lack_one_and_the_command_that_records_them() {
    let error = |profile: &Profile, engine| {
        let mut loaded = loaded();
        loaded.lock.files.clear();
        let order = order(&loaded, profile, engine, docker::Sources::default());
        let error = media::plan(&order).unwrap_err();
        let failure = error.downcast_ref::<Failure>().expect("a failure of ours");
        format!("{failure}: {}", failure.help_text().unwrap_or_default())
    };
    let said = error(&with_ipxe_of_others(), Engine::Prebuilt);
    assert!(said.contains("media.lock has no digests for `ipxe-shim.efi` and `ipxe-signed.efi`"), "{said}");
    assert!(said.ends_with("`cargo xtask fetch --update smoke`"), "{said}");
    let mut brought = profile("linux");
    let said = error(&brought, Engine::Prebuilt);
    assert!(said.contains("no digests for `vmlinuz` and `initrd`"), "{said}");
    assert!(
        said.contains("fetch --update linux --artifacts DIR`, where DIR holds `vmlinuz` and `initrd`"),
        "{said}"
    );
    let Media::Files { kernel, initrd } = &mut brought.media else { panic!("{:?}", brought.media) };
    kernel.urls = vec!["https://example.org/vmlinuz".to_owned()];
    initrd.urls = kernel.urls.clone();
    let said = error(&brought, Engine::Prebuilt);
    assert!(said.ends_with("`cargo xtask fetch --update linux`"), "{said}");
}

#[test]
fn variants_share_every_node_but_the_image_and_what_its_line_is_written_into() {
    let (loaded, smoke) = (loaded(), profile("smoke"));
    let lines = |count: usize| -> Vec<Line> {
        let line = |n: usize| {
            let mut profile = smoke.clone();
            profile.params.0.push(bootparams::Param::Verbatim(format!("variant={n}")));
            Line::new(&profile, None).unwrap()
        };
        (0..count).map(line).collect()
    };
    let plan = |count: usize| {
        let order = order(&loaded, &smoke, Engine::Prebuilt, docker::Sources::default());
        media::variants(&order, &lines(count)).unwrap()
    };
    let (one, twenty) = (plan(1), plan(20));
    assert_eq!((one.outputs.len(), twenty.outputs.len()), (1, 20));
    assert_eq!((labels(&one.plan, "iso").len(), labels(&twenty.plan, "iso").len()), (1, 20));
    for stage in ["initrd", "efi-image", "kernel", "config-initrd"] {
        assert_eq!(labels(&one.plan, stage).len(), labels(&twenty.plan, stage).len(), "{stage}");
    }
}

#[test]
fn a_password_of_the_line_is_never_shown_and_is_as_long() {
    let rancher = profile("rancheros");
    let line = Line::new(&rancher, Some("correct horse")).unwrap();
    let shown = line.shown();
    assert!(!shown.contains("correct") && !shown.contains("horse"), "{shown}");
    assert!(shown.contains(&"*".repeat("correct horse".len())), "{shown}");
    assert_eq!(Line::new(&rancher, None).unwrap().shown(), Line::new(&rancher, None).unwrap().shown());
}

#[test]
fn whatever_a_command_lacks_has_a_package_and_is_told_once() {
    let all = needs::all();
    for (at, need) in all.iter().enumerate() {
        assert!(!need.package.is_empty(), "{} has no package", need.what);
        assert!(!all[at + 1..].contains(need), "{} is told twice", need.what);
    }
    for (purpose, needs) in needs::by_purpose() {
        assert!(!purpose.is_empty() && needs.iter().all(|need| all.contains(need)), "{purpose}");
    }
    let others = [needs::openssl(), needs::program(), needs::pair(), needs::installation(needs::KEYRING)];
    assert!(others.concat().iter().all(|need| !need.package.is_empty()), "{others:?}");
    let package = |what: &str| needs::of_missing(&Missing::Tool(what.to_owned())).map(|need| need.package);
    assert_eq!(package("xorriso"), Some("xorriso"));
    let near = all.iter().find(|need| need.what.starts_with("/usr/share/")).unwrap();
    let beside = format!("{}/another", near.what.rsplit_once('/').unwrap().0);
    assert_eq!(package(&beside), Some(near.package), "{beside}");
    assert_eq!(package("a-program-of-nobody"), Some(""));
    assert_eq!(needs::of_missing(&Missing::Source("media.toml".to_owned())), None);
}
