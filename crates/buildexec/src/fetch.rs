//! Downloads: from several sources in order, resumed, limited, checked while they stream.

use std::{
    io::{Read, Seek as _, SeekFrom, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::ctx::Ctx;
use buildplan::{Digest, FetchSpec, Source};
use failure::{Explain as _, Failure, Kind};
use report::Event;

/// A server that sends nothing for this long has stalled.
const STALL: Duration = Duration::from_secs(30);
/// Tries per address, for what can get better.
const TRIES: u32 = 4;

/// Fetches `spec` to `to`. `label` is the node's, for progress.
///
/// # Errors
/// [`Kind::Network`] with what each source said when none gives the file; [`Kind::Digest`] when one gave other
/// bytes and no other gave the right ones; [`Kind::Interrupted`].
pub fn fetch(ctx: &Ctx, spec: &FetchSpec, to: &Utf8Path, label: &str) -> Result<()> {
    let dir = ctx.work.join("downloads");
    fs_err::create_dir_all(&dir)?;
    let part = dir.join(format!("{}.part", spec.sha256));
    let mut said = Vec::new();
    for source in &spec.sources {
        ctx.check_interrupt()?;
        match one(ctx, spec, source, &part, label) {
            Ok(from) => {
                fs_err::rename(&from, to).or_else(|_| fs_err::copy(&from, to).map(drop))?;
                return Ok(());
            }
            // No other source helps against these.
            Err(e) if ends_all(&e) => return Err(e),
            Err(e) => said.push((name(source).to_owned(), e)),
        }
    }
    Err(none(ctx, spec, label, &said))
}

/// What no other source can mend: Ctrl-C and a full disk.
pub fn ends_all(e: &anyhow::Error) -> bool {
    matches!(failure::kind_of(e), Some(Kind::Interrupted | Kind::Storage))
}

/// How long a download is, and may be.
pub struct Bounds {
    /// Bytes, when that is known.
    pub size: Option<u64>,
    /// Bytes at most.
    pub limit: u64,
    /// When it must have ended, however slowly a server goes on sending.
    pub until: Option<Instant>,
}

fn none(ctx: &Ctx, spec: &FetchSpec, label: &str, said: &[(String, anyhow::Error)]) -> anyhow::Error {
    let lines: Vec<String> = said.iter().map(|(name, e)| format!("{name}: {e:#}")).collect();
    let failure = if said.iter().any(|(_, e)| failure::kind_of(e) == Some(Kind::Digest)) {
        let want = format!("no source gave {label} as media.lock has it, with SHA-256 {}", spec.sha256);
        Failure::new(Kind::Digest, want)
            .help("whoever offers these bytes changed them, or the lock is wrong: find out which before you use them")
    } else {
        Failure::new(Kind::Network, format!("no source gave {label}")).help(unreachable(ctx))
    };
    match said.is_empty() {
        true => failure.into(),
        false => failure.source(anyhow!(lines.join("\n"))).into(),
    }
}

/// The next step when nobody gives a file.
pub fn unreachable(ctx: &Ctx) -> &'static str {
    if ctx.globals.offline {
        "run it once without --offline, or give a folder that holds the file with --artifacts DIR"
    } else {
        "check the network, or give a folder that holds the file with --artifacts DIR"
    }
}

fn name(source: &Source) -> &str {
    match source {
        Source::File(path) => path,
        Source::Url(url) => url,
    }
}

/// Gets the file from one source, to `part` or a copy of a local file beside it.
fn one(ctx: &Ctx, spec: &FetchSpec, source: &Source, part: &Utf8Path, label: &str) -> Result<Utf8PathBuf> {
    match source {
        Source::File(path) => {
            let copy = Utf8PathBuf::from(format!("{part}.copy"));
            fs_err::copy(path, &copy)?;
            check(spec, &copy)?;
            Ok(copy)
        }
        Source::Url(_) if ctx.globals.offline => {
            Err(Failure::new(Kind::Network, "not tried, because of --offline").into())
        }
        Source::Url(url) => {
            let resumed = fs_err::metadata(part).is_ok_and(|m| m.len() > 0);
            patiently(ctx, spec, url, part, label)?;
            match check(spec, part) {
                // The beginning may have come from a source whose bytes are wrong; `check` has removed it.
                Err(_) if resumed => {
                    patiently(ctx, spec, url, part, label)?;
                    check(spec, part)?;
                }
                other => other?,
            }
            Ok(part.to_owned())
        }
    }
}

/// Downloads, and tries again what can get better.
fn patiently(ctx: &Ctx, spec: &FetchSpec, url: &str, part: &Utf8Path, label: &str) -> Result<()> {
    let want = Bounds { size: spec.size, limit: spec.limit, until: None };
    let mut attempt = 1;
    loop {
        match download(ctx, &want, url, part, label) {
            Err(e) if attempt < TRIES && can_get_better(&e) => pause(ctx, attempt)?,
            other => return other,
        }
        attempt += 1;
    }
}

fn check(spec: &FetchSpec, path: &Utf8Path) -> Result<()> {
    let (digest, size) = Digest::read(&mut fs_err::File::open(path)?)?;
    if digest == spec.sha256 && spec.size.is_none_or(|s| s == size) {
        return Ok(());
    }
    fs_err::remove_file(path)?;
    let message = format!("wrong bytes: {size} bytes with SHA-256 {digest}");
    Err(Failure::new(Kind::Digest, message).into())
}

/// Waits 1, 2, 4 … seconds, unless interrupted.
fn pause(ctx: &Ctx, attempt: u32) -> Result<()> {
    for _ in 0..(10u32 << (attempt - 1)) {
        ctx.check_interrupt()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A server that is busy or a line that broke; not a file that is not there or a name that is unknown.
fn can_get_better(e: &anyhow::Error) -> bool {
    match e.downcast_ref::<ureq::Error>() {
        Some(ureq::Error::StatusCode(code)) => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
        // Where nobody listens, nobody will a few seconds later.
        Some(ureq::Error::Io(e)) => e.kind() != std::io::ErrorKind::ConnectionRefused && !unknown_name(e),
        Some(ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed) => true,
        Some(_) => false,
        None => {
            e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() != std::io::ErrorKind::StorageFull)
        }
    }
}

/// `EAI_NONAME` in the words of glibc, musl, macOS and Windows; std gives it no kind of its own.
fn unknown_name(e: &std::io::Error) -> bool {
    let said = e.to_string();
    ["Name or service not known", "Name does not resolve", "nodename nor servname", "No such host"]
        .iter()
        .any(|words| said.contains(words))
}

/// The client: system certificates (a company's own among them), no transparent decompression, a limit on
/// silence rather than on the whole time.
pub fn agent() -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(STALL))
        .timeout_per_read(Some(STALL))
        .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")));
    config.build().into()
}

/// Downloads `url` to `part`, going on where an earlier try ended. What came is not checked.
///
/// # Errors
/// What the server or the disk said; more than the limit.
pub fn download(ctx: &Ctx, want: &Bounds, url: &str, part: &Utf8Path, label: &str) -> Result<()> {
    let mut file = fs_err::OpenOptions::new().create(true).write(true).truncate(false).open(part)?;
    let have = file.seek(SeekFrom::End(0))?;
    if want.size == Some(have) {
        return Ok(());
    }
    let mut request = agent().get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        // What we have is no beginning of this file.
        Err(ureq::Error::StatusCode(416)) => {
            file.set_len(0)?;
            file.rewind()?;
            agent().get(url).call()?
        }
        other => other?,
    };
    let mut done = if response.status() == 206 { have } else { 0 };
    file.set_len(done)?;
    file.seek(SeekFrom::Start(done))?;
    let body = response.into_body();
    let total = want.size.or_else(|| body.content_length().map(|n| n + done));
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 1 << 18];
    loop {
        ctx.check_interrupt()?;
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        done += n as u64;
        if done > want.limit {
            bail!("larger than {} bytes", want.limit);
        }
        if want.until.is_some_and(|until| Instant::now() > until) {
            bail!("not whole when its time was over");
        }
        file.write_all(&buffer[..n]).explain(Kind::Storage, || format!("cannot write {part}"))?;
        ctx.report.event(&Event::Progress { label: label.to_owned(), done, total });
    }
    Ok(())
}
