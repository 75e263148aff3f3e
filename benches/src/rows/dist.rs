//! `dist`: nothing to do, and new parameters.

use anyhow::Result;
use camino::Utf8Path;

use crate::{
    lab::{BenchLab, big, write_profiles},
    missing,
    series::{Figures, Goal, Pairs, RowResult, Unit, seconds},
};
use buildplan::Cmd;

/// Row 4.
pub(super) fn no_op(lab: &BenchLab) -> Result<Vec<RowResult>> {
    ["smoke", "docker"].into_iter().map(|profile| no_op_of(lab, profile)).collect()
}

fn no_op_of(lab: &BenchLab, profile: &str) -> Result<RowResult> {
    lab.built(profile)?;
    let cmd = lab.xtask(&lab.ctx.root, "build what is built").args(["dist", profile, "--quiet"]);
    let times = (0..lab.rounds(40)).map(|_| lab.time(&cmd)).collect::<Result<Vec<_>>>()?;
    Ok(RowResult {
        row: 4,
        name: if profile == "smoke" { "no-op".to_owned() } else { format!("no-op-{profile}") },
        work: format!("`dist {profile}` when nothing changed"),
        against: None,
        unit: Unit::Seconds,
        ours: Figures::of(&times),
        theirs: None,
        ratio: None,
        goal: Goal::Figure(0.03),
        limit: "starting a process, and one `stat` for each output and each file of the repository"
            .to_owned(),
    })
}

/// Row 5.
pub(super) fn parameters(lab: &BenchLab) -> Result<Vec<RowResult>> {
    if lab.ctx.find_program("xorriso").is_none() {
        return Err(missing("xorriso is not installed", "apt-get install xorriso"));
    }
    let (root, parts) = lab.big("parameters")?;
    let mut round = 0;
    let dist = lab.xtask(&root, "build an image with new parameters");
    let dist = dist.args(["dist", "big", "--quiet", "--offline", "--artifacts", parts.as_str()]);
    let ours = || {
        round += 1;
        write_profiles(&lab.ctx.root, &root, &big(&format!("quiet media.round={round}")))?;
        lab.time(&dist)
    };
    let theirs_in = lab.folder("xorriso")?;
    let iso = root.join("dist/big/big-1-x86_64.iso");
    let mut times = 0;
    let theirs = || {
        times += 1;
        rebuild(lab, &iso, &theirs_in, times)
    };
    let pairs = Pairs::measure(lab.rounds(5), ours, theirs)?;
    Ok(vec![RowResult {
        row: 5,
        name: "parameters".to_owned(),
        work: "new parameters of a 170 MB image → published, both sums".to_owned(),
        against: Some("xorriso, sha256sum, sha512sum".to_owned()),
        unit: Unit::Seconds,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(0.3),
        limit: "170 MB read and compared once, copied twice inside the kernel (store and `dist/`) where the file system \
                has no copy on write"
            .to_owned(),
    }])
}

/// How many variants a round makes.
const VARIANTS: usize = 20;

/// Row 6.
pub(super) fn variants(lab: &BenchLab) -> Result<Vec<RowResult>> {
    if lab.ctx.find_program("xorriso").is_none() {
        return Err(missing("xorriso is not installed", "apt-get install xorriso"));
    }
    let (root, parts) = lab.big("variants")?;
    let dist =
        lab.xtask(&root, "build an image").args(["dist", "big", "--quiet", "--offline", "--artifacts"]);
    lab.ctx.runner.run(&dist.arg(parts.as_str()))?;
    let iso = root.join("dist/big/big-1-x86_64.iso");
    let (to, theirs_in) = (root.join("variants"), lab.folder("variants-xorriso")?);
    let mut round = 0;
    let ours = || {
        round += 1;
        buildexec::tree::remove(&to)?;
        let list = (0..VARIANTS).map(|n| format!("node{n}: quiet media.node={n} media.round={round}\n"));
        fs_err::write(root.join("list"), list.collect::<String>())?;
        let cmd = lab.xtask(&root, "build variants").args([
            "variants",
            "big",
            "--quiet",
            "--offline",
            "--artifacts",
        ]);
        lab.time(&cmd.args([parts.as_str(), "--from", root.join("list").as_str(), "--to", to.as_str()]))
    };
    let theirs = || (0..VARIANTS).map(|n| rebuild(lab, &iso, &theirs_in, n)).sum();
    let pairs = Pairs::measure(lab.rounds(2), ours, theirs)?;
    Ok(vec![RowResult {
        row: 6,
        name: "variants".to_owned(),
        work: format!("{VARIANTS} variants of a 170 MB image, both sums"),
        against: Some("xorriso, sha256sum, sha512sum for each".to_owned()),
        unit: Unit::Seconds,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(0.05),
        limit: "a copy of each inside the kernel, where the file system has no copy on write; the end of each is hashed"
            .to_owned(),
    }])
}

/// The same change as people make it: xorriso writes the image anew around a changed file, and coreutils hash it.
///
/// # Errors
/// When one of them fails.
pub(super) fn rebuild(lab: &BenchLab, iso: &Utf8Path, folder: &Utf8Path, round: usize) -> Result<f64> {
    let out = folder.join("rebuilt.iso");
    buildexec::tree::remove(&out)?;
    seconds(|| {
        let mut cmd = Cmd::new("xorriso", "rebuild an image").cwd(folder);
        cmd = cmd.args(["-indev", iso.as_str(), "-outdev", out.as_str(), "-boot_image", "any", "keep"]);
        for path in ["/isolinux.cfg", "/boot/grub/grub.cfg"] {
            let changed = folder.join(path.replace('/', "_"));
            fs_err::write(
                &changed,
                format!("linux /vmlinuz quiet media.round={round}\n{}", "#".repeat(2048)),
            )?;
            cmd = cmd.args(["-map", changed.as_str(), path]);
        }
        lab.time(&cmd)?;
        for (program, list) in [("sha256sum", "SHA256SUMS"), ("sha512sum", "SHA512SUMS")] {
            let sums =
                lab.ctx.runner.run(&Cmd::new(program, "hash an image").arg("rebuilt.iso").cwd(folder))?;
            fs_err::write(folder.join(list), sums.stdout)?;
        }
        Ok(())
    })
}
