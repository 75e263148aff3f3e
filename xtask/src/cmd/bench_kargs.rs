//! `cargo xtask bench kargs`: one parameter of a large image, changed in place and by rebuilding the image.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::Utf8Path;
use serde::Serialize;

use bootiso::{
    Iso,
    embed::{Loader, MediaLayout, REGION, region},
    kargs::{self, Edit, Flush},
};
use buildexec::ctx::Ctx;
use buildexec::tree;
use buildplan::Cmd;
use failure::{Failure, Kind};
use report::table::table;

/// Arguments of `bench kargs`.
#[derive(Debug, clap::Args)]
pub struct KargsBench {
    /// Size of the image in MB.
    #[arg(long, default_value_t = 170, value_name = "MB")]
    pub size: usize,
    /// Edits in place; the median counts.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub edits: usize,
    /// Rebuilds by xorriso; the fastest counts.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub rebuilds: usize,
}

/// Promised in the documentation of `kargs`.
const LONGEST_EDIT: Duration = Duration::from_millis(1);

/// What was measured, in microseconds.
#[derive(Debug, Serialize)]
struct Measured {
    image_bytes: u64,
    /// The whole edit: open the image, find the regions, read, check, write; without the flush to the disk.
    edit_median: f64,
    edit_slowest: f64,
    edit_with_flush: f64,
    rebuild_fastest: f64,
}

/// Measures.
///
/// # Errors
/// When xorriso is missing, an edit takes longer than a millisecond, or a reset does not give the image back.
pub(super) fn run(ctx: &Ctx, args: &KargsBench) -> Result<()> {
    if ctx.find_program("xorriso").is_none() {
        let text = "xorriso is missing, so there is nothing to measure with";
        return Err(Failure::new(Kind::MissingTool, text).help("apt-get install xorriso").into());
    }
    fs_err::create_dir_all(&ctx.work)?;
    let temp = tempfile::Builder::new().prefix("bench-").tempdir_in(&ctx.work)?;
    let lab =
        Utf8Path::from_path(temp.path()).ok_or_else(|| anyhow::anyhow!("the target folder is not UTF-8"))?;
    let image = lab.join("image.iso");
    make_image(ctx, lab, args.size)?;
    let (pristine, image_bytes) = tree::digest(&image)?;
    let (edit_median, edit_slowest) = edits(&image, args.edits)?;
    let begun = Instant::now();
    kargs::append(&image, &["media.nonce=flushed"])?;
    let edit_with_flush = micros(begun.elapsed());
    kargs::reset(&image)?;
    if tree::digest(&image)?.0 != pristine {
        return Err(Failure::new(Kind::Digest, "a reset did not give the pristine image back").into());
    }
    let rebuild_fastest = rebuilds(ctx, lab, args.rebuilds)?;
    let measured = Measured { image_bytes, edit_median, edit_slowest, edit_with_flush, rebuild_fastest };
    if ctx.globals.json {
        ctx.report.out_json(&measured);
    } else {
        ctx.report.out(&shown(&measured));
    }
    if edit_median > micros(LONGEST_EDIT) {
        let text =
            format!("an edit takes {edit_median:.0} µs, more than the {} promised", LONGEST_EDIT.as_micros());
        return Err(Failure::new(Kind::Command, text).into());
    }
    Ok(())
}

fn shown(m: &Measured) -> String {
    let row = |what: &str, micros: f64| {
        vec![what.to_owned(), format!("{:.3} ms", micros / 1e3), format!("{:.0}", m.rebuild_fastest / micros)]
    };
    let rows = [
        row("in place, median", m.edit_median),
        row("in place, slowest", m.edit_slowest),
        row("in place, on the disk", m.edit_with_flush),
        row("rebuilt by xorriso", m.rebuild_fastest),
    ];
    let image = format!("image of {} bytes\n", m.image_bytes);
    image + &table(&["CHANGE", "TIME", "TIMES FASTER"], &rows)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// An image as ours are laid out, most of it an initrd that does not compress.
fn make_image(ctx: &Ctx, lab: &Utf8Path, size: usize) -> Result<()> {
    let tree = lab.join("tree");
    fs_err::create_dir_all(tree.join("boot/grub"))?;
    let mut initrd = std::io::BufWriter::new(fs_err::File::create(tree.join("initrd"))?);
    for i in 0..(size as u64 * 1_000_000 / 8) {
        initrd.write_all(&i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())?;
    }
    initrd.flush()?;
    let args = "quiet console=ttyS0,115200n8";
    let region = region(args, REGION)?;
    let files = [
        (
            "/isolinux.cfg",
            Loader::Isolinux,
            format!("default a\nlabel a\n kernel /vmlinuz\n append {region}"),
        ),
        ("/boot/grub/grub.cfg", Loader::Grub, format!("linux /vmlinuz {region}initrd /initrd\n")),
    ];
    let mut layout = MediaLayout::default();
    for (path, loader, text) in &files {
        layout.add(path, *loader, text, args, REGION)?;
        fs_err::write(tree.join(&path[1..]), text)?;
    }
    fs_err::write(tree.join("media.json"), layout.to_json())?;
    let args = ["-as", "mkisofs", "-quiet", "-r", "-J", "-o", "image.iso", "tree"];
    ctx.runner.run(&Cmd::new("xorriso", "make an image to measure with").args(args).cwd(lab))?;
    Ok(())
}

/// Appends and takes back in turn; median and slowest of the appends.
fn edits(image: &Utf8Path, count: usize) -> Result<(f64, f64)> {
    let mut times = Vec::new();
    for i in 0..count.max(1) {
        let begun = Instant::now();
        let edit = Edit::Append(vec![format!("media.nonce={i:016x}")]);
        kargs::plan(&Iso::open(image)?, &edit, None)?.apply(image, Flush::No)?;
        times.push(begun.elapsed());
        kargs::plan(&Iso::open(image)?, &Edit::Reset, None)?.apply(image, Flush::No)?;
    }
    times.sort();
    Ok((micros(times[times.len() / 2]), micros(times[times.len() - 1])))
}

/// The same change as people make it: the file is replaced, and the image is written anew.
fn rebuilds(ctx: &Ctx, lab: &Utf8Path, count: usize) -> Result<f64> {
    let mut fastest = f64::MAX;
    for _ in 0..count.max(1) {
        let begun = Instant::now();
        let text = fs_err::read_to_string(lab.join("tree/isolinux.cfg"))?;
        fs_err::write(lab.join("changed.cfg"), text.replace("quiet", "quiet media.nonce=rebuilt"))?;
        let args = ["-indev", "image.iso", "-outdev", "rebuilt.iso", "-boot_image", "any", "keep"];
        let cmd =
            Cmd::new("xorriso", "rebuild an image").args(args).args(["-map", "changed.cfg", "/isolinux.cfg"]);
        ctx.runner.run(&cmd.cwd(lab))?;
        fastest = fastest.min(micros(begun.elapsed()));
        fs_err::remove_file(lab.join("rebuilt.iso"))?;
    }
    Ok(fastest)
}
