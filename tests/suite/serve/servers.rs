//! The configurations that are printed for a fleet, in the real servers; a server that is missing is skipped by name.

use std::{
    fs::File,
    net::TcpListener,
    time::{Duration, Instant},
};

use buildexec::run::{Runner, RunningCommand, Streams, find_program};
use buildplan::Cmd;
use camino::Utf8Path;
use netboot::fleet::{Dnsmasq, Nginx};

use super::{Client, SCRIPT, pattern};
use crate::harness::{lacks, skip};
use mediaplan::stage::needs;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

pub(crate) fn runner(root: &Utf8Path) -> Runner {
    let base_env = vec![("PATH".to_owned(), PATH.to_owned()), ("HOME".to_owned(), root.to_string())];
    Runner { base_env, root: root.to_owned(), interrupt: Default::default(), keeper: false }
}

pub(crate) fn spawn(root: &Utf8Path, cmd: &Cmd) -> RunningCommand {
    let log = File::create(root.join("log")).unwrap();
    let streams = Streams { stdout: log.try_clone().unwrap(), stderr: log };
    runner(root).spawn(cmd, streams).unwrap()
}

/// Whether to go on; says so when not.
pub(crate) fn has(program: &str) -> bool {
    let found = find_program(program, PATH).is_some();
    if !found {
        let reason = format!("{program} is missing");
        let is_installed = needs::all().iter().any(|need| need.what == program);
        if is_installed { lacks(&reason) } else { skip(&reason) }
    }
    found
}

#[test]
fn nginx_serves_a_tree_as_we_do() {
    if !has("nginx") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let put = |name: &str, bytes: &[u8]| fs_err::write(root.join(name), bytes).unwrap();
    fs_err::create_dir_all(root.join("tree/machines")).unwrap();
    put("tree/boot.html", SCRIPT.as_bytes());
    put("tree/initrd", pattern(3_000_000));
    put("tree/machines/52-54-00-00-00-01.ipxe", b"#!ipxe\nset base-url http://192.168.56.1:8089\nshell\n");
    put("tree/machines/secret", b"secret");
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base_url = "http://192.168.56.1:8089".to_owned();
    put(
        "site.conf",
        Nginx { listen: addr, base_url, root: root.join("tree").into(), signed: false }.render().as_bytes(),
    );
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|n| format!("{n}_temp_path {root}/{n};\n"))
        .concat();
    let outer = format!(
        "daemon off;\npid {root}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{folders}include {root}/site.conf;\n}}\n"
    );
    put("nginx.conf", outer.as_bytes());
    let conf = root.join("nginx.conf");
    let _nginx = spawn(&root, &Cmd::new("nginx", "start nginx").args(["-e", "stderr", "-c", conf.as_str()]));
    let begin = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        let said = fs_err::read_to_string(root.join("log")).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10), "nginx does not answer: {said}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let get = |path: &str| {
        let mut client = Client::to(addr);
        client.ask("GET", path, &[("Connection", "close")])
    };
    let script = |path: &str| {
        let mut client = Client::to(addr);
        client.send(&format!("GET {path} HTTP/1.0\r\nHost: 10.1.2.3:8089\r\n\r\n"));
        client.rest()
    };
    let want = SCRIPT.replace("192.168.56.1", "10.1.2.3");
    assert!(script("//boot.html").ends_with(&want));
    assert!(
        script("/boot.ipxe?mac=52-54-00-00-00-01").ends_with("set base-url http://10.1.2.3:8089\nshell\n")
    );
    assert!(script("/boot.html?mac=../secret").ends_with(&want), "only an address names a machine");
    assert!(get("/initrd").body == pattern(3_000_000));
    for path in ["/", "/machines/secret", "/.hidden", "/../nginx.conf", "/cloud-config.yml"] {
        assert!([400, 403, 404].contains(&get(path).status), "{path}");
    }
}

#[test]
fn dnsmasq_accepts_what_is_written_for_it() {
    if !has("dnsmasq") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap();
    for range in [None, Some("10.0.0.100-10.0.0.199".parse().unwrap())] {
        let config = Dnsmasq {
            address: [10, 0, 0, 1].into(),
            script: "http://10.0.0.1:8089/boot.html".to_owned(),
            tftp: root.to_string(),
            uefi: true,
            http: vec!["http://10.0.0.1/ipxe.efi".to_owned()],
            range,
        };
        fs_err::write(root.join("conf"), config.render()).unwrap();
        let cmd = Cmd::new("dnsmasq", "check the configuration");
        let conf = format!("--conf-file={root}/conf");
        let output = runner(root).output(&cmd.args(["--test".to_owned(), conf])).unwrap();
        assert!(output.success(), "{}", output.error_text());
    }
}
