//! `cargo xtask serve`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::{
    ctx::Ctx,
    report::{Mode, table::table},
    serve::{Config, Event, Line, Server, log::Log, script, server::has_address},
};

/// How often the live view is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Where the boot scripts of this project look unless told otherwise.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 56, 1)), 8089);

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
}

/// Serves until Ctrl-C.
///
/// # Errors
/// When the address is taken or there is nothing to serve.
pub fn run(ctx: &Ctx, args: &ServeArgs) -> Result<()> {
    let mut config = config(ctx, args)?;
    let (tx, events) = mpsc::channel();
    config.observer = Some(Arc::new(move |e| _ = tx.send(e.clone())));
    let tree = config.tree.clone();
    let server = Server::start(config)?;
    let addr = server.addr();
    ctx.report.note(format!("serving {tree} on http://{addr}/boot.html; the live view is http://{addr}/_/"));
    ctx.report.note("Ctrl-C ends it");
    watch(ctx, &server, &events);
    ctx.report.clear();
    Ok(())
}

fn config(ctx: &Ctx, args: &ServeArgs) -> Result<Config> {
    let profile = args.profile.as_deref().unwrap_or("smoke");
    let tree = args.tree.clone().unwrap_or_else(|| ctx.dist.join(profile).join("netboot"));
    let script = fs_err::read_to_string(tree.join("boot.html")).unwrap_or_default();
    let base_url = script::base_url(&script).unwrap_or_default();
    let mut config = Config::new(args.listen.unwrap_or_else(|| usual_address(ctx, base_url)), tree);
    config.prefix = script::path(base_url).to_owned();
    config.machines = Some(ctx.root.join("isofs").join(profile).join("machines"));
    Ok(config)
}

/// The host of the boot script's base-url, when it is one of ours.
fn usual_address(ctx: &Ctx, base_url: &str) -> SocketAddr {
    let wanted = script::host(base_url).and_then(|h| h.parse().ok()).unwrap_or(USUAL);
    if has_address(wanted.ip()) {
        return wanted;
    }
    let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), wanted.port());
    ctx.report.note(format!(
        "{} is no address of this host, so only this host can boot from {local}; --listen chooses another",
        wanted.ip()
    ));
    local
}

/// Shows what happens until Ctrl-C.
fn watch(ctx: &Ctx, server: &Server, events: &mpsc::Receiver<Event>) {
    let (report, mut log, mut drawn) = (&ctx.report, Log::default(), Instant::now());
    while !ctx.runner.interrupt.is_set() {
        if let Ok(event) = events.recv_timeout(DRAW_EVERY) {
            report.data(&event);
        }
        if drawn.elapsed() < DRAW_EVERY {
            continue;
        }
        drawn = Instant::now();
        let lines = server.lines();
        if report.is_live() {
            report.live(&shown(&lines));
        } else if report.mode() != Mode::Json {
            let now = server.started().elapsed().as_secs_f64();
            log.news(&lines, now).into_iter().for_each(|l| report.note(l));
        }
    }
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
