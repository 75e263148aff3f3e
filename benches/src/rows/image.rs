//! What an ISO holds besides what somebody asked for.

use anyhow::{Context as _, Result};

use crate::{
    lab::BenchLab,
    missing,
    series::{Figures, Goal, RowResult, Unit},
};
use buildplan::Cmd;

/// Without the signed chain, which is 2 MB that nobody can leave out.
const PROFILE: &str = "[profile.small]\nabout = \"no more than needed\"\nos = \"smoke\"\nengine = \"prebuilt\"\n\
                       secure-boot = \"off\"\nparams = [\"quiet\"]\n\
                       [profile.small.media]\nkind = \"distribution\"\nkernel = \"cloud\"\n";

/// Row 10.
pub(super) fn size(lab: &BenchLab) -> Result<Vec<RowResult>> {
    if lab.ctx.find_program("grub-mkrescue").is_none() || lab.ctx.find_program("mformat").is_none() {
        return Err(missing(
            "grub-mkrescue or mtools is not installed",
            "apt-get install grub-common mtools",
        ));
    }
    lab.smoke()?;
    let root = lab.repository("size", PROFILE)?;
    lab.ctx.runner.run(&lab.xtask(&root, "build an image").args(["dist", "small", "--quiet"]))?;
    let dist = root.join("dist/small");
    let length = |name: &str| Ok::<_, anyhow::Error>(fs_err::metadata(dist.join(name))?.len() as f64);
    let payload = length("netboot/vmlinuz")? + length("netboot/initrd")?;
    let names = buildexec::tree::files(&dist)?;
    let iso = names.iter().find(|name| name.as_str().ends_with("-x86_64.iso")).context("dist left no ISO")?;
    let ours = length(iso.as_str())? - payload;
    let tree = lab.folder("rescue")?;
    fs_err::create_dir_all(tree.join("in/boot/grub"))?;
    for part in ["vmlinuz", "initrd"] {
        fs_err::copy(dist.join("netboot").join(part), tree.join("in").join(part))?;
    }
    let config = "menuentry smoke {\n  linux /vmlinuz quiet\n  initrd /initrd\n}\n";
    fs_err::write(tree.join("in/boot/grub/grub.cfg"), config)?;
    let out = tree.join("rescue.iso");
    let rescue =
        Cmd::new("grub-mkrescue", "make an image").args(["-o", out.as_str(), tree.join("in").as_str()]);
    lab.ctx.runner.run(&rescue)?;
    let theirs = fs_err::metadata(&out)?.len() as f64 - payload;
    Ok(vec![RowResult {
        row: 10,
        name: "size".to_owned(),
        work: "an ISO without its kernel and initrd: BIOS, UEFI, stick".to_owned(),
        against: Some("grub-mkrescue".to_owned()),
        unit: Unit::Bytes,
        ours: Figures::of(&[ours]),
        theirs: Some(Figures::of(&[theirs])),
        ratio: Some(ours / theirs),
        goal: Goal::Figure(1_200_000.0),
        limit: "GRUB's own core and its modules for FAT, GPT, ISO 9660 and Linux; whole cylinders of 1 MiB, without which \
                some BIOSes do not start a stick"
            .to_owned(),
    }])
}
