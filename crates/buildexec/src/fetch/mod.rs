//! Downloads: from several sources in order, resumed, limited, hashed while they stream.

mod bypass;
mod http;
mod pace;
mod part;
mod proxy;
mod retry;

use std::{io::Read as _, time::Instant};

use anyhow::{Result, anyhow};
use camino::Utf8Path;

use self::{
    http::{HttpFailure, HttpRequest, HttpResponse},
    part::{Claim, PartialFile},
    proxy::Proxies,
    retry::Tries,
};
use super::hash::{self, PIECE, Sums, SumsHasher};
use crate::ctx::Ctx;
use buildplan::{Digest, FetchSource, FetchSpec, shown_url};
use failure::{Explain as _, Failure, Kind};
use report::{Event, ProgressUnit, table::bytes};
pub use retry::RetryPolicy;

/// Fetches `spec` to `to`. `label` is the node's, for progress.
///
/// # Errors
/// [`Kind::Network`] with what each source said when none gives the file; [`Kind::Digest`] when one gave other
/// bytes and no other gave the right ones; [`Kind::Interrupted`].
pub fn fetch(ctx: &Ctx, spec: &FetchSpec, to: &Utf8Path, label: &str, policy: &RetryPolicy) -> Result<()> {
    let dir = ctx.work.join("downloads");
    fs_err::create_dir_all(&dir)?;
    let claim = Claim::new(&dir, spec.sha256);
    let want = Bounds { sha256: Some(spec.sha256), size: spec.size, limit: spec.limit, until: None };
    let mut said = Vec::new();
    for source in &spec.sources {
        ctx.check_interrupt()?;
        let from = match source {
            FetchSource::File(path) => local(&want, Utf8Path::new(path), to),
            FetchSource::Url(url) => {
                let mut download = Download::new(ctx, &want, claim.path(), label, policy);
                download.part().and_then(|part| match part {
                    Some(part) => download.from(url, part),
                    None => Ok(()),
                })
            }
        };
        match from {
            Ok(()) if matches!(source, FetchSource::File(_)) => return Ok(()),
            Ok(()) => {
                let part = claim.path();
                fs_err::rename(part, to).or_else(|_| {
                    fs_err::copy(part, to)?;
                    fs_err::remove_file(part)
                })?;
                return Ok(());
            }
            // No other source helps against these.
            Err(e) if is_fatal(&e) => return Err(e),
            Err(e) => said.push((name(source), e)),
        }
    }
    Err(none(ctx, spec, label, &said, &left(claim.path())))
}

/// What the next run goes on from, in words; a file without a byte goes.
fn left(part: &Utf8Path) -> Option<String> {
    let length = fs_err::metadata(part).ok()?.len();
    if length == 0 {
        _ = super::tree::remove(part);
        return None;
    }
    Some(format!("{} of it are kept: the next run goes on from there", bytes(length)))
}

/// Downloads `url` to `path`, whose digest is unknown. What an earlier run left there goes.
///
/// # Errors
/// What the server or the disk said; more than the limit.
pub fn download(ctx: &Ctx, want: &Bounds, url: &str, path: &Utf8Path, label: &str) -> Result<()> {
    super::tree::remove(path)?;
    let policy = RetryPolicy { tries: if want.until.is_some() { 1 } else { 4 }, ..RetryPolicy::default() };
    let mut download = Download::new(ctx, want, path, label, &policy);
    match download.part()? {
        Some(part) => download.from(url, part),
        None => Ok(()),
    }
}

/// Whether the server has something at `url`.
///
/// # Errors
/// What it said, as [`ureq::Error`].
pub fn exists(ctx: &Ctx, url: &str) -> Result<(), ureq::Error> {
    let proxies = Proxies::of(&ctx.env).map_err(|_| ureq::Error::InvalidProxyUrl)?;
    let status = http::agent(&RetryPolicy::default(), false, &proxies).head(url).call()?.status();
    if status.is_success() { Ok(()) } else { Err(ureq::Error::StatusCode(status.as_u16())) }
}

/// What no other source can mend: Ctrl-C, a full disk, a proxy variable that is not an address.
pub fn is_fatal(e: &anyhow::Error) -> bool {
    matches!(failure::kind_of(e), Some(Kind::Interrupted | Kind::Storage | Kind::Usage))
}

/// What a download must be, and may be.
pub struct Bounds {
    /// Its digest, when that is known.
    pub sha256: Option<Digest>,
    /// Bytes, when that is known.
    pub size: Option<u64>,
    /// Bytes at most.
    pub limit: u64,
    /// When it must have ended, however slowly a server goes on sending.
    pub until: Option<Instant>,
}

impl Bounds {
    fn check(&self, sums: &Sums) -> Result<()> {
        let right = self.sha256.is_none_or(|d| d == sums.sha256) && self.size.is_none_or(|s| s == sums.size);
        if right {
            return Ok(());
        }
        let message = format!("wrong bytes: {} bytes with SHA-256 {}", sums.size, sums.sha256);
        Err(Failure::new(Kind::Digest, message).into())
    }

    /// Refuses a length before anything is downloaded.
    fn check_length(&self, total: u64) -> Result<()> {
        if let Some(size) = self.size.filter(|size| *size != total) {
            let message = format!("wrong size: {total} bytes offered, {size} expected");
            return Err(Failure::new(Kind::Digest, message).into());
        }
        // Of a file with unknown digest, as much is read as the limit allows: it is what a limit of several files counts.
        if self.sha256.is_some() && total > self.limit {
            return Err(anyhow!("larger than {} bytes", self.limit));
        }
        Ok(())
    }
}

fn none(
    ctx: &Ctx,
    spec: &FetchSpec,
    label: &str,
    said: &[(String, anyhow::Error)],
    left: &Option<String>,
) -> anyhow::Error {
    let lines = said.iter().map(|(name, e)| format!("{name}: {e:#}")).chain(left.clone());
    let lines: Vec<String> = lines.collect();
    let failure = if said.iter().any(|(_, e)| failure::kind_of(e) == Some(Kind::Digest)) {
        let want = format!("no source has {label} with the SHA-256 in media.lock, {}", spec.sha256);
        Failure::new(Kind::Digest, want)
            .help("the source changed the file or the lock is wrong; find out which before using it")
    } else if spec.purl.is_some() && said.iter().any(|(_, e)| is_gone(e)) {
        Failure::new(Kind::Network, format!("no source has {label}: mirrors drop old versions")).help(
            "record today's packages with `cargo xtask fetch --update`, or give a folder that holds the file with \
             --artifacts DIR",
        )
    } else {
        let has_url = spec.sources.iter().any(|s| matches!(s, FetchSource::Url(_)));
        Failure::new(Kind::Network, format!("no source has {label}")).help(unreachable(ctx, has_url))
    };
    match said.is_empty() {
        true => failure.into(),
        false => failure.source(anyhow!(lines.join("\n"))).into(),
    }
}

/// Whether a proxy refuses the name and password, or wants some.
fn wants_login(e: &anyhow::Error) -> bool {
    match e.downcast_ref::<ureq::Error>() {
        Some(ureq::Error::StatusCode(code)) => *code == 407,
        Some(ureq::Error::ConnectProxyFailed(said)) => said.contains("407"),
        _ => false,
    }
}

/// Whether a server says that it has no such file.
fn is_gone(e: &anyhow::Error) -> bool {
    matches!(e.downcast_ref::<ureq::Error>(), Some(ureq::Error::StatusCode(404 | 410)))
}

/// The next step when no source has a file, some of which may be on the network.
pub fn unreachable(ctx: &Ctx, has_url: bool) -> &'static str {
    if !has_url {
        "give a folder that holds the file with --artifacts DIR"
    } else if ctx.globals.offline {
        "run it once without --offline, or give a folder that holds the file with --artifacts DIR"
    } else {
        "check the network, or give a folder that holds the file with --artifacts DIR"
    }
}

fn name(source: &FetchSource) -> String {
    match source {
        FetchSource::File(path) => path.clone(),
        FetchSource::Url(url) => shown_url(url),
    }
}

/// Copies a file of this machine, and hashes it meanwhile.
fn local(want: &Bounds, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    // Not there is not broken: the next source may have it.
    let absent = |_| Failure::new(Kind::Network, "no such file");
    let meta = fs_err::metadata(from).map_err(absent)?;
    anyhow::ensure!(meta.is_file(), "{from} is not a file");
    let copied = hash::copy(from, to, SumsHasher::sha256()).and_then(|sums| want.check(&sums));
    if copied.is_err() {
        super::tree::remove(to)?;
    }
    copied
}

/// One file on its way from one source.
struct Download<'a> {
    ctx: &'a Ctx,
    want: &'a Bounds,
    path: &'a Utf8Path,
    label: &'a str,
    policy: &'a RetryPolicy,
    /// Whether parts are asked for; not of a server that gave another one.
    ranges: bool,
    /// When progress was last shown.
    shown: Option<Instant>,
}

impl<'a> Download<'a> {
    fn new(
        ctx: &'a Ctx,
        want: &'a Bounds,
        path: &'a Utf8Path,
        label: &'a str,
        policy: &'a RetryPolicy,
    ) -> Self {
        Self { ctx, want, path, label, policy, ranges: true, shown: None }
    }

    /// What an earlier run left; nothing when that is all of it.
    fn part(&self) -> Result<Option<PartialFile>> {
        let mut part = PartialFile::open(self.path, self.want.size.unwrap_or(self.want.limit))?;
        let whole = self.want.sha256.is_some_and(|digest| part.is_whole(digest));
        if !whole && self.want.size == Some(part.have) && part.have > 0 {
            part.restart()?;
        }
        Ok((!whole).then_some(part))
    }

    /// Downloads from `url`, and tries again what can get better. Wrong bytes are downloaded again once, when
    /// they came in several pieces: the file may have changed between two of them.
    fn from(&mut self, url: &str, mut part: PartialFile) -> Result<()> {
        if self.ctx.globals.offline {
            return Err(Failure::new(Kind::Network, "not tried, because of --offline").into());
        }
        let secure = self.want.sha256.is_none() && url.starts_with("https://");
        let proxies = Proxies::of(&self.ctx.env).map_err(|wrong| {
            let help = "write it as http://HOST:PORT, or http://NAME:PASSWORD@HOST:PORT";
            Failure::new(Kind::Usage, wrong).help(help)
        })?;
        let agent = http::agent(self.policy, secure, &proxies);
        let mut tries = Tries::new(self.policy, part.have);
        let mut again = true;
        loop {
            match self.exchange(&agent, url, &mut part, &mut tries) {
                Ok(()) => {
                    let (sums, pieces) = (part.sums(), part.pieces);
                    let Err(e) = self.want.check(&sums) else { return Ok(()) };
                    let e = if part.is_page { a_page(e) } else { e };
                    part.restart()?;
                    if pieces < 2 || !again {
                        fs_err::remove_file(self.path)?;
                        return Err(e);
                    }
                    (again, self.ranges) = (false, false);
                }
                Err(e) => tries.after(self.ctx, e, part.have).map_err(|e| match proxies.of_url(url) {
                    Some(proxy) if wants_login(&e) => e.context(format!(
                        "the proxy {proxy} requires a valid name and password (http://NAME:PASSWORD@HOST:PORT)"
                    )),
                    Some(proxy) => e.context(format!("through the proxy {proxy}")),
                    None => e,
                })?,
            }
        }
    }

    /// One request, and the bytes of its answer.
    fn exchange(
        &mut self,
        agent: &ureq::Agent,
        url: &str,
        part: &mut PartialFile,
        tries: &mut Tries<'_>,
    ) -> Result<()> {
        // Without a digest, only the server can say that a beginning is still the file's.
        let can_resume = self.ranges && (self.want.sha256.is_some() || part.validator.is_some());
        if part.have > 0 && !can_resume {
            part.restart()?;
        }
        let ask = HttpRequest {
            from: part.have,
            validator: part.validator.as_deref(),
            believe: self.want.sha256.is_some(),
        };
        let answer = match http::ask(agent, url, &ask) {
            Ok(answer) => answer,
            Err(HttpFailure::FromZero) if part.have > 0 => {
                part.restart()?;
                self.ranges = false;
                return self.exchange(agent, url, part, tries);
            }
            Err(HttpFailure::FromZero) => {
                return Err(anyhow!("the server sent a range that was not requested"));
            }
            Err(HttpFailure::Later(code, wait)) => {
                tries.asked_to_wait(wait);
                return Err(ureq::Error::StatusCode(code).into());
            }
            Err(HttpFailure::Error(e)) => return Err(e.into()),
        };
        self.read(answer, part, tries)
    }

    fn read(&mut self, answer: HttpResponse, part: &mut PartialFile, tries: &mut Tries<'_>) -> Result<()> {
        let total = answer.total.or(self.want.size);
        if let Some(total) = answer.total {
            self.want.check_length(total).map_err(|e| if answer.is_page { a_page(e) } else { e })?;
        }
        if answer.start != part.have {
            part.restart()?;
        }
        part.pieces += 1;
        (part.validator, part.is_page) = (answer.validator, answer.is_page);
        let mut reader = answer.body.into_reader();
        let mut buffer = vec![0; PIECE];
        loop {
            self.ctx.check_interrupt()?;
            let n = reader.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            if part.have + n as u64 > self.want.limit {
                return Err(anyhow!("larger than {} bytes", self.want.limit));
            }
            if self.want.until.is_some_and(|until| Instant::now() > until) {
                return Err(anyhow!("the download took too long"));
            }
            part.write(&buffer[..n])?;
            tries.came(n)?;
            self.show(part.have, total);
        }
        if let Some(total) = total.filter(|total| part.have < *total) {
            let message = format!("the connection ended after {} of {total} bytes", part.have);
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, message).into());
        }
        Ok(())
    }

    /// Shows progress, twenty times a second at most.
    fn show(&mut self, done: u64, total: Option<u64>) {
        if self.shown.is_some_and(|at| at.elapsed().as_millis() < 50) {
            return;
        }
        self.shown = Some(Instant::now());
        self.ctx.report.event(&Event::Progress {
            label: self.label.to_owned(),
            done,
            total,
            unit: ProgressUnit::Bytes,
        });
    }
}

/// Waits unless interrupted.
fn pause(ctx: &Ctx, time: std::time::Duration) -> Result<()> {
    let begin = Instant::now();
    while let Some(left) = time.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
        ctx.check_interrupt()?;
        std::thread::sleep(left.min(std::time::Duration::from_millis(100)));
    }
    Ok(())
}

/// Whether nothing that this machine could do changes what a server said.
fn is_final(e: &anyhow::Error) -> bool {
    is_fatal(e) || !retry::can_get_better(e)
}

/// What a network sends whose users have to log in first, whatever they asked for.
fn a_page(e: anyhow::Error) -> anyhow::Error {
    because(e, "the answer is a web page, such as a network's login page".to_owned())
}

/// Gives a reason to an error that a person would not understand without.
fn because(e: anyhow::Error, message: String) -> anyhow::Error {
    Err::<(), _>(e).explain(Kind::Network, || message).expect_err("it was an error")
}
