//! From power-on to the guest's words: our ISO, and one by the recipe that people have used since CDs.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::power_on::{beside_old_layout, image_by_recipe, need, power_on};
use crate::{
    lab::BenchLab,
    series::{Goal, Pairs, RowResult},
};
use buildplan::Cmd;

/// The system of the profile `smoke`, whose kernel speaks from its first line on.
const PROFILE: &str = "[profile.words]\nabout = \"speaks early\"\nos = \"smoke\"\nengine = \"prebuilt\"\n\
                       secure-boot = \"off\"\nparams = [\"console=ttyS0,115200n8 earlyprintk=ttyS0,115200 no_timer_check\"]\n\
                       [profile.words.media]\nkind = \"distribution\"\nkernel = \"cloud\"\n";
/// What the loader hands over to: the kernel's first line.
const KERNEL: &str = "Linux version ";
/// What the guest's first program says.
const WORDS: &str = "media: ";
const MACHINE: [&str; 6] = ["-machine", "pc", "-m", "512", "-smp", "1"];

/// Row 11.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    need(lab, &[("qemu-system-x86_64", "qemu-system-x86"), ("xorriso", "xorriso"), ("xz", "xz-utils")])?;
    lab.smoke()?;
    let root = lab.repository("words", PROFILE)?;
    lab.ctx.runner.run(&lab.xtask(&root, "build an image").args(["dist", "words", "--quiet"]))?;
    let dist = root.join("dist/words");
    let names = buildexec::tree::files(&dist)?;
    let iso = names.iter().find(|name| name.as_str().ends_with("-x86_64.iso")).context("dist left no ISO")?;
    let ours = dist.join(iso);
    let initrd = dist.join("netboot/initrd");
    let cpio = lab.folder("unpacked")?.join("cpio");
    let unpack = Cmd::new("gzip", "unpack an initrd").args(["-dc", initrd.as_str()]);
    fs_err::write(&cpio, lab.ctx.runner.run(&unpack)?.stdout)?;
    let theirs = image_by_recipe(lab, &ours, &dist.join("netboot/vmlinuz"), &cpio)?;
    let times =
        |iso: &Utf8Path| Ok::<_, anyhow::Error>(power_on(lab, iso, &MACHINE, &[KERNEL, WORDS], false)?.times);
    let (mut kernel, mut words) = (Pairs::default(), Pairs::default());
    for _ in 0..lab.rounds(5) {
        let (ours, theirs) = (times(&ours)?, times(&theirs)?);
        kernel.add(ours[0], theirs[0]);
        words.add(ours[1], theirs[1]);
    }
    let line = |name, work, pairs, goal, limit| beside_old_layout(11, (name, work), pairs, goal, limit);
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
