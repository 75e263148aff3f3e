//! A run that is killed with SIGKILL can clean up nothing: what it started dies with it, and the next run ends well.

#![expect(clippy::disallowed_methods, reason = "a run is started and killed from outside")]
#![expect(clippy::disallowed_macros, reason = "a long run says on its own output how many cases there were")]

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use mediaplan::config::Engine;

use super::{
    executor::{lines, runs, until},
    packages,
    repo::{LINUX, Repo, can_build},
};

fn start(repo: &Repo) -> Child {
    repo.command(LINUX).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_killed_run_started_dies_with_it() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    let pids = repo.path("pids");
    let ignores = "trap '' INT TERM HUP; while :; do date > \"$PWD/written\"; sleep 0.01; done";
    let lock = repo.read("media.lock");
    packages::replace(
        &repo,
        "grub-common",
        &format!("(echo $BASHPID >> {pids}; {ignores}) & sh -c 'echo $$ >> {pids}; exec sleep 1000' & echo $$ >> {pids}; wait")
            .replace("$BASHPID", "$(exec sh -c 'echo $PPID')"),
    );
    let child = start(&repo);
    let pids = lines(&pids, 3);
    assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
    kill(child);
    for pid in &pids {
        until("the end of a child", || (!runs(pid)).then_some(()));
    }
    repo.write("media.lock", lock);
    repo.xtask(LINUX).assert().success();
    repo.assert_clean();
}

/// GRUB's program as one that is slow, and whose child writes for a while after it has ended. Another text each time, so
/// that it is run each time.
fn slow(repo: &Repo, number: u32) {
    let script = format!(
        "(for i in $(seq 100); do date > \"$PWD/$i\"; sleep 0.002; done) & sleep 0.05
         while [ \"$1\" != -o ]; do shift; done; echo GRUB {number} > \"$2\"; wait"
    );
    packages::replace(repo, "grub-common", &script);
}

/// Kills a run at one of many moments, and says what was not as it should be afterwards.
fn case(repo: &Repo, number: u32, moment: Duration) -> Option<String> {
    repo.edit("media.toml", &format!("\"n={}\"", number - 1), &format!("\"n={number}\""));
    slow(repo, number);
    let child = start(repo);
    std::thread::sleep(moment);
    kill(child);
    let begin = Instant::now();
    let run = repo.command(LINUX).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let wrong = |what: &str| Some(format!("killed after {moment:?}: {what}: {said}"));
    if !run.status.success() || !said.is_empty() {
        return wrong("the next run");
    }
    if !repo.read("dist/linux/netboot/boot.ipxe").contains(&format!("n={number}")) {
        return wrong("what it built");
    }
    repo.run_in("dist/linux", "sha256sum", &["-c", "--quiet", "SHA256SUMS"]);
    repo.assert_clean();
    (begin.elapsed() > Duration::from_secs(60)).then(|| wrong("it took long")).flatten()
}

#[test]
fn a_run_killed_at_any_moment_leaves_the_next_nothing_to_stumble_over() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    repo.edit(
        "media.toml",
        "params = [{ console = \"tty0\" }, ",
        "params = [\"n=0\", { console = \"tty0\" }, ",
    );
    repo.xtask(LINUX).assert().success();
    let tries = if std::env::var("MEDIA_LONG").is_ok() { 100 } else { 6 };
    // Moments that are spread over a run, none like another.
    let moment = |n: u32| Duration::from_millis(u64::from(n * 7919 % 600));
    let broken: Vec<_> = (1..=tries).filter_map(|n| case(&repo, n, moment(n))).collect();
    println!("reliability: kills: {tries} tried, {} held", tries as usize - broken.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A child in a session of its own is beyond what a kill reaches.
#[test]
fn what_outlives_a_killed_run_for_a_while_disturbs_no_other_run() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    let (pids, lock) = (repo.path("pids"), repo.read("media.lock"));
    let writes = "for i in $(seq 60); do mkdir -p $PWD/more; date > $PWD/more/$i; sleep 0.005; done";
    packages::replace(
        &repo,
        "grub-common",
        &format!("setsid sh -c 'echo $$ >> {pids}; {writes}' & echo $$ >> {pids}; wait"),
    );
    let child = start(&repo);
    let pids = lines(&pids, 2);
    kill(child);
    repo.write("media.lock", lock);
    repo.xtask(LINUX).assert().success().stderr_eq("");
    repo.run_in("dist/linux", "sha256sum", &["-c", "--quiet", "SHA256SUMS"]);
    for pid in &pids {
        until("the end of a child", || (!runs(pid)).then_some(()));
    }
    repo.xtask(LINUX).assert().success().stderr_eq("");
    repo.assert_clean();
}
