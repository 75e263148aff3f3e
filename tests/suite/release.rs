//! Media that somebody touched are refused, and the message says which check failed. A tiny profile is built by the
//! real program once; each test spoils a copy.

#![expect(clippy::disallowed_methods, reason = "a person calls the program, not the runner")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use attest::{Manifest, provenance, spdx};
use buildexec::ctx::{Ctx, Env, Globals};
use buildplan::{Digest, Input, digest::sha512};
use camino::Utf8PathBuf;
use fs_err as fs;

use mediabuild::builtin::BUILTINS;
use mediaplan::config::Engine;

use super::{packages, repo::can_build};

mod profile;
mod publish;
mod sign;

/// A repository with one profile, and what `dist` made of it.
pub(super) struct Repository {
    pub(super) dir: tempfile::TempDir,
}

const MEDIA: &str = r#"
default-profile = "mini"
[ipxe]
version = "2.0.0"
commit = "12798ec29aa8a64d8675c4378b99f5fe28447afb"
repositories = []
[profile.mini]
about = "two files that no machine would start"
os = "smoke"
version = "1"
engine = "prebuilt"
params = ["console=ttyS0", "quiet"]
cloud-config = "cloud-config.yml"
[profile.mini.media]
kind = "files"
kernel = { name = "vmlinuz" }
initrd = { name = "initrd" }
"#;

impl Repository {
    /// Built on first use; `None` when a tool is missing and may be.
    pub(super) fn get() -> Option<&'static Self> {
        static ONE: OnceLock<Repository> = OnceLock::new();
        // Asked for each test, so that each says what it lacks.
        Self::can_build().then(|| ONE.get_or_init(|| Self::of("initrd")))
    }

    fn can_build() -> bool {
        can_build("linux", Engine::Prebuilt)
    }

    /// Built of an initrd that holds this, many times.
    fn of(initrd: &str) -> Self {
        let repository = Self { dir: tempfile::tempdir().unwrap() };
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for folder in ["bootscripts", "bootscripts/patches", "bootscripts/config", "isofs/common"] {
            fs::create_dir_all(repository.path(folder)).unwrap();
            for entry in fs::read_dir(own.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), repository.path(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        // The distribution is the repository's.
        let toml = fs::read_to_string(own.join("media.toml")).unwrap();
        let distribution = &toml[toml.find("[distribution]").unwrap()..];
        let distribution = &distribution[..distribution.find("[profile.").unwrap()];
        fs::write(repository.path("media.toml"), format!("{MEDIA}\n{distribution}")).unwrap();
        fs::write(repository.path("CHANGELOG.md"), publish::CHANGELOG).unwrap();
        fs::create_dir_all(repository.path("isofs/mini")).unwrap();
        fs::write(repository.path("isofs/mini/cloud-config.yml"), "#cloud-config\nhostname: mini\n").unwrap();
        let mut lock = "epoch = 1764028800\n".to_owned();
        fs::create_dir_all(repository.path("artifacts")).unwrap();
        for (name, content) in [("vmlinuz", "vmlinuz"), ("initrd", initrd)] {
            let bytes = content.repeat(1000);
            let sha256 = Digest::of(bytes.as_bytes());
            lock += &format!(
                "[file.mini.{name}]\nversion = \"1\"\nsha256 = \"{sha256}\"\nvouched-by = \"a test\"\n"
            );
            fs::write(repository.path("artifacts").join(name), bytes).unwrap();
        }
        fs::write(repository.path("media.lock"), lock).unwrap();
        let packages = packages::of("linux").expect("`can_build` was asked");
        let path = |name| Utf8PathBuf::try_from(repository.path(name)).unwrap();
        packages.seed(&path("target/media/store"), &path("media.lock"));
        packages.debs(&path("artifacts"));
        let (code, said) =
            repository.run(&["dist", "--artifacts", repository.path("artifacts").to_str().unwrap()]);
        assert_eq!(code, 0, "{said}");
        repository
    }

    /// Another with the same files and media, to spoil.
    fn again(&self) -> Self {
        let other = Self { dir: tempfile::tempdir().unwrap() };
        // Not what other tests are at work with.
        let parts = ["media.toml", "media.lock", "CHANGELOG.md", "bootscripts", "isofs", "artifacts", "dist"];
        for part in parts.into_iter().chain(["target/media/store"]) {
            let [from, to] = [self, &other].map(|r| Utf8PathBuf::try_from(r.path(part)).unwrap());
            buildexec::tree::copy(&from, &to).unwrap();
        }
        other
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the program; exit code and everything that was said.
    pub(super) fn run(&self, args: &[&str]) -> (i32, String) {
        self.run_with("target", args)
    }

    /// The context of a run in this process.
    pub(super) fn ctx(&self) -> Ctx {
        let [root, target] = [self.dir.path(), &self.path("target")].map(|p| p.to_str().unwrap().to_owned());
        let env = Env::of(&[("MEDIA_ROOT", &root), ("CARGO_TARGET_DIR", &target)]);
        Ctx::new(Globals { quiet: true, ..Globals::default() }, env, BUILTINS).unwrap()
    }

    /// As on another machine, which has built nothing.
    pub(super) fn run_elsewhere(&self, args: &[&str]) -> (i32, String) {
        self.run_with("target-elsewhere", args)
    }

    /// As on a machine that has built what is in `target`.
    pub(super) fn run_with(&self, target: &str, args: &[&str]) -> (i32, String) {
        let output = Command::new(super::repo::whole_program())
            .args(args)
            .env_remove("GITHUB_ACTIONS")
            .env("MEDIA_ROOT", self.dir.path())
            .env("CARGO_TARGET_DIR", self.path(target))
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }

    /// A copy to spoil.
    pub(super) fn media(&self) -> MediaCopy<'_> {
        let dir = tempfile::tempdir().unwrap();
        copy(&self.path("dist/mini"), dir.path());
        MediaCopy { repository: self, dir }
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(super) struct MediaCopy<'a> {
    pub(super) repository: &'a Repository,
    pub(super) dir: tempfile::TempDir,
}

impl MediaCopy<'_> {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn verify(&self, args: &[&str]) -> (i32, String) {
        let dir = self.dir.path().to_str().unwrap();
        self.repository.run(&[&["verify", dir], args].concat())
    }

    pub(super) fn accepted(&self, args: &[&str]) -> String {
        let (code, said) = self.verify(args);
        assert_eq!(code, 0, "{said}");
        said
    }

    /// Refused by these checks, and no others.
    pub(super) fn broken(&self, args: &[&str], checks: &str) -> String {
        let (code, said) = self.verify(args);
        assert_eq!(code, 5, "{said}");
        assert!(said.contains(&format!("error: verification failed: {checks}\n")), "not {checks}: {said}");
        said
    }

    pub(super) fn manifest(&self) -> Manifest {
        serde_json::from_slice(&fs::read(self.path("manifest.json")).unwrap()).unwrap()
    }

    /// What a careful thief would do: manifest, statements and lists made to fit the files.
    pub(super) fn refresh_statements(&self) {
        let mut manifest = self.manifest();
        for (path, output) in &mut manifest.outputs {
            let bytes = fs::read(self.path(path)).unwrap();
            (output.size, output.sha256) = (bytes.len() as u64, Digest::of(&bytes));
        }
        self.state(&manifest);
    }

    pub(super) fn state(&self, manifest: &Manifest) {
        fs::write(self.path("manifest.json"), attest::json(manifest)).unwrap();
        fs::write(self.path(attest::SBOM), attest::json(&spdx::document(manifest))).unwrap();
        fs::write(self.path(attest::PROVENANCE), attest::json(&provenance::statement(manifest))).unwrap();
        self.list();
    }

    pub(super) fn list(&self) {
        let root = camino::Utf8Path::from_path(self.dir.path()).unwrap();
        let (mut short, mut long) = (String::new(), String::new());
        for path in buildexec::tree::files(root).unwrap().iter().filter(|p| !p.as_str().starts_with("SHA")) {
            let bytes = fs::read(self.path(path.as_str())).unwrap();
            short += &format!("{}  {path}\n", Digest::of(&bytes));
            long += &format!("{}  {path}\n", sha512(&mut bytes.as_slice()).unwrap());
        }
        fs::write(self.path("SHA256SUMS"), short).unwrap();
        fs::write(self.path("SHA512SUMS"), long).unwrap();
    }

    pub(super) fn flip(&self, name: &str, at: u64) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        let at = usize::try_from(at).unwrap() % bytes.len();
        bytes[at] ^= 1;
        fs::write(self.path(name), bytes).unwrap();
    }
}

#[test]
fn what_we_built_is_accepted_whole_and_file_by_file() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let said = media.accepted(&[]);
    assert!(said.contains("netboot/vmlinuz is the vmlinuz in media.lock"), "{said}");
    let files = fs::read_to_string(media.path("SHA256SUMS")).unwrap().lines().count();
    assert!(said.contains(&format!("{files} files are as SHA256SUMS says")), "{said}");
    let outputs = media.manifest().outputs.len();
    assert!(said.contains(&format!("{outputs} files, each as manifest.json says")), "{said}");
    assert!(!said.contains("--netboot-root"), "unsigned, and not meant to be: {said}");
    for name in ["mini-1-x86_64.iso", "netboot/boot.ipxe"] {
        let (code, said) = repository.run(&["verify", media.path(name).to_str().unwrap()]);
        assert_eq!(code, 0, "{said}");
    }
    // The ISO alone, as somebody carries it away.
    let alone = tempfile::tempdir().unwrap();
    let iso = alone.path().join("mini-1-x86_64.iso");
    fs::copy(media.path("mini-1-x86_64.iso"), &iso).unwrap();
    let (code, said) = repository.run(&["verify", iso.to_str().unwrap()]);
    assert!(code == 0 && said.contains("/isolinux.cfg has the parameters of profile mini"), "{said}");
}

#[test]
fn one_bit_flipped_in_any_file_is_refused() {
    let Some(repository) = Repository::get() else { return };
    let names: Vec<String> = repository.media().manifest().outputs.into_keys().collect();
    assert!(names.len() >= 7, "{names:?}");
    for (i, name) in names.iter().enumerate() {
        let media = repository.media();
        media.flip(name, 977 * i as u64);
        let (code, said) = media.verify(&[]);
        assert!(code == 5 && said.contains("verification failed: checksums, sha512"), "{name}: {said}");
        assert!(said.contains(&format!("checksums: {name} does not match SHA256SUMS")), "{said}");
    }
    for name in ["manifest.json", "sbom.spdx.json", "provenance.intoto.json"] {
        let media = repository.media();
        media.flip(name, 40);
        let (code, said) = media.verify(&[]);
        assert!(code == 5 && said.contains(&format!("checksums: {name} does not match")), "{said}");
    }
}

#[test]
fn a_swapped_kernel_with_every_list_made_to_fit_is_refused() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    fs::write(media.path("netboot/vmlinuz"), "another kernel").unwrap();
    media.refresh_statements();
    let said = media.broken(&[], "kernel, released");
    assert!(said.contains("kernel: /vmlinuz of the ISO is not netboot/vmlinuz"), "{said}");
}

/// The manifest says of another file what is in the ISO, and that file is not looked at.
#[test]
fn an_iso_alone_is_not_held_against_what_its_manifest_says_of_other_files() {
    let Some(repository) = Repository::get() else { return };
    for name in ["vmlinuz", "initrd"] {
        let media = repository.media();
        let iso = media.path("mini-1-x86_64.iso");
        let mut bytes = fs::read(&iso).unwrap();
        let good = fs::read(media.path(&format!("netboot/{name}"))).unwrap();
        let at = bytes.windows(good.len()).position(|w| w == good).unwrap();
        bytes[at] ^= 1;
        fs::write(media.path(&format!("netboot/{name}")), &bytes[at..at + good.len()]).unwrap();
        fs::write(&iso, &bytes).unwrap();
        media.refresh_statements();
        let check = if name == "initrd" { "initrd" } else { "kernel" };
        for command in [&["verify"][..], &["kargs", "reset", "--update-sums"]] {
            let (code, said) = repository.run(&[command, &[iso.to_str().unwrap()]].concat());
            assert!(code == 5 && said.contains(&format!("verification failed: {check}\n")), "{said}");
        }
        let (code, said) = repository.run_elsewhere(&["verify", "--strict", iso.to_str().unwrap()]);
        assert_eq!(code, 5, "{said}");
    }
}

#[test]
fn an_edited_script_with_every_list_made_to_fit_is_refused() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let path = media.path("netboot/boot.ipxe");
    let text = fs::read_to_string(&path).unwrap().replace("quiet", "quiet init=/bin/sh");
    fs::write(path, text).unwrap();
    media.refresh_statements();
    media.broken(&[], "boot script");
}

#[test]
fn parameters_changed_in_the_iso_are_told() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let iso = media.path("mini-1-x86_64.iso");
    let (code, said) = repository.run(&["kargs", "append", iso.to_str().unwrap(), "init=/bin/sh"]);
    assert_eq!(code, 0, "{said}");
    media.refresh_statements();
    media.broken(&[], "parameters, parameters, embed areas");
}

#[test]
fn a_stale_manifest_is_refused() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let mut manifest = media.manifest();
    manifest.outputs.get_mut("ipxe.iso").unwrap().sha256 = Digest::of(b"the build of last week");
    media.state(&manifest);
    let said = media.broken(&[], "manifest");
    assert!(said.contains("ipxe.iso does not match manifest.json: it is older"), "{said}");
    let media = repository.media();
    let mut manifest = media.manifest();
    let script = manifest.nodes.values_mut().find(|n| n.label.starts_with("boot.ipxe")).unwrap();
    for input in &mut script.inputs {
        if let Input::Source { path, sha256 } = input
            && path == "bootscripts/boot.ipxe"
        {
            *sha256 = Digest::of(b"the template of last week");
        }
    }
    media.state(&manifest);
    let said = media.broken(&[], "lock");
    assert!(said.contains("made from a different bootscripts/boot.ipxe"), "{said}");
}

#[test]
fn a_missing_file_and_an_extra_one_are_refused() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    fs::remove_file(media.path("netboot/initrd")).unwrap();
    let (code, said) = media.verify(&[]);
    assert!(code == 5 && said.contains("checksums: netboot/initrd is missing"), "{said}");
    let media = repository.media();
    fs::write(media.path("netboot/vmlinuz.old"), "").unwrap();
    let said = media.broken(&[], "files, manifest");
    assert!(said.contains("netboot/vmlinuz.old is in no list"), "{said}");
}

#[test]
fn a_rebuild_gives_the_same_bytes_and_tells_the_first_that_differs() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let artifacts = repository.path("artifacts");
    let args = ["--rebuild", "--artifacts", artifacts.to_str().unwrap()];
    assert!(media.accepted(&args).contains("identical, byte for byte, when rebuilt"));
    let iso = camino::Utf8PathBuf::try_from(media.path("mini-1-x86_64.iso")).unwrap();
    let at = bootiso::Iso::open(&iso).unwrap().find("/initrd").unwrap().extents[0].offset + 5;
    media.flip("mini-1-x86_64.iso", at);
    media.refresh_statements();
    let said = media.broken(&args, "initrd, rebuild, rebuild");
    assert!(said.contains(&format!("mini-1-x86_64.iso differs from byte {at} on, in /initrd")), "{said}");
}

#[test]
fn media_on_a_web_server_are_verified() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let url = serve(media.dir.path().to_owned());
    let (code, said) = repository.run(&["verify", &url]);
    assert!(code == 0 && said.contains("no file is missing or extra"), "{said}");
    fs::remove_file(media.path("netboot/initrd")).unwrap();
    let (code, said) = repository.run(&["verify", &url]);
    assert!(code == 5 && said.contains("netboot/initrd is missing"), "{said}");
}

/// The least web server: one file a connection.
pub(super) fn serve(root: PathBuf) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let path =
                request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').split('?').next().unwrap();
            let path = percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned();
            let (status, body) =
                fs::read(root.join(path)).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.into_bytes(), body].concat()).unwrap();
        }
    });
    url
}

#[test]
fn the_media_carry_no_trace_of_this_machine() {
    let Some(repository) = Repository::get() else { return };
    let (code, said) = repository.run(&["guard", repository.path("dist").to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let provenance = fs::read_to_string(repository.path("dist/mini/provenance.intoto.json")).unwrap();
    let statement: BTreeMap<String, serde_json::Value> = serde_json::from_str(&provenance).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
}

#[test]
fn nothing_is_released_that_is_broken_or_has_a_secret() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let (from, to) = (media.dir.path().to_str().unwrap(), tempfile::tempdir().unwrap());
    let target = to.path().join("release");
    let args = ["publish", "--from", from, "--to", target.to_str().unwrap(), "--execute"];
    media.flip("netboot/vmlinuz", 7);
    assert_eq!(repository.run(&args).0, 5);
    let leaky = Repository::of("rancher.password=hunter2 ");
    let from = leaky.path("dist/mini");
    let (code, said) = leaky.run(&[&["publish", "--from", from.to_str().unwrap()], &args[3..]].concat());
    assert!(code == 13 && said.contains("initrd: a password") && !said.contains("hunter2"), "{said}");
    assert!(!target.exists());
}
