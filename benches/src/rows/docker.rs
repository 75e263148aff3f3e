//! The Docker host from power-on to `docker info`: our medium, and the same kernel and system by the old recipe.

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::power_on::{beside_old_layout, image_by_recipe, need, power_on};
use crate::{
    lab::BenchLab,
    series::{Goal, Pairs, RowResult},
};
use buildplan::Cmd;

/// What the system says as soon as `docker info` has answered.
const ANSWERED: &str = "media: docker ";
/// The last line of [`CONFIG`].
const END: &str = "bench: end";
/// Asks the system for its own times, when it is up.
const CONFIG: &str = "#cloud-config
runcmd:
- \"sed 's/^/bench: /' /run/stages >/dev/ttyS0\"
- \"dmesg | grep -E 'Run /init as|loop0: detected' >/dev/ttyS0\"
- \"echo 'bench: end' >/dev/ttyS0\"
- poweroff
";
/// What replaces our base archive where the whole system is the initramfs. All else is the system's own.
const INIT: &str = "#!/usr/bin/busybox sh
/usr/bin/busybox mount -t devtmpfs dev /dev
/usr/bin/busybox mount -t proc proc /proc
/usr/bin/busybox insmod /overlay.ko
/usr/bin/busybox --install -s /usr/bin 2>/dev/null
/usr/bin/busybox umount /proc
exec /sbin/init
";
/// As much memory as the unpacked system needs; and a CD behind AHCI, which the BIOS reads ten times as fast as the older
/// machine's, word by word.
const MACHINE: [&str; 8] =
    ["-machine", "q35", "-m", "2048", "-smp", "2", "-nic", "user,model=virtio-net-pci"];
/// What comes before containerd and dockerd, once the kernel runs: the stages of which the goal of six seconds speaks.
const OWN: std::ops::Range<usize> = 1..5;
/// The stages, and what happens in each.
const STAGES: [(&str, &str); 8] = [
    ("loader", "firmware, loader, and the kernel unpacking itself"),
    ("kernel", "kernel, and its initrd unpacked"),
    ("base", "base initrd → the image attached"),
    ("image", "→ the system's image mounted, and its first program"),
    ("configuration", "→ drivers, state disk and configuration"),
    ("containerd", "→ containerd answers"),
    ("dockerd", "→ dockerd has its socket"),
    ("answer", "→ `docker info` answers"),
];

/// Row 15.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    need(
        lab,
        &[
            ("qemu-system-x86_64", "qemu-system-x86"),
            ("xorriso", "xorriso"),
            ("xz", "xz-utils"),
            ("unsquashfs", "squashfs-tools"),
            ("cpio", "cpio"),
        ],
    )?;
    let dist = lab.built("docker")?;
    let names = buildexec::tree::files(&dist)?;
    let iso = names.iter().find(|name| name.as_str().ends_with("-x86_64.iso")).context("dist left no ISO")?;
    let folder = lab.folder("docker")?;
    let (ours, config) = (folder.join("ours.iso"), folder.join("bench.yml"));
    fs_err::copy(dist.join(iso), &ours)?;
    fs_err::write(&config, CONFIG)?;
    let embed = lab.xtask(&lab.ctx.root, "put a cloud-config into an image").args(["kargs", "embed-config"]);
    lab.ctx.runner.run(&embed.args([ours.as_str(), config.as_str(), "--quiet"]))?;
    let cpio = unpacked(lab, &folder, &dist.join("netboot/initrd"))?;
    let theirs = image_by_recipe(lab, &ours, &dist.join("netboot/vmlinuz"), &cpio)?;
    let (ours, theirs) = (BootedMedium::new(lab, ours)?, BootedMedium::new(lab, theirs)?);
    let mut total = Pairs::default();
    let mut own = Pairs::default();
    let mut stages: [Pairs; STAGES.len()] = Default::default();
    for _ in 0..lab.rounds(5) {
        let (ours, theirs) = (ours.stages(lab)?, theirs.stages(lab)?);
        total.add(ours.iter().sum(), theirs.iter().sum());
        own.add(ours[OWN].iter().sum(), theirs[OWN].iter().sum());
        for (pairs, (ours, theirs)) in stages.iter_mut().zip(ours.iter().zip(&theirs)) {
            pairs.add(*ours, *theirs);
        }
    }
    Ok(lines(&total, &own, &stages))
}

fn lines(total: &Pairs, own: &Pairs, stages: &[Pairs; STAGES.len()]) -> Vec<RowResult> {
    let line =
        |name: &str, work: &str, pairs, goal, limit| beside_old_layout(15, (name, work), pairs, goal, limit);
    let mut lines = vec![
        line(
            "docker-info",
            "power-on → `docker info` answers; BIOS, CD at AHCI, a state disk that was formatted before",
            total,
            Goal::Ratio(0.7),
            "containerd and dockerd, which are the same in both, and the BIOS, which reads the medium",
        ),
        line(
            "docker-info-own",
            "of these, neither loader, containerd nor dockerd",
            own,
            Goal::Figure(6.0),
            "the kernel's own start, and drivers that are looked for",
        ),
    ];
    for ((name, work), pairs) in STAGES.iter().zip(stages) {
        // A stage of its own is compared with nothing: the other medium spends the time elsewhere.
        let stage = line(&format!("docker-info-{name}"), &format!("stage: {work}"), pairs, Goal::None, "");
        lines.push(RowResult { against: None, ratio: None, ..stage });
    }
    lines
}

/// The system of our initrd as one archive, as the old recipe has it: the base archive's BusyBox and module for containers,
/// the whole tree of the image, and the same cloud-config.
fn unpacked(lab: &BenchLab, folder: &Utf8Path, initrd: &Utf8Path) -> Result<Utf8PathBuf> {
    let run = |cmd: Cmd| lab.ctx.runner.run(&cmd.deadline(Duration::from_secs(600)));
    let (base, tree) = (folder.join("base"), folder.join("tree"));
    fs_err::create_dir_all(&base)?;
    let first = Cmd::new("xz", "unpack the base archive").args(["-dc", "--single-stream", initrd.as_str()]);
    fs_err::write(folder.join("base.cpio"), run(first)?.stdout)?;
    let members = Cmd::new("cpio", "unpack the base archive").args(["--extract", "--make-directories"]);
    run(members.args(["--quiet", "--file", "../base.cpio"]).cwd(&base))?;
    let at = image_offset(&fs_err::read(initrd)?).context("the initrd has no image of a system")?;
    let image = Cmd::new("unsquashfs", "unpack the system's image").args(["-q", "-n", "-o", &at.to_string()]);
    run(image.args(["-d", tree.as_str(), initrd.as_str()]))?;
    fs_err::copy(base.join("bin/busybox"), tree.join("usr/bin/busybox"))?;
    fs_err::copy(base.join("modules/overlay.ko"), tree.join("overlay.ko"))?;
    let carried = tree.join("var/lib/rancher/conf/cloud-config.d");
    fs_err::create_dir_all(&carried)?;
    fs_err::write(carried.join("bench.yml"), CONFIG)?;
    // Its mode is that of a program which starts in the same way.
    fs_err::copy(tree.join("usr/lib/host/boot"), tree.join("init"))?;
    fs_err::write(tree.join("init"), INIT)?;
    let pack = "find . | LC_ALL=C sort | cpio --create --format=newc --owner=0:0 --quiet >../system.cpio";
    run(Cmd::new("sh", "pack the system as one archive").args(["-ec", pack]).cwd(&tree))?;
    buildexec::tree::remove(&tree)?;
    Ok(folder.join("system.cpio"))
}

/// Where the image of the system begins in an initrd: behind its name, by the magic of squashfs.
fn image_offset(initrd: &[u8]) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        initrd[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    find(find(0, b"system.squashfs\0")?, b"hsqs")
}

/// A medium, and a disk that was formatted by it.
struct BootedMedium {
    iso: Utf8PathBuf,
    disk: Utf8PathBuf,
}

impl BootedMedium {
    /// The first start formats the disk, is not measured, and ends in order.
    fn new(lab: &BenchLab, iso: Utf8PathBuf) -> Result<Self> {
        let medium = Self { disk: iso.with_extension("disk"), iso };
        fs_err::File::create(&medium.disk)?.set_len(2 << 30)?;
        medium.start(lab, "snapshot=off", true)?;
        Ok(medium)
    }

    fn start(&self, lab: &BenchLab, snapshot: &str, ends: bool) -> Result<super::power_on::Said> {
        let disk = format!("file={},if=virtio,format=raw,cache=unsafe,{snapshot}", self.disk);
        let machine: Vec<&str> = MACHINE.into_iter().chain(["-drive", &disk]).collect();
        power_on(lab, &self.iso, &machine, &[ANSWERED, END], ends)
    }

    fn stages(&self, lab: &BenchLab) -> Result<[f64; STAGES.len()]> {
        let said = self.start(lab, "snapshot=on", false)?;
        stages(said.times[0], &said.console).with_context(|| format!("the times of {}", self.iso))
    }
}

/// The seconds of each stage. The machine's clock begins with its kernel; `answered` is the time since power-on at which
/// its line about `docker info` was seen.
fn stages(answered: f64, console: &str) -> Result<[f64; STAGES.len()]> {
    let noted = |stage: &str| {
        let line = console.lines().filter_map(|l| l.trim().strip_prefix("bench: "));
        let found = line.filter_map(|l| l.split_once(' ')).find(|(_, name)| *name == stage);
        found.and_then(|(time, _)| time.parse::<f64>().ok()).with_context(|| format!("no stage {stage}"))
    };
    let logged = |words: &str| {
        let line = console.lines().find(|l| l.contains(words))?;
        line.split(['[', ']']).nth(1)?.trim().parse::<f64>().ok()
    };
    let init = logged("Run /init as").context("the kernel did not say when it was done")?;
    let answer = noted("docker info")?;
    let ends = [
        init,
        logged("loop0: detected").unwrap_or(init),
        noted("image")?,
        noted("configuration")?,
        noted("containerd")?,
        noted("dockerd")?,
        answer,
    ];
    let mut stages = [answered - answer; STAGES.len()];
    let mut before = 0.0;
    for (stage, end) in stages.iter_mut().skip(1).zip(ends) {
        (*stage, before) = (end - before, end);
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "media: docker 26.1.5\r\nbench: 3.50 image\r\nbench: 7.00 configuration\r\n\
        bench: 8.00 containerd\r\nbench: 9.50 dockerd\r\nbench: 20.00 docker info\r\n\
        [    2.000000] Run /init as init process\r\n[    2.500000] loop0: detected capacity change\r\n";

    #[test]
    fn stages_add_up_to_the_time_at_which_docker_answered() {
        let stages = stages(25.0, CONSOLE).unwrap();
        assert_eq!(stages, [5.0, 2.0, 0.5, 1.0, 3.5, 1.0, 1.5, 10.5]);
    }

    #[test]
    fn a_medium_without_an_image_has_no_stage_that_attaches_it() {
        let console = CONSOLE.replace("loop0", "none");
        assert_eq!(stages(25.0, &console).unwrap()[2..4], [0.0, 1.5]);
        assert!(stages(25.0, "media: docker 26.1.5\n").is_err());
    }

    #[test]
    fn the_image_is_found_behind_its_name() {
        assert_eq!(image_offset(b"hsqs....system.squashfs\0\0hsqs...."), Some(25));
        assert_eq!(image_offset(b"hsqs...."), None);
    }
}
