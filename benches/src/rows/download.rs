//! Downloads: hashed while they come, and with curl and sha256sum.

use anyhow::Result;

use crate::{
    lab::{BenchLab, noise},
    missing,
    rows::serve,
    series::{Goal, Pairs, RowResult, Unit, seconds},
};
use buildexec::{
    fetch::{self, Bounds},
    tree,
};
use buildplan::Cmd;

/// Row 8.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    if lab.ctx.find_program("curl").is_none() {
        return Err(missing("curl is not installed", "apt-get install curl"));
    }
    let folder = lab.folder("download")?;
    fs_err::create_dir(folder.join("tree"))?;
    noise(&folder.join("tree/file"), if lab.quick { 250_000_000 } else { 1_000_000_000 })?;
    let (sha256, size) = tree::digest(&folder.join("tree/file"))?;
    let server = serve::any(lab, &folder)?;
    let url = format!("http://{}/file", server.addr);
    let (ours_to, theirs_to) = (folder.join("ours"), folder.join("theirs"));
    fs_err::write(folder.join("SHA256SUMS"), format!("{sha256}  theirs\n"))?;
    let ours = || {
        tree::remove(&ours_to)?;
        let want = Bounds { sha256: Some(sha256), size: Some(size), limit: size, until: None };
        seconds(|| fetch::download(&lab.ctx, &want, &url, &ours_to, "file"))
    };
    let theirs = || {
        tree::remove(&theirs_to)?;
        let curl =
            Cmd::new("curl", "download").args(["-sf", "-o", theirs_to.as_str(), url.as_str()]).cwd(&folder);
        let check = Cmd::new("sha256sum", "check a download").args(["-c", "SHA256SUMS"]).cwd(&folder);
        lab.time_all(&[curl, check])
    };
    let pairs = Pairs::measure(lab.rounds(4), ours, theirs)?;
    Ok(vec![RowResult {
        row: 8,
        name: "download".to_owned(),
        work: format!("download of {} MB over loopback, verified", size / 1_000_000),
        against: Some(format!("curl, sha256sum (from {})", server.name)),
        unit: Unit::Seconds,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(0.7),
        limit: "the slower of writing the file and hashing it, which run at once".to_owned(),
    }])
}
