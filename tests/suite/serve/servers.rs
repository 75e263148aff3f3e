//! The configurations that are printed for a fleet, in the real servers; a server that is missing is skipped by name.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use buildexec::run::{Runner, RunningCommand, Streams, find_program};
use buildplan::{Cmd, Digest};
use camino::{Utf8Path, Utf8PathBuf};
use netboot::fleet::{Dnsmasq, Nginx};

use super::{
    Client, SCRIPT, pattern,
    signed::{NOW, keys},
};
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

/// A folder that nginx, which gives up root, can read.
fn readable_folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = buildexec::paths::real(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (dir, root)
}

/// nginx with the configuration that is printed for the folder `tree` in `root`, once it has called it valid.
fn nginx(root: &Utf8Path, signed: bool) -> (RunningCommand, SocketAddr) {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base_url = "http://192.168.56.1:8089".to_owned();
    let site = Nginx { listen: addr, base_url, root: root.join("tree").into(), signed };
    fs_err::write(root.join("site.conf"), site.render()).unwrap();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|n| format!("{n}_temp_path {root}/{n};\n"))
        .concat();
    let outer = format!(
        "daemon off;\npid {root}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{folders}include {root}/site.conf;\n}}\n"
    );
    let conf = root.join("nginx.conf");
    fs_err::write(&conf, outer).unwrap();
    let cmd = |test: &[&str]| {
        Cmd::new("nginx", "start nginx")
            .args(["-e", "stderr", "-c", conf.as_str()])
            .args(test.iter().copied())
    };
    let output = runner(root).output(&cmd(&["-t"])).unwrap();
    assert!(output.success(), "{}", output.error_text());
    let running = spawn(root, &cmd(&[]));
    let begin = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        let said = fs_err::read_to_string(root.join("log")).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10), "nginx does not answer: {said}");
        std::thread::sleep(Duration::from_millis(5));
    }
    (running, addr)
}

/// A signed tree as nginx serves it: each file that iPXE asks for, in the way it asks, is what was signed.
#[test]
fn nginx_serves_a_signed_tree_as_files() {
    if !has("nginx") {
        return;
    }
    let (_dir, root) = readable_folder();
    fs_err::create_dir_all(root.join("tree/machines")).unwrap();
    let (roots, signer) = keys();
    let own = "machines/52-54-00-00-00-01.ipxe";
    let files: [(&str, &[u8]); 6] = [
        ("boot.ipxe", SCRIPT.as_bytes()),
        ("boot.html", SCRIPT.as_bytes()),
        ("vmlinuz", pattern(2_000_000)),
        ("initrd", pattern(3_000_000)),
        ("seed.cpio", pattern(16_384)),
        (own, b"#!ipxe\nset base-url http://192.168.56.1:8089\n"),
    ];
    for (name, bytes) in files {
        fs_err::write(root.join("tree").join(name), bytes).unwrap();
        fs_err::write(root.join("tree").join(format!("{name}.sig")), signer.sign(bytes).unwrap()).unwrap();
    }
    let (_nginx, addr) = nginx(&root, true);
    let get = |path: &str| {
        let answer = Client::to(addr).ask("GET", path, &[("Connection", "close")]);
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    };
    for (name, bytes) in files[..5].iter().filter(|(name, _)| *name != "boot.html") {
        for query in ["", "?mac=52-54-00-00-00-99&uuid=4c4c4544-0044-4a10-8050-b4c04f4d3232"] {
            let (body, signature) = (get(&format!("/{name}{query}")), get(&format!("/{name}.sig{query}")));
            assert_eq!(Digest::of(&body), Digest::of(bytes), "{name}{query}");
            pki::verify(&body, &signature, &roots, NOW).unwrap();
        }
    }
    // A machine's own script comes with its own signature.
    let query = "?mac=52-54-00-00-00-01";
    let (body, signature) = (get(&format!("/boot.ipxe{query}")), get(&format!("/boot.ipxe.sig{query}")));
    assert_eq!(body, files[5].1);
    pki::verify(&body, &signature, &roots, NOW).unwrap();
}

#[test]
fn nginx_serves_a_tree_as_we_do() {
    if !has("nginx") {
        return;
    }
    let (_dir, root) = readable_folder();
    let put = |name: &str, bytes: &[u8]| fs_err::write(root.join(name), bytes).unwrap();
    fs_err::create_dir_all(root.join("tree/machines")).unwrap();
    put("tree/boot.html", SCRIPT.as_bytes());
    put("tree/initrd", pattern(3_000_000));
    put("tree/machines/52-54-00-00-00-01.ipxe", b"#!ipxe\nset base-url http://192.168.56.1:8089\nshell\n");
    put("tree/machines/secret", b"secret");
    let (_nginx, addr) = nginx(&root, false);
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
    for range in [None, Some([10, 0, 0, 100].into()..=[10, 0, 0, 199].into())] {
        let config = Dnsmasq {
            address: [10, 0, 0, 1].into(),
            script: "http://10.0.0.1:8089/boot.html".to_owned(),
            tftp: root.to_string(),
            uefi: Some(netboot::fleet::SHIM),
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
