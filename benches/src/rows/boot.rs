//! From power-on to the guest's words: our ISO, and one by the recipe that people have used since CDs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    lab::Lab,
    missing,
    series::{Goal, Pairs, RowResult, Unit},
};
use buildexec::run::Streams;
use buildplan::Cmd;

/// The system of the profile `smoke`, whose kernel speaks from its first line on.
const PROFILE: &str = "[profile.words]\nabout = \"speaks early\"\nos = \"smoke\"\nengine = \"prebuilt\"\n\
                       secure-boot = \"off\"\nparams = [\"console=ttyS0,115200n8 earlyprintk=ttyS0,115200 no_timer_check\"]\n\
                       [profile.words.media]\nkind = \"distribution\"\nkernel = \"cloud\"\n";
/// What the loader hands over to: the kernel's first line.
const KERNEL: &str = "Linux version ";
/// What the guest's first program says.
const WORDS: &str = "media: ";
/// How often the console is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Seconds from power-on.
#[derive(Clone, Copy, Default)]
struct BootTimes {
    kernel: f64,
    words: f64,
}

/// Row 11.
pub(super) fn run(lab: &Lab) -> Result<Vec<RowResult>> {
    for (program, package) in
        [("qemu-system-x86_64", "qemu-system-x86"), ("xorriso", "xorriso"), ("xz", "xz-utils")]
    {
        if lab.ctx.find_program(program).is_none() {
            return Err(missing(
                &format!("{program} is not installed"),
                &format!("apt-get install {package}"),
            ));
        }
    }
    lab.smoke()?;
    let root = lab.repository("words", PROFILE)?;
    lab.ctx.runner.run(&lab.xtask(&root, "build an image").args(["dist", "words", "--quiet"]))?;
    let dist = root.join("dist/words");
    let names = buildexec::tree::files(&dist)?;
    let iso = names.iter().find(|name| name.as_str().ends_with("-x86_64.iso")).context("dist left no ISO")?;
    let ours = dist.join(iso);
    let theirs = by_recipe(lab, &ours, &dist)?;
    let (mut kernel, mut words) = (Pairs::default(), Pairs::default());
    for _ in 0..lab.rounds(5) {
        let (ours, theirs) = (power_on(lab, &ours)?, power_on(lab, &theirs)?);
        kernel.add(ours.kernel, theirs.kernel);
        words.add(ours.words, theirs.words);
    }
    let line = |name: &str, work: &str, pairs: &Pairs, goal, limit: &str| RowResult {
        row: 11,
        name: name.to_owned(),
        work: work.to_owned(),
        against: Some("isolinux, one xz cpio".to_owned()),
        unit: Unit::Seconds,
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal,
        limit: limit.to_owned(),
    };
    Ok(vec![
        line(
            "power-on",
            "power-on → the guest's words, BIOS, CD",
            &words,
            Goal::Ratio(1.0),
            "the firmware, the kernel, and the initrd unpacked",
        ),
        line(
            "power-on-loader",
            "of these, power-on → the kernel's first line: firmware and loader",
            &kernel,
            Goal::None,
            "",
        ),
    ])
}

/// The same payload as the old recipe has it: isolinux, and everything in one cpio packed with xz.
fn by_recipe(lab: &Lab, ours: &Utf8Path, dist: &Utf8Path) -> Result<Utf8PathBuf> {
    let folder = lab.folder("recipe")?;
    let tree = folder.join("tree");
    fs_err::create_dir_all(tree.join("isolinux"))?;
    let run = |cmd: Cmd| lab.ctx.runner.run(&cmd);
    for file in ["isolinux/isolinux.bin", "isolinux/ldlinux.c32", "isolinux.cfg"] {
        let take = Cmd::new("xorriso", "take a file out of an image").args(["-osirrox", "on", "-indev"]);
        run(take.args([ours.as_str(), "-extract", &format!("/{file}"), tree.join(file).as_str()]))?;
    }
    fs_err::copy(dist.join("netboot/vmlinuz"), tree.join("vmlinuz"))?;
    let initrd = dist.join("netboot/initrd");
    let cpio = run(Cmd::new("gzip", "unpack an initrd").args(["-dc", initrd.as_str()]))?.stdout;
    fs_err::write(tree.join("initrd"), cpio)?;
    let pack = ["--check=crc32", "--suffix=.xz", tree.join("initrd").as_str()].map(str::to_owned);
    run(Cmd::new("xz", "pack an initrd").args(pack))?;
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

/// Switches a machine with this CD on until the guest speaks.
fn power_on(lab: &Lab, iso: &Utf8Path) -> Result<BootTimes> {
    let console = lab.folder("console")?.join("log");
    let log = tempfile::tempfile()?;
    let cmd = Cmd::new("qemu-system-x86_64", "start a machine")
        .args(["-no-user-config", "-nodefaults", "-machine", "pc", "-accel", "tcg", "-m", "512", "-smp", "1"])
        .args(["-display", "none", "-no-reboot", "-boot", "d", "-cdrom", iso.as_str()])
        .args(["-serial", &format!("file:{console}")]);
    let begun = Instant::now();
    let mut job = lab.ctx.runner.spawn(&cmd, Streams { stdout: log.try_clone()?, stderr: log })?;
    let mut times = BootTimes::default();
    while times.words == 0.0 {
        let said = fs_err::read(&console).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let now = begun.elapsed().as_secs_f64();
        if times.kernel == 0.0 && said.contains(KERNEL) {
            times.kernel = now;
        }
        if said.contains(WORDS) {
            times.words = now;
        }
        lab.ctx.check_interrupt()?;
        let last = said.lines().last().unwrap_or("nothing");
        ensure!(job.try_wait()?.is_none(), "the machine with {iso} ended; it said {last}");
        ensure!(now < 300.0, "the machine with {iso} did not speak in five minutes; it said {last}");
        std::thread::sleep(TICK);
    }
    job.kill();
    Ok(times)
}
