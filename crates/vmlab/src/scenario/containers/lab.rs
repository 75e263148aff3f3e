//! What stands around a machine whose containers are looked at: a registry, forwarded ports, a key, a cloud-config.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use flate2::{Compression, write::GzEncoder};

use super::super::free_port;
use super::Samples;
use crate::{
    outside,
    registry::{self, Registry},
};
use buildexec::ctx::Ctx;
use vmspec::{Card, Disk, Forward, Machine, Nic, scenario::config_line};

/// Where a guest behind address translation finds this host, in QEMU and in VirtualBox.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The carried image and the one that is pulled.
const CARRIED: &str = "sample/counter:1";
const PULLED: &str = "sample/greeter:1";
/// A busy host without acceleration is slow; what is judged is what comes, not when.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What is right in it is a host name and a file.
const MIXED: &str = "#cloud-config\nhostname: mixed\nssh_authorized_keys: 5\nrancher:\n  docker:\n    bip: nowhere\n  \
    no_such_key: 1\nwrite_files:\n  - {path: /opt/right, content: right}\n  - {path: /opt/../../escaped/x, content: \
    x}\n  - {path: escaped/y, content: y}\n";
/// Fetched as gzip.
const PACKED: &str = "#cloud-config\nhostname: packed\nrancher: {environment: {PATH: /opt/bin}}\n";
/// Runs behind everything else, so that it sees what the others set.
const SCRIPT: &str = "#!/bin/sh\n. /usr/lib/host/lib\nsay \"script on $(hostname), $(. /etc/environment; echo $PATH)\"\necho over\nexit 3\n";
/// What [`SCRIPT`] and its end make the console say.
pub(super) const RAN: &[&str] = &["script on mixed, /usr/sbin:/usr/bin:/opt/bin", "user-data failed: over"];

/// The names of the cloud-configs that the registry serves, each over the ones before.
pub(super) const FETCHED: &[&str] = &["bomb", "long", "utf16", "mime", "packed", "mixed", "script"];

/// What a boot says of them.
pub(super) const REFUSED: &[&str] = &[
    "the cloud-config is not used: line 8 has aliases that multiply without bound",
    "the cloud-config is not used: it has more than a megabyte",
    "the cloud-config is not used: it is UTF-16; save it as UTF-8",
    "the cloud-config is not used: it is a MIME message; give the cloud-config alone",
    "`ssh_authorized_keys` takes a list of texts, not an integer",
    "`rancher.docker.bip`: `nowhere` is not address/length",
    "`write_files`: a file's path begins with `/` and has no `..` in it, unlike `/opt/../../escaped/x`",
    "`write_files`: a file's path begins with `/` and has no `..` in it, unlike `escaped/y`",
];

/// What runs beside the machine.
pub(in super::super) struct ContainerLab {
    registry: Registry,
    page: u16,
    pub(super) ssh: u16,
    key: String,
    /// Commands of a boot behind those that all have.
    pub(super) more: String,
    /// Kernel arguments of a boot.
    pub(in super::super) line: Vec<String>,
    /// The size of the disk, where it is not the profile's.
    pub(super) disk_mib: Option<u64>,
    /// A second disk.
    pub(super) drive: Option<Utf8PathBuf>,
    /// Whether the disk cannot be written.
    pub(super) read_only: bool,
    /// Whether the older media are booted, which carry no image.
    pub(in super::super) older: bool,
    /// More of the cloud-config: keys at the top, those below `rancher`, and those below `rancher.docker`.
    pub(super) settings: [&'static str; 4],
    /// The highest number that was seen on the page, so that it was on the disk.
    pub(super) synced: u64,
}

/// The server's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The first number of this start.
    pub(super) started: u64,
    /// The latest.
    pub(super) count: u64,
}

impl ContainerLab {
    /// Starts the registry and makes a key in `dir`.
    ///
    /// # Errors
    /// When one of them cannot be.
    pub(in super::super) fn open(ctx: &Ctx, dir: &Utf8Path, samples: &Samples) -> Result<Self> {
        let mut files = registry::image(&samples.images.join("greeter.tar"), PULLED)?;
        files.extend(registry::image(&samples.images.join("counter.tar"), CARRIED)?);
        for (name, bytes) in fetched()? {
            files.insert(format!("/{name}.yml"), ("text/plain".to_owned(), bytes));
        }
        Ok(Self {
            registry: Registry::start(files)?,
            page: 0,
            ssh: 0,
            key: outside::make_key(ctx, dir)?,
            more: String::new(),
            line: Vec::new(),
            disk_mib: None,
            drive: None,
            read_only: false,
            older: false,
            settings: [""; 4],
            synced: 0,
        })
    }

    /// Chooses the ports of this host for a boot: what was free at the last one may be taken by now.
    ///
    /// # Errors
    /// When this host has no free port.
    pub(in super::super) fn choose_ports(&mut self) -> Result<()> {
        (self.page, self.ssh) = (free_port()?, free_port()?);
        Ok(())
    }

    /// Gives the machine a card whose ports of this host lead to the page and to SSH.
    pub(in super::super) fn fit(&self, machine: &mut Machine, card: impl Fn(Nic) -> Card) {
        let forward =
            |name: &str, host_port, guest_port| Forward { name: name.to_owned(), host_port, guest_port };
        let forwards = vec![forward("page", self.page, 8080), forward("guestssh", self.ssh, 22)];
        machine.nics.push(card(Nic::Nat { network: None, forwards }));
        for disk in &mut machine.disks {
            disk.read_only = self.read_only;
            disk.size_mib = self.disk_mib.unwrap_or(disk.size_mib);
        }
        let drive = self.drive.iter().zip(machine.disks.first().cloned());
        let drive: Vec<_> =
            drive.map(|(path, disk)| Disk { path: path.clone(), size_mib: 40, ..disk }).collect();
        machine.disks.extend(drive);
    }

    /// Where the guest finds a cloud-config of ours.
    pub(super) fn url(&self, name: &str) -> String {
        format!("url:http://{HOST}:{}/{name}.yml", self.registry.port())
    }

    /// The cloud-config: a key, the registry, and a script that starts the server, pulls and tells.
    ///
    /// Of the server's log, it tells the first line since its last end: Docker notes the time of a start when the start is
    /// done, and on a slow machine the server has spoken by then.
    pub(in super::super) fn config(&self, nonce: &str) -> String {
        let (line, port) = (config_line(nonce), self.registry.port());
        let server = if self.older { format!("{HOST}:{port}/{CARRIED}") } else { CARRIED.to_owned() };
        let [top, below, docker, files] = self.settings;
        let script = format!(
            "#!/bin/sh\n\
             . /usr/lib/host/lib\n\
             docker inspect counter >/dev/null 2>&1 ||\n\
             \x20 docker run -d --restart=always -p 8080:80 -v data:/data --name counter {server}\n\
             say \"pulled $(docker run --rm --hostname a-container {HOST}:{port}/{PULLED} 2>&1 | tail -n 1)\"\n\
             since=$(docker inspect -f '{{{{.State.FinishedAt}}}}' counter)\n\
             for _ in $(seq 60); do\n\
             \x20 log=$(docker logs --since \"$since\" counter 2>&1 | grep -m 1 started) && break\n\
             \x20 sleep 1\n\
             done\n\
             say \"log $log\"\n\
             {more}",
            more = self.more
        );
        let script = script.lines().fold(String::new(), |all, l| format!("{all}      {l}\n"));
        format!(
            "#cloud-config\n{line}\n{top}ssh_authorized_keys:\n  - {key}\nrancher:\n{below}  docker:\n    \
             insecure_registry: ['{HOST}:{port}']\n{docker}write_files:\n  - path: /opt/look\n    permissions: '0755'\n    \
             content: |\n{script}{files}runcmd:\n  - /opt/look\n",
            key = self.key
        )
    }

    /// The page, as soon as it answers.
    ///
    /// # Errors
    /// [`failure::Kind::Interrupted`].
    pub(super) fn page(&self, ctx: &Ctx) -> Result<Option<Page>> {
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if let Some(page) = self.ask() {
                return Ok(Some(page));
            }
            ctx.check_interrupt()?;
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(None)
    }

    /// Asks for the page once.
    pub(super) fn ask(&self) -> Option<Page> {
        let address = (Ipv4Addr::LOCALHOST, self.page).into();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut said = Vec::new();
        stream.take(1 << 16).read_to_end(&mut said).ok()?;
        parse(&String::from_utf8_lossy(&said))
    }
}

/// `started 3 count 17`.
fn parse(said: &str) -> Option<Page> {
    let (_, body) = said.split_once("\r\n\r\n")?;
    let mut words = body.split_whitespace();
    let mut number = |name: &str| -> Option<u64> {
        (words.next()? == name).then_some(())?;
        words.next()?.parse().ok()
    };
    Some(Page { started: number("started")?, count: number("count")? })
}

/// A few lines that are a billion when they are followed.
fn fetched() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let text = |name: &str| match name {
        "bomb" => Ok(bomb().into_bytes()),
        "long" => Ok(long().into_bytes()),
        "utf16" => {
            Ok("\u{feff}#cloud-config\nhostname: utf16\n".encode_utf16().flat_map(u16::to_le_bytes).collect())
        }
        "mime" => {
            Ok(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n#cloud-config\nhostname: mime\n--x--\n"
                .to_vec())
        }
        "packed" => gzip(PACKED.as_bytes()),
        "mixed" => Ok(MIXED.as_bytes().to_vec()),
        _ => Ok(SCRIPT.as_bytes().to_vec()),
    };
    FETCHED.iter().map(|name| Ok((*name, text(name)?))).collect()
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes)?;
    Ok(out.finish()?)
}

fn bomb() -> String {
    let mut text = "#cloud-config\nhostname: bomb\na0: &a0 [x]\n".to_owned();
    for i in 1..10 {
        let last = format!("*a{}", i - 1);
        text += &format!("a{i}: &a{i} [{}]\n", [last.as_str(); 10].join(", "));
    }
    text
}

/// Ten megabytes.
fn long() -> String {
    format!("#cloud-config\nhostname: long\n{}", "# and so on\n".repeat(900_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_two_numbers() {
        let page = parse("HTTP/1.0 200 OK\r\n\r\nstarted 3 count 17\n");
        assert_eq!(page, Some(Page { started: 3, count: 17 }));
        assert_eq!(parse("HTTP/1.0 404 Not Found\r\n\r\n<html>"), None);
    }
}
