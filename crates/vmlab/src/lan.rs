//! A network of its own, in a namespace of Linux: at one end a machine's card, at the other `serve --dhcp`, as a person
//! would start it. It ends with the last process in it.

use core::net::SocketAddrV4;
use std::{
    fs::File,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::server::fact;
use buildexec::{
    ctx::Ctx,
    run::{LogTail, RunningCommand, Streams},
};
use buildplan::Cmd;
use failure::{Failure, Kind};
use netboot::ClientEventKind;
use vmspec::{HostOnly, Tap, boot::Fact, scenario::Offer};

/// The machine's card.
const DEVICE: &str = "media0";
/// Makes the card with the address in front, says which process is in the namespace, and becomes the program behind.
const SETUP: &str = "ip link set lo up && ip tuntap add dev media0 mode tap && \
                     ip address add \"$1\" dev media0 && ip link set media0 up && shift && echo $$ && exec \"$@\"";
/// `serve` asks for a DHCP server first, which takes three seconds.
const START: Duration = Duration::from_secs(60);
/// How often its start is looked at.
const TICK: Duration = Duration::from_millis(20);

/// A network with a server. It ends when it is dropped.
pub(crate) struct Lan {
    job: RunningCommand,
    events: LogTail,
    log: Utf8PathBuf,
    process: u32,
    /// What `serve` and dnsmasq need for a while; killed, they cannot remove it.
    _temporary: tempfile::TempDir,
}

impl Lan {
    /// Why there can be no network of its own on this host, if there cannot.
    #[must_use]
    pub(crate) fn obstacle(ctx: &Ctx) -> Option<String> {
        for (program, package) in [("dnsmasq", "dnsmasq-base"), ("ip", "iproute2"), ("unshare", "util-linux")]
        {
            if ctx.find_program(program).is_none() {
                return Some(format!("`{program}` was not found (apt-get install {package})"));
            }
        }
        let tried = ctx.runner.output(&namespace("192.0.2.1/30").arg("true"));
        let said = match tried {
            Ok(output) if output.success() => return None,
            Ok(output) => output.error_text(),
            Err(e) => e.to_string(),
        };
        let last = said.lines().last().unwrap_or("nothing was said").to_owned();
        Some(format!("no network namespace with a tap device can be made here: {last}"))
    }

    /// Serves the folder `tree` at `at`, which is the host of `network`; what is heard is kept in `dir`.
    ///
    /// # Errors
    /// When the server does not start, with what it said.
    pub(crate) fn open(
        ctx: &Ctx,
        dir: &Utf8Path,
        tree: &Utf8Path,
        at: SocketAddrV4,
        network: &HostOnly,
        offer: Offer,
    ) -> Result<Self> {
        let temporary = readable_folder()?;
        let folder = temporary.path().to_str().context("the temporary folder is not UTF-8")?;
        // By its path it may be another program by now, or none: cargo replaces the one that runs.
        let exe = format!("/proc/{}/exe", std::process::id());
        let cmd = namespace(&format!("{}/{}", at.ip(), network.prefix))
            .args([&exe, "--json", "serve", "--tree", tree.as_str(), "--listen", &at.to_string()])
            .args(["--dhcp", "--dhcp-range", &format!("{}-{}", network.dhcp_first, network.dhcp_last)])
            .args(["--http-boot", if offer == Offer::Iso { "iso" } else { "ipxe" }])
            .env("TMPDIR", folder);
        let (log, said) = (dir.join("serve.log"), dir.join("serve.pid"));
        let streams = Streams { stdout: File::create(&said)?, stderr: File::create(&log)? };
        let job = ctx.runner.spawn(&cmd, streams)?;
        let events = LogTail::at_start(&log)?;
        let mut this = Self { job, events, log, process: 0, _temporary: temporary };
        this.wait_until_it_serves(ctx)?;
        let said = fs_err::read_to_string(&said)?;
        this.process = said.trim().parse().with_context(|| format!("`{said}` is not a process id"))?;
        Ok(this)
    }

    fn wait_until_it_serves(&mut self, ctx: &Ctx) -> Result<()> {
        let begin = Instant::now();
        loop {
            ctx.check_interrupt()?;
            let said = fs_err::read_to_string(&self.log)?;
            if said.contains("answering PXE requests") {
                return Ok(());
            }
            if self.job.try_wait()?.is_some() || begin.elapsed() > START {
                let text = format!("`serve --dhcp` did not start; it said:\n{}", said.trim_end());
                return Err(Failure::new(Kind::Command, text).into());
            }
            std::thread::sleep(TICK);
        }
    }

    /// What a machine's card is plugged into.
    #[must_use]
    pub(crate) fn tap(&self) -> Tap {
        Tap { device: DEVICE.to_owned(), process: self.process, user: !is_root() }
    }

    /// What was asked and sent since the last call, as far as the server said it.
    pub(crate) fn facts(&mut self) -> Vec<(Instant, Fact)> {
        let mut facts = Vec::new();
        // What cannot be read now is read at the next call.
        _ = self.events.lines(&mut |line| facts.extend(told(line).map(|f| (Instant::now(), f))));
        facts
    }
}

/// What a line of `serve --json` says about a boot.
fn told(line: &str) -> Option<Fact> {
    fact(&serde_json::from_str::<ClientEventKind>(line).ok()?)
}

/// The command that runs what is appended to it in a network with a card that has `address`.
fn namespace(address: &str) -> Cmd {
    let user: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
    Cmd::new("unshare", "make a network of its own")
        .arg("--net")
        .args(user.iter().copied())
        .args(["--", "sh", "-c", SETUP, "sh", address])
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// dnsmasq gives up root, and must still read what it sends.
fn readable_folder() -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("vm-lan-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o755));
    }
    Ok(builder.tempdir()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_events_are_facts_and_its_remarks_are_not() {
        let line = r#"{"seconds":22.4,"connection":1,"peer":"192.0.2.9","event":"asked","request":2,"method":"GET",
            "path":"/vmlinuz","role":"kernel","machine":{},"status":200,"start":0,"len":7,"size":7}"#;
        let asked = Fact::HttpAsked { request: 2, path: "/vmlinuz".to_owned(), status: 200, total: 7 };
        assert_eq!(told(line), Some(asked));
        let moved = r#"{"seconds":1,"connection":1,"peer":"::1","event":"moved","request":2,"sent":5}"#;
        assert_eq!(told(moved), Some(Fact::HttpMoved { request: 2, sent: 5 }));
        for other in [r#"{"event":"note","text":"serving"}"#, "", "moved", r#"{"event":"moved","request":2}"#]
        {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
