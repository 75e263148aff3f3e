//! Results that cannot be printed, inputs that are not there, and folders that are another user's.

#![expect(clippy::disallowed_methods, reason = "the binary is run as a shell would")]

use std::process::{Command, Output};

use fs_err as fs;

use super::fixtures::Lab;
use crate::repo::Repo;

fn xtask(lab: &Lab, args: &[&str]) -> Command {
    fs::write(lab.path("small.iso"), super::hostile::isolinux_image()).unwrap();
    let mut command = Command::new(crate::repo::whole_program());
    command.args(args).current_dir(lab.path("")).env("MEDIA_ROOT", super::repository());
    command.env("CARGO_TARGET_DIR", lab.path("target")).env("MEDIA_DIST_DIR", lab.path("dist"));
    // GitHub is told of errors in words of its own.
    command.env_remove("GITHUB_ACTIONS");
    command
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Ways to print: a table, JSON, bytes.
#[cfg(unix)]
const PRINTS: [&[&str]; 6] = [
    &["params", "list"],
    &["params", "list", "--json"],
    &["completions", "bash"],
    &["iso", "ls", "small.iso"],
    &["iso", "cat", "small.iso", "/isolinux.cfg"],
    &["kargs", "append", "small.iso", "x=1", "-o", "-"],
];

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_a_failure() {
    let lab = Lab::new();
    for args in PRINTS {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into_parts().0;
        let (code, text) = said(&xtask(&lab, args).stdout(full).output().unwrap());
        assert_eq!(
            (code, text.contains("cannot write to standard output")),
            (Some(8), true),
            "{args:?}: {text}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_left_is_told_nothing() {
    let lab = Lab::new();
    for args in PRINTS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, text) = said(&xtask(&lab, args).stdout(writer).output().unwrap());
        assert_eq!((code, text.as_str()), (Some(0), ""), "{args:?}");
    }
    // What the command has to say besides is said all the same.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let check = ["params", "check", "--os", "rancheros-1.5.8", "--line", "rancher.password=rancher"];
    assert_eq!(said(&xtask(&lab, &check).stdout(writer).output().unwrap()).0, Some(11));
}

#[test]
fn an_input_that_is_not_there_is_named_and_its_temporary_names_are_not() {
    let lab = Lab::new();
    let wrong: [(&[&str], i32, &str); 8] = [
        (&["kargs", "show", "no.iso"], 2, "error: no such file: no.iso\n"),
        (&["iso", "ls", "no.iso"], 2, "error: no such file: no.iso\n"),
        (&["kargs", "embed-config", "small.iso", "no.yml"], 2, "error: no such file: no.yml\n"),
        (&["dist", "--password-file", "no.txt"], 2, "error: no such file: no.txt\n"),
        (&["kargs", "show", "."], 2, "error: . is a folder, not an image\n"),
        (&["kargs", "append", "small.iso", "x", "-o", "no/x.iso"], 8, "error: cannot write no/x.iso\n"),
        (&["iso", "extract", "small.iso", "-C", "no/x"], 8, "error: cannot write no/x\n"),
        (&["sign", ".", "--key", "small.iso"], 2, "error: no such file: ./SHA256SUMS\n"),
    ];
    for (args, code, wanted) in wrong {
        let (real, text) = said(&xtask(&lab, args).output().unwrap());
        let text =
            text.replace(buildexec::paths::real(&lab.utf8("")).unwrap().as_str().trim_end_matches('/'), ".");
        assert_eq!(real, Some(code), "{args:?}: {text}");
        assert!(text.starts_with(wanted) && !text.contains("/."), "{args:?}: {text}");
    }
}

#[test]
fn words_that_an_edit_does_not_find_are_named_beside_those_that_it_does() {
    let lab = Lab::new();
    let edit = |args: &[&str]| said(&xtask(&lab, args).output().unwrap());
    let (code, text) = edit(&["kargs", "append", "small.iso", "x=1", "y=2", "-o", "new.iso"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = edit(&["kargs", "delete", "new.iso", "x", "nothere", "y"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning: no kernel argument of the image matches `nothere`\n"), "{text}");
    assert_eq!(text.matches("warning: no kernel argument").count(), 1, "{text}");
    let (code, text) = edit(&["kargs", "replace", "new.iso", "a=1", "b=2"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("no kernel argument of the image matches `a=1`, `b=2`"), "{text}");
}

#[test]
fn a_text_that_is_no_key_is_not_asked_for_a_password() {
    let lab = Lab::new();
    lab.write("SHA256SUMS", "");
    lab.write("README.md", "# Boot media\n\nMakes media.\n");
    let (code, text) = said(&xtask(&lab, &["sign", ".", "--key", "README.md"]).output().unwrap());
    assert_eq!(
        (code, text.contains("is not a minisign secret key"), text.contains("password")),
        (Some(2), true, false),
        "{text}"
    );
}

#[test]
fn what_is_asked_for_as_json_is_json() {
    let lab = Lab::new();
    let parsed = |args: &[&str]| -> serde_json::Value {
        let output = xtask(&lab, &[&["--json"], args].concat()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output).1);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(parsed(&["vm", "test", "--list"])[0]["name"], "power-cut");
    assert_eq!(parsed(&["gc", "--dry-run"])["removed"], false);
    assert_eq!(parsed(&["iso", "extract", "small.iso", "-C", "out"])["folder"], "out");
}

#[test]
fn the_changelog_holds_nothing_that_the_secret_scan_refuses() {
    let changelog = super::repository().join("CHANGELOG.md");
    let output = xtask(&Lab::new(), &["guard", changelog.as_str()]).output().unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(0), "it is what a release says of itself: {text}");
}

#[test]
fn with_json_everything_that_is_printed_is_json_also_what_the_command_line_gets_wrong() {
    let repo = Repo::new();
    let values = |text: &[u8]| -> Vec<serde_json::Value> {
        let read: Result<_, serde_json::Error> =
            serde_json::Deserializer::from_slice(text).into_iter().collect();
        read.unwrap_or_else(|e| panic!("{e} in {}", String::from_utf8_lossy(text)))
    };
    for args in [
        ["--json", "profiles"].as_slice(),
        &["--json", "serve", "smoke", "--print", "nginx"],
        &["--json", "vm", "run", "smoke", "--dry-run", "--backend", "virtualbox"],
        &["--json", "no-such-command"],
        &["--json", "params", "check", "--no-such-option"],
        &["--json", "dist", "no-such-profile"],
    ] {
        let output = repo.whole(args).output().unwrap();
        let (out, err) = (values(&output.stdout), values(&output.stderr));
        assert!(output.status.success() != out.is_empty(), "{args:?}");
        assert!(output.status.success() || err.last().unwrap()["event"] == "error", "{args:?}: {err:?}");
    }
}

#[test]
fn what_is_found_in_parameters_is_told_a_script_as_json_lines() {
    let lab = Lab::new();
    let words = ["--json", "kargs", "append", "small.iso", "rancher.state.autofromat=x", "-o", "new.iso"];
    let (code, text) = said(&xtask(&lab, &words).output().unwrap());
    assert_eq!(code, Some(11), "{text}");
    let lines: Result<Vec<serde_json::Value>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.unwrap_or_else(|e| panic!("{e} in {text}"));
    assert!(lines.iter().any(|l| l["text"].as_str().is_some_and(|t| t.contains("autofromat"))), "{text}");
}
