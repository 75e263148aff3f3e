//! Anybody's images: what an edit makes of the places with kernel arguments in them.

use anyhow::Result;

use super::{
    Change, Slot,
    config::Config,
    place::{Place, Text},
    words::{Edit, Reader},
};
use crate::{Iso, SECTOR, room::Loader};
use bootparams::Os;

/// A file with kernel arguments in it.
pub(super) struct ConfigFile {
    /// `/isolinux.cfg`, or `/efi.img:/EFI/BOOT/grub.cfg` for a file of a FAT image.
    pub(super) name: String,
    pub(super) loader: Loader,
    pub(super) text: Text,
    pub(super) config: Config,
    pub(super) place: Place,
}

/// What in an image speaks of its other bytes and is not changed with them.
pub(super) fn stale(iso: &Iso) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for name in ["/md5sum.txt", "/sha256sum.txt", "/.disk/md5sum.txt"] {
        if let Some(entry) = iso.find_opt(name)? {
            stale.push(format!("{} in the image may list the old contents", entry.path));
        }
    }
    // `implantisomd5` writes into the primary descriptor's field for applications (ECMA-119, 8.4.32).
    let field = iso.bytes(16 * SECTOR + 883, 512)?;
    if field.windows(12).any(|w| w == b"ISO MD5SUM =") {
        stale.push("the checksum that `implantisomd5` wrote into the image no longer matches".to_owned());
    }
    Ok(stale)
}

impl ConfigFile {
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.config.lines.iter().map(|line| Slot {
            file: self.name.clone(),
            entry: line.entry.clone(),
            loader: self.loader,
            args: arguments(self.loader, &self.text.text[line.range.clone()]).to_owned(),
        })
    }

    /// Adds what `edit` makes of this file.
    pub(super) fn change(&self, iso: &Iso, edit: &Edit, os: Os, change: &mut Change) -> Result<()> {
        let mut text = self.text.text.clone();
        let mut matched = false;
        let first = change.expected.len();
        for line in self.config.lines.iter().rev() {
            let old = arguments(self.loader, &text[line.range.clone()]).to_owned();
            let new = Reader { loader: self.loader, os }.edited(&old, edit)?;
            change.expected.insert(first, new.clone().unwrap_or(old));
            let Some(mut args) = new else { continue };
            matched = true;
            if args.is_empty() && self.loader == Loader::Isolinux && line.lead.is_empty() {
                // Without a `-`, the arguments for all labels would apply.
                "-".clone_into(&mut args);
            }
            text.replace_range(line.range.clone(), &format!("{}{args}", line.lead));
        }
        if matched {
            let new = self.fitted(text, &self.slack(iso)?)?;
            let old = self.text.encode(&self.text.text)?;
            change.patches.extend(self.place.patches(iso, &old, &new)?);
            change.matched = true;
        }
        Ok(())
    }
}

/// The arguments of a line; `-` is how ISOLINUX writes that there are none.
fn arguments(loader: Loader, text: &str) -> &str {
    if loader == Loader::Isolinux && text == "-" { "" } else { text }
}
