//! Anybody's images: what an edit makes of the places with kernel arguments in them.

use super::{
    PlaceEdits, Slot,
    config::{ArgsLine, LoaderConfig},
    place::{FilePlace, Text},
    unreached::Unreached,
    words::{ArgsReader, Edit},
};
use crate::error::Result;
use crate::{Iso, SECTOR, embed::Loader};
use bootparams::Os;

/// A file with kernel arguments in it.
pub(super) struct ConfigFile {
    /// `/isolinux.cfg`, or `/efi.img:/EFI/BOOT/grub.cfg` for a file of a FAT image.
    pub(super) name: String,
    pub(super) loader: Loader,
    pub(super) text: Text,
    pub(super) config: LoaderConfig,
    pub(super) place: FilePlace,
}

/// What there is in an image.
pub(super) struct LoaderFiles {
    /// Files with places that can be changed.
    pub(super) files: Vec<ConfigFile>,
    pub(super) unreached: Vec<Unreached>,
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

impl LoaderFiles {
    pub(super) fn slots(&self) -> Vec<Slot> {
        let slot = |file: &ConfigFile, line: &ArgsLine| Slot {
            file: file.name.clone(),
            entry: line.entry.clone(),
            loader: file.loader,
            args: joined(file.parts(line)),
        };
        self.files.iter().flat_map(|f| f.config.lines.iter().map(|l| slot(f, l))).collect()
    }

    /// Whether all entries say the same to the kernel. Which initrd is loaded is said to loaders in several ways.
    pub(super) fn agrees(&self) -> bool {
        let lines = self.files.iter().flat_map(|f| f.config.lines.iter().map(move |l| (f, l)));
        let words = lines.filter(|(_, l)| l.takes_words).map(|(f, l)| self.words(f, l));
        words.collect::<Vec<_>>().windows(2).all(|w| w[0] == w[1])
    }

    /// The words that the kernel gets of a line, with the values of variables that have one only.
    fn words(&self, file: &ConfigFile, line: &ArgsLine) -> Vec<String> {
        let reader = ArgsReader { loader: file.loader, os: Os::Linux, is_value: line.is_value };
        let words = file.parts(line).into_iter().flat_map(|p| reader.words(p)).map(|w| w.value);
        let mut found = Vec::new();
        for word in words {
            let name = word.strip_prefix('$').map(|n| n.trim_start_matches('{').trim_end_matches('}'));
            match name.and_then(|n| self.value(n)) {
                Some(text) => found.extend(text.split_whitespace().map(str::to_owned)),
                None => found.push(word),
            }
        }
        found.retain(|w| !w.starts_with("initrd="));
        found
    }

    fn value(&self, name: &str) -> Option<&str> {
        let entry = format!("${name}");
        let mut found = self.files.iter().flat_map(|f| {
            let of_name = f.config.lines.iter().filter(|l| l.is_value && l.entry == entry);
            of_name.map(|l| &f.text.text[l.parts[0].clone()])
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

impl ConfigFile {
    /// The arguments of a line, in the parts that they stand in.
    fn parts(&self, line: &ArgsLine) -> Vec<&str> {
        line.parts.iter().map(|p| arguments(self.loader, &self.text.text[p.clone()])).collect()
    }

    /// Adds what `edit` makes of this file.
    pub(super) fn change(&self, iso: &Iso, edit: &Edit, os: Os, change: &mut PlaceEdits) -> Result<()> {
        let mut replacements = Vec::new();
        for line in &self.config.lines {
            let reader = ArgsReader { loader: self.loader, os, is_value: line.is_value };
            let old = self.parts(line);
            let new = reader.edited_parts(&old, line.takes_words, edit)?;
            let Some(new) = new else {
                change.expected.push(joined(old));
                continue;
            };
            change.expected.push(joined(new.iter().map(String::as_str).collect()));
            let last = line.parts.len() - 1;
            for (i, (part, text)) in line.parts.iter().zip(new).enumerate() {
                let lead = if i == last && part.is_empty() { line.lead.as_str() } else { "" };
                let is_dash = text.is_empty() && line.dash && i == last;
                let text = if is_dash { "-".to_owned() } else { format!("{lead}{text}") };
                replacements.push((part.clone(), text));
            }
        }
        if replacements.is_empty() {
            return Ok(());
        }
        replacements.sort_by_key(|(part, _)| std::cmp::Reverse(part.start));
        let mut text = self.text.text.clone();
        for (part, new) in replacements {
            text.replace_range(part, &new);
        }
        let new = self.fitted(text, &self.slack(iso)?)?;
        let old = self.text.encode(&self.text.text)?;
        change.patches.extend(self.place.patches(iso, &old, &new)?);
        change.matched = true;
        Ok(())
    }
}

/// The arguments of a line; `-` is how ISOLINUX writes that there are none.
fn arguments(loader: Loader, text: &str) -> &str {
    if loader == Loader::Isolinux && text == "-" { "" } else { text }
}

/// What the kernel gets of several parts.
fn joined(parts: Vec<&str>) -> String {
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
}
