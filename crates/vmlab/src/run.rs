//! `vm run`: one machine for a person, with the netboot tree served and its console shown live.

use std::{
    net::SocketAddrV4,
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    backend::Backend,
    dist,
    machines::Home,
    server::{Changes, RunningServer},
    session::Session,
};
use bootparams::Os;
use buildexec::ctx::Ctx;
use failure::{Failure, Kind, kind_of};
use mediaplan::config::Profile;
use vmspec::{
    Attach, DiskFormat, Firmware, Forward, Machine, Medium, Nic,
    boot::{BootEnd, Fact, Mark, Want},
    choice::{BackendChoice, BootMedium},
    qemu::Accel,
    quote::Shell,
    scenario::Dist,
    spec::boot_limit,
};

/// A person who watches a boot is told no sooner that it is slow.
const SHORTEST_LIMIT: Duration = Duration::from_secs(600);
/// The process of a machine that was just switched off keeps its ports for a moment.
const PORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a machine that is up is looked at.
const TICK: Duration = Duration::from_millis(50);

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What runs the machine.
    pub choice: BackendChoice,
    /// What it boots from.
    pub from: BootMedium,
    /// Another firmware than the profile's.
    pub firmware: Option<Firmware>,
    /// Another port for the guest's SSH than the profile's; `Some(0)` forwards nothing.
    pub ssh_port: Option<u16>,
    /// Show a window.
    pub window: bool,
    /// Take a picture of the screen once the guest is up.
    pub screenshot: Option<Utf8PathBuf>,
    /// End once the guest has come up so many times, with a reset between; 0 goes on until Ctrl-C.
    pub boots: u32,
}

/// The commands that a run would give, without giving any. What was not built yet has the name it will have.
///
/// # Errors
/// When the machine is refused.
pub fn script(ctx: &Ctx, profile: &Profile, wish: &Wish, shell: Shell) -> Result<String> {
    let dist = match dist::find(ctx, profile) {
        Err(e) if kind_of(&e) == Some(Kind::Usage) => dist::expected(ctx, profile),
        other => other?,
    };
    let home = Home::of(ctx, &profile.name, wish.choice);
    let machine = machine(profile, &dist, &home, wish)?;
    let serve = (wish.from == BootMedium::Netboot).then(|| serve_command(profile, wish.choice));
    Backend::script(wish.choice, ctx, machine, &home.dir, shell, wish.window, serve)
}

/// What `vm run` does by itself.
fn serve_command(profile: &Profile, choice: BackendChoice) -> String {
    // QEMU's user network leads from the guest's server to this host's own address.
    let at = match choice {
        BackendChoice::Qemu => "127.0.0.1",
        BackendChoice::Virtualbox => profile.base_url.host.as_str(),
    };
    format!("cargo xtask serve {} --listen {at}:{}", profile.name, profile.base_url.port)
}

/// Runs the machine until Ctrl-C, its own end, or the wished number of boots.
///
/// # Errors
/// [`Kind::Boot`] when a boot that must come up does not; [`Kind::Port`] when a port is taken.
pub fn run(ctx: &Ctx, profile: &Profile, wish: &Wish) -> Result<()> {
    let dist = dist::find(ctx, profile)?;
    let home = Home::of(ctx, &profile.name, wish.choice);
    let backend = Backend::find(ctx, wish.choice)?;
    let _held = home.hold()?;
    let machine = machine(profile, &dist, &home, wish)?;
    if let Some(text) = too_little(profile.os, &profile.name, machine.memory_mib) {
        ctx.report.warn(text);
    }
    // Before the ports are looked at: it may be our own machine that has them.
    let taken_back = backend.take_back(ctx, &machine.name, &home.dir)?;
    if taken_back {
        ctx.report.note(format!("{} was switched off: a killed run left it on", machine.name));
    }
    free_ports(ctx, &machine, if taken_back { PORT_TIMEOUT } else { Duration::ZERO })?;
    for old in ["timeline.jsonl", "qemu.log", "command.txt"] {
        _ = fs_err::remove_file(home.dir.join(old));
    }
    let (machine, address) = backend.ready(ctx, machine, &home.dir)?;
    let served = match wish.from {
        BootMedium::Netboot => {
            let at = SocketAddrV4::new(address, profile.base_url.port);
            Some(
                RunningServer::start(&dist::tree(ctx, profile), at, Changes::default())
                    .map_err(|e| unserved(e, profile))?,
            )
        }
        BootMedium::Cd | BootMedium::Usb => None,
    };
    let want = want(profile, &dist, wish, backend.accel());
    ctx.report.note(format!("{} boots; Ctrl-C switches it off", machine.name));
    let ways_in: Vec<String> = forwards(&machine).filter_map(|f| way_in(profile.os, f)).collect();
    ways_in.iter().for_each(|text| ctx.report.note(text));
    let started = backend.start(ctx, &machine, &home.dir, &home.dir, want.clone(), wish.window);
    let end = started
        .and_then(|session| Live { ctx, served, session, want, wish, ways_in, log: home.dir }.until_off());
    match end {
        // Ctrl-C is how a person ends it; only what was to come to an end by itself is cut short by it.
        Err(e) if kind_of(&e) == Some(Kind::Interrupted) && wish.boots == 0 => Ok(()),
        other => other,
    }
}

/// `serve` has `--listen` for a port that is taken; here it is ipxe.iso that says which one is asked.
fn unserved(e: anyhow::Error, profile: &Profile) -> anyhow::Error {
    if kind_of(&e) != Some(Kind::Port) {
        return e;
    }
    let url = &profile.base_url;
    let help = format!(
        "ipxe.iso asks {url}: stop what listens there, or change `base-url` of {name} in media.toml and run `cargo \
         xtask dist {name}`, or boot the ISO with `--from cd`",
        name = profile.name
    );
    // Without the help of its own.
    Failure::new(Kind::Port, format!("cannot serve at {url}"))
        .help(help)
        .source(anyhow::anyhow!("{e}"))
        .into()
}

fn want(profile: &Profile, dist: &Dist, wish: &Wish, accel: Accel) -> Want {
    let firmware = wish.firmware.unwrap_or(profile.vm.firmware);
    let usual = || boot_limit(firmware, accel, dist.initrd_bytes).max(SHORTEST_LIMIT);
    Want {
        netboot: wish.from == BootMedium::Netboot,
        // The product as it was built: there is nothing in it by which to tell this boot from another.
        nonce: None,
        ready: profile.vm.ready.clone(),
        cloud_config: None,
        cmdline: Vec::new(),
        facts: Vec::new(),
        limit: profile.vm.boot_timeout.unwrap_or_else(usual),
    }
}

fn machine(profile: &Profile, dist: &Dist, home: &Home, wish: &Wish) -> Result<Machine> {
    let (path, attach) = match wish.from {
        BootMedium::Netboot => {
            let missing = || Failure::new(Kind::Usage, "ipxe.iso is missing").help("boot with --from cd");
            (dist.ipxe_iso.clone().ok_or_else(missing)?, Attach::Cd)
        }
        BootMedium::Cd => (dist.iso.clone(), Attach::Cd),
        BootMedium::Usb => (dist.iso.clone(), Attach::Usb),
    };
    let mut spec = profile.vm.clone();
    spec.firmware = wish.firmware.unwrap_or(spec.firmware);
    if let Some(port) = wish.ssh_port {
        spec.ssh_port = Some(port).filter(|p| *p != 0);
    }
    match &dist.network {
        Ok(network) => spec.host_only = network.clone(),
        Err(why) if wish.from == BootMedium::Netboot => {
            return Err(Failure::new(Kind::Config, why.clone()).into());
        }
        Err(_) => {}
    }
    let medium = Medium { path, attach };
    Ok(spec.machine(&home.machine_name(), &home.dir, Some(medium), DiskFormat::Raw))
}

fn forwards(machine: &Machine) -> impl Iterator<Item = &Forward> {
    machine.nics.iter().flat_map(|card| match &card.plug {
        Nic::Nat { forwards, .. } => forwards.as_slice(),
        Nic::HostOnly(_) | Nic::Unplugged | Nic::Tap(_) => &[],
    })
}

/// The least memory, in MiB, that a system was seen to boot with from its ISO under BIOS. The kernel and the initrd that it
/// unpacks are all in there.
fn least_memory(os: Os) -> Option<u32> {
    match os {
        Os::Smoke => Some(80),
        Os::Docker => Some(384),
        // Both unpack a system of their own, and panic below.
        Os::Rancher(_) | Os::Burmilla(_) => Some(1024),
        Os::Linux => None,
    }
}

/// What becomes of a boot with less memory than that: nothing on the console says so.
fn too_little(os: Os, profile: &str, memory_mib: u32) -> Option<String> {
    let least = least_memory(os).filter(|least| memory_mib < *least)?;
    Some(format!(
        "{memory_mib} MiB of memory are too little: {os} needs {least} MiB, and hangs or panics while it unpacks its \
         initrd; raise `memory` under [profile.{profile}.vm] in media.toml"
    ))
}

/// How to reach the guest through a forward: the console is shown, and takes no keys.
fn way_in(os: Os, forward: &Forward) -> Option<String> {
    let (port, guest) = (forward.host_port, forward.guest_port);
    match (guest, os) {
        (22, Os::Rancher(_) | Os::Burmilla(_) | Os::Docker) => {
            Some(format!("log in with: ssh -p {port} rancher@127.0.0.1"))
        }
        (22, _) => None,
        _ => Some(format!("port {guest} of the guest is 127.0.0.1:{port}")),
    }
}

/// QEMU's own words about a port that is taken are hard to read, and VirtualBox starts without the port.
fn free_ports(ctx: &Ctx, machine: &Machine, timeout: Duration) -> Result<()> {
    let start = Instant::now();
    for Forward { name, host_port, guest_port } in forwards(machine) {
        while let Err(e) = std::net::TcpListener::bind(("127.0.0.1", *host_port)) {
            if start.elapsed() < timeout {
                ctx.check_interrupt()?;
                std::thread::sleep(TICK);
                continue;
            }
            let text = format!("port {host_port} of 127.0.0.1, which {name} forwards to the guest, is taken");
            return Err(Failure::new(Kind::Port, text)
                .source(e)
                .help(if *guest_port == 22 {
                    "choose another with `--ssh-port PORT` (0 forwards nothing), or for good with `ssh-port` in media.toml"
                } else {
                    "choose another under `ports` of the profile's `vm` in media.toml"
                })
                .into());
        }
    }
    Ok(())
}

/// A machine that is watched.
struct Live<'a> {
    ctx: &'a Ctx,
    served: Option<RunningServer>,
    session: Session,
    want: Want,
    wish: &'a Wish,
    /// Said before the console's words, and again behind them.
    ways_in: Vec<String>,
    log: Utf8PathBuf,
}

impl Live<'_> {
    /// Runs it, and switches it off whatever comes.
    fn until_off(mut self) -> Result<()> {
        let end = self.run();
        let off = self.session.cut();
        end.and(off)
    }

    fn run(&mut self) -> Result<()> {
        for boot in 1.. {
            self.until_verdict(boot)?;
            if boot == 1 {
                self.picture()?;
            }
            if self.wish.boots == 0 {
                return self.until_end();
            }
            if boot == self.wish.boots {
                return self.shut_down();
            }
            self.session.reset(self.want.clone())?;
        }
        Ok(())
    }

    fn until_verdict(&mut self, boot: u32) -> Result<()> {
        let ctx = self.ctx;
        let verdict = self.session.wait(ctx, self.served.as_ref(), &mut |at, fact| show(ctx, at, fact))?;
        let stages = stages(&self.session.boot().marks());
        let which =
            if self.wish.boots > 1 { format!("boot {boot} of {}: ", self.wish.boots) } else { String::new() };
        match verdict {
            BootEnd::Up => {
                self.ctx.report.note(format!("{which}up ({stages})"));
                if self.wish.boots == 0 {
                    self.ways_in.iter().for_each(|text| self.ctx.report.note(text));
                }
                Ok(())
            }
            BootEnd::Hung(diagnosis) => {
                let furthest = self.session.boot().furthest().label();
                let text = format!("{which}hung after {furthest}: {diagnosis}");
                for line in self.session.evidence() {
                    self.ctx.report.note(format!("  {line}"));
                }
                self.ctx.report.note(format!("{stages}\neverything is in {}", self.log));
                if self.wish.boots > 0 || self.session.has_ended() {
                    return Err(Failure::new(Kind::Boot, text).into());
                }
                // A person may want to look at it, in a window or with another tool.
                self.ctx.report.warn(format!("{text}; Ctrl-C switches it off"));
                Ok(())
            }
        }
    }

    fn picture(&mut self) -> Result<()> {
        let Some(path) = &self.wish.screenshot else { return Ok(()) };
        self.session.screenshot(path)?;
        self.ctx.report.note(format!("the screen is in {path}"));
        Ok(())
    }

    fn shut_down(&mut self) -> Result<()> {
        let ctx = self.ctx;
        if !self.session.shut_down(ctx, self.served.as_ref(), &mut |at, fact| show(ctx, at, fact))? {
            ctx.report.note("the guest does not answer the power button: cutting its power");
        }
        Ok(())
    }

    /// Shows what goes on until the guest powers off or Ctrl-C comes.
    fn until_end(&mut self) -> Result<()> {
        let ctx = self.ctx;
        while !self.session.has_ended() {
            self.session.look(self.served.as_ref(), &mut |at, fact| show(ctx, at, fact))?;
            ctx.check_interrupt()?;
            std::thread::sleep(TICK);
        }
        ctx.report.note("the machine is off");
        Ok(())
    }
}

/// A fact as one line with the seconds since power-on: the guest's words as they are, ours behind `--`.
fn show(ctx: &Ctx, at: Duration, fact: &Fact) {
    ctx.report.data(&serde_json::json!({ "seconds": at.as_secs_f64(), "fact": fact }));
    if ctx.globals.json {
        return;
    }
    if let Some(text) = text(fact) {
        ctx.report.out(&format!("[{:7.2}] {text}", at.as_secs_f64()));
    }
}

fn text(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Line { text } => text.clone(),
        Fact::DhcpAsked => "-- asks for an address".to_owned(),
        Fact::DhcpAnswered { address } => format!("-- gets {address}"),
        Fact::DhcpRefused => "-- is refused an address".to_owned(),
        Fact::HttpAsked { path, status, total, .. } => format!("-- asks for {path}: {status}, {total} bytes"),
        Fact::HttpMoved { .. } | Fact::HttpEnded { .. } => return None,
        Fact::Reset => "-- resets itself".to_owned(),
        Fact::Exited { code: Some(code) } => format!("-- has ended with {code}"),
        Fact::Exited { code: None } => "-- was killed".to_owned(),
    })
}

/// The marks with seconds, in one line.
#[must_use]
pub(crate) fn stages(marks: &[(Mark, Duration)]) -> String {
    let named: Vec<String> =
        marks.iter().skip(1).map(|(m, at)| format!("{} {:.1}", m.label(), at.as_secs_f64())).collect();
    named.join(" · ")
}

/// The folder that a picture goes to must exist; QEMU's own message names no folder.
///
/// # Errors
/// [`Kind::Usage`] when it does not.
pub fn absolute_picture(ctx: &Ctx, path: &Utf8Path) -> Result<Utf8PathBuf> {
    let path = ctx.root.join(path);
    match path.parent().filter(|p| p.is_dir()) {
        Some(_) => Ok(path),
        None => Err(Failure::new(Kind::Usage, format!("the folder of {path} does not exist")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_explained_before_the_boot() {
        let docker = too_little(Os::Docker, "d", 256).unwrap();
        assert!(docker.starts_with("256 MiB of memory are too little: docker-1 needs 384 MiB"), "{docker}");
        assert_eq!((too_little(Os::Docker, "d", 384), too_little(Os::Smoke, "s", 80)), (None, None));
        assert!(too_little(Os::Smoke, "s", 64).is_some());
        assert_eq!(too_little(Os::Linux, "l", 64), None);
    }

    #[test]
    fn a_forward_is_shown_as_a_way_in() {
        let to = |host_port, guest_port| Forward { name: "x".to_owned(), host_port, guest_port };
        let os: Os = "rancheros-1.5.8".parse().unwrap();
        for os in [os, Os::Docker] {
            assert_eq!(way_in(os, &to(2222, 22)).unwrap(), "log in with: ssh -p 2222 rancher@127.0.0.1");
        }
        assert_eq!(way_in(Os::Docker, &to(8080, 80)).unwrap(), "port 80 of the guest is 127.0.0.1:8080");
        // It has no SSH server.
        assert_eq!(way_in(Os::Smoke, &to(2222, 22)), None);
    }
}
