//! Files in, files out: what each key does, and what is refused.

mod moved;

use super::{table::ROWS, *};
use crate::{Os, check, cloud_config};

/// A cloud-config that sets one key to its example.
fn example(path: &str, example: &str) -> String {
    let mut text = "#cloud-config\n".to_owned();
    let path = path.replace("**", "net.ipv4.ip_forward").replace('*', "eth0");
    let segments: Vec<&str> = match path.split_once("net.ipv4") {
        Some((before, _)) => before.trim_end_matches('.').split('.').chain(["net.ipv4.ip_forward"]).collect(),
        None => path.split('.').collect(),
    };
    for (depth, segment) in segments.iter().enumerate() {
        text += &format!("{}{segment}:", "  ".repeat(depth));
        text += if depth + 1 == segments.len() { " " } else { "\n" };
    }
    // A service does something only with an image, and an account with a name and a password.
    let more = match segments.as_slice() {
        ["rancher", "services", _, name, ..] if *name != "image" => "\n      image: nginx",
        ["rancher", "registry_auths", _, "username"] => "\n      password: p\n      identitytoken: t",
        ["rancher", "registry_auths", _, "password"] => "\n      username: u\n      identitytoken: t",
        _ => "",
    };
    text + example + more + "\n"
}

fn files(config: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut host = Host::default();
    let mut refused = host.read_config(config);
    let rendered = host.render();
    refused.extend(rendered.refused);
    let text = |f: &HostFile| {
        let owner = if f.uid == 0 { String::new() } else { format!("(owner {}) ", f.uid) };
        format!("{owner}{:o}\n{}", f.mode, String::from_utf8_lossy(&f.content))
    };
    (rendered.files.iter().map(|(p, f)| (p.clone(), text(f))).collect(), refused)
}

#[test]
fn every_key_does_what_this_shows() {
    let (plain, refused) = files("#cloud-config\nrancher:\n");
    assert_eq!(refused, Vec::<String>::new());
    let mut shown = String::new();
    for row in ROWS {
        let config = example(row.path, row.example);
        let (files, refused) = files(&config);
        assert_eq!(refused, Vec::<String>::new(), "{}: {config}", row.path);
        assert_eq!(check_config(&config), Vec::<String>::new(), "{}", row.path);
        let changed: Vec<_> = files.iter().filter(|(path, text)| plain.get(*path) != Some(text)).collect();
        // The only supported file system.
        assert!(!changed.is_empty() || row.path.ends_with("fstype"), "{} does nothing", row.path);
        shown += &format!("## {}: {}\n", row.path, row.example);
        for (path, text) in changed {
            let before = plain.get(path).map(String::as_str).unwrap_or_default();
            let new = text.lines().filter(|l| !before.lines().any(|b| b == *l));
            shown += &format!("{path}\n{}", new.map(|l| format!("    {l}\n")).collect::<String>());
        }
    }
    insta::assert_snapshot!(shown);
}

/// Errors and warnings of the checker.
fn check_config(config: &str) -> Vec<String> {
    let found = cloud_config::check(config, Os::Docker);
    found.into_iter().filter(|d| d.severity() != crate::Severity::Note).map(|d| d.message).collect()
}

/// What the machine says is what the checker says, word for word.
fn refused(config: &str) -> Vec<String> {
    let (_, machine) = files(config);
    let (mut said, mut checked) = (machine.clone(), check_config(config));
    said.sort();
    checked.sort();
    assert_eq!(said, checked, "{config}");
    machine
}

#[test]
fn a_wrong_type_of_any_key_is_refused_in_the_checkers_words_and_changes_nothing() {
    for row in ROWS {
        let wrong = match row.handler.name() {
            "boolean" => "maybe",
            "integer" => "many",
            "text" => "[a]",
            "text or list of texts" => "{a: b}",
            _ => "5",
        };
        let config = example(row.path, wrong);
        assert_eq!(refused(&config).len(), 1, "{config}");
        let without = config.lines().filter(|l| !l.ends_with(&format!(": {wrong}"))).collect::<Vec<_>>();
        assert_eq!(files(&config).0, files(&without.join("\n")).0, "{config}");
    }
    assert_eq!(refused("#cloud-config\nrancher: {state: {fstype: btrfs}}\n").len(), 1);
}

#[test]
fn what_is_wrong_is_refused_and_the_rest_is_applied() {
    let config = "#cloud-config
hostname: [a]
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH me@host
  - hunter2
write_files:
  - {path: /opt/../etc/shadow, content: x}
  - {path: etc/x, content: x}
  - {path: /etc/shadow, content: x}
  - {path: /usr/bin/docker, content: x}
  - {path: /opt/a, content: good}
  - {path: /opt/a/b, content: x}
  - {path: /opt/c, content: x, encoding: gzip}
  - {path: /opt/d, content: x, permissions: rwx}
mounts:
  - [/dev/sdb, /usr, ext4, \"\"]
  - [/dev/sdb, /data]
users: []
rancher:
  autologin: tty1
  password: rancher
  state: {autoformat: /dev/sda, wait: 1}
  ssh: {port: 70000}
  docker:
    tls: true
    extra_args: [-H, \"tcp://0.0.0.0:2375\", --icc=false, --data-root=/x]
  environment: {\"A-B\": c}
  services:
    web: {ports: [80]}
    db: {image: x, links: [web]}
";
    insta::assert_snapshot!(refused(config).join("\n"));
    let (files, _) = files(config);
    assert!(files["root/.ssh/authorized_keys"].contains("me@host"));
    assert_eq!(files["opt/a"], "644\ngood");
    assert_eq!(files["etc/docker/args"], "644\n--icc=false\n");
    assert!(!files.contains_key("etc/host/password"));
    assert!(files.contains_key("etc/host/services/db") && !files.contains_key("etc/host/services/web"));
    assert!(files.keys().all(|p| !p.contains("..") && !p.starts_with('/')));
}

#[test]
fn the_line_of_the_recipe_works_unchanged() {
    let line = "console=tty0 rancher.password=s3cret rancher.state.autoformat=[/dev/sda] \
                rancher.state.formatzero=true \
                rancher.cloud_init.datasources=['url:http://192.168.56.1:8089/rancheros.yml']";
    let mut host = Host::default();
    assert_eq!(host.read_line(line), Vec::<String>::new());
    let files = host.render().files;
    let text = |path: &str| String::from_utf8(files[path].content.clone()).unwrap();
    assert_eq!(text("etc/host/password"), "text\ns3cret\n");
    assert!(
        text("etc/host/settings").contains("STATE_DEV='LABEL=RANCHER_STATE'\nSTATE_AUTOFORMAT='/dev/sda'\n")
    );
    assert_eq!(text("etc/host/datasources"), "url http://192.168.56.1:8089/rancheros.yml\n");
    let found = check(line, Os::Docker, &crate::Context::default());
    assert!(found.iter().all(|d| d.severity() == crate::Severity::Note), "{found:?}");
}

#[test]
fn the_line_is_over_the_file_and_dots_of_a_kernel_setting_are_no_levels() {
    let mut host = Host::default();
    host.read_config("#cloud-config\nhostname: a\nrancher: {ssh: {port: 2222}, environment: {V: 1.10}}\n");
    let line = "cc.hostname=b rancher.sysctl.net.ipv4.ip_forward=1 rancher.services.web.image=nginx:1.10";
    assert_eq!(host.read_line(line), Vec::<String>::new());
    let files = host.render().files;
    let text = |path: &str| String::from_utf8(files[path].content.clone()).unwrap();
    assert_eq!(text("etc/hostname"), "b\n");
    assert_eq!(text("etc/sysctl.conf"), "net.ipv4.ip_forward = 1\n");
    assert!(text("etc/host/settings").contains("SSH_LISTEN='2222'"));
    // As it is written, and not as the number that YAML makes of it.
    assert_eq!(text("etc/environment"), "V='1.10'\n");
    assert!(text("etc/host/services/web").contains("'nginx:1.10'"));
}

#[test]
fn a_value_cannot_leave_its_quotes() {
    let nasty = "'; reboot; '$(reboot)`reboot`";
    let config = format!(
        "#cloud-config\nruncmd:\n  - [echo, \"{nasty}\"]\nrancher:\n  environment: {{A: \"{nasty}\"}}\n  \
         services: {{web: {{image: x, command: [\"{nasty}\"]}}}}\n"
    );
    let (files, refused) = files(&config);
    assert_eq!(refused, Vec::<String>::new());
    let quoted = "''\\''; reboot; '\\''$(reboot)`reboot`'";
    for path in ["etc/host/runcmd", "etc/environment", "etc/host/services/web"] {
        assert!(files[path].contains(quoted), "{}", files[path]);
    }
}

#[test]
fn an_option_of_dockerd_is_never_in_its_file_as_well() {
    let config = "#cloud-config
rancher:
  docker:
    storage_driver: vfs
    log_driver: json-file
    args: [docker, daemon, -s, btrfs]
    extra_args: [--log-opt, max-size=1m, --log-driver=journald, --insecure-registry=a]
    insecure_registry: [b]
";
    let (files, refused) = files(config);
    assert_eq!(refused, Vec::<String>::new());
    let json = &files["etc/docker/daemon.json"];
    assert!(["storage-driver", "log-driver", "insecure"].iter().all(|k| !json.contains(k)), "{json}");
    assert_eq!(
        files["etc/docker/args"],
        "644\n-s\nbtrfs\n--log-opt\nmax-size=1m\n--log-driver=journald\n--insecure-registry=a\n"
    );
    let own = |json: &str| {
        format!("#cloud-config\nwrite_files: [{{path: /etc/docker/daemon.json, content: '{json}'}}]\n")
    };
    let (files, said) = self::files(&own(r#"{"log-driver": "none", "data-root": "/x"}"#));
    assert_eq!(said, Vec::<String>::new());
    assert!(files["etc/docker/daemon.json"].contains(r#""log-driver": "none""#));
    assert!(files["etc/docker/daemon.json"].contains(r#""data-root": "/state/docker""#));
    for wrong in ["{", "[]", r#"{"hosts": ["tcp://0.0.0.0:1"]}"#] {
        assert_eq!(self::refused(&own(wrong)).len(), 1, "{wrong}");
    }
}

#[test]
fn a_text_that_is_no_cloud_config_is_refused_as_a_whole() {
    let bomb = "#cloud-config\na: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &('b'..'i').fold(String::new(), |all, c| {
            let before = char::from(u8::try_from(c).unwrap() - 1);
            all + &format!("{c}: &{c} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n")
        });
    for text in [
        "hostname: a\n".to_owned(),
        "#cloud-config\nhostname: [\n".to_owned(),
        "#cloud-config\n".to_owned() + &"#".repeat(MAX_CONFIG),
        "#!/bin/sh\r\necho\r\n".to_owned(),
        "Content-Type: multipart/mixed; boundary=x\n".to_owned(),
        "#compose\n[".to_owned(),
        bomb,
        String::new(),
        "#cloud-config\n\0".to_owned(),
    ] {
        let mut host = Host::default();
        let said = host.read_config(&text);
        assert!(!said.is_empty() && said.iter().all(|s| s.len() < 300), "{said:?}");
        assert_eq!(host.render().files, Host::default().render().files);
    }
}

#[test]
fn no_message_repeats_a_password() {
    for text in ["rancher.password=[s3cret]", "rancher.password=$6$s3cret", "rancher.password={s3cret}"] {
        for said in Host::default().read_line(text) {
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}

#[test]
fn addresses_of_cards_are_taken_as_go_reads_them_and_win_over_names() {
    let config = "#cloud-config
rancher:
  network:
    interfaces:
      \"eth*\": {dhcp: true}
      eth0: {mtu: 1400}
      mac=52-54-00-AA-BB-CC: {dhcp: true}
      \"mac:5254.00aa.bbcd\": {mtu: 1300}
      \"mac:52:54:00:AA:*\": {mtu: 1200}
      lan: {match: \"mac=52:54:00:AA:BB:CE\", mtu: 1100}
";
    let (files, refused) = files(config);
    assert_eq!(refused, Vec::<String>::new());
    let selectors: Vec<&str> =
        files["etc/host/network"].lines().filter_map(|l| l.split('\'').nth(1)).collect();
    let all = [
        "mac:52:54:00:aa:bb:ce",
        "mac:52:54:00:aa:bb:cc",
        "mac:52:54:00:aa:bb:cd",
        "mac:52:54:00:aa:*",
        "eth0",
        "eth*",
    ];
    assert_eq!(selectors, all);
    for wrong in
        ["ea:34:71:66:90:12:01", "52:54:00", "52:54:00:aa:bb:c", "52:54-00:aa:bb:cc", "é:54:00:aa:bb:cc", ""]
    {
        let config = format!(
            "#cloud-config\nrancher: {{network: {{interfaces: {{\"mac={wrong}\": {{dhcp: true}}}}}}}}\n"
        );
        assert!(
            self::refused(&config)[0].ends_with(&format!("`{wrong}` is not a hardware address")),
            "{config}"
        );
    }
}

#[test]
fn an_empty_value_takes_no_other_option_for_its_own() {
    let config = "#cloud-config
rancher:
  services:
    web:
      image: nginx
      user: ''
      environment: ['', A=]
      privileged: false
      tty: true
      entrypoint: /bin/sh -c
      command: echo $A
      ulimits: {nofile: {soft: 1, hard: 2}}
      log_opt: {max-size: 1m, max-file: 3}
";
    let (files, refused) = files(config);
    assert_eq!(refused, Vec::<String>::new());
    let run = files["etc/host/services/web"].lines().last().unwrap_or_default();
    let (_, words) = run.split_once("\"$sum\" ").unwrap();
    assert_eq!(
        words,
        "'--entrypoint=/bin/sh' '--env=' '--env=A=' '--log-opt=max-size=1m' '--log-opt=max-file=3' '--tty' '--ulimit=nofile=1:2' '--user=' 'nginx' '-c' 'echo' '$A'"
    );
    for wrong in ["{nofile: many}", "{nofile: {soft: 1}}", "[1]"] {
        let config =
            format!("#cloud-config\nrancher: {{services: {{web: {{image: x, ulimits: {wrong}}}}}}}\n");
        assert_eq!(self::refused(&config).len(), 1, "{wrong}");
    }
}
