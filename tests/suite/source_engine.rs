//! iPXE from source: what the stages guarantee, on a small repository whose Makefile builds at once and writes down what
//! it was given. The real repository, where it can be reached, shows that the pin and our patches are right.

#![expect(clippy::disallowed_methods, reason = "git is run by the tests themselves")]

use std::process::Command;

use fs_err as fs;
use mediaplan::config::Engine;
use snapbox::str;

use super::{
    harness::skip,
    repo::{Repo, can_build},
};

const PINNED: &str = "12798ec29aa8a64d8675c4378b99f5fe28447afb";
const DIST: &[&str] =
    &["-q", "dist", "linux", "--engine", "source", "--artifacts", "artifacts", "--ipxe-repo", "ipxe"];
/// One object that all targets share, and each target a list of what arrived. As iPXE's own (`Makefile.housekeeping`,
/// EMBEDDED_LIST) it remembers the name of the script, and has BIOS's programs packed by `zbin`, which here marks them.
const MAKEFILE: &str = "\
LIST := bin/.embedded.list
ifneq ($(shell cat $(LIST) 2>/dev/null),$(EMBED))
$(shell mkdir -p bin && echo $(EMBED) > $(LIST))
endif
BIOS = bin/ipxe.lkrn bin/undionly.kpxe
LINKED = $(BIOS:%=%.bin) bin-x86_64-efi/ipxe.efi bin-x86_64-efi/snponly.efi
all: $(BIOS) $(LINKED)
bin/core.o: core.c config/local/general.h config/local/console.h config/local/branding.h
\t@echo '  [BUILD] bin/core.o'
\t@echo compile >> LOG
\t@mkdir -p bin && cat core.c config/local/*.h > $@
util/zbin32:
\t@mkdir -p util && printf '#!/bin/sh\\ncat \"$$1\" \"$$2\"\\n' > $@ && chmod +x $@
%.zinfo:
\t@mkdir -p $(@D) && echo packed > $@
$(BIOS): %: %.bin %.zinfo util/zbin32
\t@util/zbin32 $@.bin $@.zinfo > $@
$(LINKED): bin/core.o $(EMBED) $(LIST)
\t@echo link $@ >> LOG
\t@mkdir -p $(@D)
\t@(cat bin/core.o $(EMBED); echo 'GITVERSION=$(GITVERSION) make=$(MAKEFLAGS)'; env) > $@
";

fn git_in(repo: &Repo, args: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(repo.path("ipxe"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    git
}

fn git(repo: &Repo, args: &[&str]) -> String {
    let output = git_in(repo, args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits these files to the repository `ipxe/`, and returns the commit.
fn commit(repo: &Repo, files: &[(&str, &str)]) -> String {
    fs::create_dir_all(repo.path("ipxe")).unwrap();
    git(repo, &["init", "--quiet"]);
    for (name, text) in files {
        repo.write(&format!("ipxe/{name}"), text);
    }
    git(repo, &["add", "."]);
    git(repo, &["commit", "--quiet", "-m", "x"]);
    git(repo, &["rev-parse", "HEAD"])
}

/// Commits these files, and makes media.toml ask for that commit, without any patch.
pub(crate) fn pin(repo: &Repo, files: &[(&str, &str)]) -> String {
    let id = commit(repo, files);
    repo.edit("media.toml", PINNED, &id);
    fs::remove_dir_all(repo.path("bootscripts/patches")).unwrap();
    id
}

/// A patch of `src/core.c` that changes one line.
fn patch(from: &str, to: &str) -> String {
    format!("--- a/src/core.c\n+++ b/src/core.c\n@@ -1,3 +1,3 @@\n first\n-{from}\n+{to}\n last\n")
}

/// The profile `linux`, and a pinned repository that builds at once.
pub(crate) fn lab() -> Option<(Repo, String)> {
    if !can_build("linux", Engine::Source) {
        return None;
    }
    let repo = Repo::with_linux();
    let makefile = MAKEFILE.replace("LOG", repo.path("make.log").as_str());
    let files = [("src/core.c", "first\none\nlast\n"), ("src/config/branding.h", "theirs\n")];
    let id = pin(&repo, &[&[("src/Makefile", makefile.as_str())], &files[..]].concat());
    Some((repo, id))
}

/// What the makes did since the last call.
fn made(repo: &Repo) -> Vec<String> {
    let log = fs::read_to_string(repo.path("make.log")).unwrap_or_default();
    repo.write("make.log", "");
    log.lines().map(str::to_owned).collect()
}

/// On a machine that compiled nothing, `verify` looks for the script in the program.
fn a_script_is_read_out_of_a_program_that_was_compiled_elsewhere(repo: &Repo) {
    let program = "dist/linux/ipxe.efi";
    let said = |code: i32| {
        let run = repo.xtask(&["verify", program]).env("CARGO_TARGET_DIR", repo.path("elsewhere"));
        let output = run.assert().code(code).get_output().clone();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let text = said(0);
    assert!(text.contains("ipxe.efi carries the script that this repository makes"), "{text}");
    assert!(text.contains("ipxe.efi was compiled elsewhere; --rebuild compares it"), "{text}");
    let good = repo.read(program);
    repo.write(program, good.replace("chain --autofree", "chain --replace "));
    let text = said(5);
    assert!(text.contains("ipxe.efi does not carry the script that this repository makes"), "{text}");
    repo.write(program, good);
}

#[test]
fn what_was_pinned_patched_and_configured_is_what_make_sees_and_nothing_else() {
    let Some((repo, id)) = lab() else { return };
    repo.write("bootscripts/patches/0001-two.patch", patch("one", "two"));
    repo.write("bootscripts/patches/0002-three.patch", patch("two", "three"));
    // The pinned commit is built, wherever HEAD is by now.
    commit(&repo, &[("src/core.c", "first\nlater\nlast\n")]);
    let stray = [
        ("CFLAGS", "-O9"),
        ("CROSS_COMPILE", "arm-"),
        ("DEBUG", "all"),
        ("MAKEFLAGS", "-n"),
        ("GIT_DIR", "/"),
    ];
    let mut run = repo.xtask(DIST);
    for (name, value) in stray {
        run = run.env(name, value);
    }
    run.assert().success();
    // From where the commit was had is not part of what the media are.
    repo.xtask(&["-q", "verify", "dist/linux"]).assert().success();
    a_script_is_read_out_of_a_program_that_was_compiled_elsewhere(&repo);
    let epoch = mediaplan::config::Lock::parse(&repo.read("media.lock")).unwrap().epoch;
    for name in ["ipxe.lkrn", "undionly.kpxe", "ipxe.efi", "snponly.efi"] {
        let text = repo.read(&format!("dist/linux/{name}"));
        assert!(text.starts_with("first\nthree\nlast\n"), "{text}");
        for wanted in [
            "SERIAL",
            "DOWNLOAD_PROTO_HTTPS",
            "chain --autofree ${base-url}/boot.html",
            &format!("SOURCE_DATE_EPOCH={epoch}\n"),
            "LC_ALL=C.UTF-8\n",
            &format!("GITVERSION={}", &id[..8]),
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        for (name, value) in stray {
            assert!(!text.contains(&format!("{name}={value}")), "{name} in {text}");
        }
    }
    assert!(repo.path("dist/linux/ipxe.iso").exists());
}

#[test]
fn another_script_costs_no_make_and_another_patch_a_compilation() {
    let Some((repo, _)) = lab() else { return };
    repo.xtask(DIST).assert().success();
    let first = made(&repo);
    assert_eq!(first.iter().filter(|l| *l == "compile").count(), 1, "{first:?}");
    repo.xtask(DIST).assert().success();
    assert_eq!(made(&repo), [""; 0]);
    repo.edit("bootscripts/embed.ipxe", "echo Asking", "echo Now asking");
    repo.xtask(DIST).assert().success();
    assert_eq!(made(&repo), [""; 0]);
    let packed = repo.read("dist/linux/ipxe.lkrn");
    assert!(packed.contains("echo Now asking") && packed.ends_with("packed\n"), "{packed}");
    assert!(!repo.read("dist/linux/ipxe.efi").contains("packed\n"));
    assert!(repo.read("dist/linux/snponly.efi").contains("echo Now asking"));
    repo.write("bootscripts/patches/0001-two.patch", patch("one", "two"));
    repo.xtask(DIST).assert().success();
    assert!(made(&repo).contains(&"compile".to_owned()));
}

#[test]
fn objects_are_reused_where_ccache_is_and_no_key_knows_of_it() {
    let Some((repo, _)) = lab() else { return };
    repo.program("ccache", "");
    let makefile = repo.read("ipxe/src/Makefile").replace(
        "@echo compile >>",
        "@echo \"compile with $(CC), $(origin CC); $$CCACHE_DIR $$CCACHE_CONFIGPATH $$CCACHE_COMPILERCHECK\" >>",
    );
    let id = commit(&repo, &[("src/Makefile", &makefile)]);
    let toml = repo.read("media.toml");
    repo.edit("media.toml", &toml.split_once("commit = \"").unwrap().1[..40], &id);
    repo.xtask(DIST).assert().success();
    let compiled = made(&repo).swap_remove(0);
    let (start, tools) = compiled.rsplit_once("string:").unwrap();
    let work = repo.path("target/media/ccache");
    assert_eq!(start, format!("compile with ccache gcc, command line; {work} /dev/null "));
    assert_eq!(tools.len(), 64, "a digest of the programs: {tools}");
    fs::remove_file(repo.path("bin/ccache")).unwrap();
    repo.xtask(DIST).assert().success();
    assert_eq!(made(&repo), [""; 0]);
}

#[test]
fn a_script_that_may_be_too_long_is_linked_and_is_the_same_where_it_would_have_fitted() {
    let Some((repo, _)) = lab() else { return };
    let script = |line: &str| {
        repo.edit("bootscripts/embed.ipxe", "echo Asking", &format!("{line}\necho Asking"));
        repo.xtask(DIST).assert().success();
        (made(&repo), repo.read("dist/linux/ipxe.lkrn"))
    };
    assert_eq!(script("# short").0.len(), 5, "a compile and four links");
    let (second, long) = script(&"# a long comment, as somebody may write it\n".repeat(300));
    assert_eq!((second.len(), second.iter().all(|l| l.starts_with("link "))), (4, true), "{second:?}");
    assert!(long.contains(&"# a long comment, as somebody may write it\n".repeat(300)));
}

#[test]
fn a_program_without_a_place_for_the_script_is_not_taken() {
    let Some((repo, _)) = lab() else { return };
    let id = commit(
        &repo,
        &[(
            "src/Makefile",
            "Makefile: ;\n%: util/zbin32\n\t@mkdir -p $(@D); echo nothing > $@\nutil/zbin32:\n\t@mkdir -p util; touch $@\n",
        )],
    );
    let toml = repo.read("media.toml");
    let old = toml.split_once("commit = \"").unwrap().1[..40].to_owned();
    repo.edit("media.toml", &old, &id);
    let output = repo.xtask(DIST).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains(" has no place for a script"), "{error}");
    assert_eq!(repo.dist(), None);
}

#[test]
fn a_repository_is_named_by_path_or_by_address() {
    let Some((repo, _)) = lab() else { return };
    let address = format!("file://{}", repo.path("ipxe"));
    for repository in ["ipxe", repo.path("ipxe").as_str(), &address] {
        fs::remove_dir_all(repo.path("target")).unwrap();
        let args = [&["--offline"], &DIST[..DIST.len() - 1], &[repository]].concat();
        repo.xtask(&args).assert().success();
        fs::remove_dir_all(repo.path("dist")).unwrap();
    }
}

#[test]
fn a_repository_without_the_pinned_commit_is_refused() {
    let Some((repo, id)) = lab() else { return };
    repo.edit("media.toml", &id, PINNED);
    repo.xtask(DIST).assert().code(7).stdout_eq("").stderr_eq(str![[r#"
error: iPXE 2.0.0 sources failed
  because: no repository has the commit 12798ec29aa8a64d8675c4378b99f5fe28447afb
  because: [ROOT]/ipxe: could not check out the pinned commit: `git` exited with 128: it said:
    fatal: [..]
  help: the whole output is in [ROOT]/target/media/logs/ipxe-src-[..].log
  help: check the network, or name a clone that has this commit with --ipxe-repo PATH

"#]]);
    assert_eq!(repo.dist(), None);
    repo.assert_clean();
}

#[test]
fn a_tag_or_branch_of_the_commits_name_is_not_taken_for_it() {
    let Some((repo, id)) = lab() else { return };
    repo.edit("media.toml", &id, PINNED);
    // git warns of such names and makes them all the same.
    git(&repo, &["update-ref", &format!("refs/tags/{PINNED}"), &id]);
    git(&repo, &["update-ref", &format!("refs/heads/{PINNED}"), &id]);
    repo.xtask(DIST).assert().failure();
    assert_eq!(repo.dist(), None);
    assert_eq!(made(&repo), [""; 0]);
}

#[test]
fn a_patch_that_does_not_apply_is_named_with_file_and_hunk() {
    let Some((repo, _)) = lab() else { return };
    repo.write("bootscripts/patches/0001-two.patch", patch("one", "two"));
    repo.write("bootscripts/patches/0002-again.patch", patch("one", "two"));
    repo.xtask(DIST).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: bootscripts/patches/0002-again.patch does not apply to the pinned iPXE
  because: patch failed: src/core.c:1
    src/core.c: patch does not apply
  help: renew the patch against the commit in media.toml, or remove it

"#]]);
    assert_eq!(repo.dist(), None);
    assert_eq!(made(&repo), [""; 0]);
    repo.assert_clean();
}

#[test]
fn a_repository_that_cannot_be_reached_is_named() {
    let Some((repo, _)) = lab() else { return };
    let args = [&DIST[..DIST.len() - 1], &["http://127.0.0.1:1/ipxe.git"]].concat();
    repo.xtask(&args).assert().code(7).stdout_eq("").stderr_eq(str![[r#"
error: iPXE 2.0.0 sources failed
  because: no repository has the commit [..]
  because: http://127.0.0.1:1/ipxe.git: could not fetch http://127.0.0.1:1/ipxe.git: `git` exited with 128: it said:
    fatal: [..]
  help: the whole output is in [ROOT]/target/media/logs/ipxe-src-[..].log
  help: check the network, or name a clone that has this commit with --ipxe-repo PATH

"#]]);
    repo.xtask(&[&["--offline"], args.as_slice()].concat()).assert().code(7).stdout_eq("").stderr_eq(str![[
        r#"
error: no repository has the commit [..]
  because: http://127.0.0.1:1/ipxe.git: not tried, because of --offline
  help: run it once without --offline, or name a clone that has this commit with --ipxe-repo PATH

"#
    ]]);
    repo.assert_clean();
}

#[test]
fn a_compiler_that_fails_is_shown_with_its_last_lines() {
    let Some((repo, _)) = lab() else { return };
    let id = commit(&repo, &[("src/Makefile", "$(info [BUILD] core.o)\n$(error core.c:1: no)\n")]);
    let toml = repo.read("media.toml");
    let old = toml.split_once("commit = \"").unwrap().1[..40].to_owned();
    repo.edit("media.toml", &old, &id);
    repo.xtask(DIST).assert().code(12).stdout_eq("").stderr_eq(str![[r#"
error: iPXE compiled failed
  because: could not compile iPXE: `make` exited with 2
  because: it said:
    [BUILD] core.o
    Makefile:[..]: *** core.c:1: no.  Stop.
  help: the whole output is in [ROOT]/target/media/logs/ipxe-[..].log

"#]]);
    repo.assert_clean();
}

/// `MEDIA_IPXE_REPO` names a clone where GitHub is out of reach.
#[test]
fn our_pin_and_patches_hold_in_the_real_repository() {
    if !can_build("linux", Engine::Source) {
        return;
    }
    let repo = Repo::with_linux();
    let repository = std::env::var("MEDIA_IPXE_REPO").unwrap_or("https://github.com/ipxe/ipxe".to_owned());
    let ask = Command::new("timeout")
        .args(["20", "git", "ls-remote", "--exit-code", "--quiet", &repository, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    if !ask.status.success() {
        let said = String::from_utf8_lossy(&ask.stderr);
        skip(&format!("iPXE's own repository {repository} is out of reach: {}", said.trim()));
        return;
    }
    // The compilation itself takes minutes and is for `dist`: this make shows what it would have compiled.
    repo.program(
        "make",
        "mkdir -p bin bin-x86_64-efi; for t in bin/ipxe.lkrn.bin bin/undionly.kpxe.bin bin-x86_64-efi/ipxe.efi \
         bin-x86_64-efi/snponly.efi; do cat arch/x86/image/bzimage.c config/local/*.h embed.ipxe > $t; done; \
         echo > bin/ipxe.lkrn.zinfo; echo > bin/undionly.kpxe.zinfo; \
         printf '#!/bin/sh\ncat \"$1\"\n' > util/zbin32; chmod +x util/zbin32",
    );
    let args = [&DIST[..DIST.len() - 1], &[repository.as_str()]].concat();
    repo.xtask(&args).assert().success();
    let text = repo.read("dist/linux/ipxe.lkrn");
    for wanted in ["command line has %zd bytes, kernel takes %zd", "DOWNLOAD_PROTO_HTTPS", "CONSOLE_SERIAL"] {
        assert!(text.contains(wanted), "{wanted}");
    }
}
