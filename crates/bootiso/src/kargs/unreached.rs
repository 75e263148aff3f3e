//! What starts Linux in an image and is not changed by an edit, so that it is named.

use crate::error::Result;
use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    config::{FixedArgs, looks_like_linux},
    efi::EfiProgram,
    paths::is_match,
    place::ConfigFile,
    place::Text,
    volumes::Volume,
    words::Edit,
};
use crate::{Iso, embed::Loader};

/// Longer files are not read as configurations.
const LONGEST: u64 = 1 << 18;
/// A loader that is not known here: patterns of its files' paths in lower case, its name, and whether a line gives it
/// a kernel or arguments for one.
type OtherLoader = (&'static [&'static str], &'static str, fn(&str) -> bool);
const OTHERS: [OtherLoader; 13] = [
    (&["*/refind.conf", "*/refind_linux.conf"], "rEFInd", says_something),
    (&["*/limine.conf", "*/limine.cfg"], "Limine", has_key),
    (&["*/elilo.conf"], "ELILO", has_key),
    (&["*/yaboot.conf", "*/silo.conf", "*/lilo.conf"], "yaboot, SILO or LILO", has_key),
    (&["*/menu.lst", "/efi/*grub.conf", "/boot/*grub.conf", "/efi/*/boot.conf"], "GRUB Legacy", has_key),
    (&["*.ipxe"], "iPXE", has_key),
    (&["*/xen.cfg", "*/xen-*.cfg"], "Xen", has_key),
    (&["*/startup.nsh"], "the UEFI shell", starts_linux),
    (&["*/boot.scr", "*/boot.scr.uimg", "*/boot.cmd", "*/boot.ini", "*/uenv.txt"], "U-Boot", sets_bootargs),
    (&["/cmdline.txt"], "the Raspberry Pi's firmware", says_something),
    (&["*/aboot.conf", "*/kboot.conf"], "aboot or kboot", says_something),
    (&["*.prm", "*/parmfile*"], "IBM Z", says_something),
    (&["*/bootinfo.txt"], "Open Firmware", names_linux),
];
/// How much of a boot image is looked at for the name of its loader.
const HEAD: u64 = 32 << 10;

/// Kernel arguments that an edit does not reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unreached {
    /// The file, with the FAT image that it is in.
    pub file: String,
    /// The menu entry, where it has a name.
    pub entry: String,
    /// The arguments, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// Reason why the edit cannot reach it.
    pub reason: String,
    /// Whether words would have to be added here.
    #[serde(skip)]
    pub(super) takes_words: bool,
}

impl Unreached {
    pub(super) fn of(file: &str, fixed: &FixedArgs) -> Self {
        Self {
            file: file.to_owned(),
            entry: fixed.entry.clone(),
            args: fixed.args.clone(),
            reason: fixed.reason.clone(),
            takes_words: fixed.takes_words,
        }
    }

    /// A file as a whole, whose arguments are not known.
    pub(super) fn image(file: String, reason: String) -> Self {
        Self { file, entry: String::new(), args: None, reason, takes_words: true }
    }

    /// A unified kernel image.
    pub(super) fn unified(file: String, args: Option<String>) -> Self {
        let reason = "the arguments are built into a unified kernel image".to_owned();
        Self { args, ..Self::image(file, reason) }
    }

    /// Whether `edit` would change something here.
    pub(super) fn concerns(&self, edit: &Edit) -> bool {
        let keys: Vec<&str> = match edit {
            Edit::Append(_) => return self.takes_words,
            Edit::Reset => return false,
            Edit::Delete(words) => words.iter().map(String::as_str).collect(),
            Edit::Replace(words) => words.iter().map(|w| key(w)).collect(),
        };
        let Some(args) = &self.args else { return self.takes_words };
        let text = args.replace(['"', '\''], "");
        let mut words = text.split_whitespace();
        words.any(|w| keys.iter().any(|k| w == k.replace('"', "") || key(w) == *k))
    }
}

fn key(word: &str) -> &str {
    word.split_once('=').map_or(word, |(k, _)| k)
}

/// Configurations of loaders that are not known here, when they start something.
pub(super) fn other_loaders(iso: &Iso, volumes: &[Volume]) -> Result<Vec<Unreached>> {
    let mut found = Vec::new();
    for volume in volumes {
        for (path, place) in volume.all() {
            let lower = path.to_lowercase();
            let is_one = |patterns: &[&str]| patterns.iter().any(|p| is_match(p, &lower));
            let Some((_, loader, starts)) = OTHERS.iter().find(|(p, ..)| is_one(p)) else { continue };
            let name = format!("{}{path}", volume.prefix);
            if let Some(reason) = place.unread(LONGEST) {
                found.push(Unreached::image(name, reason));
                continue;
            }
            let text = Text::decode(place.part(iso, 0, place.size)?).text;
            let lines: Vec<&str> = text.lines().filter(|l| starts(l)).map(str::trim).collect();
            if !lines.is_empty() {
                let reason = format!("configurations of {loader} are not changed");
                let args = Some(lines.join("\n"));
                found.push(Unreached { args, ..Unreached::image(name, reason) });
            }
        }
    }
    Ok(found)
}

/// Whether a line gives a kernel, or arguments for one.
fn has_key(line: &str) -> bool {
    const KEYS: [&str; 17] = [
        "kernel",
        "loader",
        "options",
        "add_options",
        "cmdline",
        "kernel_cmdline",
        "kernel_path",
        "append",
        "image",
        "imgargs",
        "path",
        "module_path",
        "chain",
        "module",
        "imgfetch",
        "imgselect",
        "imgexec",
    ];
    let line = line.trim();
    let key: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    KEYS.contains(&key.to_ascii_lowercase().as_str())
}

/// Whether a line of a script starts a kernel, which is a program to the shell.
fn starts_linux(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(looks_like_linux)
}

/// Whether a line is neither empty nor a comment.
fn says_something(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

fn sets_bootargs(line: &str) -> bool {
    line.contains("bootargs")
}

fn names_linux(line: &str) -> bool {
    line.contains("vmlinu")
}

/// What firmware starts without a configuration that was found.
pub(super) fn firmware(
    iso: &Iso,
    volumes: &[Volume],
    files: &[ConfigFile],
    programs: &[(usize, EfiProgram)],
    known: &[Unreached],
) -> Result<Vec<Unreached>> {
    let loaders: BTreeSet<Loader> = files.iter().map(|f| f.loader).collect();
    let mut found = Vec::new();
    for (i, volume) in volumes.iter().enumerate().filter(|(_, v)| v.is_started()) {
        let here = |name: &String| name.starts_with(&volume.prefix);
        let of_volume = || programs.iter().filter(move |(v, _)| *v == i).map(|(_, p)| p);
        let is_covered = files.iter().any(|f| here(&f.name)) || known.iter().any(|u| here(&u.file));
        // What is not a program at all is a stand-in, which no firmware starts.
        let is_grub = |p: &EfiProgram| matches!(p, EfiProgram::Grub(_) | EfiProgram::None);
        let by_grub = loaders.contains(&Loader::Grub) && of_volume().any(is_grub);
        // Its entries may be in another partition (XBOOTLDR).
        let by_systemd =
            loaders.contains(&Loader::SystemdBoot) && of_volume().any(|p| *p == EfiProgram::SystemdBoot);
        if !is_covered && !by_grub && !by_systemd && of_volume().next().is_some() {
            let name = volume.prefix.trim_end_matches(':').to_owned();
            let reason = "no configuration of the loader in it was found".to_owned();
            found.push(Unreached::image(name, reason));
        }
    }
    for boot in iso.boot_entries()?.into_iter().filter(|b| b.platform == "bios" && b.bootable) {
        let size = iso.size()?.saturating_sub(boot.offset).min(HEAD);
        let head = iso.bytes(boot.offset, size)?;
        let names = |text: &[u8]| head.windows(text.len()).any(|w| w == text);
        let is_covered = match (names(b"ISOLINUX "), names(b"GRUB ")) {
            (true, _) => loaders.contains(&Loader::Isolinux),
            (_, true) => loaders.contains(&Loader::Grub),
            _ => loaders.contains(&Loader::Isolinux) || loaders.contains(&Loader::Grub),
        };
        if !is_covered && !known.iter().any(|u| u.reason.contains("GRUB Legacy")) {
            let name = format!("boot image for BIOS at byte {}", boot.offset);
            found.push(Unreached::image(name, "no configuration of its loader was found".to_owned()));
        }
    }
    Ok(found)
}
