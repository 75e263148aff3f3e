//! Bad input as a person meets it: the whole text, an exit code of its own kind, nothing half-written.

use mediaplan::config::Engine;
use snapbox::str;

use super::{
    repo::{LINUX, Repo, can_build},
    web::Web,
};

#[test]
fn a_lock_or_signing_key_that_is_missing_is_named_before_anything_is_built() {
    let repo = Repo::new();
    let says = |args: &[&str], code: i32, says: &str| {
        let said = repo.xtask(args).assert().code(code).stdout_eq("").get_output().stderr.clone();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(says) && !said.contains("built "), "{said}");
    };
    says(&["dist", "smoke", "--sign", "release.key"], 2, "error: no such file or folder: release.key");
    fs_err::remove_file(repo.path("media.lock")).unwrap();
    says(&["plan", "smoke"], 3, "media.lock\n  help: it belongs to the repository");
}

#[test]
fn a_path_that_is_not_there_is_named_once() {
    let repo = Repo::new();
    for args in [
        &["verify", "nothere"][..],
        &["sign", "dist", "--key", "nothere"],
        &["fetch", "linux", "--update", "--artifacts", "nothere"],
    ] {
        fs_err::create_dir_all(repo.path("dist")).unwrap();
        repo.xtask(args).assert().code(2).stdout_eq("").stderr_eq(str![[r#"
error: no such file or folder: nothere

"#]]);
    }
    let publish = repo.whole(&["publish", "--to", "out", "--from", "nothere"]).output().unwrap();
    let said = String::from_utf8(publish.stderr).unwrap();
    assert!(publish.status.code() == Some(2) && said == "error: no such file or folder: nothere\n", "{said}");
}

#[test]
fn a_file_that_a_profile_needs_is_named_as_a_path() {
    let repo = Repo::new();
    fs_err::remove_file(repo.path("isofs/smoke/init")).unwrap();
    repo.xtask(&["dist", "smoke", "--explain"]).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: no such file: isofs/smoke/init
  help: a profile needs it: put it there, or `git restore` it if it belongs to the repository

"#]]);
}

#[test]
fn a_mistyped_name_is_answered_with_the_right_one() {
    let repo = Repo::new();
    for (args, near) in [
        (&["dist", "dokcer"][..], "did you mean `docker`? the profiles are: "),
        (&["vm", "test", "smoke", "--scenario", "iso-cd-boos"], "did you mean `iso-cd-bios`?\n"),
    ] {
        let said = repo.whole(args).output().unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(said.status.code() == Some(2) && text.contains(near), "{text}");
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_else_is_said_or_done() {
    let repo = Repo::new();
    fs_err::create_dir_all(repo.path("dist/smoke/netboot")).unwrap();
    repo.write("CHANGELOG.md", "# Changes\n\n## 1.0\n\n- first\n");
    for (args, code, error) in [
        (
            &["serve", "smoke", "--dhcp", "--listen", "127.0.0.1:0"][..],
            2,
            "--dhcp cannot answer on 127.0.0.1",
        ),
        (&["publish", "smoke", "--to", "out", "--tag", "v999"], 3, "CHANGELOG.md has no section `## 999`"),
        (&["vm", "rm", "nothere"], 2, "no machine of `nothere` in qemu"),
    ] {
        let said = repo.whole(args).output().unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(code), "{text}");
        assert!(text.starts_with(&format!("error: {error}")), "{text}");
    }
}

/// Only a tree of a profile can be built.
#[test]
fn a_folder_to_serve_that_is_not_there_is_not_to_be_built() {
    let repo = Repo::new();
    let said = repo.whole(&["serve", "--tree", "nothere"]).output().unwrap();
    assert_eq!(String::from_utf8(said.stderr).unwrap(), "error: no such folder: nothere\n");
}

#[test]
fn a_search_that_finds_no_key_says_so() {
    let repo = Repo::new();
    for os in [&[][..], &["--os", "docker-1"]] {
        let args = [&["params", "list", "nosuchkey"], os].concat();
        repo.xtask(&args).assert().code(0).stdout_eq("").stderr_eq(str![[r#"
no key has `nosuchkey` in its name or description

"#]]);
    }
}

#[test]
fn an_unknown_profile_is_told_which_there_are() {
    let repo = Repo::new();
    repo.xtask(&["dist", "nope"]).assert().code(2).stdout_eq("").stderr_eq(str![[r#"
error: media.toml has no profile `nope`
  help: the profiles are: burmillaos, docker, linux, rancheros, smoke

"#]]);
    assert_eq!(repo.names("dist"), [""; 0]);
}

#[test]
fn an_unknown_key_is_shown_with_its_line() {
    let repo = Repo::new();
    repo.edit("media.toml", "default-profile = \"docker\"", "default-profile = \"docker\"\ncolour = \"red\"");
    repo.xtask(&["dist"]).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: media.toml cannot be read
  because: TOML parse error at line 5, column 1
      |
    5 | colour = "red"
      | ^^^^^^
    unknown field `colour`, expected one of `default-profile`, `ipxe`, `distribution`, `netboot`, `secure-boot`, `profile`

"#]]);
}

#[test]
fn values_that_cannot_be_are_listed_together() {
    let repo = Repo::new();
    repo.edit("media.toml", "default-profile = \"docker\"", "default-profile = \"smok\"");
    repo.edit(
        "media.toml",
        "cloud-config = \"cloud-config.yml\"",
        "cloud-config = \"../x\"\nbase-url = \"ftp://h/ x\"",
    );
    repo.xtask(&["plan"]).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: media.toml has invalid values
  because: profile.smoke: base-url `ftp://h/ x`: must begin with http:// or https://
    profile.smoke: cloud-config must be a path below isofs/<profile>/
    default-profile `smok` is not a profile

"#]]);
}

#[test]
fn a_template_with_an_unknown_variable_is_refused_by_file_and_line() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    repo.edit("bootscripts/boot.ipxe", "{{args}}", "{{argz}}");
    repo.xtask(LINUX).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: bootscripts/boot.ipxe, line 10: unknown variable `argz`; known variables: title, base-url, load-config-initrd, args

"#]]);
    assert_eq!(repo.dist(), None);
    repo.assert_clean();
}

#[test]
fn a_script_that_ipxe_would_not_take_for_one_is_refused() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    repo.edit("bootscripts/embed.ipxe", "#!ipxe\n", "#! ipxe\n");
    repo.xtask(LINUX).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: bootscripts/embed.ipxe, line 1: an iPXE script begins with `#!ipxe`

"#]]);
    repo.assert_clean();
}

#[test]
fn a_lock_without_the_digest_names_the_one_command() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::new();
    repo.xtask(LINUX).assert().code(2).stdout_eq("").stderr_eq(str![[r#"
error: no such file or folder: artifacts

"#]]);
    repo.write("artifacts/vmlinuz", "a kernel\n");
    repo.xtask(LINUX).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: media.lock has no digests for `vmlinuz` and `initrd`
  help: record what is missing, and see what vouches for it, with `cargo xtask fetch --update linux --artifacts DIR`, where DIR holds `vmlinuz` and `initrd`

"#]]);
    assert_eq!(repo.names("target/media/store"), [""; 0]);
}

#[test]
fn other_bytes_than_the_lock_says_are_refused() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    repo.write("artifacts/initrd", "another initrd\n");
    std::fs::remove_dir_all(repo.path("target")).unwrap();
    repo.xtask(LINUX).assert().code(5).stdout_eq("").stderr_eq(str![[r#"
error: no source has initrd with the SHA-256 in media.lock, 238e22f901beee417a93090f37479b9895c6f4bc8b5a59195c75055169c40a1f
  because: [ROOT]/artifacts/initrd: wrong bytes: 15 bytes with SHA-256 f7be54587229a111d344d831e115864cfbe643cc5bc430471660e9e1f50bc7a9
  help: the source changed the file or the lock is wrong; find out which before using it

"#]]);
    assert_eq!(repo.dist(), None);
    repo.assert_clean();
}

#[test]
fn without_a_network_each_source_says_why() {
    if !can_build("rancheros", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_tools();
    // A port without a listener.
    repo.edit("media.toml", "https://github.com/rancher/os/releases/download", "http://127.0.0.1:1/a");
    repo.edit("media.toml", "https://releases.rancher.com/os", "http://127.0.0.1:1/b");
    repo.edit(
        "media.toml",
        "version = \"1.5.8\"\nengine = \"source\"",
        "version = \"1.5.8\"\nengine = \"prebuilt\"",
    );
    repo.xtask(&["-q", "fetch", "rancheros"]).assert().code(7).stdout_eq("").stderr_eq(str![[r#"
error: no source has rancheros.iso
  because: http://127.0.0.1:1/a/v1.5.8/rancheros.iso: io: Connection refused (os error 111)
    http://127.0.0.1:1/b/v1.5.8/rancheros.iso: io: Connection refused (os error 111)
  help: check the network, or give a folder that holds the file with --artifacts DIR

"#]]);
    repo.xtask(&["-q", "--offline", "fetch", "rancheros"]).assert().code(7).stdout_eq("").stderr_eq(str![[
        r#"
error: no source has rancheros.iso
  because: http://127.0.0.1:1/a/v1.5.8/rancheros.iso: not tried, because of --offline
    http://127.0.0.1:1/b/v1.5.8/rancheros.iso: not tried, because of --offline
  help: run it once without --offline, or give a folder that holds the file with --artifacts DIR

"#
    ]]);
    repo.assert_clean();
}

#[test]
fn all_inputs_that_are_missing_are_named_at_once_with_the_command_that_goes_on() {
    if !can_build("rancheros", Engine::Source) {
        return;
    }
    let repo = Repo::with_tools();
    for server in ["https://github.com/rancher/os/releases/download", "https://releases.rancher.com/os"] {
        repo.edit("media.toml", server, "http://127.0.0.1:1/a");
    }
    repo.edit(
        "media.toml",
        "\"https://github.com/ipxe/ipxe\", \"https://git.ipxe.org/ipxe.git\"",
        "\"http://127.0.0.1:1/ipxe\"",
    );
    repo.xtask(&["-q", "dist", "rancheros"]).assert().code(7).stdout_eq("").stderr_eq(str![[r#"
error: 2 inputs are not available: rancheros.iso, iPXE 2.0.0 sources
  because: no source has rancheros.iso
      http://127.0.0.1:1/a/v1.5.8/rancheros.iso: io: Connection refused (os error 111)
      http://127.0.0.1:1/a/v1.5.8/rancheros.iso: io: Connection refused (os error 111)
    iPXE 2.0.0 sources failed
      http://127.0.0.1:1/ipxe: could not fetch [..]
      fatal: [..]
  help: run `cargo xtask dist rancheros --engine prebuilt --artifacts DIR`, with rancheros.iso in the folder DIR; to compile iPXE, name a clone of it with --ipxe-repo PATH in place of --engine prebuilt

"#]]);
    assert_eq!(repo.dist(), None);
    repo.assert_clean();
}

#[test]
fn a_package_that_no_mirror_has_any_more_names_the_next_step() {
    let repo = Repo::new();
    let web = Web::new(&[]);
    repo.edit("media.toml", "http://deb.debian.org", &web.url());
    repo.edit("media.toml", "https://snapshot.debian.org", "http://127.0.0.1:1");
    let output = repo.xtask(&["-q", "-j1", "dist", "smoke"]).assert().code(7);
    let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(text.contains(": mirrors drop old versions\n"), "{text}");
    assert!(text.contains("_amd64.deb: http status: 404\n"), "{text}");
    assert!(text.contains("help: record today's packages with `cargo xtask fetch --update`"), "{text}");
    assert_eq!(repo.dist(), None);
    repo.assert_clean();
}

#[cfg(unix)]
#[test]
fn everything_that_is_missing_is_listed_at_once_with_the_one_command() {
    let repo = Repo::new();
    let nothing = repo.path("bin").into_string();
    let output = repo.xtask(&["dist", "rancheros"]).env("PATH", nothing).assert().code(4);
    let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    for program in ["git", "make", "gcc", "ld", "perl"] {
        assert!(text.contains(&format!("{program} (package ")), "{program} in {text}");
    }
    assert!(text.contains("`cargo xtask dist rancheros --engine prebuilt`"), "{text}");
    let help = text.lines().find(|l| l.contains("apt-get install --no-install-recommends")).unwrap();
    for package in ["git", "make", "gcc", "binutils", "perl"] {
        assert!(help.contains(&format!(" {package}")), "{package} in {help}");
    }
    assert_eq!(repo.names("target/media"), [""; 0]);
}

#[test]
fn a_cloud_config_that_the_boot_would_throw_away_is_not_built_into_media() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    let file = "isofs/linux/cloud-config.yml";
    repo.edit("media.toml", "[profile.linux]\n", "[profile.linux]\ncloud-config = \"cloud-config.yml\"\n");
    repo.edit("media.toml", "os = \"linux\"", "os = \"rancheros-1.5.8\"");
    repo.write(file, "#cloud-config\nruncmd:\n- [sleep, 5]\n");
    let output = repo.xtask(LINUX).assert().code(11).stdout_eq("").get_output().stderr.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(text.contains("error[E0603]: `runcmd` wants") && text.contains(file), "{text}");
    assert_eq!(repo.names("dist"), [""; 0]);
}

#[test]
fn a_cloud_config_that_is_no_text_is_told_what_it_is() {
    let repo = Repo::new();
    let utf16: Vec<u8> = "\u{feff}#cloud-config\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    repo.write("isofs/smoke/cloud-config.yml", utf16);
    let output = repo.xtask(&["params", "check", "smoke"]).assert().code(3).get_output().stderr.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(text.contains("it is UTF-16; save it as UTF-8"), "{text}");
}

#[test]
fn an_address_to_verify_is_named_without_its_credentials() {
    let repo = Repo::new();
    for offline in [&[][..], &["--offline"]] {
        let args = [offline, &["verify", "http://me:secret@127.0.0.1:1/x/?token=hidden"]].concat();
        let output = repo.command(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("http://127.0.0.1:1/x"), "{said}");
        assert!(!said.contains("secret") && !said.contains("hidden"), "{said}");
    }
}
