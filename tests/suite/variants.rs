//! `variants`: many images of one profile, each what `dist` would make.

use super::repo::Repo;

const DIST: &[&str] = &["-q", "dist", "smoke", "--engine", "prebuilt"];

fn image(repo: &Repo) -> Vec<u8> {
    let names = repo.names("dist/smoke");
    let name = names.iter().find(|name| name.ends_with("-x86_64.iso")).unwrap();
    fs_err::read(repo.path("dist/smoke").join(name)).unwrap()
}

/// Puts other parameters into the profile, and builds it.
fn dist(repo: &Repo, params: &str) -> Vec<u8> {
    let text = repo.read("media.toml");
    let (others, smoke) = text.split_once("[profile.smoke]\n").unwrap();
    let (before, rest) = smoke.split_once("params = [\n").unwrap();
    let (_, after) = rest.split_once("\n]\n").unwrap();
    let smoke = format!("{before}params = [\n  \"{params}\",\n]\n{after}");
    repo.write("media.toml", format!("{others}[profile.smoke]\n{smoke}"));
    repo.xtask(DIST).assert().success();
    image(repo)
}

#[test]
fn each_variant_is_what_dist_makes_of_its_parameters() {
    let Some(repo) = Repo::with_packages("repo") else { return };
    let wanted = ["panic=10 no_timer_check", "", "quiet panic=30 rancher.hostname=\"a\""];
    repo.write("list", "# machines\n\none: panic=10 no_timer_check\ntwo:\n");
    let args = [
        "-q",
        "variants",
        "smoke",
        "--set",
        "quiet panic=30 rancher.hostname=\"a\"",
        "--from",
        "list",
        "--to",
    ];
    repo.xtask(&[&args[..], &["out"]].concat()).assert().success();
    let numbered = repo.names("out").into_iter().find(|name| name.starts_with("smoke-")).unwrap();
    assert!(numbered.ends_with("-1-x86_64.iso"), "{numbered}");
    let made =
        ["one.iso", "two.iso", &numbered].map(|name| fs_err::read(repo.path("out").join(name)).unwrap());
    for (made, params) in made.iter().zip(wanted).filter(|(_, params)| !params.is_empty()) {
        assert!(*made == dist(&repo, params.replace('"', "\\\"").as_str()), "{params}");
    }
    repo.run_in("out", "sha256sum", &["--strict", "-c", "SHA256SUMS"]);
    repo.run_in("out", "sha512sum", &["--strict", "-c", "SHA512SUMS"]);
    let sums = repo.read("out/SHA512SUMS");
    assert_eq!(repo.names("out").len(), 5, "nothing else is left");
    assert_eq!(sums.lines().count(), 3, "{sums}");
    // From kept states and from none, the digests are the same.
    for (folder, again) in [("target/media/midstates", "again"), ("nothing", "kept")] {
        buildexec::tree::remove(&repo.path(folder)).unwrap();
        repo.xtask(&[&args[..], &[again]].concat()).assert().success();
        assert_eq!(repo.read(&format!("{again}/SHA512SUMS")), sums, "{folder}");
    }
}

#[test]
fn parameters_with_errors_files_that_are_there_and_equal_names_are_refused_before_anything_is_written() {
    let Some(repo) = Repo::with_packages("repo") else { return };
    let refused = |args: &[&str], says: &str| {
        let output =
            repo.xtask(&[&["-q", "variants", "smoke", "--to", "out"], args].concat()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(says), "{args:?}: {error}");
    };
    refused(&["--set", "quiet", "--set", "rancher.password=rancher"], "variant 2");
    refused(&["--set", "a: quiet", "--set", "a: panic=1"], "two variants would be written to a.iso");
    refused(&["--set", "../a: quiet"], "`../a` is not a name");
    refused(&["--from", "nowhere"], "nowhere");
    refused(&[], "--set <PARAMETERS>");
    assert!(!repo.path("out").exists());
    repo.write("out/a.iso", "somebody's");
    refused(&["--set", "a: quiet"], "out/a.iso already exists");
    assert_eq!(repo.read("out/a.iso"), "somebody's");
    repo.xtask(&["-q", "variants", "smoke", "--to", "out", "--set", "a: quiet", "--force"])
        .assert()
        .success();
    assert_eq!(repo.names("out"), ["SHA256SUMS", "SHA512SUMS", "a.iso"]);
}

#[test]
fn dist_takes_what_did_not_change_from_where_it_is_and_notices_what_somebody_changed() {
    let Some(repo) = Repo::with_packages("repo") else { return };
    repo.xtask(DIST).assert().success();
    let (initrd, sums) = (repo.read_bytes("dist/smoke/netboot/initrd"), repo.read("dist/smoke/SHA512SUMS"));
    dist(&repo, "panic=10 no_timer_check quiet");
    repo.run_in("dist/smoke", "sha512sum", &["--strict", "-c", "SHA512SUMS"]);
    assert_ne!(repo.read("dist/smoke/SHA512SUMS"), sums);
    // Written in place, with the time put back: its length is what gives it away.
    repo.run("sh", &["-c", "f=dist/smoke/netboot/initrd; touch -r $f t; echo >>$f; touch -r t $f"]);
    dist(&repo, "panic=10 no_timer_check");
    assert!(repo.read_bytes("dist/smoke/netboot/initrd") == initrd);
    repo.run_in("dist/smoke", "sha512sum", &["--strict", "-c", "SHA512SUMS"]);
    assert!(
        repo.read_bytes("dist/smoke/netboot/initrd")
            == fs_err::read(repo.entries("initrd")[0].join("out/initrd")).unwrap()
    );
}
