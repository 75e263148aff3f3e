//! Clients that mean harm: other sites' pages, crowds, and those that are slow on purpose.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use buildexec::run::RunningCommand;
use buildplan::Cmd;
use netboot::ServerLimits;
use socket2::{Domain, Socket, Type};

use super::{Client, TestServer, servers::spawn, site};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Says how many cases of `what` there were, for docs/reliability.md.
#[expect(clippy::disallowed_macros, clippy::print_stdout, reason = "the report is made of these lines")]
fn tell(what: &str, tried: usize, held: usize) {
    println!("reliability: serve, {what}: {tried} tried, {held} held");
}

/// A connection from one of this host's own addresses.
fn from(address: Ipv4Addr, to: SocketAddr, receive: Option<usize>) -> std::io::Result<TcpStream> {
    let tcp = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(size) = receive {
        tcp.set_recv_buffer_size(size)?;
    }
    tcp.bind(&SocketAddrV4::new(address, 0).into())?;
    tcp.connect(&to.into())?;
    let tcp = TcpStream::from(tcp);
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(tcp)
}

/// Asks for the small file of the tree.
fn ask(tcp: &mut TcpStream) {
    // A connection that was closed shows when its answer is read.
    _ = tcp.write_all(b"GET /sub/x.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
}

/// Whether the answer to [`ask`] comes whole.
fn is_answered(tcp: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"{}")
}

fn is_served(tcp: &mut TcpStream) -> bool {
    ask(tcp);
    is_answered(tcp)
}

/// The server as a process that may open few files, soft and hard.
struct ServeProcess {
    addr: SocketAddr,
    job: RunningCommand,
}

impl ServeProcess {
    fn start(site: &TestServer, limits: &str) -> Self {
        let addr = std::net::TcpListener::bind((ONE, 0)).unwrap().local_addr().unwrap();
        let tree = site.root.join("netboot");
        let listen = addr.to_string();
        let cmd = Cmd::new("sh", "serve")
            .args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), crate::repo::whole_program()])
            .args(["--json", "serve", "--listen", &listen, "--tree", tree.as_str()])
            .env("MEDIA_ROOT", crate::repository());
        let job = spawn(&site.root, &cmd);
        let begin = Instant::now();
        while TcpStream::connect(addr).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "it never served");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { addr, job }
    }

    fn end(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.job.pid().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.job.wait(Duration::from_secs(10), &mut || Ok(())).unwrap(), Some(0));
    }
}

#[test]
fn a_page_that_rebinds_its_name_reads_nothing_private() {
    let site = site(|_| {});
    fs_err::write(site.root.join("netboot/seed.cpio"), "keys").unwrap();
    // Where case does not count, or 8.3 names are kept, one file has many names.
    fs_err::hard_link(site.root.join("netboot/seed.cpio"), site.root.join("netboot/SEED.CPIO")).unwrap();
    fs_err::hard_link(site.root.join("netboot/cloud-config.yml"), site.root.join("netboot/CLOUD-~1.YML"))
        .unwrap();
    fs_err::write(site.root.join("machines/52-54-00-00-00-01.ipxe"), "#!ipxe\n# key\n").unwrap();
    let mac = "mac=52:54:00:00:00:01";
    let private = [
        "/_",
        "/_/",
        "/_/events.json",
        "/_/up",
        "//_//events.json",
        "/%5F/",
        "/cloud-config.yml",
        "/seed.cpio",
        "/SEED.CPIO",
        "/CLOUD-~1.YML",
    ];
    let private = private.map(str::to_owned).into_iter();
    let private: Vec<_> = private.chain([format!("/boot.html?{mac}"), format!("/boot.ipxe?{mac}")]).collect();
    let port = site.server.addr().port();
    let foreign = ["evil.example", "a", "10.1.2.3.evil.example", "192.0.2.1", "[2001:db8::1]", "0.0.0.0"];
    let (mut tried, mut broken) = (0, Vec::new());
    for path in &private {
        for host in foreign {
            tried += 1;
            let answer = site.client().ask("GET", path, &[("Host", &format!("{host}:{port}"))]);
            if answer.status != 421 || String::from_utf8_lossy(&answer.body).contains("key") {
                broken.push(format!("{path} under {host}: {}", answer.status));
            }
        }
        for host in ["10.1.2.3", "localhost", "LOCALHOST:1", "127.0.0.1", "10.0.2.2:80"] {
            tried += 1;
            let answer = site.client().ask("GET", path, &[("Host", host)]);
            if answer.status != 200 {
                broken.push(format!("{path} under {host}: {}", answer.status));
            }
        }
    }
    tell("hosts", tried, tried - broken.len());
    assert!(broken.is_empty(), "{broken:#?}");
    let machine = site.client().ask("GET", "/boot.html", &[("Host", "evil.example")]);
    assert_eq!(machine.status, 200, "what is not private is for everyone, wherever a router sends them");
}

/// A request that two readers could take for different hosts' is refused, rather than taken for one of them.
#[test]
fn a_request_is_for_one_host_that_everyone_reads_alike() {
    let site = site(|_| {});
    let status = |line: &str, hosts: &[&[u8]]| {
        let mut head = format!("{line}\r\n").into_bytes();
        for host in hosts {
            head.extend([b"Host: ", *host, b"\r\n"].concat());
        }
        let mut client = site.client();
        client.0.get_mut().write_all(&[&head[..], b"Connection: close\r\n\r\n"].concat()).unwrap();
        client.head().status
    };
    let own: &[u8] = b"10.1.2.3:8089";
    for (line, hosts, wanted) in [
        ("GET /_/ HTTP/1.1", &[own][..], 200),
        ("GET /_/ HTTP/1.0", &[], 200),
        ("GET /_/ HTTP/1.1", &[], 400),
        ("GET /_/ HTTP/1.1", &[own, b"evil.example"], 400),
        ("GET /_/ HTTP/1.1", &[b"evil.example", own], 400),
        ("GET /_/ HTTP/1.1", &[own, own], 400),
        ("GET /_/ HTTP/1.0", &[own, b"evil.example"], 400),
        ("GET /_/ HTTP/1.1", &[b"\xe9vil.example"], 400),
        ("GET /_/ HTTP/1.0", &[b"\xe9vil.example"], 400),
        ("GET http://10.1.2.3:8089/_/ HTTP/1.1", &[own], 200),
        ("GET http://10.1.2.3:8089/_/ HTTP/1.1", &[b"evil.example"], 400),
        ("GET http://evil.example/_/ HTTP/1.1", &[own], 400),
        ("GET http://evil.example/_/ HTTP/1.1", &[b"Evil.example"], 421),
        ("GET http://evil.example/_/ HTTP/1.0", &[], 421),
        ("GET http://a@10.1.2.3:8089/_/ HTTP/1.1", &[b"a@10.1.2.3:8089"], 400),
    ] {
        assert_eq!(status(line, hosts), wanted, "{line} {hosts:?}");
    }
}

#[test]
fn a_crowd_of_one_address_is_served_and_shuts_nobody_out() {
    let site = site(|_| {});
    // Both ends are files of some process, and ours has a limit, too.
    let crowd = if crate::long() { 5000 } else { 1000 };
    let server = ServeProcess::start(&site, "ulimit -Sn 64");
    let mut all: Vec<_> = (0..crowd).map(|_| from(ONE, server.addr, None).unwrap()).collect();
    let mut newcomer = from(OTHER, server.addr, None).unwrap();
    assert!(is_served(&mut newcomer), "a newcomer beside {crowd} idle connections");
    // An idle connection has half a minute, so all ask before the first is answered.
    all.iter_mut().for_each(ask);
    let held = all.iter_mut().filter_map(|tcp| is_answered(tcp).then_some(())).count();
    tell("connections at once", crowd, held);
    assert_eq!(held, crowd);
    server.end();
}

#[test]
fn with_few_descriptors_an_address_that_takes_all_makes_room() {
    let site = site(|_| {});
    let limits = [32, 40, 64, 128, 256, 1024];
    let held = limits.into_iter().filter(|limit| {
        let server = ServeProcess::start(&site, &format!("ulimit -Hn {limit}; ulimit -Sn 32"));
        let crowd: Vec<_> = (0..limit * 2).map(|_| from(ONE, server.addr, None).unwrap()).collect();
        let served = is_served(&mut from(OTHER, server.addr, None).unwrap());
        drop(crowd);
        server.end();
        served
    });
    let held = held.count();
    tell("low descriptor limits", limits.len(), held);
    assert_eq!(held, limits.len());
}

#[test]
fn those_that_are_slow_on_purpose_are_cut_and_hurt_nobody() {
    let timeout = Duration::from_millis(400);
    let limits = ServerLimits { head: timeout, write_timeout: timeout, ..ServerLimits::default() };
    let site = site(|c| {
        c.limits = limits;
        c.overrides.insert("large".into(), vec![7; 1 << 20]);
    });
    let count = if crate::long() { 200 } else { 20 };
    let addr = site.server.addr();
    // Takes a little now and then, which is not silence; a small buffer shows the server each byte that is taken.
    let mut readers: Vec<_> = (0..count).map(|_| from(ONE, addr, Some(2048)).unwrap()).collect();
    let mut writers: Vec<_> = (0..count).map(|_| from(ONE, addr, None).unwrap()).collect();
    for tcp in &mut readers {
        tcp.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        tcp.set_nonblocking(true).unwrap();
    }
    writers.iter_mut().for_each(|tcp| tcp.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap());
    let begin = Instant::now();
    let mut buffer = [0; 512];
    while begin.elapsed() < Duration::from_secs(60) && site.server.connections() > 0 {
        readers.iter_mut().for_each(|tcp| _ = tcp.read(&mut buffer));
        writers.iter_mut().for_each(|tcp| _ = tcp.write(b"y"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let cut = 2 * count - site.server.connections();
    tell("slow readers and writers", 2 * count, cut);
    assert_eq!(cut, 2 * count);
    assert_eq!(Client::to(addr).get("/sub/x.json").body, b"{}");
}
