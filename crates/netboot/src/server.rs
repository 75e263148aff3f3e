//! The running server: its threads, its limits, and the way to start and stop it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
};

use super::{
    answer::answer,
    boot::MachineLine,
    event::{ClientEvent, ClientEventKind},
    host::Hosts,
    links::Links,
    timeline::Timeline,
    tls::Tls,
    tree::ServedTree,
    wire::{Link, Stream},
    workers::{Workers, idlest},
};
use failure::{Failure, Kind};

/// Told of every event, on one of the server's threads: hand it over (a channel) and return.
pub(crate) type Observer = Arc<dyn Fn(&ClientEvent) + Send + Sync>;

/// What to serve, where, and with which limits.
#[derive(Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The folder to serve.
    pub tree: Utf8PathBuf,
    /// The path of the profile's base-url, such as `media`: the tree is served below it as well as at the root.
    pub prefix: String,
    /// Names and addresses under which clients reach this server, besides its own. What is private (the live view,
    /// cloud-configs, the files of single machines) is told under no other.
    pub names: Vec<String>,
    /// Folder of per-machine scripts and cloud-configs (`<mac|uuid|ip>.{ipxe,yml}`), if there is one.
    pub machines: Option<Utf8PathBuf>,
    /// Bytes served instead of the file at a path such as `boot.html`; scripts still get the requester's host.
    pub overrides: BTreeMap<String, Vec<u8>>,
    /// Answers that go wrong on purpose, by path such as `vmlinuz`.
    pub faults: BTreeMap<String, Fault>,
    /// Files beside the tree, by the path at which they are served.
    pub files: BTreeMap<String, Utf8PathBuf>,
    /// Signs the scripts that are made for one machine; without it, a signed tree is served as it is.
    pub signer: Option<Arc<pki::Signer>>,
    /// Speaks HTTPS with these certificates; plain HTTP without.
    pub tls: Option<Tls>,
    /// What clients may take.
    pub limits: ServerLimits,
    /// Told of every event.
    pub observer: Option<Observer>,
}

impl ServerConfig {
    /// Serves `tree` on `addr`, with nothing special.
    pub fn new(addr: SocketAddr, tree: impl AsRef<Utf8Path>) -> Self {
        Self {
            addr,
            tree: tree.as_ref().to_owned(),
            prefix: String::new(),
            names: Vec::new(),
            machines: None,
            overrides: BTreeMap::new(),
            faults: BTreeMap::new(),
            files: BTreeMap::new(),
            signer: None,
            tls: None,
            limits: ServerLimits::default(),
            observer: None,
        }
    }
}

/// A way to go wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answer with this status code and no file.
    Status(u16),
    /// Send nothing of the file from this byte on, and keep the connection open.
    StallAfter(u64),
}

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at once; fewer where the process may open fewer files. When all are in use, the address with the
    /// most of them makes room.
    pub connections: usize,
    /// A request's head must be complete after this long; an idle connection is closed as late.
    pub head: Duration,
    /// A client that takes nothing for this long, or next to nothing, is disconnected.
    pub write_timeout: Duration,
    /// A connection silent for less is not cut to make room for another of the same address.
    pub grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 8192,
            head: Duration::from_secs(30),
            // A person who looks at a hanging machine wants to see it hang, so this is longer than nginx's.
            write_timeout: Duration::from_secs(180),
            grace: Duration::from_secs(2),
        }
    }
}

/// A request's head may be this long, and hold this many fields. iPXE sends five.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_FIELDS: usize = 64;

/// Where events come together.
pub(super) struct Hub {
    started: Instant,
    requests: AtomicU64,
    timeline: Mutex<Timeline>,
    observer: Option<Observer>,
}

impl Hub {
    pub(super) fn tell(&self, connection: u64, peer: IpAddr, what: ClientEventKind) {
        let event = ClientEvent { at: self.started.elapsed(), connection, peer: peer.to_canonical(), what };
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).apply(&event);
        if let Some(observer) = &self.observer {
            observer(&event);
        }
    }

    pub(super) fn lines(&self, now: Duration) -> Vec<MachineLine> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).lines(now)
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What all connections share.
pub(super) struct ServerState {
    pub(super) config: ServerConfig,
    pub(super) tree: ServedTree,
    pub(super) hub: Arc<Hub>,
    pub(super) hosts: Hosts,
    /// Connections at once.
    most: usize,
    links: Mutex<Links>,
}

impl ServerState {
    /// A checked path without the prefix.
    pub(super) fn below_prefix(&self, path: String) -> String {
        let prefix = self.config.prefix.trim_matches('/');
        let below = path.strip_prefix(prefix).and_then(|p| p.strip_prefix('/'));
        below.filter(|_| !prefix.is_empty()).map_or(path.clone(), str::to_owned)
    }
}

/// A running server. Dropping it closes every connection and ends its threads.
pub struct Server {
    addr: SocketAddr,
    shared: Arc<ServerState>,
    /// Held until the server is dropped.
    _workers: Workers,
}

impl Server {
    /// Starts serving and returns.
    ///
    /// # Errors
    /// [`Kind::Port`] when the address is taken or is not this host's, [`Kind::Usage`] when the folder is missing.
    pub fn start(config: ServerConfig) -> Result<Self> {
        let room = Room::of(raise_file_limit());
        let tree = ServedTree::new(&config.tree, config.machines.as_deref(), room.files)?;
        let hub = Hub {
            started: Instant::now(),
            requests: AtomicU64::new(0),
            timeline: Mutex::default(),
            observer: config.observer.clone(),
        };
        let workers = Workers::start()?;
        let acceptor = workers.handles().first().context("no thread serves")?;
        let listener = {
            let _in = acceptor.enter();
            listen(config.addr).map_err(|e| unusable(config.addr, e))?
        };
        let addr = listener.local_addr()?;
        let hosts = Hosts::new(&config.names);
        let most = config.limits.connections.min(room.connections);
        let shared = ServerState { config, tree, hub: Arc::new(hub), hosts, most, links: Mutex::default() };
        let shared = Arc::new(shared);
        acceptor.spawn(accept(listener, Arc::clone(&shared), workers.handles().to_vec()));
        Ok(Self { addr, shared, _workers: workers })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The instant that [`ClientEvent::at`] counts from.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.shared.hub.started
    }

    /// Every machine that was seen, with its boot progress.
    #[must_use]
    pub fn lines(&self) -> Vec<MachineLine> {
        self.lines_at(self.started().elapsed())
    }

    /// The same, as it would look at another time if nothing more happened.
    #[must_use]
    pub fn lines_at(&self, now: Duration) -> Vec<MachineLine> {
        self.shared.hub.lines(now)
    }

    /// Takes in what came by another way than HTTP: a DHCP request, a line on a console.
    pub fn tell(&self, peer: IpAddr, what: ClientEventKind) {
        self.shared.hub.tell(0, peer, what);
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.links.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Whether `ip` is an address of this host.
#[must_use]
pub fn has_address(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// The address by which the network finds this host: the one that packets to anywhere leave from. None is sent.
#[must_use]
pub fn own_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address of the documentation's network, which exists nowhere: only the route to it is looked up.
    socket.connect((std::net::Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // On Windows this option would let two servers share the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Buffers grow with what their connection carries: a fixed 1 MiB for each of 1,000 clients is more than the processor's
    // cache holds, and takes twice the time.
    socket.bind(addr)?;
    // A full queue makes a client wait a second for its next try.
    socket.listen(4096)
}

fn unusable(addr: SocketAddr, e: std::io::Error) -> anyhow::Error {
    let (what, help) = match e.kind() {
        std::io::ErrorKind::AddrInUse => (
            format!("{addr} is in use by another program"),
            format!(
                "stop it (`ss -ltnp 'sport = :{}'` names it) or choose another with --listen",
                addr.port()
            ),
        ),
        std::io::ErrorKind::AddrNotAvailable => (
            format!("{} is not an address of this host", addr.ip()),
            "choose one with --listen ADDRESS:PORT (`ip address` lists them)".to_owned(),
        ),
        _ => (format!("cannot listen on {addr}"), "choose another with --listen ADDRESS:PORT".to_owned()),
    };
    Failure::new(Kind::Port, what).help(help).source(e).into()
}

/// Lets this process have as many connections as the system allows it: each is a file descriptor, and 1,024 is a common
/// soft limit. How many files this process may open then.
pub fn raise_file_limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // Refused only where something forbids it; then fewer clients fit.
        _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let most = getrlimit(Resource::Nofile).current;
        most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }
    #[cfg(not(unix))]
    usize::MAX
}

/// How the files that this process may open are divided.
#[derive(Debug, PartialEq)]
struct Room {
    connections: usize,
    /// Files of the tree that are kept open.
    files: usize,
}

impl Room {
    /// What is left over is for everything else: the runtime, files of machines, and programs that we start.
    fn of(descriptors: usize) -> Self {
        let files = (descriptors / 8).clamp(4, 256);
        let others = (descriptors / 2).min(64);
        Self { connections: descriptors.saturating_sub(files + others).max(1), files }
    }
}

async fn accept(listener: TcpListener, shared: Arc<ServerState>, workers: Vec<Handle>) {
    for id in 1.. {
        match listener.accept().await {
            Ok((tcp, peer)) => admit(&shared, &workers, id, tcp, peer),
            // Out of descriptors, or the client is gone already: neither gets better by asking at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn admit(shared: &Arc<ServerState>, workers: &[Handle], id: u64, tcp: TcpStream, peer: SocketAddr) {
    let link = Link::new(id, peer.ip(), Arc::clone(&shared.hub));
    let (Ok(local), Some(worker)) = (tcp.local_addr(), idlest(workers)) else { return };
    let grace = shared.config.limits.grace;
    if !shared.links.lock().unwrap_or_else(PoisonError::into_inner).admit(&link, shared.most, grace) {
        return link.tell(ClientEventKind::Closed { trouble: Some("all connections are in use".to_owned()) });
    }
    // The last packet of an answer must not wait for an acknowledgement.
    _ = tcp.set_nodelay(true);
    let (shared, tcp) = (Arc::clone(shared), tcp.into_std());
    worker.spawn(async move {
        match open(&shared, tcp).await {
            Ok(tcp) => converse(shared, link, tcp, local).await,
            Err(e) => close(&shared, &link, Some(e.to_string())),
        }
    });
}

/// Takes a connection over from the thread that accepted it.
async fn open(shared: &ServerState, tcp: std::io::Result<std::net::TcpStream>) -> std::io::Result<TcpStream> {
    let tcp = TcpStream::from_std(tcp?)?;
    match &shared.config.tls {
        None => Ok(tcp),
        Some(tls) => tls.open(tcp).await,
    }
}

async fn converse(shared: Arc<ServerState>, link: Arc<Link>, tcp: TcpStream, local: SocketAddr) {
    let limits = shared.config.limits;
    let io = TokioIo::new(Stream::new(tcp, Arc::clone(&link), limits.write_timeout));
    let service = service_fn(|request| answer(Arc::clone(&shared), Arc::clone(&link), local, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_header_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(io, service);
    let trouble = tokio::select! {
        end = connection => end.err().map(|e| reason(&e)),
        () = link.cut.notified() => Some("made room for another".to_owned()),
    };
    close(&shared, &link, trouble);
}

fn close(shared: &ServerState, link: &Link, trouble: Option<String>) {
    link.tell(ClientEventKind::Closed { trouble });
    shared.links.lock().unwrap_or_else(PoisonError::into_inner).remove(link.id);
}

/// An error with its causes; hyper's own text names only the outermost.
fn reason(e: &hyper::Error) -> String {
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(c) = cause {
        text += &format!(": {c}");
        cause = c.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_files_never_take_all_descriptors() {
        assert_eq!(Room::of(20_000), Room { connections: 19_680, files: 256 });
        assert_eq!(Room::of(1024), Room { connections: 832, files: 128 });
        assert_eq!(Room::of(64), Room { connections: 24, files: 8 });
        for descriptors in 32..5000 {
            let room = Room::of(descriptors);
            assert!(room.connections + room.files <= descriptors - 16, "{descriptors}: {room:?}");
        }
    }
}
