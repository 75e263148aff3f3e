//! DHCP and TFTP beside the HTTP server, with dnsmasq as the engine.
//!
//! Started on request only; as the network's only DHCP server, only when none
//! answered a request of ours.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    event::{ClientEventKind, MachineName},
    fleet::{AUTOEXEC, BIOS, Dnsmasq, for_uefi, is_asked_for},
    offer, target,
};
use buildexec::ctx::Ctx;
use buildexec::run::{LogTail, RunningCommand, Streams};
use buildplan::Cmd;
use failure::{Explain as _, Failure, Kind};

/// How long dnsmasq may take to say that it started.
const START: Duration = Duration::from_secs(5);

/// A running dnsmasq; dropping it ends it and removes its folder.
pub struct DnsmasqServer {
    job: RunningCommand,
    tail: LogTail,
    requests: Requests,
    log: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

/// What to start.
pub struct DhcpSetup<'a> {
    /// The folder that iPXE's programs are taken from.
    pub programs: &'a Utf8Path,
    /// Names of what firmware can load over HTTP, the one it is given first.
    pub firmware: Vec<String>,
    /// Where the HTTP server listens; DHCP is answered on that network.
    pub http: SocketAddr,
    /// The base-url's path.
    pub prefix: &'a str,
    /// Addresses to give out.
    pub range: Option<RangeInclusive<Ipv4Addr>>,
}

impl DnsmasqServer {
    /// Starts dnsmasq.
    ///
    /// # Errors
    /// [`Kind::MissingTool`] without dnsmasq, [`Kind::Port`] when the network has a DHCP server and `range` asks for
    /// another, [`Kind::Usage`] when the address or the programs do not fit.
    pub fn start(ctx: &Ctx, order: &DhcpSetup<'_>) -> Result<Self> {
        let address = network_address(order.http)?;
        let program = ctx.find_program("dnsmasq").ok_or_else(|| {
            Failure::new(Kind::MissingTool, "--dhcp needs dnsmasq, which is not installed")
                .help("install it (`apt install dnsmasq-base`)")
        })?;
        if order.range.is_some() {
            refuse_a_second_server(address)?;
        }
        let dir = tempfile::Builder::new().prefix("serve-dhcp-").tempdir()?;
        let root = Utf8Path::from_path(dir.path()).context("the temporary folder is not UTF-8")?;
        let uefi = copy_programs(order.programs, root)?;
        let script = format!("http://{}{}/boot.html", order.http, order.prefix);
        let url = |name: &String| format!("http://{}{}/{name}", order.http, order.prefix);
        let http = order.firmware.iter().map(url).collect();
        let config = Dnsmasq {
            address,
            script,
            tftp: root.join("tftp").into(),
            uefi,
            http,
            range: order.range.clone(),
        };
        fs_err::write(root.join("tftp").join(AUTOEXEC), config.autoexec())?;
        readable(root)?;
        fs_err::write(root.join("dnsmasq.conf"), config.render())?;
        let log = root.join("log");
        let file = fs_err::File::create(&log)?.into_parts().0;
        let tail = LogTail::at_end(&log)?;
        let cmd = Cmd::new(program.as_str(), "answer DHCP requests").args([
            format!("--conf-file={root}/dnsmasq.conf"),
            "--keep-in-foreground".to_owned(),
            "--log-facility=-".to_owned(),
            "--pid-file=".to_owned(),
            format!("--dhcp-leasefile={root}/leases"),
        ]);
        let job = ctx.runner.spawn(&cmd, Streams { stdout: file.try_clone()?, stderr: file })?;
        let mut this = Self { job, tail, requests: Requests::default(), log, _dir: dir };
        this.wait_until_it_runs(ctx)?;
        Ok(this)
    }

    fn wait_until_it_runs(&mut self, ctx: &Ctx) -> Result<()> {
        let begin = Instant::now();
        loop {
            ctx.check_interrupt()?;
            let said = fs_err::read_to_string(&self.log)?;
            if self.job.try_wait()?.is_some() || begin.elapsed() > START {
                let text = format!("dnsmasq did not start; it said:\n{}", said.trim_end());
                return Err(Failure::new(Kind::Command, text)
                    .help("DHCP needs root and a free port 67 (`ss -lunp` shows who has it)")
                    .into());
            }
            if said.contains("DHCP, ") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it saw since the last call.
    ///
    /// # Errors
    /// When it ended, with what it said.
    pub fn news(&mut self) -> Result<Vec<ClientEventKind>> {
        let mut seen = Vec::new();
        let requests = &mut self.requests;
        self.tail.lines(&mut |line| seen.extend(requests.line(line)))?;
        if self.job.try_wait()?.is_some() {
            let said = fs_err::read_to_string(&self.log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing").to_owned();
            return Err(Failure::new(Kind::Command, format!("dnsmasq ended; it said: {last}")).into());
        }
        Ok(seen)
    }
}

/// Finds firmware's and iPXE's requests in dnsmasq's log, in which each line begins with the request's number:
/// `7 vendor class: PXEClient:Arch:00000`, then `7 PXE(eth0) 52:54:00:12:34:56 proxy` or
/// `7 DHCPDISCOVER(eth0) 52:54:00:12:34:56`. An operating system asks too, later and without that class.
#[derive(Default)]
struct Requests {
    /// Number of the last request that named the class.
    pxe: Option<String>,
}

impl Requests {
    fn line(&mut self, line: &str) -> Option<ClientEventKind> {
        let (number, rest) = line.split_once("]: ")?.1.split_once(' ')?;
        if ["PXEClient", "HTTPClient"].iter().any(|c| rest.starts_with(&format!("vendor class: {c}"))) {
            self.pxe = Some(number.to_owned());
        }
        let rest = rest.strip_prefix("PXE(").or_else(|| rest.strip_prefix("DHCPDISCOVER("))?;
        let mac = rest.split_once(')')?.1.split_whitespace().find_map(target::mac)?;
        let ours = self.pxe.as_deref() == Some(number);
        ours.then_some(ClientEventKind::Dhcp { machine: MachineName { mac: Some(mac), uuid: None } })
    }
}

/// The address of the machines' network, on which a server at `http` can answer DHCP.
///
/// # Errors
/// [`Kind::Usage`] for an address that no machine reaches, or all of them.
pub fn network_address(http: SocketAddr) -> Result<Ipv4Addr> {
    match http.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_unspecified() => Ok(ip),
        ip => Err(Failure::new(Kind::Usage, format!("--dhcp cannot answer on {ip}: no machine is there"))
            .help("name this host's address on the machines' network with --listen ADDRESS:PORT")
            .into()),
    }
}

/// Copies iPXE's programs to a folder of their own, so that TFTP gives out nothing else. Whether there is one for UEFI.
fn copy_programs(from: &Utf8Path, root: &Utf8Path) -> Result<Option<&'static str>> {
    let tftp = root.join("tftp");
    fs_err::create_dir(&tftp)?;
    fs_err::copy(from.join(BIOS), tftp.join(BIOS))
        .explain(Kind::Usage, || format!("no such file: {from}/{BIOS}, which BIOS machines ask for"))?;
    let Some(uefi) = for_uefi(|name| from.join(name).is_file()) else { return Ok(None) };
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        if is_asked_for(entry.file_name(), uefi) {
            fs_err::copy(entry.path(), tftp.join(entry.file_name()))?;
        }
    }
    Ok(Some(uefi))
}

/// dnsmasq gives up root, and must still read what it sends.
#[cfg(unix)]
fn readable(root: &Utf8Path) -> Result<()> {
    for path in [root, &root.join("tftp")] {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        for file in path.read_dir_utf8()?.flatten().filter(|f| f.path().is_file()) {
            fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn readable(_: &Utf8Path) -> Result<()> {
    Ok(())
}

fn refuse_a_second_server(address: Ipv4Addr) -> Result<()> {
    let found = offer::ask(address).explain(Kind::Port, || {
        format!("cannot find out whether the network of {address} has a DHCP server already")
    })?;
    match found {
        None => Ok(()),
        Some(server) => {
            let text = format!("the network of {address} has a DHCP server already: {server}");
            Err(Failure::new(Kind::Port, text)
                .help("leave out --dhcp-range: --dhcp alone adds boot information to that server's answers")
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmwares_requests_are_found_in_the_log_and_an_operating_systems_are_not() {
        let log = "\
dnsmasq[9]: started, version 2.90 DNS disabled
dnsmasq-dhcp[9]: 11 available DHCP subnet: 10.0.0.1/255.255.255.0
dnsmasq-dhcp[9]: 11 vendor class: PXEClient:Arch:00000:UNDI:002001
dnsmasq-dhcp[9]: 11 PXE(br0) 52:54:00:00:00:01 proxy
dnsmasq-dhcp[9]: 12 vendor class: HTTPClient:Arch:00016:UNDI:003001
dnsmasq-dhcp[9]: 12 DHCPDISCOVER(br0) 10.0.0.5 52:54:00:00:00:02
dnsmasq-dhcp[9]: 12 DHCPOFFER(br0) 10.0.0.5 52:54:00:00:00:02
dnsmasq-dhcp[9]: 13 vendor class: udhcp 1.35.0
dnsmasq-dhcp[9]: 13 DHCPDISCOVER(br0) 52:54:00:00:00:03
dnsmasq-dhcp[9]: 12 PXE(br0
dnsmasq-dhcp[9]: 12 PXE() nobody
dnsmasq-dhcp[9]:
";
        let mut requests = Requests::default();
        let mac = |what| match what {
            ClientEventKind::Dhcp { machine } => machine.mac,
            _ => None,
        };
        let found: Vec<_> = log.lines().filter_map(|l| requests.line(l)).filter_map(mac).collect();
        assert_eq!(found, ["52:54:00:00:00:01", "52:54:00:00:00:02"]);
    }

    #[test]
    fn loopback_and_everywhere_are_no_network_of_machines() {
        for addr in ["127.0.0.1:1", "0.0.0.0:1", "[::1]:1"] {
            assert!(network_address(addr.parse().unwrap()).is_err(), "{addr}");
        }
    }
}
