//! `cargo xtask serve`.

mod print;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::Utf8PathBuf;

use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use mediabuild::workspace::load;
use mediaplan::config::BaseUrl;
use netboot::{
    ClientEvent, MachineLine, Server, ServerConfig, Tls,
    dhcp::{self, DnsmasqServer},
    fleet,
    log::Log,
    script,
    server::{has_address, own_address},
};
use report::{Mode, table::table};
use xtask::cmd::serve::{HttpBoot, ServeArgs};

/// How often the live view is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Serves until Ctrl-C.
///
/// # Errors
/// When the address is taken or nothing was built to serve.
pub(crate) fn run(ctx: &Ctx, args: &ServeArgs) -> Result<()> {
    let offering = Offering::new(ctx, args)?;
    if let Some(server) = args.print {
        ctx.report.out(&offering.print(server, args)?);
        return Ok(());
    }
    offering.check_built()?;
    let mut config = offering.config(ctx, args);
    if args.dhcp {
        dhcp::network_address(config.addr)?;
    }
    let (tx, events) = mpsc::channel();
    config.signer = args.netboot_key.open(ctx)?;
    config.tls =
        args.tls_cert.as_ref().zip(args.tls_key.as_ref()).map(|(c, k)| Tls::read(c, k)).transpose()?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    config.files = offering.for_firmware();
    offering.say_what_is_signed(ctx, config.signer.is_some());
    // Only JSON shows single events, and each of them wakes a thread.
    if ctx.report.mode() == Mode::Json {
        let tx = tx.clone();
        config.observer = Some(Arc::new(move |e| _ = tx.send(e.clone())));
    }
    let tree = config.tree.clone();
    let server = Server::start(config)?;
    let addr = server.addr();
    let reached = SocketAddr::new(reached(addr.ip()), addr.port());
    let at = format!("{scheme}://{reached}");
    ctx.report.note(format!("serving {tree} on {at}/boot.html; the live view is {at}/_/"));
    let dhcp = args.dhcp.then(|| offering.dhcp(ctx, addr, args.dhcp_range.clone())).transpose()?;
    ctx.report.note("Ctrl-C ends it");
    let end = watch(ctx, &server, dhcp, &events);
    ctx.report.clear();
    end
}

/// What is served, and the address under which its scripts expect it.
struct Offering {
    tree: Utf8PathBuf,
    /// iPXE's programs.
    programs: Utf8PathBuf,
    machines: Option<Utf8PathBuf>,
    base_url: BaseUrl,
    /// Whose tree it is, unless it is just a folder.
    profile: Option<String>,
    /// What firmware is given first.
    http_boot: HttpBoot,
}

impl Offering {
    fn new(ctx: &Ctx, args: &ServeArgs) -> Result<Self> {
        if let Some(tree) = args.tree.clone() {
            let script = fs_err::read_to_string(tree.join("boot.html")).unwrap_or_default();
            let base_url = script::base_url(&script).and_then(|u| BaseUrl::parse(u).ok());
            let programs = tree.clone();
            return Ok(Self {
                tree,
                programs,
                machines: None,
                base_url: base_url.unwrap_or_default(),
                profile: None,
                http_boot: args.http_boot,
            });
        }
        let loaded = load::load(ctx)?;
        let profile = loaded.config.profile(args.profile.as_deref())?;
        Ok(Self {
            tree: ctx.dist.join(&profile.name).join("netboot"),
            programs: ctx.dist.join(&profile.name),
            machines: Some(ctx.root.join("isofs").join(&profile.name).join("machines")),
            base_url: profile.base_url.clone(),
            profile: Some(profile.name.clone()),
            http_boot: args.http_boot,
        })
    }

    /// What UEFI firmware loads over HTTP without TFTP: iPXE, or the ISO, which it mounts as a disk in memory.
    fn for_firmware(&self) -> BTreeMap<String, Utf8PathBuf> {
        let uefi = self.for_uefi();
        let entries = self.programs.read_dir_utf8().into_iter().flatten().flatten();
        let files = entries.map(|e| e.path().to_owned()).filter(|p| {
            let name = p.file_name().unwrap_or_default();
            uefi.is_some_and(|uefi| fleet::is_asked_for(name, uefi)) || name.ends_with("-x86_64.iso")
        });
        files.map(|p| (p.file_name().unwrap_or_default().to_owned(), p)).collect()
    }

    /// The names of those, what was asked for first.
    fn names_for_firmware(&self) -> Result<Vec<String>> {
        let ipxe = self.for_uefi();
        let of_firmware = |name: &String| name.ends_with(".iso") || Some(name.as_str()) == ipxe;
        let mut names: Vec<String> = self.for_firmware().into_keys().filter(of_firmware).collect();
        let ipxe_first = self.http_boot == HttpBoot::Ipxe;
        names.sort_by_key(|name| (Some(name.as_str()) == ipxe) != ipxe_first);
        if !ipxe_first && names.first().is_none_or(|name| Some(name.as_str()) == ipxe) {
            return Err(Failure::new(Kind::Usage, format!("no `*-x86_64.iso` in {}", self.programs)).into());
        }
        Ok(names)
    }

    /// What of iPXE firmware is given: the shim where there is one.
    fn for_uefi(&self) -> Option<&'static str> {
        fleet::for_uefi(|name| self.programs.join(name).is_file())
    }

    fn is_signed(&self) -> bool {
        self.tree.join("boot.ipxe.sig").is_file()
    }

    /// A signed tree without the key stays as it was signed; what would have to be signed again is named.
    fn say_what_is_signed(&self, ctx: &Ctx, key: bool) {
        let signed = self.is_signed();
        if key && !signed {
            ctx.report.warn(format!("{} is not signed: iPXE of this tree asks for no signatures", self.tree));
        }
        if !signed || key {
            return;
        }
        ctx.report.note(format!(
            "the tree is signed and served as it is, for {}; with --netboot-key its script is signed for any address",
            self.base_url
        ));
        let own = self.machines.iter().filter_map(|m| m.read_dir_utf8().ok()).flatten().flatten();
        for script in own.filter(|f| f.path().extension() == Some("ipxe")) {
            if !Utf8PathBuf::from(format!("{}.sig", script.path())).is_file() {
                ctx.report.warn(format!(
                    "iPXE refuses {}: no signature is beside it, and no key is given",
                    script.path()
                ));
            }
        }
    }

    fn check_built(&self) -> Result<()> {
        if self.tree.is_dir() {
            return Ok(());
        }
        let failure = Failure::new(Kind::Usage, format!("no such folder: {}", self.tree));
        let build = |profile| format!("build it with `cargo xtask dist {profile}`");
        Err(self.profile.iter().map(build).fold(failure, Failure::help).into())
    }

    fn config(&self, ctx: &Ctx, args: &ServeArgs) -> ServerConfig {
        let addr = args.listen.unwrap_or_else(|| usual_address(&self.base_url));
        // Machines that our DHCP answers are told our address.
        if let Some(text) = self.elsewhere(addr, own_address()).filter(|_| !args.dhcp) {
            ctx.report.warn(text);
        }
        let mut config = ServerConfig::new(addr, &self.tree);
        config.prefix = self.base_url.path().to_owned();
        config.names = args.host.iter().chain([&self.base_url.host]).cloned().collect();
        config.machines = self.machines.clone();
        config
    }

    /// What is wrong with listening on `addr` when the media ask another address; `own` is where the network finds this
    /// host.
    fn elsewhere(&self, addr: SocketAddr, own: Option<IpAddr>) -> Option<String> {
        let asked: IpAddr = self.base_url.host.parse().ok()?;
        let reached = addr.ip() == asked || (addr.ip().is_unspecified() && has_address(asked));
        if reached && addr.port() == self.base_url.port {
            return None;
        }
        let here = if addr.ip().is_loopback() || addr.ip().is_unspecified() { own } else { Some(addr.ip()) };
        let here =
            here.map_or_else(|| "ADDRESS:PORT".to_owned(), |ip| SocketAddr::new(ip, addr.port()).to_string());
        let only = if addr.ip().is_loopback() { " (this host and QEMU only)" } else { "" };
        let name = self.profile.as_deref();
        let (section, dist) =
            name.map_or_else(Default::default, |p| (format!("[profile.{p}] of "), format!(" {p}")));
        Some(format!(
            "ipxe.iso looks for this server at its base-url, http://{asked}:{}, but it listens on {addr}{only}. \
             For machines of your network, set base-url = \"http://{here}\" in {section}media.toml, \
             run `cargo xtask dist{dist}`, and serve again",
            self.base_url.port
        ))
    }

    fn dhcp(
        &self,
        ctx: &Ctx,
        http: SocketAddr,
        range: Option<RangeInclusive<Ipv4Addr>>,
    ) -> Result<DnsmasqServer> {
        let prefix = self.base_url.path();
        let order = dhcp::DhcpSetup {
            programs: &self.programs,
            firmware: self.names_for_firmware()?,
            http,
            prefix,
            range,
        };
        let dhcp = DnsmasqServer::start(ctx, &order)?;
        ctx.report.note(format!("answering PXE requests on the network of {}", http.ip()));
        Ok(dhcp)
    }
}

/// The host of the base-url when it is one of ours, else this host for itself.
fn usual_address(base_url: &BaseUrl) -> SocketAddr {
    let ip = base_url.host.parse().ok().filter(|ip| has_address(*ip));
    SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), base_url.port)
}

/// Where a browser finds a server that listens on `ip`.
fn reached(ip: IpAddr) -> IpAddr {
    if ip.is_unspecified() { own_address().unwrap_or(Ipv4Addr::LOCALHOST.into()) } else { ip }
}

/// Shows what happens until Ctrl-C.
fn watch(
    ctx: &Ctx,
    server: &Server,
    mut dhcp: Option<DnsmasqServer>,
    events: &mpsc::Receiver<ClientEvent>,
) -> Result<()> {
    let (report, mut log, mut drawn) = (&ctx.report, Log::default(), Instant::now());
    while !ctx.runner.interrupt.is_set() {
        if let Ok(event) = events.recv_timeout(DRAW_EVERY) {
            report.data(&event);
        }
        if drawn.elapsed() < DRAW_EVERY {
            continue;
        }
        drawn = Instant::now();
        for what in dhcp.as_mut().map_or(Ok(Vec::new()), DnsmasqServer::news)? {
            server.tell(Ipv4Addr::UNSPECIFIED.into(), what);
        }
        let lines = server.lines();
        if report.is_live() {
            report.live(&shown(&lines));
        } else if report.mode() != Mode::Json {
            let now = server.started().elapsed().as_secs_f64();
            log.news(&lines, now).into_iter().for_each(|l| report.note(l));
        }
    }
    Ok(())
}

/// The live view: stalled machines first, since a terminal may be too small for all.
fn shown(lines: &[MachineLine]) -> Vec<String> {
    let mut lines: Vec<&MachineLine> = lines.iter().collect();
    lines.sort_by_key(|l| !l.state.is_trouble());
    let row = |l: &&MachineLine| {
        let rate = if l.rate > 0 { format!("{:.1} MB/s", l.rate as f64 / 1e6) } else { String::new() };
        let boots = if l.boots > 1 { format!("boot {}", l.boots) } else { String::new() };
        vec![l.name.clone(), l.text.clone(), rate, format!("{:.0} s", l.age), boots]
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    table(&["MACHINE", "STAGE", "RATE", "AGE", ""], &rows).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct ServeLine {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn offering(base_url: &str) -> Offering {
        let dir = Utf8PathBuf::from("/nowhere");
        let base_url = BaseUrl::parse(base_url).unwrap();
        let (programs, machines, profile) = (dir.clone(), None, Some("box".to_owned()));
        Offering { tree: dir, programs, machines, base_url, profile, http_boot: HttpBoot::Ipxe }
    }

    fn printed(args: &[&str]) -> String {
        let args = ServeLine::try_parse_from([&["serve"], args].concat()).unwrap().args;
        offering("http://192.168.1.10:8089").print(args.print.unwrap(), &args).unwrap()
    }

    #[test]
    fn listening_where_the_media_do_not_ask_is_said_with_the_way_out() {
        let offering = offering("http://192.168.1.10:8089");
        let own = Some("10.1.2.3".parse().unwrap());
        let at = |addr: &str| offering.elsewhere(addr.parse().unwrap(), own);
        assert_eq!(at("192.168.1.10:8089"), None);
        let text = at("192.168.1.11:8089").unwrap();
        assert!(text.contains("base-url, http://192.168.1.10:8089,"), "{text}");
        assert!(text.contains("in [profile.box] of media.toml, run `cargo xtask dist box`"), "{text}");
        assert!(text.contains("base-url = \"http://192.168.1.11:8089\""), "{text}");
        // Where only this host reaches it, the address that others reach is offered.
        let text = at("127.0.0.1:8089").unwrap();
        assert!(text.contains("(this host and QEMU only)"), "{text}");
        assert!(text.contains("base-url = \"http://10.1.2.3:8089\""), "{text}");
        let text = at("0.0.0.0:80").unwrap();
        assert!(text.contains("base-url = \"http://10.1.2.3:80\""), "{text}");
        assert!(at("192.168.1.10:80").is_some());
        // A name may lead anywhere.
        assert_eq!(
            super::tests::offering("http://boot.lan/x").elsewhere("10.0.0.1:80".parse().unwrap(), own),
            None
        );
    }

    #[test]
    fn firmware_is_given_ipxe_first_or_the_iso_where_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let programs = camino::Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let first = |http_boot| {
            let offering =
                Offering { programs: programs.clone(), http_boot, ..offering("http://192.168.1.10") };
            offering.names_for_firmware().map(|names| names[0].clone())
        };
        fs_err::write(programs.join("ipxe.efi"), "").unwrap();
        let error = first(HttpBoot::Iso).unwrap_err();
        assert!(error.to_string().contains("no `*-x86_64.iso`"), "{error}");
        fs_err::write(programs.join("a-1-x86_64.iso"), "").unwrap();
        assert_eq!(first(HttpBoot::Ipxe).unwrap(), "ipxe.efi");
        assert_eq!(first(HttpBoot::Iso).unwrap(), "a-1-x86_64.iso");
    }

    #[test]
    fn what_is_not_built_names_its_profile() {
        let error = offering("http://192.168.1.10:8089").check_built().unwrap_err();
        assert_eq!(failure::helps_of(&error), ["build it with `cargo xtask dist box`"]);
    }

    #[test]
    fn a_printed_configuration_says_what_goes_where_and_takes_the_range() {
        let text = printed(&["--print", "dnsmasq", "--dhcp-range", "192.168.1.50-192.168.1.60"]);
        assert!(text.contains("\ndhcp-range=192.168.1.50,192.168.1.60,1h\n"), "{text}");
        assert!(
            text.starts_with("# iPXE: cp /nowhere/undionly.kpxe /nowhere/ipxe.efi /srv/tftp/\n"),
            "{text}"
        );
        assert!(printed(&["--print", "nginx"]).starts_with("# The tree: cp -r /nowhere/. /srv/netboot/\n"));
        for args in [&["--listen", "127.0.0.1"][..], &["--dhcp-range", "10.0.0.1-10.0.0.2"]] {
            assert!(ServeLine::try_parse_from([&["serve"], args].concat()).is_err(), "{args:?}");
        }
    }
}
