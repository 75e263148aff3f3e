//! Media on a web server: what `SHA256SUMS` lists is downloaded into a temporary folder and verified there.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{TEXT_LIMIT, sign, sums};
use buildexec::ctx::Ctx;
use buildexec::{
    fetch::{Bounds, download, is_fatal},
    tree,
};
use buildplan::shown_url;
use failure::{Explain as _, Failure, Kind};

/// What stands in a path of an address as it is (RFC 3986, 2.3); a `?` in a name would end it.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A file that is too large is not written to its last piece, of this many bytes.
const PIECE: u64 = 1 << 18;

/// How much an untrusted server can make us download.
#[derive(Clone, Copy, Debug)]
pub struct RemoteLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Number of files.
    pub files: usize,
    /// From beginning to end.
    pub time: Duration,
}

impl Default for RemoteLimits {
    /// A release of ours has some ten folders of a dozen files, and less than 4 GiB.
    fn default() -> Self {
        Self { bytes: 16 << 30, files: 1000, time: Duration::from_secs(2 * 3600) }
    }
}

/// Downloads the folder at `url` to `dir`.
///
/// # Errors
/// [`Kind::Network`] when the list is unavailable or a limit is reached, [`Kind::Digest`] when the list is malformed.
pub fn get(ctx: &Ctx, url: &str, dir: &Utf8Path, limits: &RemoteLimits) -> Result<()> {
    if ctx.globals.offline {
        let text = format!("{} was not tried, because of --offline", shown_url(url));
        return Err(Failure::new(Kind::Network, text).into());
    }
    let mut folder = RemoteFolder {
        ctx,
        url: url.trim_end_matches('/'),
        dir,
        left: limits.bytes,
        until: Instant::now() + limits.time,
    };
    folder.one(sums::SHA256)?;
    let listed = sums::read(dir, sums::SHA256, 64).map_err(|e| Failure::new(Kind::Digest, e))?;
    if listed.len() > limits.files {
        let text = format!("{} lists {} files", sums::SHA256, listed.len());
        return Err(Failure::new(Kind::Digest, text).into());
    }
    // Neither must be there; --key says when a signature must.
    folder.maybe(sums::SHA512)?;
    folder.maybe(sign::SIGNATURE)?;
    for name in listed.keys().filter(|name| !sums::is_list(name)) {
        // What is missing is reported with the other checks.
        if let Some(e) = folder.maybe(name)? {
            ctx.report.warn(format!("{e:#}"));
        }
    }
    Ok(())
}

struct RemoteFolder<'a> {
    ctx: &'a Ctx,
    url: &'a str,
    dir: &'a Utf8Path,
    /// Bytes that may still come.
    left: u64,
    until: Instant,
}

impl RemoteFolder<'_> {
    fn one(&mut self, name: &str) -> Result<()> {
        let to: Utf8PathBuf = self.dir.join(name);
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let limit = if sums::is_list(name) { self.left.min(TEXT_LIMIT) } else { self.left };
        let want = Bounds { sha256: None, size: None, limit, until: Some(self.until) };
        let address = format!("{}/{}", self.url, utf8_percent_encode(name, PLAIN));
        let came = download(self.ctx, &want, &address, &to, name);
        self.left = self.left.saturating_sub(fs_err::metadata(&to).map_or(0, |m| m.len()));
        came.explain(Kind::Network, || format!("cannot download {}", shown_url(&address)))
    }

    /// Why it did not come, and what came of it goes then.
    fn maybe(&mut self, name: &str) -> Result<Option<anyhow::Error>> {
        self.ctx.check_interrupt()?;
        let Err(e) = self.one(name) else { return Ok(None) };
        if is_fatal(&e) {
            return Err(e);
        }
        if self.left < PIECE || Instant::now() > self.until {
            let text = format!("{} takes too long or is too large", shown_url(self.url));
            return Err(Failure::new(Kind::Network, text).source(e).into());
        }
        tree::remove(&self.dir.join(name))?;
        Ok(Some(e))
    }
}
