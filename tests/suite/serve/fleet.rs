//! Many machines at once, as iPXE behaves: pieces, restarts, slow readers, a boot that stops at each stage.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use netboot::{BootStage, BootState, Fault, MachineLine};

use super::{TestServer, pattern, site};

/// One machine at its own loopback address.
struct ServedMachine {
    server: SocketAddr,
    address: Ipv4Addr,
}

impl ServedMachine {
    fn number(server: SocketAddr, n: u8) -> Self {
        Self { server, address: Ipv4Addr::new(127, 0, 1, n) }
    }

    /// Asks on a connection of its own, and reads at most `most` bytes of the body, `step` at a time.
    fn fetch(&self, path: &str, range: Option<(usize, usize)>, step: usize, most: usize) -> Vec<u8> {
        let mut tcp = self.connect();
        let range = range.map_or(String::new(), |(a, b)| format!("Range: bytes={a}-{b}\r\n"));
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: boot:8089\r\nConnection: close\r\n{range}\r\n").unwrap();
        let (mut got, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            let n = tcp.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..n]);
            let body = got.windows(4).position(|w| w == b"\r\n\r\n").map(|end| end + 4);
            if let Some(body) = body.filter(|b| n == 0 || got.len() - b >= most) {
                return got.split_off(body);
            }
            assert!(n > 0, "{path}: no whole head came");
        }
    }

    #[cfg(target_os = "linux")]
    fn connect(&self) -> TcpStream {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((self.address, 0)).into()).unwrap();
        socket.connect(&self.server.into()).unwrap();
        let tcp = TcpStream::from(socket);
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        tcp
    }

    fn script(&self) {
        let mac = format!("52-54-00-00-00-{:02x}", self.address.octets()[3]);
        assert!(self.fetch(&format!("/boot.html?mac={mac}"), None, 4096, usize::MAX).starts_with(b"#!ipxe"));
    }
}

fn line(site: &TestServer, n: u8) -> MachineLine {
    let name = format!("52:54:00:00:00:{n:02x}");
    site.server.lines().into_iter().find(|l| l.name == name).expect("the machine is in the view")
}

#[test]
#[cfg(target_os = "linux")]
fn twenty_machines_boot_at_once_and_the_view_is_right() {
    let site = site(|_| {});
    let server = site.server.addr();
    let boot = move |n: u8| {
        let machine = ServedMachine::number(server, n);
        machine.script();
        // A quarter each: whole; in pieces; given up in the middle and begun again; read in small steps.
        let step = if n % 4 == 3 { 1500 } else { 1 << 16 };
        assert!(machine.fetch("/vmlinuz", None, step, usize::MAX) == pattern(300_000));
        let initrd = match n % 4 {
            1 => (0..3_000_000)
                .step_by(250_000)
                .flat_map(|at| machine.fetch("/initrd", Some((at, at + 249_999)), step, usize::MAX))
                .collect(),
            2 => {
                machine.fetch("/initrd", None, step, 1_000_000);
                machine.fetch("/initrd", None, step, usize::MAX)
            }
            _ => machine.fetch("/initrd", None, step, usize::MAX),
        };
        assert!(initrd == pattern(3_000_000), "machine {n} got something else");
        machine.fetch("/cloud-config.yml", None, step, usize::MAX);
        if n.is_multiple_of(2) {
            machine.fetch("/_/up", None, step, usize::MAX);
        }
    };
    std::thread::scope(|s| {
        for n in 1..=20 {
            s.spawn(move || boot(n));
        }
    });
    let lines = site.server.lines();
    assert_eq!(lines.len(), 20);
    for n in 1..=20 {
        let line = line(&site, n);
        let want = if n.is_multiple_of(2) {
            (BootStage::Up, "up")
        } else {
            (BootStage::CloudConfig, "cloud-config sent, starting")
        };
        assert_eq!((line.stage, line.text.as_str(), line.boots), (want.0, want.1, 1), "machine {n}");
        let stages: Vec<BootStage> = line.reached.iter().map(|(s, _)| *s).collect();
        assert_eq!(
            stages[..4],
            [BootStage::Script, BootStage::Kernel, BootStage::Initrd, BootStage::CloudConfig]
        );
        assert!(line.reached.is_sorted_by_key(|(_, at)| *at));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_boot_that_stops_is_named_with_its_stage() {
    let site = site(|c| {
        c.faults.insert("initrd".into(), Fault::StallAfter(2_500_000));
        c.faults.insert("cloud-config.yml".into(), Fault::Status(404));
    });
    let machine = |n| ServedMachine::number(site.server.addr(), n);
    machine(1).script();
    machine(2).script();
    machine(2).fetch("/vmlinuz", None, 4096, 100_000);
    machine(3).script();
    let stalled = machine(3).fetch("/initrd", None, 1 << 16, 2_500_000);
    assert_eq!(stalled.len(), 2_500_000);
    machine(4).script();
    machine(4).fetch("/cloud-config.yml", None, 4096, usize::MAX);
    let now = site.server.started().elapsed() + Duration::from_secs(12);
    let text = |n| {
        let name = format!("52:54:00:00:00:{n:02x}");
        site.server.lines_at(now).into_iter().find(|l| l.name == name).unwrap()
    };
    assert_eq!((text(1).state, text(1).text.as_str()), (BootState::Silent, "script sent, silent for 12 s"));
    assert_eq!((text(2).stage, text(2).state), (BootStage::Kernel, BootState::Silent));
    assert_eq!(text(3).text, "initrd 2.5/3.0 MB, silent for 12 s");
    assert_eq!(text(4).text, "cloud-config refused: 404 for /cloud-config.yml");
}
