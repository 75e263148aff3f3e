//! What the rows about a machine's start share: a medium by the recipe that people have used since CDs, and a machine whose
//! console is watched.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    lab::BenchLab,
    missing,
    series::{Goal, Pairs, RowResult, Unit},
};
use buildexec::run::Streams;
use buildplan::Cmd;

/// How often the console is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Fails where one of these programs is missing, and names its package.
pub(super) fn need(lab: &BenchLab, programs: &[(&str, &str)]) -> Result<()> {
    for (program, package) in programs {
        if lab.ctx.find_program(program).is_none() {
            return Err(missing(
                &format!("{program} is not installed"),
                &format!("apt-get install {package}"),
            ));
        }
    }
    Ok(())
}

/// An image with the loader and parameters of `ours`, and one initrd: `cpio`, packed with xz. The file `cpio` is gone then.
pub(super) fn image_by_recipe(
    lab: &BenchLab,
    ours: &Utf8Path,
    vmlinuz: &Utf8Path,
    cpio: &Utf8Path,
) -> Result<Utf8PathBuf> {
    let folder = lab.folder("recipe")?;
    let tree = folder.join("tree");
    fs_err::create_dir_all(tree.join("isolinux"))?;
    let run = |cmd: Cmd| lab.ctx.runner.run(&cmd);
    for file in ["isolinux/isolinux.bin", "isolinux/ldlinux.c32", "isolinux.cfg"] {
        let take = Cmd::new("xorriso", "take a file out of an image").args(["-osirrox", "on", "-indev"]);
        run(take.args([ours.as_str(), "-extract", &format!("/{file}"), tree.join(file).as_str()]))?;
    }
    fs_err::copy(vmlinuz, tree.join("vmlinuz"))?;
    fs_err::rename(cpio, tree.join("initrd"))?;
    let pack = ["--check=crc32", "--suffix=.xz", tree.join("initrd").as_str()].map(str::to_owned);
    run(Cmd::new("xz", "pack an initrd").args(pack).deadline(Duration::from_secs(3600)))?;
    let config = fs_err::read_to_string(tree.join("isolinux.cfg"))?;
    // As on the image, nobody may write it.
    fs_err::remove_file(tree.join("isolinux.cfg"))?;
    let config: Vec<&str> = config
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| if l.trim_start().starts_with("INITRD ") { "  INITRD /initrd.xz" } else { l })
        .collect();
    fs_err::write(tree.join("isolinux.cfg"), config.join("\n") + "\n")?;
    let out = folder.join("recipe.iso");
    let make =
        Cmd::new("xorriso", "make an image by the recipe").args(["-as", "mkisofs", "-quiet", "-r", "-J"]);
    let boot =
        ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-info-table"];
    run(make.args(boot).args(["-boot-load-size", "4", "-o", out.as_str(), tree.as_str()]))?;
    Ok(out)
}

/// A line in seconds of row `row`, whose alternative is the old recipe around the same system.
pub(super) fn beside_old_layout(
    row: u8,
    (name, work): (&str, &str),
    pairs: &Pairs,
    goal: Goal,
    limit: &str,
) -> RowResult {
    RowResult {
        row,
        name: name.to_owned(),
        work: work.to_owned(),
        against: Some("isolinux, one xz cpio of the same system".to_owned()),
        unit: Unit::Seconds,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal,
        limit: limit.to_owned(),
    }
}

/// What a machine said, and when.
pub(super) struct Said {
    /// Its console.
    pub(super) console: String,
    /// Seconds from power-on to each of the words that were waited for.
    pub(super) times: Vec<f64>,
}

/// Switches a machine with this CD on, without acceleration, and off when it has said all of `words`; with `ends`, when it has
/// switched itself off behind them.
pub(super) fn power_on(
    lab: &BenchLab,
    iso: &Utf8Path,
    machine: &[&str],
    words: &[&str],
    ends: bool,
) -> Result<Said> {
    let console = lab.folder("console")?.join("log");
    let log = tempfile::tempfile()?;
    let cmd = Cmd::new("qemu-system-x86_64", "start a machine")
        .args(["-no-user-config", "-nodefaults", "-accel", "tcg"])
        .args(["-display", "none", "-no-reboot", "-boot", "d", "-cdrom", iso.as_str()])
        .args(["-serial", &format!("file:{console}")])
        .args(machine.iter().copied());
    let begun = Instant::now();
    let mut job = lab.ctx.runner.spawn(&cmd, Streams { stdout: log.try_clone()?, stderr: log })?;
    let mut times: Vec<Option<f64>> = vec![None; words.len()];
    loop {
        let ended = job.try_wait()?.is_some();
        let said = fs_err::read(&console).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let now = begun.elapsed().as_secs_f64();
        for (time, word) in times.iter_mut().zip(words).filter(|(time, _)| time.is_none()) {
            *time = said.contains(word).then_some(now);
        }
        let all: Option<Vec<f64>> = times.iter().copied().collect();
        if let Some(times) = all.filter(|_| ended || !ends) {
            let console = said.into_owned();
            job.kill();
            return Ok(Said { console, times });
        }
        lab.ctx.check_interrupt()?;
        let last = said.lines().last().unwrap_or("nothing");
        ensure!(!ended, "the machine with {iso} ended; it said {last}");
        ensure!(now < 600.0, "the machine with {iso} was not done in ten minutes; it said {last}");
        std::thread::sleep(TICK);
    }
}
