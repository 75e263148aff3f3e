//! A `media.toml` by somebody who means harm: each value is refused, or does no more than a value may. Nothing that it
//! says is run, and nothing is written outside of `target/` and `dist/`.

#![expect(clippy::disallowed_macros, reason = "a long run says on its own output how many cases there were")]

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use camino::Utf8PathBuf;
use fs_err as fs;
use mediaplan::config::Engine;

use super::repo::{Repo, can_build};

/// What stands for a file that nobody may make, in [`VALUES`].
const CANARY: &str = "CANARY";
/// No run of a small profile takes as long, even on a busy machine.
const LONGEST: Duration = Duration::from_secs(120);
/// A message is for a person.
const MOST_SAID: usize = 20_000;

/// Values: for shells, for programs that take options, for git, for paths, for terminals, for scripts, for parsers.
const VALUES: &[&str] = &[
    "; touch CANARY;",
    "$(touch CANARY)",
    "`touch CANARY`",
    "x | touch CANARY",
    "x\ntouch CANARY\n",
    "' ; touch CANARY ; '",
    "\" ; touch CANARY ; \"",
    "--upload-pack=touch CANARY",
    "-oProxyCommand=touch CANARY",
    "--help",
    "-rf",
    "--output=CANARY",
    "ext::sh -c touch% CANARY",
    "file://CANARY",
    "ssh://-oProxyCommand=touch%20CANARY/x",
    "http://127.0.0.1:1/$(touch CANARY)",
    "../../canary",
    "../../../../../../../../etc/passwd",
    "/etc/shadow",
    "/dev/zero",
    "/proc/self/mem",
    "~/canary",
    "a/../../../canary",
    "C:\\canary",
    "..\\..\\canary",
    ".",
    "..",
    "",
    " ",
    "a\u{0}b",
    "a\u{1b}[2J\u{1b}]0;title\u{7}b",
    "a\rb",
    "a\u{202e}b",
    "\u{feff}a",
    "%s%n%s",
    "${IFS}{{ x }}{% raw %}",
    "#!ipxe\nshell\n",
    "\"]\n[profile.evil]\nabout = \"",
    "LABEL=x initrd=/evil init=/bin/sh",
    "ÿ€😀",
    "1e999",
    "-1",
    "LONG",
];

/// Places: the table, its key, and the value with `V` for one of [`VALUES`] as a string.
const PLACES: &[(&str, &str, &str)] = &[
    ("", "default-profile", "V"),
    ("[ipxe]", "version", "V"),
    ("[ipxe]", "commit", "V"),
    ("[ipxe]", "repositories", "[V]"),
    ("[distribution]", "id", "V"),
    ("[distribution]", "release", "V"),
    ("[distribution]", "keys", "[V]"),
    ("[distribution.archive.debian]", "suites", "[V]"),
    ("[distribution.archive.debian]", "mirrors", "[V]"),
    ("[netboot]", "roots", "[V]"),
    ("[profile.linux]", "about", "V"),
    ("[profile.linux]", "os", "V"),
    ("[profile.linux]", "version", "V"),
    ("[profile.linux]", "engine", "V"),
    ("[profile.linux]", "params", "[V]"),
    ("[profile.linux]", "params", "[{ V = \"x\" }]"),
    ("[profile.linux]", "params", "[{ console = V }]"),
    ("[profile.linux]", "base-url", "V"),
    ("[profile.linux]", "nic", "V"),
    ("[profile.linux]", "cloud-config", "V"),
    ("[profile.linux]", "secure-boot", "V"),
    ("[profile.linux]", "V", "true"),
    ("[profile.linux.media]", "kind", "V"),
    ("[profile.linux.media]", "kernel", "{ name = V }"),
    ("[profile.linux.media]", "kernel", "{ name = \"vmlinuz\", urls = [V] }"),
    ("[profile.linux.media]", "initrd", "{ name = V }"),
    ("[profile.linux.vm]", "ready", "V"),
    ("[profile.linux.vm]", "disks", "[{ size = V, bus = \"virtio\" }]"),
    ("[profile.linux.vm]", "firmware", "V"),
];

/// `text` with `key = value` in a table, in place of what it had.
fn with(text: &str, table: &str, key: &str, value: &str) -> String {
    let mut made = String::new();
    let (mut here, mut written) = (table.is_empty(), false);
    for line in text.lines() {
        if here && !written {
            made += &format!("{key} = {value}\n");
            written = true;
        }
        if line.starts_with('[') {
            here = line == table;
        }
        if !(here && line.starts_with(&format!("{key} ="))) {
            made += &format!("{line}\n");
        }
    }
    if written { made } else { format!("{made}{table}\n{key} = {value}\n") }
}

/// All files around the repository, but those that a run may write.
fn outside(repo: &Repo) -> Vec<(Utf8PathBuf, u64)> {
    let around = repo.root().parent().unwrap();
    let files = buildexec::tree::files(around).unwrap().into_iter();
    let ours = ["repo/target", "repo/dist", "repo/media.toml"];
    let others = files.filter(|f| ours.iter().all(|o| !f.starts_with(o)));
    others.map(|f| (f.clone(), fs::symlink_metadata(around.join(&f)).unwrap().len())).collect()
}

/// What was not as it should be with one value in one place.
fn case(repo: &Repo, good: &str, place: &(&str, &str, &str), value: &str) -> Option<String> {
    let (table, key, template) = place;
    let canary = repo.root().parent().unwrap().join("canary");
    let value = if value == "LONG" { "x".repeat(1 << 20) } else { value.replace(CANARY, canary.as_str()) };
    let quoted = serde_json::to_string(&value).unwrap();
    let put = |text: &str| {
        if text == "V" {
            quoted.clone()
        } else {
            text.replace(" V ", &format!(" {quoted} ")).replace("[V]", &format!("[{quoted}]"))
        }
    };
    repo.write("media.toml", with(good, table, &put(key), &put(template)));
    let before = outside(repo);
    let args = ["-q", "--offline", "dist", "linux", "--engine", "prebuilt", "--artifacts", "artifacts"];
    let mut command = repo.command(&args);
    let said = fs::File::create(repo.path("target/said")).unwrap().into_file();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > LONGEST {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = repo.read_bytes("target/said");
    let text = String::from_utf8_lossy(&said);
    let wrong = |what: &str| {
        let shown: String = value.chars().take(60).collect();
        let end: String = text.chars().take(400).collect();
        Some(format!("{table} {key} = {shown:?}: {what}: {end}"))
    };
    match status.map(|s| s.code()) {
        None => return wrong("it hangs"),
        Some(None) => return wrong("a signal ended it"),
        Some(Some(101)) => return wrong("it panicked"),
        Some(Some(_)) => {}
    }
    if text.contains("panicked at") {
        return wrong("a part of it panicked");
    }
    if said.iter().any(|b| *b < b' ' && *b != b'\n' || *b == 0x7F) {
        return wrong("control characters are shown");
    }
    if said.len() > MOST_SAID {
        return wrong("the message is for nobody");
    }
    if canary.exists() || outside(repo) != before {
        _ = fs::remove_file(&canary);
        return wrong("something was written outside");
    }
    None
}

#[test]
fn whatever_media_toml_says_nothing_is_run_and_nothing_written_outside() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    let good = repo.read("media.toml");
    let all: Vec<_> =
        PLACES.iter().flat_map(|place| VALUES.iter().map(move |value| (place, *value))).collect();
    assert!(all.len() >= 1000);
    // Each place and each value now and then; `cargo xtask test --long` tries every pair.
    let step = if super::long() { 1 } else { 47 };
    let cases: Vec<_> = all.iter().step_by(step).collect();
    let wrong: Vec<_> = cases.iter().filter_map(|(place, value)| case(&repo, &good, place, value)).collect();
    println!("reliability: hostile configuration: {} tried, {} held", cases.len(), cases.len() - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    repo.write("media.toml", good);
    let linux = ["-q", "--offline", "dist", "linux", "--engine", "prebuilt", "--artifacts", "artifacts"];
    repo.xtask(&linux).assert().success();
}

#[test]
fn a_value_is_put_where_it_belongs() {
    let text = "a = 1\n[t]\nb = 2\nc = 3\n[u]\nb = 4\n";
    assert_eq!(with(text, "", "a", "9"), "a = 9\n[t]\nb = 2\nc = 3\n[u]\nb = 4\n");
    assert_eq!(with(text, "[t]", "b", "9"), "a = 1\n[t]\nb = 9\nc = 3\n[u]\nb = 4\n");
    assert_eq!(with(text, "[v]", "b", "9"), format!("{text}[v]\nb = 9\n"));
}
