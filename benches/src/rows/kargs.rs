//! `kargs`: one parameter of a large image in place, and by writing the image anew.

use std::io::{Seek as _, SeekFrom, Write as _};

use anyhow::Result;
use camino::Utf8Path;

use crate::{
    lab::BenchLab,
    missing,
    rows::dist::rebuild,
    series::{Goal, Pairs, RowResult, Unit, seconds},
};
use bootiso::{
    Iso,
    kargs::{self, Edit, Flush},
};
use failure::{Failure, Kind};

/// Edits for one rebuild: the median of so many short times is steady.
const EDITS: usize = 100;

/// Row 7.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    if lab.ctx.find_program("xorriso").is_none() {
        return Err(missing("xorriso is not installed", "apt-get install xorriso"));
    }
    let (root, parts) = lab.big("kargs")?;
    let dist = lab.xtask(&root, "build a large image");
    lab.ctx.runner.run(&dist.args(["dist", "big", "--quiet", "--offline", "--artifacts", parts.as_str()]))?;
    let iso = root.join("dist/big/big-1-x86_64.iso");
    let pristine = buildexec::tree::digest(&iso)?.0;
    let folder = lab.folder("kargs-rebuilt")?;
    let mut round = 0;
    let pairs = Pairs::measure(
        lab.rounds(5),
        || edit(&iso),
        || {
            round += 1;
            rebuild(lab, &iso, &folder, round)
        },
    )?;
    let durable = Pairs::measure(lab.rounds(40), || flushed(&iso), || synced(&parts.join("initrd")))?;
    if buildexec::tree::digest(&iso)?.0 != pristine {
        return Err(Failure::new(Kind::Digest, "a reset did not give the pristine image back").into());
    }
    let line = |name: &str, work: &str, against: &str, pairs: &Pairs, goal: f64, limit: &str| RowResult {
        row: 7,
        name: name.to_owned(),
        work: work.to_owned(),
        against: Some(against.to_owned()),
        unit: Unit::Seconds,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(goal),
        limit: limit.to_owned(),
    };
    Ok(vec![
        line(
            "kargs",
            "`kargs append`, 170 MB, in place",
            "xorriso, sha256sum, sha512sum",
            &pairs,
            0.0005,
            "a dozen small reads: the descriptors, the folders on the way, the list of regions, the regions",
        ),
        line(
            "kargs-durable",
            "`kargs append`: its write, until it is on the disk",
            "one write of a sector and `fsync`",
            &durable,
            1.5,
            "the disk: both loaders' files are written, and flushed together",
        ),
    ])
}

/// The median of many edits, each taken back. Opening the image and checking it counts; waiting for the disk does not.
fn edit(iso: &Utf8Path) -> Result<f64> {
    let mut times = Vec::new();
    for n in 0..EDITS {
        times.push(seconds(|| {
            let edit = Edit::Append(vec![format!("media.nonce={n:016x}")]);
            Ok(kargs::plan(&Iso::open(iso)?, &edit, None)?.apply(iso, Flush::No)?)
        })?);
        kargs::plan(&Iso::open(iso)?, &Edit::Reset, None)?.apply(iso, Flush::No)?;
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// What an edit writes, until it is on the disk; what it reads first is measured in the row above.
fn flushed(iso: &Utf8Path) -> Result<f64> {
    let edit = kargs::plan(&Iso::open(iso)?, &Edit::Append(vec!["media.nonce=flushed".to_owned()]), None)?;
    let took = seconds(|| Ok(edit.apply(iso, Flush::Yes)?))?;
    kargs::reset(iso)?;
    Ok(took)
}

/// What any program must do that changes a sector and wants it to stay.
fn synced(file: &Utf8Path) -> Result<f64> {
    seconds(|| {
        let mut file = fs_err::OpenOptions::new().write(true).open(file)?;
        file.seek(SeekFrom::Start(100 << 20))?;
        file.write_all(&[7; 2048])?;
        Ok(file.sync_all()?)
    })
}
