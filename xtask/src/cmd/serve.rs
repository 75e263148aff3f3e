//! `cargo xtask serve`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::{
    config::BaseUrl,
    ctx::Ctx,
    error::{Failure, Kind},
    report::{Mode, table::table},
    serve::{
        Config, Event, Line, Server,
        dhcp::{self, Dhcp},
        fleet,
        log::Log,
        script,
        server::has_address,
    },
    site::load,
};

/// How often the live view is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Profile whose `dist/PROFILE/netboot` is served.
    pub profile: Option<String>,
    /// Listen here instead of on the host of the profile's base-url.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Serve this folder instead of a profile's.
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    pub tree: Option<Utf8PathBuf>,
    /// Also answer PXE requests on the network of the address listened on (proxy DHCP and TFTP, by dnsmasq), for
    /// machines that boot without our ISO. Addresses still come from the network's own DHCP server.
    #[arg(long)]
    pub dhcp: bool,
    /// Be the DHCP server of a network that has none, and give out these addresses.
    #[arg(long, value_name = "FIRST-LAST", requires = "dhcp")]
    pub dhcp_range: Option<fleet::Range>,
    /// Print the configuration with which another server does the same for a fleet, and serve nothing.
    #[arg(long, value_enum, conflicts_with = "dhcp")]
    pub print: Option<Print>,
}

/// Servers whose configuration can be printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Print {
    /// Proxy DHCP and TFTP.
    Dnsmasq,
    /// HTTP.
    Nginx,
}

/// Serves until Ctrl-C.
///
/// # Errors
/// When the address is taken or there is nothing to serve.
pub fn run(ctx: &Ctx, args: &ServeArgs) -> Result<()> {
    let site = Site::new(ctx, args)?;
    if let Some(server) = args.print {
        ctx.report.out(&site.print(server, args)?);
        return Ok(());
    }
    let mut config = site.config(ctx, args);
    let (tx, events) = mpsc::channel();
    config.observer = Some(Arc::new(move |e| _ = tx.send(e.clone())));
    let tree = config.tree.clone();
    let server = Server::start(config)?;
    let addr = server.addr();
    ctx.report.note(format!("serving {tree} on http://{addr}/boot.html; the live view is http://{addr}/_/"));
    let dhcp = args.dhcp.then(|| site.dhcp(ctx, addr, args.dhcp_range)).transpose()?;
    ctx.report.note("Ctrl-C ends it");
    let end = watch(ctx, &server, dhcp, &events);
    ctx.report.clear();
    end
}

/// What is served, and the address under which its scripts expect it.
struct Site {
    tree: Utf8PathBuf,
    /// iPXE's programs.
    programs: Utf8PathBuf,
    machines: Option<Utf8PathBuf>,
    base_url: BaseUrl,
}

impl Site {
    fn new(ctx: &Ctx, args: &ServeArgs) -> Result<Self> {
        if let Some(tree) = args.tree.clone() {
            let script = fs_err::read_to_string(tree.join("boot.html")).unwrap_or_default();
            let base_url = script::base_url(&script).and_then(|u| BaseUrl::parse(u).ok());
            let programs = tree.clone();
            return Ok(Self { tree, programs, machines: None, base_url: base_url.unwrap_or_default() });
        }
        let loaded = load::load(ctx)?;
        let profile = loaded.config.profile(args.profile.as_deref())?;
        Ok(Self {
            tree: ctx.dist.join(&profile.name).join("netboot"),
            programs: ctx.dist.join(&profile.name),
            machines: Some(ctx.root.join("isofs").join(&profile.name).join("machines")),
            base_url: profile.base_url.clone(),
        })
    }

    fn config(&self, ctx: &Ctx, args: &ServeArgs) -> Config {
        let addr = args.listen.unwrap_or_else(|| usual_address(ctx, &self.base_url));
        let mut config = Config::new(addr, &self.tree);
        config.prefix = self.base_url.path().to_owned();
        config.machines = self.machines.clone();
        config
    }

    fn dhcp(&self, ctx: &Ctx, http: SocketAddr, range: Option<fleet::Range>) -> Result<Dhcp> {
        let order = dhcp::Order { programs: &self.programs, http, prefix: self.base_url.path(), range };
        let dhcp = Dhcp::start(ctx, &order)?;
        ctx.report.note(format!("answering PXE requests on the network of {}", http.ip()));
        Ok(dhcp)
    }

    /// For a fleet's own servers, with the folders that such servers usually have.
    fn print(&self, server: Print, args: &ServeArgs) -> Result<String> {
        let named = || self.base_url.host.parse().ok().map(|ip| SocketAddr::new(ip, self.base_url.port));
        let listen = args.listen.or_else(named).ok_or_else(|| {
            Failure::new(
                Kind::Usage,
                format!("{} is a name, and the server needs an address", self.base_url.host),
            )
            .help("give it with --listen ADDRESS:PORT")
        })?;
        let base_url = self.base_url.to_string();
        Ok(match (server, listen.ip()) {
            (Print::Nginx, _) => fleet::Nginx { listen, base_url, root: "/srv/netboot".to_owned() }.render(),
            (Print::Dnsmasq, IpAddr::V4(address)) => {
                let (script, tftp) = (format!("{base_url}/boot.html"), "/srv/tftp".to_owned());
                fleet::Dnsmasq { address, script, tftp, uefi: true, range: None }.render()
            }
            (Print::Dnsmasq, ip) => {
                return Err(Failure::new(Kind::Usage, format!("PXE is for IPv4, and {ip} is not")).into());
            }
        })
    }
}

/// The host of the base-url when it is one of ours, else this host for itself.
fn usual_address(ctx: &Ctx, base_url: &BaseUrl) -> SocketAddr {
    let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), base_url.port);
    match base_url.host.parse() {
        Ok(ip) if has_address(ip) => SocketAddr::new(ip, base_url.port),
        _ => {
            ctx.report.note(format!(
                "{} is no address of this host, so only this host reaches {local}; --listen chooses another",
                base_url.host
            ));
            local
        }
    }
}

/// Shows what happens until Ctrl-C.
fn watch(ctx: &Ctx, server: &Server, mut dhcp: Option<Dhcp>, events: &mpsc::Receiver<Event>) -> Result<()> {
    let (report, mut log, mut drawn) = (&ctx.report, Log::default(), Instant::now());
    while !ctx.runner.interrupt.is_set() {
        if let Ok(event) = events.recv_timeout(DRAW_EVERY) {
            report.data(&event);
        }
        if drawn.elapsed() < DRAW_EVERY {
            continue;
        }
        drawn = Instant::now();
        for what in dhcp.as_mut().map_or(Ok(Vec::new()), Dhcp::news)? {
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

/// The live view: machines that stopped first, since a terminal may be too small for all.
fn shown(lines: &[Line]) -> Vec<String> {
    let mut lines: Vec<&Line> = lines.iter().collect();
    lines.sort_by_key(|l| !l.state.is_trouble());
    let row = |l: &&Line| {
        let rate = if l.rate > 0 { format!("{:.1} MB/s", l.rate as f64 / 1e6) } else { String::new() };
        let boots = if l.boots > 1 { format!("boot {}", l.boots) } else { String::new() };
        vec![l.name.clone(), l.text.clone(), rate, format!("{:.0} s", l.age), boots]
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    table(&["MACHINE", "STAGE", "RATE", "AGE", ""], &rows).lines().map(str::to_owned).collect()
}
