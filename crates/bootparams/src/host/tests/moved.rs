//! What people write who come from RancherOS: user data of every kind, keys without values, what other systems take.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut out, bytes).unwrap();
    out.finish().unwrap()
}

/// What became of user data: its files, beside those of no configuration at all, and what was refused.
fn fetched(bytes: &[u8]) -> (Vec<(String, String)>, Vec<String>) {
    let mut host = Host::default();
    let refused = host.read_user_data(bytes);
    let plain = Host::default().render().files;
    let new = host.render().files.into_iter().filter(|(path, file)| plain.get(path) != Some(file));
    let text = |f: HostFile| format!("{:o} {}", f.mode, String::from_utf8_lossy(&f.content));
    (new.map(|(path, file)| (path, text(file))).collect(), refused)
}

#[test]
fn user_data_is_what_its_beginning_says() {
    let hostname = fetched(b"#cloud-config\nhostname: a\n");
    for same in [
        gzip(b"#cloud-config\nhostname: a\n"),
        b"#cloud-config \t\nhostname: a\n".to_vec(),
        b"#cloud-config\r\nhostname: a\r\n".to_vec(),
        b"#cloud-config\nhostname: a # caf\xe9\n".to_vec(),
    ] {
        assert_eq!(fetched(&same), hostname, "{}", String::from_utf8_lossy(&same));
    }
    let script = b"#!/bin/sh\necho a\n";
    let runs = vec![("etc/host/user-data".to_owned(), "700 #!/bin/sh\necho a\n".to_owned())];
    assert_eq!(fetched(script), (runs.clone(), Vec::new()));
    assert_eq!(fetched(&gzip(script)), (runs, Vec::new()));
    assert_eq!(check_config("#!/bin/sh\necho a\n"), Vec::<String>::new());
    let services = fetched(b"#cloud-config\nrancher: {services: {web: {image: nginx}}}\n");
    assert_eq!(fetched(b"#compose\nweb:\n  image: nginx\n"), services);
    assert_eq!(refused("#compose\nweb: {image: nginx, links: [db]}\n").len(), 1);
}

#[test]
fn user_data_of_another_kind_is_named_with_the_next_step() {
    let utf16: Vec<u8> = "\u{feff}#cloud-config\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut cut = gzip(b"#cloud-config\nhostname: a\n");
    cut.truncate(20);
    for (bytes, words) in [
        (utf16, "it is UTF-16; save it as UTF-8"),
        (cut, "it is damaged: gzip cannot unpack it"),
        (gzip(&vec![b'#'; 10 << 20]), "it has more than 1048576 bytes when it is unpacked"),
        (
            b"\xef\xbb\xbf#cloud-config\n".to_vec(),
            "it begins with a byte order mark; save it as UTF-8 without one",
        ),
        (b"MIME-Version: 1.0\n".to_vec(), "it is a MIME message; give the cloud-config alone"),
        (b"#include\nhttp://a/\n".to_vec(), "give them to rancher.cloud_init.datasources"),
        (b"<!DOCTYPE html>\n".to_vec(), "it is a web page or XML; check the address"),
        (b"{\"ignition\": {}}\n".to_vec(), "it is JSON, as for Ignition; write a cloud-config"),
        (b"#cloud-config: v1\n".to_vec(), "it has something behind `#cloud-config`"),
        (b"#cloud-config\nhostname: {{ name }}\n".to_vec(), "line 2 has a list or map as a key"),
        (b"#cloud-config\na: b\n\tc: d\n".to_vec(), "line 3 is not YAML: "),
        (b"#!/bin/sh\r\n".to_vec(), "it is a script with CRLF line ends; save it with LF"),
        (Vec::new(), "it is empty"),
    ] {
        let (files, refused) = fetched(&bytes);
        assert_eq!(files, [], "{words}");
        let [said] = refused.as_slice() else { panic!("{words}: {refused:?}") };
        assert!(said.starts_with("the cloud-config is not used: ") && said.contains(words), "{said}");
    }
}

#[test]
fn packed_files_are_unpacked_within_bounds() {
    let encoded = |bytes: &[u8]| STANDARD.encode(gzip(bytes));
    let (small, bomb) = (encoded(b"hello"), encoded(&vec![0; 15 << 20]));
    let file = |name: &str, encoding: &str, content: &str| {
        format!("  - {{path: /opt/{name}, encoding: {encoding}, content: {content}}}\n")
    };
    let mut config = "#cloud-config\nwrite_files:\n".to_owned();
    for (n, encoding) in ["gz+base64", "gzip+base64", "gz+b64", "gzip+b64"].iter().enumerate() {
        config += &file(&n.to_string(), encoding, &small);
    }
    config += &file("binary", "gzip", &format!("!!binary {small}"));
    config += &file("plain", "gz+b64", &STANDARD.encode("hello"));
    assert_eq!(
        refused(&config),
        ["`write_files`: /opt/plain: the content is damaged: gzip cannot unpack it"]
    );
    let (files, _) = files(&config);
    for name in ["0", "1", "2", "3", "binary"] {
        assert_eq!(files[&format!("opt/{name}")], "644\nhello");
    }
    // One of them fits, and two do not.
    let bombs = "#cloud-config\nwrite_files:\n".to_owned()
        + &file("a", "gz+b64", &bomb)
        + &file("b", "gz+b64", &bomb);
    let said = refused(&bombs);
    assert!(said.len() == 1 && said[0].contains("/opt/b: the content has more than"), "{said:?}");
}

#[test]
fn a_key_without_a_value_says_nothing() {
    let config = "#cloud-config
hostname:
ssh_authorized_keys:
write_files:
mounts: ~
runcmd:
rancher:
  state:
    autoformat:
    wait:
  docker:
    log_driver:
    insecure_registry:
  ssh: {port: }
  environment:
";
    assert_eq!(refused(config), Vec::<String>::new());
    assert_eq!(files(config).0, files("#cloud-config\n{}\n").0);
    assert_eq!(refused("#cloud-config\nhostname: ''\n"), Vec::<String>::new());
    // On the line it is a text that YAML takes for null.
    assert_eq!(Host::default().read_line("rancher.password=!secret rancher.state.autoformat=~").len(), 2);
}

#[test]
fn programs_are_found_whatever_path_is_set() {
    for (path, want) in [
        ("/opt/bin,/home/rancher/bin", "/opt/bin:/home/rancher/bin"),
        ("/usr/bin:/opt/bin", "/opt/bin"),
        (" /a , /b,,", "/a:/b"),
    ] {
        for name in ["PATH", "path"] {
            let config = format!("#cloud-config\nrancher: {{environment: {{{name}: \"{path}\"}}}}\n");
            assert_eq!(
                files(&config).0["etc/environment"],
                format!("644\nPATH='/usr/sbin:/usr/bin:{want}'\n")
            );
        }
    }
}

#[test]
fn swap_needs_no_folder_and_every_mount_a_device() {
    let config = "#cloud-config
mounts:
  - [/dev/sdb1, '', swap, '']
  - [LABEL=data, /data, '', '']
  - ['', /x, ext4, '']
  - [/dev/sdc, '', ext4, '']
";
    let said = refused(config);
    assert_eq!(
        said,
        ["`mounts`: a mount's first text is its device", "`mounts`: nothing may be mounted at ``"]
    );
    // Four words each, for the shell takes tabs in a row for one.
    let want = "644\n/dev/sdb1\tnone\tswap\tdefaults\nLABEL=data\t/data\tauto\tdefaults\n";
    assert_eq!(files(config).0["etc/host/mounts"], want);
}

#[test]
fn accounts_of_registries_are_those_of_the_docker_client() {
    let config = "#cloud-config
rancher:
  registry_auths:
    docker.io: {username: me, password: s3cret}
    https://index.example.com/v1/: {auth: bWU6cw==}
    token.example.com: {identitytoken: t}
    half.example.com: {username: me}
    old.example.com: {auth: x, email: me@example.com}
";
    let said = refused(config);
    assert_eq!(
        said,
        [
            "`rancher.registry_auths.old.example.com.email` is not taken: Docker does not use it any more",
            "`rancher.registry_auths.half.example.com`: it has no username and password",
        ]
    );
    let files = files(config).0;
    let (mode, json) = files["root/.docker/config.json"].split_once('\n').unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(mode, "600");
    let auths = &json["auths"];
    assert_eq!(auths["https://index.docker.io/v1/"]["auth"], STANDARD.encode("me:s3cret"));
    assert_eq!(auths["https://index.example.com/v1/"]["auth"], "bWU6cw==");
    assert_eq!(auths["token.example.com"]["identitytoken"], "t");
}

#[test]
fn a_key_at_the_wrong_level_is_named_at_the_right_one() {
    for (config, words) in [
        ("rancher: {runcmd: [a]}", "`rancher.runcmd` is not taken: did you mean `runcmd`?"),
        ("services: {web: {image: x}}", "`services` is not taken: did you mean `rancher.services`?"),
        ("docker: {debug: true}", "`docker` is not taken: did you mean `rancher.docker`?"),
        ("sysctl: {a.b: 1}", "`sysctl` is not taken: did you mean `rancher.sysctl`?"),
        ("timezone: Europe/Vienna", "`timezone` is not taken: the clock is UTC"),
        ("write_file: []", "`write_file` is not taken: did you mean `write_files`?"),
    ] {
        let said = refused(&format!("#cloud-config\n{config}\n"));
        assert!(said.len() == 1 && said[0].starts_with(words), "{said:?}");
    }
}

#[test]
fn a_datasource_of_a_cloud_is_refused_with_its_address() {
    let mut host = Host::default();
    let said = host.read_line(
        "rancher.cloud_init.datasources=[file:/opt/c.yml,configdrive:/media/config-2,ec2,gce,file:x]",
    );
    assert_eq!(said.len(), 3);
    assert!(
        said[0].contains("`ec2` is not a datasource") && said[0].contains("url:http://169.254.169.254/"),
        "{said:?}"
    );
    assert!(said[1].contains("this system has url, file and configdrive"), "{said:?}");
    assert_eq!(
        host.render().files["etc/host/datasources"].content,
        b"file /opt/c.yml\nconfigdrive config-2\n"
    );
}

#[test]
fn properties_of_a_file_that_other_systems_have_are_refused_with_the_file() {
    let file = |more: &str| {
        refused(&format!("#cloud-config\nwrite_files: [{{path: /opt/a, content: x, {more}}}]\n"))
    };
    assert_eq!(file("container: console"), Vec::<String>::new());
    for (more, words) in [
        ("container: ntp", "`write_files`: /opt/a: the system's programs are not containers"),
        (
            "append: true",
            "`write_files`: /opt/a: `append` is not a property of a file; a file is written whole",
        ),
        ("group: root", "write owner: user:group"),
        ("mode: 0644", "known: path, content, owner, permissions, encoding"),
    ] {
        let said = file(more);
        assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
    }
}

#[test]
fn a_drives_name_and_keys_are_below_those_of_cloud_configs() {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    let metadata = format!(
        r#"{{"uuid": "1", "hostname": "drive", "public_keys": {{"a": "{KEY} a\n", "b": "hunter2"}}}}"#
    );
    let mut host = Host::default();
    let said = host.read_metadata(metadata.as_bytes());
    assert!(said.len() == 1 && said[0].starts_with("meta_data.json: no known key type"), "{said:?}");
    let text =
        |host: &Host, path: &str| String::from_utf8(host.render().files[path].content.clone()).unwrap();
    assert_eq!(text(&host, "etc/hostname"), "drive\n");
    host.read_config(&format!("#cloud-config\nhostname: own\nssh_authorized_keys: [{KEY} mine]\n"));
    assert_eq!(text(&host, "etc/hostname"), "own\n");
    assert_eq!(text(&host, "root/.ssh/authorized_keys"), format!("{KEY} mine\n{KEY} a\n"));
    for wrong in ["", "[]", "{", "\0"] {
        assert_eq!(Host::default().read_metadata(wrong.as_bytes()).len(), 1, "{wrong:?}");
    }
}

#[test]
fn a_written_environment_is_read_as_variables_that_no_shell_stumbles_over() {
    let config = "#cloud-config
write_files:
  - path: /etc/environment
    content: |
      # proxies
      export http_proxy=http://proxy:3128
      OPTS=\"-a -b\"
      PATH=/opt/bin
      OVER=file
      (
      exit 1
      A=\tb
rancher: {environment: {OVER: key}}
";
    assert_eq!(
        refused(config),
        [
            "`write_files`: /etc/environment: line 6 is not NAME=value",
            "`write_files`: /etc/environment: line 7 is not NAME=value",
            "`write_files`: /etc/environment: line 8 is not NAME=value",
        ]
    );
    let want =
        "644\nOPTS='-a -b'\nOVER='key'\nPATH='/usr/sbin:/usr/bin:/opt/bin'\nhttp_proxy='http://proxy:3128'\n";
    assert_eq!(files(config).0["etc/environment"], want);
    for path in ["/etc/docker/environment", "/etc/docker/args", "/etc/docker/daemon.default.json"] {
        let config = format!("#cloud-config\nwrite_files: [{{path: {path}, content: (}}]\n");
        assert_eq!(refused(&config), [format!("`write_files`: `{path}` belongs to the system")]);
    }
}
