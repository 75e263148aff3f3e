//! `serve` beside nginx with `sendfile`: the same files, one after the other.
//!
//! Servers run as processes of their own, so that their memory and time are theirs; the clients are tasks of this one.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Barrier,
};

use crate::{
    lab::BenchLab,
    missing,
    series::{Goal, Pairs, RowResult, Unit},
};
use buildexec::run::{RunningCommand, Streams};
use buildplan::Cmd;
use failure::{Failure, Kind};

/// What the file is made of, so that clients can tell a hole from the file.
const FILL: u8 = 0x5a;
/// Promised in the documentation of `serve`.
const MOST_MEMORY: u64 = 128 << 20;

/// How much is asked for at once, and how often by each client.
struct Load {
    clients: usize,
    requests: usize,
    /// Bytes of the file.
    size: u64,
}

/// One, a rack, a fleet; each moves a few GB, so that a round takes seconds.
const LOADS: [Load; 3] = [
    Load { clients: 1, requests: 50, size: 40_000_000 },
    Load { clients: 100, requests: 1, size: 40_000_000 },
    Load { clients: 1000, requests: 1, size: 8_000_000 },
];

/// A server process.
pub(super) struct Served {
    /// Which.
    pub(super) name: &'static str,
    /// Where it listens.
    pub(super) addr: SocketAddr,
    job: RunningCommand,
}

/// Row 9.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let nginx = lab.ctx.find_program("nginx");
    let nginx = nginx.ok_or_else(|| missing("nginx is not installed", "apt-get install nginx-light"))?;
    netboot::server::raise_file_limit();
    let folder = lab.folder("serve")?;
    fs_err::create_dir(folder.join("tree"))?;
    for size in [40_000_000, 8_000_000] {
        fs_err::write(folder.join("tree").join(size.to_string()), vec![FILL; size])?;
    }
    let (ours, theirs) = (ours(lab, &folder)?, start_nginx(lab, nginx.as_str(), &folder)?);
    // One thread: where two cores are all there is, more clients would only take time from the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut lines = Vec::new();
    for load in &LOADS {
        let (mut wall, mut cpu) = (Pairs::default(), Pairs::default());
        for n in 0..=lab.rounds(5) {
            let pair = [&ours, &theirs].map(|server| {
                lab.ctx.check_interrupt()?;
                let before = server.cpu()?;
                let took = runtime.block_on(round(server.addr, load)).with_context(|| server.name)?;
                let bytes = (load.clients * load.requests) as f64 * load.size as f64;
                Ok::<_, anyhow::Error>((took / bytes * 1e9, (server.cpu()? - before) / bytes * 1e9))
            });
            let [(our_wall, our_cpu), (their_wall, their_cpu)] =
                <[_; 2]>::try_from(pair.into_iter().collect::<Result<Vec<_>>>()?)
                    .map_err(|_| anyhow::anyhow!("two servers give two times"))?;
            if n > 0 {
                wall.add(our_wall, their_wall);
                cpu.add(our_cpu, their_cpu);
            }
        }
        lines.extend(of(load, &wall, &cpu));
    }
    let memory = ours.job.pid().and_then(peak_memory);
    if memory.is_some_and(|m| m > MOST_MEMORY) {
        return Err(Failure::new(Kind::Command, "the server took more than 128 MiB").into());
    }
    Ok(lines)
}

fn of(load: &Load, wall: &Pairs, cpu: &Pairs) -> [RowResult; 2] {
    let clients = load.clients;
    let line = |name: String, unit, pairs: &Pairs| RowResult {
        row: 9,
        name,
        work: format!("1 GB to {clients} client{} at once", if clients == 1 { "" } else { "s" }),
        against: Some("nginx, `sendfile`".to_owned()),
        unit,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(1.0),
        limit: "the kernel's copy from the page cache to the socket, which both servers use".to_owned(),
    };
    [
        line(format!("serve-{clients}"), Unit::Seconds, wall),
        line(format!("serve-{clients}-cpu"), Unit::CpuSeconds, cpu),
    ]
}

/// A server for downloads: nginx where there is one.
///
/// # Errors
/// When it does not start.
pub(super) fn any(lab: &BenchLab, folder: &Utf8Path) -> Result<Served> {
    match lab.ctx.find_program("nginx") {
        Some(nginx) => start_nginx(lab, nginx.as_str(), folder),
        None => ours(lab, folder),
    }
}

fn ours(lab: &BenchLab, folder: &Utf8Path) -> Result<Served> {
    let addr = free_addr()?;
    let tree = folder.join("tree");
    let cmd = lab.program("lab", &lab.ctx.root, "start our server");
    let cmd = cmd.args(["serve", "--quiet", "--tree", tree.as_str(), "--listen", &addr.to_string()]);
    Ok(Served { name: "serve", addr, job: start(lab, &cmd, &folder.join("ours.log"), addr)? })
}

fn start_nginx(lab: &BenchLab, program: &str, folder: &Utf8Path) -> Result<Served> {
    // Workers of nginx may be another user's.
    #[cfg(unix)]
    for path in folder.ancestors().take(2) {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    let addr = free_addr()?;
    let config = folder.join("nginx.conf");
    fs_err::write(&config, nginx_config(folder, addr))?;
    let cmd = Cmd::new(program, "start nginx").args(["-e", "stderr", "-c", config.as_str()]);
    Ok(Served { name: "nginx", addr, job: start(lab, &cmd, &folder.join("nginx.log"), addr)? })
}

/// What a fleet would use: `sendfile`, and heads and files in the same packets.
fn nginx_config(root: &Utf8Path, addr: SocketAddr) -> String {
    format!(
        "daemon off;\nworker_processes auto;\npid {root}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n\
         \x20 client_body_temp_path {root}/body;\n  proxy_temp_path {root}/proxy;\n\
         \x20 fastcgi_temp_path {root}/fastcgi;\n  uwsgi_temp_path {root}/uwsgi;\n  scgi_temp_path {root}/scgi;\n\
         \x20 server {{ listen {addr} backlog=4096; root {root}/tree; }}\n}}\n"
    )
}

fn free_addr() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Starts a server and waits until it accepts.
fn start(lab: &BenchLab, cmd: &Cmd, log: &Utf8Path, addr: SocketAddr) -> Result<RunningCommand> {
    let file = fs_err::File::create(log)?.into_parts().0;
    let mut job = lab.ctx.runner.spawn(cmd, Streams { stdout: file.try_clone()?, stderr: file })?;
    let begin = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        lab.ctx.check_interrupt()?;
        let ended = job.try_wait()?.is_some();
        if ended || begin.elapsed() > Duration::from_secs(10) {
            let said = fs_err::read_to_string(log).unwrap_or_default();
            bail!("could not {}: nothing answers on {addr}; it said:\n{said}", cmd.why);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(job)
}

impl Served {
    /// Processor seconds of the server and its workers.
    fn cpu(&self) -> Result<f64> {
        let pid = self.job.pid().context("the server has no process")?;
        let children = fs_err::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all = children.split_whitespace().map(str::to_owned).chain([pid.to_string()]);
        Ok(all.filter_map(|pid| scheduled(&pid)).sum())
    }
}

/// Processor seconds of a process: of all its threads, in nanoseconds.
fn scheduled(pid: &str) -> Option<f64> {
    let threads = fs_err::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let each = threads.filter_map(|thread| {
        let text = fs_err::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(each.sum::<f64>() / 1e9)
}

/// All clients connect, then all ask at once. Seconds until the last has everything.
async fn round(addr: SocketAddr, load: &Load) -> Result<f64> {
    let ready = Arc::new(Barrier::new(load.clients + 1));
    let (size, requests) = (load.size, load.requests);
    let clients: Vec<_> =
        (0..load.clients).map(|_| tokio::spawn(client(addr, size, requests, Arc::clone(&ready)))).collect();
    ready.wait().await;
    let begin = Instant::now();
    for client in clients {
        client.await??;
    }
    Ok(begin.elapsed().as_secs_f64())
}

async fn client(addr: SocketAddr, size: u64, requests: usize, ready: Arc<Barrier>) -> Result<()> {
    let connected = TcpStream::connect(addr).await;
    // Also a client without a connection must come here, or the others would wait for it for ever.
    ready.wait().await;
    let mut tcp = connected?;
    let mut buffer = vec![0; 256 << 10];
    for _ in 0..requests {
        fetch(&mut tcp, addr, size, &mut buffer).await?;
    }
    Ok(())
}

async fn fetch(tcp: &mut TcpStream, addr: SocketAddr, size: u64, buffer: &mut [u8]) -> Result<()> {
    tcp.write_all(format!("GET /{size} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
    let (mut head, mut body) = (Vec::new(), None::<u64>);
    while body.is_none_or(|body| body < size) {
        let n = tcp.read(buffer).await?;
        ensure!(n > 0, "the connection ended after {body:?} bytes of {size}");
        body = match body {
            Some(body) => Some(body + n as u64),
            None => {
                head.extend_from_slice(&buffer[..n]);
                let end = head.windows(4).position(|w| w == b"\r\n\r\n");
                end.map(|end| (head.len() - end - 4) as u64)
            }
        };
        ensure!(body.unwrap_or(0) == 0 || buffer[n - 1] == FILL, "a wrong byte came");
    }
    ensure!(head.starts_with(b"HTTP/1.1 200 "), "the answer is not a 200");
    ensure!(body == Some(size), "{body:?} bytes came instead of {size}");
    Ok(())
}

/// The most memory a process ever used.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}
