//! `fetch --update`: gets a released file whose digest is not recorded yet, and finds out what vouches for it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use buildexec::ctx::Ctx;
use buildexec::fetch::{Bounds, download, is_fatal, unreachable};
use buildexec::run::read_limited;
use buildplan::{Digest, shown_url};
use failure::{Failure, Kind};
use mediaplan::config::{Locked, Released};

/// No file that we make media of is larger.
const LIMIT: u64 = 4 << 30;
/// No list of checksums is larger.
const LIST_LIMIT: u64 = 1 << 20;
/// What projects call their lists of checksums; RancherOS 0.4 to 1.4 the second, later ones the first.
const LISTS: &[&str] = &["checksums.txt", "iso-checksums.txt", "SHA256SUMS"];

/// Gets `released` for `version` and says what it is and who says so. `known` is what the lock has for it.
///
/// # Errors
/// [`Kind::Network`] when no source has the file; [`Kind::Digest`] when it differs from what the lock or the
/// release's own list says.
pub fn update(
    ctx: &Ctx,
    released: &Released,
    version: &str,
    artifacts: Option<&Utf8Path>,
    known: Option<&Locked>,
) -> Result<Locked> {
    let part =
        ctx.work.join("downloads").join(format!("{}.new", Digest::of(released.name.as_bytes()).short(16)));
    fs_err::create_dir_all(ctx.work.join("downloads"))?;
    let (file, from) = get(ctx, released, artifacts, &part)?;
    let (sha256, size) = Digest::read(&mut fs_err::File::open(&file)?)?;
    if let Some(known) = known {
        let _ = fs_err::remove_file(&part);
        return same(released, known, sha256, size, &from);
    }
    let vouched_by = match &from {
        ReleaseOrigin::Folder(dir) => {
            format!("the person who put it into the folder {}", dir.file_name().unwrap_or("given"))
        }
        ReleaseOrigin::Url(url) => vouched(ctx, released, url, sha256)?,
    };
    // Kept under its digest, so that `dist` need not download it again.
    if matches!(from, ReleaseOrigin::Url(_)) {
        fs_err::rename(&part, ctx.work.join("downloads").join(format!("{sha256}.part")))?;
    }
    Ok(Locked { version: version.to_owned(), sha256, size: Some(size), vouched_by })
}

/// What is recorded stays, once it is seen to be so; its length is added.
fn same(
    released: &Released,
    known: &Locked,
    sha256: Digest,
    size: u64,
    from: &ReleaseOrigin,
) -> Result<Locked> {
    if known.sha256 == sha256 {
        return Ok(Locked { size: Some(size), ..known.clone() });
    }
    let message =
        format!("{} from {from} has SHA-256 {sha256}, and media.lock says {}", released.name, known.sha256);
    Err(Failure::new(Kind::Digest, message)
        .help("find out which is right before you remove the entry from media.lock and run this again")
        .into())
}

enum ReleaseOrigin {
    Folder(Utf8PathBuf),
    Url(String),
}

impl std::fmt::Display for ReleaseOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(dir) => write!(f, "{dir}"),
            Self::Url(url) => f.write_str(&shown_url(url)),
        }
    }
}

fn get(
    ctx: &Ctx,
    released: &Released,
    artifacts: Option<&Utf8Path>,
    part: &Utf8Path,
) -> Result<(Utf8PathBuf, ReleaseOrigin)> {
    if let Some(dir) = artifacts.filter(|dir| dir.join(&released.name).is_file()) {
        return Ok((dir.join(&released.name), ReleaseOrigin::Folder(dir.to_owned())));
    }
    let mut said: Vec<String> =
        artifacts.map(|dir| format!("no such file: {}", dir.join(&released.name))).into_iter().collect();
    for url in &released.urls {
        if ctx.globals.offline {
            said.push(format!("{}: not tried, because of --offline", shown_url(url)));
            continue;
        }
        let bounds = Bounds { sha256: None, size: None, limit: LIMIT, until: None };
        match ctx.report.task(&released.name, || download(ctx, &bounds, url, part, &released.name)) {
            Ok(()) => return Ok((part.to_owned(), ReleaseOrigin::Url(url.clone()))),
            Err(e) if is_fatal(&e) => return Err(e),
            Err(e) => said.push(format!("{}: {e:#}", shown_url(url))),
        }
    }
    let failure = Failure::new(Kind::Network, format!("no source has {}", released.name))
        .help(unreachable(ctx, !released.urls.is_empty()));
    Err(match said.is_empty() {
        true => failure.into(),
        false => failure.source(anyhow::anyhow!(said.join("\n"))).into(),
    })
}

/// Looks for the release's own list of checksums beside the file.
fn vouched(ctx: &Ctx, released: &Released, url: &str, sha256: Digest) -> Result<String> {
    let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
    let list = ctx.work.join("downloads").join("checksums.new");
    for name in LISTS {
        let address = format!("{folder}/{name}");
        let bounds = Bounds { sha256: None, size: None, limit: LIST_LIMIT, until: None };
        if download(ctx, &bounds, &address, &list, name).is_err() {
            continue;
        }
        let text = String::from_utf8_lossy(&read_limited(&list, LIST_LIMIT)?).into_owned();
        match listed(&text, &released.name) {
            Some(said) if said == sha256 => return Ok(shown_url(&address)),
            Some(said) => {
                let (url, address) = (shown_url(url), shown_url(&address));
                let message = format!("{url} has SHA-256 {sha256}, and {address} says {said}");
                return Err(Failure::new(Kind::Digest, message)
                    .help("one of the two was changed; try again later")
                    .into());
            }
            None => {}
        }
    }
    let how = if url.starts_with("https://") {
        "its server's certificate alone"
    } else {
        "nothing: it came over http"
    };
    Ok(format!("{how} ({})", shown_url(url)))
}

/// The SHA-256 of `name` in a list of `HEX  NAME` lines, each maybe behind `sha256: ` (RancherOS's own form).
fn listed(list: &str, name: &str) -> Option<Digest> {
    list.lines().find_map(|line| {
        let line = line.strip_prefix("sha256:").unwrap_or(line).trim();
        let (digest, file) = line.split_once(char::is_whitespace)?;
        (file.trim_start_matches([' ', '*']) == name).then(|| digest.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_checksum_lists_are_read() {
        let digest = Digest::of(b"x");
        for list in [
            format!("sha256: {digest}  rancheros.iso\nmd5: 00  rancheros.iso\n"),
            format!("md5: 00  rancheros.iso\n{digest} *rancheros.iso\n"),
        ] {
            assert_eq!(listed(&list, "rancheros.iso"), Some(digest));
            assert_eq!(listed(&list, "initrd"), None);
        }
        assert_eq!(listed("sha256: 12  rancheros.iso\n", "rancheros.iso"), None);
    }
}
