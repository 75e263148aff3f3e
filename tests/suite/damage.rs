//! A store and a `dist/` that a disk, a person or a kill changed: the next run ends well, with the right bytes.

#![expect(
    clippy::disallowed_methods,
    reason = "pipes are made as a shell would; the long run is asked for by the environment"
)]
#![expect(clippy::disallowed_macros, reason = "a long run says on its own output how many cases there were")]

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use mediaplan::config::Engine;

use super::repo::{LINUX, Repo, can_build};

/// A built profile, and the password that its media hold.
fn built() -> Option<Repo> {
    if !can_build("linux", Engine::Prebuilt) {
        return None;
    }
    let repo = Repo::with_linux();
    repo.xtask(LINUX).assert().success();
    Some(repo)
}

/// Changes bytes of a file and leaves its size and time.
fn flip(path: &Utf8Path) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    let file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.file().set_modified(time).unwrap();
}

fn replace(path: &Utf8Path, by: impl FnOnce(&Utf8Path)) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
    by(path);
}

fn fifo(path: &Utf8Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success() && fs::metadata(path).unwrap().file_type().is_fifo());
}

fn mode(path: &Utf8Path, mode: u32) {
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

type Damage = fn(&Utf8Path, &Utf8Path);
type Replacement = fn(&Utf8Path);

/// Kinds of damage to an entry, given its folder and its first output.
const DAMAGE: &[(&str, Damage)] = &[
    ("an output is lost", |_, out| fs::remove_file(out).unwrap()),
    ("the outputs are lost", |dir, _| fs::remove_dir_all(dir.join("out")).unwrap()),
    ("the manifest is lost", |dir, _| fs::remove_file(dir.join("manifest.json")).unwrap()),
    ("the stamp is lost", |dir, _| fs::remove_file(dir.join("stamp.json")).unwrap()),
    ("all is lost but the folder", |dir, _| replace(dir, |d| fs::create_dir(d).unwrap())),
    ("the manifest is cut off", |dir, _| {
        let text = fs::read_to_string(dir.join("manifest.json")).unwrap();
        fs::write(dir.join("manifest.json"), &text[..text.len() / 2]).unwrap();
    }),
    ("the manifest is zeros", |dir, _| fs::write(dir.join("manifest.json"), [0; 500]).unwrap()),
    ("the stamp is zeros", |dir, _| fs::write(dir.join("stamp.json"), [0; 500]).unwrap()),
    ("the manifest is of another entry", |dir, _| {
        let text = fs::read_to_string(dir.join("manifest.json")).unwrap();
        let (before, key) = text.split_once("\"key\": \"").unwrap();
        fs::write(dir.join("manifest.json"), format!("{before}\"key\": \"00{}", &key[2..])).unwrap();
    }),
    ("the entry is a file", |dir, _| replace(dir, |d| fs::write(d, "x").unwrap())),
    ("the entry is a link to nothing", |dir, _| replace(dir, |d| symlink("nowhere", d).unwrap())),
    ("the entry is a pipe", |dir, _| replace(dir, fifo)),
    ("the outputs are a file", |dir, _| replace(&dir.join("out"), |d| fs::write(d, "x").unwrap())),
    ("the outputs are a link to the right ones", |dir, _| {
        fs::rename(dir.join("out"), dir.join("other")).unwrap();
        symlink("other", dir.join("out")).unwrap();
    }),
    ("the manifest is a folder", |dir, _| {
        replace(&dir.join("manifest.json"), |d| fs::create_dir(d).unwrap());
    }),
    ("the stamp is a folder", |dir, _| replace(&dir.join("stamp.json"), |d| fs::create_dir(d).unwrap())),
    ("the manifest is a pipe", |dir, _| replace(&dir.join("manifest.json"), fifo)),
    ("an output is a folder", |_, out| replace(out, |o| fs::create_dir(o).unwrap())),
    ("an output is a link to nothing", |_, out| replace(out, |o| symlink("nowhere", o).unwrap())),
    ("an output is a pipe", |_, out| replace(out, fifo)),
    ("an output is a device's link", |_, out| replace(out, |o| symlink("/dev/zero", o).unwrap())),
    ("an output is empty", |_, out| fs::write(out, "").unwrap()),
    ("an output is cut off", |_, out| {
        let bytes = fs::read(out).unwrap();
        fs::write(out, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("an output is longer", |_, out| {
        let bytes = fs::read(out).unwrap();
        fs::write(out, [bytes, b"more".to_vec()].concat()).unwrap();
    }),
    ("one bit of an output is another", |_, out| flip(out)),
    ("the outputs cannot be entered", |dir, _| mode(&dir.join("out"), 0)),
    ("an output cannot be read", |_, out| mode(out, 0)),
];

/// The entry of `stage` that has this output, which `dist/` is made of: no other is read, and damage to it noticed.
fn entry(repo: &Repo, stage: &str, output: &str) -> (Utf8PathBuf, Utf8PathBuf) {
    let found = repo.entries(stage).into_iter().find(|dir| dir.join("out").join(output).exists());
    let dir = found.unwrap_or_else(|| panic!("no {stage} has {output}"));
    (dir.clone(), dir.join("out").join(output))
}

#[test]
fn every_kind_of_damage_to_the_store_is_noticed_and_mended() {
    let Some(repo) = built() else { return };
    let before = repo.dist();
    let long = std::env::var("MEDIA_LONG").is_ok();
    let entries = [
        ("download", "vmlinuz"),
        ("iso", "linux-1-x86_64.iso"),
        ("script", "boot.ipxe"),
        ("files", "undionly.kpxe"),
    ];
    let (mut tried, mut broken) = (0, Vec::new());
    for (name, damage) in DAMAGE {
        for (stage, output) in &entries[..if long { 4 } else { 1 }] {
            let (dir, out) = entry(&repo, stage, output);
            damage(&dir, &out);
            // What dist/ needs anew, it reads out of the store.
            fs::remove_dir_all(repo.path("dist")).unwrap();
            tried += 1;
            let run = repo.command(LINUX).output().unwrap();
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            if !run.status.success() || repo.dist() != before {
                broken.push(format!("{name} of {stage}: {said}"));
                repo.xtask(&["gc", "--all"]).assert().success();
                repo.xtask(LINUX).assert().success();
            }
            repo.assert_clean();
        }
    }
    println!("reliability: store damage: {tried} tried, {} held", tried - broken.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(DAMAGE.len() >= 20);
}

/// What the program keeps beside the store and in `dist/`, where something lies that never ends or never begins.
#[test]
fn nothing_is_waited_for_in_the_place_of_a_state_file() {
    let Some(repo) = built() else { return };
    let before = repo.dist();
    let put: [(&str, Replacement); 2] =
        [("pipe", fifo), ("device's link", |path| symlink("/dev/zero", path).unwrap())];
    for (kind, put) in put {
        for file in ["tools.json", "dist-linux.json"] {
            let path = repo.path("target/media").join(file);
            _ = fs::remove_file(&path);
            put(&path);
            repo.xtask(LINUX).assert().success();
            assert_eq!(repo.dist(), before, "{kind} for {file}");
            _ = fs::remove_file(&path);
            repo.xtask(LINUX).assert().success();
        }
        let lock = repo.path("target/media/store.lock");
        replace(&lock, put);
        let run = repo.xtask(LINUX).assert().code(8);
        let said = String::from_utf8(run.get_output().stderr.clone()).unwrap();
        assert!(said.contains("store.lock is not a regular file"), "{kind}: {said}");
        fs::remove_file(lock).unwrap();
    }
    // A link is followed, and what it leads to stays as it is.
    repo.write("mine", "mine");
    symlink(repo.path("mine"), repo.path("target/media/store.lock")).unwrap();
    repo.xtask(LINUX).assert().success();
    assert_eq!(repo.read("mine"), "mine");
    replace(&repo.path("dist/linux/SHA256SUMS"), fifo);
    repo.xtask(LINUX).assert().success();
    assert_eq!(repo.dist(), before);
}

#[test]
fn one_bit_of_a_download_that_nothing_else_shows_is_not_built_from() {
    let Some(repo) = built() else { return };
    let kernels: Vec<_> = repo.entries("download").iter().map(|e| e.join("out/vmlinuz")).collect();
    let kernel = kernels.iter().find(|k| k.exists()).unwrap();
    flip(kernel);
    // Another ISO around the same kernel.
    repo.edit(
        "media.toml",
        "params = [{ console = \"tty0\" }, ",
        "params = [\"quiet\", { console = \"tty0\" }, ",
    );
    repo.xtask(LINUX).assert().success().stderr_eq(snapbox::str![[r#"
warning: [ROOT]/target/media/store/download-[..] does not match its manifest; rebuilding it

"#]]);
    assert_eq!(repo.read("dist/linux/netboot/vmlinuz"), "a kernel\n");
    let iso = bootiso::Iso::open(&repo.path("dist/linux/linux-1-x86_64.iso")).unwrap();
    let inside = iso.read(&iso.find("/vmlinuz").unwrap(), 100).unwrap();
    assert_eq!(inside, b"a kernel\n");
    repo.run_in("dist/linux", "sha256sum", &["-c", "--quiet", "SHA256SUMS"]);
    repo.run_in("dist/linux", "sha512sum", &["-c", "--quiet", "SHA512SUMS"]);
}

#[test]
fn a_check_of_the_store_reads_every_byte_and_names_what_is_damaged() {
    let Some(repo) = built() else { return };
    let check = ["-q", "store", "check"];
    repo.xtask(&check).assert().success().stdout_eq("read [..] entries, [..]: 0 damaged\n");
    for entry in repo.entries("script") {
        flip(&entry.join("out").join(repo.names(entry.join("out").as_str()).remove(0)));
    }
    // Without work to do nothing is read, so nothing is noticed.
    repo.xtask(LINUX).assert().success().stderr_eq("");
    repo.xtask(&check).assert().code(5).stderr_eq(snapbox::str![[r#"
error: 5 entries of the store are damaged
  help: `cargo xtask store check --remove` removes them; `dist` builds again what it needs

"#]]);
    repo.xtask(&["-q", "store", "check", "--remove"]).assert().success();
    repo.xtask(&check).assert().success();
    repo.xtask(LINUX).assert().success().stderr_eq("");
}

#[test]
fn a_persons_own_files_in_dist_stay() {
    let Some(repo) = built() else { return };
    repo.write("dist/linux/notes.txt", "mine\n");
    repo.write("dist/linux/netboot/more/machine.ipxe", "#!ipxe\n");
    mode(&repo.path("dist/linux/notes.txt"), 0o600);
    repo.xtask(LINUX).assert().success().stderr_eq("");
    repo.edit(
        "media.toml",
        "params = [{ console = \"tty0\" }, ",
        "params = [\"quiet\", { console = \"tty0\" }, ",
    );
    repo.xtask(LINUX).assert().success().stderr_eq("");
    assert_eq!(repo.read("dist/linux/notes.txt"), "mine\n");
    assert_eq!(repo.read("dist/linux/netboot/more/machine.ipxe"), "#!ipxe\n");
    assert_eq!(fs::metadata(repo.path("dist/linux/notes.txt")).unwrap().permissions().mode() & 0o777, 0o600);
    // Also where this machine does not remember what it wrote, and a run was killed between two renames.
    fs::remove_file(repo.path("target/media/dist-linux.json")).unwrap();
    fs::rename(repo.path("dist/linux"), repo.path("dist/.linux.old")).unwrap();
    repo.xtask(LINUX).assert().success().stderr_eq("");
    assert_eq!(repo.read("dist/linux/notes.txt"), "mine\n");
    repo.assert_clean();
}

/// A link to a folder is where the person wants the media; what is no folder is theirs, and a swap that fails leaves
/// nothing half done.
#[test]
fn what_stands_where_media_should_is_used_or_refused() {
    let Some(repo) = built() else { return };
    let (dist, elsewhere) = (repo.path("dist/linux"), repo.path("elsewhere"));
    fs::rename(&dist, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &dist).unwrap();
    repo.xtask(LINUX).assert().success().stderr_eq("");
    fs::remove_file(elsewhere.join("SHA256SUMS")).unwrap();
    repo.xtask(LINUX).assert().success().stderr_eq("");
    assert!(dist.symlink_metadata().unwrap().is_symlink() && elsewhere.join("SHA256SUMS").is_file());
    fs::remove_dir_all(&elsewhere).unwrap();
    let refused = snapbox::str![[r#"
error: [ROOT]/dist/linux is not a folder, and is not replaced
  help: move it away, or set MEDIA_DIST_DIR to another folder

"#]];
    repo.xtask(LINUX).assert().code(8).stderr_eq(refused.clone());
    fs::remove_file(&dist).unwrap();
    fs::write(&dist, "mine").unwrap();
    repo.xtask(LINUX).assert().code(8).stderr_eq(refused);
    assert_eq!(fs::read_to_string(&dist).unwrap(), "mine");
}

/// Writing past the limit raises SIGXFSZ, which by default kills the process silently.
#[test]
fn a_limit_on_the_size_of_files_is_told_and_leaves_nothing_behind() {
    let Some(repo) = built() else { return };
    fs::remove_dir_all(repo.path("dist")).unwrap();
    let run = repo.command(LINUX);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -f 1024 && exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    shell.envs(run.get_envs().filter_map(|(k, v)| Some((k, v?)))).current_dir(repo.root());
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("File too large") && said.contains("`ulimit -f`"), "{said}");
    assert!(repo.names("dist").is_empty(), "{:?}", repo.names("dist"));
    repo.assert_clean();
    repo.xtask(LINUX).assert().success().stderr_eq("");
}

#[test]
fn an_edit_of_what_was_built_does_not_go_in_silence() {
    let Some(repo) = built() else { return };
    repo.write("dist/linux/netboot/boot.html", "#!ipxe\nshell\n");
    repo.xtask(LINUX).assert().success().stderr_eq(snapbox::str![[r#"
warning: [ROOT]/dist/linux/netboot/boot.html was changed after it was written; what was built takes its place

"#]]);
}

#[test]
fn what_the_plan_no_longer_makes_goes() {
    let Some(repo) = built() else { return };
    repo.edit("media.toml", "version = \"1\"", "version = \"2\"");
    let lock = repo.read("media.lock").replace("version = \"1\"\n", "version = \"2\"\n");
    repo.write("media.lock", lock);
    repo.xtask(LINUX).assert().success().stderr_eq("");
    let isos: Vec<_> = repo.names("dist/linux").into_iter().filter(|n| n.starts_with("linux-")).collect();
    assert_eq!(isos, ["linux-2-x86_64.iso"]);
}

/// Every file below a folder that holds a text.
fn holding(dir: &Utf8Path, text: &str) -> Vec<Utf8PathBuf> {
    let holds = |path: &Utf8PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    let files = buildexec::tree::files(dir).unwrap().into_iter().map(|f| dir.join(f));
    files.filter(|f| fs::symlink_metadata(f).unwrap().is_file()).filter(holds).collect()
}

#[test]
fn a_password_does_not_stay_in_the_store() {
    if !can_build("rancheros", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_linux();
    repo.edit("media.toml", "os = \"linux\"", "os = \"rancheros-1.5.8\"");
    repo.write("secret", "correct-horse-battery\n");
    let with = [LINUX, &["--password-file", "secret"]].concat();
    repo.xtask(&with).assert().success();
    let work = repo.path("target/media");
    assert!(!holding(&repo.path("dist"), "correct-horse-battery").is_empty());
    assert_eq!(holding(&work, "correct-horse-battery"), [""; 0]);
    assert_eq!(repo.names("target/media/private"), [""; 0]);
    // Nothing is made again while dist/ is as wanted.
    let time = |repo: &Repo| fs::metadata(repo.path("dist/linux/SHA256SUMS")).unwrap().modified().unwrap();
    let before = time(&repo);
    repo.xtask(&with).assert().success();
    assert_eq!(time(&repo), before);
    // What was asked for stays, for its owner alone.
    fs::remove_dir_all(repo.path("dist")).unwrap();
    repo.xtask(&[&with[..], &["--keep-secrets"]].concat()).assert().success();
    let kept = holding(&work, "correct-horse-battery");
    assert!(!kept.is_empty());
    for path in kept {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
        let folders = path.ancestors().skip(1).take_while(|f| *f != work);
        for folder in folders {
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700, "{folder}");
        }
    }
    // It stays until a run without that wish, or until it is cleared away, before all else.
    repo.xtask(LINUX).assert().success();
    assert_eq!(holding(&work, "correct-horse-battery"), [""; 0]);
    repo.xtask(&[&with[..], &["--keep-secrets"]].concat()).assert().success();
    let gone = repo.xtask(&["--json", "gc"]).assert().success();
    let gone: serde_json::Value = serde_json::from_slice(&gone.get_output().stdout).unwrap();
    let first = gone["folders"][0]["path"].as_str().unwrap();
    assert!(first.contains("/private/"), "{first}");
    assert_eq!(holding(&work, "correct-horse-battery"), [""; 0]);
}
