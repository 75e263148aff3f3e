//! Media on a web server: what `SHA256SUMS` lists is downloaded into a temporary folder and verified there.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{TEXT_LIMIT, sign, sums};
use crate::{
    ctx::Ctx,
    error::{Explain as _, Failure, Kind},
    exec::fetch::{Bounds, download},
};

/// No file of ours is larger.
const FILE_LIMIT: u64 = 4 << 30;
/// A folder of ours has about a dozen.
const MOST_FILES: usize = 1000;

/// Downloads the folder at `url` to `dir`.
///
/// # Errors
/// [`Kind::Network`] when something cannot be had, [`Kind::Digest`] when the list of checksums is malformed.
pub fn get(ctx: &Ctx, url: &str, dir: &Utf8Path) -> Result<()> {
    if ctx.globals.offline {
        return Err(Failure::new(Kind::Network, format!("{url} was not tried, because of --offline")).into());
    }
    let base = url.trim_end_matches('/');
    let one = |name: &str, limit: u64| -> Result<()> {
        let to: Utf8PathBuf = dir.join(name);
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let want = Bounds { size: None, limit };
        download(ctx, &want, &format!("{base}/{name}"), &to, name)
            .explain(Kind::Network, || format!("cannot download {base}/{name}"))
    };
    one(sums::SHA256, TEXT_LIMIT)?;
    let listed = sums::read(dir, sums::SHA256, 64).map_err(|e| Failure::new(Kind::Digest, e))?;
    if listed.len() > MOST_FILES {
        return Err(
            Failure::new(Kind::Digest, format!("{} lists {} files", sums::SHA256, listed.len())).into()
        );
    }
    for name in [sums::SHA512, sign::SIGNATURE] {
        // Neither must be there; --key says when a signature must.
        if one(name, TEXT_LIMIT).is_err() {
            crate::exec::tree::remove(&dir.join(name))?;
        }
    }
    for name in listed.keys() {
        ctx.check_interrupt()?;
        // What is missing is told with the other promises.
        if one(name, FILE_LIMIT).is_err() {
            ctx.report.warn(format!("cannot download {base}/{name}"));
            crate::exec::tree::remove(&dir.join(name))?;
        }
    }
    Ok(())
}
