//! Names and addresses that files of the repository hold never reach a program as options of it.

use std::collections::BTreeSet;

use mediaplan::config::Engine;

use super::{
    packages,
    repo::{LINUX, Repo, can_build},
    repository,
};

/// Every program that is started, and why nothing that a file says can be an option of it.
const PROGRAMS: &[(&str, &str)] = &[
    ("\"apt-get\"", "names of packages are ours or of apt's signed index, and begin with a letter"),
    ("\"bash\"", "runs the steps of our own workflows, which are programs"),
    ("\"cargo\"", "words of ours and absolute paths"),
    ("\"chmod\"", "an absolute path"),
    ("\"chown\"", "an absolute path"),
    ("\"debugfs\"", "words of ours and an absolute path"),
    ("\"diffoscope\"", "absolute paths"),
    ("\"dpkg-deb\"", "absolute paths"),
    ("\"dpkg-query\"", "an absolute path, and the name that dpkg gave for it"),
    ("\"gh\"", "a tag, which git lets begin with no dash, and absolute paths"),
    ("\"e2fsck\"", "words of ours and an absolute path"),
    ("\"git\"", "addresses are checked and stand behind `--`, commits are hex, paths absolute"),
    ("\"gpgv\"", "absolute paths"),
    ("\"localedef\"", "words of ours and absolute paths"),
    ("\"make\"", "words of ours, and hex digits behind `GITVERSION=`"),
    ("\"ps\"", "words of ours"),
    ("\"openssl\"", "words of ours"),
    ("\"qemu-img\"", "absolute paths"),
    ("\"rustc\"", "words of ours"),
    ("\"sh\"", "words of ours and absolute paths"),
    ("\"ssh\"", "options of ours, a user of ours at an address of this machine"),
    ("\"ssh-keygen\"", "words of ours and an absolute path"),
    ("\"swtpm\"", "words of ours and absolute paths behind their options"),
    ("\"tar\"", "the name of a folder stands behind `--`"),
    ("\"unshare\"", "words of ours, the README's, and addresses and absolute paths behind their options"),
    ("\"usr/bin/grub-mkimage\"", "words of ours and absolute paths"),
    ("\"usr/bin/mksquashfs\"", "words of ours and absolute paths"),
    ("&host.program", "QEMU: values stand behind their options, with commas doubled"),
    ("&self.program", "VBoxManage: values stand behind their options; machines have names of ours"),
    ("&spec.program", "a plan's program, which is in this list itself"),
    ("exe", "ourselves, with absolute paths"),
    ("if shell == Shell::Sh { \"rm\" } else { \"Remove-Item\" }", "printed, not run: absolute paths"),
    ("program", "asks for a version, or apt: words of ours and names from apt's index"),
    ("program.as_str()", "dnsmasq, nginx, QEMU: addresses and absolute paths behind their options"),
    ("words[0]", "apt-get or sudo: packages of the list of needs"),
    ("zbin", "iPXE's own packer, out of the compiled tree: absolute paths"),
];

fn sources(dir: &camino::Utf8Path) -> Vec<String> {
    let files = buildexec::tree::files(dir).unwrap();
    let ours = files.iter().filter(|f| f.extension() == Some("rs"));
    ours.map(|f| fs_err::read_to_string(dir.join(f)).unwrap()).collect()
}

#[test]
fn every_program_that_is_started_is_looked_at() {
    let mut started = BTreeSet::new();
    for text in [
        sources(&repository().join("crates")),
        sources(&repository().join("xtask/src")),
        sources(&repository().join("lab/src")),
        sources(&repository().join("maintain/src")),
    ]
    .concat()
    {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["Cmd::new(", "CmdSpec::new("] {
            let calls = text.match_indices(word).map(|(at, _)| &text[at + word.len()..]);
            let first = calls.filter_map(|rest| rest.split(',').next());
            started.extend(first.map(|f| f.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    let known: BTreeSet<String> = PROGRAMS.iter().map(|(program, _)| (*program).to_owned()).collect();
    assert!(started.len() > 15, "{started:?}");
    let unknown: Vec<_> = started.difference(&known).collect();
    assert!(unknown.is_empty(), "what keeps values of files from being options of these? {unknown:?}");
}

#[test]
fn what_media_toml_says_runs_nothing() {
    let values = [
        ("repositories = [", "repositories = [\"--upload-pack=touch X ://\", "),
        ("repositories = [", "repositories = [\"ext::sh -c touch% X\", "),
        ("repositories = [", "repositories = [\"ext::touch X ://\", "),
        ("repositories = [", "repositories = [\"ssh://-oProxyCommand=touch%20X/y\", "),
        ("repositories = [", "repositories = [\"-c core.sshCommand=touch\", "),
        ("version = \"2.0.0\"", "version = \"-x\""),
        ("version = \"2.0.0\"", "version = \"2\\u001b[2J\""),
        ("version = \"1\"", "version = \"--help\""),
        ("version = \"1\"", "version = \"1;touch X\""),
        ("name = \"vmlinuz\"", "name = \"-vmlinuz\""),
        ("name = \"vmlinuz\"", "name = \"a/-vmlinuz\""),
        ("name = \"vmlinuz\"", "name = \"vmlinuz\", urls = [\"file:///etc/passwd\"]"),
        ("name = \"vmlinuz\"", "name = \"vmlinuz\", urls = [\"-x\"]"),
        ("[profile.linux]\n", "[profile.-linux]\n"),
        ("cloud-config = \"cloud-config.yml\"", "cloud-config = \"-c.yml\""),
    ];
    for (from, to) in values {
        let repo = Repo::new();
        repo.edit("media.toml", from, to);
        let run = repo.command(&["--offline", "plan", "linux", "--engine", "source"]).output().unwrap();
        assert_eq!(run.status.code(), Some(3), "{to}: {}", String::from_utf8_lossy(&run.stderr));
        assert!(!run.stderr.iter().any(|b| *b < b' ' && *b != b'\n'), "{to}: control characters");
        assert!(!repo.path("X").exists(), "{to}");
    }
    let repo = Repo::new();
    for text in ["--upload-pack=touch X ://", "ext::touch X"] {
        let word = format!("--ipxe-repo={text}");
        repo.xtask(&["--offline", "dist", "linux", "--engine", "source", &word]).assert().code(2);
        assert!(!repo.path("X").exists());
    }
}

#[test]
fn values_in_messages_and_addresses_in_plans_are_safe_to_show() {
    let repo = Repo::new();
    repo.edit(
        "media.toml",
        "default-profile = \"docker\"",
        "default-profile = \"a\\u001b]0;x\\u0007\\nerror: b\"",
    );
    repo.xtask(&["plan"]).assert().code(3).stderr_eq(snapbox::str![[r#"
error: media.toml has [..]
  because: default-profile `a/u{1b}]0;x/u{7}/u{a}error: b` is not a profile

"#]]);
    let repo = Repo::with_linux();
    let text = repo.read("media.toml");
    let text = text.replace(
        "name = \"vmlinuz\"",
        "name = \"vmlinuz\", urls = [\"https://me:hunter2@h/k?token=hunter3\"]",
    );
    repo.write("media.toml", text.replace("https://github.com/ipxe/ipxe", "https://me:hunter4@h/ipxe"));
    for format in ["text", "json", "dot"] {
        for engine in ["prebuilt", "source"] {
            let args = ["plan", "linux", "--format", format, "--engine", engine, "--artifacts", "artifacts"];
            let run = repo.xtask(&args).assert().success();
            let said = String::from_utf8(run.get_output().stdout.clone()).unwrap();
            assert!(!said.contains("hunter"), "{said}");
        }
    }
    std::fs::remove_dir_all(repo.path("target")).unwrap();
    repo.write("artifacts/vmlinuz", "other");
    let run = repo.xtask(&[&["--offline"], LINUX].concat()).assert().code(5);
    let said = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(said.contains("https://h/k?…") && !said.contains("hunter"), "{said}");
}

/// The options that programs are given in a build with files and folders of these names, whose overlay is looked for in the
/// ISO. In place of the repository's folder they have `ROOT`.
#[cfg(unix)]
fn options(names: [&str; 4]) -> BTreeSet<String> {
    let repo = Repo::with_linux();
    let [file, folder, header, artifacts] = names;
    repo.write(&format!("isofs/linux/root/{file}"), "x");
    repo.write(&format!("isofs/linux/root/{folder}/etc/passwd"), "ours");
    repo.write(&format!("bootscripts/config/{header}.h"), "\n");
    let calls = repo.path("calls");
    let record = format!("for word; do printf '%s\\n' \"$word\" >> {calls}; done");
    let made = "while [ \"$1\" != -o ]; do shift; done; echo GRUB > \"$2\"";
    packages::replace(&repo, "grub-common", &format!("{record}; {made}"));
    fs_err::rename(repo.path("artifacts"), repo.path(artifacts)).unwrap();
    let dir = format!("--artifacts={artifacts}");
    repo.xtask(&["-q", "dist", "linux", "--engine", "prebuilt", &dir]).assert().success();
    let iso = bootiso::Iso::open(&repo.path("dist/linux/linux-1-x86_64.iso")).unwrap();
    let passwd = iso.walk().unwrap().into_iter().find(|e| e.path.ends_with("/etc/passwd")).unwrap();
    assert_eq!((passwd.path.as_str(), passwd.size), (format!("/{folder}/etc/passwd").as_str(), 4));
    let calls = repo.read("calls").replace(repo.root().as_str(), "ROOT");
    calls.lines().filter(|word| word.starts_with('-')).map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn names_of_files_are_no_options() {
    if can_build("linux", Engine::Prebuilt) {
        let plain = options(["file", "folder", "header", "elsewhere"]);
        assert!(plain.contains("-o"), "{plain:?}");
        assert_eq!(options(["--help", "x=", "-header", "-rf"]), plain);
    }
}
