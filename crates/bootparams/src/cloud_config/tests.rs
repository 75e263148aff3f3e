use super::*;

const GOOD: &str = "#cloud-config
hostname: box
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH me@host
write_files:
  - path: /etc/motd
    permissions: \"0644\"
    content: |
      hello
mounts:
  - [/dev/sdb, /data, ext4, \"\"]
runcmd:
  - [sh, -c, echo]
  - echo hello
rancher:
  sysctl:
    net.ipv4.ip_forward: \"1\"
  network:
    interfaces:
      eth0.100:
        dhcp: true
  services:
    anything: {image: x, command: [a, b]}
";

fn found(text: &str, os: &str) -> Vec<(&'static str, String)> {
    let found = check(text, os.parse().unwrap());
    found
        .into_iter()
        .map(|d| (d.code.id, text[d.span].lines().next().unwrap_or_default().to_owned()))
        .collect()
}

#[test]
fn a_good_one_has_nothing_to_say() {
    assert_eq!(found(GOOD, "rancheros-1.5.8"), []);
    assert_eq!(found(GOOD, "smoke"), []);
}

#[test]
fn the_place_is_that_of_the_value() {
    let text = "#cloud-config\nwrite_files:\n- path: /ü\n  permissions: 0644\n- content: x\nrancher:\n  debug: 1\n  ssh: {port: x}\n  debgu: true\n";
    let want = [
        ("W0605", "0644".to_owned()),
        ("E0605", "".to_owned()),
        ("E0603", "1".to_owned()),
        ("E0603", "x".to_owned()),
        ("W0601", "debgu".to_owned()),
    ];
    let found = found(text, "rancheros-1.5.8");
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), want.iter().map(|w| w.0).collect::<Vec<_>>());
    assert_eq!((&found[0].1, &found[2].1, &found[4].1), (&want[0].1, &want[2].1, &want[4].1));
}

#[test]
fn no_text_is_too_strange() {
    for text in [
        "",
        "#cloud-config\n",
        "\u{feff}#cloud-config\n[",
        "- a\n- b",
        "a: &x [*x]",
        "%YAML 1.1\n---\na",
        "\0",
        "? [a]\n: b",
        "a: &x 1\nb: [*x, *x]",
    ] {
        for d in check(text, Os::Smoke) {
            assert!(d.span.start <= text.len(), "{text:?} {d:?}");
            assert!(!super::super::SourceText { name: "x", text }.show(&d).is_empty());
        }
    }
}

#[test]
fn the_first_line_is_read_as_the_os_reads_it() {
    let os = "rancheros-1.5.8";
    for end in ["", " ", "\t  ", "\u{a0}"] {
        assert_eq!(found(&format!("#cloud-config{end}\nhostname: a\n"), os), [], "{end:?}");
    }
    let ids = |text: &str| found(text, os).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids("#cloud-config\r\nhostname: a\r\n"), ["W0607"]);
    assert_eq!(ids("\u{feff}#cloud-config\nhostname: a\n"), ["E0602"]);
    let mark = check("\u{feff}#cloud-config\nhostname: a\n", os.parse().unwrap());
    assert!(mark[0].help.contains("byte order mark"), "{mark:?}");
    assert_eq!(super::text(b"\x1f\x8b\x08"), Err(NoText::Gzip));
    assert_eq!(super::text(b"\xff\xfe#\0"), Err(NoText::Utf16));
    assert_eq!(super::text(b"ok\xff"), Err(NoText::NotUtf8(2)));
}

#[test]
fn what_stands_behind_the_first_document_is_not_read() {
    let text = "#cloud-config\nhostname: a\n---\nrancher: {debug: 1}\n";
    assert_eq!(found(text, "rancheros-1.5.8"), [("W0606", String::new())]);
    assert_eq!(found("#cloud-config\n---\nhostname: a\n...\n", "rancheros-1.5.8"), []);
}

#[test]
fn text_beyond_ascii_is_refused_or_comes_out_as_another() {
    let ids = |value: &str| {
        let found = found(
            &format!("#cloud-config\n# ä\nwrite_files:\n- {{path: /a, content: {value}}}\n"),
            "rancheros-1.5.8",
        );
        found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids("é"), ["E0606"]);
    assert_eq!(ids("😀"), ["E0606"]);
    assert_eq!(ids("ß"), [""; 0]);
    assert_eq!(ids("“a”"), ["W0605"]);
}

#[test]
fn secrets_are_hidden_by_name_and_in_addresses() {
    let text = "rancher:\n  registry_auths:\n    h: \n      password: s3cret \n- {psk: \"x\"}\nhostname: a\n";
    let hidden = masked(text);
    assert_eq!(masked("- u: ftp://me@h/\n"), "- u: ftp://**@h/\n");
    assert!(!hidden.contains("s3cret") && !hidden.contains("\"x\"") && hidden.contains("hostname: a"));
    assert_eq!(hidden.len(), text.len());
}

/// What each finding says of the text, and what it advises.
fn said(text: &str) -> Vec<String> {
    let found = check(text, "rancheros-1.5.8".parse().unwrap());
    found.into_iter().map(|d| format!("{} {}; {}", d.code.id, d.message, d.help)).collect()
}

#[test]
fn each_first_line_that_is_not_the_right_one_is_named() {
    for (line, what) in [
        ("#!/bin/sh", "this is a script, not a cloud-config"),
        ("#cloud-config x", "something follows `#cloud-config` on the first line"),
        ("# comment", "the first line is not `#cloud-config`"),
    ] {
        assert_eq!(said(&format!("{line}\nhostname: a\n")), [format!("E0602 {what}; {HEADER_HELP}")]);
    }
}

#[test]
fn a_value_of_the_wrong_type_is_told_by_what_is_there_and_what_is_wanted() {
    let quote = "put it in double quotes";
    for (text, what) in [
        ("- a", "E0603 a map is wanted, and this is a list; write `key: value`".to_owned()),
        (
            "rancher: {services: {a: null}}",
            "E0607 `rancher.services.a` is null; give the service an `image`, or remove its name".to_owned(),
        ),
        (
            "rancher: {services: {a: {image: x, command: {b: c}}}}",
            "E0603 `rancher.services.a.command` wants a text or a list of texts, and this is a map; \
             write a text or a list of texts here"
                .to_owned(),
        ),
        (
            "rancher: {services: {a: {image: x, environment: \"null\"}}}",
            "E0603 `rancher.services.a.environment` wants a list of texts, or a map of texts and integers, \
             and this is null; write a list of texts, or a map of texts and integers here"
                .to_owned(),
        ),
        (
            "runcmd: [1]",
            format!(
                "E0603 `runcmd` wants a list of texts or of lists of texts, and there is an integer in it; \
                 {quote}: numbers and words such as yes are not strings here"
            ),
        ),
        ("hostname: 5", String::new()),
        ("hostname: 1.10", format!("W0605 `hostname`: the OS reads `1.10` and sees `1.1`; {quote}")),
        (
            "rancher: {network: {dns: {search: [8.80, a]}}}",
            format!("W0605 `rancher.network.dns.search`: the OS reads `8.80` and sees `8.8`; {quote}"),
        ),
    ] {
        assert_eq!(said(&format!("#cloud-config\n{text}\n")).concat(), what, "{text}");
    }
}

#[test]
fn a_password_that_everybody_knows_is_found_in_each_command_and_file() {
    for text in [
        "runcmd: [\"echo rancher:rancher | chpasswd\"]",
        "runcmd: [[sh, -c, \"echo rancher:rancher | chpasswd\"]]",
        "bootcmd: [[sh, -c, \"echo rancher:rancher | chpasswd\"]]",
        "write_files: [{path: /a, content: \"rancher:rancher\"}]",
    ] {
        let found = found(&format!("#cloud-config\n{text}\n"), "rancheros-1.5.8");
        assert!(matches!(found.as_slice(), [("W0603", _)]), "{text}: {found:?}");
    }
}

#[test]
fn the_largest_text_is_read_and_another_systems_is_not_judged() {
    // Not YAML, so that little of it is read.
    let text = |size: usize| format!("#cloud-config\n]{}", "x".repeat(size - 15));
    assert!(said(&text(MAX_BYTES + 1))[0].contains("more than a megabyte"));
    assert!(!said(&text(MAX_BYTES))[0].contains("more than a megabyte"));
    for (os, fits) in [("rancheros-1.5.8", false), ("linux", true)] {
        assert_eq!(boot("rancher: 1", os.parse().unwrap()) == ConfigVerdict::Ok, fits);
        assert_eq!(boot("", os.parse().unwrap()), ConfigVerdict::Ok);
    }
}
