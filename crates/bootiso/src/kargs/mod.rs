//! Kernel arguments of a finished image, changed in place: in all of its loader files or in none.
//!
//! All edits are prepared first, laid over the image and read back; only then is anything written. Images of
//! ours have embed areas for it (`embed`); in others, blanks at a file's end, its last sector and comments are used.
//! What arguments mean is not this module's business: `params` checks that.

mod config;
mod discover;
mod efi;
mod fit;
mod grub;
mod grub_modules;
mod grub_words;
mod isolinux;
mod ours;
mod patch;
mod paths;
mod place;
mod systemd_boot;
mod unreached;
mod values;
mod volumes;
mod words;

use crate::error::{Error, ErrorKind, Result};
use camino::Utf8Path;
use serde::Serialize;

use super::{Iso, embed::Loader};
use bootparams::Os;

pub use patch::Flush;
pub use unreached::Unreached;
use words::ArgsReader;
pub use words::Edit;

/// The kernel arguments at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// The file, with the FAT image that it is in: `/efi.img:/EFI/BOOT/grub.cfg`.
    pub file: String,
    /// The menu entry, where it has a name.
    pub entry: String,
    /// The boot loader that starts this entry.
    pub loader: Loader,
    /// The arguments as they are written there, in the loader's language.
    pub args: String,
}

impl Slot {
    /// The line that the kernel reads, without what the loader adds at the ends.
    #[must_use]
    pub fn line(&self) -> String {
        ArgsReader { loader: self.loader, os: Os::Linux, is_value: false }.read(&self.args)
    }
}

/// What an image says to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageArgs {
    /// Whether the image has embed areas for arguments, as ours have.
    #[serde(rename = "has_room")]
    pub has_embed_areas: bool,
    /// The system that reads the arguments, where the image says it.
    pub os: Option<String>,
    /// Whether all places say the same to the kernel, as those of our images do.
    pub agree: bool,
    /// Whether it is as it was built; known only where there are embed areas.
    pub pristine: Option<bool>,
    /// Each place with arguments.
    pub slots: Vec<Slot>,
    /// What starts Linux and cannot be changed; nothing in images of ours.
    pub unreached: Vec<Unreached>,
    /// The cloud-config in the config initrd.
    pub cloud_config: Option<String>,
    /// Whether there is an area for a cloud-config.
    #[serde(rename = "has_seed")]
    pub has_config_initrd: bool,
}

/// Reads the arguments of an image. `os` is who reads them, where the image does not say it.
///
/// # Errors
/// When the image is malformed, an edit of it was interrupted, or no loader file with arguments is found.
pub fn show(iso: &Iso, os: Option<Os>) -> Result<ImageArgs> {
    if let Some(ours) = ours::open(iso, os)? {
        return Ok(ImageArgs {
            has_embed_areas: true,
            os: ours.layout.os.clone(),
            pristine: Some(ours.is_pristine()?),
            agree: ours.agrees()?,
            slots: ours.slots()?,
            unreached: Vec::new(),
            cloud_config: ours.config()?,
            has_config_initrd: ours.layout.config_initrd.is_some(),
        });
    }
    let found = discover::find(iso)?;
    if found.files.is_empty() && found.unreached.is_empty() {
        let text = "the image has no ISOLINUX, GRUB or systemd-boot configuration that starts Linux";
        return Err(Error::image(text));
    }
    Ok(ImageArgs {
        has_embed_areas: false,
        os: None,
        pristine: None,
        agree: found.agrees(),
        slots: found.slots(),
        unreached: found.unreached,
        cloud_config: None,
        has_config_initrd: false,
    })
}

/// A prepared change of one image.
pub struct PreparedEdit {
    patches: Vec<patch::Patch>,
    /// The image as it will be, read back through the patches.
    pub after: ImageArgs,
    /// What will no longer be true of the image; empty for ours.
    pub stale: Vec<String>,
    /// What the edit should have changed, too, and could not.
    pub unreached: Vec<Unreached>,
    /// Words of the edit that match no argument of the image, where others do.
    pub unmatched: Vec<String>,
}

/// What an edit makes of an image's places.
#[derive(Default)]
struct PlaceEdits {
    patches: Vec<patch::Patch>,
    /// The arguments that each place will have, in the order of [`ImageArgs::slots`].
    expected: Vec<String>,
    /// Whether the edit met anything.
    matched: bool,
    /// What it should have changed, too.
    unreached: Vec<Unreached>,
}

/// Prepares an edit. `os` is who reads the arguments, where the image does not say it; it decides what a word is.
///
/// # Errors
/// When nothing matches it, it does not fit, a loader's language cannot say it, or as [`show`].
pub fn plan(iso: &Iso, edit: &Edit, os: Option<Os>) -> Result<PreparedEdit> {
    let change = change(iso, edit, os)?;
    let unmatched = unmatched(iso, edit, os)?;
    if change.is_empty() && *edit != Edit::Reset {
        let text = format!("no kernel argument of the image matches {}", quoted(&unmatched));
        return Err(Error::new(ErrorKind::Request, text).help("`cargo xtask kargs show` lists them"));
    }
    let after = show(&patch::overlaid(iso, &change.patches)?, os)?;
    if after.slots.iter().map(|s| &s.args).ne(&change.expected) {
        let text = "the changed image would not read back correctly; nothing was changed";
        return Err(Error::image(text));
    }
    let stale = if after.has_embed_areas || !change.matched { Vec::new() } else { discover::stale(iso)? };
    Ok(PreparedEdit { patches: change.patches, after, stale, unreached: change.unreached, unmatched })
}

fn change(iso: &Iso, edit: &Edit, os: Option<Os>) -> Result<PlaceEdits> {
    match (ours::open(iso, os)?, edit) {
        (Some(ours), _) => ours.change(edit),
        (None, Edit::Reset) => {
            let text = "the image does not record its original arguments";
            Err(Error::image(text).help("only images built by this program do"))
        }
        (None, _) => foreign_change(iso, edit, os.unwrap_or(Os::Linux)),
    }
}

/// The words that would change nothing if they were the whole edit.
fn unmatched(iso: &Iso, edit: &Edit, os: Option<Os>) -> Result<Vec<String>> {
    let (words, single): (_, fn(Vec<String>) -> Edit) = match edit {
        Edit::Delete(words) => (words, Edit::Delete),
        Edit::Replace(words) => (words, Edit::Replace),
        Edit::Append(_) | Edit::Reset => return Ok(Vec::new()),
    };
    let mut unmatched = Vec::new();
    for word in words {
        if change(iso, &single(vec![word.clone()]), os)?.is_empty() {
            unmatched.push(word.clone());
        }
    }
    Ok(unmatched)
}

/// `` `a`, `b` ``.
fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl PlaceEdits {
    /// Whether the edit concerns no argument at all.
    fn is_empty(&self) -> bool {
        !self.matched && self.unreached.is_empty()
    }
}

fn foreign_change(iso: &Iso, edit: &Edit, os: Os) -> Result<PlaceEdits> {
    let mut change = PlaceEdits::default();
    let mut found = discover::find(iso)?;
    if found.files.is_empty() {
        show(iso, None)?;
    }
    for file in &found.files {
        file.change(iso, edit, os, &mut change)?;
    }
    found.unreached.retain(|u| u.concerns(edit));
    change.unreached = found.unreached;
    // Lengths last, over all files: until then, every file is at least as long as it says.
    change.patches.sort_by_key(|p| p.is_length);
    Ok(change)
}

/// Prepares putting a cloud-config into the config initrd.
///
/// # Errors
/// When there is no config initrd or it is too short.
pub fn embed(iso: &Iso, config: &str) -> Result<PreparedEdit> {
    let Some(ours) = ours::open(iso, None)? else {
        let text = "the image has no area for a cloud-config";
        return Err(Error::image(text).help("only images built by this program have one"));
    };
    let patches = vec![ours.embed(config)?];
    let after = show(&patch::overlaid(iso, &patches)?, None)?;
    Ok(PreparedEdit { patches, after, stale: Vec::new(), unreached: Vec::new(), unmatched: Vec::new() })
}

impl PreparedEdit {
    /// The image as it will be; nothing is written.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn changed(&self, iso: &Iso) -> Result<Iso> {
        patch::overlaid(iso, &self.patches)
    }

    /// Changes the image at `path`, the one that was planned for.
    ///
    /// # Errors
    /// When it cannot be written, or was changed meanwhile; it is then as it was.
    pub fn apply(&self, path: &Utf8Path, flush: Flush) -> Result<()> {
        patch::write(path, &self.patches, flush)
    }

    /// Writes a changed copy of `from` to `to`, complete or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn copy(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        patch::copy(from, to, &self.patches)
    }

    /// Whether there is anything to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// Hands the changed image over in pieces.
    ///
    /// # Errors
    /// When it cannot be read, or what `out` says.
    pub fn stream<E: From<Error>>(
        &self,
        iso: &Iso,
        out: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        patch::stream(iso, &self.patches, out)
    }
}

/// Appends words to the arguments of the image at `path`, in place.
///
/// # Errors
/// As [`plan`] and [`PreparedEdit::apply`].
pub fn append(path: &Utf8Path, words: &[&str]) -> Result<()> {
    let words = words.iter().map(|w| (*w).to_owned()).collect();
    plan(&Iso::open(path)?, &Edit::Append(words), None)?.apply(path, Flush::Yes)
}

/// Puts back the arguments and the cloud-config of the built image at `path`.
///
/// # Errors
/// As [`plan`] and [`PreparedEdit::apply`].
pub fn reset(path: &Utf8Path) -> Result<()> {
    plan(&Iso::open(path)?, &Edit::Reset, None)?.apply(path, Flush::Yes)
}
