//! How fast the server is beside nginx with `sendfile`, on the same files and machine, one after the other.
//!
//! Servers run as processes of their own, so that their memory is theirs; the clients are tasks of this one.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Barrier,
};

use buildexec::run::{Runner, RunningCommand, Streams};
use buildplan::Cmd;

/// What the file is made of, so that clients can tell a hole from the file.
const FILL: u8 = 0x5a;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients at once; each fetches the file once a round.
    pub clients: usize,
    /// Length of the file in bytes.
    pub size: u64,
    /// Rounds; the best of each server counts, since a shared machine only ever slows down.
    pub rounds: usize,
}

/// One server's result.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which server.
    pub server: String,
    /// Seconds from the first request to the last byte, one a round.
    pub seconds: Vec<f64>,
    /// Bytes a second in the best round.
    pub rate: f64,
    /// Clients that did not get the whole file, over all rounds.
    pub failed: usize,
    /// The most memory our server used, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

/// A server process.
struct Served {
    name: &'static str,
    addr: SocketAddr,
    job: RunningCommand,
}

/// Measures our server (`exe`) and, where `nginx` is given, nginx.
///
/// # Errors
/// When a server does not start.
pub fn compare(runner: &Runner, exe: &str, nginx: Option<&Utf8Path>, load: Load) -> Result<Vec<Measured>> {
    super::server::raise_file_limit();
    let dir = tempfile::tempdir()?;
    let root = Utf8Path::from_path(dir.path()).context("the temporary folder is not UTF-8")?;
    // Workers of nginx may be another user's.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(root, std::fs::Permissions::from_mode(0o755))?;
    }
    fs_err::create_dir(root.join("tree"))?;
    fs_err::write(root.join("tree/initrd"), vec![FILL; usize::try_from(load.size)?])?;
    let mut servers = vec![ours(runner, exe, root)?];
    servers.extend(nginx.map(|n| start_nginx(runner, n, root)).transpose()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut measured: Vec<Measured> = servers.iter().map(|s| Measured::new(s.name)).collect();
    for _ in 0..load.rounds {
        for (served, measured) in servers.iter().zip(&mut measured) {
            runner.interrupt.check()?;
            measured.add(runtime.block_on(round(served.addr, load)), load);
        }
    }
    // nginx works in children of the process that we know.
    measured[0].peak_memory = servers[0].job.pid().and_then(peak_memory);
    Ok(measured)
}

impl Measured {
    fn new(server: &str) -> Self {
        Self { server: server.to_owned(), seconds: Vec::new(), rate: 0.0, failed: 0, peak_memory: None }
    }

    fn add(&mut self, (took, failed): (Duration, usize), load: Load) {
        let bytes = (load.clients - failed) as f64 * load.size as f64;
        self.failed += failed;
        self.seconds.push(took.as_secs_f64());
        self.rate = self.rate.max(bytes / took.as_secs_f64());
    }
}

fn ours(runner: &Runner, exe: &str, root: &Utf8Path) -> Result<Served> {
    let addr = free_addr()?;
    let tree = root.join("tree");
    let cmd =
        Cmd::new(exe, "start our server").args(["serve", "--quiet", "--tree", tree.as_str(), "--listen"]);
    // The child must find the repository even where the temporary folder is elsewhere.
    let cmd = cmd.arg(addr.to_string()).env("MEDIA_ROOT", runner.root.as_str());
    Ok(Served { name: "xtask serve", addr, job: start(runner, &cmd, &root.join("ours.log"), addr)? })
}

fn start_nginx(runner: &Runner, program: &Utf8Path, root: &Utf8Path) -> Result<Served> {
    let addr = free_addr()?;
    let config = root.join("nginx.conf");
    fs_err::write(&config, nginx_config(root, addr))?;
    let cmd = Cmd::new(program.as_str(), "start nginx").args(["-e", "stderr", "-c", config.as_str()]);
    Ok(Served { name: "nginx", addr, job: start(runner, &cmd, &root.join("nginx.log"), addr)? })
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
fn start(runner: &Runner, cmd: &Cmd, log: &Utf8PathBuf, addr: SocketAddr) -> Result<RunningCommand> {
    let file = fs_err::File::create(log)?.into_parts().0;
    // The memory of the server is measured, not its keeper's.
    let runner = Runner { keeper: false, ..runner.clone() };
    let mut job = runner.spawn(cmd, Streams { stdout: file.try_clone()?, stderr: file })?;
    let begin = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        runner.interrupt.check()?;
        let ended = job.try_wait()?.is_some();
        if ended || begin.elapsed() > Duration::from_secs(10) {
            let said = fs_err::read_to_string(log).unwrap_or_default();
            bail!("could not {}: nothing answers on {addr}; it said:\n{said}", cmd.why);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(job)
}

/// All clients connect, then all ask at once. How long it took, and how many failed.
async fn round(addr: SocketAddr, load: Load) -> (Duration, usize) {
    let ready = Arc::new(Barrier::new(load.clients + 1));
    let clients: Vec<_> =
        (0..load.clients).map(|_| tokio::spawn(client(addr, load.size, Arc::clone(&ready)))).collect();
    ready.wait().await;
    let begin = Instant::now();
    let mut failed = 0;
    for client in clients {
        failed += usize::from(!matches!(client.await, Ok(Ok(()))));
    }
    (begin.elapsed(), failed)
}

async fn client(addr: SocketAddr, size: u64, ready: Arc<Barrier>) -> Result<()> {
    let connected = TcpStream::connect(addr).await;
    // Also a client without a connection must come here, or the others would wait for it for ever.
    ready.wait().await;
    let mut tcp = connected?;
    tcp.write_all(b"GET /initrd HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").await?;
    let (mut buffer, mut head, mut body) = (vec![0; 128 << 10], Vec::new(), None::<u64>);
    loop {
        let n = tcp.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
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
    ensure!(head.starts_with(b"HTTP/1.1 200 "), "the answer is no 200");
    ensure!(body == Some(size), "{body:?} bytes came instead of {size}");
    Ok(())
}

/// The most memory a process ever used.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}
