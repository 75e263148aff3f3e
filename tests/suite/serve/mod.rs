//! The HTTP server, spoken to over real sockets.

#[cfg(target_os = "linux")]
mod attack;
#[cfg(target_os = "linux")]
mod browser;
mod fleet;
#[cfg(unix)]
mod process;
pub(crate) mod servers;
mod signed;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        LazyLock,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use netboot::{ClientEvent, ClientEventKind, Fault, FileRole, Server, ServerConfig, ServerLimits};

const SCRIPT: &str = "#!ipxe\nset base-url http://192.168.56.1:8089\nkernel ${base-url}/vmlinuz\nboot\n";

/// A served folder, deleted at the end.
struct TestServer {
    server: Server,
    events: Receiver<ClientEvent>,
    root: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

fn site(change: impl FnOnce(&mut ServerConfig)) -> TestServer {
    let dir = tempfile::tempdir().unwrap();
    let root = buildexec::paths::real(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    let tree = root.join("netboot");
    fs_err::create_dir_all(tree.join("sub")).unwrap();
    fs_err::create_dir_all(root.join("machines")).unwrap();
    fs_err::write(tree.join("boot.html"), SCRIPT).unwrap();
    fs_err::write(tree.join("vmlinuz"), pattern(300_000)).unwrap();
    fs_err::write(tree.join("initrd"), pattern(3_000_000)).unwrap();
    fs_err::write(tree.join("cloud-config.yml"), "#cloud-config\n").unwrap();
    fs_err::write(tree.join("sub/x.json"), "{}").unwrap();
    fs_err::write(tree.join("empty"), "").unwrap();
    fs_err::write(root.join("secret"), "secret").unwrap();
    let (tx, events) = channel();
    let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap(), &tree);
    config.machines = Some(root.join("machines"));
    config.names = vec!["10.1.2.3".to_owned(), "boot".to_owned()];
    config.observer = Some(std::sync::Arc::new(move |e| _ = tx.send(e.clone())));
    change(&mut config);
    TestServer { server: Server::start(config).unwrap(), events, root, _dir: dir }
}

/// Bytes without a period that a buffer's size could hide; made once, for tests are not optimised.
fn pattern(len: usize) -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..3_000_000_usize).map(|i| ((i * 31 + i / 251) % 256) as u8).collect());
    &BYTES[..len]
}

struct HttpAnswer {
    status: u16,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl HttpAnswer {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn to(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(tcp))
    }

    fn send(&mut self, head: &str) {
        self.0.get_mut().write_all(head.as_bytes()).unwrap();
    }

    fn head(&mut self) -> HttpAnswer {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        let mut fields = BTreeMap::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            fields.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        HttpAnswer { status, fields, body: Vec::new() }
    }

    fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> HttpAnswer {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !fields.iter().any(|(n, _)| *n == "Host") {
            head += "Host: 10.1.2.3:8089\r\n";
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        self.send(&(head + "\r\n"));
        let mut answer = self.head();
        let none = method == "HEAD" || answer.status == 304;
        if let Some(len) = answer.fields.get("content-length").filter(|_| !none) {
            answer.body = vec![0; len.parse().unwrap()];
            self.0.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// Everything until the server closes.
    fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }

    fn get(&mut self, path: &str) -> HttpAnswer {
        self.ask("GET", path, &[])
    }
}

impl TestServer {
    fn client(&self) -> Client {
        Client::to(self.server.addr())
    }

    fn get(&self, path: &str) -> HttpAnswer {
        self.client().get(path)
    }

    /// The first event that `pick` takes, which must come soon.
    fn wait<T>(&self, mut pick: impl FnMut(&ClientEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(10)).expect("the event never came");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    }
}

#[test]
fn files_come_whole_on_one_connection_with_their_types_and_tags() {
    let site = site(|_| {});
    let mut client = site.client();
    for _ in 0..2 {
        let initrd = client.get("/initrd");
        assert_eq!((initrd.status, initrd.body == pattern(3_000_000)), (200, true));
        assert_eq!(initrd.field("content-type"), "application/octet-stream");
        assert_eq!(initrd.field("accept-ranges"), "bytes");
        assert!(initrd.field("etag").starts_with("\"sha256-"));
        assert!(initrd.field("last-modified").ends_with(" GMT"));
    }
    assert_eq!(client.get("//sub//x.json").field("content-type"), "application/json");
    assert_eq!(client.get("/cloud-config.yml").field("content-type"), "application/yaml");
    assert_eq!(client.get("/empty").body, b"");
    let head = client.ask("HEAD", "/vmlinuz", &[]);
    assert_eq!((head.status, head.field("content-length")), (200, "300000"));
    assert_eq!(client.get("/vmlinuz").body, pattern(300_000), "HEAD left nothing behind");
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let site = site(|_| {});
    let mut client = site.client();
    client.send(&"GET /vmlinuz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    client.send("GET /initrd HTTP/1.1\r\nHost: a\r\n\r\n");
    for len in [300_000, 300_000, 300_000, 3_000_000] {
        let answer = client.head();
        let mut body = vec![0; answer.field("content-length").parse().unwrap()];
        client.0.read_exact(&mut body).unwrap();
        assert!(body == pattern(len));
    }
}

#[test]
fn ranges_and_conditions_work_over_the_wire() {
    let site = site(|_| {});
    let mut client = site.client();
    let part = client.ask("GET", "/initrd", &[("Range", "bytes=1000000-1999999")]);
    assert_eq!((part.status, part.field("content-range")), (206, "bytes 1000000-1999999/3000000"));
    assert!(part.body == pattern(3_000_000)[1_000_000..2_000_000]);
    let tag = part.field("etag").to_owned();
    let behind = client.ask("GET", "/initrd", &[("Range", "bytes=3000000-")]);
    assert_eq!((behind.status, behind.field("content-range")), (416, "bytes */3000000"));
    assert_eq!(client.ask("GET", "/initrd", &[("If-None-Match", &tag)]).status, 304);
    assert_eq!(client.ask("GET", "/initrd", &[("Range", "bytes=0-0"), ("If-Range", &tag)]).status, 206);
    assert_eq!(client.ask("GET", "/initrd", &[("Range", "bytes=0-0"), ("If-Range", "\"x\"")]).status, 200);
    assert_eq!(client.ask("HEAD", "/initrd", &[("Range", "bytes=0-0")]).status, 200, "ranges are for GET");
    let script = client.get("/boot.html").field("etag").to_owned();
    assert_eq!(client.ask("GET", "/boot.html", &[("If-None-Match", &script)]).status, 304);
}

#[test]
fn a_file_replaced_by_a_rebuild_is_seen_at_once() {
    let site = site(|_| {});
    let old = site.get("/vmlinuz").field("etag").to_owned();
    let path = site.root.join("netboot/vmlinuz");
    fs_err::write(site.root.join("new"), [1; 300_001]).unwrap();
    fs_err::rename(site.root.join("new"), &path).unwrap();
    let new = site.get("/vmlinuz");
    assert_eq!(new.body.len(), 300_001);
    assert_ne!(new.field("etag"), old);
    assert_eq!(
        site.client().ask("GET", "/vmlinuz", &[("If-Range", &old), ("Range", "bytes=0-0")]).status,
        200
    );
}

#[test]
fn the_script_names_the_host_under_which_the_requester_reached_us() {
    let site = site(|_| {});
    let mut client = site.client();
    for path in ["/boot.html", "//boot.ipxe"] {
        let answer = client.ask("GET", path, &[("Host", "192.168.7.9:8089")]);
        let want = SCRIPT.replace("192.168.56.1:8089", "192.168.7.9:8089");
        assert_eq!(String::from_utf8(answer.body).unwrap(), want);
        assert_eq!(answer.fields["content-type"], "text/plain; charset=utf-8");
    }
    assert_eq!(client.ask("GET", "/boot.html", &[("Host", "a\"; rm")]).status, 400);
    let mut old = site.client();
    old.send("GET /boot.html HTTP/1.0\r\n\r\n");
    let mut text = String::new();
    old.0.read_to_string(&mut text).unwrap();
    assert!(text.contains(&format!("set base-url http://{}\n", site.server.addr())), "{text}");
}

#[test]
fn a_machine_gets_its_own_script_and_cloud_config_else_the_profiles() {
    let site = site(|_| {});
    let put = |name: &str, text: &str| fs_err::write(site.root.join("machines").join(name), text).unwrap();
    put("52-54-00-00-00-01.ipxe", "#!ipxe\nset base-url http://x\n");
    put("4c4c4544-0044-4a10-8050-b4c04f4d3232.yml", "by uuid");
    let mut client = site.client();
    let text = |a: HttpAnswer| String::from_utf8(a.body).unwrap();
    let mine = text(client.get("/boot.html?mac=52:54:00:00:00:01"));
    assert_eq!(mine, "#!ipxe\nset base-url http://10.1.2.3:8089\n");
    assert!(text(client.get("/boot.html?mac=52:54:00:00:00:02")).contains("vmlinuz"));
    let uuid = "/cloud-config.yml?uuid=4C4C4544-0044-4a10-8050-b4c04f4d3232";
    assert_eq!(text(client.get(uuid)), "by uuid");
    assert_eq!(text(client.get("/cloud-config.yml?uuid=../../secret")), "#cloud-config\n");
    put("127.0.0.1.yml", "by address");
    assert_eq!(text(client.get("/cloud-config.yml")), "by address");
}

#[test]
fn nothing_outside_the_tree_is_served_and_nothing_is_listed() {
    let site = site(|_| {});
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret", site.root.join("netboot/link")).unwrap();
    for path in [
        "/",
        "/sub",
        "/sub/",
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/link",
        "/%00",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = site.client().ask(method, "/vmlinuz", &[]);
        assert_eq!((answer.status, answer.field("allow")), (405, "GET, HEAD"), "{method}");
    }
}

#[test]
fn answers_go_wrong_on_purpose_where_a_test_wants_it() {
    let site = site(|c| {
        c.overrides.insert("boot.html".into(), b"#!ipxe\nset base-url http://x\nshell\n".to_vec());
        c.faults.insert("vmlinuz".into(), Fault::Status(404));
        c.faults.insert("initrd".into(), Fault::StallAfter(1_000_000));
    });
    assert_eq!(site.get("/boot.ipxe").body, b"#!ipxe\nset base-url http://10.1.2.3:8089\nshell\n");
    assert_eq!(site.get("/vmlinuz").status, 404);
    let mut client = site.client();
    client.send("GET /initrd HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().field("content-length"), "3000000");
    let mut body = vec![0; 1_000_000];
    client.0.read_exact(&mut body).unwrap();
    assert!(body == pattern(3_000_000)[..1_000_000]);
    client.0.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.0.read(&mut [0]).is_err(), "the rest never comes");
    drop(client);
    let end = site.wait(|e| match e.what {
        ClientEventKind::Ended { sent, whole, .. } if sent > 100_000 => Some((sent, whole)),
        _ => None,
    });
    assert_eq!(end, (1_000_000, false));
}

#[test]
fn events_tell_who_asked_for_what_and_how_far_it_went() {
    let site = site(|_| {});
    site.client().ask("GET", "/vmlinuz?mac=52:54:00:00:00:01", &[("Range", "bytes=100000-")]);
    let asked = site.wait(|e| if let ClientEventKind::Asked(a) = &e.what { Some(a.clone()) } else { None });
    assert_eq!((asked.role, asked.status), (FileRole::Kernel, 206));
    assert_eq!((asked.start, asked.len, asked.size), (100_000, 200_000, 300_000));
    assert_eq!(asked.machine.mac.as_deref(), Some("52:54:00:00:00:01"));
    let whole = site.wait(|e| match e.what {
        ClientEventKind::Ended { sent, whole, .. } => Some((sent, whole)),
        _ => None,
    });
    assert_eq!(whole, (200_000, true));
}

#[test]
fn endless_heads_are_refused() {
    let site = site(|_| {});
    let mut many = site.client();
    many.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1000)));
    assert_eq!(many.head().status, 431);
    let mut long = site.client();
    // The server may hang up while we still write.
    _ = long.0.get_mut().write_all(format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1 << 20)).as_bytes());
    site.wait(|e| matches!(e.what, ClientEventKind::Closed { trouble: Some(_) }).then_some(()));
    let mut rubbish = site.client();
    rubbish.send("\x16\x03\x01\x02\x00\x01\r\n\r\n");
    assert_eq!(rubbish.head().status, 400);
    assert_eq!(site.get("/vmlinuz").status, 200);
}

#[test]
fn a_head_that_does_not_come_and_an_idle_connection_are_closed() {
    let site = site(|c| c.limits.head = Duration::from_millis(50));
    let (mut half, mut idle) = (site.client(), site.client());
    half.send("GET /vmlinuz HTTP/1.1\r\nHo");
    let mut rest = Vec::new();
    half.0.read_to_end(&mut rest).unwrap();
    idle.0.read_to_end(&mut rest).unwrap();
}

#[test]
fn thousands_of_idle_connections_make_room_for_one_that_works() {
    let limits = ServerLimits { connections: 500, grace: Duration::ZERO, ..ServerLimits::default() };
    let site = site(|c| c.limits = limits);
    let idle: Vec<_> = (0..2000).map(|_| TcpStream::connect(site.server.addr()).unwrap()).collect();
    assert_eq!(site.get("/vmlinuz").body, pattern(300_000));
    assert!(site.server.connections() <= 500);
    drop(idle);
}

#[test]
fn a_reader_that_takes_nothing_is_cut_and_hurts_nobody() {
    let site = site(|c| {
        c.limits.write_timeout = Duration::from_millis(200);
        c.overrides.insert("large".into(), vec![7; 32 << 20]);
    });
    let mut slow = site.client();
    slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(site.get("/vmlinuz").body, pattern(300_000));
    let sent = site.wait(|e| match e.what {
        ClientEventKind::Ended { sent, whole: false, .. } => Some(sent),
        _ => None,
    });
    assert!(sent < 16 << 20, "{sent} bytes were buffered for a reader that took none");
}

#[test]
fn how_far_a_reader_came_is_told_soon_after_it_stopped() {
    let site = site(|c| _ = c.overrides.insert("large".into(), vec![7; 32 << 20]));
    let mut client = site.client();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut read = vec![0; 10 << 20];
    client.0.read_exact(&mut read).unwrap();
    site.wait(|e| matches!(e.what, ClientEventKind::Moved { sent, .. } if sent >= 10 << 20).then_some(()));
}

#[test]
fn a_port_in_use_is_named_with_the_next_step() {
    let site = site(|_| {});
    let config = ServerConfig::new(site.server.addr(), site.root.join("netboot"));
    let error = Server::start(config).err().unwrap();
    assert_eq!(failure::kind_of(&error), Some(failure::Kind::Port));
    assert!(error.to_string().contains("in use"));
    assert!(!failure::helps_of(&error).is_empty());
}

#[test]
fn dropping_the_server_frees_its_port_and_its_threads() {
    let site = site(|_| {});
    let addr = site.server.addr();
    let mut client = site.client();
    client.get("/vmlinuz");
    drop(site.server);
    assert!(TcpStream::connect(addr).is_err());
    assert_eq!(client.0.read(&mut [0]).unwrap_or(0), 0, "open connections are closed");
    drop(Server::start(ServerConfig::new(addr, site.root.join("netboot"))).unwrap());
}
