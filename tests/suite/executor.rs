//! The executor with programs that the tests wrote: failures, locks, deadlines, signals, full disks.

#![expect(clippy::disallowed_methods, reason = "a run is started and stopped from outside, as a person does")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use buildexec::{run::Runner, signals::Interrupt};
use buildplan::Cmd;
use camino::{Utf8Path, Utf8PathBuf};
use failure::Kind;
use fs_err as fs;
use mediabuild::workspace::preflight;
use mediaplan::config::Engine;
use snapbox::str;

use super::{
    harness::{lacks, skip},
    packages,
    repo::{LINUX, Repo, can_build, search_path},
};

/// As [`LINUX`], with something at the end.
fn linux(more: &[&'static str]) -> Vec<&'static str> {
    LINUX.iter().chain(more).copied().collect()
}

/// A built `dist/linux`, and a change that makes its scripts and images anew.
fn built_and_changed() -> Option<Repo> {
    if !can_build("linux", Engine::Prebuilt) {
        return None;
    }
    let repo = Repo::with_linux();
    repo.xtask(LINUX).assert().success();
    repo.edit(
        "media.toml",
        "params = [{ console = \"tty0\" }, ",
        "params = [\"quiet\", { console = \"tty0\" }, ",
    );
    Some(repo)
}

/// Waits until `done` gives something, for ten seconds at most.
pub(super) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The lines of a file, once it has `count` of them.
pub(super) fn lines(path: &Utf8Path, count: usize) -> Vec<String> {
    until(path.as_str(), || {
        let text = fs::read_to_string(path).unwrap_or_default();
        (text.matches('\n').count() >= count).then(|| text.lines().map(str::to_owned).collect())
    })
}

/// Whether a process runs; one that was not waited for yet does not. A bare Debian has no `ps`, macOS no `/proc`.
pub(super) fn runs(pid: &str) -> bool {
    let state = if cfg!(target_os = "linux") {
        // The state stands behind the program's name, which is in parentheses and may hold anything.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").map_or(String::new(), |(_, rest)| rest.to_owned())
    } else {
        let stat = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        String::from_utf8(stat.stdout).unwrap().trim().to_owned()
    };
    !state.is_empty() && !state.starts_with('Z')
}

#[test]
fn a_program_that_fails_is_shown_with_its_node_its_last_lines_and_its_log() {
    let Some(repo) = built_and_changed() else { return };
    let before = repo.dist();
    packages::replace(
        &repo,
        "grub-common",
        "for i in $(seq 40); do echo line $i; done; echo the reason >&2; exit 3",
    );
    repo.xtask(&linux(&["-j1"])).assert().code(12).stdout_eq("").stderr_eq(str![[r#"
error: GRUB for UEFI failed
  because: could not make the GRUB image: `grub-mkimage` exited with 3
  because: it said:
    line 27
    line 28
    line 29
    line 30
    line 31
    line 32
    line 33
    line 34
    line 35
    line 36
    line 37
    line 38
    line 39
    line 40
    the reason
  help: the whole output is in [ROOT]/target/media/logs/grub-[..].log

"#]]);
    let log = &repo.names("target/media/logs")[0];
    assert!(repo.read(&format!("target/media/logs/{log}")).starts_with("line 1\n"));
    assert_eq!(repo.dist(), before);
    repo.assert_clean();
}

#[test]
fn the_folder_of_a_failed_node_is_kept_when_asked_for() {
    let Some(repo) = built_and_changed() else { return };
    packages::replace(&repo, "grub-common", "touch \"$PWD/half\"; exit 1");
    let args = linux(&["--keep-failed"]);
    let output = repo.xtask(&args[1..]).assert().code(12);
    let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    let kept = text.lines().find_map(|l| l.strip_prefix("kept ")).unwrap();
    assert!(kept.starts_with(repo.path("target/media/tmp/failed-grub-").as_str()), "{kept}");
    assert!(Utf8Path::new(kept).join("work/half").exists());
    repo.xtask(LINUX).assert().code(12);
    assert!(Utf8Path::new(kept).exists(), "the next run must not take it away");
    repo.xtask(&["gc"]).assert().success();
    repo.assert_clean();
}

#[test]
fn after_the_first_failure_nothing_starts_and_the_others_are_shown() {
    let Some(repo) = built_and_changed() else { return };
    if !can_build("linux", Engine::Source) {
        return;
    }
    super::source_engine::pin(&repo, &[("src/Makefile", "all:\n")]);
    // Both start from nothing; each waits for the other, so that both are under way when they fail.
    repo.xtask(&["gc", "--all"]).assert().success();
    let wait = |own: &str, other: &str| {
        let here = repo.root();
        format!("touch {here}/{own}; until [ -e {here}/{other} ]; do sleep 0.01; done; exit 1")
    };
    packages::replace(&repo, "grub-common", &wait("grub", "make"));
    repo.program("make", &wait("make", "grub"));
    let args =
        ["-q", "dist", "linux", "--engine", "source", "--artifacts", "artifacts", "--ipxe-repo", "ipxe"];
    let output = repo.xtask(&[&args[..], &["-j4"]].concat()).assert().code(12);
    let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert_eq!(text.matches("warning: also: ").count(), 1, "{text}");
    for program in ["`grub-mkimage` exited with 1", "`make` exited with 1"] {
        assert_eq!(text.matches(program).count(), 1, "{program} in {text}");
    }
    assert_eq!(repo.entries("iso"), [""; 0]);
    repo.assert_clean();
}

#[test]
fn an_entry_that_was_changed_is_noticed_and_made_again() {
    let Some(repo) = built_and_changed() else { return };
    repo.xtask(LINUX).assert().success();
    let before = repo.dist();
    let damaged: Vec<Utf8PathBuf> = repo
        .entries("iso")
        .into_iter()
        .map(|e| e.join("out/linux-1-x86_64.iso"))
        .filter(|p| p.exists())
        .collect();
    for image in &damaged {
        let mut bytes = fs::read(image).unwrap();
        bytes[40_000] ^= 1;
        fs::write(image, bytes).unwrap();
    }
    repo.xtask(LINUX).assert().success().stderr_eq(str![[r#"
warning: [ROOT]/target/media/store/iso-[..] does not match its manifest; rebuilding it

"#]]);
    assert_eq!(repo.dist(), before);
}

#[test]
fn what_was_published_and_changed_is_put_right() {
    let Some(repo) = built_and_changed() else { return };
    repo.xtask(LINUX).assert().success();
    let before = repo.dist();
    repo.write("dist/linux/netboot/boot.html", "#!ipxe\nshell\n");
    fs::remove_file(repo.path("dist/linux/undionly.kpxe")).unwrap();
    repo.xtask(LINUX).assert().success();
    assert_eq!(repo.dist(), before);
}

/// Starts the binary and reads its standard error as it comes.
fn start(repo: &Repo, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = repo.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    (child, said)
}

#[test]
fn a_second_run_waits_for_the_first_and_then_has_nothing_to_do() {
    let Some(repo) = built_and_changed() else { return };
    let go = repo.path("go");
    let calls = repo.path("calls");
    let script = format!(
        "echo call >> {calls}; until [ -e {go} ]; do sleep 0.01; done; \
         while [ \"$1\" != -o ]; do shift; done; echo GRUB > \"$2\""
    );
    packages::replace(&repo, "grub-common", &script);
    let (mut first, _) = start(&repo, LINUX);
    lines(&calls, 1);
    let args = linux(&[]);
    let (mut second, mut said) = start(&repo, &args[1..]);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting for another `cargo xtask` to release the store\n");
    fs::write(&go, "").unwrap();
    assert!(first.wait().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(second.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("cached") && !rest.contains("built"), "{rest}");
    assert_eq!(lines(&calls, 1).len(), 1, "GRUB is made once");
}

fn runner(root: &Utf8Path) -> Runner {
    let base_env = vec![("PATH".to_owned(), search_path())];
    Runner { base_env, root: root.to_owned(), interrupt: Interrupt::default(), keeper: false }
}

#[test]
fn what_a_program_leaves_in_the_background_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
    let cmd = Cmd::new("sh", "leave").args(["-c", "sleep 1000 & echo $! >> pids"]);
    assert!(runner(&root).run(&cmd).unwrap().success());
    for pid in lines(&root.join("pids"), 1) {
        until("the end of a child", || (!runs(&pid)).then_some(()));
    }
}

#[test]
fn a_deadline_ends_the_whole_process_group() {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
    let runner = runner(&root);
    let script = "sleep 1000 & echo $! >> pids; sh -c 'echo $$ >> pids; sleep 1001; :' & wait";
    let cmd = Cmd::new("sh", "wait").args(["-c", script]).deadline(Duration::from_millis(400));
    let error = runner.run(&cmd).unwrap_err();
    assert_eq!(failure::kind_of(&error), Some(Kind::Command));
    assert_eq!(error.to_string(), "could not wait: timed out after 400ms");
    for pid in lines(&root.join("pids"), 2) {
        until("the end of a child", || (!runs(&pid)).then_some(()));
    }
}

#[test]
fn ctrl_c_in_the_middle_of_make_leaves_no_process_and_nothing_half_written() {
    let Some(repo) = built_and_changed() else { return };
    if !can_build("linux", Engine::Source) {
        return;
    }
    super::source_engine::pin(&repo, &[("src/Makefile", "all:\n")]);
    let before = repo.dist();
    let pids = repo.path("pids");
    repo.program("make", &format!("sleep 1000 & echo $! >> {pids}; (trap '' INT TERM; sleep 1001) & echo $! >> {pids}; echo $$ >> {pids}; wait"));
    let args = ["dist", "linux", "--engine", "source", "--artifacts", "artifacts", "--ipxe-repo", "ipxe"];
    let (mut child, mut said) = start(&repo, &args);
    let pids = lines(&pids, 3);
    assert!(pids.iter().all(|p| runs(p)));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for pid in pids {
        until("the end of a child", || (!runs(&pid)).then_some(()));
    }
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("error: interrupted\n"), "{text}");
    assert_eq!(repo.dist(), before);
    repo.assert_clean();
}

#[test]
fn a_program_that_finds_the_disk_full_is_understood() {
    let Some(repo) = built_and_changed() else { return };
    let before = repo.dist();
    packages::replace(
        &repo,
        "grub-common",
        "echo 'libburn : FAILURE : Write error: No space left on device' >&2; exit 32",
    );
    repo.xtask(&linux(&["-j1"])).assert().code(8).stdout_eq("").stderr_eq(str![[r#"
error: no space left on the disk while making GRUB for UEFI
  because: could not make the GRUB image: `grub-mkimage` exited with 32
  because: it said:
    libburn : FAILURE : Write error: No space left on device
  help: free some space (`cargo xtask gc` removes old store entries) and run it again

"#]]);
    assert_eq!(repo.dist(), before);
    repo.assert_clean();
}

/// Runs the binary with a file system of `size` at `folder`, where that may be made.
fn on_small_disk(
    repo: &Repo,
    folder: &str,
    size: &str,
    args: &[&str],
) -> Option<(Option<i32>, String, String)> {
    fs::create_dir_all(repo.path(folder)).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size} none {} || exit 77; shift 0; \"$@\"; code=$?; find {folder}; exit $code",
        repo.path(folder)
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_xtask")]).args(args);
    let output = command.current_dir(repo.root()).env_clear().envs(repo.variables()).output();
    match output {
        Ok(output) if output.status.code() != Some(77) && !output.stderr.starts_with(b"unshare:") => {
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Some((output.status.code(), text(output.stdout), text(output.stderr)))
        }
        _ => {
            // root may mount, unless it is a container's.
            let say = if preflight::is_root() { lacks } else { skip };
            say("no file system can be mounted here");
            None
        }
    }
}

#[test]
fn a_full_disk_under_the_store_leaves_dist_whole() {
    let Some(repo) = built_and_changed() else { return };
    let before = repo.dist();
    let Some((code, left, said)) = on_small_disk(&repo, "target/media", "600k", LINUX) else { return };
    assert_eq!(code, Some(8), "{said}");
    assert!(said.contains("no space left on the disk while making "), "{said}");
    assert!(said.contains("help: free some space"), "{said}");
    assert!(!left.contains("target/media/tmp/"), "{left}");
    assert_eq!(repo.dist(), before);
}

#[test]
fn a_full_disk_under_dist_leaves_what_was_there() {
    let Some(repo) = built_and_changed() else { return };
    let Some((code, left, said)) = on_small_disk(&repo, "dist", "600k", LINUX) else { return };
    assert_eq!(code, Some(8), "{said}");
    assert_eq!((left.as_str(), said.contains("help: ")), ("dist\n", true), "{said}");
}
