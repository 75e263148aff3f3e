//! `cargo xtask iso`: what is in an image, and taking it out.

use std::io::Read as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};

use super::pattern;
use bootiso::{BootEntry, Entry, EntryKind, Iso, Partition, PartitionScheme};
use buildexec::ctx::Ctx;
use failure::{Explain as _, Failure, Kind};
use report::{fitted, table::count};

/// Arguments of `iso`.
#[derive(Args, Debug)]
pub struct IsoArgs {
    #[command(subcommand)]
    command: IsoCommand,
}

/// Operation on an image.
#[derive(Debug, Subcommand)]
enum IsoCommand {
    /// List files, boot entries, and the partitions of a hybrid image.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask iso ls some.iso  # files, boot entries, partitions")]
    Ls {
        /// ISO image to read.
        iso: Utf8PathBuf,
    },
    /// Print a file of the image.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask iso cat some.iso /isolinux.cfg                # on standard output\n\
\x20 cargo xtask iso cat some.iso '/boot/vmlinuz-*' > vmlinuz  # which matches")]
    Cat {
        /// ISO image to read.
        iso: Utf8PathBuf,
        /// Path in the image; case is ignored, and `*` at the end of a name matches anything.
        path: String,
    },
    /// Extract the image's files into a new folder.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask iso extract some.iso -C out        # all of it\n\
\x20 cargo xtask iso extract some.iso /boot -C out  # a folder of it")]
    Extract {
        /// ISO image to read.
        iso: Utf8PathBuf,
        /// Extract only this file or folder, matched as by `cat`.
        path: Option<String>,
        /// Target folder; it must be new or empty.
        #[arg(short = 'C', long, value_name = "DIR")]
        to: Utf8PathBuf,
    },
}

/// Runs `iso`.
///
/// # Errors
/// When the image is malformed, has no such file, or something cannot be written.
pub(crate) fn run(ctx: &Ctx, args: &IsoArgs) -> Result<()> {
    match &args.command {
        IsoCommand::Ls { iso } => ls(ctx, &open(iso)?),
        IsoCommand::Cat { iso, path } => {
            let iso = open(iso)?;
            let entry = iso.find(path)?;
            copy(ctx, &iso, &entry, &mut |bytes| ctx.report.out_bytes(bytes))
        }
        IsoCommand::Extract { iso, path, to } => extract(ctx, &open(iso)?, path.as_deref(), to),
    }
}

fn open(iso: &Utf8Path) -> Result<Iso> {
    Ok(Iso::open(&pattern::one(iso)?)?)
}

fn ls(ctx: &Ctx, iso: &Iso) -> Result<()> {
    let (entries, boot, partitions) = (iso.walk()?, iso.boot_entries()?, iso.partitions()?);
    if ctx.globals.json {
        ctx.report.out_json(&serde_json::json!({
            "label": iso.label(),
            "size": iso.size()?,
            "names": iso.naming()?,
            "entries": entries,
            "boot": boot,
            "partitions": partitions,
        }));
        return Ok(());
    }
    let mut text = format!("{} ({} names, {} bytes)\n\n", shown(iso.label()), iso.naming()?, iso.size()?);
    text += &entry_table(&entries);
    if !boot.is_empty() {
        text += "\n";
        text += &boot_table(&boot, &entries);
    }
    if !partitions.is_empty() {
        text += "\n";
        text += &partition_table(&partitions);
    }
    ctx.report.out(&text);
    Ok(())
}

fn entry_table(entries: &[Entry]) -> String {
    let row = |e: &Entry| match &e.kind {
        EntryKind::File => vec![e.size.to_string(), shown(&e.path)],
        EntryKind::Folder => vec![String::new(), shown(&e.path) + "/"],
        EntryKind::Link(target) => {
            vec![String::new(), format!("{} -> {}", shown(&e.path), shown(target))]
        }
        EntryKind::Special => vec![String::new(), shown(&e.path) + " (device, pipe or socket)"],
    };
    fitted(&["SIZE", "PATH"], &entries.iter().map(row).collect::<Vec<_>>())
}

/// The boot entries, each with the file of `entries` that it starts.
fn boot_table(boot: &[BootEntry], entries: &[Entry]) -> String {
    let name = |offset: u64| {
        let at = |e: &&Entry| e.size > 0 && e.extents.first().is_some_and(|x| x.offset == offset);
        entries.iter().find(at).map_or_else(String::new, |e| shown(&e.path))
    };
    let row = |b: &BootEntry| {
        let bootable = if b.bootable { "yes" } else { "no" };
        vec![
            b.platform.clone(),
            bootable.to_owned(),
            b.emulation.clone(),
            b.offset.to_string(),
            b.length.to_string(),
            name(b.offset),
        ]
    };
    let head = ["BOOT", "BOOTABLE", "EMULATION", "OFFSET", "LOADED", "FILE"];
    fitted(&head, &boot.iter().map(row).collect::<Vec<_>>())
}

fn partition_table(partitions: &[Partition]) -> String {
    let row = |p: &Partition| {
        let scheme = if p.scheme == PartitionScheme::Mbr { "mbr" } else { "gpt" };
        vec![format!("{scheme} {}", p.number), p.offset.to_string(), p.length.to_string(), p.kind.clone()]
    };
    fitted(&["PARTITION", "OFFSET", "LENGTH", "TYPE"], &partitions.iter().map(row).collect::<Vec<_>>())
}

/// A name for a terminal: an image may have control sequences in its names.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Hands a file over in pieces.
fn copy(ctx: &Ctx, iso: &Iso, entry: &Entry, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    if entry.kind != EntryKind::File {
        return Err(Failure::new(Kind::Usage, format!("{} is not a file", entry.path)).into());
    }
    let mut reader = iso.reader(entry);
    let mut buffer = vec![0; 1 << 20];
    loop {
        ctx.check_interrupt()?;
        let n = reader.read(&mut buffer).explain(Kind::Input, || format!("cannot read {}", entry.path))?;
        if n == 0 {
            return Ok(());
        }
        to(&buffer[..n])?;
    }
}

/// Fills a temporary folder beside the target, and gives it the target's name when it is complete.
fn extract(ctx: &Ctx, iso: &Iso, path: Option<&str>, to: &Utf8Path) -> Result<()> {
    let chosen = chosen(iso, path)?;
    check_total(iso, &chosen)?;
    if fs_err::symlink_metadata(to).is_ok() && !to.read_dir_utf8().is_ok_and(|mut d| d.next().is_none()) {
        let text = format!("{to} exists and is not an empty folder");
        return Err(Failure::new(Kind::Usage, text).help("name a new folder with --to").into());
    }
    let cannot = || format!("cannot write {to}");
    let parent = to.parent().filter(|p| !p.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let temp = tempfile::Builder::new()
        .prefix(".extract-")
        .tempdir_in(parent)
        .map_err(|e| failure::nameless(&e))
        .explain(Kind::Storage, cannot)?;
    let root =
        Utf8Path::from_path(temp.path()).ok_or_else(|| Failure::new(Kind::Storage, cannot()))?.join("tree");
    fs_err::create_dir(&root).explain(Kind::Storage, cannot)?;
    let (mut links, mut special) = (0, 0);
    for entry in &chosen {
        match &entry.kind {
            EntryKind::Folder => {
                fs_err::create_dir_all(inside(&root, &entry.path)?).explain(Kind::Storage, cannot)?
            }
            EntryKind::Link(_) => links += 1,
            EntryKind::Special => special += 1,
            EntryKind::File => {
                write_file(ctx, iso, entry, &inside(&root, &entry.path)?).explain(Kind::Storage, cannot)?
            }
        }
    }
    fs_err::rename(&root, to).explain(Kind::Storage, cannot)?;
    if links > 0 {
        ctx.report
            .warn(format!("{} left out, since links may lead out of {to}", count(links, "symbolic link")));
    }
    if special > 0 {
        ctx.report.warn(format!("{} left out: devices, pipes or sockets", count(special, "special file")));
    }
    let entries = chosen.len() - links - special;
    if ctx.globals.json {
        ctx.report.out_json(&serde_json::json!({
            "folder": to, "entries": entries, "links_left_out": links, "special_left_out": special,
        }));
    }
    ctx.report.note(format!("{} in {to}", count(entries, "entry")));
    Ok(())
}

fn write_file(ctx: &Ctx, iso: &Iso, entry: &Entry, path: &Utf8Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(path)?;
    copy(ctx, iso, entry, &mut |bytes| Ok(std::io::Write::write_all(&mut file, bytes)?))
}

fn chosen(iso: &Iso, path: Option<&str>) -> Result<Vec<Entry>> {
    let all = iso.walk()?;
    let Some(path) = path.filter(|path| !path.trim_matches('/').is_empty()) else { return Ok(all) };
    let top = iso.find(path)?.path;
    let below = format!("{top}/");
    Ok(all.into_iter().filter(|e| e.path == top || e.path.starts_with(&below)).collect())
}

/// Files may share their bytes, as hard links do, or be packed; thousands of those are there to fill a disk.
fn check_total(iso: &Iso, chosen: &[Entry]) -> Result<()> {
    const MOST_TIMES: u64 = 8;
    /// What packed files may grow to, beyond that.
    const MOST_UNPACKED: u64 = 64 << 30;
    let stored = |e: &Entry| e.extents.iter().map(|x| x.length).sum::<u64>().min(e.size);
    let sum = |of: &dyn Fn(&Entry) -> u64| chosen.iter().fold(0u64, |sum, e| sum.saturating_add(of(e)));
    let (total, size) = (sum(&|e| e.size), iso.size()?);
    if sum(&stored) / MOST_TIMES > size || total > size.saturating_mul(MOST_TIMES).max(MOST_UNPACKED) {
        let text = format!("the files add up to {total} bytes, in an image of {size}");
        return Err(Failure::new(Kind::Input, text).into());
    }
    Ok(())
}

/// The place of an entry below `root`. The reader lets no `..` and no `/` through; what else a system takes for
/// a separator or a drive is refused here.
fn inside(root: &Utf8Path, path: &str) -> Result<Utf8PathBuf> {
    if cfg!(windows) && path.contains(['\\', ':']) {
        return Err(Failure::new(Kind::Input, format!("{path} cannot be a file's name on Windows")).into());
    }
    Ok(root.join(path.trim_start_matches('/')))
}
