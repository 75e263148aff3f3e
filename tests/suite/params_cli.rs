//! `cargo xtask params` as a person calls it: output, exit codes, no secret where it could be kept.

#![expect(clippy::disallowed_methods, reason = "the binary is run as a shell would")]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value as Json;

/// Runs the program on this repository.
fn params(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("params")
        .args(args)
        .env("MEDIA_ROOT", super::repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn an_error_ends_with_its_own_exit_code_and_a_warning_does_not() {
    let check = |line: &str| params(&["check", "--os", "rancheros-1.5.8", "--line", line], "");
    let bad = check("rancher.state.dev=LABEL=RANCHER_STATE rancher.state.autoformat=/dev/sda");
    assert_eq!(bad.status.code(), Some(11));
    assert!(
        out(&bad).starts_with("error[E0201]: `rancher.state.autoformat` wants a list of texts"),
        "{}",
        out(&bad)
    );
    let odd = check("rancher.environment.V=1.10");
    assert_eq!(odd.status.code(), Some(0));
    assert!(out(&odd).starts_with("warning[W0105]"));
    assert_eq!(out(&check("quiet rancher.debug=true")), "");
    assert_eq!(params(&["check", "--os", "rancheros-2.0.0", "--line", "x"], "").status.code(), Some(2));
    assert_eq!(params(&["check", "--line", "x"], "").status.code(), Some(2));
}

#[test]
fn json_holds_the_place_and_no_secret() {
    let line = "rancher.password=007hunter2 rancher.password=$6$hunter2 rancher.registry_auths.h.password=1.10hunter2";
    let output = params(&["--json", "check", "--os", "rancheros-1.5.8", "--line", line], "");
    let reports: Vec<Json> = serde_json::from_str(&out(&output)).unwrap();
    assert!(
        reports.iter().any(|r| r["code"] == "W0202" && r["column"] == 29 && r["line"] == 1),
        "{reports:?}"
    );
    assert!(
        !out(&output).contains("hunter2") && !String::from_utf8_lossy(&output.stderr).contains("hunter2")
    );
}

#[test]
fn each_line_gives_a_tree_and_a_crash_its_word() {
    let input = "quiet rancher.a=yes cc.b=[1,x]\n\nrancher.x={[a]}\nrancher.t=2015-01-01";
    let trees = out(&params(&["parse", "--os", "burmillaos-1.9.3", "--json"], input));
    let want = [
        r#"{"b":[1,"x"],"rancher":{"a":true}}"#,
        "{}",
        r#""PANIC""#,
        r#"{"rancher":{"t":"time.Time:2015-01-01 00:00:00 +0000 UTC"}}"#,
    ];
    assert_eq!(trees.lines().collect::<Vec<_>>(), want);
}

#[test]
fn json_keeps_types_that_look_alike() {
    let input = "rancher.a=1e5\nrancher.a=100000\nrancher.a=[.nan,-.inf]\nrancher.a=\"NaN\"\nrancher.a=1.5";
    let trees = out(&params(&["parse", "--os", "rancheros-1.5.8", "--json"], input));
    let want = [
        r#"{"rancher":{"a":100000.0}}"#,
        r#"{"rancher":{"a":100000}}"#,
        r#"{"rancher":{"a":[{"float":"NaN"},{"float":"-Inf"}]}}"#,
        r#"{"rancher":{"a":"NaN"}}"#,
        r#"{"rancher":{"a":1.5}}"#,
    ];
    assert_eq!(trees.lines().collect::<Vec<_>>(), want);
    let plain = out(&params(&["parse", "--os", "rancheros-1.5.8"], "rancher.a=1e5"));
    assert_eq!(plain, "{\"rancher\":{\"a\":100000}}\n");
}

#[test]
fn every_profile_of_the_repository_is_free_of_errors() {
    for profile in ["smoke", "rancheros", "burmillaos", "linux"] {
        let output = params(&["check", profile], "");
        assert_eq!(output.status.code(), Some(0), "{profile}: {}", out(&output));
        assert!(!out(&output).contains("warning["), "{}", out(&output));
    }
    assert_eq!(params(&["check", "nobody"], "").status.code(), Some(2));
}

#[test]
fn a_profile_is_explained_and_keys_are_found() {
    let yaml = out(&params(&["explain", "rancheros"], ""));
    assert!(yaml.contains("    dev: LABEL=RANCHER_STATE\n    fstype: auto # default\n"), "{yaml}");
    let keys = out(&params(&["list", "formatzero"], ""));
    assert!(keys.contains("rancher.state.formatzero  boolean  0.4.0  0.7.0"), "{keys}");
    let json: Vec<Json> =
        serde_json::from_str(&out(&params(&["--json", "list", "--os", "rancheros-0.4.4"], ""))).unwrap();
    assert!(json.iter().all(|k| k["key"] != "rancher.ssh.port") && json.len() > 50);
}

#[test]
fn the_docker_system_is_rendered_here_with_the_words_of_the_checker() {
    let dir = tempfile::tempdir().unwrap();
    let (config, to) = (dir.path().join("c.yml"), dir.path().join("to"));
    std::fs::write(&config, "#cloud-config\nhostname: box\nrancher: {autologin: tty1}\n").unwrap();
    let (config, to) = (config.to_str().unwrap(), to.to_str().unwrap());
    let line = "rancher.state.autoformat=/dev/sda rancher.ssh.port=2222";
    let render = || params(&["render-system", "--line", line, "--cloud-config", config, "--to", to], "");
    let output = render();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let read = |path: &str| std::fs::read_to_string(format!("{to}/{path}")).unwrap();
    assert_eq!(read("etc/hostname"), "box\n");
    assert!(read("etc/host/settings").contains("SSH_LISTEN='2222'"));
    let refused = "`rancher.state.autoformat` takes a list of texts, not a text";
    assert!(said.contains(refused) && said.contains("`rancher.autologin` is not taken"), "{said}");
    let checked = params(&["check", "--os", "docker-1", "--line", line], "");
    assert_eq!(checked.status.code(), Some(11));
    assert!(out(&checked).contains(refused), "{}", out(&checked));
    // What is there is never written over.
    assert_eq!(render().status.code(), Some(2));
    assert_eq!(params(&["render-system", "smoke", "--to", &format!("{to}2")], "").status.code(), Some(2));
}
